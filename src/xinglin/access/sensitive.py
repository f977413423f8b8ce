"""ValueSets that say which codes make a record sensitive: data that an installation may replace or extend.

Shipped in data/sensitive. A folder of the installation's own (XINGLIN_SENSITIVE) is read beside it: a ValueSet there
with the url of one that is shipped stands in its place, and may take that one in as `url|version`.

Of `compose`: include and exclude, with system, concept, valueSet, and those filters of `code` that need no terminology
(regex, =, in). What cannot be decided that way is refused when the node starts: a code left out would be disclosed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import orjson

from xinglin.kernel.errors import Invalid

DEEPEST: Final = 8  # value sets within value sets
Holds = Callable[[str, str], bool]
"""Whether a set holds a code: of (system, code)."""


@dataclass(frozen=True, slots=True)
class Sets:
    """The sets in force by url. fingerprint: of all that they say, so that what was labelled by others is known."""

    holds: Mapping[str, Holds]
    fingerprint: str


def read(folder: str, urls: Iterable[str]) -> Sets:
    """The sets of these urls, from the installation's folder ("": none) or as shipped.

    Raises Invalid, naming file and place, for a folder or set that cannot be used.
    """
    shipped, own = _shipped(), _own(folder) if folder else {}
    known = {f"{url}|{body.get('version', '')}": body for url, body in (shipped | own).items()}
    known |= {f"{url}|{body.get('version', '')}": body for url, body in shipped.items()} | shipped | own
    holds = {url: _holds(known, url, 0) for url in urls}
    said = orjson.dumps([shipped, own], option=orjson.OPT_SORT_KEYS)
    return Sets(holds, sha256(said).hexdigest())


def _shipped() -> dict[str, dict[str, Any]]:
    folder = files("xinglin.access").joinpath("data/sensitive")
    bodies = [orjson.loads(one.read_bytes()) for one in folder.iterdir() if one.name.endswith(".json")]
    return {body["url"]: body for body in bodies}


def _own(folder: str) -> dict[str, dict[str, Any]]:
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise _wrong(f"{folder} is no folder")
    found: dict[str, dict[str, Any]] = {}
    for file in sorted(path.glob("*.json")):
        try:
            body = orjson.loads(file.read_bytes())
        except (OSError, ValueError) as error:
            raise _wrong(f"{file.name} cannot be read as JSON") from error
        if not isinstance(body, dict) or body.get("resourceType") != "ValueSet" or not isinstance(body.get("url"), str):
            raise _wrong(f"{file.name} is no ValueSet with a url")
        if body["url"] in found:
            raise _wrong(f"{file.name} has the url of another file")
        found[body["url"]] = body
    return found


def _holds(known: Mapping[str, Mapping[str, Any]], name: str, depth: int) -> Holds:
    if depth > DEEPEST:
        raise _wrong(f"{name} takes itself in")
    if name not in known:
        raise _wrong(f"there is no ValueSet {name}")
    compose = known[name].get("compose")
    if not isinstance(compose, dict) or not compose.get("include"):
        raise _wrong(f"{name} has no compose.include")
    included = [_part(known, name, part, depth) for part in compose["include"]]
    excluded = [_part(known, name, part, depth) for part in compose.get("exclude", ())]
    return lambda system, code: _any(included, system, code) and not _any(excluded, system, code)


def _part(known: Mapping[str, Mapping[str, Any]], name: str, part: Mapping[str, Any], depth: int) -> Holds:
    """What one include (or exclude) holds: all of its conditions."""
    if not part.get("system") and not part.get("valueSet"):
        raise _wrong(f"a part of {name} names neither system nor valueSet")
    conditions = [_holds(known, str(inner), depth + 1) for inner in part.get("valueSet", ())]
    if "system" in part:
        conditions.append(_of_system(name, part))
    return lambda system, code: all(one(system, code) for one in conditions)


def _of_system(name: str, part: Mapping[str, Any]) -> Holds:
    wanted, listed = part["system"], part.get("concept")
    codes = frozenset(str(concept.get("code", "")) for concept in listed or ())
    tests = [_filter(name, one) for one in part.get("filter", ())]

    def holds(system: str, code: str) -> bool:
        return system == wanted and (listed is None or code in codes) and all(test(code) for test in tests)

    return holds


def _filter(name: str, wanted: Mapping[str, Any]) -> Callable[[str], bool]:
    op, value = wanted.get("op"), str(wanted.get("value", ""))
    if wanted.get("property") not in ("code", "concept") or op not in ("regex", "=", "in") or not value:
        raise _wrong(f"{name} filters by {wanted.get('property')} {op}, which needs a terminology")
    if op == "regex":
        try:
            pattern = re.compile(value)
        except re.error as error:
            raise _wrong(f"{name} has the filter {value}, no regular expression") from error
        return lambda code: pattern.fullmatch(code) is not None
    codes = frozenset(one.strip() for one in (value.split(",") if op == "in" else [value]))
    return lambda code: code in codes


def _any(parts: Sequence[Holds], system: str, code: str) -> bool:
    return any(part(system, code) for part in parts)


def _wrong(what: str) -> Invalid:
    return Invalid(
        f"XINGLIN_SENSITIVE: {what}.",
        remedy="List codes (concept) or filter them by a regular expression: docs/how-to/sensitive-records.md.",
    )
