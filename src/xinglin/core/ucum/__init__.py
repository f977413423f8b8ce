"""UCUM units: read, brought to base units, compared (ucum.org, version 2.1; case-sensitive codes).

`canonical(Decimal("5.4"), "mmol/L")` gives the value in base units and the name of that base: the same name means
that two values can be compared. Two choices of ours: the mole is a base of its own (UCUM counts it as 6.022e23, which
would make an amount of substance comparable with a bare number), and units on a logarithmic scale or defined by an
assay (pH, [iU]) are bases too, comparable only with themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Context, Decimal
from fractions import Fraction
from functools import cache, lru_cache
from importlib.resources import files

MOST_BITS = 10_000  # of a factor
MAX_UNIT = 200
"""Characters of a unit; and no exponent may pass two digits."""

_PRECISION = Context(prec=28, Emax=999, Emin=-999)
_EXPONENT = re.compile(r"(.+?)([+-]?\d{1,2})?", re.ASCII)
_PREFIXES = {
    name: Fraction(10) ** power
    for name, power in (
        *(("Y", 24), ("Z", 21), ("E", 18), ("P", 15), ("T", 12), ("G", 9), ("M", 6), ("k", 3), ("h", 2), ("da", 1)),
        *(("d", -1), ("c", -2), ("m", -3), ("u", -6), ("n", -9), ("p", -12), ("f", -15), ("a", -18)),
        *(("z", -21), ("y", -24)),
    )
} | {"Ki": Fraction(1024), "Mi": Fraction(1024**2), "Gi": Fraction(1024**3), "Ti": Fraction(1024**4)}

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unit:
    """`factor` base units make one; `zero` is the scale's zero in base units (Celsius, Fahrenheit)."""

    factor: Fraction
    dimensions: Dimensions
    zero: Fraction = Fraction(0)

    @property
    def base(self) -> str:
        """The base units as a UCUM term: `g.m-3`, or `1`."""
        return ".".join(name if power == 1 else f"{name}{power}" for name, power in self.dimensions) or "1"


class _Unknown(Exception):
    """Not a UCUM unit."""


def canonical(value: Decimal, unit: str) -> tuple[Decimal, str] | None:
    """The value in base units and their name; None where `unit` is no UCUM unit or the value is out of range.

    Exact where the result has up to 28 digits: 97 'mg/dL' -> (970, 'g.m-3').
    """
    known = parse(unit)
    if known is None or not value.is_finite() or abs(value.adjusted()) > 200:
        return None
    result = Fraction(value) * known.factor + known.zero
    if result.denominator == 1:
        return Decimal(result.numerator), known.base
    return _PRECISION.divide(Decimal(result.numerator), Decimal(result.denominator)), known.base


def comparable(left: str, right: str) -> bool:
    """Whether a conversion between the two units is defined."""
    a, b = parse(left), parse(right)
    return a is not None and b is not None and a.dimensions == b.dimensions


def joined(left: str, right: str, sign: int) -> str | None:
    """The base of a product (`sign` 1) or quotient (-1) of two bases that `canonical` named."""
    a, b = parse(left), parse(right)
    return _times(a, b, sign).base if a and b else None


@lru_cache(maxsize=10_000)
def parse(unit: str) -> Unit | None:
    """The meaning of a unit, or None where UCUM has no such unit."""
    if not unit or len(unit) > MAX_UNIT or not unit.isascii() or unit.count("(") > 20:
        return None
    try:
        if unit in _scales():
            return _scales()[unit]
        found, rest = _term(unit, 0)
        return found if rest == len(unit) else None
    except (_Unknown, OverflowError):
        return None


def _term(text: str, at: int) -> tuple[Unit, int]:
    """`a.b/c`, read from the left, to the end or a closing bracket."""
    result, sign = Unit(Fraction(1), ()), 1
    if text.startswith("/", at):
        sign, at = -1, at + 1
    while True:
        part, at = _component(text, at)
        result = _times(result, part, sign)
        if at == len(text) or text[at] == ")":
            return result, at
        if text[at] not in "./":
            raise _Unknown(text)
        sign, at = (-1 if text[at] == "/" else 1), at + 1


def _component(text: str, at: int) -> tuple[Unit, int]:
    if text.startswith("(", at):
        inner, at = _term(text, at + 1)
        if not text.startswith(")", at):
            raise _Unknown(text)
        return _annotated(inner, text, at + 1)
    end = _end(text, at)
    if end > at:
        return _annotated(_powered(text[at:end]), text, end)
    if text.startswith("{", at):
        return _annotated(Unit(Fraction(1), ()), text, at)
    raise _Unknown(text)


def _annotated(unit: Unit, text: str, at: int) -> tuple[Unit, int]:
    if not text.startswith("{", at):
        return unit, at
    end = text.find("}", at)
    if end < 0:
        raise _Unknown(text)
    return unit, end + 1


def _end(text: str, at: int) -> int:
    """Where the symbol that starts at `at` ends; square brackets may hold anything."""
    inside = False
    for position in range(at, len(text)):
        char = text[position]
        inside = (inside or char == "[") and char != "]"
        if not inside and char in "./(){}":
            return position
    return len(text)


def _powered(symbol: str) -> Unit:
    if symbol.isdigit():
        if len(symbol) > 20:
            raise _Unknown(symbol)
        return Unit(Fraction(int(symbol)), ())
    if symbol in _atoms():
        return _atom(symbol)
    match = _EXPONENT.fullmatch(symbol)
    if match is None:
        raise _Unknown(symbol)
    name, exponent = match.groups()
    return _raised(_atom(name), int(exponent or 1))


def _atom(symbol: str) -> Unit:
    atoms = _atoms()
    if symbol in atoms:
        return _defined(symbol)
    for length in (1, 2):
        prefix, name = symbol[:length], symbol[length:]
        if prefix in _PREFIXES and name in atoms and atoms[name][0]:
            unit = _defined(name)
            return Unit(_PREFIXES[prefix] * unit.factor, unit.dimensions)
    raise _Unknown(symbol)


@cache
def _defined(symbol: str) -> Unit:
    """An atom of the table in base units: `=` makes it a base itself."""
    _, number, definition = _atoms()[symbol]
    if definition == "=":
        return Unit(Fraction(1), ((symbol, 1),))
    unit = _term(definition, 0)[0]
    return Unit(Fraction(number) * unit.factor, unit.dimensions)


def _raised(unit: Unit, power: int) -> Unit:
    if unit.factor == 0 or power == 0:
        return Unit(Fraction(1), ())
    _refuse_large(unit.factor, abs(power))
    return Unit(unit.factor**power, tuple((name, count * power) for name, count in unit.dimensions))


def _times(left: Unit, right: Unit, sign: int) -> Unit:
    powers = dict(left.dimensions)
    for name, count in right.dimensions:
        powers[name] = powers.get(name, 0) + sign * count
    dimensions = tuple(sorted((name, count) for name, count in powers.items() if count))
    factor = left.factor * right.factor if sign > 0 else left.factor / right.factor
    _refuse_large(factor, 1)
    return Unit(factor, dimensions)


def _refuse_large(factor: Fraction, power: int) -> None:
    """A factor beyond all measure is no unit, and its digits would fill the memory."""
    if (factor.numerator.bit_length() + factor.denominator.bit_length()) * power > MOST_BITS:
        raise _Unknown("too large")


@cache
def _scales() -> dict[str, Unit]:
    """Temperatures with a zero of their own: they may stand alone only."""
    kelvin: Dimensions = (("K", 1),)
    fahrenheit = Unit(Fraction(5, 9), kelvin, Fraction(45967, 180))
    reaumur = Unit(Fraction(5, 4), kelvin, Fraction(27315, 100))
    scales = {"Cel": Unit(Fraction(1), kelvin, Fraction(27315, 100)), "[degF]": fahrenheit, "[degRe]": reaumur}
    return scales | {"mCel": Unit(Fraction(1, 1000), kelvin, Fraction(27315, 100))}


@cache
def _atoms() -> dict[str, tuple[bool, str, str]]:
    """Symbol -> (takes prefixes, number, definition)."""
    return {symbol: (metric == "m", number, definition) for symbol, metric, number, definition in _rows()}


def _rows() -> Iterator[list[str]]:
    table = files(__name__).joinpath("units.txt").read_text(encoding="utf-8")
    for line in table.splitlines():
        if line and not line.startswith("# "):
            yield line.split()
