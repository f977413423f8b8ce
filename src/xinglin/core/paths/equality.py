"""When two items are equal: by keys for any number of them, and pair by pair, cheaply, for a few."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from . import model
from .items import QUANTITIES, Item, Node, system
from .numbers import Long
from .quantities import Quantity
from .temporal import Temporal

Json = Any
Pair = tuple[Json, str]
Spend = Callable[[int], None]

_EXTENSIONS = frozenset({"extension", "modifierExtension"})
_FEW = 8


def _free(steps: int) -> None:
    """Nobody counts."""


def key(item: Item, spend: Spend = _free) -> Any:
    """A hashable key: two items are equal, as `=` has it, exactly where their keys are.

    `spend` is told how many members were looked at.
    """
    value = system(item)
    kind = value.__class__
    if kind is str or kind is int or kind is Decimal:
        return value
    if kind is bool:
        return ("boolean", value)
    if kind is Temporal or kind is Quantity:
        return value.key()
    if kind is Long:
        return int(value)
    if kind is Node:
        return ("object", value.type, _object_key(value.value, value.type, spend))
    extra = item.extra if isinstance(item, Node) else None  # of a primitive without value: what speaks for it
    return ("none", _object_key(extra, "Element", spend) if extra else repr(value))


def _object_key(value: Json, type_name: str, spend: Spend) -> Any:
    if isinstance(value, list):
        spend(len(value))
        return tuple(_object_key(one, type_name, spend) for one in value)
    if not isinstance(value, dict):
        return key(Node(value, type_name))
    spend(len(value))
    types = model.keys(type_name)
    return frozenset((name, _object_key(one, _member_type(types, name), spend)) for name, one in value.items())


def _member_type(types: Mapping[str, tuple[str, str]], name: str) -> str:
    """Extensions within a value are compared as they are written."""
    return types[name][1] if name in types and name not in _EXTENSIONS else ""


def distinct(items: Iterable[Item], spend: Spend = _free) -> list[Item]:
    """Each once, the first kept."""
    found: dict[Any, Item] = {}
    for item in items:
        found.setdefault(key(item, spend), item)
    return list(found.values())


# A few plain values -------------------------------------------------------------------------------------------------


def distinct_pairs(pairs: list[Pair]) -> list[Pair]:
    """The same for plain values with their types."""
    if len(pairs) > _FEW:
        by_key: dict[Any, Pair] = {}
        for pair in pairs:
            by_key.setdefault(key(Node(*pair)), pair)
        return list(by_key.values())
    found: list[Pair] = []
    for pair in pairs:
        if not any(_same(pair, other) for other in found):
            found.append(pair)
    return found


def _same(left: Pair, right: Pair) -> bool:
    (a, type_name), (b, other) = left, right
    if a.__class__ is dict and b.__class__ is dict:
        if type_name != other and not (type_name in QUANTITIES and other in QUANTITIES):
            return False
        if type_name == other:
            for name in _telling(type_name):
                if a.get(name) != b.get(name):
                    return False
    elif a.__class__ is str and type_name in model.TEXT_TYPES and other in model.TEXT_TYPES:
        return bool(a == b)
    return a is b or bool(key(Node(a, type_name)) == key(Node(b, other)))


@cache
def _telling(type_name: str) -> tuple[str, ...]:
    """The JSON keys that differ only where the values do: no dates, decimals or quantities below them.

    None of a Quantity's, whose unit may differ where the value is the same.
    """
    if type_name in QUANTITIES:
        return ()
    return tuple(
        name for name, (_, code) in model.keys(type_name).items() if name not in _EXTENSIONS and _literal(code)
    )


@cache
def _literal(type_name: str) -> bool:
    """Whether equal values of the type are written alike, extensions aside."""
    if model.is_primitive(type_name):
        return type_name in model.TEXT_TYPES or type_name in ("boolean", "integer", "positiveInt", "unsignedInt")
    if type_name not in _LITERAL_COMPLEX:
        return False
    return all(_literal(code) for name, (_, code) in model.keys(type_name).items() if name not in _EXTENSIONS)


_LITERAL_COMPLEX = frozenset({"CodeableConcept", "Coding"})
