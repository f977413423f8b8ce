"""Numbers and boundaries (FHIRPath N1, section 5.7; boundaries from the 2.1 trial use)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, DecimalException

from .. import boundaries, numbers, quantities
from ..arithmetic import is_number
from ..errors import PathError
from ..items import Item
from ..operators import as_quantity, describe, single
from ..quantities import Quantity
from ..temporal import Temporal
from ..world import Frame, Run, World
from .registry import answer, function, one, whole

_WORK = Context(prec=40, Emax=999, Emin=-999)
_RESULT = Context(prec=28, Emax=999, Emin=-999)


def _number(name: str, value: Item) -> numbers.Number:
    if not is_number(value):
        raise PathError(f"{name} takes a number, found {describe(value)}")
    return value  # type: ignore[no-any-return]


def _calculated(calculate: Callable[[], Decimal]) -> Decimal | None:
    """A transcendental result to 28 digits, None where there is none."""
    try:
        value = _RESULT.plus(calculate())
    except DecimalException:
        return None
    return value if value.is_finite() else None


@one("abs", gives="$")
def absolute(world: World, value: Item) -> Item:
    """Without its sign."""
    if isinstance(value, Quantity):
        return Quantity(value.value.copy_abs(), value.unit, value.calendar)
    number = _number("abs", value)
    return number.copy_abs() if isinstance(number, Decimal) else numbers.absolute(number)


def _of_quantity(value: Item, change: Callable[[Item], numbers.Number | None]) -> Item:
    """The change of a number; of a quantity in its unit (FHIRPath 3.0, section 6.7)."""
    if not isinstance(value, Quantity):
        return change(value)
    number = change(value.value)
    return None if number is None else Quantity(Decimal(number), value.unit, value.calendar)


@one("ceiling", gives="$")
def ceiling(world: World, value: Item) -> Item:
    """The least whole number that is not less; of a quantity in its unit."""
    return _of_quantity(value, lambda number: numbers.whole(_number("ceiling", number), numbers.CEILING))


@one("floor", gives="$")
def floor(world: World, value: Item) -> Item:
    """The greatest whole number that is not greater; of a quantity in its unit."""
    return _of_quantity(value, lambda number: numbers.whole(_number("floor", number), numbers.FLOOR))


@one("truncate", gives="$")
def truncate(world: World, value: Item) -> Item:
    """The whole part; of a quantity in its unit."""
    return _of_quantity(value, lambda number: numbers.whole(_number("truncate", number), numbers.DOWN))


@one("exp", gives="Decimal")
def exponential(world: World, value: Item) -> Decimal | None:
    """e to this power."""
    return _calculated(lambda: _WORK.exp(Decimal(_number("exp", value))))


@one("ln", gives="Decimal")
def natural_logarithm(world: World, value: Item) -> Decimal | None:
    """The natural logarithm."""
    return _calculated(lambda: _WORK.ln(Decimal(_number("ln", value))))


@one("log", 1, gives="Decimal")
def logarithm(world: World, value: Item, base: Item) -> Decimal | None:
    """The logarithm to a base."""
    a, b = Decimal(_number("log", value)), Decimal(_number("log", base))
    return _calculated(lambda: _WORK.divide(_WORK.ln(a), _WORK.ln(b)))


@one("power", 1, gives="Decimal")
def power(world: World, value: Item, exponent: Item) -> Item:
    """To a power; whole where both are whole and the power is not negative."""
    a, b = _number("power", value), _number("power", exponent)
    if isinstance(a, int) and isinstance(b, int) and b >= 0:
        return numbers.bounded(a**b) if abs(a) <= 1 or b <= 63 else None
    return _calculated(lambda: _WORK.power(Decimal(a), Decimal(b)))


@one("sqrt", gives="Decimal")
def square_root(world: World, value: Item) -> Decimal | None:
    """The square root; empty below zero."""
    return _calculated(lambda: _WORK.sqrt(Decimal(_number("sqrt", value))))


@one("round", 0, 1, gives="$")
def rounded(world: World, value: Item, digits: Item = 0) -> Item:
    """To a number of decimal places, half away from zero; of a quantity in its unit."""
    places = whole("round", digits)
    if not 0 <= places <= numbers.MAX_PRECISION:
        raise PathError(f"round takes 0 to {numbers.MAX_PRECISION} places, found {places}")
    return _of_quantity(value, lambda number: numbers.rounded(_number("round", number), places))


# Boundaries ----------------------------------------------------------------------------------------------------------


def _boundary(name: str, find: Callable[[Item, int | None], Item]) -> None:
    def boundary(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
        value = single(items, name)
        digits = single(arguments[0](frame), name) if arguments else None
        return [] if value is None else answer(find(value, None if digits is None else whole(name, digits)))

    boundary.__doc__ = find.__doc__
    function(name, 0, 1, gives="$")(boundary)


_boundary("lowBoundary", boundaries.low)
_boundary("highBoundary", boundaries.high)


@one("precision", gives="Integer")
def precision(world: World, value: Item) -> int:
    """Decimal places of a number; digits of a date or time (8 a day, 17 a millisecond)."""
    return value.digits if isinstance(value, Temporal) else numbers.places(_number("precision", value))


@one("comparable", 1, gives="Boolean")
def comparable(world: World, value: Item, other: Item) -> bool | None:
    """True where two quantities have units that can be converted; empty of what is no quantity."""
    first, second = as_quantity(value), as_quantity(other)
    return quantities.common(first, second) is not None if first and second else None
