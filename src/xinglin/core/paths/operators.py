"""Operators over two collections (FHIRPath N1, section 6). Each takes and returns lists of items; [] is "unknown"."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal

from . import arithmetic, model, numbers, quantities, temporal
from .equality import key
from .errors import PathError
from .items import Item, Node, fhir_type, system, system_type
from .navigation import child
from .quantities import Quantity
from .temporal import Temporal
from .world import World

Operator = Callable[[list[Item], list[Item], World], list[Item]]


def describe(value: Item) -> str:
    """The kind of an item, for a message: never its content."""
    return fhir_type(value) or "an object" if isinstance(value, Node) else system_type(value)


def single(items: list[Item], what: str) -> Item:
    """The System value of the one item; None for an empty collection. Raises PathError for more than one."""
    if len(items) > 1:
        raise PathError(f"{what} takes one item, found {len(items)}")
    return system(items[0]) if items else None


def truth(items: list[Item], what: str) -> bool | None:
    """Singleton evaluation of a Boolean: None is unknown, and one item of another type counts as true."""
    if not items:
        return None
    value = single(items, what)
    return value if isinstance(value, bool) else None if value is None else True


# Equality ----------------------------------------------------------------------------------------------------------


def equal(left: Item, right: Item, world: World) -> bool | None:
    """`=` for two items; None where precision, time zone or units leave it open."""
    a, b = system(left), system(right)
    if isinstance(a, Temporal) and isinstance(b, Temporal):
        if (a.kind == "time") != (b.kind == "time"):
            return False
        order = temporal.compare(a, b)
        return None if order is None else order == 0
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        first, second = as_quantity(a), as_quantity(b)
        return quantities.equal(first, second) if first and second else False
    return _same(a, b, left, right, world)


def as_quantity(value: Item) -> Quantity | None:
    """A quantity, or a number as one in the unit 1; None of anything else."""
    if isinstance(value, Quantity):
        return value
    is_number = isinstance(value, int | Decimal) and not isinstance(value, bool)
    return Quantity(Decimal(value), "1") if is_number else None


def equals(left: list[Item], right: list[Item], world: World) -> list[Item]:
    if not left or not right:
        return []
    if len(left) != len(right):
        return [False]
    world.spend(len(left))
    answers = [equal(a, b, world) for a, b in zip(left, right, strict=True)]
    if False in answers:
        return [False]
    return [] if None in answers else [True]


def not_equals(left: list[Item], right: list[Item], world: World) -> list[Item]:
    return [not answer for answer in equals(left, right, world)]


def equivalent(left: Item, right: Item, world: World) -> bool:
    """`~` for two items: text without case, numbers to the fewer digits, dates of equal precision, objects by member.

    White space is of one kind, but two spaces are not one (3.0, section 7.1.2).
    """
    a, b = system(left), system(right)
    if isinstance(a, str) and isinstance(b, str):
        world.spend((len(a) + len(b)) // 100)
        return a == b or _WHITE.sub(" ", a.casefold()) == _WHITE.sub(" ", b.casefold())
    if isinstance(a, Temporal) and isinstance(b, Temporal):
        return (a.kind == "time") == (b.kind == "time") and temporal.compare(a, b) == 0
    if _is_number(a) and _is_number(b):
        return numbers.equivalent(a, b)
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        first, second = as_quantity(a), as_quantity(b)
        return quantities.equivalent(first, second) if first and second else False
    return _same(a, b, left, right, world) or _alike(a, b, world)


_WHITE = re.compile(r"\s")


def _alike(left: Item, right: Item, world: World) -> bool:
    """Objects of one type whose members are equivalent, name by name."""
    if not isinstance(left, Node) or not isinstance(right, Node) or left.type != right.type:
        return False
    if not isinstance(left.value, dict) or not isinstance(right.value, dict):
        return False
    keys = model.keys(left.type)
    names = {keys[key][0] if key in keys else key for key in (*left.value, *right.value)}
    world.spend(len(names))
    return all(equivalents(child([left], name), child([right], name), world) == [True] for name in names)


def _same(a: Item, b: Item, left: Item, right: Item, world: World) -> bool:
    if isinstance(a, str) and isinstance(b, str):
        world.spend(len(a) // 1000)
        return a == b
    return bool(key(left, world.spend) == key(right, world.spend))


def _is_number(value: Item) -> bool:
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def equivalents(left: list[Item], right: list[Item], world: World) -> list[Item]:
    """Order does not count: each item of the left takes one of the right."""
    if len(left) != len(right):
        return [False]
    remaining = list(right)
    for item in left:
        world.spend(len(remaining))
        at = next((i for i, other in enumerate(remaining) if equivalent(item, other, world)), None)
        if at is None:
            return [False]
        del remaining[at]
    return [True]


def not_equivalents(left: list[Item], right: list[Item], world: World) -> list[Item]:
    return [not answer for answer in equivalents(left, right, world)]


# Order -------------------------------------------------------------------------------------------------------------


def order(left: Item, right: Item, what: str) -> int | None:
    """-1, 0, 1 or None (unknown) for two System values. Raises PathError where the types have no order."""
    both_text = isinstance(left, str) and isinstance(right, str)
    if both_text or (_is_number(left) and _is_number(right)):
        return int(left > right) - int(left < right)
    if isinstance(left, Temporal) and isinstance(right, Temporal) and _same_line(left, right):
        return temporal.compare(left, right)
    first, second = as_quantity(left), as_quantity(right)
    if first is None or second is None:
        raise PathError(f"{what} cannot order {describe(left)} and {describe(right)}")
    values = quantities.common(first, second)
    return None if values is None else (values[0] > values[1]) - (values[0] < values[1])


def _same_line(left: Temporal, right: Temporal) -> bool:
    return (left.kind == "time") == (right.kind == "time")


def _ordered(symbol: str, holds: Callable[[int], bool]) -> Operator:
    def compare(left: list[Item], right: list[Item], world: World) -> list[Item]:
        a, b = single(left, symbol), single(right, symbol)
        if a is None or b is None:
            return []
        answer = order(a, b, f"'{symbol}'")
        return [] if answer is None else [holds(answer)]

    return compare


# Membership and logic ------------------------------------------------------------------------------------------------


def within(left: list[Item], right: list[Item], world: World) -> list[Item]:
    if not left:
        return []
    if len(left) > 1:
        raise PathError(f"'in' takes one item on its left, found {len(left)}")
    world.spend(len(right))
    return [key(left[0], world.spend) in {key(item, world.spend) for item in right}]


def contains(left: list[Item], right: list[Item], world: World) -> list[Item]:
    if len(right) > 1:
        raise PathError(f"'contains' takes one item on its right, found {len(right)}")
    return within(right, left, world)


def exclusive_or(left: list[Item], right: list[Item], world: World) -> list[Item]:
    a, b = truth(left, "'xor'"), truth(right, "'xor'")
    return [] if a is None or b is None else [a != b]


# Arithmetic ----------------------------------------------------------------------------------------------------------


def _calculated(symbol: str, calculate: Callable[[Item, Item], Item]) -> Operator:
    def operate(left: list[Item], right: list[Item], world: World) -> list[Item]:
        a, b = single(left, f"'{symbol}'"), single(right, f"'{symbol}'")
        if a is None or b is None:
            return []
        value = calculate(a, b)
        if value is NotImplemented:
            raise PathError(f"'{symbol}' is not defined for {describe(a)} and {describe(b)}")
        if isinstance(value, str):
            world.text(value)
        return [] if value is None else [value]

    return operate


def concatenate(left: list[Item], right: list[Item], world: World) -> list[Item]:
    """`&`: an empty side counts as ''."""
    a, b = single(left, "'&'"), single(right, "'&'")
    for value in (a, b):
        if isinstance(value, Node):
            raise PathError(f"'&' joins text, found {describe(value)}")
    return [world.text(arithmetic.text_of(a) + arithmetic.text_of(b))]


OPERATORS: dict[str, Operator] = {
    "=": equals,
    "!=": not_equals,
    "~": equivalents,
    "!~": not_equivalents,
    "<": _ordered("<", lambda sign: sign < 0),
    "<=": _ordered("<=", lambda sign: sign <= 0),
    ">": _ordered(">", lambda sign: sign > 0),
    ">=": _ordered(">=", lambda sign: sign >= 0),
    "in": within,
    "contains": contains,
    "xor": exclusive_or,
    "+": _calculated("+", arithmetic.plus),
    "-": _calculated("-", arithmetic.minus),
    "*": _calculated("*", arithmetic.times),
    "/": _calculated("/", arithmetic.over),
    "div": _calculated("div", arithmetic.whole_over),
    "mod": _calculated("mod", arithmetic.modulo),
    "&": concatenate,
}
