"""A line as FHIR AuditEvent."""

from __future__ import annotations

from typing import Any

from xinglin.access.audit.lines import ACTIONS
from xinglin.access.audit.reading import AccessEntry
from xinglin.kernel import clock


def audit_event(entry: AccessEntry, patient: str | None) -> dict[str, Any]:
    """The line as a FHIR R4 AuditEvent in the manner of IHE BALP; `patient`: the person's reference, if known."""
    action = ACTIONS.get(entry.interaction, "E")
    entities = [{"what": {"reference": entry.target}}] if "/" in entry.target else [{"name": entry.target}]
    if patient:
        role = {
            "system": "http://terminology.hl7.org/CodeSystem/object-role",
            "code": "1",
            "display": "Patient",
        }
        entities.append({"what": {"reference": patient}, "role": role})  # type: ignore[dict-item]
    agent: dict[str, Any] = {
        "who": {"identifier": {"value": entry.login}, "display": entry.name},
        "role": [{"text": entry.role}],
        "requestor": True,
    }
    if entry.institution:
        agent["location"] = {"display": entry.institution}
    return {
        "resourceType": "AuditEvent",
        "id": f"a{entry.seq}",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": entry.interaction}],
        "action": action,
        "recorded": clock.instant(entry.at),
        "outcome": str(entry.outcome),
        **({"outcomeDesc": entry.why} if entry.why else {}),
        "purposeOfEvent": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": entry.purpose}]}
        ],
        "agent": [agent],
        "source": {"observer": {"display": "Xinglin"}},
        "entity": entities,
    }
