"""Sums and extremes of a collection (FHIRPath 3.0, trial use): numbers, quantities, and what has an order."""

from __future__ import annotations

from .. import arithmetic
from ..errors import PathError
from ..items import Item, system
from ..operators import describe, order
from ..quantities import Quantity
from ..world import Frame, Run
from .registry import answer, function


def _values(items: list[Item], frame: Frame) -> list[Item]:
    frame.world.spend(len(items))
    return [value for value in map(system, items) if value is not None]


@function("sum", gives="$")
def total(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The sum of numbers or of quantities; empty of nothing."""
    values = _values(items, frame)
    return answer(_total(values)) if values else []


def _total(values: list[Item]) -> Item:
    found = values[0]
    if not arithmetic.is_number(found) and not isinstance(found, Quantity):
        raise PathError(f"a sum is of numbers or quantities, found {describe(found)}")
    for value in values[1:]:
        after = arithmetic.plus(found, value)
        if after is NotImplemented:
            raise PathError(f"a sum cannot take {describe(found)} and {describe(value)}")
        if after is None:
            return None
        found = after
    return found


@function("avg", gives="$")
def average(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The mean of numbers or of quantities; empty of nothing."""
    values = _values(items, frame)
    whole = _total(values) if values else None
    return [] if whole is None else answer(arithmetic.over(whole, len(values)))


@function("min", gives="$")
def least(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The least of numbers, quantities, texts, dates or times; empty where the order of two is not known."""
    return _extreme("min", -1, items, frame)


@function("max", gives="$")
def greatest(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The greatest of numbers, quantities, texts, dates or times; empty where the order of two is not known."""
    return _extreme("max", 1, items, frame)


def _extreme(name: str, side: int, items: list[Item], frame: Frame) -> list[Item]:
    values = _values(items, frame)
    found = values[:1]
    for value in values[1:]:
        sign = order(value, found[0], name)
        if sign is None:
            return []
        if sign == side:
            found = [value]
    return found
