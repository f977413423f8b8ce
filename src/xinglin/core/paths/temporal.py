"""Dates, times and dateTimes that keep their precision, and answer "unknown" where it does not suffice.

A value stands for the interval its precision leaves open; seconds and their fraction are one precision
(FHIRPath N1, sections 5.5 and 6.2).
"""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

Kind = Literal["date", "dateTime", "time"]

_DAY = 86_400 * 10**9
_UNITS = (3_600 * 10**9, 60 * 10**9, 10**9)
_ZONE_SLACK = 14 * _UNITS[0]

_DATE = r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
_CLOCK = r"(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?"
_DATE_RE = re.compile(_DATE, re.ASCII)
_TIME_RE = re.compile(_CLOCK, re.ASCII)
_DATE_TIME_RE = re.compile(_DATE + rf"(?:T(?:{_CLOCK}(Z|[+-]\d\d:\d\d)?)?)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Temporal:
    """`parts` hold year, month, day, hour, minute, second (a time: from the hour on), as far as they are known.

    `fraction` is the digits after the second's point; `zone` the offset in minutes; `text` the FHIR form.
    """

    kind: Kind
    parts: tuple[int, ...]
    fraction: str = ""
    zone: int | None = None

    def __str__(self) -> str:
        if self.kind == "time":
            return _clock(self.parts, self.fraction)
        day = "-".join(f"{part:0{width}}" for part, width in zip(self.parts[:3], (4, 2, 2), strict=False))
        if len(self.parts) <= 3:
            return day
        return f"{day}T{_clock(self.parts[3:], self.fraction)}{_zone(self.zone)}"

    @property
    def digits(self) -> int:
        """Precision as FHIRPath counts it: 4 year, 6 month, 8 day, 10 hour, 12 minute, 14 second, 17 millisecond."""
        count = 2 * len(self.parts) + len(self.fraction)
        return count if self.kind == "time" else count + 2

    def interval(self) -> tuple[int, int]:
        """First and last nanosecond (UTC where the zone is known) that the value may mean."""
        if self.kind == "time":
            return _within_day(self.parts, self.fraction)
        year, month, day = (*self.parts, 1, 1)[:3]
        if len(self.parts) == 1:
            return _days(year, 1, 1) * _DAY, _days(year, 12, 31) * _DAY + _DAY - 1
        if len(self.parts) == 2:
            last = monthrange(year, month)[1]
            return _days(year, month, 1) * _DAY, _days(year, month, last) * _DAY + _DAY - 1
        low, high = _within_day(self.parts[3:], self.fraction)
        start = _days(year, month, day) * _DAY - (self.zone or 0) * _UNITS[1]
        return start + low, start + high

    def key(self) -> tuple[object, ...]:
        """Equal keys exactly where `=` says true."""
        return (self.kind == "time", min(len(self.parts), 6), self.zone is not None, self.interval())


def compare(left: Temporal, right: Temporal) -> int | None:
    """-1, 0, 1, or None where the precision (or a missing time zone) leaves it open."""
    low, high = left.interval()
    other_low, other_high = right.interval()
    slack = 0
    if (left.zone is None) != (right.zone is None) and len(left.parts) > 3 and len(right.parts) > 3:
        slack = _ZONE_SLACK
    if high + slack < other_low:
        return -1
    if low > other_high + slack:
        return 1
    return 0 if not slack and len(left.parts) == len(right.parts) and low == other_low else None


def parse_date(text: str) -> Temporal | None:
    match = _DATE_RE.fullmatch(text)
    return _checked(Temporal("date", _ints(match.groups()))) if match else None


def parse_date_time(text: str) -> Temporal | None:
    match = _DATE_TIME_RE.fullmatch(text)
    if match is None:
        return None
    *parts, fraction, zone = match.groups()
    if parts[3] is not None and parts[2] is None:
        return None
    return _checked(Temporal("dateTime", _ints(parts), fraction or "", _offset(zone)))


def parse_time(text: str) -> Temporal | None:
    match = _TIME_RE.fullmatch(text)
    if match is None:
        return None
    *parts, fraction = match.groups()
    return _checked(Temporal("time", _ints(parts), fraction or ""))


def now(moment: datetime) -> Temporal:
    """`moment` must know its zone."""
    offset = moment.utcoffset()
    assert offset is not None
    parts = (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
    return Temporal("dateTime", parts, f"{moment.microsecond // 1000:03}", int(offset.total_seconds()) // 60)


def _ints(groups: object) -> tuple[int, ...]:
    return tuple(int(group) for group in groups if group is not None)  # type: ignore[attr-defined]


def _offset(zone: str | None) -> int | None:
    if not zone:
        return None
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return -minutes if zone[0] == "-" else minutes


def _zone(zone: int | None) -> str:
    if zone is None:
        return ""
    if zone == 0:
        return "Z"
    return f"{'-' if zone < 0 else '+'}{abs(zone) // 60:02}:{abs(zone) % 60:02}"


def _checked(value: Temporal) -> Temporal | None:
    """None for a 13th month, a 30th of February, a 25th hour; second 60 is a leap second, which FHIR allows."""
    clock = value.parts if value.kind == "time" else value.parts[3:]
    if any(part > bound for part, bound in zip(clock, (23, 59, 60), strict=False)):
        return None
    if value.zone is not None and abs(value.zone) > 14 * 60:
        return None
    if value.kind != "time":
        year, month, day = (*value.parts, 1, 1)[:3]
        if year < 1 or not 1 <= month <= 12 or not 1 <= day <= monthrange(year, month)[1]:
            return None
    return value


def _clock(parts: tuple[int, ...], fraction: str) -> str:
    text = ":".join(f"{part:02}" for part in parts)
    return f"{text}.{fraction}" if fraction else text


def _within_day(clock: tuple[int, ...], fraction: str) -> tuple[int, int]:
    start = sum(part * unit for part, unit in zip(clock, _UNITS, strict=False))
    if len(clock) == 3:
        start += int(f"{fraction:0<9}"[:9] or 0)
        return start, start
    return start, start + (_UNITS[len(clock) - 1] if clock else _DAY) - 1


def _days(year: int, month: int, day: int) -> int:
    return date(year, month, day).toordinal()
