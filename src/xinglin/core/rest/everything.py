"""$everything: all that is known of a patient or an encounter, as one searchset joined from stored bytes.

What the resources of the compartment point to beyond it (practitioners, organizations, medications) comes along.
Everything is found through the gate: what the principal may not see is not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote, urlencode

from xinglin.core.rest.bundles import bundle, match_entry
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.gate import Records
from xinglin.core.rest.history import count_of, moment_range
from xinglin.core.rest.parameters import Arguments, arguments, one
from xinglin.core.rest.presentation import presentation
from xinglin.core.rest.routing import TYPES, known_type
from xinglin.core.rest.search import PAGE_PARAMETER, own_parameters, page_links
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
    async with call.records.as_one("search", f"{call.type}/{call.id}/$everything") as records:
        return await _everything(call, records, asked)


async def _everything(call: Call, records: Records, asked: Arguments) -> Answer:
    focus = await records.read(call.type, call.id)
    count, page_of, types = one(asked, "_count"), one(asked, PAGE_PARAMETER), _types(asked)
    following = None if page_of is None else _text(page_of)
    most = MOST if count is None else count_of(str(count), PAGE, PAGE)
    query = _query(call, asked, types, PAGE if count is None else max(1, most - 1))  # the focus comes before the rest
    wanted = _of_care(asked)
    first: dict[str, Stored] = {} if following else {focus.reference: focus}
    matches: dict[str, Stored] = {}
    while query is not None:
        page = await records.search(None, _page_query(query, following), compartment=(call.type, call.id))
        matches.update((stored.reference, stored) for stored in page.matches if wanted(stored))
        following = page.next
        if following is None or (matches and count is not None) or len(matches) >= most:
            break
    matches.pop(focus.reference, None)
    beyond = await _beyond(call, records, {**first, **matches}, types)
    shown = [one for one in matches.values() if not types or one.type in types]
    return _answer(call, asked, [*first.values(), *shown], beyond, following)


async def _beyond(call: Call, records: Records, matches: Mapping[str, Stored], types: Sequence[str]) -> list[Stored]:
    """What the matches refer to outside of the compartment, found in their text and fetched through the gate."""
    inside = {*matches, f"{call.type}/{call.id}"}
    places = compartment(call.type)
    outside = {name for name in types or TYPES if name in TYPES and not places.get(name)}
    references = {found for stored in matches.values() for found in _REFERENCE.findall(stored.body)} if outside else ()
    named = {reference.decode() for reference in references}
    return await records.several(one for one in sorted(named - inside) if one.partition("/")[0] in outside)


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


def _answer(
    call: Call, asked: Arguments, matches: Sequence[Stored], beyond: Sequence[Stored], following: str | None
) -> Answer:
    shown, _ = presentation(call.query)
    show = None if shown.whole else shown
    base = call.door.base
    entries = [match_entry(base, stored, "match", show) for stored in matches]
    entries += [match_entry(base, stored, "include", show) for stored in beyond]
    total = len(matches) if following is None and PAGE_PARAMETER not in asked else None
    links = page_links(call, _used(asked), following, own_parameters(shown))
    if shown.summary == "count" and total is not None:
        entries = []
    return Answer(200, bundle("searchset", entries, total=total, links=links), resource_body=False)


def _used(asked: Arguments) -> str:
    """What was asked for, in the address or in the body, for the links."""
    pairs = [(name, _text(value)) for name, values in asked.items() if name != PAGE_PARAMETER for value in values]
    return urlencode(pairs, safe=",:")


def _types(asked: Arguments) -> list[str]:
    named = [name.strip() for value in asked.get("_type", []) for name in _text(value).split(",")]
    return [known_type(name) for name in named if name]


def _query(call: Call, asked: Arguments, types: Sequence[str], count: int) -> str | None:
    """The search behind it, None where it is of the focus alone.

    Where types beyond the compartment are wanted, all of it is searched: any of it may refer to them.
    """
    parts = ["_total=none", f"_count={count}"]
    places = compartment(call.type)
    within = [name for name in types if places.get(name)]
    if types and all(places.get(name) or name == call.type for name in types):
        if not within:
            return None
        parts.append("_type=" + ",".join(within))
    since = one(asked, "_since")
    if since is not None:
        moment_range(_text(since), "_since")
        parts.append("_lastUpdated=ge" + quote(_text(since)))
    return "&".join(parts)


def _page_query(query: str, following: str | None) -> str:
    return f"{query}&{PAGE_PARAMETER}={quote(following, safe='')}" if following else query


def _text(value: Any) -> str:
    if not isinstance(value, str | int):
        raise Invalid("A parameter is not text.", code="value")
    return str(value)
