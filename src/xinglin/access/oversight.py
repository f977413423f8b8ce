"""What the privacy officer judges: emergencies, questions why somebody looked, and corrections that a person asks for.

Each is a Task of the institution that it concerns, readable by its privacy officer and by the person
(categories.OVERSIGHT): status requested until it is judged, businessStatus the finding, note the words. A correction is
judged here and made where the record is kept, by who may write it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.audit import Access, record
from xinglin.access.categories import OVERSIGHT_SYSTEM
from xinglin.access.principal import NODE, Principal, Role
from xinglin.access.records import Records, Stored, Write
from xinglin.core.schema.decode import parse
from xinglin.core.store.keys import hash64, key_of
from xinglin.kernel import clock
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, NotFound

REVIEW: Final = "emergency-review"
CHALLENGE: Final = "challenge"
CORRECTION: Final = "correction"
LOOKS: Final = (REVIEW, CHALLENGE)
JUSTIFIED: Final = "justified"
NOT_JUSTIFIED: Final = "not-justified"
CORRECTED: Final = "corrected"
REFUSED: Final = "refused"
FINDINGS: Final = {
    REVIEW: (JUSTIFIED, NOT_JUSTIFIED),
    CHALLENGE: (JUSTIFIED, NOT_JUSTIFIED),
    CORRECTION: (CORRECTED, REFUSED),
}
LONGEST: Final = 2000
MOST_SHOWN: Final = 200


@cache
def rules() -> dict[str, Any]:
    """Times and limits of data/emergency.json."""
    data: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath("data/emergency.json").read_bytes())
    return data


@cache
def reasons() -> dict[str, tuple[str, str]]:
    """Reasons of an emergency: code to its Chinese and English."""
    return {row["code"]: (row["zh"], row["en"]) for row in rules()["reasons"]}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A Task of this file, as pages show it. `words`: what the clinician, or the person, wrote. Times as FHIR instants.

    finding: "" while it waits. focus: what it is about; `entry`: number of the line in the access log, for a challenge.
    """

    id: str
    kind: str
    patient: str
    patient_name: str
    who: str
    login: str
    reason: str
    words: str
    opened: str
    due: str
    finding: str
    answer: str
    answered: str
    focus: str
    entry: int | None
    version: int

    @property
    def overdue(self) -> bool:
        return not self.finding and self.due < clock.instant(clock.micros(clock.now()))


def review_task(principal: Principal, patient: str, notice: str, reason: str, words: str) -> dict[str, Any]:
    """What the privacy officer will find in the queue about an emergency access that begins now."""
    task = _task(REVIEW, patient, rules()["review"]["days"], words, principal.login, principal.name)
    return task | {
        "focus": {"reference": notice},
        "requester": {"reference": f"Practitioner/{principal.practitioner}", "display": principal.name},
        "reasonCode": {"coding": [{"system": f"{OVERSIGHT_SYSTEM}-reason", "code": reason}]},
    }


def _task(kind: str, patient: str, days: int, words: str, login: str, who: str) -> dict[str, Any]:
    now = clock.now()
    return {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": OVERSIGHT_SYSTEM, "code": kind}]},
        "for": {"reference": f"Patient/{patient}"},
        "authoredOn": clock.instant(clock.micros(now)),
        "restriction": {"period": {"end": clock.instant(clock.micros(now + timedelta(days=days)))}},
        "description": words,
        "input": [
            {"type": {"coding": [{"system": OVERSIGHT_SYSTEM, "code": "account"}]}, "valueString": login},
            {"type": {"coding": [{"system": OVERSIGHT_SYSTEM, "code": "name"}]}, "valueString": who},
        ],
    }


async def refuse_repeated_misuse(records: Records) -> None:
    """Raises Forbidden for whoever was found to have broken the glass without reason too often of late."""
    limit = rules()["misuse"]
    since = (clock.now() - timedelta(days=limit["days"])).date().isoformat()
    query = (
        f"code={OVERSIGHT_SYSTEM}|{REVIEW}&requester=Practitioner/{records.principal.practitioner}"
        f"&status=completed&business-status={OVERSIGHT_SYSTEM}|{NOT_JUSTIFIED}&modified=ge{since}&_count=20"
    )
    found = await Records(records.house, NODE, why="emergency access").search("Task", query)
    if len(found.matches) >= limit["not_justified"]:
        raise Forbidden(
            f"Emergency access is closed to you: {len(found.matches)} of yours were found not justified in "
            f"{limit['days']} days.",
            code="suppressed",
            remedy=limit["remedy"],
        )


# the person asks ------------------------------------------------------------------------------------------------------


async def challenge(records: Records, seq: int, words: str) -> Stored:
    """The person asks why somebody looked (a line of their access list). NotFound where it is none of theirs."""
    who = records.principal
    if who.role is not Role.PATIENT:
        raise Forbidden("The person whose record it is asks.")
    if not words.strip() or len(words) > LONGEST:
        raise Invalid("Say in a few words what you want to know.", code="required", expression="words")
    found = await records.audit_trail(count=1, before=seq + 1)
    if not found or found[0].seq != seq:
        raise NotFound("There is no such line in your access list.")
    entry = found[0]
    patient = next((id for id in who.patients if key_of("Patient", id) == entry.person), who.patients[0])
    task = _task(CHALLENGE, patient, rules()["challenge"]["days"], words.strip(), entry.login, entry.name)
    task |= {
        "id": f"challenge-{entry.seq}",
        "focus": {"reference": f"AuditEvent/a{entry.seq}"},
        "requester": {"reference": f"Patient/{patient}"},
    }
    return await _asked(records, CHALLENGE, entry.person, entry.institution, task)


async def ask_correction(records: Records, type: str, id: str, words: str) -> Stored:
    """The person says what is wrong in an entry of their record (PIPL art. 46). NotFound where it is none of theirs."""
    who = records.principal
    if who.role is not Role.PATIENT:
        raise Forbidden("The person whose record it is asks.")
    if not words.strip() or len(words) > LONGEST:
        raise Invalid("Say what is wrong, and what it should say.", code="required", expression="words")
    found = await records.read(type, id)
    patient = next((own for own in who.patients if key_of("Patient", own) == found.person), None)
    if patient is None or found.type == "Task":
        raise NotFound(f"There is no {type}/{id} in your record.", remedy="Ask from the entry in your record.")
    task = _task(CORRECTION, patient, rules()["correction"]["days"], words.strip(), who.login, who.name)
    task |= {
        "id": f"correction-{hash64(found.reference) % 2**64:x}-{found.version}",
        "focus": {"reference": found.reference},
        "requester": {"reference": f"Patient/{patient}"},
    }
    return await _asked(records, CORRECTION, found.person, "", task, of=found.custodian)


async def _asked(
    records: Records, kind: str, person: int, holder: str, task: dict[str, Any], *, of: int | None = None
) -> Stored:
    """Written by the node for the person, into the keeping of the institution that it concerns.

    holder: the institution's id; without one, the custodian with the key `of`, or of the person's own Patient.
    """
    limit = rules()["challenge"]["most_open"]
    async with records.house.database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", hash64(f"challenge {person}"))
        rows = await connection.fetch(
            "SELECT r.id, r.body FROM resource r WHERE r.key = $1 AND NOT r.deleted", key_of("Task", task["id"])
        )
        if rows:
            raise Conflict("You have asked about this already.", remedy="Read the answer below it.")
        mine = await judgements(records, (kind,), open_only=True)
        if len(mine) >= limit:
            raise Forbidden(f"{limit} of your questions are not answered yet.", remedy="Wait for the answers.")
        holder = holder or await connection.fetchval(
            "SELECT o.id FROM resource o"
            " WHERE o.key = coalesce($2, (SELECT p.custodian FROM resource p WHERE p.key = $1))",
            person,
            of or None,
        )
        node = Records(records.house, NODE, why="asked by the person")
        outcomes = await node.write_within(connection, [Write("PUT", "Task", task["id"], task)], holder)
        await record(connection, [Access(records.principal, kind, f"Task/{task['id']}", (person,))])
    assert outcomes[0].stored is not None
    return outcomes[0].stored


# judging --------------------------------------------------------------------------------------------------------------


async def judgements(
    records: Records, kinds: Sequence[str] = tuple(FINDINGS), *, open_only: bool = False
) -> list[Judgement]:
    """What the caller may see of these kinds: those that wait first, the most urgent before the others."""
    code = ",".join(f"{OVERSIGHT_SYSTEM}|{kind}" for kind in kinds)
    status = "&status=requested" if open_only else ""
    found = await records.search("Task", f"code={code}{status}&_sort=-authored-on&_count={MOST_SHOWN}")
    shown = [_judgement(parse(stored.body), stored.version) for stored in found.matches]
    return sorted((one for one in shown if not one.finding), key=lambda one: one.due) + [
        one for one in shown if one.finding
    ]


async def judgement(records: Records, id: str) -> Judgement:
    """One of them. NotFound for a Task of another kind."""
    stored = await records.read("Task", id)
    task = parse(stored.body)
    if _kind(task) not in FINDINGS:
        raise NotFound(f"There is no review {id}.")
    return _judgement(task, stored.version)


async def judge(records: Records, id: str, version: int, finding: str, words: str) -> Judgement:
    """The privacy officer's finding: once, in words that the person reads."""
    if records.principal.role is not Role.PRIVACY:
        raise Forbidden("The institution's privacy officer judges accesses.")
    if not words.strip() or len(words) > LONGEST:
        raise Invalid("Say in a few words why.", code="required", expression="words")
    stored = await records.read("Task", id)
    task = parse(stored.body)
    if _kind(task) not in FINDINGS:
        raise NotFound(f"There is no review {id}.")
    if finding not in FINDINGS[_kind(task)]:
        raise Invalid("Say what you found.", code="required", expression="finding")
    if task["status"] != "requested":
        raise Conflict("This has been judged already.", remedy="Read the finding.")
    now = clock.instant(clock.micros(clock.now()))
    task |= {
        "status": "completed",
        "businessStatus": {"coding": [{"system": OVERSIGHT_SYSTEM, "code": finding}]},
        "note": [{"authorString": records.principal.name, "time": now, "text": words.strip()}],
        "lastModified": now,
    }
    outcomes = await records.write([Write("PUT", "Task", id, task, if_match=version)])
    assert outcomes[0].stored is not None
    return _judgement(task, outcomes[0].stored.version)


def _judgement(task: dict[str, Any], version: int) -> Judgement:
    said = {_code(one.get("type")): str(one.get("valueString", "")) for one in task.get("input", ())}
    note: dict[str, Any] = next(iter(task.get("note", ())), {})
    focus = str(task.get("focus", {}).get("reference", ""))
    return Judgement(
        id=str(task["id"]),
        kind=_kind(task),
        patient=str(task.get("for", {}).get("reference", "")).removeprefix("Patient/"),
        patient_name=str(task.get("for", {}).get("display", "")),
        who=said.get("name", ""),
        login=said.get("account", ""),
        reason=_code(task.get("reasonCode")),
        words=str(task.get("description", "")),
        opened=str(task.get("authoredOn", "")),
        due=str(task.get("restriction", {}).get("period", {}).get("end", "")),
        finding=_finding(task),
        answer=str(note.get("text", "")),
        answered=str(note.get("time", "")),
        focus=focus,
        entry=int(focus[12:]) if focus.startswith("AuditEvent/a") and focus[12:].isdecimal() else None,
        version=version,
    )


def _kind(task: dict[str, Any]) -> str:
    codings: Sequence[dict[str, Any]] = task.get("code", {}).get("coding", ())
    return next((str(one.get("code", "")) for one in codings if one.get("system") == OVERSIGHT_SYSTEM), "")


def _finding(task: dict[str, Any]) -> str:
    return _code(task.get("businessStatus")) if task.get("status") == "completed" else ""


def _code(concept: dict[str, Any] | None) -> str:
    return next((str(coding.get("code", "")) for coding in (concept or {}).get("coding", ())), "")


def ends_at(starts: datetime) -> datetime:
    """When an emergency access that starts now ends."""
    return starts + timedelta(hours=rules()["hours"])


def concerns(person: int, case: Judgement) -> bool:
    """Whether a line of the log is about the person of a case."""
    return person == key_of("Patient", case.patient)


def micros_of(instant: str) -> int:
    """A FHIR instant in microseconds since 1970."""
    return clock.micros(datetime.fromisoformat(instant))
