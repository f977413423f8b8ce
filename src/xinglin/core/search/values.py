"""What a written value means to search: the moment range of a date, the folded form of a text, a number's precision.

The index rows, the compiled SQL and the slow twin all take their values from here, so that they cannot disagree.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from xinglin.core.store.keys import NO_DATE

FOREVER: Final = 2**63 - 1
LONG_AGO: Final = NO_DATE + 1
"""The open ends of a period: LONG_AGO stays above NO_DATE, which says that there is no date at all."""

MAX_FOLDED: Final = 500
UCUM: Final = "http://unitsofmeasure.org"
CURRENCY: Final = "urn:iso:std:iso:4217"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)(?:T(?P<time>\d\d:\d\d(?::\d\d(?P<fraction>\.\d+)?)?)"
    r"(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)

_zone: tzinfo = UTC


def use_zone(zone: tzinfo) -> None:
    """The zone of dates written without one. Index rows depend on it: a deployment sets it once, at the start."""
    global _zone
    _zone = zone
    date_range.cache_clear()


@lru_cache(maxsize=65536)
def date_range(text: str) -> tuple[int, int]:
    """[low, high) in microseconds since 1970 of a FHIR date, dateTime or instant.

    Raises ValueError where the text is none. https://hl7.org/fhir/R4/search.html#date
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a date")
    year, month, day, time, fraction, zone = match.groups()
    if time is None:
        low, high = _calendar_range(int(year), int(month or 0), int(day or 0))
        return _microseconds(low), _microseconds(high) if high else FOREVER
    start = _clock(text, time, fraction, zone)
    span = 1_000_000 if len(time) > 5 else 60_000_000
    if fraction:
        span = 10 ** max(0, 7 - len(fraction))
    low_us = _microseconds(start)
    return low_us, low_us + span


def _calendar_range(year: int, month: int, day: int) -> tuple[datetime, datetime | None]:
    low = datetime(year, month or 1, day or 1, tzinfo=_zone)
    if day:
        return low, low + timedelta(days=1) if low.date() != low.max.date() else None
    if month and month < 12:
        return low, datetime(year, month + 1, 1, tzinfo=_zone)
    return low, datetime(year + 1, 1, 1, tzinfo=_zone) if year < 9999 else None


def _clock(text: str, time: str, fraction: str | None, zone: str | None) -> datetime:
    if time.startswith("24:00"):
        raise ValueError(f"{text!r} is not a time of the day")
    if time[6:8] == "60":  # a leap second shares the second before it
        text = text[:17] + "59" + text[19:]
    if fraction and len(fraction) > 7:
        text = text.replace(fraction, fraction[:7])
    start = datetime.fromisoformat(text)
    return start if zone else start.replace(tzinfo=_zone)


def _microseconds(moment: datetime) -> int:
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def period_range(period: dict[str, Any]) -> tuple[int, int] | None:
    """[low, high) of a Period; an absent end is open."""
    start, end = period.get("start"), period.get("end")
    if not start and not end:
        return None
    low = _date_or_none(start)
    high = _date_or_none(end)
    return (low[0] if low else LONG_AGO), (high[1] if high else FOREVER)


def timing_range(timing: dict[str, Any]) -> tuple[int, int] | None:
    """The outer limits of a Timing: its events and the period that bounds it."""
    ranges = [found for event in timing.get("event", ()) if (found := _date_or_none(event))]
    bounds = (timing.get("repeat") or {}).get("boundsPeriod")
    if bounds and (found := period_range(bounds)):
        ranges.append(found)
    return (min(low for low, _ in ranges), max(high for _, high in ranges)) if ranges else None


def moment_range(value: Any, fhir_type: str) -> tuple[int, int] | None:
    """[low, high) of a value of a date parameter; None where it has no date that can be read."""
    if fhir_type == "Period":
        return period_range(value)
    if fhir_type == "Timing":
        return timing_range(value)
    return _date_or_none(value)


def _date_or_none(text: Any) -> tuple[int, int] | None:
    if not isinstance(text, str):
        return None
    try:
        return date_range(text)
    except ValueError:
        return None


_SPACES = re.compile(r"[\W_]+")


@lru_cache(maxsize=65536)
def fold(text: str) -> str:
    """The form in which strings are compared: case, accents and punctuation set aside, at most 500 characters."""
    if not text.isascii():
        decomposed = unicodedata.normalize("NFKD", text)
        text = unicodedata.normalize("NFC", "".join(c for c in decomposed if not unicodedata.combining(c)))
    return _SPACES.sub(" ", text.casefold()).strip()[:MAX_FOLDED]


def prefix_end(prefix: str) -> str | None:
    """The least text (by code point) above every text that starts with the prefix; None where there is none."""
    for position in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[position])
        if code < 0x10FFFF:
            following = 0xE000 if code + 1 == 0xD800 else code + 1
            return prefix[:position] + chr(following)
    return None


def number_range(text: str) -> tuple[float, float, float]:
    """(value, low, high) of a number as written: 100 means [99.5, 100.5), 1e2 means [50, 150).

    Raises ValueError. https://hl7.org/fhir/R4/search.html#number
    """
    if len(text) > 40:
        raise ValueError("a number of more than 40 characters")
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not a number") from None
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or not -60 <= exponent <= 300 or abs(value) > Decimal("1e300"):
        raise ValueError(f"{text!r} is not a number that can be searched for")
    half = Decimal((0, (5,), exponent - 1))
    return float(value), float(value - half), float(value + half)


def number_bounds(value: Any) -> tuple[float, float] | None:
    """[low, high] of a number in a resource: a point, whatever precision it was written with."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return None
    point = float(value)
    return point, point


def quantity_bounds(value: Any, fhir_type: str) -> tuple[float, float] | None:
    """[low, high] of a Quantity (its comparator opens an end), Money, Range or SampledData."""
    if fhir_type == "Range":
        return _between((value.get("low") or {}).get("value"), (value.get("high") or {}).get("value"))
    if fhir_type == "SampledData":
        return _between(value.get("lowerLimit"), value.get("upperLimit"))
    bounds = number_bounds(value.get("value"))
    if bounds is None:
        return None
    comparator = value.get("comparator")
    if comparator in ("<", "<="):
        return -INFINITY, bounds[1]
    if comparator in (">", ">="):
        return bounds[0], INFINITY
    return bounds


INFINITY: Final = float("inf")


def _between(low: Any, high: Any) -> tuple[float, float] | None:
    if low is None and high is None:
        return None
    return (-INFINITY if low is None else float(low)), (INFINITY if high is None else float(high))


def unit_of(value: Any, fhir_type: str) -> tuple[str, str]:
    """(system, code) of the unit a quantity is written in; the unit's text stands in for a missing code."""
    if fhir_type == "Range":
        value = value.get("low") or value.get("high") or {}
    elif fhir_type == "SampledData":
        value = value.get("origin") or {}
    elif fhir_type == "Money":
        return (CURRENCY, value.get("currency") or "")
    code = value.get("code")
    return (value.get("system") or "", code) if code else ("", value.get("unit") or "")
