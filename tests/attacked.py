"""A county to attack: two institutions, what each holds, and callers of every role on the whole application.

Anna is a1 at A and b1 at B; Ben is a2 at A; b2 is known at B only. What B holds about a1 itself (`hid`, value 42) is
the bait: dr-a treats a1 and must not learn of it by any road. Every bait is findable by `root`, so that a test that
finds nothing for dr-a can fail.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
import pytest

from serving import FHIR_JSON, Client, check_answer
from xinglin.access.house import House
from xinglin.access.identity import proof, tokens
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.app import Application
from xinglin.core.store.keys import key_of
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database

FRESH = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|(?<=\"timestamp\":\")[^\"]*")
SECURITY = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
HIV = {"security": [{"system": SECURITY, "code": "HIV"}]}
CALLERS: dict[str, dict[str, Any]] = {
    "root": {"role": Role.SYSTEM},
    "backend-a": {"role": Role.SYSTEM, "institution": "A"},
    "backend-b": {"role": Role.SYSTEM, "institution": "B"},
    "dr-a": {"role": Role.CLINICIAN, "institution": "A", "practitioner": "pa"},
    "dr-a2": {"role": Role.CLINICIAN, "institution": "A", "practitioner": "pa2"},
    "dr-b": {"role": Role.CLINICIAN, "institution": "B", "practitioner": "pb"},
    "anna": {"role": Role.PATIENT, "patient": "a1"},
    "ben": {"role": Role.PATIENT, "patient": "a2"},
    "pharmacist": {"role": Role.PHARMACIST, "institution": "A"},
    "clerk": {"role": Role.CLERK, "institution": "A"},
    "manager": {"role": Role.MANAGER, "institution": "A"},
    "app": {"role": Role.CLINICIAN, "institution": "A", "practitioner": "pa", "scopes": ["user/Observation.rs"]},
    "feed": {"role": Role.SYSTEM, "scopes": ["system/Observation.c", "system/Device.write"]},
}
ANNA = Principal("anna", "Anna", Role.PATIENT, Purpose.OWN, patients=("a1", "b1"))
DOCTOR = Principal("dr-a", "Dr A", Role.CLINICIAN, Purpose.TREATMENT, institution="A", practitioner="pa")


def concept(code: str, system: str = "urn:c") -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def ref(reference: str) -> dict[str, Any]:
    return {"reference": reference}


def observation(id: str, patient: str, code: str = "known", value: float = 7, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [concept("laboratory", "http://terminology.hl7.org/CodeSystem/observation-category")],
        "code": concept(code),
        "subject": ref(f"Patient/{patient}"),
        "effectiveDateTime": "2024-03-01",
        "valueQuantity": {"value": value, "unit": "mg"},
        **more,
    }


def encounter(id: str, patient: str, kind: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": {"system": "urn:c", "code": kind},
        "subject": ref(f"Patient/{patient}"),
    }


def patient(id: str, family: str, number: str, **more: Any) -> dict[str, Any]:
    identifier = [{"system": "urn:id", "value": number}]
    return {"resourceType": "Patient", "id": id, "name": [{"family": family}], "identifier": identifier, **more}


def provenance(id: str, *targets: str) -> dict[str, Any]:
    return {
        "resourceType": "Provenance",
        "id": id,
        "target": [ref(target) for target in targets],
        "recorded": "2024-01-01T00:00:00Z",
        "agent": [{"who": ref("Practitioner/pb")}],
    }


def response(id: str, who: str) -> dict[str, Any]:
    return {
        "resourceType": "QuestionnaireResponse",
        "id": id,
        "status": "amended",
        "questionnaire": "http://q/1",
        "subject": ref(f"Patient/{who}"),
    }


def practitioner(id: str) -> dict[str, Any]:
    licence = {
        "identifier": [{"value": f"licence-{id}"}],
        "code": {"text": "licence"},
        "period": {"start": "2020-01-01"},
    }
    return {"resourceType": "Practitioner", "id": id, "name": [{"family": id}], "qualification": [licence]}


def post(id: str, who: str, institution: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "PractitionerRole",
        "id": id,
        "practitioner": ref(f"Practitioner/{who}"),
        "organization": ref(f"Organization/{institution}"),
        **more,
    }


def directory() -> list[dict[str, Any]]:
    practitioners = [practitioner(id) for id in ("pa", "pa2", "pb")]
    posts = [post("ra", "pa", "A"), post("ra2", "pa2", "A"), post("rb", "pb", "B")]
    organizations = [{"resourceType": "Organization", "id": id, "name": f"Hospital {id}"} for id in "AB"]
    questionnaire = {
        "resourceType": "Questionnaire",
        "id": "q",
        "url": "http://q/1",
        "status": "active",
        "title": "Sleep",
    }
    return [*practitioners, *posts, *organizations, questionnaire]


def held_by_a() -> list[dict[str, Any]]:
    return [
        patient("a1", "Wang", "1", link=[{"other": ref("Patient/b1"), "type": "seealso"}]),
        patient("a2", "Li", "2"),
        encounter("ea", "a1", "AMB"),
        observation("oa1", "a1"),
        observation("oa2", "a2"),
        observation("oa3", "a1", encounter=ref("Encounter/eb")),
        observation("oa4", "a1", hasMember=[ref("Observation/hid")]),
        observation("oa5", "a2"),
        provenance("pra", "Observation/oa1", "Observation/hid"),
        {
            "resourceType": "List",
            "id": "la",
            "status": "current",
            "mode": "working",
            "entry": [{"item": ref("Observation/oa1")}, {"item": ref("Observation/hid")}],
        },
    ]


def held_by_b() -> list[dict[str, Any]]:
    at_eb = {"encounter": ref("Encounter/ea")}
    source = {"meta": {"source": "http://hidden.example"}}
    section = [{"entry": [ref("Observation/oa1"), ref("Observation/hid")]}]
    return [
        patient("b1", "Wang", "1"),
        patient("b2", "Secret", "777"),
        encounter("eb", "b1", "SECRET"),
        observation("hid", "a1", "secret", 42, **at_eb, **source, hasMember=[ref("Observation/oa5")]),
        observation("ob1", "b1", "known", 9),
        observation("ob2", "b2"),
        observation("hiv", "b1", meta=HIV),
        {"resourceType": "Condition", "id": "cb", "subject": ref("Patient/b2"), "code": concept("B20")},
        provenance("prb", "Observation/oa1"),
        {
            "resourceType": "List",
            "id": "lb",
            "status": "current",
            "mode": "working",
            "subject": ref("Patient/a1"),
            "entry": [{"item": ref("Patient/a1")}, {"item": ref("Observation/oa1")}],
        },
        {
            "resourceType": "Group",
            "id": "gb",
            "type": "person",
            "actual": True,
            "member": [{"entity": ref("Patient/a1")}, {"entity": ref("Patient/b2")}],
        },
        {
            "resourceType": "Composition",
            "id": "compb",
            "status": "final",
            "type": concept("secret"),
            "subject": ref("Patient/a1"),
            "date": "2024-01-01",
            "author": [ref("Practitioner/pb")],
            "title": "Letter",
            "section": section,
        },
        response("qrb", "b2"),
        {"resourceType": "Binary", "id": "own", "contentType": "text/plain", "securityContext": ref("Patient/b1")},
        {"resourceType": "Binary", "id": "bare", "contentType": "text/plain", "data": "c2VjcmV0"},
    ]


class County:
    """`ask(login, method, path, body)` over HTTP; `root` and the others of CALLERS."""

    def __init__(self, house: House, http: httpx.AsyncClient, secrets: dict[str, str]) -> None:
        self.house = house
        self.http = http
        self.secrets = secrets

    async def ask(self, login: str, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        given = {"authorization": f"Bearer {self.secrets[login]}"}
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        content = None if body is None else json.dumps(body)
        if content is not None and "content-type" not in given:
            given |= FHIR_JSON
        url = path if path.startswith("http") else f"{Client.base}/{path}" if path else Client.base
        answer = await self.http.request(method, url, content=content, headers=given)
        check_answer(answer)
        return answer

    async def get(self, login: str, path: str) -> Any:
        answer = await self.ask(login, "GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def ids(self, login: str, path: str, mode: str = "match") -> set[str]:
        """What a search finds, as `id`; with mode "include" what comes along, as `Type/id`."""
        rows = (await self.get(login, path)).get("entry", [])
        found = [row["resource"] for row in rows if row["search"]["mode"] == mode]
        return {one["id"] if mode == "match" else f"{one['resourceType']}/{one['id']}" for one in found}

    async def put(self, custodian: str, *resources: dict[str, Any]) -> None:
        writes = [Write("PUT", one["resourceType"], one["id"], one) for one in resources]
        await Records(self.house, NODE).write(writes, custodian=custodian)

    async def fetch(self, sql: str, *arguments: Any) -> list[Any]:
        async with self.house.database.connection() as connection:
            return list(await connection.fetch(sql, *arguments))


@dataclass(frozen=True, slots=True)
class Seen:
    """What an answer told, for comparison of the hidden with the missing."""

    status: int
    headers: tuple[tuple[str, str], ...]
    text: str


def told(answer: httpx.Response, *names: str) -> Seen:
    text = FRESH.sub("FRESH", answer.text)
    for name in names:
        text = text.replace(name, "NAME")
    length = {"content-length"}
    headers = tuple((n, v) for n, v in answer.headers.items() if n not in length)
    return Seen(answer.status_code, headers, text)


async def _fill(county: County) -> None:
    async with county.house.database.connection() as connection:
        rows = [(key_of("Patient", id), id, "anna") for id in ("a1", "b1")]
        await connection.executemany("INSERT INTO person_link (patient, patient_id, person) VALUES ($1, $2, $3)", rows)
    for one in directory():
        await county.put("B" if one["id"] in ("B", "pb", "rb") else "A", one)
    await county.put("A", *held_by_a())
    await county.put("B", *held_by_b())


@asynccontextmanager
async def _opened(postgres: str, template: str) -> AsyncIterator[County]:
    name = f"attacked_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    house = await House.open(Settings(statement_seconds=20), with_database(postgres, name), pool_size=6)
    issued = {login: await tokens.issue(house.database, hours=1, **more) for login, more in CALLERS.items()}
    secrets = {login: token for login, (token, _) in issued.items()}
    app = Application(Settings(max_body_mb=2), house)
    async with app.pages.router.lifespan_context(app.pages):
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport) as http:
            county = County(house, http, secrets)
            await _fill(county)
            async with house.database.transaction() as connection:
                await proof.confirm(connection, f"token:{issued['anna'][1].id}", "B", "clerk-b", "resident-card")
            yield county
    await house.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture(scope="module")
async def county(postgres: str, template: str) -> AsyncIterator[County]:
    """For tests that leave the county as they found it."""
    async with _opened(postgres, template) as county:
        yield county


@pytest.fixture
async def own_county(postgres: str, template: str) -> AsyncIterator[County]:
    """A county of the test's own, to change."""
    async with _opened(postgres, template) as county:
        yield county
