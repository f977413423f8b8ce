"""What of a person's record must be kept, until when, and by which article: the periods are data/retention.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.policy import authors_of
from xinglin.core.search.values import date_range
from xinglin.core.store.rows import Stored
from xinglin.kernel import clock

NOTHING_KEEPS: Final = 0
OWN_WORDS: Final = "own-words"
OUTPATIENT: Final = "outpatient"
INPATIENT: Final = "inpatient"


@dataclass(frozen=True, slots=True)
class Rule:
    """Records of one kind are kept for `years`; `source` is the article that says so."""

    id: str
    what: str
    years: int
    source: str


@dataclass(frozen=True, slots=True)
class Held:
    """One resource, the rule it falls under, and until when that keeps it (microseconds since 1970; 0: not at all)."""

    reference: str
    rule: Rule
    until: int

    def may_go(self, now: int) -> bool:
        return self.until <= now


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath("data/retention.json").read_bytes())
    return data


@cache
def rules() -> Mapping[str, Rule]:
    return {row["id"]: Rule(**row) for row in _data()["rules"]}


def held(record: Sequence[tuple[Stored, Mapping[str, Any]]], patient: str) -> list[Held]:
    """The rule and the day for each resource of one person at one institution (versions with their parsed bodies).

    A medical record is one: all of it is kept as long as its longest period, the inpatient one counted from the last
    discharge and the outpatient one from the last visit, or where no visit is recorded from the newest change. An
    inpatient stay that has not ended keeps everything.
    """
    keeping = [_period(record, INPATIENT), _period(record, OUTPATIENT)]
    rule, until = max((found for found in keeping if found), key=lambda found: found[1])
    own = rules()[OWN_WORDS]
    return [
        Held(stored.reference, own, NOTHING_KEEPS)
        if said_by(body, patient)
        else Held(stored.reference, rule, until)
        for stored, body in record
    ]  # fmt: skip


def said_by(resource: Mapping[str, Any], patient: str) -> bool:
    """Whether the patient, and nobody else, is named as who said it."""
    return set(authors_of(resource)) == {f"Patient/{patient}"}


def _period(record: Sequence[tuple[Stored, Mapping[str, Any]]], kind: str) -> tuple[Rule, int] | None:
    """The rule and until when it keeps the record; None where it has no stay to count from."""
    rule = rules()[kind]
    ends = [_ended(body) for _, body in record if body["resourceType"] == "Encounter" and _kind(body) == kind]
    if not ends and kind == INPATIENT:
        return None
    last = max(ends) if ends else max(stored.updated for stored, _ in record)
    return rule, _years_later(last, rule.years)


def _kind(encounter: Mapping[str, Any]) -> str:
    code = encounter.get("class", {}).get("code", "")
    return INPATIENT if code in _data()["inpatient_classes"] else OUTPATIENT


def _ended(encounter: Mapping[str, Any]) -> int:
    """When a visit ended; now where it has not, or does not say."""
    period = encounter.get("period", {})
    written = period.get("end") or (period.get("start") if _kind(encounter) == OUTPATIENT else None)
    return date_range(written)[1] if written else clock.micros(clock.now())


def _years_later(moment: int, years: int) -> int:
    start = datetime.fromtimestamp(moment / 1_000_000, UTC)
    month, day = (2, 28) if (start.month, start.day) == (2, 29) else (start.month, start.day)
    return clock.micros(start.replace(year=start.year + years, month=month, day=day))
