"""Bulk import: lines of NDJSON through the gate, what is refused told by its line, the same file twice stored once."""

from __future__ import annotations

from typing import Any

import pytest

from bulk import begun, client, county, imported, ndjson, observation, refusals, work
from xinglin.access.house import House
from xinglin.exchange.bulk import importing
from xinglin.exchange.bulk.background import handlers
from xinglin.kernel import jobs

__all__ = ["county"]


async def test_lines_are_stored_and_the_same_again_changes_nothing(county: House) -> None:
    without_id = {key: value for key, value in observation("x", "p1").items() if key != "id"}
    text = ndjson(observation("i1", "p1"), "", observation("i2", "p2"), without_id)
    async with client(county) as fhir:
        first = await imported(county, fhir, text, "?custodian=A")
        assert first["output"] == [{"type": "Observation", "created": 3}]
        assert first["error"] == []
        again = await imported(county, fhir, text, "?custodian=A")
        assert again["output"] == [{"type": "Observation", "unchanged": 3}]
        assert (await fhir("GET", "Observation/i2")).status_code == 200
        assert not list((county.settings.home / "imports").rglob("0.ndjson"))  # what was taken in is not kept twice


async def test_a_line_that_is_wrong_is_told_and_the_others_are_stored(county: House) -> None:
    wrong = observation("i2", "p1") | {"status": 7}
    text = ndjson(observation("i1", "p1"), "not json", "", wrong, observation("i3", "p1"))
    async with client(county) as fhir:
        manifest = await imported(county, fhir, text)
        assert manifest["output"] == [{"type": "Observation", "created": 2}]
        told = await refusals(fhir, manifest)
        assert [one.partition(":")[0] + ":" + one.split(":")[1] for one in told] == ["input 1:2", "input 1:4"]


async def test_an_import_broken_off_goes_on(county: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "GROUP_LINES", 2)
    rows = [observation(f"i{n}", "p1") for n in range(9)]
    async with client(county) as fhir:
        where = await begun(fhir, ndjson(*rows[:4], "wrong", *rows[4:]))
        runs = 0

        class Dying(jobs.Running):
            saves = 0

            async def save(self, connection: Any) -> None:
                self.saves += 1
                if self.saves == 2:
                    raise ConnectionError("killed")
                await super().save(connection)

        while taken := await jobs.claim(county.database, [importing.KIND]):
            running = Dying(county.database, taken.job)
            try:
                await handlers(county)[importing.KIND](running)
            except ConnectionError:
                runs += 1
                async with county.database.connection() as connection:
                    await connection.execute("UPDATE job SET held_until = now() - interval '1 second'")
            else:
                await running.finish(jobs.DONE)
        assert runs >= 4
        manifest = (await fhir("GET", where)).json()
        assert sum(manifest["output"][0].get(word, 0) for word in ("created", "unchanged")) == 9
        assert len(await refusals(fhir, manifest)) == 1
        found = (await fhir("GET", "Observation?_id=" + ",".join(row["id"] for row in rows))).json()
        assert found["total"] == 9
        assert all(entry["resource"]["meta"]["versionId"] == "1" for entry in found["entry"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"resourceType": "Parameters"}, "1 to"),
        (
            {
                "resourceType": "Parameters",
                "parameter": [{"name": "input", "part": [{"name": "type", "valueCode": "Patient"}]}],
            },
            "url",
        ),
        ({"resourceType": "Parameters", "parameter": [{"name": "colour", "valueString": "red"}]}, "colour"),
        ({"resourceType": "Patient"}, "Parameters"),
    ],
)
async def test_what_names_no_files_is_refused(county: House, body: Any, said: str) -> None:
    async with client(county) as fhir:
        answer = await fhir("POST", "$import", body)
        assert 400 <= answer.status_code < 500 and said in answer.text


async def test_delete_cancels_an_import(county: House) -> None:
    async with client(county) as fhir:
        where = await begun(fhir, ndjson(observation("i1", "p1")))
        assert (await fhir("DELETE", where)).status_code == 202
        await work(county)
        assert (await fhir("GET", "Observation/i1")).status_code == 404
        assert not list((county.settings.home / "imports").iterdir())
