"""Erasure: what a law keeps stays, with its day; what goes is gone in every version, for every way of asking."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from xinglin.access.house import House
from xinglin.access.principal import NODE
from xinglin.access.records import Records, Write
from xinglin.access.rights import erasing
from xinglin.access.rights.retention import INPATIENT, OUTPATIENT, OWN_WORDS, held, rules
from xinglin.core.schema.decode import parse
from xinglin.core.store.rows import Stored
from xinglin.kernel import clock
from xinglin.kernel.errors import Conflict, Gone, Invalid, NotFound

ABOUT = {"subject": {"reference": "Patient/p1"}}


def visit(id: str, code: str, **period: str) -> dict[str, Any]:
    return {
        "resourceType": "Encounter",
        "id": id,
        "status": "finished",
        "class": {"code": code},
        **ABOUT,
        "period": period,
    }


def reading(id: str, performer: str, said: str = "note") -> dict[str, Any]:
    code = {"text": said}
    return {
        "resourceType": "Observation", "id": id, "status": "final", "code": code, **ABOUT,
        "performer": [{"reference": performer}], "effectiveDateTime": "2001-02-03",
    }  # fmt: skip


PATIENT = {"resourceType": "Patient", "id": "p1", "name": [{"family": "Zhao", "given": ["An"]}]}


def days(*resources: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Reference -> rule and the day it keeps the resource until."""
    record = [
        (Stored(r["resourceType"], r["id"], 1, clock.micros(datetime(2026, 1, 1, tzinfo=UTC)), b""), r)
        for r in resources
    ]
    return {
        each.reference: (each.rule.id, f"{clock.from_micros(each.until):%Y-%m-%d}" if each.until else "")
        for each in held(record, "p1")
    }


def test_periods_are_counted_from_the_last_visit_and_the_last_discharge() -> None:
    own = reading("mine", "Patient/p1")
    out = visit("o", "AMB", start="2010-02-01T09:00:00+08:00", end="2010-02-01T10:00:00+08:00")
    stay = visit("i", "IMP", start="2001-03-01T09:00:00+08:00", end="2001-03-09T10:00:00+08:00")
    assert days(PATIENT, own, out) == {
        "Patient/p1": (OUTPATIENT, "2025-02-01"),
        "Observation/mine": (OWN_WORDS, ""),
        "Encounter/o": (OUTPATIENT, "2025-02-01"),
    }
    # the stay of 2001 keeps the record longer than the visit of 2010 does
    assert set(days(PATIENT, out, stay).values()) == {(INPATIENT, "2031-03-09")}
    assert set(days(PATIENT).values()) == {(OUTPATIENT, "2041-01-01")}, "without a visit, from the newest change"
    still = visit("i", "IMP", start="1980-03-01")
    assert days(PATIENT, still)["Patient/p1"][1] > f"{clock.now():%Y}", "a stay without an end has not ended"
    assert all(rule.source for rule in rules().values())


@pytest.mark.parametrize("performer", ["Practitioner/d", "Patient/other"])
def test_what_others_said_is_not_the_persons_own(performer: str) -> None:
    assert days(PATIENT, reading("r", performer))["Observation/r"][0] == OUTPATIENT
    both = {**reading("r", "Patient/p1"), "performer": [{"reference": "Patient/p1"}, {"reference": "Practitioner/d"}]}
    assert days(PATIENT, both)["Observation/r"][0] == OUTPATIENT


async def stored(house: House, *resources: dict[str, Any]) -> None:
    for each in resources:
        write = Write("PUT", each["resourceType"], each["id"], parse(orjson.dumps(each)), keep_id=True)
        await Records(house, NODE).write([write], custodian="h1")


async def texts_with(house: House, word: str) -> int:
    """Rows of the record, its past and its indexes that hold a text."""
    return await house.database.pool.fetchval(
        "SELECT (SELECT count(*) FROM resource WHERE position($1::bytea IN body) > 0)"
        " + (SELECT count(*) FROM history WHERE position($1::bytea IN body) > 0)"
        " + (SELECT count(*) FROM string WHERE position($2 IN value) > 0)",
        *(word.encode(), word.lower()),
    )


async def test_only_the_persons_own_words_go_while_a_law_keeps_the_rest(house: House) -> None:
    recent = visit("v", "AMB", start="2026-05-01", end="2026-05-01")
    await stored(
        house, PATIENT, recent, reading("mine", "Patient/p1", "secretword"), reading("theirs", "Practitioner/d")
    )
    await stored(house, reading("mine", "Patient/p1", "secretword changed"))
    records = Records(house, NODE, why="letter")
    async with house.database.connection() as connection:
        shown = await erasing.plan(connection, "p1")
    assert await texts_with(house, "secretword") >= 2, "a plan changes nothing"
    done = await erasing.erase(records, "p1")
    assert [each.reference for each in done.goes] == [each.reference for each in shown.goes] == ["Observation/mine"]
    assert await texts_with(house, "secretword") == 0
    with pytest.raises(Gone):
        await records.read("Observation", "mine")
    with pytest.raises((Gone, NotFound)):
        await records.vread("Observation", "mine", 1)
    assert (await records.read("Observation", "theirs")).version == 1
    lines = await records.audit_trail(patient="p1")
    assert [(line.interaction, line.why) for line in lines if line.interaction == "erase"] == [("erase", "letter")]
    with pytest.raises(Conflict, match="管理规定"):
        await erasing.erase(records, "p1")


async def test_when_every_period_is_over_the_whole_record_goes(house: House) -> None:
    old = visit("v", "AMB", start="2001-05-01", end="2001-05-01")
    other = {**PATIENT, "id": "p2", "name": [{"family": "Zhao", "given": ["Bei"]}]}
    await stored(house, PATIENT, old, reading("theirs", "Practitioner/d"), other)
    done = await erasing.erase(Records(house, NODE, why="x"), "p1")
    assert done.whole and {each.reference for each in done.goes} == {"Patient/p1", "Encounter/v", "Observation/theirs"}
    found = await Records(house, NODE).search("Patient", "family=Zhao&_total=accurate")
    assert [each.id for each in found.matches] == ["p2"] and found.total == 1
    assert await texts_with(house, '"An"') == 0
    with pytest.raises(NotFound):
        await erasing.erase(Records(house, NODE), "p1")


async def test_what_another_institution_holds_is_not_touched(house: House) -> None:
    await stored(house, PATIENT, visit("v", "AMB", start="2001-05-01", end="2001-05-01"))
    theirs = reading("elsewhere", "Practitioner/d")
    await Records(house, NODE).write(
        [Write("PUT", "Observation", "elsewhere", parse(orjson.dumps(theirs)), keep_id=True)], custodian="h2"
    )
    await erasing.erase(Records(house, NODE, why="x"), "p1")
    assert (await Records(house, NODE).read("Observation", "elsewhere")).version == 1


async def test_the_command_shows_a_plan_first_and_needs_a_reason(
    house: House, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    import typer
    from typer.testing import CliRunner

    from xinglin.cli import person

    monkeypatch.setenv("XINGLIN_DATABASE_URL", database_url)
    await stored(house, PATIENT, visit("v", "AMB", start="2001-05-01", end="2001-05-01"))

    async def run(*words: str) -> str:
        cli = typer.Typer()
        cli.add_typer(person.app, name="person")
        result = await asyncio.to_thread(CliRunner().invoke, cli, ["person", "erase", *words])
        if isinstance(result.exception, Exception) and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    assert "Nothing was changed" in await run("p1")
    with pytest.raises(Invalid, match="reason"):
        await run("p1", "--yes")
    assert (await Records(house, NODE).read("Patient", "p1")).version == 1
    told = orjson.loads(await run("p1", "--yes", "--why", "letter of 3 May", "--json"))
    assert told["erased"] and {row["reference"] for row in told["goes"]} == {"Patient/p1", "Encounter/v"}
    with pytest.raises(Gone):
        await Records(house, NODE).read("Patient", "p1")
