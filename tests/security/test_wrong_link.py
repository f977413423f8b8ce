"""Case 91: a false record made to look like somebody else's, with an account to it. Links lead; accounts do not follow.

The insider at B registers the accomplice's Patient with the victim's number, name and birth date. The rules link it to
the victim's record at A, as they must: they cannot tell. What reaches A is decided by proof of identity alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from attacked import observation
from xinglin.access.house import House
from xinglin.access.identity import proof
from xinglin.access.identity.recognise import standing
from xinglin.access.persons import catch_up, review
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.kernel import clock
from xinglin.kernel.errors import NotFound, Unprocessable

RESIDENT = "https://xinglin.example/fhir/NamingSystem/resident-id"
NUMBER, OTHER = "11010519491231002X", "440524188001010014"
CLERK = Principal("clerk", "Clerk", Role.CLERK, Purpose.OPERATIONS, institution="A")


def resident(value: str) -> dict[str, Any]:
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "NNCHN"}]}
    return {"type": kind, "system": "urn:oid:2.16.156.10011.1.3", "value": value}


def registered(id: str, *numbers: str, family: str = "王", given: str = "小明", birth: str = "1949-12-31") -> Any:
    name = [{"family": family, "given": [given], "text": family + given}]
    identifier = [resident(number) for number in numbers]
    return {"resourceType": "Patient", "id": id, "identifier": identifier, "name": name, "birthDate": birth}


async def put(house: House, custodian: str, *resources: dict[str, Any]) -> None:
    writes = [Write("PUT", one["resourceType"], one["id"], one) for one in resources]
    await Records(house, NODE).write(writes, custodian=custodian)
    while await catch_up(house):
        pass


async def account(house: House, login: str, patient: str) -> None:
    await house.database.pool.execute(
        "INSERT INTO account (login, name_zh, name_en, role, patient, password, created, changed)"
        " VALUES ($1, $1, $1, 'patient', $2, 'none', $3, $3)",
        *(login, patient, clock.now()),
    )


async def confirm(house: House, login: str, institution: str | None, **more: Any) -> list[int]:
    async with house.database.transaction() as connection:
        return await proof.confirm(connection, login, institution, "clerk", "resident-card", **more)


async def reached(house: House, login: str) -> tuple[str, ...]:
    async with house.database.connection() as connection:
        who = await standing(connection, login)
    assert who is not None
    return who.patients


async def told(house: House, login: str, patient: str) -> list[str]:
    async with house.database.connection() as connection:
        return await proof.seem_elsewhere(connection, login, patient)


@pytest.fixture
async def linked(house: House) -> AsyncIterator[House]:
    """The victim at A and at C; the false record at B, which the rules have linked to both."""
    for id in "ABC":
        await put(house, id, {"resourceType": "Organization", "id": id, "name": f"Hospital {id}"})
    await put(house, "A", registered("victim", NUMBER), observation("secret", "victim"))
    await put(house, "C", registered("victim-c", NUMBER))
    await put(house, "B", registered("false", NUMBER))
    assert await house.database.pool.fetchval("SELECT count(*) FROM person_link") == 3
    await account(house, "accomplice", "false")
    await account(house, "owner", "victim-c")
    yield house


async def test_91_an_account_does_not_follow_a_link(linked: House) -> None:
    assert await reached(linked, "accomplice") == ("false",)
    assert await told(linked, "accomplice", "false") == [], "not even that another institution holds something"
    async with linked.database.connection() as connection:
        who = await standing(connection, "accomplice")
    assert who is not None
    gate = Records(linked, who)
    assert {one.id for one in (await gate.search("Observation", "")).matches} == set()
    assert (await gate.search("Person", "")).matches == [], "a Person names the linked records"
    for type, id in (("Observation", "secret"), ("Patient", "victim")):
        with pytest.raises(NotFound):
            await gate.read(type, id)


async def test_91_the_insider_vouches_for_their_own_institution_only(linked: House) -> None:
    await confirm(linked, "accomplice", "B")
    assert await reached(linked, "accomplice") == ("false",)
    assert await told(linked, "accomplice", "false") == []


async def test_91_the_owner_reaches_what_a_counter_has_checked(linked: House) -> None:
    await confirm(linked, "owner", "A")
    assert await reached(linked, "owner") == ("victim-c", "victim")
    assert await told(linked, "owner", "victim-c") == ["B"], (
        "vouched for by a second institution, who may know of a third"
    )


async def test_91_a_record_linked_after_the_check_needs_its_own(linked: House) -> None:
    """Whoever stood at the counter of A stood beside the records of then."""
    await confirm(linked, "owner", "A")
    await put(linked, "A", registered("later", NUMBER))
    assert await reached(linked, "owner") == ("victim-c", "victim")


async def test_91_an_account_proven_everywhere_reaches_its_number_and_no_further(linked: House) -> None:
    """The accomplice's own, honest record at B, proven by the operator; the insider then builds a bridge to A."""
    honest = registered("honest", OTHER, family="李", given="四", birth="1880-01-01")
    await put(linked, "B", honest)
    await account(linked, "li", "honest")
    await confirm(linked, "li", None)
    changed = registered("honest", NUMBER, OTHER)
    await put(linked, "B", changed)
    assert await linked.database.pool.fetchval(
        "SELECT count(DISTINCT person) FROM person_link WHERE patient_id IN ('honest', 'victim')"
    ) in (1, 2)
    assert "victim" not in await reached(linked, "li") and "victim-c" not in await reached(linked, "li")
    with pytest.raises(Unprocessable):
        await confirm(linked, "li", None, number="510108197205052137")


async def test_91_a_proof_ends_with_the_link_and_does_not_come_back(linked: House) -> None:
    await confirm(linked, "owner", "A")
    await review.part(linked, CLERK, "victim-c", "victim", "another person")
    assert await reached(linked, "owner") == ("victim-c",)
    await review.join(linked, CLERK, "victim-c", "victim", "after all")
    assert await reached(linked, "owner") == ("victim-c",)
    await confirm(linked, "owner", "A")
    assert "victim" in await reached(linked, "owner")


async def test_91_ended_means_ended_and_nobody_is_proven_without_a_record(linked: House) -> None:
    await confirm(linked, "owner", "A")
    async with linked.database.transaction() as connection:
        assert await proof.end(connection, "owner", "A", by="owner") == 1
    assert await reached(linked, "owner") == ("victim-c",)
    with pytest.raises(NotFound):
        await confirm(linked, "owner", "D")
    with pytest.raises(NotFound):
        await confirm(linked, "nobody", "A")


async def test_91_whoever_was_let_in_by_somebody_else_is_proven_anew(linked: House) -> None:
    """An insider who gives a code of recovery for the victim's own account opens the victim's records by it."""
    await confirm(linked, "owner", "A")
    await confirm(linked, "owner", None)
    assert "victim" in await reached(linked, "owner")
    async with linked.database.transaction() as connection:
        await proof.end_all(connection, "owner", by="recovery")
    assert await reached(linked, "owner") == ("victim-c",)


async def test_91_a_code_serves_its_owner_once_and_dies_of_guesses(linked: House) -> None:
    pool = linked.database
    async with pool.transaction() as connection:
        code = await proof.make_code(connection, "owner", "identity")
        assert not await proof.use_code(connection, "accomplice", "identity", code)
        assert not await proof.use_code(connection, "owner", "guardian", code)
        assert await proof.use_code(connection, "owner", "identity", f"{code[:4]} {code[4:]}")
        assert not await proof.use_code(connection, "owner", "identity", code), "once"
        code = await proof.make_code(connection, "owner", "identity")
        wrong = f"{(int(code) + 1) % 10**8:08d}"
        for _ in range(proof.CODE_TRIES):
            assert not await proof.use_code(connection, "owner", "identity", wrong)
        assert not await proof.use_code(connection, "owner", "identity", code), "too many guesses"
