"""A line as an AuditEvent, after IHE's Basic Audit Log Patterns (BALP 1.1: PatientRead, PatientQuery, PatientCreate,
PatientUpdate, PatientDelete, those without a patient, and PrivacyDisclosure at the source).

As BALP asks, an access that showed several people's data is one event for each of them; the transaction's number
ties them together. What is not recorded (network addresses) and what the reader may not see (whose data it was) is
said to be absent, not left out. https://profiles.ihe.net/ITI/BALP/
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from xinglin.access.audit.lines import ACTIONS, SUCCESS
from xinglin.access.audit.reading import AccessEntry
from xinglin.kernel import clock

REST: Final = {
    "system": "http://terminology.hl7.org/CodeSystem/audit-event-type",
    "code": "rest",
    "display": "Restful Operation",
}
DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
EXPORT: Final = {"system": DCM, "code": "110106", "display": "Export"}
IMPORT: Final = {"system": DCM, "code": "110107", "display": "Import"}
SOURCE: Final = {"system": DCM, "code": "110153", "display": "Source Role ID"}
DESTINATION: Final = {"system": DCM, "code": "110152", "display": "Destination Role ID"}
PARTICIPATION: Final = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
CUSTODIAN: Final = {"system": "http://snomed.info/sct", "code": "159541003", "display": "Record keeping/library clerk"}
DISCLOSE: Final = {"system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "code": "disclose"}
INTERACTION: Final = "http://hl7.org/fhir/restful-interaction"
OWN: Final = "https://xinglin.example/fhir/CodeSystem"
RESTFUL: Final = frozenset(
    ("read", "vread", "update", "patch", "delete", "history", "create", "search", "transaction", "batch", "operation")
)
ENTITY: Final = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
PERSON: Final = {"system": ENTITY, "code": "1", "display": "Person"}
OBJECT: Final = {"system": ENTITY, "code": "2", "display": "System Object"}
BALP: Final = "https://profiles.ihe.net/ITI/BALP"
TRANSACTION: Final = {"system": f"{BALP}/CodeSystem/BasicAuditEntityType", "code": "XrequestId"}
ROLE: Final = "http://terminology.hl7.org/CodeSystem/object-role"
PROFILE: Final = f"{BALP}/StructureDefinition/IHE.BasicAudit."
PURPOSE: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
PROFILES: Final = {"R": "Read", "E": "Query", "C": "Create", "U": "Update", "D": "Delete"}
BASIS: Final = "https://xinglin.example/fhir/legal-basis/"


def audit_event(
    entry: AccessEntry, patient: str | None, *, custodians: Mapping[int, str] | None = None, site: str = "xinglin"
) -> dict[str, Any]:
    """The line as a FHIR R4 AuditEvent.

    patient: the person's reference, where the reader may see it. custodians: ids of Organizations by their keys.
    site: the name of the node.
    """
    node = {"identifier": {"value": site}, "display": "Xinglin"}
    profile = _profile(entry)
    return {
        "resourceType": "AuditEvent",
        "id": f"a{entry.seq}",
        **({"meta": {"profile": [profile]}} if profile else {}),
        "type": EXPORT if entry.disclosed else IMPORT if entry.interaction == "import" else REST,
        "subtype": [*([DISCLOSE] if entry.disclosed else []), _subtype(entry.interaction)],
        "action": "R" if entry.disclosed else ACTIONS.get(entry.interaction, "E"),
        "recorded": clock.instant(entry.at),
        "outcome": str(entry.outcome),
        **({"outcomeDesc": entry.why} if entry.why else {}),
        **({"purposeOfEvent": [_purpose(entry)]} if entry.purpose else {}),
        "agent": [*_ends(entry, node), *_people(entry), *_custodians(entry, custodians or {})],
        "source": {
            "site": site,
            "observer": node,
            "type": [{"system": "http://terminology.hl7.org/CodeSystem/security-source-type", "code": "4"}],
        },
        "entity": _entities(entry, patient),
    }


def _subtype(interaction: str) -> dict[str, str]:
    return {"system": INTERACTION if interaction in RESTFUL else f"{OWN}/interaction", "code": interaction}


def _profile(entry: AccessEntry) -> str:
    """The BALP profile that the event keeps to; those of successful accesses only, as BALP says."""
    if entry.outcome != SUCCESS or entry.erased:
        return ""
    if entry.disclosed:
        return f"{PROFILE}PrivacyDisclosure.Source"
    if entry.interaction not in ("read", "vread", "search", "create", "update", "delete"):
        return ""
    if entry.interaction != "search" and "/" not in entry.target:
        return ""
    return f"{PROFILE}{'Patient' if entry.person else ''}{PROFILES[ACTIONS[entry.interaction]]}"


def _purpose(entry: AccessEntry) -> dict[str, Any]:
    return {"coding": [{"system": PURPOSE, "code": entry.purpose}]}


def _absent(why: str) -> dict[str, Any]:
    return {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": why}]}


def _ends(entry: AccessEntry, node: dict[str, Any]) -> list[dict[str, Any]]:
    """The program that asked and the node that answered. What is read flows from the node to the program."""
    reading = entry.disclosed or entry.interaction in ("read", "vread", "history")
    program = entry.client or (entry.login if entry.role == "system" else "")
    asking = {"identifier": {"value": program}} if program else {"display": "Xinglin's own pages"}
    if entry.disclosed and entry.institution:
        asking = {"reference": f"Organization/{entry.institution}"}
    answered = {"address": node["identifier"]["value"], "type": "5"}
    return [
        _end(DESTINATION if reading else SOURCE, asking, _absent("unknown")),
        _end(SOURCE if reading else DESTINATION, node, answered),
    ]


def _end(kind: dict[str, str], who: dict[str, Any], network: dict[str, Any]) -> dict[str, Any]:
    return {"type": {"coding": [kind]}, "who": who, "requestor": False, "network": network}


def _people(entry: AccessEntry) -> list[dict[str, Any]]:
    """Who asked: in which role, for which institution, on which legal basis, for whom where a guardian asked."""
    code = {"C": "AUT", "U": "AUT", "D": "CST"}.get(ACTIONS.get(entry.interaction, "E"), "IRCP")
    if entry.erased:
        return [{"type": _participation(code), "who": _absent("masked"), "requestor": True}]
    who = {"identifier": {"value": entry.login}, "display": entry.name}
    person: dict[str, Any] = {
        "type": _participation(code),
        "role": [{"coding": [{"system": f"{OWN}/role", "code": entry.role}]}],
        "who": {"reference": entry.agent, **who} if entry.agent else who,
        "altId": entry.login,
        "name": entry.name,
        "requestor": True,
        **({"policy": [BASIS + entry.basis]} if entry.basis else {}),
        "purposeOfUse": [_purpose(entry)],
    }
    if entry.institution:
        person["extension"] = [_of_institution(entry.institution)]
    ward = {"type": _participation("SBJ"), "who": {"reference": entry.behalf}, "requestor": False}
    return [person, *([ward] if entry.behalf else [])]


def _of_institution(institution: str) -> dict[str, Any]:
    """For whom somebody asked: R4's agents have no element for it."""
    return {
        "url": "https://xinglin.example/fhir/StructureDefinition/agent-institution",
        "valueReference": {"reference": f"Organization/{institution}"},
    }


def _participation(code: str) -> dict[str, Any]:
    return {"coding": [{"system": PARTICIPATION, "code": code}]}


def _custodians(entry: AccessEntry, known: Mapping[int, str]) -> list[dict[str, Any]]:
    """The institutions that hold what was shown, where the event is a disclosure of theirs or they are known."""
    kind = {"coding": [CUSTODIAN]}
    names = sorted(known[key] for key in entry.custodians if key in known)
    return [{"type": kind, "who": {"reference": f"Organization/{name}"}, "requestor": False} for name in names]


def _entities(entry: AccessEntry, patient: str | None) -> list[dict[str, Any]]:
    """What was asked for, whose it was, and the number that all lines of one access share."""
    if entry.erased:
        return [{"type": OBJECT, "what": _absent("masked")}, _transaction(entry)]
    found = [_asked(entry)]
    if entry.person and (patient or entry.outcome == SUCCESS):  # of a refusal, no word whether there was anything
        what = {"reference": patient} if patient else _absent("masked")
        found.append({"what": what, "type": PERSON, "role": _role("1", "Patient")})
    return [*found, _transaction(entry)]


def _transaction(entry: AccessEntry) -> dict[str, Any]:
    return {"what": {"identifier": {"value": entry.event}}, "type": TRANSACTION}


def _asked(entry: AccessEntry) -> dict[str, Any]:
    """The resource, or the search: of which only the names of parameters are kept."""
    if entry.interaction == "search":
        query = b64encode(entry.target.encode()).decode()
        return {"type": OBJECT, "role": _role("24", "Query"), "description": entry.target, "query": query}
    role = _role("4", "Domain Resource")
    if _is_reference(entry.target):
        return {"what": {"reference": entry.target}, "type": OBJECT, "role": role}
    return {"type": OBJECT, "role": role, "name": entry.target or "unknown"}


def _is_reference(target: str) -> bool:
    type_name, slash, id = target.partition("/")
    return bool(slash and id) and type_name.isalpha() and "*" not in target and " " not in target


def _role(code: str, display: str) -> dict[str, str]:
    return {"system": ROLE, "code": code, "display": display}
