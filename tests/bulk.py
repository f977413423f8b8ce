"""What tests of bulk data share: a county of two institutions with a home of its own, clients, a job run to its end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Client
from xinglin.access.house import House
from xinglin.access.identity import tokens
from xinglin.access.principal import NODE, Role
from xinglin.access.records import Records, Write
from xinglin.app import Application
from xinglin.exchange.bulk.background import handlers
from xinglin.kernel import jobs
from xinglin.kernel.config import Settings

LABORATORY = {
    "coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category", "code": "laboratory"}]
}


@pytest.fixture
async def county(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """Hospital A holds p1 and p2, hospital B holds p3; each has three observations. Group g: p1, and p3 inactive."""
    settings = Settings(database_url=database_url, statement_seconds=20, home=tmp_path)
    house = await House.open(settings, database_url, pool_size=8)
    for name in ("A", "B"):
        await put(house, name, {"resourceType": "Organization", "id": name, "name": f"Hospital {name}"})
    for holder, id in (("A", "p1"), ("A", "p2"), ("B", "p3")):
        patient = {"resourceType": "Patient", "id": id, "name": [{"text": f"王{id}"}], "birthDate": "1980-05-03"}
        await put(house, holder, patient, *(observation(f"{id}-{n}", id, n) for n in range(3)))
    members = [{"entity": {"reference": "Patient/p1"}}, {"entity": {"reference": "Patient/p3"}, "inactive": True}]
    await put(house, "A", {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "member": members})
    yield house
    await house.close()


def observation(id: str, patient: str, value: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final" if value else "preliminary",
        "category": [LABORATORY],
        "code": {"coding": [{"system": "http://loinc.org", "code": f"code-{value}"}], "text": "line\nbreak"},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": f"2024-03-0{value + 1}",
        **more,
    }


async def put(house: House, custodian: str | None, *resources: dict[str, Any]) -> None:
    writes = [Write("PUT", one["resourceType"], one["id"], one) for one in resources]
    await Records(house, NODE).write(writes, custodian=custodian)


@asynccontextmanager
async def client(house: House, role: Role = Role.SYSTEM, **more: Any) -> AsyncIterator[Client]:
    """A client with a token of its own; `token_id` is what revokes it."""
    token, entry = await tokens.issue(house.database, role, 1, **more)
    app = Application(house.settings, house)
    async with app.pages.router.lifespan_context(app.pages):
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, headers={"authorization": f"Bearer {token}"}) as http:
            made = Client(http)
            made.token_id = entry.id  # type: ignore[attr-defined]
            yield made


async def work(house: House) -> None:
    """Carry out whatever waits."""
    while await jobs.work(house.database, handlers(house)):
        pass


async def begin(fhir: Client, path: str, body: Any = None) -> str:
    """Kick off; the status address below the base."""
    answer = await fhir("GET" if body is None else "POST", path, body, prefer="respond-async")
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"].removeprefix(f"{fhir.base}/")


async def exported(house: House, fhir: Client, path: str, body: Any = None) -> dict[str, Any]:
    """The manifest of an export carried out."""
    where = await begin(fhir, path, body)
    await work(house)
    answer = await fhir("GET", where)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def lines(fhir: Client, manifest: dict[str, Any], kind: str = "output") -> list[dict[str, Any]]:
    """All resources of a manifest's files, counted as the manifest says."""
    found = []
    for entry in manifest[kind]:
        answer = await fhir("GET", entry["url"].removeprefix(f"{fhir.base}/"), accept="application/fhir+ndjson")
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/fhir+ndjson"
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert len(rows) == entry["count"]
        assert {row["resourceType"] for row in rows} == {entry["type"]}
        found += rows
    return found


def names(resources: list[dict[str, Any]]) -> set[str]:
    return {f"{one['resourceType']}/{one['id']}" for one in resources}


def ndjson(*resources: Any) -> str:
    return "\n".join(one if isinstance(one, str) else json.dumps(one) for one in resources) + "\n"


async def begun(fhir: Client, text: str, query: str = "") -> str:
    answer = await fhir("POST", f"$import{query}", text, content_type="application/fhir+ndjson")
    assert answer.status_code == 202, answer.text
    return answer.headers["content-location"].removeprefix(f"{fhir.base}/")


async def imported(house: House, fhir: Client, text: str, query: str = "") -> dict[str, Any]:
    where = await begun(fhir, text, query)
    await work(house)
    answer = await fhir("GET", where)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def refusals(fhir: Client, manifest: dict[str, Any]) -> list[str]:
    found = []
    for entry in manifest["error"]:
        answer = await fhir("GET", entry["url"].removeprefix(f"{fhir.base}/"))
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert len(rows) == entry["count"]
        found += [row["issue"][0]["diagnostics"] for row in rows]
    return found
