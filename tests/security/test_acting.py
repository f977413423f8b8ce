"""Staff who act as what they are not: borrowed names, posts of another's making, licences that have run out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attacked import observation, post, practitioner, ref
from xinglin.access.identity import acting, guardians, proof
from xinglin.access.identity.recognise import standing
from xinglin.access.principal import Principal
from xinglin.kernel import clock
from xinglin.kernel.errors import NotFound

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)


async def account(county: County, login: str, role: str, institution: str, who: str) -> None:
    async with county.house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO account (login, name_zh, name_en, role, institution, practitioner, password, created, changed)"
            " VALUES ($1, $1, $1, $2, $3, $4, 'none', $5, $5)",
            *(login, role, institution, who, clock.now()),
        )


async def stands(county: County, login: str) -> Principal:
    async with county.house.database.connection() as connection:
        found = await standing(connection, login)
    assert found is not None
    return found


async def test_an_account_bound_to_anothers_practitioner_borrows_nothing(own_county: County) -> None:
    """A's manager makes an account for B's physician, gives her a post at A, and hopes for what she may see."""
    county = own_county
    await account(county, "borrowed", "clinician", "A", "pb")
    assert (await stands(county, "borrowed")).barred == "no-post", "her post is B's, and B has not vouched"
    await county.put("A", post("ra9", "pb", "A"))
    found = await stands(county, "borrowed")
    assert (found.institution, found.barred) == ("A", "no-licence"), "her licence is kept by B"
    await county.put("A", {**post("ra8", "pb", "B")})
    assert (await stands(county, "borrowed")).institution == "A", "A appoints nobody at B"
    async with county.house.database.transaction() as connection:
        await proof.confirm(connection, "borrowed", "B", "manager-b", "resident-card")
    assert (await stands(county, "borrowed")).barred == ""


async def test_a_post_or_a_licence_that_ends_stops_the_next_request(own_county: County) -> None:
    county = own_county
    body = observation("new", "a1")
    del body["id"]
    assert (await county.ask("dr-a", "POST", "Observation", body)).status_code == 201
    licence: dict[str, Any] = practitioner("pa")["qualification"][0]
    for change in (
        {**practitioner("pa"), "qualification": [{**licence, "period": {"end": "2021-01"}}]},
        {**practitioner("pa"), "qualification": [{**licence, "period": {"start": "2999"}}]},
        {**practitioner("pa"), "active": False},
        {**practitioner("pa"), "qualification": [{"code": {"text": "a diploma without a number"}}]},
    ):
        await county.put("A", change)
        assert (await stands_token(county)).barred in ("no-licence", "licence-expired")
    await county.put("A", practitioner("pa"))
    assert (await stands_token(county)).barred == ""
    for change in (
        {"active": False},
        {"period": {"end": "2021-12-31"}},
        {"period": {"end": "nonsense"}},
        {"practitioner": ref("Practitioner/pa2")},
        {"code": [{"coding": [{"code": "registration-clerk"}]}]},
    ):
        await county.put("A", post("ra", "pa", "A", **change))
        assert (await stands_token(county)).barred == "no-post", change
    await county.put("A", post("ra", "pa", "A"))


async def stands_token(county: County) -> Principal:
    async with county.house.database.connection() as connection:
        id = await connection.fetchval("SELECT id FROM access_token WHERE practitioner = 'pa' AND scopes IS NULL")
    return await stands(county, f"token:{id}")


async def test_whoever_is_barred_reads_the_directory_and_writes_nothing_clinical(own_county: County) -> None:
    county = own_county
    await county.put("A", {**practitioner("pa"), "active": False})
    body = observation("new", "a1")
    del body["id"]
    refused = await county.ask("dr-a", "POST", "Observation", body)
    assert refused.status_code == 403 and "licence" in refused.text
    assert await county.ids("dr-a", "Observation") == set()
    assert (await county.ask("dr-a", "GET", "Patient/a1")).status_code == 404
    assert (await county.ask("dr-a", "GET", "PractitionerRole/ra")).status_code == 200


async def test_a_forged_related_person_makes_nobody_a_guardian(own_county: County) -> None:
    """Staff may write RelatedPerson; an account becomes a guardian by the acts of guardians.py alone."""
    county = own_county
    async with county.house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO account (login, name_zh, name_en, role, patient, password, created, changed)"
            " VALUES ('accomplice', 'A', 'A', 'patient', 'a2', 'none', $1, $1)",
            clock.now(),
        )
    forged = {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": ref("Patient/a1"),
        "identifier": [{"system": guardians.ACCOUNT_SYSTEM, "value": "accomplice"}],
    }
    assert (await county.ask("dr-a", "POST", "RelatedPerson", forged)).status_code == 201
    async with county.house.database.transaction() as connection:
        assert await guardians.wards(connection, "accomplice") == []
        with pytest.raises(NotFound):
            await acting.choose_ward(connection, "no-session", "accomplice", 1)
