"""Keeps the translation catalogues: collects strings, says what still lacks Chinese.

    python scripts/i18n.py update    # new strings into the nearest catalogue, gone ones out
    python scripts/i18n.py check     # exit 1 and a list where a string has no Chinese

A string belongs to the catalogue of the nearest folder above its file that has `locale/zh_Hans/LC_MESSAGES/*.po`.
After `update`, write the Chinese beside each empty msgstr; tests/spec/test_ui_i18n.py runs `check`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

PACKAGE = Path(__file__).resolve().parent.parent / "src" / "xinglin"
KEYWORDS = {
    "_": None,
    "N_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}
JINJA = {"newstyle_gettext": "true", "trimmed": "true", "silent": "false", "encoding": "utf-8"}


def catalogues() -> dict[Path, Path]:
    """Folder -> its catalogue file."""
    found = sorted(PACKAGE.glob("**/locale/zh_Hans/LC_MESSAGES/*.po"))
    return {path.parents[3]: path for path in found}


def sources() -> Iterator[Path]:
    for path in sorted(PACKAGE.rglob("*")):
        in_gallery = path.parent == PACKAGE / "ui" / "examples"
        if path.suffix in (".py", ".html") and not in_gallery:
            yield path


def strings(path: Path) -> Iterator[tuple[int, object, str | None]]:
    method = "python" if path.suffix == ".py" else "jinja2.ext:babel_extract"
    options = {} if path.suffix == ".py" else JINJA
    with path.open("rb") as source:
        for line, message, _comments, context in extract(method, source, KEYWORDS, options=options):
            yield line, message, context


def collected() -> tuple[dict[Path, Catalog], list[str]]:
    """Catalogue file -> the strings of its folder, and the files whose strings have no catalogue."""
    known = catalogues()
    found = {path: Catalog(locale="zh_Hans", charset="utf-8", fuzzy=False) for path in known.values()}
    homeless: list[str] = []
    for path in sources():
        home = next((folder for folder in path.parents if folder in known), None)
        for line, message, context in strings(path):
            place = path.relative_to(PACKAGE).as_posix()
            if home is None:
                homeless.append(f"{place}:{line}: {message!r} has no catalogue above it")
                continue
            found[known[home]].add(message, locations=[(place, line)], context=context)  # type: ignore[arg-type]
    return found, homeless


def merged(path: Path, fresh: Catalog) -> Catalog:
    with path.open("rb") as source:
        kept = read_po(source, locale="zh_Hans")
    for message in fresh:
        old = kept.get(message.id, message.context) if message.id else None
        if old is not None:
            message.string = old.string
    return fresh


def update() -> int:
    found, homeless = collected()
    for path, fresh in found.items():
        with_translations = merged(path, fresh)
        with path.open("wb") as target:
            write_po(target, with_translations, omit_header=True, sort_output=True, width=110, include_lineno=False)
    return report(homeless + untranslated())


def untranslated() -> list[str]:
    """Each string in the sources without Chinese, and each catalogue entry that nothing uses."""
    found, homeless = collected()
    wrong = list(homeless)
    for path, fresh in found.items():
        with path.open("rb") as source:
            kept = read_po(source, locale="zh_Hans")
        for message in fresh:
            old = kept.get(message.id, message.context) if message.id else None
            text = old.string if old else ""
            if message.id and not (all(text) if isinstance(text, tuple) else text):
                wrong.append(f"{path.name}: no Chinese for {message.id!r} ({message.locations[0][0]})")
        used = {(message.id, message.context) for message in fresh}
        wrong += [f"{path.name}: {m.id!r} is not used" for m in kept if m.id and (m.id, m.context) not in used]
    return wrong


def report(wrong: list[str]) -> int:
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    verb = sys.argv[1] if len(sys.argv) == 2 else ""
    if verb not in ("update", "check"):
        raise SystemExit(__doc__)
    raise SystemExit(update() if verb == "update" else report(untranslated()))
