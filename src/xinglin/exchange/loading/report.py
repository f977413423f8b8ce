"""What a load did: counts by type, and each refusal with its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from xinglin.kernel.errors import Issue, Problem

KEPT_REFUSALS = 100_000
"""Refusals kept in the report; beyond this they are only counted, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing not stored. `line` counts from 1 (None: the whole file), `entry` from 0 as FHIRPath does."""

    source: str
    text: str
    line: int | None = None
    entry: int | None = None
    expression: str | None = None

    @property
    def place(self) -> str:
        """As compilers write it, so that editors jump there: file:line, then the entry."""
        line = "" if self.line is None else f":{self.line}"
        entry = "" if self.entry is None else f" entry[{self.entry}]"
        return f"{self.source}{line}{entry}"

    def sentence(self) -> str:
        expression = f" {self.expression}:" if self.expression else ""
        return f"{self.place}:{expression} {self.text}"

    def as_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in ("source", "line", "entry", "expression", "text")}
        return {name: value for name, value in values.items() if value is not None}


def refusals_of(problem: Problem, source: str, line: int | None, entry: int | None = None) -> list[Refusal]:
    return [refusal_of(issue, source, line, entry) for issue in problem.issues]


def refusal_of(issue: Issue, source: str, line: int | None, entry: int | None = None) -> Refusal:
    text = f"{issue.text} {issue.remedy}" if issue.remedy else issue.text
    return Refusal(source, text, line, entry, issue.expression)


@dataclass(slots=True)
class Report:
    """Sums that several workers' parts add up to."""

    created: Counter[str] = field(default_factory=Counter)
    updated: Counter[str] = field(default_factory=Counter)
    unchanged: Counter[str] = field(default_factory=Counter)
    deleted: Counter[str] = field(default_factory=Counter)
    refused: list[Refusal] = field(default_factory=list)
    refused_total: int = 0
    refused_resources: int = 0

    def refuse(self, refusals: Iterable[Refusal], resources: int) -> None:
        """Note why `resources` resources were not stored."""
        self.refused_resources += resources
        for refusal in refusals:
            self.refused_total += 1
            if len(self.refused) < KEPT_REFUSALS:
                self.refused.append(refusal)

    def add(self, other: Report) -> None:
        self.created.update(other.created)
        self.updated.update(other.updated)
        self.unchanged.update(other.unchanged)
        self.deleted.update(other.deleted)
        self.refused.extend(other.refused[: KEPT_REFUSALS - len(self.refused)])
        self.refused_total += other.refused_total
        self.refused_resources += other.refused_resources

    @property
    def resources(self) -> int:
        """Resources dealt with and stored, whether they changed anything or not."""
        return sum(sum(part.values()) for part in (self.created, self.updated, self.unchanged, self.deleted))

    def as_json(self) -> dict[str, Any]:
        return {
            "resources": self.resources,
            "created": dict(sorted(self.created.items())),
            "updated": dict(sorted(self.updated.items())),
            "unchanged": dict(sorted(self.unchanged.items())),
            "deleted": dict(sorted(self.deleted.items())),
            "refused_resources": self.refused_resources,
            "refusals": self.refused_total,
            "refused": [refusal.as_json() for refusal in self.refused],
        }
