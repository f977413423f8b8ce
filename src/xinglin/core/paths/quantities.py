"""Quantities: a decimal and a unit, UCUM or calendar (FHIRPath N1, sections 4.1.8 and 5.5.8)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from xinglin.core import ucum

from . import numbers

CALENDAR: dict[str, str] = {
    name: unit
    for unit in ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")
    for name in (unit, f"{unit}s")
}
"""Keyword of a literal -> calendar unit."""

_UCUM_OF_CALENDAR = {"week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s", "millisecond": "ms"}
_CALENDAR_OF_UCUM = {code: unit for unit, code in _UCUM_OF_CALENDAR.items()}

_TEXT = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*(?:'([^']+)'|([a-zA-Z]+))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Quantity:
    """`unit` is a UCUM code, or a calendar unit where `calendar` is true (a year is not 365.25 days)."""

    value: Decimal
    unit: str
    calendar: bool = False

    def __str__(self) -> str:
        digits = numbers.text(self.value)
        if not self.calendar:
            return f"{digits} '{self.unit}'"
        return f"{digits} {self.unit}" if self.value == 1 else f"{digits} {self.unit}s"

    @property
    def ucum(self) -> str | None:
        """The UCUM code of the same length of time; None for calendar years and months, which have none."""
        return _UCUM_OF_CALENDAR.get(self.unit) if self.calendar else self.unit

    @property
    def calendar_unit(self) -> str | None:
        """The calendar unit to add to a date; None where the unit is not a time, or a UCUM year or month.

        A keyword in quotes (`1 'month'`), which is no UCUM code, is taken as the calendar unit it names.
        """
        return self.unit if self.calendar else _CALENDAR_OF_UCUM.get(self.unit) or CALENDAR.get(self.unit)

    def canonical(self) -> tuple[Decimal, str] | None:
        """Value and base units, None for a unit UCUM does not know; calendar years count in months of their own."""
        if self.calendar and self.unit in ("year", "month"):
            months = numbers.multiply(self.value, 12 if self.unit == "year" else 1)
            return None if months is None else (Decimal(months), "calendar month")
        code = self.ucum
        return ucum.canonical(self.value, code) if code is not None else None

    def key(self) -> tuple[object, ...]:
        """Equal keys exactly where `=` says true."""
        base = self.canonical()
        return ("quantity", *base) if base else ("quantity", self.value, "unknown", self.unit)


def parse_quantity(text: str) -> Quantity | None:
    """`4.5 'mg'`, `4 days`, `4`; None for anything else."""
    match = _TEXT.fullmatch(text.strip())
    if match is None:
        return None
    number, code, word = match.groups()
    if word is not None:
        unit = CALENDAR.get(word)
        return Quantity(Decimal(number), unit, True) if unit else None
    return Quantity(Decimal(number), code or "1")


def common(left: Quantity, right: Quantity) -> tuple[Decimal, Decimal] | None:
    """Both values in one unit; None where no conversion is defined."""
    if left.unit == right.unit and left.calendar == right.calendar:
        return left.value, right.value
    a, b = left.canonical(), right.canonical()
    return (a[0], b[0]) if a and b and a[1] == b[1] else None


def equal(left: Quantity, right: Quantity) -> bool | None:
    """None where the units cannot be brought together."""
    values = common(left, right)
    return None if values is None else values[0] == values[1]


def equivalent(left: Quantity, right: Quantity) -> bool:
    """Equal after rounding to the fewer digits; calendar years and months match UCUM's here."""
    left, right = _definite(left), _definite(right)
    if left.unit == right.unit:
        return numbers.equivalent(left.value, right.value)
    a, b = left.canonical(), right.canonical()
    if not a or not b or a[1] != b[1]:
        return False
    coarse, fine = (a, b) if _step(left, a) >= _step(right, b) else (b, a)
    unit = _step(left if coarse is a else right, coarse)
    return _rounded_steps(coarse[0], unit) == _rounded_steps(fine[0], unit)


def add(left: Quantity, right: Quantity, sign: int = 1) -> Quantity | None:
    """The sum in the finer of the two units; None where no conversion is defined."""
    plus = numbers.add if sign > 0 else numbers.subtract
    if left.unit == right.unit and left.calendar == right.calendar:
        return _made(plus(left.value, right.value), left.unit, left.calendar)
    a, b = left.canonical(), right.canonical()
    if a is None or b is None or a[1] != b[1] or a[1] == "calendar month":
        return None
    total = plus(a[0], b[0])
    finer = left if _size(left) <= _size(right) else right
    size = _size(finer) if finer.ucum is not None else Decimal(0)
    if total is None or not size:
        return _made(total, a[1])
    return _made(numbers.divide(total, size), finer.unit, finer.calendar)


def multiply(left: Quantity, right: Quantity) -> Quantity | None:
    """A calendar unit is multiplied by bare numbers only: it has no place in a product of units."""
    if right.unit == "1":
        return _made(numbers.multiply(left.value, right.value), left.unit, left.calendar)
    if left.unit == "1":
        return _made(numbers.multiply(left.value, right.value), right.unit, right.calendar)
    a, b = _definite_base(left), _definite_base(right)
    return _made(numbers.multiply(a[0], b[0]), ucum.joined(a[1], b[1], 1)) if a and b else None


def divide(left: Quantity, right: Quantity) -> Quantity | None:
    if right.unit == "1":
        return _made(numbers.divide(left.value, right.value), left.unit, left.calendar)
    a, b = _definite_base(left), _definite_base(right)
    return _made(numbers.divide(a[0], b[0]), ucum.joined(a[1], b[1], -1)) if a and b else None


def _definite_base(value: Quantity) -> tuple[Decimal, str] | None:
    return None if value.calendar else value.canonical()


def converted(value: Quantity, unit: str) -> Quantity | None:
    """toQuantity(unit): a bare number takes the unit; None where no conversion is defined (3.0, section 6.5.6).

    From a calendar unit by the calendar's lengths (a year is 12 months or 365 days), from a UCUM unit by UCUM's.
    """
    target = CALENDAR.get(unit)
    if value.unit == "1" or (value.unit == (target or unit) and value.calendar == (target is not None)):
        return Quantity(value.value, target or unit, target is not None)
    if value.calendar:
        amount = _in_calendar(value, target or _CALENDAR_OF_UCUM.get(unit) or _MEAN.get(unit))
    else:
        amount = _in_ucum(value, unit if target is None else _UCUM[target])
    return None if amount is None else Quantity(amount, target or unit, target is not None)


_MEAN = {"a": "year", "mo": "month"}
_UCUM = {"year": "a", "month": "mo", **_UCUM_OF_CALENDAR}
_DAYS = {"year": 365, "month": 30, "week": 7, "day": 1}
_MILLISECONDS = {"hour": 3_600_000, "minute": 60_000, "second": 1_000, "millisecond": 1}


def _in_calendar(value: Quantity, unit: str | None) -> Decimal | None:
    if unit is None:
        return None
    if {value.unit, unit} == {"year", "month"}:
        return Decimal(numbers.multiply(value.value, 12) or 0) if unit == "month" else numbers.divide(value.value, 12)
    length = numbers.multiply(value.value, _length(value.unit))
    return None if length is None else numbers.divide(length, _length(unit))


def _length(unit: str) -> int:
    return _MILLISECONDS.get(unit) or _DAYS[unit] * 86_400_000


def _in_ucum(value: Quantity, unit: str | None) -> Decimal | None:
    base, known = value.canonical(), ucum.parse(unit or "")
    if base is None or known is None or base[1] != known.base:
        return None
    found = (Fraction(base[0]) - known.zero) / known.factor
    return numbers.divide(Decimal(found.numerator), Decimal(found.denominator))


def _made(value: numbers.Number | None, unit: str | None, calendar: bool = False) -> Quantity | None:
    return None if value is None or unit is None else Quantity(Decimal(value), unit, calendar)


def _definite(value: Quantity) -> Quantity:
    if value.calendar and value.unit in ("year", "month"):
        return Quantity(value.value, "a" if value.unit == "year" else "mo")
    return Quantity(value.value, value.ucum or value.unit)


def _size(value: Quantity) -> Decimal:
    """One of the value's unit in base units; 0 of a unit with an offset, in which sums cannot be told (`Cel`)."""
    one, zero = (ucum.canonical(Decimal(n), value.ucum or "") for n in (1, 0))
    return one[0] if one and zero and not zero[0] else Decimal(0)


def _step(value: Quantity, base: tuple[Decimal, str]) -> Decimal:
    """One unit of the value's last written digit, in base units."""
    last = Decimal(1).scaleb(-numbers.places(value.value))
    at = ucum.canonical(last, value.unit)
    zero = ucum.canonical(Decimal(0), value.unit)
    return abs(at[0] - zero[0]) if at and zero else Decimal(1)


def _rounded_steps(value: Decimal, step: Decimal) -> int:
    return int((value / step).to_integral_value(rounding="ROUND_HALF_UP"))
