"""What a principal is told does not depend on what they may not see.

A small county is generated: two institutions, four Patients of whom some are one person, resources with labels and
versions, consents, an emergency. A principal asks through the whole FHIR door; then everything that they may not see,
by the slow and obvious reading of the rules below, is taken out of the database, and they ask again. Every answer must
be the same: status, headers, links, totals, order, texts. The texts of page tokens and fresh ids are set aside.

Long, because what is held, who asks, the rules and the questions are read beside each other.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, given, note, settings
from hypothesis import strategies as st

from consent_twin import CARE, ROLES, Asking, Thing, closed_at_home, opened
from xinglin.access.audit import AuditWriter
from xinglin.access.bulk import filter_of, patient_keys, read_removed, read_stretch
from xinglin.access.grants import PERSON, Grant, rank, store_grants
from xinglin.access.house import House
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.rest.door import Door
from xinglin.core.search import plan
from xinglin.core.search.walking import Extent
from xinglin.core.store.keys import key_of
from xinglin.exchange.bulk.operations import OPERATIONS as BULK
from xinglin.exchange.crossreference.operations import OPERATIONS as CROSSREFERENCE
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Database

EXAMPLES = int(os.environ.get("XINGLIN_EXAMPLES", "60"))
PHASES = [Phase.explicit, Phase.reuse, Phase.generate] + ([Phase.shrink] if "XINGLIN_SHRINK" in os.environ else [])
NOW = datetime(2025, 1, 1, 12, tzinfo=UTC)
BASE = "http://node/fhir"

# who asks ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Who:
    """A principal; `types` are those that the scopes let through, None: all; `only`: for limited scopes, which
    resources they let through by their newest version, and of which also the earlier ones."""

    principal: Principal
    types: frozenset[str] | None = None
    only: Callable[[Held, dict[str, Any]], bool] | None = None
    past: frozenset[str] = frozenset()


def staff(role: Role, login: str, **more: Any) -> Principal:
    return Principal(login, login, role, **{"purpose": Purpose.TREATMENT, "institution": "A", **more})


DOCTOR = staff(Role.CLINICIAN, "dr-a", practitioner="pa")
PEOPLE = [
    Who(DOCTOR),
    Who(staff(Role.CLINICIAN, "dr-b", institution="B", practitioner="pb")),
    Who(staff(Role.CLINICIAN, "researcher", practitioner="pa", purpose=Purpose.RESEARCH)),
    Who(staff(Role.CLINICIAN, "app", practitioner="pa", scopes=("user/Patient.rs", "user/Condition.cruds")),
        frozenset({"Patient", "Condition"})),
    Who(Principal("anna", "Anna", Role.PATIENT, Purpose.OWN, patients=("a1", "b1"))),
    Who(Principal("ben", "Ben", Role.PATIENT, Purpose.OWN, patients=("a2",))),
    Who(staff(Role.PHARMACIST, "pharmacist")),
    Who(staff(Role.CLERK, "clerk", purpose=Purpose.OPERATIONS)),
    Who(staff(Role.PRIVACY, "officer", purpose=Purpose.OPERATIONS)),
    Who(staff(Role.CLINICIAN, "payer", practitioner="pa", purpose=Purpose.PAYMENT)),
    Who(staff(Role.SYSTEM, "registry", institution=None, purpose=Purpose.RESEARCH)),
    Who(staff(Role.SYSTEM, "insight", purpose=Purpose.PUBLIC_HEALTH)),
    Who(staff(Role.SYSTEM, "reporter", purpose=Purpose.PUBLIC_HEALTH, basis="statutory-reporting")),
    Who(staff(Role.MANAGER, "manager", purpose=Purpose.OPERATIONS)),
    Who(staff(Role.SYSTEM, "backend", purpose=Purpose.ADMINISTRATION)),
    Who(staff(Role.SYSTEM, "reader", institution=None, scopes=("system/Observation.rs", "system/Encounter.cud")),
        frozenset({"Observation"})),
]  # fmt: skip


def coded(body: dict[str, Any], element: str) -> str:
    found = body[element]
    return str((found[0] if isinstance(found, list) else found)["coding"][0]["code"])


def of_a1(held: Held) -> bool:
    return held.about == "a1"


LABORATORY = "?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
PEOPLE += [
    # a clinician's app at one patient: the laboratory results, and who the patient is
    Who(staff(Role.CLINICIAN, "launched", practitioner="pa", about=("a1",),
              scopes=("patient/Patient.cruds", f"patient/Observation.cruds{LABORATORY}", "patient/Condition.rs")),
        only=lambda held, body: of_a1(held) and (
            held.type in ("Patient", "Condition")
            or (held.type == "Observation" and coded(body, "category") == "laboratory")),
        past=frozenset({"Patient", "Condition"})),
    # limited scopes beside each other, and beside a whole one
    Who(staff(Role.CLINICIAN, "limited", practitioner="pa", scopes=(
            "user/Observation.cruds?code=x", "user/Observation.rs?status=final&value-quantity=gt5",
            "user/Encounter.rs?class=x,y", "user/Patient.rs?birthdate=gt2024-01-15", "user/Provenance.rs",
            "user/Condition.rs?encounter.class=x", "user/List.rs?_list=1", "user/*.rs?_id=1")),
        only=lambda held, body: (
            (held.type == "Observation" and (coded(body, "code") == "x" or (
                body["status"] == "final" and body["valueQuantity"]["value"] > 5)))
            or (held.type == "Encounter" and body["class"]["code"] in ("x", "y"))
            or (held.type == "Patient" and body["birthDate"] > "2024-01-15")
            or held.type == "Provenance"),
        past=frozenset({"Provenance"})),
    # a patient's own app
    Who(Principal("anna-app", "Anna", Role.PATIENT, Purpose.OWN, patients=("a1", "b1"), about=("a1", "b1"),
                  scopes=("patient/Observation.rs?code:not=y", "patient/Patient.rs", "patient/Practitioner.rs")),
        only=lambda held, body: held.type in ("Patient", "Practitioner") or (
            held.type == "Observation" and coded(body, "code") != "y"),
        past=frozenset({"Patient", "Practitioner"})),
    # a program with a search in its scope
    Who(staff(Role.SYSTEM, "registry", institution=None, purpose=Purpose.ADMINISTRATION,
              scopes=("system/Condition.rs?code=http://hl7.org/fhir/sid/icd-10|B20", "system/Patient.rs?family=Li")),
        only=lambda held, body: (held.type == "Condition" and coded(body, "code") == "B20")
        or (held.type == "Patient" and body["name"][0]["family"].startswith("Li"))),
]  # fmt: skip

# what is held ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Held:
    """A resource: its versions (None: deleted), whom it is about (Patient id), and which institution holds it."""

    type: str
    id: str
    versions: tuple[dict[str, Any] | None, ...]
    about: str | None
    custodian: str

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"

    def content(self, number: int) -> dict[str, Any]:
        """What the rules judge a version by; a deletion is judged as what it deleted."""
        return next(body for body in reversed(self.versions[:number]) if body is not None)


@dataclass(frozen=True)
class County:
    held: tuple[Held, ...]
    linked: bool  # a1 and b1 are one person
    emergency: bool  # dr-a broke the glass for that person


PATIENTS = {"a1": "A", "a2": "A", "b1": "B", "b2": "B"}
CATEGORY = {
    "Patient": "demographics",
    "Encounter": "visits",
    "Condition": "problems",
    "AllergyIntolerance": "allergies",
    "MedicationRequest": "medications",
    "Composition": "documents",
    "Binary": "documents",
}
SECURITY = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
RECORD = "https://xinglin.example/fhir/CodeSystem/record-category"
OBSERVED = "http://terminology.hl7.org/CodeSystem/observation-category"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ids = st.sampled_from(["1", "2", "3", "4"])
codes = st.sampled_from(["x", "y", "z"])
words = st.sampled_from(["Li", "Lin", "Wang"])
days = st.sampled_from(["2024-01-01", "2024-02-01", "2024-03-01"])
phones = st.sampled_from(["13800000001", "13800000002"])
someone = st.sampled_from(sorted(PATIENTS))


def ref(type: str, id: str) -> dict[str, Any]:
    return {"reference": f"{type}/{id}"}


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


@st.composite
def metas(draw: st.DrawFn) -> dict[str, Any]:
    label = draw(st.sampled_from([None, None, None, "HIV"]))
    return {"security": [{"system": SECURITY, "code": label}]} if label else {}


@st.composite
def bodies(draw: st.DrawFn, type: str, about: str | None) -> dict[str, Any]:
    """A version of a resource; `about` is its patient."""
    who = ref("Patient", about or "")
    encounter = {"encounter": ref("Encounter", draw(ids))} if draw(st.booleans()) else {}
    body: dict[str, Any] = {
        "Observation": lambda: {
            "status": draw(st.sampled_from(["final", "amended"])),
            "category": [concept(OBSERVED, draw(st.sampled_from(["laboratory", "vital-signs"])))],
            "code": concept("urn:c", draw(codes)), "subject": who, "effectiveDateTime": draw(days),
            "valueQuantity": {"value": draw(st.integers(1, 9)), "unit": "mg"},
            "hasMember": [ref("Observation", draw(ids))], **encounter,
        },
        "Condition": lambda: {
            "subject": who, "code": concept(ICD10, draw(st.sampled_from(["B20", "J45"]))), "recordedDate": draw(days),
            **encounter,
        },
        "Encounter": lambda: {
            "status": "finished", "class": {"code": draw(codes)}, "subject": who, "period": {"start": draw(days)},
            "serviceProvider": ref("Organization", draw(st.sampled_from("AB"))),
        },
        "AllergyIntolerance": lambda: {"patient": who, "code": concept("urn:c", draw(codes))},
        "MedicationRequest": lambda: {
            "status": "active", "intent": "order", "subject": who, "authoredOn": draw(days),
            "medicationCodeableConcept": concept("urn:c", draw(codes)),
            "reasonReference": [ref("Condition", draw(ids))],
        },
        "Composition": lambda: {
            "status": "final", "type": concept("urn:c", draw(codes)), "subject": who, "date": draw(days), "title": "t",
            "author": [ref("Practitioner", "pa")],
            "section": [{"entry": [ref("Observation", draw(ids)), ref("Condition", draw(ids))]}],
        },
        "Provenance": lambda: {
            "target": [ref("Observation", draw(ids)), ref("Condition", draw(ids))], "recorded": "2024-01-01T00:00:00Z",
            "agent": [{"who": ref("Practitioner", "pa")}],
        },
        "List": lambda: {
            "status": "current", "mode": "working", **({"subject": who} if about else {}),
            "entry": [{"item": ref("Observation", draw(ids))}, {"item": ref("Patient", draw(someone))}],
        },
        "Group": lambda: {
            "type": "person", "actual": True, "member": [{"entity": ref("Practitioner", "pb")}],
            "name": draw(words),
        },
        "Patient": lambda: {
            "name": [{"family": draw(words), "given": [draw(words)]}], "birthDate": draw(days),
            "identifier": [{"system": "urn:mrn", "value": draw(codes)}], "gender": "female",
            "telecom": [{"system": "phone", "value": draw(phones)}],
            "generalPractitioner": [ref("Practitioner", draw(st.sampled_from(["pa", "pb"])))],
            "managingOrganization": ref("Organization", draw(st.sampled_from("AB"))),
        },
    }[type]()  # fmt: skip
    return {"resourceType": type, "meta": draw(metas()), **body}


NOBODYS = ("Provenance", "Group")


@st.composite
def histories(draw: st.DrawFn, type: str, id: str, about: str | None, custodian: str) -> Held:
    versions = [draw(bodies(type, about)) for _ in range(draw(st.sampled_from([1, 2])))]
    distinct: list[dict[str, Any] | None] = [v for n, v in enumerate(versions) if n == 0 or v != versions[n - 1]]
    if type != "Patient" and draw(st.integers(0, 7)) == 0:
        distinct.append(None)
    return Held(type, id, tuple(distinct), about, custodian)


def desk(institution: str, role: str) -> dict[str, Any]:
    """Those who act in one role at an institution."""
    found = actor("IRCP", "Organization", institution)
    found["role"]["coding"].append({"system": ROLES, "code": role})
    return found


def actor(code: str, type: str, id: str) -> dict[str, Any]:
    role = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", code)
    return {"role": role, "reference": ref(type, id)}


receivers = st.one_of(
    st.just(actor("IRCP", "Organization", "A")),
    st.builds(lambda id: actor("IRCP", "Organization", id), st.sampled_from("AB")),
    st.builds(lambda id: actor("IRCP", "Practitioner", id), st.sampled_from(["pa", "pb"])),
    st.builds(lambda role: desk("A", role), st.sampled_from(["clerk", "clinician", "pharmacist"])),
)
classes = st.lists(
    st.sampled_from(["laboratory", "vitals", "problems", "visits", "documents"]), max_size=2, unique=True
)
labelled = st.lists(st.sampled_from(["HIV", "PSY"]), max_size=2, unique=True)


def limits(draw: st.DrawFn) -> dict[str, Any]:
    period = draw(st.sampled_from([None, None, None, {"start": "2024"}, {"end": "2024"}, {"end": "9999-12-31"}]))
    what = [{"system": RECORD, "code": code} for code in draw(classes)]
    labels = [{"system": SECURITY, "code": code} for code in draw(labelled)]
    found = {"period": period, "class": what, "securityLabel": labels}
    return {name: value for name, value in found.items() if value}


@st.composite
def rules(draw: st.DrawFn, depth: int = 0) -> dict[str, Any]:
    """A provision: whom it is about, whose data, which, what for, when; and exceptions within it."""
    kind = draw(st.sampled_from(["permit"] * 4 + ["deny"] * (2 + depth)))
    rule: dict[str, Any] = {"type": kind, **limits(draw)}
    actors = [draw(receivers)] if draw(st.integers(0, 3)) or (depth == 0 and kind == "permit") else []
    if holder := draw(st.sampled_from([None, None, None, "A", "B"])):
        actors.append(actor("CST", "Organization", holder))
    if actors:
        rule["actor"] = actors
    if purposes := draw(st.sampled_from([None, None, None, ["HRESCH"], ["HRESCH", "PUBHLTH"], ["TREAT", "HRESCH"]])):
        rule["purpose"] = [
            {"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": code} for code in purposes
        ]
    if draw(st.integers(0, 5)) == 0:
        rule["code"] = [concept("urn:c", "x")]
    if depth < 2 and (nested := draw(st.lists(rules(depth + 1), max_size=draw(st.sampled_from([0, 0, 1, 2]))))):
        rule["provision"] = nested
    return rule


@st.composite
def consents(draw: st.DrawFn, id: str) -> Held:
    about = draw(someone | st.sampled_from(["b1", "b2"]))
    body = {
        "resourceType": "Consent",
        "status": draw(st.sampled_from(["active"] * 5 + ["inactive"])),
        "scope": concept("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [concept("http://loinc.org", "59284-0")],
        "patient": ref("Patient", about),
        "dateTime": "2024-01-01",
        "policyRule": concept(SECURITY, "OPTIN"),
        "provision": draw(rules()),
    }
    return Held("Consent", id, (body,), about, PATIENTS[about])


@st.composite
def counties(draw: st.DrawFn) -> County:
    found: dict[str, Held] = {}
    for id, custodian in PATIENTS.items():
        found[f"Patient/{id}"] = draw(histories("Patient", id, id, custodian))
    kinds = ["Observation", "Observation", *CATEGORY, "Provenance", "List", "Group"]
    for _ in range(draw(st.integers(8, 18))):
        type = draw(st.sampled_from([kind for kind in kinds if kind not in ("Patient", "Binary")]))
        about = None if type in NOBODYS else draw(someone)
        custodian = PATIENTS[about] if about and draw(st.booleans()) else draw(st.sampled_from("AB"))
        held = draw(histories(type, draw(ids), about, custodian))
        found.setdefault(held.reference, held)
    for id in draw(st.lists(ids, min_size=1, max_size=4, unique=True)):
        held = draw(consents(id))
        found[held.reference] = held
    return County(tuple(found.values()), draw(st.booleans()), draw(st.integers(0, 4)) == 0)


# the rules, slow and obvious ---------------------------------------------------------------------

RULES = json.loads(files("xinglin.access").joinpath("data/roles.json").read_text())


def category_of(body: dict[str, Any]) -> str:
    if body["resourceType"] == "Observation":
        return "laboratory" if body["category"][0]["coding"][0]["code"] == "laboratory" else "vitals"
    return CATEGORY.get(body["resourceType"], "other")


def labels_of(body: dict[str, Any]) -> set[str]:
    found = {coding["code"] for coding in body["meta"].get("security", ())} if "meta" in body else set()
    if body["resourceType"] == "Condition" and body["code"]["coding"][0]["code"] == "B20":
        found.add("HIV")
    return found


def same_person(county: County, one: str | None, other: str | None) -> bool:
    return one is not None and (one == other or (county.linked and {one, other} == {"a1", "b1"}))


def asking(who: Principal) -> Asking:
    return Asking(who.institution or "-", who.practitioner or "-", who.role.value, who.purpose.value, "2025-01-01")


def thing(held: Held, body: dict[str, Any]) -> Thing:
    codes = {f"{coding['system']}|{coding['code']}" for coding in codings(body)}
    marked = frozenset(codes & {"urn:c|x"})
    return Thing(held.reference, held.custodian, category_of(body), frozenset(labels_of(body)), marked)


def codings(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [coding for one in node for coding in codings(one)]
    if not isinstance(node, dict):
        return []
    own = [{"system": "", **node}] if isinstance(node.get("code"), str) else []
    return own + [coding for value in node.values() for coding in codings(value)]


def said_of(county: County, held: Held) -> list[tuple[dict[str, Any], str]]:
    """The consents of the person that a resource is about, each with the institution that keeps it."""
    return [
        (body, one.custodian)
        for one in county.held
        if one.type == "Consent" and same_person(county, one.about, held.about) and (body := one.versions[-1])
    ]


def may_see(county: County, held: Held, body: dict[str, Any], who: Who) -> bool:
    """The rules of roles.json and of the consents, for one version."""
    principal, type = who.principal, held.type
    if who.types is not None and type not in who.types:
        return False
    if type in RULES["directory"] and held.about is None:
        return True
    if principal.role is Role.PATIENT:
        return held.about in principal.patients
    consents, about = said_of(county, held), thing(held, body)
    emergency = county.emergency and principal.practitioner == "pa" and same_person(county, held.about, "a1")
    emergency = emergency and principal.purpose in (Purpose.TREATMENT, Purpose.EMERGENCY)
    closed = not emergency and not principal.basis and closed_at_home(consents, asking(principal), about)
    if principal.role is Role.SYSTEM and principal.institution is None:
        return principal.purpose.value in (*CARE, "HSYSADMIN") or not closed
    rule = RULES["roles"][principal.role.value]
    if principal.purpose.value not in rule["purposes"]:
        return False
    if type in rule.get("region", ()) and not closed:
        return True
    if (rule["reads"] != "*" and type not in rule["reads"]) or rule.get("oversight") == "only":
        return False
    return (
        (held.custodian == principal.institution and not closed)
        or emergency
        or opened(consents, asking(principal), about)
    )


def let_through(held: Held, who: Who) -> bool:
    """By limited scopes: as the newest version is, of which nothing is left when it is deleted."""
    newest = held.versions[-1]
    if who.only is None:
        return True
    if newest is None and held.type not in who.past:
        return False
    return who.only(held, held.content(len(held.versions)))


def invisible(county: County, who: Who) -> tuple[list[Held], list[tuple[Held, int]]]:
    """Resources that may not be seen at all, and old versions of the others that may not."""
    hidden = [
        one
        for one in county.held
        if not may_see(county, one, one.content(len(one.versions)), who) or not let_through(one, who)
    ]
    old = [
        (one, number)
        for one in county.held
        if one not in hidden
        for number in range(1, len(one.versions))
        if not may_see(county, one, one.content(number), who) or (who.only and one.type not in who.past)
    ]
    return hidden, old


# what is asked -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    method: str
    path: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


CRITERIA = {
    "Observation": [
        "code=x", "code=urn:c|x,y", "code:not=x", "status=final", "value-quantity=gt5", "value-quantity=lt4",
        "date=ge2024-02", "date:missing=false", "encounter:missing=true", "patient.family=Li",
        "patient.birthdate=gt2024-01-15", "subject:Patient.identifier=x", "encounter.class=x",
        "encounter.service-provider.name=Hospital", "patient=a1,b1", "patient=b1", "subject=Patient/a2",
        "has-member.code=x", "has-member.has-member.code=y", "_id=1,2", "_has:Provenance:target:agent=pa",
        "_has:List:item:status=current", "_list=1", "_list=2", "_security=HIV",
        "_has:Observation:has-member:_has:Observation:has-member:code=x", "code-value-quantity=x$gt3",
        "patient.general-practitioner.name=P", '_filter=code eq "x" and value-quantity gt 3',
        '_filter=not(patient.family sw "Li")', "_lastUpdated=ge2000",
        "encounter:Encounter._has:Condition:encounter:code=B20",
    ],
    "Patient": [
        "family=li", "name:contains=in", "identifier=urn:mrn|x", "identifier:not=x", "birthdate=2024-01-01",
        "_id=a1,b1,b2", "_has:Observation:patient:code=x", "_has:Condition:patient:code=B20",
        "_has:Condition:patient:code:not=B20", "_has:Encounter:patient:_has:Observation:encounter:code=x",
        "organization.name=Hospital%20B", "_list=1", "_has:Consent:patient:status=active",
        "_has:List:item:status=current", "general-practitioner=pb",
        '_filter=family sw "Li" or birthdate gt 2024-01-15', "_has:Observation:patient:value-quantity=gt5",
        "_has:MedicationRequest:patient:code=x", "name:missing=true", "_has:Observation:subject:status:missing=false",
    ],
    "Condition": [
        "code=B20", "code:not=B20", "patient.family=Li", "encounter.class=y", "_has:Provenance:target:agent=pa",
        "_has:Composition:entry:status=final", "recorded-date=gt2024-01", "_security:missing=true",
    ],
    "Encounter": [
        "class=x", "patient.family=Wang", "_has:Observation:encounter:code=x", "service-provider=A",
        "date=gt2024-01-15", "_has:Condition:encounter:code=B20",
    ],
    "MedicationRequest": [
        "code=x", "patient.identifier=x", "authoredon=gt2024",
    ],
    "Composition": [
        "entry.code=x", "entry:Condition.code=B20", "type=x", "patient=a1",
    ],
    "Provenance": [
        "target=Observation/1", "target:Observation.code=x", "agent=pa", "target:missing=true",
    ],
    "List": [
        "item=Observation/1", "item:Patient.family=Li", "item:Observation.code=x", "subject:missing=true",
    ],
    "Consent": [
        "status=active", "patient.family=Li", "actor=Organization/A", "consentor:missing=true",
    ],
    "Group": [
        "member=Practitioner/pb", "type=person",
    ],
    "Practitioner": [
        "_has:Patient:general-practitioner:family=Li", "_has:Provenance:agent:target=Observation/1", "name=P",
    ],
    "Organization": [
        "_has:Encounter:service-provider:class=x", "name=Hospital",
        "_has:Patient:organization:_has:Observation:patient:code=x",
    ],
}  # fmt: skip
SORTS = {
    "Observation": ["date", "-date", "code", "-value-quantity", "patient", "_lastUpdated", "-_id"],
    "Patient": ["family", "-birthdate", "identifier", "general-practitioner"],
    "Encounter": ["-date", "class"],
}
INCLUDES = {
    "Observation": [
        "_include=Observation:subject", "_include=Observation:*", "_include:iterate=Observation:has-member",
        "_revinclude=Provenance:target", "_include=Observation:encounter&_include:iterate=Encounter:service-provider",
    ],
    "Patient": [
        "_revinclude=Observation:patient", "_revinclude=*",
        "_revinclude=Condition:patient&_revinclude:iterate=Provenance:target", "_include=Patient:organization",
        "_revinclude=Consent:patient",
    ],
    "Practitioner": [
        "_revinclude=Patient:general-practitioner",
    ],
    "Composition": [
        "_include=Composition:entry",
    ],
    "List": [
        "_include=List:item",
    ],
    "Provenance": [
        "_include=Provenance:target",
    ],
}  # fmt: skip


@st.composite
def searches(draw: st.DrawFn) -> Ask:
    type = draw(st.sampled_from(["Observation", "Observation", "Patient", *CRITERIA]))
    parts = draw(st.lists(st.sampled_from(CRITERIA[type]), max_size=2, unique=True))
    parts += draw(
        st.sampled_from([[], [], ["_total=accurate"], ["_total=estimate"], ["_summary=count"], ["_total=none"]])
    )
    parts += [f"_count={draw(st.integers(1, 4))}"] if draw(st.booleans()) else []
    parts += (
        [f"_sort={draw(st.sampled_from(SORTS.get(type, ['_id', '-_lastUpdated'])))}"] if draw(st.booleans()) else []
    )
    parts += [draw(st.sampled_from(INCLUDES.get(type, ["_include=*"])))] if draw(st.booleans()) else []
    return Ask("GET", f"{type}?{'&'.join(parts)}")


anything = st.sampled_from(
    ["Observation", "Observation", "Condition", "Encounter", "List", "Provenance", "Consent", "Group"]
)
places = st.one_of(st.tuples(anything, ids), st.tuples(st.just("Patient"), someone), st.just(("Observation", "never")))
place = places.map("/".join)
others = st.one_of(
    place.map(lambda p: Ask("GET", p)),
    st.builds(lambda p, n: Ask("GET", f"{p}/_history/{n}"), place, st.integers(1, 3)),
    st.builds(lambda p, n: Ask("GET", f"{p}/_history?_count={n}"), place, st.integers(1, 3)),
    st.builds(lambda t, n: Ask("GET", f"{t}/_history?_count={n}"), anything, st.integers(1, 4)),
    st.builds(lambda n: Ask("GET", f"_history?_count={n}"), st.integers(1, 6)),
    st.builds(lambda p, e: Ask("GET", p, headers=(("if-none-match", f'W/"{e}"'),)), place, st.integers(1, 2)),
    st.builds(lambda q: Ask("GET", f"?{q}"), st.sampled_from([
        "_type=Observation,Condition,Patient&_total=accurate&_count=3", "_lastUpdated=ge2000&_summary=count",
        "_id=1&_count=2", "_type=Provenance,List&_include=*", "_security=HIV&_total=accurate",
        "_security:not=HIV&_count=4",
        "code:in=http://vs", "_type=Observation,Encounter&_sort=-_lastUpdated&_count=2"])),
    st.builds(lambda p, t: Ask("GET", f"Patient/{p}/{t}?_count=3&_total=accurate"), someone,
              st.sampled_from(["*", "Observation", "Condition", "Provenance", "List", "Patient"])),
    st.builds(lambda e: Ask("GET", f"Encounter/{e}/*"), ids),
    st.builds(lambda p, q: Ask("GET", f"Patient/{p}/$everything{q}"), someone,
              st.sampled_from(["", "?_count=2", "?_type=Observation,Practitioner", "?start=2024-02-01"])),
    st.builds(lambda e: Ask("GET", f"Encounter/{e}/$everything"), ids),
    st.builds(lambda p: Ask("GET", f"Observation/$lastn?patient={p}&max=2"), someone),
    st.builds(lambda i: Ask("GET", f"Composition/{i}/$document"), ids),
    place.map(lambda p: Ask("GET", f"{p}/$meta")),
)  # fmt: skip
FORM = (("content-type", "application/x-www-form-urlencoded"),)
PIX = "Patient/$ihe-pix?sourceIdentifier=urn:mrn"


def parameters(**given: Any) -> dict[str, Any]:
    named = [{"name": name, **value} for name, value in given.items()]
    return {"resourceType": "Parameters", "parameter": named}


@st.composite
def whom(draw: st.DrawFn) -> Ask:
    """$match: who is meant by a description, more or less complete."""
    described = {k: v for k, v in draw(bodies("Patient", None)).items() if k != "meta" and draw(st.integers(0, 4))}
    more: dict[str, Any] = {"count": {"valueInteger": draw(st.integers(1, 3))}} if draw(st.booleans()) else {}
    if draw(st.integers(0, 2)) == 0:
        more["onlyCertainMatches"] = {"valueBoolean": True}
    body = parameters(resource={"resource": {**described, "resourceType": "Patient"}}, **more)
    return Ask("POST", "Patient/$match", body)


faulty = st.one_of(
    st.builds(lambda t, q: Ask("GET", f"{t}?{q}"), anything, st.sampled_from([
        "nonsense=1", "_id=1&nonsense=2", "code:bogus=x", "date=never", "_sort=nonsense", "_include=Nothing:here",
        "_count=-1", "_has:Nothing:here:code=x", "_filter=code eq", "_page=AAAA", "patient=Patient/b2&_total=accurate",
        "encounter=Encounter/1&_summary=count", "_elements=id&_count=2", "_summary=text", "_list=4"])),
    st.builds(lambda p, v: Ask("GET", f"{p}/_history/{v}"), place, st.sampled_from(["0", "x", "99"])),
    st.builds(lambda p, q: Ask("GET", f"{p}/_history?{q}"), place,
              st.sampled_from(["_since=2024-12-31T12:00:02Z", "_at=2024", "_since=never", "_sort=_lastUpdated"])),
    st.builds(lambda p, o: Ask("GET", f"{p}/{o}"), place, st.sampled_from(["$nothing", "$everything", "$document"])),
    st.builds(lambda p: Ask("HEAD", p), place),
    st.builds(lambda p: Ask("DELETE", p.partition("/")[0]), place),
    st.builds(lambda p: Ask("PATCH", p, [{"op": "test", "path": "/id", "value": "1"}],
                            (("content-type", "application/json-patch+json"),)), place),
    st.builds(lambda p: Ask("PUT", p, {"resourceType": p.partition("/")[0], "id": "other"}), place),
    st.builds(lambda p: Ask("PUT", p, {"resourceType": "Observation", "id": p.partition("/")[2], "bogus": 1}), place),
    st.builds(lambda p: Ask("POST", f"{p}/$validate", {"resourceType": p.partition("/")[0]}), place),
    st.builds(lambda p: Ask("GET", f"{p}/$validate?mode=delete"), place),
    st.builds(lambda p: Ask("POST", f"{p}/$meta-delete", parameters(
        meta={"valueMeta": {"security": [{"system": SECURITY, "code": "HIV"}]}})), place),
)  # fmt: skip
operations = st.one_of(
    whom(),
    whom(),
    st.builds(lambda v, q: Ask("GET", f"{PIX}|{v}{q}"), codes, st.sampled_from(["", "&targetSystem=urn:mrn"])),
    st.builds(lambda p, q: Ask("GET", f"Observation/$lastn?{p}&{q}"),
              st.sampled_from(["patient=a1", "patient=b1", "subject=Patient/a2", "code=x", "patient:missing=false"]),
              st.sampled_from(["max=1", "category=laboratory", "code=x", "date=gt2024-01", "max=2&patient.family=Li"])),
    st.builds(lambda q: Ask("GET", q), st.sampled_from([
        "$export", "$export?_type=Observation", "Patient/$export?patient=Patient/b1", "Patient/$export",
        "$export?_purpose=HRESCH", "$export?_type=Patient&_typeFilter=Patient?family=Li"])),
    st.builds(lambda g: Ask("GET", f"Group/{g}/$export"), ids),
    st.builds(lambda t, q: Ask("POST", f"{t}/_search", q.partition("?")[2], FORM), anything,
              searches().map(lambda ask: ask.path)),
    st.builds(lambda p, q: Ask("GET", f"Patient/{p}/$everything?{q}"), someone, st.sampled_from([
        "_since=2024-12-31T12:00:03Z", "_type=Consent,Provenance", "end=2024-01-15", "_count=1"])),
    st.builds(lambda i, q: Ask("GET", f"Composition/{i}/$document?{q}"), ids,
              st.sampled_from(["persist=true", "persist=false"])),
    st.builds(lambda p, n: Ask("GET", f"{p}/_history/{n}/$meta"), place, st.integers(1, 3)),
)  # fmt: skip
matches = st.sampled_from([None, None, 'W/"1"', 'W/"2"', 'W/"7"'])


def headers(match: str | None, **more: str) -> tuple[tuple[str, str], ...]:
    own = {"if-match": match} if match else {}
    return tuple({name.replace("_", "-"): value for name, value in {**own, **more}.items()}.items())


@st.composite
def writes(draw: st.DrawFn) -> Ask:
    """Creates, updates and deletes by id and by condition, of what is there, hidden or missing."""
    type = draw(st.sampled_from(["Observation", "Condition", "Patient", "Consent"]))
    about = draw(someone)
    held = draw(consents("1")).versions[0] if type == "Consent" else draw(bodies(type, about))
    assert held is not None
    id = draw(someone if type == "Patient" else ids | st.just("never"))
    match, condition = draw(matches), draw(st.sampled_from(CRITERIA[type]))
    named_body = {**held, "id": id}
    kind = draw(st.integers(0, 8))
    if kind == 0:
        return Ask("PUT", f"{type}/{id}", named_body, headers(match))
    if kind == 1:
        return Ask("DELETE", f"{type}/{id}", None, headers(match))
    if kind == 2:
        return Ask("POST", type, held, headers(None, if_none_exist=condition))
    if kind == 3:
        return Ask("PUT", f"{type}?{condition}", draw(st.sampled_from([held, named_body])), headers(match))
    if kind == 4:
        return Ask("DELETE", f"{type}?{condition}", None, headers(match))
    if kind == 5:
        patch = [{"op": "add", "path": "/language", "value": "zh"}]
        target = draw(st.sampled_from([f"{type}/{id}", f"{type}?{condition}"]))
        return Ask("PATCH", target, patch, (*headers(match), ("content-type", "application/json-patch+json")))
    if kind == 6:
        meta = {"name": "meta", "valueMeta": {"tag": [{"system": "urn:t", "code": "t"}]}}
        return Ask("POST", f"{type}/{id}/$meta-add", {"resourceType": "Parameters", "parameter": [meta]})
    if kind == 7:
        pointing = {
            **draw(bodies("Observation", about)),
            "subject": {"reference": f"Patient?{draw(st.sampled_from(CRITERIA['Patient']))}"},
        }
        entry = {"request": {"method": "POST", "url": "Observation"}, "resource": pointing}
        return Ask("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": [entry]})
    read = {"request": {"method": "GET", "url": f"{type}/{id}"}}
    put = {"request": {"method": "PUT", "url": f"{type}/{id}"}, "resource": named_body}
    kind_of_bundle = draw(st.sampled_from(["batch", "transaction"]))
    return Ask("POST", "", {"resourceType": "Bundle", "type": kind_of_bundle, "entry": [read, put]})


asks = st.sampled_from([searches(), searches(), others, operations, operations, faulty, writes()]).flatmap(lambda s: s)


def names_a_taken_id(ask: Ask, who: Who, hidden: list[Held]) -> bool:
    """A program chooses ids: that one is taken cannot be kept from it, whoever took it."""
    text = f"{ask.path} {json.dumps(ask.body)}"
    return who.principal.role is Role.SYSTEM and any(
        one.reference in text or f'"id": "{one.id}"' in text for one in hidden
    )


PEOPLE_AND_PLACES = [*(f"Patient/{id}" for id in PATIENTS), *(
    f"{type}/{id}" for type in ("Observation", "Condition", "Encounter", "Consent", "List") for id in "1234"
)]  # fmt: skip


def battery() -> list[Ask]:
    """Every criterion alone, and everything that can be done to an address."""
    found = [
        Ask("GET", f"{type}?{criterion}&_total=accurate{more}")
        for type, criteria in CRITERIA.items()
        for criterion in criteria
        for more in ("", "&_count=1", "&_count=1&_sort=-_id")
    ]
    tag = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}]}
    patch = (("content-type", "application/json-patch+json"),)
    for place in PEOPLE_AND_PLACES:
        type, _, id = place.partition("/")
        body = {
            "resourceType": type,
            "id": id,
            "status": "final",
            "code": concept("urn:c", "x"),
            "subject": ref("Patient", "a1"),
        }
        if type == "Patient":
            body = {"resourceType": type, "id": id, "name": [{"family": "New"}]}
        for match in (None, 'W/"1"', 'W/"2"', 'W/"9"'):
            found.append(Ask("DELETE", place, None, headers(match)))
            found.append(
                Ask("PATCH", place, [{"op": "add", "path": "/language", "value": "zh"}], (*headers(match), *patch))
            )
            if type in ("Observation", "Patient"):
                found.append(Ask("PUT", place, body, headers(match)))
        if type in ("Observation", "Patient"):
            found.append(Ask("PUT", place, body, headers(None, if_none_match="*")))
            found.append(Ask("PUT", f"{type}?_id=nobody", body))
        found.append(Ask("POST", f"{place}/$meta-add", tag))
        found += [Ask("GET", f"{place}{below}") for below in ("", "/_history", "/_history/1", "/_history/2", "/$meta")]
    for family, day, phone in product(("Li", "Wang"), ("2024-01-01", "2024-02-01"), ("13800000001", "13800000002")):
        described = {"resourceType": "Patient", "name": [{"family": family, "given": ["Li"]}], "gender": "female",
                     "birthDate": day, "telecom": [{"system": "phone", "value": phone}]}  # fmt: skip
        found += [
            Ask("POST", "Patient/$match", parameters(resource={"resource": described}, **more))
            for more in ({}, {"count": {"valueInteger": 1}}, {"onlyCertainMatches": {"valueBoolean": True}})
        ]
    found += [Ask("GET", f"{PIX}|{value}{more}") for value in "xyz" for more in ("", "&targetSystem=urn:mrn")]
    return found


BATTERY = battery()

# asking ------------------------------------------------------------------------------------------


class OneConnection(Database):
    """A database whose every use is inside one transaction, which the test rolls back."""

    def __init__(self, connection: Any) -> None:
        self.one = connection

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        yield self.one

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Any]:
        async with self.one.transaction():
            yield self.one


class Undone(Exception):
    """Ends a transaction that must leave nothing."""


DOOR = Door(BASE, operations=(*BULK, *CROSSREFERENCE))
ASKED = [0]


async def request(records: Records, ask: Ask) -> tuple[int, dict[bytes, bytes], bytes]:
    sent: list[Any] = []
    path, _, query = ask.path.partition("?")
    body = b"" if ask.body is None else (ask.body if isinstance(ask.body, str) else json.dumps(ask.body)).encode()
    given = {b"content-type": b"application/fhir+json"} | {n.encode(): v.encode() for n, v in ask.headers}
    scope = {
        "type": "http", "method": ask.method, "path": f"/{path}", "query_string": query.replace(" ", "%20").encode(),
        "headers": list(given.items()), "state": {"records": records},
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    ASKED[0] += 1
    await DOOR(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


_TOKEN = re.compile(r"_page=[^\"&]*")
_FRESH = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def comparable(status: int, given: dict[bytes, bytes], body: bytes) -> Any:
    """An answer without page tokens and fresh ids; what is included has no order."""
    text = _FRESH.sub("FRESH", _TOKEN.sub("_page=", body.decode()))
    kept = {name: _FRESH.sub("FRESH", value.decode()) for name, value in given.items() if name != b"content-length"}
    told = json.loads(text) if text else None
    if isinstance(told, dict) and told.get("type") in ("searchset", "document"):
        rows = told.get("entry", [])
        first = [row for row in rows if row.get("search", {}).get("mode") == "match"]
        rest = sorted((row for row in rows if row not in first), key=json.dumps)
        told["entry"] = [*first, *rest]
    return status, kept, told


async def answers(house: House, who: Who, asked: list[Ask]) -> list[Any]:
    """What each request is told, its next pages too; whatever it writes is undone."""
    found = []
    for ask in asked:
        try:
            async with house.database.transaction():
                found.append(await conversation(Records(house, who.principal), ask))
                raise Undone
        except Undone:
            pass
    box = Records(house, who.principal)
    for typed in ("Li", "Lin", "Wng", "wang li", "x", "2024-01", "Li 2024"):
        found.append([(match.stored.id, match.score) for match in await box.find(typed, 3)])
    if who.principal.role in (Role.SYSTEM, Role.PATIENT):
        found.append(await exported(house, who.principal))
    return found


FILTERS = ("Observation?patient.family=Li", "Observation?_has:Provenance:target:agent=pa", "Condition?code=B20")


async def exported(house: House, principal: Principal) -> list[Any]:
    """What the job of an export reads and writes, of everybody, of some, by filters, and what was deleted."""
    found: list[Any] = []
    at = clock.micros(NOW)
    some = patient_keys(["a1", "b1"])
    extents = [Extent(type, at, since) for type in EXPORTED for since in (None, 0)]
    extents += [Extent(type, at, None, some, people_only=True) for type in EXPORTED]
    extents += [Extent(text.partition("?")[0], at, 0, None, filters=(filter_of(text),)) for text in FILTERS]
    for extent in extents:
        async with house.database.transaction() as connection:
            stretch = await read_stretch(connection, principal, extent, None, "$export", found.extend)
            removed = await read_removed(connection, principal, extent, None, "$export")
        ASKED[0] += 1
        found.append((extent, stretch.count, removed.references))
    return found


async def conversation(records: Records, ask: Ask) -> list[Any]:
    told = []
    while len(told) < 12:
        status, given, body = await request(records, ask)
        assert status < 500, (ask, body)
        told.append(comparable(status, given, body))
        links = json.loads(body).get("link", []) if body.startswith(b'{"resourceType":"Bundle"') else []
        following = [link["url"] for link in links if link["relation"] == "next"]
        if not following:
            break
        ask = Ask("GET", following[0].removeprefix(BASE + "/"))
    return told


# building and taking away ------------------------------------------------------------------------


async def build(house: House, connection: Any, county: County) -> None:
    node = Records(house, NODE)
    for name in "AB":
        organization = {"resourceType": "Organization", "id": name, "name": f"Hospital {name}"}
        practitioner = {"resourceType": "Practitioner", "id": f"p{name.lower()}", "name": [{"family": "P"}]}
        both = [Write("PUT", one["resourceType"], one["id"], one) for one in (organization, practitioner)]
        await node.write(both, custodian=name)
    if county.linked:
        links = [(key_of("Patient", id), id, "one") for id in ("a1", "b1")]
        await connection.executemany("INSERT INTO person_link (patient, patient_id, person) VALUES ($1, $2, $3)", links)
    at = [NOW - timedelta(days=1)]
    clock.set_source(lambda: at[0])
    for number in range(max(len(one.versions) for one in county.held)):
        for one in county.held:
            if number < len(one.versions):
                at[0] += timedelta(seconds=1)
                body = one.versions[number]
                wish = (
                    Write("DELETE", one.type, one.id)
                    if body is None
                    else Write("PUT", one.type, one.id, {**body, "id": one.id})
                )
                await node.write([wish], custodian=one.custodian)
    if county.emergency:
        people = [key_of("Patient", id) for id in ("a1", "b1") if id == "a1" or county.linked]
        highest = rank(True, PERSON, 0, False, False, 0)
        grant = Grant(key_of("Practitioner", "pa"), 0, 0x7FFFFFFF, ("TREAT", "BTG"), 0, 2**62, rank=highest)
        await store_grants(connection, 1, people, [grant])
    clock.set_source(lambda: NOW)


EXPORTED = [*CATEGORY, "Observation", "Provenance", "List", "Group", "Consent"]
TABLES = ("resource", "history", "token", "string", "moment", "quantity", "feed")


async def take_away(connection: Any, hidden: list[Held], old: list[tuple[Held, int]]) -> None:
    keys = [key_of(one.type, one.id) for one in hidden]
    for table in TABLES:
        await connection.execute(f"DELETE FROM {table} WHERE key = ANY($1::bigint[])", keys)
    for table in ("person_term", "person_block", "person_link"):
        await connection.execute(f"DELETE FROM {table} WHERE patient = ANY($1::bigint[])", keys)
    for one, number in old:
        await connection.execute(
            "DELETE FROM history WHERE key = $1 AND version = $2", key_of(one.type, one.id), number
        )


@pytest.fixture(scope="module")
async def connection(postgres: str, template: str) -> AsyncIterator[Any]:
    name = f"noninterference_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    opened_ = await asyncpg.connect(postgres, database=name)
    yield opened_
    if "XINGLIN_COUNT" in os.environ:  # scripts/noninterference.py adds them up
        Path(os.environ["XINGLIN_COUNT"]).write_text(str(ASKED[0]))  # noqa: ASYNC240
    await opened_.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@settings(max_examples=EXAMPLES, phases=PHASES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    county=counties(),
    who=st.sampled_from([*PEOPLE, PEOPLE[0], PEOPLE[0]]),
    asked=st.lists(asks, min_size=6, max_size=10),
    chance=st.randoms(use_true_random=False),
    probe=st.sampled_from([0, 1, 2000]),
)
async def test_an_answer_does_not_depend_on_what_may_not_be_seen(
    connection: Any, county: County, who: Who, asked: list[Ask], chance: Random, probe: int
) -> None:
    database = OneConnection(connection)
    house = House(Settings(), database, AuditWriter(database), b"secret")
    usual, plan.PROBE = plan.PROBE, probe
    transaction = connection.transaction()
    await transaction.start()
    try:
        await build(house, connection, county)
        hidden, old = invisible(county, who)
        asked = [*asked, *chance.sample(BATTERY, 60)]
        asked = [ask for ask in asked if not names_a_taken_id(ask, who, hidden)]
        before = await answers(house, who, asked)
        await take_away(connection, hidden, old)
        after = await answers(house, who, asked)
    finally:
        plan.PROBE = usual
        clock.set_source(None)
        await house.audit.close()
        await transaction.rollback()
    assert before[len(asked) :] == after[len(asked) :], "the search box, or an export"
    for ask, first, second in zip(asked, before, after, strict=False):
        if first != second:
            note(f"{who.principal.login} asks {ask}; hidden: {[one.reference for one in hidden]}, {old}")
        assert first == second, (who.principal.login, ask)
