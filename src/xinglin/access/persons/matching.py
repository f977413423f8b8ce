"""Whether two Patients are one person: linked, apart, or for a clerk to say.

`Matcher` is the place of probabilistic matching: anything that decides about two Traits can stand here.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import orjson

from xinglin.access.persons.traits import Traits, Verdict, compare


class Band(StrEnum):
    LINKED = "linked"
    REVIEW = "review"
    APART = "apart"


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a pair, by which rule, and how each field compared."""

    band: Band
    rule: str
    fields: dict[str, Verdict]


class Matcher(Protocol):
    """A pure function of two Patients' traits; symmetric, and never LINKED on an identifier alone."""

    def __call__(self, a: Traits, b: Traits) -> Decision: ...


@dataclass(frozen=True, slots=True)
class Rule:
    """A line of rules.json. `zh` and `en` tell a clerk what it says."""

    rule: str
    band: Band
    when: dict[str, list[str]]
    any: dict[str, list[str]]
    zh: str
    en: str

    def fits(self, fields: dict[str, Verdict]) -> bool:
        all_of = all(fields[field] in verdicts for field, verdicts in self.when.items())
        return all_of and (not self.any or any(fields[field] in verdicts for field, verdicts in self.any.items()))


@cache
def rules() -> tuple[Rule, ...]:
    """The rules in the order in which they are tried."""
    data: dict[str, Any] = orjson.loads(files(__package__).joinpath("rules.json").read_bytes())
    return tuple(
        Rule(row["rule"], Band(row["band"]), row["when"], row.get("any", {}), row["zh"], row["en"])
        for row in data["rules"]
    )


def decide(a: Traits, b: Traits) -> Decision:
    """The first rule that fits the two; apart where none does."""
    fields = compare(a, b)
    for rule in rules():
        if rule.fits(fields):
            return Decision(rule.band, rule.rule, fields)
    return Decision(Band.APART, "nothing-in-common", fields)
