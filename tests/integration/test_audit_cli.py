"""`xinglin audit` as its operator, its auditor and its witness type it, on files that pass between them."""

from __future__ import annotations

import asyncio
import json
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from xinglin.access import audit as log
from xinglin.access.audit import Access, notes
from xinglin.access.house import House
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.cli import audit
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Database, with_database
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Problem, Unprocessable

cli = typer.Typer()
cli.add_typer(audit.app, name="audit")

DOCTOR = Principal("dr-a", "Dr A", Role.CLINICIAN, Purpose.TREATMENT, institution="A", practitioner="pa")
ANNA = Principal("anna", "Anna", Role.PATIENT, Purpose.OWN, patients=("a1",))


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setenv("XINGLIN_DATABASE_URL", database_url)


async def run(*words: str, fails: int = 0) -> str:
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["audit", *words])
    if isinstance(result.exception, Problem):
        raise result.exception
    assert result.exit_code == fails, result.output
    return result.stdout


async def looked(house: House, count: int = 5) -> None:
    patients = [{"resourceType": "Patient", "id": id} for id in ("a1", "a2")]
    writes = [Write("PUT", "Patient", one["id"], one) for one in patients]
    await Records(house, NODE).write(writes, custodian="A")
    for _ in range(count):
        for patient in ("a1", "a2"):
            await Records(house, DOCTOR, why="ward round").read("Patient", patient)


def touch(source: Path, target: Path, part: str, change: Callable[[bytes], bytes]) -> None:
    """A copy of an export with one part changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == part else old.read(name))


async def test_an_export_is_verified_by_itself_and_tells_what_was_touched(house: House, tmp_path: Path) -> None:
    await looked(house)
    file, other = tmp_path / "log.zip", tmp_path / "touched.zip"
    assert "entries" in await run("export", str(file))
    assert file.stat().st_mode & 0o077 == 0
    assert "Sound" in await run("verify", str(file))
    with zipfile.ZipFile(file) as archive:
        lines = archive.read("entries.ndjson").splitlines(keepends=True)
    assert b'"custodians":["%d"]' % key_of("Organization", "A") in lines[3]
    touch(file, other, "entries.ndjson", lambda text: text.replace(lines[4], lines[4].replace(b"dr-a", b"dr-b")))
    found = json.loads(await run("verify", str(other), "--json", fails=1))["verdict"]["findings"]
    assert [(one["kind"], one["leaf"]) for one in found] == [("edited", 4)]
    touch(file, other, "entries.ndjson", lambda text: text.replace(lines[6], b""))
    assert "deleted" in json.dumps(json.loads(await run("verify", str(other), "--json", fails=1)))
    with pytest.raises(Invalid):
        await run("verify", str(tmp_path / "none.zip"))
    other.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(Invalid):
        await run("verify", str(other))


async def test_erasing_takes_a_person_out_and_leaves_every_proof(house: House, tmp_path: Path) -> None:
    await looked(house)
    before = tmp_path / "before.txt"
    before.write_text(await run("head"))
    assert json.loads(await run("erase", "a1", "--reason", "letter of 3 May", "--json"))["erased"] == 0
    told = json.loads(await run("erase", "a1", "--reason", "order of the court", "--whatever-age", "--json"))
    assert told["erased"] == 6 and told["kept"] == 0
    async with house.database.connection() as connection:
        left = await log.entries(connection, persons=[key_of("Patient", "a1")], count=50)
        whole = str([dict(row) for row in await connection.fetch("SELECT * FROM audit")])
        salts = await connection.fetchval("SELECT count(*) FROM audit_leaf WHERE salt IS NULL")
    assert left == [] and "Patient/a1" not in whole and str(key_of("Patient", "a1")) not in whole and salts == 6
    assert "order of the court; 6 lines" in whole and await Records(house, ANNA).audit_trail() == []
    file = tmp_path / "log.zip"
    await run("export", str(file))
    assert "6 entries were erased" in await run("verify", str(file), "--head", str(before))
    await run("erase", "a2", "--reason", "order of the court", "--whatever-age")
    await run("export", str(file))
    assert "12 entries were erased" in await run("verify", str(file), "--head", str(before))


async def test_an_old_line_is_erased_without_an_order(house: House) -> None:
    real = clock.now()
    clock.set_source(lambda: real.replace(year=real.year - 4))
    try:
        await looked(house, 1)
    finally:
        clock.set_source(None)
    await Records(house, DOCTOR).read("Patient", "a1")
    told = json.loads(await run("erase", "a1", "--reason", "letter of 3 May", "--json"))
    assert (told["erased"], told["kept"]) == (2, 1)
    with pytest.raises(Invalid):
        await run("erase", "a1", "--reason", "x")


@pytest.fixture
async def watcher(postgres: str, template: str, house: House) -> AsyncIterator[str]:
    """Address of another node's database."""
    name = "watcher_" + house.settings.database_url.rsplit("/", 1)[-1].rsplit("_", 1)[-1].partition("?")[0]
    async with house.database.connection() as connection:
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    yield with_database(postgres, name)
    async with house.database.connection() as connection:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_witness_signs_what_grows_and_refuses_a_fork(
    house: House, watcher: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = house.settings.database_url
    request, first, second = (tmp_path / name for name in ("request", "first", "second"))
    await looked(house, 1)
    log_key, _ = (await run("head", "--keys")).splitlines()
    first.write_text(await run("head", "--since", "0"))
    monkeypatch.setenv("XINGLIN_DATABASE_URL", watcher)
    monkeypatch.setenv("XINGLIN_BASE_URL", "https://watcher.example")
    with pytest.raises(NotFound):
        await run("cosign", str(first))
    await run("trust", log_key)
    head = notes.read(await run("cosign", str(first)))
    assert [one.name for one in head.signatures] == [head.origin, "watcher.example/witness"]
    _, witness_key = (await run("head", "--keys")).splitlines()

    monkeypatch.setenv("XINGLIN_DATABASE_URL", own)
    await looked(house, 2)
    second.write_text(head.text)
    await run("trust", witness_key)
    assert "Kept 1" in await run("head", "--accept", str(second))
    request.write_text(await run("head", "--since", str(head.size)))

    monkeypatch.setenv("XINGLIN_DATABASE_URL", watcher)
    grown = notes.read(await run("cosign", str(request), "--from", str(second)))
    assert grown.size > head.size and grown.signature_of(notes.key_of_text(witness_key)) is not None
    with pytest.raises(Conflict):  # a proof from a head that is not the last one signed
        await run("cosign", str(first))

    monkeypatch.setenv("XINGLIN_DATABASE_URL", own)
    await forge(house.database)
    third = await run("head", "--since", str(grown.size))
    monkeypatch.setenv("XINGLIN_DATABASE_URL", watcher)
    request.write_text(third)
    with pytest.raises(Unprocessable, match="does not begin"):
        await run("cosign", str(request))
    request.write_text(third.replace(f"\n{notes.read(third.partition(chr(10) * 2)[2]).size}\n", "\n999\n"))
    with pytest.raises((Forbidden, Invalid)):
        await run("cosign", str(request))
    monkeypatch.setenv("XINGLIN_DATABASE_URL", own)
    file = tmp_path / "forged.zip"
    await run("export", str(file))
    assert "Sound" in await run("verify", str(file))  # whoever owns the database and its key can write another history
    second.write_text(grown.text)
    forked = json.loads(await run("verify", str(file), "--head", str(second), "--json", fails=1))
    assert [one["kind"] for one in forked["verdict"]["findings"]] == ["forked"]


async def forge(database: Database) -> None:
    """What the owner of the database can do: change a line, and build and sign the tree again."""
    async with database.connection() as connection:
        await connection.execute("ALTER TABLE audit DISABLE TRIGGER USER")
        await connection.execute("UPDATE audit SET login = 'dr-b' WHERE seq = 2")
        await connection.execute("TRUNCATE audit_leaf, audit_tile, audit_head, audit_cosignature, audit_erasure")
        await connection.execute("UPDATE audit_tree SET size = 0, txid = '0', seq = 0")
        await log.record(connection, [Access(NODE, "read", "Patient/a1")])
