"""Exact numbers within the bounds FHIRPath asks for: overflow and undefined results are empty, never an error."""

from __future__ import annotations

from decimal import (
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

MAX_PRECISION = 31
_LARGEST = 2**63 - 1


def exact(value: object) -> Number:
    """A JSON number as an exact one: a float by its shortest decimal form."""
    if isinstance(value, float):
        return Decimal(repr(value))
    assert isinstance(value, int | Decimal)
    return value


def bounded(value: int) -> int | None:
    """None where a whole number overflows (64 bits: wide enough for the sums that N1's 32 bits would refuse)."""
    return value if -_LARGEST - 1 <= value <= _LARGEST else None


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
        whole = left + right if operator == "+" else left - right if operator == "-" else left * right
        return _kept_long(bounded(whole), left, right)
    a, b = Decimal(left), Decimal(right)
    with localcontext(CONTEXT):
        try:
            return a + b if operator == "+" else a - b if operator == "-" else a * b
        except DecimalException:
            return None


def _kept_long(value: int | None, *of: Number) -> int | None:
    """A sum or product with a Long in it is a Long."""
    return value if value is None or not any(isinstance(one, Long) for one in of) else Long(value)


def negative(value: Number) -> Number:
    """With the other sign; zero has none."""
    if isinstance(value, int):
        return Long(-value) if isinstance(value, Long) else -value
    return CONTEXT.minus(value)


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
            return bounded(int(Decimal(left) // Decimal(right)))
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
    return int(rest) if isinstance(left, int) and isinstance(right, int) else rest


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
    return places(value.normalize(CONTEXT)) if isinstance(value, Decimal) else 0


def low_boundary(value: Number, precision: int) -> Decimal | None:
    """The least value that `value` may have been rounded from, cut to `precision` places (0 to 31).

    As the official suite has it, cutting is toward zero: -0.0034 at one place gives -0.0.
    """
    if not 0 <= precision <= MAX_PRECISION:
        return None
    with localcontext(CONTEXT):
        half = Decimal(5).scaleb(-places(value) - 1)
        if value < 0:
            return _nearest(-Decimal(value) + half, precision).copy_negate()
        if value == 0:
            return _cut(half, precision).copy_negate()
        return _cut(Decimal(value) - half, precision)


def high_boundary(value: Number, precision: int) -> Decimal | None:
    """The greatest value that `value` may have been rounded from, to `precision` places (0 to 31)."""
    if not 0 <= precision <= MAX_PRECISION:
        return None
    with localcontext(CONTEXT):
        half = Decimal(5).scaleb(-places(value) - 1)
        if value < 0:
            return _cut(-Decimal(value) - half, precision).copy_negate()
        return _nearest(Decimal(value) + half, precision)


def _cut(value: Decimal, precision: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_DOWN)


def _nearest(value: Decimal, precision: int) -> Decimal:
    return value.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_HALF_UP)


def whole(value: Number, rounding: str) -> int | None:
    """ceiling, floor or truncate by `rounding`."""
    return bounded(int(Decimal(value).to_integral_value(rounding=rounding)))


CEILING, FLOOR, DOWN = ROUND_CEILING, ROUND_FLOOR, ROUND_DOWN
