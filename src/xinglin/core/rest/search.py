"""search: by type, system-wide, in a compartment; GET and POST (http.html#search)."""

from __future__ import annotations

from urllib.parse import quote

from xinglin.core.rest import outcomes
from xinglin.core.rest.body import form_query
from xinglin.core.rest.bundles import Link, bundle, match_entry, outcome_entry
from xinglin.core.rest.exchange import Answer, Call, checked_id
from xinglin.core.rest.gate import Found
from xinglin.core.rest.presentation import Presentation, presentation

PAGE_PARAMETER = "_page"


async def search_system(call: Call) -> Answer:
    return await _searched(call, call.query, None)


async def search_type(call: Call) -> Answer:
    return await _searched(call, call.query, call.type)


async def search_compartment(call: Call) -> Answer:
    name = call.segments[2]
    return await _searched(call, call.query, None if name == "*" else name, (call.type, call.id))


async def post_search_system(call: Call) -> Answer:
    call.records  # noqa: B018  refuse a stranger before reading the body
    return await _searched(call, await form_query(call), None)


async def post_search_type(call: Call) -> Answer:
    call.records  # noqa: B018  refuse a stranger before reading the body
    return await _searched(call, await form_query(call), call.type)


async def post_search_compartment(call: Call) -> Answer:
    call.records  # noqa: B018  refuse a stranger before reading the body
    query = await form_query(call)
    name = call.segments[2]
    wanted = None if name in ("*", "_search") else name
    return await _searched(call, query, wanted, (call.type, checked_id(call.segments[1])))


async def _searched(
    call: Call, query: str, type_name: str | None, compartment: tuple[str, str] | None = None
) -> Answer:
    shown, criteria = presentation(query)
    if shown.summary == "count":
        criteria = "&".join(part for part in (criteria, "_summary=count") if part)
    strict = call.prefer().strict
    found = await call.records.search(type_name, criteria, compartment=compartment, strict=strict)
    return Answer(200, searchset(call, found, shown, own_parameters(shown)), resource_body=False)


def searchset(call: Call, found: Found, shown: Presentation, own: str = "") -> bytes:
    """The Bundle of one page, with a self link that says what was used and a link to the next page."""
    base = call.door.base
    show = None if shown.whole else shown
    entries = [match_entry(base, stored, "match", show) for stored in found.matches]
    entries += [match_entry(base, stored, "include", show) for stored in found.included]
    if found.warnings:
        entries.append(outcome_entry(outcomes.operation_outcome(found.warnings)))
    return bundle("searchset", entries, total=found.total, links=page_links(call, found.query, found.next, own))


def page_links(call: Call, query: str, following: str | None, own: str = "") -> list[Link]:
    segments = call.segments[:-1] if call.segments[-1:] == ("_search",) else call.segments
    if len(segments) == 2 and len(call.segments) == 3 and call.segments[2] == "_search":
        segments = (*segments, "*")  # of a whole compartment: without it the address would be the resource's own
    quoted = [segment if segment.isalnum() and segment.isascii() else quote(segment, safe="*$") for segment in segments]
    address = "/".join((call.door.base, *quoted))
    used = "&".join(part for part in (query, own) if part)
    links = [("self", f"{address}?{used}" if used else address)]
    if following is not None:
        kept = "&".join(part for part in used.split("&") if part and not part.startswith(PAGE_PARAMETER + "="))
        links.append(("next", f"{address}?{kept}{'&' if kept else ''}{PAGE_PARAMETER}={quote(following, safe='')}"))
    return links


def own_parameters(shown: Presentation) -> str:
    """The presentation's parameters, for the links: the next page is shown as this one."""
    parts = []
    if shown.summary not in (None, "false", "count"):
        parts.append(f"_summary={shown.summary}")
    if shown.elements:
        parts.append("_elements=" + ",".join(quote(element, safe="") for element in shown.elements))
    if shown.pretty:
        parts.append("_pretty=true")
    return "&".join(parts)
