"""The two public workloads by which FHIR servers are compared, so that our figures stand beside the published ones.

    python benchmarks/bench_workloads.py [--people N] [--seconds S]

Both follow the open benchmark of Health Samurai (fhir-server-performance-benchmark, June 2026) in types, order, mix and
number of clients; resources and values are ours, since they are sampled from what is loaded.

CRUD      300 clients: create nine linked resources, read each, update each, delete each in reverse.
search    30 clients: name, address and organisation by prefix and `:contains`, three dates with every prefix, a
          category; 20 a page.

Published, on 8 processors and 24 GB with 1,000 Synthea patients: CRUD Aidbox 5,212, HAPI 3,058, Medplum 1,420,
Microsoft 440 requests/s; search 3,404, 1,005, 1,796, 261. Ours is on the processors that the machine has, database,
server and load client together: the last column divides both by theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import asyncpg
import driver
import orjson

import serving
from xinglin.core.store.keys import TYPE_NUMBERS

PUBLISHED = {
    "CRUD": {"Aidbox": 5212, "HAPI": 3058, "Medplum": 1420, "Microsoft": 440},
    "search": {"Aidbox": 3404, "HAPI": 1005, "Medplum": 1796, "Microsoft": 261},
}
THEIR_PROCESSORS = 8
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"
PREFIXES = ("", "eq", "lt", "gt", "ge", "le", "sa", "eb")
LOCATION = re.compile(rb"(?i)\r\nlocation: \S*?/fhir/([A-Za-z]+)/([A-Za-z0-9\-.]+)")


def _coded(system: str, code: str, text: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": text}], "text": text}


def _about(reference: str) -> dict[str, str]:
    return {"reference": reference}


CREATED: tuple[str, ...] = (
    "Patient",
    "Location",
    "Organization",
    "Practitioner",
    "Encounter",
    "Observation",
    "MedicationRequest",
    "Claim",
    "ExplanationOfBenefit",
)


def resource(type: str, made: dict[str, str]) -> dict[str, Any]:
    """A resource of the size that records of visits have, which refers to those made before it."""
    money = {"value": 129.16, "currency": "USD"}
    covered = [{"focal": True, "coverage": {"display": "Medicare"}, "sequence": 1}]
    item = {"sequence": 1, "productOrService": _coded("http://snomed.info/sct", "185349003", "Encounter for check up")}
    claim = {
        "status": "active",
        "type": _coded("http://terminology.hl7.org/CodeSystem/claim-type", "pharmacy", "Pharmacy"),
        "use": "claim",
        "patient": _about(made.get("Patient", "")),
        "created": "2024-03-02T10:15:22+08:00",
        "billablePeriod": {"start": "2024-03-02T09:00:00+08:00", "end": "2024-03-02T09:15:00+08:00"},
        "insurance": covered,
        "item": [{**item, "encounter": [_about(made.get("Encounter", ""))]}],
    }
    bodies: dict[str, dict[str, Any]] = {
        "Patient": {
            "identifier": [{"system": "urn:oid:2.16.156.10011.1.3", "value": f"W{random.getrandbits(40)}"}],
            "name": [{"use": "official", "family": "Okafor", "given": ["Ruth", "Ada"], "prefix": ["Ms."]}],
            "telecom": [{"system": "phone", "value": "555-201-4410", "use": "home"}],
            "gender": "female",
            "birthDate": "1971-08-14",
            "address": [{"line": ["12 Linden Mews"], "city": "Worcester", "state": "MA", "postalCode": "01604"}],
            "maritalStatus": {"text": "Married"},
        },
        "Location": {
            "status": "active",
            "name": "Linden Health Centre",
            "telecom": [{"system": "phone", "value": "555-201-4000"}],
            "address": {"line": ["1 Linden Square"], "city": "Worcester", "state": "MA"},
            "position": {"longitude": -71.79, "latitude": 42.27},
        },
        "Organization": {
            "active": True,
            "type": [_coded("http://terminology.hl7.org/CodeSystem/organization-type", "prov", "Healthcare Provider")],
            "name": "Linden Health Centre",
            "telecom": [{"system": "phone", "value": "555-201-4000"}],
        },
        "Practitioner": {
            "active": True,
            "identifier": [{"system": "http://hl7.org/fhir/sid/us-npi", "value": f"{random.getrandbits(33)}"}],
            "name": [{"family": "Larkin", "given": ["Moira"], "prefix": ["Dr."]}],
            "gender": "female",
        },
        "Encounter": {
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"},
            "type": [_coded("http://snomed.info/sct", "185349003", "Encounter for check up")],
            "subject": _about(made.get("Patient", "")),
            "participant": [{"individual": _about(made.get("Practitioner", ""))}],
            "period": {"start": "2024-03-02T09:00:00+08:00", "end": "2024-03-02T09:15:00+08:00"},
            "location": [{"location": _about(made.get("Location", ""))}],
            "serviceProvider": _about(made.get("Organization", "")),
        },
        "Observation": {
            "status": "final",
            "category": [{"coding": [{"system": CATEGORY, "code": "vital-signs"}]}],
            "code": _coded("http://loinc.org", "8302-2", "Body Height"),
            "subject": _about(made.get("Patient", "")),
            "encounter": _about(made.get("Encounter", "")),
            "effectiveDateTime": "2024-03-02T09:05:00+08:00",
            "issued": "2024-03-02T09:05:00.000+08:00",
            "valueQuantity": {"value": 166.2, "unit": "cm", "system": "http://unitsofmeasure.org", "code": "cm"},
        },
        "MedicationRequest": {
            "status": "active",
            "intent": "order",
            "medicationCodeableConcept": _coded(
                "http://www.nlm.nih.gov/research/umls/rxnorm", "314076", "lisinopril 10 MG Oral Tablet"
            ),
            "subject": _about(made.get("Patient", "")),
            "encounter": _about(made.get("Encounter", "")),
            "authoredOn": "2024-03-02T09:10:00+08:00",
            "requester": _about(made.get("Practitioner", "")),
        },
        "Claim": {
            **claim,
            "provider": _about(made.get("Organization", "")),
            "priority": {"coding": [{"code": "normal"}]},
            "prescription": _about(made.get("MedicationRequest", "")),
            "total": money,
        },
        "ExplanationOfBenefit": {
            **claim,
            "provider": _about(made.get("Practitioner", "")),
            "insurer": {"display": "Medicare"},
            "claim": _about(made.get("Claim", "")),
            "outcome": "complete",
            "insurance": [{"focal": True, "coverage": {"display": "Medicare"}}],
            "careTeam": [{"sequence": 1, "provider": _about(made.get("Practitioner", ""))}],
            "total": [{"category": {"coding": [{"code": "submitted"}]}, "amount": money}],
        },
    }
    return {"resourceType": type, **bodies[type]}


CHANGES: dict[str, dict[str, Any]] = {
    "Patient": {"gender": "unknown"},
    "Practitioner": {"gender": "unknown"},
    "Location": {"name": "Linden Clinic"},
    "Organization": {"name": "Linden Clinic"},
    "Encounter": {"status": "in-progress"},
    "Observation": {"issued": "2024-03-02T09:06:00.000+08:00"},
    "MedicationRequest": {"status": "on-hold"},
    "Claim": {"created": "2024-03-03T10:15:22+08:00"},
    "ExplanationOfBenefit": {"created": "2024-03-03T10:15:22+08:00"},
}


def crud(bearer: str) -> driver.Script:
    """One visitor's round: 36 requests."""
    made: dict[str, str] = {}
    bodies: dict[str, dict[str, Any]] = {}
    for type in CREATED:
        body = resource(type, made)
        answer = yield driver.request("POST", f"/fhir/{type}", bearer, orjson.dumps(body))
        place = LOCATION.search(answer.head)
        if answer.status != 201 or place is None:
            raise SystemExit(f"{type} was not created: {answer.status} {answer.body[:400].decode()}")
        made[type] = f"{type}/{place[2].decode()}"
        bodies[type] = {**body, "id": place[2].decode()}
    for type in CREATED:
        yield driver.request("GET", f"/fhir/{made[type]}", bearer)
    for type in CREATED:
        changed = orjson.dumps({**bodies[type], **CHANGES[type]})
        yield driver.request("PUT", f"/fhir/{made[type]}", bearer, changed)
    for type in reversed(CREATED):
        yield driver.request("DELETE", f"/fhir/{made[type]}", bearer)


async def sampled(url: str) -> dict[str, list[Any]]:
    """Values that the loaded record has: names, towns, organisations, dates."""
    connection = await asyncpg.connect(url)
    found = {
        type: [
            orjson.loads(row[0])
            for row in await connection.fetch(
                "SELECT body FROM resource WHERE type = $1 AND NOT deleted AND key % 7 = 3 LIMIT 200",
                TYPE_NUMBERS[type],
            )
        ]
        for type in ("Patient", "Organization", "Observation", "Encounter")
    }
    await connection.close()
    dated = (item.get("effectiveDateTime") for item in found["Observation"])
    return {
        "given": [item["name"][0]["given"][0] for item in found["Patient"] if item.get("name")],
        "city": [item["address"][0].get("city", "") for item in found["Patient"] if item.get("address")],
        "organization": [item["name"] for item in found["Organization"] if item.get("name")],
        "birthdate": [item["birthDate"] for item in found["Patient"] if item.get("birthDate")],
        "observed": [text[:19] for text in dated if text],
        "met": [item["period"]["start"][:10] for item in found["Encounter"] if item.get("period")],
    }


def searches(values: dict[str, list[Any]], bearer: str) -> Iterator[bytes]:
    """One after another of the mix, each with a value of its own."""
    dice = random.Random(11)
    texts = (("Patient", "name", "given"), ("Patient", "address", "city"), ("Organization", "name", "organization"))
    dates = (("Patient", "birthdate", "birthdate"), ("Observation", "date", "observed"), ("Encounter", "date", "met"))
    categories = ("no-such|category", "laboratory", f"{CATEGORY}|laboratory")
    while True:
        for type, name, key in texts:
            value = dice.choice([*values[key], "NON-EXISTS"])
            yield _search(bearer, type, f"{name}{dice.choice(('', ':contains'))}={quote(value)}")
        for type, name, key in dates:
            yield _search(bearer, type, f"{name}={dice.choice(PREFIXES)}{dice.choice(values[key])}")
        yield _search(bearer, "Observation", f"category={quote(dice.choice(categories))}")


def _search(bearer: str, type: str, query: str) -> bytes:
    return driver.request("GET", f"/fhir/{type}?{query}&_count=20", bearer)


def compared(name: str, report: driver.Report) -> None:
    print(report.line(name))
    ours = os.cpu_count() or 1
    for peer, rate in PUBLISHED[name].items():
        share = (report.rate / ours) / (rate / THEIR_PROCESSORS)
        print(f"    {peer:10} {rate:6,}/s published   ours {report.rate / rate:5.2f}x   per processor {share:5.2f}x")


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--people", type=int, default=300)
    words.add_argument("--seconds", type=float, default=10)
    asked = words.parse_args()
    with serving.county(asked.people) as settings:
        values = asyncio.run(sampled(settings.database_url))
        bearer, port = serving.token(settings), serving.free_port()
        with serving.server(serving.ours(port, 2), settings, port):
            driver.converse(port, lambda: crud(bearer), clients=30, seconds=2)
            compared("CRUD", driver.converse(port, lambda: crud(bearer), clients=300, seconds=asked.seconds))
            mix = searches(values, bearer)
            driver.run(port, mix, clients=30, seconds=2)
            compared("search", driver.run(port, mix, clients=30, seconds=asked.seconds))


if __name__ == "__main__":
    main()
