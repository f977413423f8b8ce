"""$everything: all that is known of a patient or an encounter, as one searchset joined from stored bytes.

What the resources of the compartment point to beyond it (practitioners, organizations, medications) comes along.
Everything is found through the gate: what the principal may not see is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from xinglin.core.rest.bundles import bundle, match_entry
from xinglin.core.rest.document import fetched
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.history import count_of, moment_range
from xinglin.core.rest.parameters import Arguments, arguments, one
from xinglin.core.rest.presentation import presentation
from xinglin.core.rest.routing import TYPES, known_type
from xinglin.core.rest.search import PAGE_PARAMETER, page_links
from xinglin.core.schema import decode
from xinglin.core.schema.definitions import compartment
from xinglin.core.search.extract import extract
from xinglin.core.search.parameters import HEADLINE_DATES
from xinglin.core.store.keys import NO_DATE
from xinglin.core.store.rows import Stored
from xinglin.kernel.errors import Invalid

PAGE: Final = 1000
MOST: Final = 20_000  # resources of one answer without _count
_REFERENCE: Final = re.compile(rb'"reference":"([A-Z][A-Za-z]{1,40}/[A-Za-z0-9.-]{1,64})"')
KNOWN: Final = frozenset({"start", "end", "_since", "_type", "_count", PAGE_PARAMETER})


async def everything(call: Call) -> Answer:
    asked = await arguments(call, KNOWN)
    focus = await call.records.read(call.type, call.id)
    count = one(asked, "_count")
    query, following = _query(asked), one(asked, PAGE_PARAMETER)
    wanted = _of_care(asked)
    matches: dict[str, Stored] = {} if following else {focus.reference: focus}
    most = count_of(str(count), PAGE, PAGE) if count is not None else MOST
    while True:
        page = await call.records.search(
            None, _page_query(query, min(most, PAGE), following), compartment=(call.type, call.id)
        )
        matches.update((stored.reference, stored) for stored in page.matches if wanted(stored))
        following = page.next
        if following is None or len(matches) >= most:
            break
    return _answer(call, list(matches.values()), await _beyond(call, matches), following)


async def _beyond(call: Call, matches: Mapping[str, Stored]) -> list[Stored]:
    """What the matches refer to outside of the compartment, found in their text and fetched through the gate."""
    inside = {*matches, f"{call.type}/{call.id}"}
    references = {found for stored in matches.values() for found in _REFERENCE.findall(stored.body)}
    pairs = [reference.decode().split("/") for reference in references]
    beyond = [f"{name}/{id}" for name, id in pairs if name in TYPES and f"{name}/{id}" not in inside]
    places = compartment(call.type)
    return await fetched(call, (one for one in beyond if not places.get(one.partition("/")[0])))


def _of_care(asked: Arguments) -> Callable[[Stored], bool]:
    """start and end bound the dates of care; a resource without such a date (an allergy, a person) is not cut."""
    start, end = one(asked, "start"), one(asked, "end")
    if start is None and end is None:
        return lambda stored: True
    low = moment_range(_text(start), "start")[0] if start is not None else NO_DATE
    high = moment_range(_text(end), "end")[1] if end is not None else -NO_DATE

    def wanted(stored: Stored) -> bool:
        if HEADLINE_DATES.get(stored.type, "birthdate") == "birthdate":
            return True
        index = extract(decode.parse(stored.body))
        return index.date == NO_DATE or (index.date < high and index.date_end > low)

    return wanted


def _answer(call: Call, matches: Sequence[Stored], beyond: Sequence[Stored], following: str | None) -> Answer:
    shown, used = presentation(call.query)
    show = None if shown.whole else shown
    base = call.door.base
    entries = [match_entry(base, stored, "match", show) for stored in matches]
    entries += [match_entry(base, stored, "include", show) for stored in beyond]
    total = len(matches) if following is None and PAGE_PARAMETER not in used else None
    return Answer(
        200, bundle("searchset", entries, total=total, links=page_links(call, used, following)), resource_body=False
    )


def _query(asked: Arguments) -> str:
    """The search behind it."""
    parts = ["_total=none"]
    types = [name for value in asked.get("_type", []) for name in _text(value).split(",") if name]
    if types:
        parts.append("_type=" + ",".join(known_type(name) for name in types))
    since = one(asked, "_since")
    if since is not None:
        moment_range(_text(since), "_since")
        parts.append("_lastUpdated=ge" + quote(_text(since)))
    return "&".join(parts)


def _page_query(query: str, count: int, following: str | None) -> str:
    page = f"&{PAGE_PARAMETER}={quote(following, safe='')}" if following else ""
    return f"{query}&_count={count}{page}"


def _text(value: Any) -> str:
    if not isinstance(value, str | int):
        raise Invalid("A parameter is not text.", code="value")
    return str(value)
