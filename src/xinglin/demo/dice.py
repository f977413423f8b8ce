"""Chance that repeats: draws built on `Random.random()` alone, whose sequence Python promises to keep."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")
Weighted = tuple[tuple[T, ...], tuple[float, ...]]


def weighted(pairs: Sequence[tuple[T, float]]) -> Weighted[T]:
    """Values with their cumulative shares, ready for `Dice.weighted`; weights need not add to one."""
    total = sum(weight for _, weight in pairs)
    reached, shares = 0.0, []
    for _, weight in pairs:
        reached += weight / total
        shares.append(reached)
    return tuple(value for value, _ in pairs), tuple(shares)


class Dice(Random):
    """One stream of chance, named by its numbers: the same names give the same stream on every machine."""

    def __new__(cls, *_names: int) -> Dice:
        return super().__new__(cls)

    def __init__(self, *names: int) -> None:
        number = 0
        for name in names:
            number = (number << 40) | (name & 0xFF_FFFF_FFFF)
        super().__init__(number)

    def chance(self, share: float) -> bool:
        return self.random() < share

    def between(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.random() * (high - low + 1))

    def pick(self, values: Sequence[T]) -> T:
        return values[int(self.random() * len(values))]

    def weighted(self, table: Weighted[T]) -> T:
        values, shares = table
        point = self.random()
        for value, share in zip(values, shares, strict=True):
            if point < share:
                return value
        return values[-1]

    def normal(self) -> float:
        """About normal, mean 0 and variance 1, never beyond 3: a sum of uniforms, so that nobody is absurd."""
        roll = self.random
        return (roll() + roll() + roll() - 1.5) * 2
