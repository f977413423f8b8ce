"""Languages of the pages: simplified Chinese and English, by gettext catalogues that each module keeps.

The msgid is the English text, so English needs no catalogue. Every folder `locale/zh_Hans/LC_MESSAGES` in the
package may hold a `.po` file; all are read and merged at the first use, nothing compiled is committed.
`python scripts/i18n.py update` collects new strings into the nearest catalogue.
"""

from __future__ import annotations

import gettext
import io
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

PACKAGE = Path(__file__).resolve().parent.parent
LANGUAGES = {"zh-Hans": "简体中文", "en": "English"}
DEFAULT_LANGUAGE = "zh-Hans"
DEFAULT_ZONE = ZoneInfo("Asia/Shanghai")

_language: ContextVar[str] = ContextVar("xinglin_language", default=DEFAULT_LANGUAGE)
_zone: ContextVar[ZoneInfo] = ContextVar("xinglin_zone", default=DEFAULT_ZONE)


def catalogue_files(folder: Path = PACKAGE) -> list[Path]:
    return sorted(folder.glob("**/locale/zh_Hans/LC_MESSAGES/*.po"))


def read_catalogue(path: Path) -> Translations:
    with path.open("rb") as source:
        catalogue = read_po(source, locale="zh_Hans")
    compiled = io.BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return Translations(compiled)


@cache
def translations(language: str) -> gettext.NullTranslations:
    """All catalogues of a language as one; English reads the msgids themselves."""
    if language == "en":
        return NullTranslations()
    first, *others = [read_catalogue(path) for path in catalogue_files()]
    for other in others:
        first.merge(other)
    return first


def language() -> str:
    return _language.get()


def zone() -> ZoneInfo:
    return _zone.get()


@contextmanager
def speaking(language: str, zone: ZoneInfo = DEFAULT_ZONE) -> Iterator[None]:
    """Within the block, `_` and the formatters use this language and the clinic's time zone."""
    tokens = _language.set(language), _zone.set(zone)
    try:
        yield
    finally:
        _language.reset(tokens[0])
        _zone.reset(tokens[1])


def _(message: str) -> str:
    return translations(_language.get()).gettext(message)


def ngettext(singular: str, plural: str, n: int) -> str:
    return translations(_language.get()).ngettext(singular, plural, n)


def pgettext(context: str, message: str) -> str:
    return translations(_language.get()).pgettext(context, message)


def npgettext(context: str, singular: str, plural: str, n: int) -> str:
    return translations(_language.get()).npgettext(context, singular, plural, n)


def N_(message: str) -> str:
    """Marks a string for translation that is written where no request is (a form's label); `_` it when shown."""
    return message


def negotiate(accept: str) -> str:
    """The language that an Accept-Language header likes best (RFC 9110 §12.5.4); Chinese where it names neither."""
    best, best_quality = DEFAULT_LANGUAGE, 0.0
    for item in accept.lower()[:1000].split(","):
        tag, _sep, parameter = item.strip().partition(";")
        known = _known(tag)
        quality = _quality(parameter)
        if known and quality > best_quality:
            best, best_quality = known, quality
    return best


def _known(tag: str) -> str | None:
    if tag == "zh" or tag.startswith("zh-"):
        return "zh-Hans"
    return "en" if tag == "en" or tag.startswith("en-") else None


def _quality(parameter: str) -> float:
    name, _sep, value = parameter.strip().partition("=")
    try:
        return min(1.0, max(0.0, float(value))) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0
