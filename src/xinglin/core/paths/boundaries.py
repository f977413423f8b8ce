"""lowBoundary() and highBoundary(): the ends of what a value of limited precision may mean."""

from __future__ import annotations

from calendar import monthrange

from . import numbers
from .arithmetic import is_number
from .errors import PathError
from .items import Item
from .quantities import Quantity
from .temporal import Temporal

_DEFAULT = 8
_DATE_PLACES = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 6}
_TIME_PLACES = {2: 1, 4: 2, 6: 3, 9: 3}


def low(value: Item, digits: int | None) -> Item:
    """The least value this may stand for, at a precision (decimal places, or digits of a date)."""
    return _boundary(value, digits, False)


def high(value: Item, digits: int | None) -> Item:
    """The greatest value this may stand for, at a precision (decimal places, or digits of a date)."""
    return _boundary(value, digits, True)


def _boundary(value: Item, digits: int | None, upper: bool) -> Item:
    if isinstance(value, Temporal):
        return _moment(value, digits, upper)
    places = _DEFAULT if digits is None else digits
    bound = numbers.high_boundary if upper else numbers.low_boundary
    if isinstance(value, Quantity):
        number = bound(value.value, places)
        return None if number is None else Quantity(number, value.unit, value.calendar)
    if not is_number(value):
        raise PathError("a boundary is that of a number, a quantity, a date or a time")
    return bound(value, places)


def _moment(value: Temporal, digits: int | None, upper: bool) -> Temporal | None:
    """Unknown parts at their least or greatest; an unknown zone at +14:00 or -12:00, the world's ends."""
    if value.kind == "time":
        digits = 9 if digits is None else digits
        count = _TIME_PLACES.get(digits)
        parts = (*value.parts, *((59, 59) if upper else (0, 0))[len(value.parts) - 1 :])
    else:
        digits = (8 if value.kind == "date" else 17) if digits is None else digits
        count = _DATE_PLACES.get(digits)
        parts = _filled(value.parts, upper)
    if count is None:
        return None
    fraction = _fraction(value.fraction, upper) if digits in (9, 17) else ""
    if value.kind == "time" or count <= 3:
        kind = "time" if value.kind == "time" else value.kind
        return Temporal(kind, parts[:count], fraction)
    zone = value.zone if value.zone is not None else -12 * 60 if upper else 14 * 60
    return Temporal("dateTime", parts[:count], fraction, zone)


def _fraction(known: str, upper: bool) -> str:
    return (known + ("999" if upper else "000"))[:3]


def _filled(parts: tuple[int, ...], upper: bool) -> tuple[int, ...]:
    if len(parts) == 1:
        parts = (*parts, 12 if upper else 1)
    if len(parts) == 2:
        parts = (*parts, monthrange(parts[0], parts[1])[1] if upper else 1)
    return (*parts, *((23, 59, 59) if upper else (0, 0, 0))[len(parts) - 3 :])
