"""The clock, the parts of dates and times, and how far two of them are apart (FHIRPath 3.0, trial use)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from decimal import Decimal

from .. import temporal
from ..errors import PathError
from ..items import Item
from ..operators import describe
from ..quantities import CALENDAR
from ..temporal import Temporal
from ..world import Frame, Run, World
from .registry import function, one, text


@function("now", gives="DateTime")
def now(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The moment of the evaluation, with its zone."""
    return [temporal.now(frame.world.now())]


@function("today", gives="Date")
def today(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The date of the evaluation."""
    return [Temporal("date", temporal.now(frame.world.now()).parts[:3])]


@function("timeOfDay", gives="Time")
def time_of_day(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The time of the evaluation."""
    moment = temporal.now(frame.world.now())
    return [Temporal("time", moment.parts[3:], moment.fraction)]


# Parts ---------------------------------------------------------------------------------------------------------------


def _moment(name: str, value: Item, kinds: tuple[str, ...]) -> Temporal:
    if not isinstance(value, Temporal) or value.kind not in kinds:
        raise PathError(f"{name} takes a {' or a '.join(kinds)}, found {describe(value)}")
    return value


def _of(value: Item, kinds: tuple[str, ...]) -> Temporal | None:
    """None where the value is of no kind that has the part: the parts of anything else are empty."""
    return value if isinstance(value, Temporal) and value.kind in kinds else None


_DATED = ("date", "dateTime")
_TIMED = ("dateTime", "time")


def _part(name: str, place: int, kinds: tuple[str, ...], summary: str) -> None:
    """`place` counts from the year; a time begins at its hour."""

    def part(world: World, value: Item) -> int | None:
        moment = _of(value, kinds)
        at = place - 3 if moment and moment.kind == "time" else place
        return moment.parts[at] if moment and at < len(moment.parts) else None

    part.__doc__ = summary
    one(name, gives="Integer")(part)


_part("yearOf", 0, _DATED, "The year.")
_part("monthOf", 1, _DATED, "The month, 1 to 12; empty where it is not known.")
_part("dayOf", 2, _DATED, "The day of the month; empty where it is not known.")
_part("hourOf", 3, _TIMED, "The hour, 0 to 23; empty where it is not known.")
_part("minuteOf", 4, _TIMED, "The minute; empty where it is not known.")
_part("secondOf", 5, _TIMED, "The second; empty where it is not known.")


@one("millisecondOf", gives="Integer")
def millisecond_of(world: World, value: Item) -> int | None:
    """The millisecond; empty where it is not known."""
    moment = _of(value, _TIMED)
    return int(f"{moment.fraction:0<3}"[:3]) if moment and moment.fraction else None


@one("timezoneOffsetOf", gives="Decimal")
def timezone_offset_of(world: World, value: Item) -> Decimal | None:
    """The offset from UTC in hours; empty where it is not known."""
    moment = _of(value, ("dateTime",))
    zone = moment.zone if moment else None
    return None if zone is None else Decimal(zone) / 60 if zone % 60 else Decimal(f"{zone // 60}.0")


@one("dateOf", gives="Date")
def date_of(world: World, value: Item) -> Temporal | None:
    """The date, as far as it is known."""
    moment = _of(value, _DATED)
    return Temporal("date", moment.parts[:3]) if moment else None


@one("timeOf", gives="Time")
def time_of(world: World, value: Item) -> Temporal | None:
    """The time of day; empty where it is not known."""
    moment = _of(value, ("dateTime",))
    return Temporal("time", moment.parts[3:], moment.fraction) if moment and len(moment.parts) > 3 else None


# Apart ---------------------------------------------------------------------------------------------------------------

_PLACES = ("year", "month", "day", "hour", "minute", "second", "millisecond")
_LENGTH = {"hour": 3_600_000, "minute": 60_000, "second": 1000, "millisecond": 1}


@one("difference", 2, gives="Integer")
def difference(world: World, value: Item, other: Item, precision: Item) -> int | None:
    """How many boundaries of years, months, weeks, days, ... lie between here and the other; below zero if before."""
    return _apart("difference", value, other, precision, _boundaries)


@one("duration", 2, gives="Integer")
def duration(world: World, value: Item, other: Item, precision: Item) -> int | None:
    """How many whole years, months, weeks, days, ... lie between here and the other; below zero if before."""
    return _apart("duration", value, other, precision, _whole)


def _apart(
    name: str, value: Item, other: Item, precision: Item, count: Callable[[list[int], list[int], str], int]
) -> int | None:
    """None where one of the two is not known to the precision asked for."""
    unit = CALENDAR.get(text(name, precision))
    start, end = (_moment(name, one, ("date", "dateTime", "time")) for one in (value, other))
    if unit is None:
        raise PathError(f"{name} counts years, months, weeks, days, hours, minutes, seconds or milliseconds")
    if (start.kind == "time") != (end.kind == "time"):
        raise PathError(f"{name} takes two times of day, or two dates")
    place = _PLACES.index("day" if unit == "week" else unit)
    if start.kind == "time" and place < 3:
        raise PathError(f"a time of day has no {unit}")
    first, second = _parts(start), _parts(end)
    if min(len(first), len(second)) <= place or ((start.zone is None) != (end.zone is None) and place >= 3):
        return None
    length = min(len(first), len(second))
    first, second = first[:length], second[:length]
    return count(first, second, unit) if first <= second else -count(second, first, unit)


def _parts(moment: Temporal) -> list[int]:
    """Year to millisecond as far as known, in UTC where the zone is known; a time of day is on day one."""
    parts = [1, 1, 1, *moment.parts] if moment.kind == "time" else list(moment.parts)
    if len(parts) == 6:
        parts.append(int(f"{moment.fraction:0<3}"[:3] or 0))
    if not moment.zone or len(parts) < 5:
        return parts
    day, rest = divmod(_milliseconds(parts) - moment.zone * 60_000, 86_400_000)
    if not 1 <= day <= date.max.toordinal():
        return parts
    there = date.fromordinal(day)
    clock = (rest // 3_600_000, rest // 60_000 % 60, rest // 1000 % 60, rest % 1000)
    return [there.year, there.month, there.day, *clock][: len(parts)]


def _milliseconds(parts: list[int]) -> int:
    """Since the day before year one, with what is not known at its least."""
    year, month, day, hour, minute, second, milli = (*parts, *(1, 1, 1, 0, 0, 0, 0)[len(parts) :])
    return ((date(year, month, day).toordinal() * 24 + hour) * 60 + minute) * 60_000 + second * 1000 + milli


def _boundaries(first: list[int], second: list[int], unit: str) -> int:
    if unit == "year":
        return second[0] - first[0]
    if unit == "month":
        return (second[0] - first[0]) * 12 + second[1] - first[1]
    if unit in ("week", "day"):
        days = [date(*parts[:3]).toordinal() for parts in (first, second)]
        return days[1] // 7 - days[0] // 7 if unit == "week" else days[1] - days[0]  # a week begins on Sunday
    return _milliseconds(second) // _LENGTH[unit] - _milliseconds(first) // _LENGTH[unit]


def _whole(first: list[int], second: list[int], unit: str) -> int:
    if unit in ("year", "month"):
        months = (second[0] - first[0]) * 12 + (second[1] - first[1] if len(first) > 1 else 0)
        months -= len(first) > 2 and second[2:] < first[2:]
        return months // 12 if unit == "year" else months
    length = _LENGTH.get(unit) or (7 if unit == "week" else 1) * 86_400_000
    return (_milliseconds(second) - _milliseconds(first)) // length
