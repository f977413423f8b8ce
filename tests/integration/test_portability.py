"""A person's copy: all that is held, at every institution, and nothing of anybody else's."""

from __future__ import annotations

import asyncio
import json
import stat
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import pytest
import typer
from typer.testing import CliRunner

from xinglin.access import sharing
from xinglin.access.house import House
from xinglin.access.persons import catch_up
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.cli import person
from xinglin.core.schema.decode import check, parse
from xinglin.core.store.keys import TYPE_NAMES
from xinglin.demo import County, bundles, directory
from xinglin.exchange.portability.copying import copy_of
from xinglin.exchange.portability.paper import _marked, lines_of, paper, sections
from xinglin.kernel.errors import Conflict, NotFound
from xinglin.ui.i18n import speaking

BASE = "https://records.example/fhir"
HELD = """
SELECT r.type, r.id FROM resource r WHERE NOT r.deleted AND r.person = ANY(
  SELECT o.patient FROM person_link m JOIN person_link o USING (person) WHERE m.patient_id = $1)
"""


@pytest.fixture
async def linked(house: House) -> list[str]:
    """Patient ids of somebody who is known at two institutions of a small county."""
    county = County(people=12)
    for bundle in [*directory(county), *bundles(county, 0, 8)]:
        writes = [
            Write("PUT", each["resourceType"], each["id"], parse(orjson.dumps(each)), keep_id=True)
            for each in bundle.resources
        ]
        await Records(house, NODE).write(writes, custodian=bundle.custodian)
    while await catch_up(house):
        pass
    known = await house.database.pool.fetchval(
        "SELECT min(patient_id) FROM person_link GROUP BY person HAVING count(*) > 1 LIMIT 1"
    )
    return [each.patient for each in await sharing.linked(Records(house, NODE), known)]


async def test_the_copy_holds_all_that_is_held_and_nothing_else(house: House, linked: list[str]) -> None:
    copy = await copy_of(Records(house, NODE), linked)
    rows = await house.database.pool.fetch(HELD, linked[0])
    held = {f"{TYPE_NAMES[row['type']]}/{row['id']}" for row in rows}
    record = {stored.reference for stored in copy.record}
    assert held <= record and len(held) > 20
    assert {reference for reference in record - held if not reference.startswith("Person/")} == set()
    assert {stored.type for stored in copy.beyond} >= {"Organization", "Practitioner"}
    assert not any(stored.type == "Patient" for stored in copy.beyond)
    assert copy.accesses, "that a copy was taken stands in the copy of the next"

    text = copy.bundle(BASE)
    check(text)
    urls = [entry["fullUrl"] for entry in parse(text)["entry"]]
    assert len(urls) == len(set(urls)) == len(copy.record) + len(copy.beyond) + len(copy.accesses)


async def test_a_patient_takes_a_copy_of_their_own(house: House, linked: list[str]) -> None:
    first, second = linked[:2]
    one = Principal("one", "", Role.PATIENT, Purpose.OWN, patients=(first,))
    copy = await copy_of(Records(house, one), one.patients)
    about = {stored.person for stored in copy.record if stored.person}
    both = await copy_of(Records(house, NODE), linked)
    assert len(about) == 1 and len(copy.record) < len(both.record)
    with pytest.raises(NotFound):
        await copy_of(Records(house, one), (first, second))


async def test_every_entry_stands_once_on_the_paper(house: House, linked: list[str]) -> None:
    copy = await copy_of(Records(house, NODE), linked)
    lines = [line for _, found in lines_of(copy) for line in found]
    assert len(lines) == sum(stored.type != "Patient" for stored in copy.record)
    assert all(line.what for line in lines)
    results = next(found for title, found in lines_of(copy) if title == "Results and measurements")
    assert all(line.value and line.date and line.holder for line in results)
    for language in ("zh-Hans", "en"):
        with speaking(language, ZoneInfo("Asia/Shanghai")):
            printed = paper(copy, copy.bundle(BASE))
        assert printed.startswith(b"%PDF-") and printed.rstrip().endswith(b"%%EOF")


def test_no_digit_of_a_unit_is_lost_on_paper() -> None:
    assert _marked("4.5 ×10⁹/L <b>") == "4.5 ×10<super>9</super>/L &lt;b&gt;"
    assert _marked("10⁻³") == "10<super>-3</super>"


def test_no_type_stands_in_two_sections() -> None:
    types = [type for section in sections() for type in section.types]
    assert len(types) == len(set(types)) and set(types) <= set(TYPE_NAMES.values())


async def test_the_command_writes_two_private_files_and_overwrites_none(
    house: House, linked: list[str], database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XINGLIN_DATABASE_URL", database_url)

    async def run(*words: str) -> Any:
        cli = typer.Typer()
        cli.add_typer(person.app, name="person")
        result = await asyncio.to_thread(CliRunner().invoke, cli, ["person", *words])
        if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    told = json.loads((await run("export", linked[0], "--to", str(tmp_path), "--json")).stdout)
    assert [Path(name).suffix for name in told["files"]] == [".json", ".pdf"]
    assert {stat.S_IMODE(target.stat().st_mode) for target in tmp_path.iterdir()} == {0o600}  # noqa: ASYNC240
    with pytest.raises(Conflict):
        await run("export", linked[0], "--to", str(tmp_path))
    with pytest.raises(NotFound):
        await run("export", "nobody", "--to", str(tmp_path))
    alone = json.loads((await run("export", linked[1], "--to", str(tmp_path), "--alone", "--json")).stdout)
    assert alone["entries"] < told["entries"]
