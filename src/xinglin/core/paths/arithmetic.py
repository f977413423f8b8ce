"""Sums and products of System values. NotImplemented: the types do not go together; None: no result (overflow)."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta
from decimal import Decimal

from . import numbers, quantities
from .errors import PathError
from .items import Item
from .quantities import Quantity
from .temporal import Temporal

_MOST_DIGITS = 15
"""Of a length of time: no date is so many milliseconds from another."""

_SECONDS = {"week": 604_800, "day": 86_400, "hour": 3_600, "minute": 60, "second": 1}


def text_of(value: Item) -> str:
    """A System value as text; '' for none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return numbers.text(value) if isinstance(value, Decimal) else str(value)


def is_number(value: Item) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def plus(left: Item, right: Item) -> Item:
    if is_number(left) and is_number(right):
        return numbers.add(left, right)
    if isinstance(left, str) and isinstance(right, str):
        return left + right
    if isinstance(left, Temporal) and isinstance(right, Quantity):
        return moved(left, right, 1)
    pair = _quantity_pair(left, right)
    return quantities.add(*pair) if pair else NotImplemented


def minus(left: Item, right: Item) -> Item:
    if is_number(left) and is_number(right):
        return numbers.subtract(left, right)
    if isinstance(left, Temporal) and isinstance(right, Quantity):
        return moved(left, right, -1)
    pair = _quantity_pair(left, right)
    return quantities.add(*pair, -1) if pair else NotImplemented


def times(left: Item, right: Item) -> Item:
    if is_number(left) and is_number(right):
        return numbers.multiply(left, right)
    pair = _quantity_pair(left, right)
    return quantities.multiply(*pair) if pair else NotImplemented


def over(left: Item, right: Item) -> Item:
    if is_number(left) and is_number(right):
        return numbers.divide(left, right)
    pair = _quantity_pair(left, right)
    return quantities.divide(*pair) if pair else NotImplemented


def whole_over(left: Item, right: Item) -> Item:
    return numbers.whole_divide(left, right) if is_number(left) and is_number(right) else NotImplemented


def modulo(left: Item, right: Item) -> Item:
    return numbers.modulo(left, right) if is_number(left) and is_number(right) else NotImplemented


def _quantity_pair(left: Item, right: Item) -> tuple[Quantity, Quantity] | None:
    if not isinstance(left, Quantity) and not isinstance(right, Quantity):
        return None
    first = Quantity(Decimal(left), "1") if is_number(left) else left
    second = Quantity(Decimal(right), "1") if is_number(right) else right
    if isinstance(first, Quantity) and isinstance(second, Quantity):
        return first, second
    return None


# Moving a date (N1, section 6.6.7) -----------------------------------------------------------------------------------


def moved(start: Temporal, by: Quantity, sign: int) -> Temporal | None:
    """`start` later (or earlier) by a length of time, at the precision of `start`; None outside years 1 to 9999."""
    unit = by.calendar_unit
    if unit is None:
        raise PathError(
            f"a date or time cannot be moved by '{by.unit}'",
            remedy="Use a calendar unit (year, month, week, day, ...) or a UCUM unit of seconds to weeks.",
        )
    if by.value.adjusted() > _MOST_DIGITS:
        return None
    amount = sign * int(by.value)
    if start.kind == "time":
        return _moved_time(start, unit, amount)
    return _moved_date(start, unit, amount)


def _moved_time(start: Temporal, unit: str, amount: int) -> Temporal:
    """Around the clock."""
    if unit not in ("hour", "minute", "second", "millisecond"):
        raise PathError(f"a time of day cannot be moved by {unit}s")
    hour, minute, second = (*start.parts, 0, 0)[:3]
    milliseconds = ((hour * 60 + minute) * 60 + second) * 1000 + int(f"{start.fraction:0<3}"[:3])
    step = amount if unit == "millisecond" else amount * _SECONDS[unit] * 1000
    step = _truncated(step, (3_600_000, 60_000, 1)[len(start.parts) - 1])
    seconds, rest = divmod((milliseconds + step) % 86_400_000, 1000)
    clock = (seconds // 3600, seconds // 60 % 60, seconds % 60)[: len(start.parts)]
    return Temporal("time", clock, _fraction(start.fraction, rest))


def _moved_date(start: Temporal, unit: str, amount: int) -> Temporal | None:
    known = len(start.parts)
    if unit in ("year", "month"):
        return _moved_months(start, amount * (12 if unit == "year" else 1))
    milliseconds = amount if unit == "millisecond" else amount * _SECONDS[unit] * 1000
    if known < 3:
        days = _truncated(milliseconds, 86_400_000) // 86_400_000
        months = _toward_zero(days, 30) if known == 2 else _toward_zero(days, 365) * 12
        return _moved_months(start, months)
    step = _truncated(milliseconds, (86_400_000, 3_600_000, 60_000, 1)[known - 3])
    return _moved_milliseconds(start, step)


def _moved_months(start: Temporal, months: int) -> Temporal | None:
    """The last day of a shorter month stands for a day it does not have."""
    year, month, *rest = (*start.parts, 1)[: max(2, len(start.parts))]
    if len(start.parts) == 1:
        months = _truncated(months, 12)
    total = year * 12 + month - 1 + months
    year, month = total // 12, total % 12 + 1
    if not 1 <= year <= 9999:
        return None
    if rest:
        rest[0] = min(rest[0], monthrange(year, month)[1])
    parts = (year, month, *rest)[: len(start.parts)]
    return Temporal(start.kind, parts, start.fraction, start.zone)


def _moved_milliseconds(start: Temporal, step: int) -> Temporal | None:
    year, month, day, hour, minute, second = (*start.parts, 0, 0, 0)[:6]
    inside = ((hour * 60 + minute) * 60 + second) * 1000 + int(f"{start.fraction:0<3}"[:3])
    days, rest = divmod(inside + step, 86_400_000)
    try:
        moved_day = date(year, month, day) + timedelta(days=days)
    except OverflowError:
        return None
    seconds, fraction = divmod(rest, 1000)
    clock = (seconds // 3600, seconds // 60 % 60, seconds % 60)
    parts = (moved_day.year, moved_day.month, moved_day.day, *clock)[: len(start.parts)]
    return Temporal(start.kind, parts, _fraction(start.fraction, fraction), start.zone)


def _fraction(before: str, milliseconds: int) -> str:
    return f"{milliseconds:03}" + before[3:] if before or milliseconds else ""


def _truncated(value: int, step: int) -> int:
    return _toward_zero(value, step) * step


def _toward_zero(value: int, step: int) -> int:
    return value // step if value >= 0 else -(-value // step)
