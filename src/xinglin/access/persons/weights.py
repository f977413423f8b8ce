"""What each level of each field says, in bits: the weights of Fellegi and Sunter, and what they rest on.

A pair's weight is the prior (what one knows of two records taken at random) plus, for each field, log2 of how much
oftener its level is seen in two records of one person (m) than in two of different people (u). A rare surname that
agrees says more than 王: at the levels where a value agrees, its own share takes the place of u.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from math import log2
from typing import Any

import orjson

from xinglin.access.persons.comparisons import COMPARISONS, WEIGHED, Comparison, Level
from xinglin.access.persons.traits import Traits


@dataclass(frozen=True, slots=True)
class Part:
    """What a field adds. `weight`: bits, for one person above 0 and for two below; `rare`: of it, for a rare value."""

    field: str
    level: Level
    weight: float
    rare: float = 0.0


@dataclass(frozen=True)
class Weights:
    """version: names this set. trained: how, on what, when. prior: bits. bits: field -> level -> bits.

    shares: field -> value -> share of records that have it; `rarest`: the share that stands for all others.
    """

    version: str
    trained: Mapping[str, Any]
    prior: float
    chances: Mapping[str, Mapping[str, tuple[float, float]]]
    shares: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    rarest: Mapping[str, float] = field(default_factory=dict)

    def level_bits(self, comparison: Comparison) -> list[float]:
        """Bits of each level, in the field's order; what cannot be compared or was never seen says nothing."""
        chances = self.chances.get(comparison.field, {})
        return [_bits(*chances.get(level.name, (1.0, 1.0))) for level in comparison.levels]

    def rare_bits(self, comparison: Comparison, level: Level, value: str) -> float:
        """What a value adds to or takes from the level at which it agrees."""
        _, usual = self.chances.get(comparison.field, {}).get(level.name, (1.0, 1.0))
        rarest = self.rarest.get(comparison.field)
        if rarest is None or not value or usual <= 0:
            return 0.0
        return log2(usual / max(self.shares[comparison.field].get(value, rarest), rarest))

    def parts(self, a: Traits, b: Traits) -> tuple[Part, ...]:
        """What each field adds: the explanation of a pair's weight."""
        return tuple(self._part(comparison, a, b) for comparison in COMPARISONS)

    def _part(self, comparison: Comparison, a: Traits, b: Traits) -> Part:
        number = comparison.level(a, b)
        level = comparison.levels[number]
        if comparison.field not in self._tables:
            return Part(comparison.field, level, 0.0)
        bits, rare = self._tables[comparison.field][number], 0.0
        if comparison.rarity and level.name in comparison.rare_at:
            rare = self.rare_bits(comparison, level, comparison.rarity(a, b))
        return Part(comparison.field, level, bits + rare, rare)

    def weight(self, parts: tuple[Part, ...]) -> float:
        return self.prior + sum(part.weight for part in parts)

    @cached_property
    def _tables(self) -> dict[str, list[float]]:
        return {comparison.field: self.level_bits(comparison) for comparison in WEIGHED}

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "trained": dict(self.trained),
            "prior": self.prior,
            "fields": {
                name: {level: list(mu) for level, mu in levels.items()} for name, levels in self.chances.items()
            },
            "shares": {name: dict(values) for name, values in self.shares.items()},
            "rarest": dict(self.rarest),
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Weights:
        chances = {
            name: {level: (mu[0], mu[1]) for level, mu in levels.items()} for name, levels in data["fields"].items()
        }
        return cls(data["version"], data["trained"], data["prior"], chances, data["shares"], data["rarest"])


def _bits(m: float, u: float) -> float:
    return log2(m / u) if m > 0 and u > 0 else 0.0


@cache
def shipped() -> Weights:
    """The weights that come with Xinglin, for a node that has not trained its own."""
    return Weights.of(orjson.loads(files(__package__).joinpath("weights.json").read_bytes()))
