"""Conversions (FHIRPath N1, section 5.5): toX() gives the value or empty, convertsToX() says which."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from .. import numbers
from ..arithmetic import text_of
from ..items import Item, Node, system
from ..operators import single
from ..quantities import Quantity, converted, parse_quantity
from ..temporal import Temporal, parse_date_time, parse_time
from ..world import Frame, Run
from .registry import answer, function

_TRUE = frozenset({"true", "t", "yes", "y", "1", "1.0"})
_FALSE = frozenset({"false", "f", "no", "n", "0", "0.0"})
_WHOLE = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,60}(?:\.\d{1,60})?", re.ASCII)


def to_boolean(value: Item) -> bool | None:
    """A truth value from 1, 0, 'true', 'no' and the like."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | Decimal):
        return True if value == 1 else False if value == 0 else None
    if isinstance(value, str):
        word = value.lower()
        return True if word in _TRUE else False if word in _FALSE else None
    return None


def to_integer(value: Item) -> int | None:
    """A whole number from text or a truth value."""
    whole = _whole(value)
    return None if whole is None else numbers.bounded(int(whole))


def _whole(value: Item) -> int | None:
    if isinstance(value, bool | int):
        return value
    return int(value) if isinstance(value, str) and _WHOLE.fullmatch(value) else None


def to_long(value: Item) -> numbers.Long | None:
    """A Long from a whole number, text or a truth value."""
    whole = _whole(value)
    return None if whole is None or numbers.bounded(numbers.Long(whole)) is None else numbers.Long(whole)


def to_decimal(value: Item) -> Decimal | None:
    """A decimal from a whole number, text or a truth value."""
    if isinstance(value, bool):
        return Decimal("1.0" if value else "0.0")
    if isinstance(value, int | Decimal):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def to_string(value: Item) -> str | None:
    """The text of a simple value."""
    return None if isinstance(value, Node) else text_of(value)


def to_date(value: Item) -> Temporal | None:
    """A date from text, or the date of a dateTime."""
    if isinstance(value, str):
        parsed = parse_date_time(value)
        value = parsed if parsed is not None else None
    if isinstance(value, Temporal) and value.kind != "time":
        return Temporal("date", value.parts[:3])
    return None


def to_date_time(value: Item) -> Temporal | None:
    """A dateTime from text or a date."""
    if isinstance(value, str):
        return parse_date_time(value)
    if isinstance(value, Temporal) and value.kind != "time":
        return value if value.kind == "dateTime" else Temporal("dateTime", value.parts)
    return None


def to_time(value: Item) -> Temporal | None:
    """A time of day from text."""
    if isinstance(value, str):
        return parse_time(value.removeprefix("T"))
    return value if isinstance(value, Temporal) and value.kind == "time" else None


def to_quantity(value: Item) -> Quantity | None:
    """A quantity from text (`4 days`, `5 'mg'`), a number or a truth value."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, bool | int | Decimal):
        return Quantity(Decimal(value), "1")
    return parse_quantity(value) if isinstance(value, str) and len(value) < 200 else None


def _declare(name: str, convert: Callable[[Item], Item]) -> None:
    def to(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
        value = single(items, f"to{name}")
        return [] if value is None else answer(convert(value))

    def converts(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
        value = single(items, f"convertsTo{name}")
        return [] if value is None else [convert(value) is not None]

    to.__doc__ = convert.__doc__
    converts.__doc__ = f"True where to{name}() gives a value."
    function(f"to{name}", gives=name)(to)
    function(f"convertsTo{name}", gives="Boolean")(converts)


for _name, _convert in (
    ("Boolean", to_boolean),
    ("Integer", to_integer),
    ("Long", to_long),
    ("Decimal", to_decimal),
    ("String", to_string),
    ("Date", to_date),
    ("DateTime", to_date_time),
    ("Time", to_time),
):
    _declare(_name, _convert)


def _quantity_in(items: list[Item], arguments: list[Run], frame: Frame) -> Quantity | None:
    value = single(items, "toQuantity")
    quantity = None if value is None else to_quantity(value)
    if quantity is None or not arguments:
        return quantity
    unit = single(arguments[0](frame), "a unit")
    if not isinstance(unit, str):
        return None
    return converted(quantity, unit)


@function("toQuantity", 0, 1, gives="Quantity")
def quantity_of(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """A quantity from text, a number or a truth value; in another unit, where it can be converted."""
    return answer(_quantity_in(items, arguments, frame))


@function("convertsToQuantity", 0, 1, gives="Boolean")
def converts_to_quantity(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where toQuantity() gives a value."""
    return [_quantity_in(items, arguments, frame) is not None] if items and system(items[0]) is not None else []
