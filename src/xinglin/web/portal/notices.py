"""What a person is told and asked: emergency accesses, and clinicians' requests for consent.

Both are resources that somebody else wrote (a Communication, a Task); a person answers with a Communication of their
own about them, which the institution that asked sees as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from xinglin.access.emergencies import EMERGENCY_NOTICE
from xinglin.access.records import Records, Write
from xinglin.access.sharing import CONSENT_REQUEST
from xinglin.core.schema.decode import parse
from xinglin.kernel import clock
from xinglin.web.chart.gather import gather_type
from xinglin.web.chart.words import Resource, codes
from xinglin.web.directory import Directory
from xinglin.web.wording import emergency_reason

ANSWERS: Final = "https://xinglin.example/fhir/CodeSystem/answer"
NOTICE_CODE: Final = EMERGENCY_NOTICE.partition("|")[2]


@dataclass(frozen=True, slots=True)
class Emergency:
    """An emergency access: who opened the record, for which institution, why, from when until when."""

    id: str
    who: str
    institution: str
    why: str
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Request:
    """`grantee` asks for what `custodian` holds (ids of institutions). `patient`: whom the request names."""

    id: str
    grantee: str
    custodian: str
    patient: str
    message: str
    when: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for the person's eye or answer, newest first."""

    emergencies: tuple[Emergency, ...]
    requests: tuple[Request, ...]


async def waiting(records: Records, directory: Directory) -> Waiting:
    """Notices not yet seen and requests not yet answered."""
    patients = records.principal.patients
    told = await gather_type(records, patients, "Communication", directory.named, count=200)
    asked = await records.search("Task", f"code={CONSENT_REQUEST}&status=requested&_count=50&_sort=-authored-on")
    done = answered(item.resource for item in told.items)
    emergencies = [
        emergency(item.resource, item.institution_name)
        for item in told.items
        if is_emergency(item.resource) and f"Communication/{item.resource['id']}" not in done
    ]
    requests = [
        _request(parse(stored.body), directory.named(stored.custodian)[0])
        for stored in asked.matches
        if stored.reference not in done
    ]
    return Waiting(tuple(sorted(emergencies, key=lambda one: one.start, reverse=True)), tuple(requests))


def is_emergency(communication: Resource) -> bool:
    return any(NOTICE_CODE in codes(category) for category in communication.get("category", ()))


def answered(communications: Iterable[Resource]) -> set[str]:
    """References that the person has answered, or said to have seen."""
    return {
        reference["reference"]
        for communication in communications
        if any(coding.get("system") == ANSWERS for c in communication.get("category", ()) for coding in c["coding"])
        for reference in communication.get("about", ())
        if "reference" in reference
    }


def emergency(communication: Resource, institution: str) -> Emergency:
    reason = next(iter(communication.get("reasonCode", ())), {})
    why = next(iter(codes(reason)), "")
    said = next((str(part.get("contentString", "")) for part in communication.get("payload", ())), "")
    who, _dot, end = said.rpartition(" · ")
    return Emergency(
        id=str(communication["id"]),
        who=who or said,
        institution=institution,
        why=emergency_reason(f"{why}: {reason.get('text', '')}"),
        start=str(communication.get("sent", "")),
        end=end,
    )


def _request(task: Mapping[str, Any], grantee: str) -> Request:
    return Request(
        id=str(task["id"]),
        grantee=grantee,
        custodian=str(task.get("focus", {}).get("reference", "")).removeprefix("Organization/"),
        patient=str(task.get("for", {}).get("reference", "")).removeprefix("Patient/"),
        message=str(task.get("description", "")),
        when=str(task.get("authoredOn", "")),
    )


async def request_of(records: Records, directory: Directory, task_id: str) -> Request:
    """The request for consent of this id. NotFound where it is none, or not the person's."""
    stored = await records.read("Task", task_id)
    return _request(parse(stored.body), directory.named(stored.custodian)[0])


def answer_of(about: str, patient: str, code: str) -> Write:
    """That the person has seen, allowed or declined what `about` names, to be written."""
    communication = {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [{"system": ANSWERS, "code": code}]}],
        "subject": {"reference": f"Patient/{patient}"},
        "sender": {"reference": f"Patient/{patient}"},
        "about": [{"reference": about}],
        "sent": clock.instant(clock.micros(clock.now())),
    }
    return Write("POST", "Communication", resource=communication)
