"""Bulk export as the Bulk Data IG (STU 2) has it: kick-off, status, manifest, files; nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bulk import begin, client, county, exported, lines, names, observation, put, work
from xinglin.access import bulk as gate
from xinglin.access.house import House
from xinglin.exchange.bulk import exporting
from xinglin.exchange.bulk.background import handlers, sweep
from xinglin.kernel import clock, jobs
from xinglin.kernel.database import quiet_since

__all__ = ["county"]

P1 = {"Patient/p1", "Observation/p1-0", "Observation/p1-1", "Observation/p1-2"}
ALL = {name.replace("p1", id) for name in P1 for id in ("p1", "p2", "p3")}


async def test_an_export_from_kick_off_to_files(county: House) -> None:
    async with client(county) as fhir:
        where = await begin(fhir, "$export?_outputFormat=application/fhir%2Bndjson")
        answer = await fhir("GET", where)
        assert answer.status_code == 202
        assert answer.headers["x-progress"] == "waiting to start"
        assert int(answer.headers["retry-after"]) >= 1
        await work(county)
        answer = await fhir("GET", where)
        assert answer.headers["content-type"] == "application/json"
        assert "expires" in answer.headers
        manifest = answer.json()
        assert manifest["requiresAccessToken"] is True
        assert manifest["request"].endswith("/fhir/$export?_outputFormat=application/fhir%2Bndjson")
        assert manifest["deleted"] == manifest["error"] == []
        found = await lines(fhir, manifest)
        assert names(found) == ALL | {"Organization/A", "Organization/B", "Group/g"}
        read = (await fhir("GET", "Observation/p1-1")).json()
        assert read in found


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("Patient/$export", ALL),
        ("Patient/$export?_type=Patient", {"Patient/p1", "Patient/p2", "Patient/p3"}),
        ("Group/g/$export", P1),
        ("Group/g/$export?_outputFormat=application/fhir+ndjson", P1),  # the + unquoted, as many send it
        (
            "$export?_type=Organization,Patient&_typeFilter=Patient?_id=p2",
            {"Organization/A", "Organization/B", "Patient/p2"},
        ),
        (
            "Patient/$export?_type=Observation&_typeFilter=Observation?code=code-1",
            {"Observation/p1-1", "Observation/p2-1", "Observation/p3-1"},
        ),
        (
            "$export?_type=Observation&_typeFilter=Observation?code=code-1%26patient=p1,Observation?status=preliminary",
            {"Observation/p1-1", "Observation/p1-0", "Observation/p2-0", "Observation/p3-0"},
        ),
        (
            "$export?_type=Observation&_typeFilter=Observation?subject:Patient._id=p3",
            {"Observation/p3-0", "Observation/p3-1", "Observation/p3-2"},
        ),
    ],
)
async def test_what_is_in_an_export(county: House, path: str, expected: set[str]) -> None:
    async with client(county) as fhir:
        found = await lines(fhir, await exported(county, fhir, path))
        assert names(found) == expected
        assert len(found) == len(expected)


async def test_what_is_not_known_is_left_out_where_that_is_wished(county: House) -> None:
    async with client(county) as fhir:
        path = "Patient/$export?_type=Patient&includeAssociatedData=LatestProvenanceResources"
        assert (await fhir("GET", path, prefer="respond-async")).status_code == 400
        assert (await fhir("GET", path, prefer="respond-async, handling=lenient")).status_code == 202


async def test_a_posted_kick_off_names_patients(county: House) -> None:
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueReference": {"reference": "Patient/p2"}},
            {"name": "_type", "valueString": "Patient,Observation"},
        ],
    }
    async with client(county) as fhir:
        found = await lines(fhir, await exported(county, fhir, "Patient/$export", body))
        assert names(found) == {name.replace("p1", "p2") for name in P1}


async def test_elements_cut_resources_and_say_so(county: House) -> None:
    async with client(county) as fhir:
        path = "Patient/$export?_type=Patient,Observation&_elements=Patient.birthDate,status"
        found = await lines(fhir, await exported(county, fhir, path))
        patient = next(one for one in found if one["resourceType"] == "Patient")
        observed = next(one for one in found if one["resourceType"] == "Observation")
        assert set(patient) == {"resourceType", "id", "meta", "birthDate"}
        assert set(observed) == {"resourceType", "id", "meta", "status", "code"}  # mandatory elements stay
        assert patient["meta"]["tag"][0]["code"] == "SUBSETTED"


async def test_since_gives_what_changed_and_what_was_deleted(county: House) -> None:
    async with client(county) as fhir:
        first = await exported(county, fhir, "Patient/$export")
        await asyncio.sleep(0.01)
        await fhir("DELETE", "Observation/p2-2")
        await put(county, "A", observation("p1-1", "p1", 5))
        later = await exported(county, fhir, f"Patient/$export?_since={first['transactionTime']}")
        assert names(await lines(fhir, later)) == {"Observation/p1-1"}
        bundles = await lines(fhir, later, "deleted")
        assert [entry["request"] for bundle in bundles for entry in bundle["entry"]] == [
            {"method": "DELETE", "url": "Observation/p2-2"}
        ]


async def test_a_resource_that_changes_meanwhile_is_given_as_it_was(county: House) -> None:
    async with client(county) as fhir:
        where = await begin(fhir, "Patient/$export?_type=Observation")
        await put(county, "A", observation("p1-1", "p1", 1, note=[{"text": "later"}]), observation("new", "p1"))
        await fhir("DELETE", "Observation/p1-2")
        await work(county)
        found = await lines(fhir, (await fhir("GET", where)).json())
        assert {one["id"]: one["meta"]["versionId"] for one in found if one["id"].startswith("p1")} == {
            "p1-0": "1",
            "p1-1": "1",
        }
        assert "new" not in {one["id"] for one in found}


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("$export?_type=Nonsense", 404, "Nonsense"),
        ("$export?_outputFormat=text/csv", 400, "NDJSON"),
        ("$export?_since=yesterday", 400, "_since"),
        ("$export?_typeFilter=Observation", 400, "_typeFilter"),
        ("$export?_typeFilter=Observation?nonsense=1", 400, "nonsense"),
        ("$export?_typeFilter=Observation?_include=Observation:subject", 400, "_include"),
        ("$export?_type=Patient&_typeFilter=Observation?code=1", 400, "leaves out"),
        ("$export?colour=red", 400, "colour"),
        ("$export?patient=p1", 400, "patient"),
        ("$export?_type=AuditEvent", 400, "AuditEvent"),
        ("Group/nobody/$export", 404, "Group/nobody"),
        ("Group/$export", 404, "Group (instance)"),
        ("Patient/p1/$export", 404, "Patient (type)"),
        ("$export-status?job=nonsense", 404, "no such job"),
        ("$export-status", 404, "no such job"),
        ("$export-file?job=00000000-0000-0000-0000-000000000000&name=../x", 404, "no such job"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(county: House, path: str, status: int, said: str) -> None:
    async with client(county) as fhir:
        answer = await fhir("GET", path)
        assert answer.status_code == status, answer.text
        assert said in answer.text


async def test_a_download_that_broke_off_goes_on(county: House) -> None:
    async with client(county) as fhir:
        manifest = await exported(county, fhir, "Patient/$export?_type=Observation")
        address = manifest["output"][0]["url"].removeprefix(f"{fhir.base}/")
        whole = await fhir("GET", address)
        assert whole.headers["accept-ranges"] == "bytes"
        text, tag, size = whole.content, whole.headers["etag"], len(whole.content)
        for asked, expected in {
            "bytes=0-9": (text[:10], f"bytes 0-9/{size}"),
            f"bytes={size - 5}-": (text[-5:], f"bytes {size - 5}-{size - 1}/{size}"),
            "bytes=-7": (text[-7:], f"bytes {size - 7}-{size - 1}/{size}"),
            "bytes=3-999999": (text[3:], f"bytes 3-{size - 1}/{size}"),
        }.items():
            part = await fhir("GET", address, range=asked, if_range=tag)
            assert (part.status_code, part.content, part.headers["content-range"]) == (206, *expected), asked
            assert part.headers["content-length"] == str(len(part.content))
        for odd in ("bytes=5-3", "bytes=0-1,4-5", "lines=0-1", "bytes=-", "bytes=x-"):
            assert (await fhir("GET", address, range=odd)).content == text, odd
        assert (await fhir("GET", address, range="bytes=0-9", if_range='"another"')).status_code == 200
        beyond = await fhir("GET", address, range=f"bytes={size}-")
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


async def test_delete_cancels_and_removes(county: House) -> None:
    async with client(county) as fhir:
        waiting, done = await begin(fhir, "$export"), await begin(fhir, "$export")
        assert (await fhir("DELETE", waiting)).status_code == 202
        await work(county)
        manifest = (await fhir("GET", done)).json()
        assert (await fhir("GET", waiting)).status_code == 404
        assert len(list((county.settings.home / "exports").iterdir())) == 1
        assert (await fhir("DELETE", done)).status_code == 202
        assert list((county.settings.home / "exports").iterdir()) == []
        answer = await fhir("GET", manifest["output"][0]["url"].removeprefix(f"{fhir.base}/"))
        assert answer.status_code == 404


async def test_a_cancelled_export_stops_where_it_is(county: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "STRETCH", 1)
    async with client(county) as fhir:
        where = await begin(fhir, "$export")
        job = await jobs.claim(county.database, [exporting.KIND])
        assert job is not None
        await fhir("DELETE", where)
        with pytest.raises(jobs.Lost):
            await exporting.export(county, job)
        assert list((county.settings.home / "exports").iterdir()) == []


async def test_what_has_expired_is_removed(county: House) -> None:
    async with client(county) as fhir:
        where = await begin(fhir, "$export")
        await work(county)
        async with county.database.connection() as connection:
            await connection.execute("UPDATE job SET expires = now() - interval '1 second'")
        assert (await fhir("GET", where)).status_code == 404
        await sweep(county)
        assert list((county.settings.home / "exports").iterdir()) == []


async def test_unfinished_exports_of_one_owner_are_few(county: House) -> None:
    async with client(county) as fhir:
        for _ in range(5):
            await begin(fhir, "$export")
        answer = await fhir("GET", "$export")
        assert answer.status_code == 429


@pytest.mark.parametrize("stretch", [1, 2, 5])
async def test_an_export_broken_off_goes_on_without_loss(
    county: House, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    """Each run writes one stretch and part of another, then dies; the next cuts the rest and goes on."""
    monkeypatch.setattr(gate, "STRETCH", stretch)
    monkeypatch.setattr(exporting, "SYNC_BYTES", 0)
    async with client(county) as fhir:
        where = await begin(fhir, "Patient/$export")
        runs = 0
        while await carried_a_little(county):
            runs += 1
        assert runs > 5
        manifest = (await fhir("GET", where)).json()
        found = await lines(fhir, manifest)
        assert names(found) == ALL
        assert len(found) == len(ALL)


async def carried_a_little(house: House) -> bool:
    """Take the job as another process would, and die at its second save, after it wrote."""

    class Dying(jobs.Running):
        saves = 0

        async def save(self, connection: Any) -> None:
            self.saves += 1
            if self.saves == 2:
                raise ConnectionError("killed")
            await super().save(connection)

    async with house.database.connection() as connection:
        await connection.execute("UPDATE job SET held_until = now() - interval '1 second' WHERE state = 'running'")
    taken = await jobs.claim(house.database, [exporting.KIND])
    if taken is None:
        return False
    running = Dying(house.database, taken.job)
    try:
        await handlers(house)[exporting.KIND](running)
    except ConnectionError:
        return True
    await running.finish(jobs.DONE)
    return True


async def test_long_types_are_split_into_files(county: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "FILE_BYTES", 1)
    monkeypatch.setattr(gate, "STRETCH", 2)
    async with client(county) as fhir:
        manifest = await exported(county, fhir, "$export?_type=Observation")
        assert len(manifest["output"]) == 5
        assert len(await lines(fhir, manifest)) == 9


async def test_a_writer_that_began_before_is_waited_for(county: House) -> None:
    """What a transaction wrote under an earlier time is in the export, though it commits after the kick-off."""
    moment = clock.micros(clock.now())
    waiting = None
    async with county.database.transaction() as connection:
        await connection.execute("SELECT pg_current_xact_id()")
        waiting = asyncio.create_task(quiet_since(county.database, clock.micros(clock.now()), 60))
        await quiet_since(county.database, moment - 60_000_000, 60)  # began later: not waited for
        await asyncio.sleep(0.2)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 5)
