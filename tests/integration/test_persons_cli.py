"""`xinglin persons` as an operator types it, rightly and wrongly: sentences, exit codes, no file half written."""

from __future__ import annotations

import asyncio
import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from xinglin.access.house import House
from xinglin.access.persons import models
from xinglin.access.persons.weights import Weights, shipped
from xinglin.access.principal import NODE
from xinglin.access.records import Records, Write
from xinglin.cli import persons
from xinglin.kernel.errors import Conflict, Invalid, NotFound, Problem, Unprocessable

cli = typer.Typer()
cli.add_typer(persons.app, name="persons")
ANNA = {"resourceType": "Patient", "name": [{"text": "王小明"}], "birthDate": "1980-05-03", "gender": "male"}
ANNA |= {"telecom": [{"system": "phone", "value": "13800138000"}]}


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("XINGLIN_DATABASE_URL", database_url)


async def run(*words: str, fails: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["persons", *words])
    if isinstance(result.exception, Problem | OSError):
        raise result.exception
    assert result.exit_code == fails, result.output
    return result.stdout


async def put(house: House, *ids: str) -> None:
    await Records(house, NODE).write([Write("PUT", "Patient", id, {**ANNA, "id": id}) for id in ids])


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"resourceType": "Observation"}',
        b'{"resourceType": "Patient"}',
        b'{"resourceType": "Patient", "name": "x"}',
        b'{"resourceType": "Patient", "name": [{"given": "x"}]}',
        b'{"resourceType": "Patient", "name": [null]}',
        b'{"resourceType": "Patient", "telecom": [7]}',
        b'{"resourceType": "Patient", "birthDate": 1980}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_patient_is_refused_in_a_sentence(house: House, tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "patient.json"
    file.write_bytes(text)
    with pytest.raises(Problem) as refused:
        await run("match", str(file))
    assert all(10 < len(issue.sentence()) < 300 for issue in refused.value.issues)
    with pytest.raises(Invalid, match="cannot be read"):
        await run("match", str(tmp_path))


async def test_match_and_explain_answer_with_ids_and_never_with_names(house: House, tmp_path: Path) -> None:
    await put(house, "a", "b")
    file = tmp_path / "patient.json"
    file.write_text(json.dumps(ANNA))
    assert {row["id"]: row["grade"] for row in json.loads(await run("match", str(file), "--json"))} == {
        "a": "certain",
        "b": "certain",
    }
    said = await run("explain", "a", "b")
    assert "linked" in said and "generation" in said and "小明" not in said
    for wrong, error in ((("a", "a"), Invalid), (("a", "nix"), NotFound), (("../a", "b"), NotFound)):
        with pytest.raises(error):
            await run("explain", *wrong)
    for words in (["match", str(file), "--count", "0"], ["adopt"], ["explain", "a"], ["batch"], ["index", "--after=x"]):
        await run(*words, fails=2)


def files(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


async def test_a_batch_leaves_a_whole_file_or_none(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(house, "a", "b")
    target = tmp_path / "pairs.csv"
    assert json.loads(await run("batch", "--to", str(target), "--json"))["pairs"] == 1
    before = target.read_text()
    assert [row["band"] for row in csv.DictReader(before.splitlines())] == ["linked"]
    for wrong in (tmp_path, tmp_path / "nowhere" / "pairs.csv"):
        with pytest.raises((Invalid, OSError)):
            await run("batch", "--to", str(wrong))

    def cut_off(*_: Any) -> Any:
        raise Invalid("cut off")

    monkeypatch.setattr(persons.batch, "decided", cut_off)
    with pytest.raises(Invalid):
        await run("batch", "--to", str(target))
    assert target.read_text() == before and files(tmp_path) == ["pairs.csv"]


async def test_weights_have_a_name_of_their_own_and_the_shipped_ones_come_back(house: House) -> None:
    for wrong in ("a\tb", "../x", "x" * 65, "春"):
        with pytest.raises(Invalid):
            await run("train", "--name", wrong)
    with pytest.raises(Conflict):
        await run("train", "--name", shipped().version)
    with pytest.raises(Unprocessable, match="too few"):
        await run("train", "--name", "spring")
    async with house.database.transaction() as connection:
        await models.keep(connection, Weights.of({**shipped().to_json(), "version": "spring"}))
    with pytest.raises(NotFound) as refused:
        await run("adopt", "sprnig")
    assert shipped().version in str(refused.value.issues) and "spring" in str(refused.value.issues)
    for version in ("spring", shipped().version):
        await run("adopt", version)
        async with house.database.connection() as connection:
            assert (await models.in_force(connection)).weights.version == version


async def test_an_index_goes_on_where_it_was_stopped(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xinglin.access.persons.linking.WINDOW", 2)
    await put(house, *(f"p{n}" for n in range(7)))
    told: list[tuple[int, int]] = []
    monkeypatch.setattr(persons, "_every", lambda step, count, what: told.append((count, int(what.split("=")[1]))))
    assert "7 Patients" in await run("index")
    assert [count for count, _ in told] == [2, 4, 6, 7] and all(a < b for (_, a), (_, b) in pairwise(told))
    rows = "SELECT * FROM person_block ORDER BY 1, 2"
    before = await house.database.pool.fetch(rows)
    await house.database.pool.execute("DELETE FROM person_block WHERE patient > $1", told[1][1])
    assert "3 Patients" in await run("index", f"--after={told[1][1]}")
    assert await house.database.pool.fetch(rows) == before
