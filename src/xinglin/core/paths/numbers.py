"""Exact numbers within the bounds FHIRPath asks for: overflow and undefined results are empty, never an error."""

from __future__ import annotations

from collections.abc import Callable
from decimal import (
    MAX_EMAX,
    MIN_EMIN,
    ROUND_CEILING,
    ROUND_DOWN,
    ROUND_FLOOR,
    ROUND_HALF_UP,
    Context,
    Decimal,
    DecimalException,
    localcontext,
)
from typing import TypeAlias

Number: TypeAlias = "int | Decimal"


class Long(int):
    """System's Long: a whole number written `5L`, or made by toLong()."""

    __slots__ = ()


CONTEXT = Context(prec=60, Emax=999, Emin=-999, rounding=ROUND_HALF_UP)
"""More than the 28 digits N1 asks for; the bounded exponent keeps a power from filling the memory."""

_WIDE = Context(prec=CONTEXT.prec, Emax=MAX_EMAX, Emin=MIN_EMIN, rounding=ROUND_HALF_UP)

MAX_PRECISION = 31
_INTEGER, _LONG = 2**31, 2**63


def exact(value: object) -> Number:
    """A JSON number as an exact one: a float by its shortest decimal form."""
    if isinstance(value, float):
        return Decimal(repr(value))
    assert isinstance(value, int | Decimal)
    return value


def decimal(value: Number | float) -> Decimal:
    """A JSON number as a decimal, rounded to 60 digits: no document can make every step over it slow."""
    return _WIDE.plus(Decimal(exact(value)))


def bounded(value: int) -> int | None:
    """None where an Integer overflows its 32 bits, a Long its 64 (N1, section 4.1.3)."""
    bound = _LONG if isinstance(value, Long) else _INTEGER
    return value if -bound <= value < bound else None


def literal(value: int) -> int:
    """A whole number as it is written: an Integer, which a minus may stand before, or a Long where it is too large."""
    return value if value <= _INTEGER else Long(value)


def text(value: Decimal) -> str:
    """The digits without an exponent; with it where there would be thousands of zeros."""
    return format(value, "f") if abs(value.adjusted()) < _MOST_ZEROS else str(value)


_MOST_ZEROS = 1_000


def places(value: Number) -> int:
    """Digits after the point, as written."""
    exponent = value.as_tuple().exponent if isinstance(value, Decimal) else 0
    return -exponent if isinstance(exponent, int) and exponent < 0 else 0


def add(left: Number, right: Number) -> Number | None:
    return _arithmetic("+", left, right)


def subtract(left: Number, right: Number) -> Number | None:
    return _arithmetic("-", left, right)


def multiply(left: Number, right: Number) -> Number | None:
    return _arithmetic("*", left, right)


def _arithmetic(operator: str, left: Number, right: Number) -> Number | None:
    if isinstance(left, int) and isinstance(right, int):
        return _whole(
            left + right if operator == "+" else left - right if operator == "-" else left * right, left, right
        )
    a, b = Decimal(left), Decimal(right)
    with localcontext(CONTEXT):
        try:
            return a + b if operator == "+" else a - b if operator == "-" else a * b
        except DecimalException:
            return None


def _whole(value: int, *of: Number) -> int | None:
    """What came of whole numbers: a Long where one of them is; None where it overflows."""
    return bounded(Long(value) if any(isinstance(one, Long) for one in of) else value)


def negative(value: Number) -> Number | None:
    """With the other sign; zero has none. None where there is none in the bounds."""
    if isinstance(value, int):
        return _whole(-value, value)
    try:
        return CONTEXT.minus(value)
    except DecimalException:
        return None


def absolute(value: int) -> int | None:
    """Without its sign; None where that overflows."""
    return _whole(abs(value), value)


def divide(left: Number, right: Number) -> Decimal | None:
    if right == 0:
        return None
    with localcontext(CONTEXT):
        try:
            return Decimal(left) / Decimal(right)
        except DecimalException:
            return None


def whole_divide(left: Number, right: Number) -> int | None:
    """`div`: truncated toward zero."""
    if right == 0:
        return None
    with localcontext(CONTEXT):
        try:
            return _whole(int(Decimal(left) // Decimal(right)), left, right)
        except DecimalException:
            return None


def modulo(left: Number, right: Number) -> Number | None:
    """`mod`: the remainder of the truncated division, with the sign of the left side."""
    if right == 0:
        return None
    with localcontext(CONTEXT):
        try:
            rest = Decimal(left) % Decimal(right)
        except DecimalException:
            return None
    return _whole(int(rest), left, right) if isinstance(left, int) and isinstance(right, int) else rest


def rounded(value: Number, digits: int, rounding: str = ROUND_HALF_UP) -> Decimal:
    """Rounded half away from zero, as N1's `round()` says."""
    with localcontext(CONTEXT):
        try:
            return Decimal(value).quantize(Decimal(1).scaleb(-digits), rounding=rounding)
        except DecimalException:
            return Decimal(value)


def equivalent(left: Number, right: Number) -> bool:
    """`~`: equal after rounding to the fewer digits of the two; trailing zeros do not count as digits."""
    digits = min(_significant_places(left), _significant_places(right))
    return rounded(left, digits) == rounded(right, digits)


def _significant_places(value: Number) -> int:
    if not isinstance(value, Decimal):
        return 0
    try:
        return places(value.normalize(CONTEXT))
    except DecimalException:
        return places(value)


def low_boundary(value: Number, precision: int) -> Decimal | None:
    """The least value that `value` may have been rounded from, cut to `precision` places (0 to 31).

    As the official suite has it, cutting is toward zero: -0.0034 at one place gives -0.0.
    """
    return _boundary(value, precision, _low)


def _low(value: Decimal, half: Decimal, precision: int) -> Decimal:
    if value < 0:
        return _nearest(-value + half, precision).copy_negate()
    if value == 0:
        return _cut(half, precision).copy_negate()
    return _cut(value - half, precision)


def high_boundary(value: Number, precision: int) -> Decimal | None:
    """The greatest value that `value` may have been rounded from, to `precision` places (0 to 31)."""
    return _boundary(value, precision, _high)


def _high(value: Decimal, half: Decimal, precision: int) -> Decimal:
    if value < 0:
        return _cut(-value - half, precision).copy_negate()
    return _nearest(value + half, precision)


def _boundary(value: Number, precision: int, find: Callable[[Decimal, Decimal, int], Decimal]) -> Decimal | None:
    """`find` with half a step of the last written digit; None beyond the bounds of precision and size."""
    if not 0 <= precision <= MAX_PRECISION:
        return None
    with localcontext(CONTEXT):
        try:
            return find(Decimal(value), Decimal(5).scaleb(-places(value) - 1), precision)
        except DecimalException:
            return None


def _cut(value: Decimal, precision: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_DOWN)


def _nearest(value: Decimal, precision: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_HALF_UP)


def whole(value: Number, rounding: str) -> int | None:
    """ceiling, floor or truncate by `rounding`; a Long where it is too large for an Integer."""
    if Decimal(value).adjusted() > _DIGITS_OF_LONG:  # the digits of 1e999999999 would fill the memory
        return None
    found = int(Decimal(value).to_integral_value(rounding=rounding))
    return found if bounded(found) is not None else bounded(Long(found))


_DIGITS_OF_LONG = 19


CEILING, FLOOR, DOWN = ROUND_CEILING, ROUND_FLOOR, ROUND_DOWN
