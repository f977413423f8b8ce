"""Items of a collection: System values as plain Python ones, and Nodes, JSON values that know their FHIR type."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias

from .numbers import Long, decimal, exact
from .quantities import Quantity
from .temporal import Temporal, parse_date, parse_date_time, parse_time

Json = Any


class Node:
    """A JSON value reached through the model.

    `extra` is a primitive's sibling (`_birthDate`: id and extensions), for which `value` may be None.
    """

    __slots__ = ("extra", "type", "value")

    def __init__(self, value: Json, type: str, extra: dict[str, Json] | None = None) -> None:
        self.value = value
        self.type = type
        self.extra = extra

    def __repr__(self) -> str:
        return f"Node({self.value!r}, {self.type})"


Item: TypeAlias = Any
"""bool | int | Decimal | str | Temporal | Quantity | Node"""


def root_node(value: Json, type_name: str | None = None) -> Item:
    """A value handed in from outside: a resource by its resourceType, anything else by `type_name` or as it stands."""
    if isinstance(value, dict):
        declared = value.get("resourceType")
        return Node(value, type_name or (declared if isinstance(declared, str) else ""))
    if type_name:
        return Node(value, type_name)
    return exact(value) if isinstance(value, float) else value


# To System values --------------------------------------------------------------------------------------------------


def system(item: Item) -> Item:
    """The System value of an item; None for a primitive without one; the Node itself where it is an object."""
    if item.__class__ is not Node:
        return item
    value = item.value
    if value is None or value.__class__ is dict:
        return _quantity(item) if item.type in QUANTITIES else (None if value is None else item)
    convert = _CONVERSIONS.get(item.type)
    return convert(value) if convert else _plain(value)


def _plain(value: Json) -> Item:
    return exact(value) if isinstance(value, float) else value


def _quantity(node: Node) -> Item:
    """FHIR's Quantity as System's; one with a comparator (`<5`) is no single value, and stays an object."""
    value = node.value
    if value is None:
        return None
    number, unit = value.get("value"), value.get("code") or value.get("unit") or "1"
    if isinstance(number, bool) or not isinstance(number, int | float | Decimal) or value.get("comparator"):
        return node
    return Quantity(decimal(number), unit) if isinstance(unit, str) else node


def _moment(parse: Callable[[str], Temporal | None]) -> Callable[[Json], Item]:
    def convert(value: Json) -> Item:
        if not isinstance(value, str):
            return value
        return parse(value) or value

    return convert


def _decimal(value: Json) -> Item:
    return decimal(value) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else value


QUANTITIES = frozenset({"Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity"})

_CONVERSIONS: dict[str, Callable[[Json], Item]] = {
    "date": _moment(parse_date),
    "dateTime": _moment(parse_date_time),
    "instant": _moment(parse_date_time),
    "time": _moment(parse_time),
    "decimal": _decimal,
}


# Types ---------------------------------------------------------------------------------------------------------------


def system_type(value: Item) -> str:
    """`Integer` of 1, `DateTime` of a dateTime; the name within the namespace System."""
    match value:
        case bool():
            return "Boolean"
        case Long():
            return "Long"
        case int():
            return "Integer"
        case Decimal():
            return "Decimal"
        case Temporal(kind):
            return kind[0].upper() + kind[1:]
        case Quantity():
            return "Quantity"
    return "String"


def fhir_type(item: Item) -> str:
    """The FHIR type an item has, or would have if it were stored: `dateTime` of a computed DateTime."""
    if item.__class__ is Node:
        return str(item.type)
    name = system_type(item)
    return "integer64" if name == "Long" else name if name == "Quantity" else name[0].lower() + name[1:]


def to_json(item: Item) -> Json:
    """The plain JSON value; None for a primitive that has only extensions."""
    if item.__class__ is Node:
        return item.value
    if isinstance(item, Temporal):
        return str(item)
    if isinstance(item, Long):
        return int(item)
    if isinstance(item, Quantity):
        if item.calendar:
            return {"value": item.value, "unit": item.unit}
        code = {"unit": item.unit, "system": "http://unitsofmeasure.org", "code": item.unit}
        return {"value": item.value, **code}
    return item
