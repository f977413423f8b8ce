"""Jobs: taken once, given back when their process dies; and what they index for parameters posted at run time."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bulk import client, county, observation, put
from serving import Client
from xinglin.access import parameters
from xinglin.access.house import House
from xinglin.core.search.custom import Difference, definition_of
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.store import reindex
from xinglin.core.store.keys import TYPE_NUMBERS
from xinglin.kernel import jobs
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Invalid

__all__ = ["county"]


# the table -----------------------------------------------------------------------------------------------------------


async def made(database: Database, kind: str = "k", **arguments: Any) -> jobs.Job:
    async with database.connection() as connection:
        return await jobs.submit(connection, kind, "me", arguments)


async def found(database: Database, job: jobs.Job) -> jobs.Job:
    async with database.connection() as connection:
        now = await jobs.find(connection, job.id)
    assert now is not None
    return now


async def lapse(database: Database) -> None:
    """The lease of a process that died runs out."""
    async with database.connection() as connection:
        await connection.execute("UPDATE job SET held_until = now() - interval '1 second' WHERE state = 'running'")


async def test_many_takers_take_each_job_once(database: Database) -> None:
    for number in range(20):
        await made(database, number=number)
    taken = await asyncio.gather(*(jobs.claim(database, ["k"]) for _ in range(30)))
    numbers = [running.job.arguments["number"] for running in taken if running]
    assert sorted(numbers) == list(range(20))
    assert await jobs.claim(database, ["k"]) is None


async def test_a_job_is_only_for_who_can_do_its_kind(database: Database) -> None:
    await made(database, "other")
    assert await jobs.claim(database, ["k"]) is None


async def test_who_lost_a_job_can_no_longer_save(database: Database) -> None:
    await made(database)
    first = await jobs.claim(database, ["k"])
    assert first is not None
    first.progress = {"at": 1}
    async with database.transaction() as connection:
        await first.save(connection)
    await lapse(database)
    second = await jobs.claim(database, ["k"])
    assert second is not None and second.progress == {"at": 1}
    with pytest.raises(jobs.Lost):
        async with database.transaction() as connection:
            first.progress = {"at": 2}
            await first.save(connection)
    await first.finish(jobs.DONE)
    assert (await found(database, first.job)).state == jobs.RUNNING
    await second.finish(jobs.DONE)
    assert (await found(database, first.job)).state == jobs.DONE


async def test_a_cancelled_job_stops_at_its_next_save(database: Database) -> None:
    job = await made(database)
    saves = 0

    async def handler(running: jobs.Running) -> None:
        nonlocal saves
        while True:
            async with database.transaction() as connection:
                await running.save(connection)
            saves += 1
            if saves == 3:
                async with database.connection() as connection:
                    await jobs.cancel(connection, job.id)

    assert await jobs.work(database, {"k": handler})
    assert saves == 3
    assert (await found(database, job)).state == jobs.CANCELLED


async def test_a_job_that_fails_says_why_and_never_what(database: Database) -> None:
    async def mends(running: jobs.Running) -> None:
        raise Invalid("The file is empty.", remedy="Send another.")

    async def breaks(running: jobs.Running) -> None:
        raise ValueError("王芳 13800000000")

    first, second = await made(database, "mends"), await made(database, "breaks")
    handlers = {"mends": mends, "breaks": breaks}
    while await jobs.work(database, handlers):
        pass
    assert (await found(database, first)).error == "The file is empty. Send another."
    failed = await found(database, second)
    assert failed.state == jobs.FAILED and "ValueError" in failed.error and "王芳" not in failed.error


async def test_a_job_that_ends_its_process_again_and_again_is_given_up(database: Database) -> None:
    job = await made(database)
    for _ in range(jobs.MOST_FRUITLESS):
        assert await jobs.claim(database, ["k"]) is not None
        await lapse(database)
    assert await jobs.claim(database, ["k"]) is None
    assert (await found(database, job)).state == jobs.FAILED


async def test_a_stopped_process_gives_its_job_back_at_once(database: Database) -> None:
    job = await made(database)
    began = asyncio.Event()

    async def handler(running: jobs.Running) -> None:
        began.set()
        await asyncio.sleep(60)

    working = asyncio.create_task(jobs.work(database, {"k": handler}))
    await began.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    again = await jobs.claim(database, ["k"])
    assert again is not None and again.job.id == job.id


# search parameters ---------------------------------------------------------------------------------------------------


@pytest.fixture
async def fhir(county: House, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A client whose node waits no longer than it must: there is no other process that could write."""
    monkeypatch.setattr(parameters, "FRESH", 0.0)
    monkeypatch.setattr(parameters, "SLACK", 0.0)
    async with client(county) as opened:
        yield opened
    for url in [*REGISTRY.custom]:
        REGISTRY.remove(url)


def parameter(expression: str = "Observation.note.text", **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "SearchParameter",
        "id": "remark",
        "url": "urn:test:remark",
        "name": "Remark",
        "status": "active",
        "description": "What somebody remarked.",
        "code": "remark",
        "base": ["Observation"],
        "type": "string",
        "expression": expression,
        **more,
    }


AUTHOR = {"expression": "Observation.note.author.as(Reference)", "type": "reference", "target": ["Patient"]}


async def posted(fhir: Client, **more: Any) -> None:
    resource = parameter(**more)
    answer = await fhir("PUT", f"SearchParameter/{resource['id']}", resource)
    assert answer.status_code in (200, 201), answer.text
    await registered(resource["url"])


async def registered(url: str, there: bool = True) -> None:
    """Told by NOTIFY, as every worker is."""
    async with asyncio.timeout(5):
        while (url in REGISTRY.custom) != there:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def indexed(house: House) -> None:
    while await jobs.work(house.database, parameters.handlers(house.database)):
        pass
    async with house.database.connection() as connection:
        await parameters.refresh(connection)


async def remarked(fhir: Client, query: str = "remark=good", strict: bool = True) -> set[str]:
    answer = await fhir("GET", f"Observation?{query}", prefer="handling=strict" if strict else "handling=lenient")
    assert answer.status_code == 200, answer.text
    return {entry["resource"]["id"] for entry in answer.json().get("entry", ())}


def documentation(statement: Any) -> str | None:
    of_type = next(one for one in statement["rest"][0]["resource"] if one["type"] == "Observation")
    row = next((one for one in of_type["searchParam"] if one["name"] == "remark"), None)
    return None if row is None else row.get("documentation", "")


async def test_a_parameter_from_post_to_ready(county: House, fhir: Client) -> None:
    await put(county, "A", observation("before", "p1", note=[{"text": "Good enough"}]))
    assert documentation((await fhir("GET", "metadata")).json()) is None
    await posted(fhir)
    await put(county, "A", observation("after", "p1", note=[{"text": "good again"}]))

    assert "Still being indexed" in (documentation((await fhir("GET", "metadata")).json()) or "")
    refused = await fhir("GET", "Observation?remark=good", prefer="handling=strict")
    assert refused.status_code == 400 and "still being indexed" in refused.text
    told = await fhir("GET", "Observation?remark=good")
    assert "still being indexed" in told.text and told.status_code == 200

    await indexed(county)
    assert documentation((await fhir("GET", "metadata")).json()) == ""
    assert await remarked(fhir) == {"before", "after"}
    assert await remarked(fhir, "remark:exact=good again") == {"after"}
    assert await remarked(fhir, "remark:missing=false") == {"before", "after"}


@pytest.mark.parametrize(
    ("more", "query"),
    [
        (AUTHOR, "remark=Patient/p1"),
        (AUTHOR, "remark:Patient._id=p1"),
        ({"expression": "Observation.note.time", "type": "date"}, "remark=ge2024-05-01"),
        ({"expression": "Observation.extension('urn:mood').value", "type": "token"}, "remark=blue"),
        ({"expression": "Observation.component.value.as(Quantity)", "type": "quantity"}, "remark=gt6"),
        ({"expression": "Observation.note.text.where($this.startsWith('Go'))"}, "remark=good"),
        (
            {"expression": "Observation.note.text | Patient.name.text", "base": ["Observation", "Patient"]},
            "remark=good",
        ),
    ],
)
async def test_parameters_of_each_type(county: House, fhir: Client, more: dict[str, Any], query: str) -> None:
    note = {"text": "Good", "time": "2024-05-02T10:00:00Z", "authorReference": {"reference": "Patient/p1"}}
    component = {"code": {"text": "x"}, "valueQuantity": {"value": 7, "unit": "g"}}
    mood = {"url": "urn:mood", "valueCode": "blue"}
    await put(county, "A", observation("n", "p1", note=[note], component=[component], extension=[mood]))
    await posted(fhir, **more)
    await indexed(county)
    assert await remarked(fhir, query) == {"n"}


@pytest.mark.parametrize(
    ("more", "place", "said"),
    [
        ({"expression": "Observation.note.text.where("}, "SearchParameter.expression", "character"),
        ({"expression": "Observation.nonsense"}, "SearchParameter.expression", "nonsense"),
        ({"expression": "Patient.name"}, "SearchParameter.expression", "no branch for Observation"),
        ({"expression": "Observation.note.text.frobnicate()"}, "SearchParameter.expression", "frobnicate"),
        ({"expression": "(" * 2000 + "Observation.note" + ")" * 2000}, "SearchParameter.expression", ""),
        ({"type": "special"}, "SearchParameter.type", "special"),
        ({"base": ["Observation", "Nonsense"]}, "SearchParameter.base[1]", "Nonsense"),
        ({"code": "status", "type": "token"}, "SearchParameter.code", "something else"),
    ],
)
async def test_a_wrong_parameter_is_refused_with_its_place(
    county: House, fhir: Client, more: dict[str, Any], place: str, said: str
) -> None:
    answer = await fhir("PUT", "SearchParameter/remark", parameter(**more))
    assert 400 <= answer.status_code < 500
    issue = answer.json()["issue"][0]
    assert issue["expression"] == [place]
    assert said in issue["diagnostics"]
    assert (await fhir("GET", "SearchParameter/remark")).status_code == 404
    assert not REGISTRY.custom


async def test_two_parameters_of_one_code_are_refused(county: House, fhir: Client) -> None:
    await posted(fhir)
    for more in ({"id": "other"}, {"id": "other", "url": "urn:test:other"}):
        answer = await fhir("PUT", "SearchParameter/other", parameter(**more))
        assert answer.status_code == 409


async def test_what_r4_has_already_and_drafts_need_no_index(county: House, fhir: Client) -> None:
    same = {"expression": "Observation.status", "code": "status", "type": "token"}
    assert (await fhir("PUT", "SearchParameter/remark", parameter(**same))).status_code == 201
    assert (await fhir("PUT", "SearchParameter/remark", parameter(status="draft"))).status_code == 200
    async with county.database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM job") == 0


async def test_deletion_removes_it_and_its_rows(county: House, fhir: Client) -> None:
    await put(county, "A", observation("n", "p1", note=[{"text": "Good"}]))
    counts = "SELECT (SELECT count(*) FROM token) + (SELECT count(*) FROM string) + (SELECT count(*) FROM moment)"
    async with county.database.connection() as connection:
        await posted(fhir)
        await indexed(county)
        with_it = await connection.fetchval(counts)
        await fhir("DELETE", "SearchParameter/remark")
        await registered("urn:test:remark", there=False)
        await indexed(county)
        own = 2 + 3  # the text and its presence; and the SearchParameter's own rows went with it
        assert await connection.fetchval(counts) <= with_it - own
        assert await connection.fetchval("SELECT count(*) FROM string WHERE exact = 'Good'") == 0
    refused = await fhir("GET", "Observation?remark=good", prefer="handling=strict")
    assert refused.status_code == 400 and "no search parameter" in refused.text


async def test_a_changed_expression_is_another_parameter(county: House, fhir: Client) -> None:
    await put(county, "A", observation("n", "p1", note=[{"text": "Good"}]))
    await posted(fhir)
    await indexed(county)
    assert await remarked(fhir) == {"n"}
    await posted(fhir, expression="Observation.code.text")
    await registered("urn:test:remark")
    await indexed(county)
    assert await remarked(fhir) == set()
    assert "n" in await remarked(fhir, "remark=line")


async def test_indexing_broken_off_goes_on_and_writes_go_on_meanwhile(
    county: House, fhir: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job dies after each batch; between, resources are written, changed and deleted."""
    monkeypatch.setattr(reindex, "BATCH", 2)
    notes = [observation(f"n{n}", "p1", note=[{"text": "Good"}]) for n in range(9)]
    await put(county, "A", *notes)
    await posted(fhir)
    handler = parameters.handlers(county.database)[parameters.INDEX]

    class Dying(jobs.Running):
        saves = 0

        async def save(self, connection: Any) -> None:
            self.saves += 1
            if self.saves == 2:
                raise ConnectionError("killed")
            await super().save(connection)

    runs = 0
    while taken := await jobs.claim(county.database, [parameters.INDEX]):
        running = Dying(county.database, taken.job)
        try:
            await handler(running)
        except ConnectionError:
            runs += 1
            await put(county, "A", observation(f"n{runs}", "p1", note=[{"text": "bad"}]))
            await put(county, "A", observation(f"new{runs}", "p1", note=[{"text": "Good"}]))
            await lapse(county.database)
        else:
            await running.finish(jobs.DONE)
    assert runs >= 5
    async with county.database.connection() as connection:
        await parameters.refresh(connection)
        twice = "SELECT key, path, value, count(*) FROM string GROUP BY 1, 2, 3 HAVING count(*) > 1"
        assert await connection.fetch(twice) == []
        twice = "SELECT hash, key, count(*) FROM token GROUP BY 1, 2 HAVING count(*) > 1"
        assert await connection.fetch(twice) == []
    every = await remarked(fhir, "remark:missing=false&_count=100")
    assert every == {f"n{n}" for n in range(9)} | {f"new{n}" for n in range(1, runs + 1)}
    changed = {f"n{n}" for n in range(1, runs + 1)} & {f"n{n}" for n in range(9)}
    assert changed <= await remarked(fhir, "remark=bad&_count=100")
    assert not changed & await remarked(fhir, "remark=good&_count=100")


async def test_writers_are_not_held_up(county: House, fhir: Client) -> None:
    """While a batch is being done, other resources of the type are written."""
    await put(county, "A", *(observation(f"n{n}", "p1", note=[{"text": "Good"}]) for n in range(20)))
    async with county.database.transaction() as connection:
        definition = definition_of(parameter())
        assert definition is not None
        await reindex.reindex(
            connection, TYPE_NUMBERS["Observation"], 2**62, reindex.START, Difference(definition), adding=True
        )
        async with asyncio.timeout(5):
            await put(county, "A", observation("another", "p1"))


async def test_a_process_that_started_before_writes_with_it_within_moments(county: House, fhir: Client) -> None:
    """What a worker that was never told writes: it looks by itself before it writes."""
    await posted(fhir)
    REGISTRY.remove("urn:test:remark")
    parameters._known = -1
    await put(county, "A", observation("late", "p1", note=[{"text": "Good"}]))
    await indexed(county)
    assert await remarked(fhir) == {"late"}


WORKER = """
import asyncio, sys
from pathlib import Path
from xinglin.access import parameters
from xinglin.access.house import House
from xinglin.core.store import reindex
from xinglin.kernel import jobs
from xinglin.kernel.config import Settings

reindex.BATCH = 5
parameters.FRESH = parameters.SLACK = 0.0

async def main():
    house = await House.open(Settings(database_url=sys.argv[1]))
    save = jobs.Running.save
    async def slow(self, connection):
        await save(self, connection)
        print("saved", flush=True)
        await asyncio.sleep(0.1)
    jobs.Running.save = slow
    await jobs.work(house.database, parameters.handlers(house.database))

asyncio.run(main())
"""


@pytest.mark.fault
async def test_kill_9_in_the_middle_of_indexing(county: House, fhir: Client, database_url: str) -> None:
    await put(county, "A", *(observation(f"n{n}", "p1", note=[{"text": "Good"}]) for n in range(60)))
    await posted(fhir)
    command = [sys.executable, "-c", WORKER, database_url]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    for _ in range(3):
        assert await process.stdout.readline() == b"saved\n"
    process.kill()
    await process.wait()
    async with county.database.connection() as connection:
        row = await connection.fetchrow("SELECT state, progress->>'count' AS count FROM job")
    assert row["state"] == jobs.RUNNING and int(row["count"]) >= 10
    await lapse(county.database)
    await indexed(county)
    assert len(await remarked(fhir, "remark=good&_count=100")) == 60
