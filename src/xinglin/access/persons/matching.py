"""Whether two Patients are one person: linked, apart, or for a clerk to say.

The weight of evidence (weights.py) gives the band, and rules.json says what no weight may decide: never linked on an
identifier alone, newborns, twins and families kept apart. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final, Protocol

import orjson

from xinglin.access.persons.comparisons import FIELDS, Level, Verdict, compare
from xinglin.access.persons.traits import Traits
from xinglin.access.persons.weights import Part, Weights, shipped


class Band(StrEnum):
    LINKED = "linked"
    REVIEW = "review"
    APART = "apart"


_ORDER: Final = (Band.APART, Band.REVIEW, Band.LINKED)
BY_WEIGHT: Final = "weight-"  # and the band: no rule had a say


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a pair, by which rule, how each field compared, and what each added to the weight in bits."""

    band: Band
    rule: str
    fields: dict[str, Verdict]
    weight: float = 0.0
    parts: tuple[Part, ...] = ()


class Matcher(Protocol):
    """A pure function of two Patients' traits; symmetric, and never LINKED on an identifier alone."""

    def __call__(self, a: Traits, b: Traits) -> Decision: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of rules.json. `zh` and `en` tell a clerk what it says."""

    rule: str
    band: Band | None
    most: Band | None
    when: dict[str, frozenset[str]]
    unless: dict[str, frozenset[str]]
    zh: str
    en: str

    def fits(self, levels: Mapping[str, str]) -> bool:
        wanted = all(levels[name] in names for name, names in self.when.items())
        return wanted and not any(levels[name] in names for name, names in self.unless.items())

    def decides(self, band: Band) -> Band:
        """The band of a pair whose weight says `band`."""
        if self.band is not None:
            return self.band
        return min(band, self.most or band, key=_ORDER.index)


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(files(__package__).joinpath("rules.json").read_bytes())
    return data


@cache
def rules() -> tuple[Rule, ...]:
    """The rules in the order in which they are tried."""
    return tuple(
        Rule(
            row["rule"],
            Band(row["band"]) if "band" in row else None,
            Band(row["most"]) if "most" in row else None,
            {name: frozenset(levels) for name, levels in row["when"].items()},
            {name: frozenset(levels) for name, levels in row.get("unless", {}).items()},
            row["zh"],
            row["en"],
        )
        for row in _data()["rules"]
    )


@cache
def threshold(name: str) -> float:
    """Bits from which a pair is "linked", "paired" or for "review"."""
    return float(_data()["bands"][name]["bits"])


def band_of(weight: float) -> Band:
    """What the weight alone says."""
    if weight >= threshold("linked"):
        return Band.LINKED
    return Band.REVIEW if weight >= threshold("review") else Band.APART


@lru_cache(maxsize=65536)
def ruled(names: tuple[str, ...], band: Band) -> tuple[Band, str]:
    """The band after the rules, and which decided; `names`: of each field's level, in the order of FIELDS."""
    levels = dict(zip(FIELDS, names, strict=True))
    for rule in rules():
        if rule.fits(levels):
            after = rule.decides(band)
            if rule.band is not None or after is not band:
                return after, rule.rule
    return band, BY_WEIGHT + band


@dataclass(frozen=True)
class Probabilistic:
    """The matcher of a set of weights."""

    weights: Weights = field(default_factory=shipped)

    def __call__(self, a: Traits, b: Traits) -> Decision:
        parts = self.weights.parts(a, b)
        weight = self.weights.weight(parts)
        band, rule = ruled(tuple(part.level.name for part in parts), band_of(weight))
        return Decision(band, rule, {part.field: part.level.verdict for part in parts}, weight, parts)


def decide(a: Traits, b: Traits) -> Decision:
    """What the weights that come with Xinglin say of two Patients."""
    return Probabilistic()(a, b)


__all__ = ["Band", "Decision", "Level", "Matcher", "Probabilistic", "Rule", "compare", "decide", "rules", "threshold"]
