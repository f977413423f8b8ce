"""A database that takes no writes, and a disk that is full: said so, nothing lost, and it goes on when there is room.

Triggers raise PostgreSQL's own states (53100, 25006), since a test cannot fill the disk of those who share it.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from bulk import begun, client, county, ndjson, observation, refusals
from serving import Client
from xinglin.access.house import House
from xinglin.access.principal import NODE
from xinglin.access.records import Records
from xinglin.exchange.bulk import importing
from xinglin.exchange.bulk.background import handlers
from xinglin.exchange.loading.entries import Unit
from xinglin.exchange.loading.storing import Storing
from xinglin.kernel import jobs
from xinglin.kernel.database import StorageFull

__all__ = ["county"]
pytest_plugins = ("serving",)
pytestmark = pytest.mark.fault

FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{state}'; END $$;
CREATE TRIGGER full_disk BEFORE INSERT ON {table} EXECUTE FUNCTION full_disk();
"""
ROOM = "DROP FUNCTION full_disk CASCADE"
PATIENT = {"resourceType": "Patient", "name": [{"text": "王小明"}]}


async def execute(house: House, sql: str) -> None:
    async with house.database.connection() as connection:
        await connection.execute(sql)


@pytest.mark.parametrize(("state", "status"), [("53100", 507), ("25006", 503), ("53200", 503), ("58030", 503)])
async def test_a_write_that_finds_no_room_is_refused_and_can_be_repeated(
    fhir: Client, house: House, state: str, status: int
) -> None:
    await execute(house, FULL.format(state=state, table="resource"))
    transaction = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}}] * 50,
    }
    for path, body in (("Patient", PATIENT), ("", transaction)):
        answer = await fhir("POST", path, body)
        assert answer.status_code == status and answer.headers["retry-after"]
        assert "RAISE" not in answer.text and "resource" not in answer.json()["issue"][0]["diagnostics"]
    await execute(house, ROOM)
    assert (await fhir("POST", "", transaction)).status_code == 200
    assert (await fhir("GET", "Patient?_summary=count")).json()["total"] == 50


async def test_nothing_is_shown_that_the_log_has_no_room_for(
    fhir: Client, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    place = (await fhir("POST", "Patient", PATIENT)).json()["id"]
    await execute(house, FULL.format(state="53100", table="audit"))
    answer = await fhir("GET", f"Patient/{place}")
    assert answer.status_code == 503 and "王" not in answer.text
    assert "Traceback" not in caplog.text and caplog.records
    await execute(house, ROOM)
    assert (await fhir("GET", f"Patient/{place}")).status_code == 200


async def test_a_load_that_finds_no_room_stops_and_refuses_no_line(house: House) -> None:
    storing = Storing(Records(house, NODE, why="load"))
    unit = Unit("file", "", tuple((n, json.dumps(PATIENT | {"id": f"p{n}"}).encode()) for n in range(20)))
    await execute(house, FULL.format(state="53100", table="resource"))
    with pytest.raises(StorageFull):
        await storing.store(unit)
    await execute(house, ROOM)
    report = await storing.store(unit)
    assert report.created["Patient"] == 20 and not report.refused


async def test_an_import_that_finds_no_room_waits_for_it(county: House) -> None:
    rows: list[Any] = [observation(f"i{n}", "p1") for n in range(9)]
    async with client(county) as fhir:
        where = await begun(fhir, ndjson(*rows))
        await execute(county, FULL.format(state="53100", table="resource"))
        await jobs.work(county.database, handlers(county))
        assert (await fhir("GET", where)).status_code == 202
        await execute(county, ROOM)
        await execute(county, "UPDATE job SET held_until = now() - interval '1 second'")  # the lease runs out
        await jobs.work(county.database, {importing.KIND: handlers(county)[importing.KIND]})
        manifest = (await fhir("GET", where)).json()
        assert manifest["output"] == [{"type": "Observation", "created": 9}]
        assert await refusals(fhir, manifest) == []
