"""The $operations about who somebody is, each through the gate.

    POST [base]/Patient/$match      Parameters: resource, onlyCertainMatches, count -> searchset, the likeliest first
    GET  [base]/Patient/$ihe-pix    sourceIdentifier, targetSystem -> Parameters: targetIdentifier, targetId

PDQm's search (ITI-78) is the search of Patient.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import orjson

from xinglin.access.persons.match import Candidate
from xinglin.access.records import Records, Stored
from xinglin.access.sharing import linked
from xinglin.core.rest.bundles import Entry, bundle
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.parameters import arguments, one
from xinglin.core.rest.routing import Operation
from xinglin.core.schema import decode
from xinglin.kernel.errors import Invalid, NotFound, Unprocessable

MOST: Final = 50
GRADE: Final = "http://hl7.org/fhir/StructureDefinition/match-grade"
_TELLING: Final = ("identifier", "name", "birthDate", "telecom", "address")


async def match(call: Call) -> Answer:
    asked = await arguments(call, frozenset({"resource", "onlyCertainMatches", "count"}))
    patient = one(asked, "resource")
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
        raise Invalid(
            "$match needs a Patient.",
            code="required",
            remedy="Send Parameters with a parameter 'resource' that is a Patient.",
        )
    if not any(patient.get(name) for name in _TELLING):
        raise Unprocessable("The Patient says nothing to match by.", remedy=f"Give one of {', '.join(_TELLING)}.")
    found = await _gate(call).match(patient, _count(asked), certain=_flag(asked))
    entries = [_entry(call.door.base, candidate) for candidate in found]
    return Answer(200, bundle("searchset", entries, total=len(found)), resource_body=False)


def _count(asked: dict[str, list[Any]]) -> int:
    text = str(one(asked, "count") if "count" in asked else 10)
    if not text.isdecimal() or int(text[:9]) < 1:
        raise Invalid("count is a number above 0.", code="value")
    return min(int(text[:9]), MOST)


def _flag(asked: dict[str, list[Any]]) -> bool:
    flag = one(asked, "onlyCertainMatches")
    if flag in (None, False, "false"):
        return False
    if flag in (True, "true"):
        return True
    raise Invalid("onlyCertainMatches is true or false.", code="value")


def _entry(base: str, candidate: Candidate) -> Entry:
    """With the grade and the score that ask for it (patient-operation-match.html)."""
    head = f'{{"fullUrl":"{base}/Patient/{candidate.stored.id}","resource":'.encode()
    grade = [{"url": GRADE, "valueCode": candidate.grade}]
    search = orjson.dumps({"extension": grade, "mode": "match", "score": candidate.score})
    return head, candidate.stored.body, b',"search":' + search + b"}"


async def cross_reference(call: Call) -> Answer:
    asked = await arguments(call, frozenset({"sourceIdentifier", "targetSystem"}))
    records, source = _gate(call), str(one(asked, "sourceIdentifier") or "")
    system, bar, value = source.partition("|")
    if not (bar and system and value):
        raise Invalid(
            "sourceIdentifier is system|value.", code="required", remedy="Example: sourceIdentifier=urn:oid:1.2.3|4711"
        )
    token = quote(f"{_escaped(system)}|{_escaped(value)}", safe="")
    found = (await records.search("Patient", f"identifier={token}&_count=20")).matches
    if not found:
        raise NotFound("sourceIdentifier Patient Identifier not found", remedy="Check system and value.")
    wanted = {str(name) for name in asked.get("targetSystem", ())}
    others = [one for stored in found for one in await linked(records, stored.id)]
    people = {
        one.id: one for one in await records.visible_of("Patient", sorted({o.patient for o in others if o.patient}))
    }
    return Answer(200, decode.encode(_targets(list(people.values()), wanted, system)), resource_body=False)


def _escaped(text: str) -> str:
    return "".join("\\" + c if c in "\\,|$" else c for c in text)


def _targets(people: list[Stored], wanted: set[str], source: str) -> dict[str, Any]:
    """The identifiers of the person under the systems asked for, or under all others; the records that have them."""
    identifiers: dict[tuple[str, str], dict[str, Any]] = {}
    references = []
    for stored in people:
        theirs = [i for i in decode.parse(stored.body).get("identifier", ()) if i.get("system") and i.get("value")]
        kept = [i for i in theirs if (i["system"] in wanted if wanted else i["system"] != source)]
        identifiers |= {(i["system"], i["value"]): i for i in kept}
        if kept or not wanted:
            references.append(f"Patient/{stored.id}")
    found = [{"name": "targetIdentifier", "valueIdentifier": one} for _, one in sorted(identifiers.items())]
    ids = [{"name": "targetId", "valueReference": {"reference": one}} for one in sorted(references)]
    body: dict[str, Any] = {"resourceType": "Parameters"}
    return {**body, "parameter": found + ids} if found or ids else body


def _gate(call: Call) -> Records:
    records = call.records
    assert isinstance(records, Records)
    return records


_PATIENT: Final = frozenset({"Patient"})
_TYPE: Final = frozenset({"type"})
OPERATIONS: Final = (
    Operation(
        "match",
        _TYPE,
        match,
        "The records that a description may mean, the likeliest first.",
        _PATIENT,
        "http://hl7.org/fhir/OperationDefinition/Patient-match",
        writes=True,  # POST only: what is asked by names no log of addresses
    ),
    Operation(
        "ihe-pix",
        _TYPE,
        cross_reference,
        "The numbers and records under which a person is known elsewhere.",
        _PATIENT,
        "https://profiles.ihe.net/ITI/PIXm/OperationDefinition/IHE.PIXm.pix",
    ),
)
