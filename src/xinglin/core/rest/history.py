"""history of an instance, a type, the system (http.html#history)."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from urllib.parse import parse_qsl, unquote_plus

from xinglin.core.rest.bundles import bundle, history_entry
from xinglin.core.rest.exchange import Answer, Call, shortened
from xinglin.core.rest.presentation import presentation
from xinglin.core.rest.search import PAGE_PARAMETER, own_parameters, page_links
from xinglin.core.store.rows import Stored
from xinglin.kernel import clock
from xinglin.kernel.errors import Invalid

USUAL_COUNT: Final = 50
MOST: Final = 1000
KNOWN: Final = ("_since", "_at", "_count", PAGE_PARAMETER)
_MOMENT: Final = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)


async def history_instance(call: Call) -> Answer:
    return await _history(call, call.type, call.id)


async def history_type(call: Call) -> Answer:
    return await _history(call, call.type, None)


async def history_system(call: Call) -> Answer:
    return await _history(call, None, None)


async def _history(call: Call, type_name: str | None, resource_id: str | None) -> Answer:
    shown, query = presentation(call.query)
    asked = _asked(query, call.prefer().strict)
    page = await call.records.history(
        type_name,
        resource_id,
        since=moment_range(asked["_since"], "_since")[0] if "_since" in asked else None,
        at=moment_range(asked["_at"], "_at") if "_at" in asked else None,
        count=count_of(asked.get("_count"), USUAL_COUNT, MOST),
        before=asked.get(PAGE_PARAMETER),
    )
    show = None if shown.whole else shown
    none = asked.get("_count") == "0"
    rows: list[Stored] = [] if none else list(page.rows)
    entries = (history_entry(call.door.base, stored, show) for stored in rows)
    links = page_links(call, _used(query), None if none else page.next, own_parameters(shown))
    whole = not none and page.next is None and PAGE_PARAMETER not in asked
    total = len(rows) if whole and page.total is None else page.total
    return Answer(200, bundle("history", entries, total=total, links=links), resource_body=False)


def _asked(query: str, strict: bool) -> dict[str, str]:
    asked = dict(parse_qsl(query, keep_blank_values=True))
    unknown = [name for name in asked if name not in KNOWN]
    if unknown and strict:
        raise Invalid(f"History has no parameter {shortened(unknown[0])!r}.", remedy="Use _since, _at, _count.")
    return asked


def _used(query: str) -> str:
    """What took effect, for the links: a history Bundle has no entry in which the rest could be told of."""
    return "&".join(part for part in query.split("&") if unquote_plus(part.partition("=")[0]) in KNOWN)


def count_of(text: str | None, usual: int, most: int, name: str = "_count") -> int:
    """A page size within bounds: a larger wish is cut to what the node allows, as search.html#count permits."""
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit()):
        raise Invalid(f"{name}={shortened(text, 20)} is not a whole number.", code="value", remedy=f"Use {name}=50.")
    return max(1, min(int(text[:10]), most))


def moment_range(text: str, name: str) -> tuple[int, int]:
    """A FHIR date or instant as [low, high) in microseconds since 1970; without a zone it is taken as UTC."""
    match = _MOMENT.fullmatch(text.strip().replace(" ", "+"))
    try:
        if match is None:
            raise ValueError
        low, high = _bounds(*match.groups())
        return clock.micros(low), clock.micros(high)
    except (ValueError, OverflowError) as error:
        raise Invalid(
            f"{name}={shortened(text, 40)} is not a date or time.", code="value", remedy="Example: 2026-03-01T08:00:00Z"
        ) from error


def _bounds(*parts: str | None) -> tuple[datetime, datetime]:
    year, month, day, hour, minute, second, fraction, zone = parts
    micros = int((fraction or "0").ljust(6, "0")[:6])
    date = (int(year or 0), int(month or 1), int(day or 1))
    low = datetime(*date, int(hour or 0), int(minute or 0), int(second or 0), micros, _zone(zone))
    if fraction is not None:
        step = timedelta(microseconds=10 ** max(0, 6 - len(fraction)))
    elif second is not None or minute is not None:
        step = timedelta(seconds=1 if second is not None else 60)
    elif month is None:
        step = timedelta(days=366 if monthrange(low.year, 2)[1] == 29 else 365)
    else:
        step = timedelta(days=1 if day is not None else monthrange(low.year, low.month)[1])
    return low, low + step


def _zone(text: str | None) -> timezone:
    if text in (None, "Z"):
        return UTC
    assert text is not None
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[4:6]))
    return timezone(-offset if text[0] == "-" else offset)
