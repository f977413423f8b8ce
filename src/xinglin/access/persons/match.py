"""Patient/$match: the records a description may mean, weighed like any two records.

Candidates come from the blocking keys, the heaviest keys first. The rule of what the caller may see is inside each
reading, before every limit: the answer is the one of a database without the others (attack case 38).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import orjson

from xinglin.access.persons.blocking import KEYS, MOST_SHARING, blocks_of, identifier_block
from xinglin.access.persons.comparisons import WEIGHED
from xinglin.access.persons.matching import Band, Decision, Probabilistic, threshold
from xinglin.access.persons.terms import Kind
from xinglin.access.persons.traits import Traits
from xinglin.access.persons.weights import Weights
from xinglin.core.store.keys import TYPE_NUMBERS
from xinglin.core.store.rows import Stored
from xinglin.core.store.visibility import Arguments, Visibility
from xinglin.kernel.database import Connection

MOST_OF_A_KEY: Final = MOST_SHARING + 1  # candidates that one key brings: one too many tells that many share it
MOST_WEIGHED: Final = 100  # candidates weighed
TELLING: Final = ("identifier", "name", "birthDate", "telecom", "address")  # without all of these nobody is meant
LEAST: Final = -6.0  # bits below which a candidate is not worth showing: one in sixty-five


class Grade(StrEnum):
    """http://terminology.hl7.org/CodeSystem/match-grade"""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A record that may be meant. `score`: chance that it is, 0 to 1; `person`: whom linked records share, or ""."""

    stored: Stored
    decision: Decision
    grade: Grade
    score: float
    person: str


async def candidates(
    connection: Connection, patient: dict[str, Any], matcher: Probabilistic, visible: Visibility
) -> list[Candidate]:
    """Those who may be seen and may be meant, the likeliest first."""
    wanted = Traits.of(patient)
    arguments = Arguments(TYPE_NUMBERS["Patient"], MOST_OF_A_KEY, MOST_WEIGHED)
    statement = _statement(wanted, matcher.weights, visible, arguments)
    if statement is None:
        return []
    found = []
    rows = await connection.fetch(statement, *arguments.values)
    crowded = set(rows[0]["crowded"]) if rows else set()
    wanted = wanted.without(frozenset(one for one in wanted.strong if identifier_block(one) in crowded))
    for row in rows:
        decision = matcher(wanted, Traits.of(orjson.loads(row["body"])))
        grade = grade_of(decision)
        if grade is not None:
            stored = Stored(
                "Patient",
                row["id"],
                row["version"],
                row["updated"],
                row["body"],
                False,
                row["person"],
                row["custodian"],
            )
            found.append(Candidate(stored, decision, grade, chance(decision.weight), row["whose"] or ""))
    return sorted(found, key=lambda one: (list(Grade).index(one.grade), -one.decision.weight, one.stored.id))


def grade_of(decision: Decision) -> Grade | None:
    """What a decision means to whoever asks; None for somebody else."""
    if decision.band is Band.LINKED:
        return Grade.CERTAIN
    if decision.rule.startswith("weight-") and decision.band is Band.APART:
        return Grade.POSSIBLE if decision.weight >= LEAST else None
    if decision.band is Band.APART:
        return None
    return Grade.PROBABLE if decision.weight >= threshold("paired") else Grade.POSSIBLE


def chance(bits: float) -> float:
    """The chance that goes with a weight: odds of two to that power."""
    odds: float = 2.0 ** max(-60.0, min(60.0, bits))
    return round(odds / (1 + odds), 4)


def certain_of(found: list[Candidate]) -> list[Candidate]:
    """The certain ones, where they are all one person; nobody where two people are (onlyCertainMatches)."""
    certain = [one for one in found if one.grade is Grade.CERTAIN]
    people = {one.person or one.stored.id for one in certain}
    return certain if len(people) == 1 else []


def key_bits(weights: Weights) -> dict[str, float]:
    """What a key of each mark weighs where two records share it: its fields, each as the same."""
    bits = {}
    for one in WEIGHED:
        levels = dict(zip((level.name for level in one.levels), weights.level_bits(one), strict=True))
        bits[one.field] = max(levels.get(name, 0.0) for name in ("same", "same-characters", "three-parts", "two-parts"))
    return {mark: sum(bits[field] for field in fields) for mark, fields in KEYS.items()}


def _statement(wanted: Traits, weights: Weights, visible: Visibility, arguments: Arguments) -> str | None:
    """From keys and, where little is known, the whole name, to the records themselves.

    A key that brings as many as it may (an address of a barracks) says little, and which of them it brings is chance:
    it counts only where no other key brings anybody. An identifier that so many hold is nobody's.
    """
    marks, bits = blocks_of(wanted), key_bits(weights)
    names = sorted(wanted.spelt) if len(wanted.birth) < 8 and not wanted.phones else []
    if not marks and not names:
        return None
    blocks = arguments.bind(list(marks))
    weighs = arguments.bind([bits[mark] for mark in marks.values()])
    spelt, kind = arguments.bind(names), arguments.bind(int(Kind.SPELLING))
    seen = f"r.type = $1 AND NOT r.deleted AND {visible.predicate('r', arguments.bind)}"
    return f"""
WITH sharing AS (
SELECT hit.patient, k.block, k.bits, count(*) OVER (PARTITION BY k.block) AS many
  FROM unnest({blocks}::bigint[], {weighs}::float8[]) AS k(block, bits)
 CROSS JOIN LATERAL (
       SELECT b.patient FROM person_block b JOIN resource r ON r.key = b.patient
        WHERE b.block = k.block AND {seen} ORDER BY b.patient LIMIT $2) hit
), named AS (
SELECT hit.patient
  FROM unnest({spelt}::text[]) AS n(term)
 CROSS JOIN LATERAL (
       SELECT t.patient FROM person_term t JOIN resource r ON r.key = t.patient
        WHERE t.kind = {kind} AND t.term = n.term AND {seen} ORDER BY t.patient LIMIT $2) hit
)
SELECT r.id, r.version, r.updated, r.body, r.person, r.custodian, link.person AS whose,
       ARRAY(SELECT block FROM sharing WHERE many >= $2 GROUP BY block) AS crowded
  FROM (SELECT patient, max(bits) AS bits
          FROM (SELECT patient, bits FROM sharing
                 WHERE many < $2 OR NOT EXISTS (SELECT 1 FROM sharing WHERE many < $2)
                UNION ALL SELECT patient, 0 FROM named) hits
         GROUP BY patient ORDER BY bits DESC, patient LIMIT $3) top
  JOIN resource r ON r.key = top.patient
  LEFT JOIN person_link link ON link.patient = top.patient
"""  # noqa: S608
