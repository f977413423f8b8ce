"""Attack cases 35-40: operations find through the gate; what is not served says so to everybody alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attacked import DOCTOR, observation, ref, told
from xinglin.access.principal import NODE
from xinglin.access.records import Records
from xinglin.core.store.keys import key_of

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


async def test_everything_is_one_access_allowed_or_refused(county: County) -> None:
    """Its looks are no accesses of their own: a line for each person whose data it showed, or one of the refusal."""
    pool, query = county.house.database.pool, "SELECT event, person, target, outcome FROM audit WHERE seq > $1"
    for login, id, outcome in (("root", "a1", 0), ("dr-a", "a1", 0), ("dr-a", "nix", 4)):
        before = await pool.fetchval("SELECT max(seq) FROM audit") or 0
        found = await county.ask(login, "GET", f"Patient/{id}/$everything")
        lines = await pool.fetch(query, before)
        assert {(line["target"], line["outcome"]) for line in lines} == {(f"Patient/{id}/$everything", outcome)}
        assert len({line["event"] for line in lines}) == 1
        persons = {line["person"] for line in lines}
        assert len(persons) == len(lines) and (key_of("Patient", "a1") in persons) == (found.status_code == 200)


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
    """The search box finds nobody by the number or name of a hidden patient."""
    for text in ("777", "Secret", "Secre", "Sekret"):
        assert not await Records(county.house, DOCTOR).find(text), text
        assert await Records(county.house, NODE).find(text) or text == "Sekret"


def described(name: str, number: str = "") -> dict[str, Any]:
    body = {"resourceType": "Patient", "name": [{"text": name}], "birthDate": "1980-05-03", "gender": "male"}
    body["identifier"] = [{"type": {"coding": [{"code": "PPN"}]}, "system": "urn:cn", "value": number or "E12345678"}]
    return body


async def test_case_38_match_and_pix_answer_as_if_the_hidden_were_not_there(own_county: County) -> None:
    """Neither that they exist, nor their number, nor by pushing somebody visible behind a limit."""
    county = own_county

    async def matched(login: str, patient: dict[str, Any], **more: bool) -> Any:
        parameters: list[dict[str, Any]] = [{"name": "resource", "resource": patient}]
        parameters += [{"name": name, "valueBoolean": value} for name, value in more.items()]
        body = {"resourceType": "Parameters", "parameter": parameters}
        answer = (await county.ask(login, "POST", "Patient/$match", body)).json()
        return {name: value for name, value in answer.items() if name not in ("timestamp", "id")}

    visible = {**described("Twin Secretary"), "id": "v1"}
    await county.put("A", visible)
    before = {
        only: await matched("dr-a", described("Twin Secretary"), onlyCertainMatches=only) for only in (True, False)
    }
    assert [e["resource"]["id"] for e in before[False]["entry"]] == ["v1"]
    await county.put("B", *({**described("Twin Secretary"), "id": f"h{n}"} for n in range(120)))
    after = {
        only: await matched("dr-a", described("Twin Secretary"), onlyCertainMatches=only) for only in (True, False)
    }
    assert after == before
    assert (await matched("root", described("Twin Secretary")))["total"] == 10
    hidden, nobody = [await matched("dr-a", described(name, "Q7654321")) for name in ("Secret", "Nobody")]
    assert hidden == nobody and hidden["total"] == 0
    answers = [
        told(await county.ask("dr-a", "GET", f"Patient/$ihe-pix?sourceIdentifier={source}"))
        for source in ("urn:n%7C777", "urn:n%7C778")
    ]
    assert answers[0] == answers[1] and answers[0].status == 404


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
