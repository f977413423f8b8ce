"""Observation/$lastn: the newest observations of each code (observation-operation-lastn.html)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlencode

import msgspec

from xinglin.core.rest.body import json_body
from xinglin.core.rest.bundles import bundle, match_entry
from xinglin.core.rest.exchange import Answer, Call, shortened
from xinglin.core.rest.history import count_of
from xinglin.core.rest.parameters import pairs
from xinglin.core.rest.presentation import presentation
from xinglin.core.rest.search import PAGE_PARAMETER, page_links
from xinglin.core.schema import decode
from xinglin.core.store.rows import Stored
from xinglin.kernel.errors import Invalid, TooCostly

PAGE: Final = 1000
MOST_SEEN: Final = 50_000
MOST_PER_CODE: Final = 1000


class _Coding(msgspec.Struct):
    system: str | None = None
    code: str | None = None


class _Concept(msgspec.Struct):
    coding: list[_Coding] = []
    text: str | None = None


class _Coded(msgspec.Struct):
    code: _Concept | None = None


_code_of = msgspec.json.Decoder(_Coded)


async def lastn(call: Call) -> Answer:
    asked = await _asked(call)
    most = count_of(dict(asked).get("max"), 1, MOST_PER_CODE, "max")
    criteria = [(name, value) for name, value in asked if name != "max"]
    if not any(name.partition(":")[0] in ("patient", "subject") for name, _ in criteria):
        raise Invalid("$lastn needs a patient or subject.", code="required", remedy="Add patient=<id>.")
    kept = newest_by_code(await _newest_first(call, urlencode(criteria)), most)
    shown, used = presentation(call.query)
    entries = (match_entry(call.door.base, stored, "match", None if shown.whole else shown) for stored in kept)
    body = bundle("searchset", entries, total=len(kept), links=page_links(call, used, None))
    return Answer(200, body, resource_body=False)


async def _asked(call: Call) -> list[tuple[str, str]]:
    asked = parse_qsl(presentation(call.query)[1], keep_blank_values=True)
    if call.method == "POST" and call.headers.get(b"content-length") != b"0":
        parameters = decode.read(await json_body(call), expected_type="Parameters")
        asked += [(name, _criterion(name, value)) for name, value in pairs(parameters)]
    paging = {"_sort", "_count", "_total", PAGE_PARAMETER}
    return [(name, value) for name, value in asked if name not in paging]


def _criterion(name: str, value: Any) -> str:
    """A parameter's value as a search says it."""
    if isinstance(value, dict) and isinstance(value.get("reference"), str):
        return str(value["reference"])
    if value is None or isinstance(value, dict | list):
        raise Invalid(f"The parameter {shortened(name)!r} is not text or a reference.", code="value")
    return str(value).lower() if isinstance(value, bool) else str(value)


async def _newest_first(call: Call, query: str) -> list[Stored]:
    found: list[Stored] = []
    following: str | None = None
    while True:
        page_part = f"&{PAGE_PARAMETER}={quote(following, safe='')}" if following else ""
        wanted = f"{query}&_sort=-date&_count={PAGE}&_total=none{page_part}"
        page = await call.records.search("Observation", wanted, strict=True)
        found += page.matches
        following = page.next
        if following is None:
            return found
        if len(found) >= MOST_SEEN:
            raise TooCostly("There are too many observations.", remedy="Narrow by category, code or date.")


def newest_by_code(ordered: Iterable[Stored], most: int) -> list[Stored]:
    """The first `most` of each code, grouped by code; a code that shares a coding with another is the same."""
    groups: list[list[Stored]] = []
    group_of: dict[Any, list[Stored]] = {}
    for stored in ordered:
        keys = _keys(stored.body)
        group = next((group_of[key] for key in keys if key in group_of), None)
        if group is None:
            groups.append(group := [])
        for key in keys:
            group_of.setdefault(key, group)
        if len(group) < most:
            group.append(stored)
    return [stored for group in groups for stored in group]


def _keys(body: bytes) -> list[Any]:
    concept = _code_of.decode(body).code or _Concept()
    codings = [(coding.system, coding.code) for coding in concept.coding if coding.code]
    return codings or [(None, concept.text)]
