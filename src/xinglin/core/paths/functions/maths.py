"""Numbers and boundaries (FHIRPath N1, section 5.7; boundaries from the 2.1 trial use)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, DecimalException

from .. import boundaries, numbers, quantities
from ..arithmetic import is_number
from ..errors import PathError
from ..items import Item
from ..operators import describe, single
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
        return Quantity(abs(value.value), value.unit, value.calendar)
    return abs(_number("abs", value))


@one("ceiling", gives="Integer")
def ceiling(world: World, value: Item) -> int | None:
    """The least whole number that is not less."""
    return numbers.whole(_number("ceiling", value), numbers.CEILING)


@one("floor", gives="Integer")
def floor(world: World, value: Item) -> int | None:
    """The greatest whole number that is not greater."""
    return numbers.whole(_number("floor", value), numbers.FLOOR)


@one("truncate", gives="Integer")
def truncate(world: World, value: Item) -> int | None:
    """The whole part."""
    return numbers.whole(_number("truncate", value), numbers.DOWN)


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


@one("round", 0, 1, gives="Decimal")
def rounded(world: World, value: Item, digits: Item = 0) -> Decimal:
    """To a number of decimal places, half away from zero."""
    places = whole("round", digits)
    if not 0 <= places <= numbers.MAX_PRECISION:
        raise PathError(f"round takes 0 to {numbers.MAX_PRECISION} places, found {places}")
    return numbers.rounded(_number("round", value), places)


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
def comparable(world: World, value: Item, other: Item) -> bool:
    """True where two quantities have units that can be converted."""
    if not isinstance(value, Quantity) or not isinstance(other, Quantity):
        raise PathError("comparable takes two quantities")
    return quantities.common(value, other) is not None
