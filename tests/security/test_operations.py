"""Attack cases 35-40: operations find through the gate; what is not served says so to everybody alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from attacked import DOCTOR, observation, ref, told
from xinglin.access.principal import NODE
from xinglin.access.records import Records

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)


async def everything(county: County, login: str, path: str) -> set[str]:
    rows = (await county.get(login, f"{path}/$everything"))["entry"]
    return {f"{row['resource']['resourceType']}/{row['resource']['id']}" for row in rows}


BAIT = {"Observation/hid", "Provenance/prb", "Composition/compb", "List/lb", "Group/gb", "Patient/b1", "Encounter/eb"}


async def test_case_35_36_37_everything_of_a_patient_is_everything_that_may_be_seen(county: County) -> None:
    """Neither a Provenance, nor a Composition, a List, a Group or a Patient.link brings what is hidden."""
    found = await everything(county, "dr-a", "Patient/a1")
    assert {"Patient/a1", "Observation/oa1", "Observation/oa3", "Observation/oa4", "Encounter/ea"} <= found
    assert not found & BAIT
    assert {"Observation/hid", "Composition/compb", "List/lb"} <= await everything(county, "root", "Patient/a1")
    assert {"Observation/hid", "Composition/compb"} <= await everything(county, "anna", "Patient/a1")
    paged: set[str] = set()
    path = "Patient/a1/$everything?_count=1"
    while path:
        page = await county.get("dr-a", path)
        paged |= {f"{row['resource']['resourceType']}/{row['resource']['id']}" for row in page.get("entry", [])}
        path = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")
    assert paged == found


async def test_case_35_everything_of_what_is_hidden_is_not_found(county: County) -> None:
    for kind, hidden in (("Patient", "b2"), ("Encounter", "eb")):
        answers = [told(await county.ask("dr-a", "GET", f"{kind}/{id}/$everything"), id) for id in (hidden, "nix")]
        assert answers[0] == answers[1] and answers[0].status == 404


async def test_case_35_a_document_holds_what_its_reader_may_see(own_county: County) -> None:
    """Also where the composition is visible and its sections are not; and what is kept of it is kept by the reader."""
    county = own_county
    section = [{"entry": [ref("Observation/oa1"), ref("Observation/hid"), ref("Observation/ob2"), ref("Patient/b2")]}]
    composition = {
        "resourceType": "Composition", "id": "ca", "status": "final", "type": {"text": "letter"}, "title": "t",
        "date": "2024-01-01", "subject": ref("Patient/a1"), "author": [ref("Practitioner/pa")], "section": section,
    }  # fmt: skip
    await county.put("A", composition)
    rows = (await county.get("dr-a", "Composition/ca/$document"))["entry"]
    assert {row["resource"]["id"] for row in rows} == {"ca", "oa1", "a1", "pa", "A"} & {
        r["resource"]["id"] for r in rows
    }
    assert {"ca", "oa1"} <= {row["resource"]["id"] for row in rows}
    answers = [told(await county.ask("dr-a", "GET", f"Composition/{id}/$document"), id) for id in ("compb", "nix")]
    assert answers[0] == answers[1] and answers[0].status == 404
    assert (await county.ask("ben", "GET", "Composition/ca/$document?persist=true")).status_code == 404


async def test_newest_observations_are_those_that_may_be_seen(county: County) -> None:
    assert await county.ids("root", "Observation/$lastn?patient=a1&code=secret") == {"hid"}
    assert await county.ids("dr-a", "Observation/$lastn?patient=a1&code=secret") == set()
    assert "hid" not in await county.ids("dr-a", "Observation/$lastn?patient=a1&max=10")


async def test_case_38_people_are_found_among_those_who_may_be_seen(county: County) -> None:
    """There is no $match yet; the search box finds nobody by the number or name of a hidden patient."""
    for text in ("777", "Secret", "Secre", "Sekret"):
        assert not await Records(county.house, DOCTOR).find(text), text
        assert await Records(county.house, NODE).find(text) or text == "Sekret"
    for body in ({"resourceType": "Parameters"}, None):
        assert (await county.ask("dr-a", "POST", "Patient/$match", body)).status_code == 404


@pytest.mark.parametrize("path", ["$graphql?query={PatientList{id}}", "Patient/b2/$graphql?query={id}", "$graph"])
async def test_case_39_40_graphql_is_not_served(county: County, path: str) -> None:
    answers = [told(await county.ask(login, "GET", path)) for login in ("dr-a", "root")]
    assert answers[0] == answers[1] and answers[0].status == 404


async def test_validate_tells_nothing_of_the_resource_at_the_address(county: County) -> None:
    answers = [
        told(await county.ask("dr-a", "POST", f"Observation/{id}/$validate", observation(id, "a1")), id)
        for id in ("hid", "nix")
    ]
    assert answers[0] == answers[1]
    modes = [
        told(await county.ask("dr-a", "POST", f"Observation/{id}/$validate?mode=delete"), id) for id in ("hid", "nix")
    ]
    assert modes[0] == modes[1]
