"""The $operations of the core: $everything, $validate, $meta, $lastn, $document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from serving import Client

pytest_plugins = ("serving",)


def tags(*codes: str) -> dict[str, Any]:
    meta = {"tag": [{"system": "urn:t", "code": code} for code in codes]}
    return {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": meta}]}


def observed(id: str, day: str, code: str, who: str = "p") -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{who}"},
        "performer": [{"reference": "Practitioner/dr"}],
        "effectiveDateTime": day,
    }


@pytest.fixture
async def chart(fhir: Client) -> Client:
    """Patient p with four observations by one practitioner, and another patient's."""
    await fhir("PUT", "Practitioner/dr", {"resourceType": "Practitioner", "id": "dr"})
    for who in ("p", "other"):
        await fhir("PUT", f"Patient/{who}", {"resourceType": "Patient", "id": who})
    rows = [
        ("a1", "2024-01-01", "1-8"),
        ("a2", "2024-02-01", "1-8"),
        ("a3", "2024-03-01", "1-8"),
        ("b1", "2023-01-01", "2-6"),
    ]
    for id, day, code in rows:
        await fhir("PUT", f"Observation/{id}", observed(id, day, code))
    await fhir("PUT", "Observation/x", observed("x", "2025-01-01", "1-8", "other"))
    return fhir


def ids(answer: Any, mode: str | None = None) -> list[str]:
    rows = answer.json().get("entry", [])
    return [row["resource"]["id"] for row in rows if mode is None or row["search"]["mode"] == mode]


async def test_everything_of_a_patient_and_nothing_of_another(chart: Client) -> None:
    everything = await chart("GET", "Patient/p/$everything")
    assert set(ids(everything, "match")) == {"p", "a1", "a2", "a3", "b1"}
    assert set(ids(everything, "include")) == {"dr"}
    assert everything.json()["total"] == 5
    some = await chart("GET", "Patient/p/$everything?_type=Practitioner,Patient")
    assert "a1" not in ids(some)
    assert (await chart("GET", "Patient/p/$everything?_since=2999-01-01")).status_code == 200
    assert (await chart("GET", "Patient/p/$everything?start=2024-01-15&end=2024-02-15")).status_code == 200
    cut = ids(await chart("GET", "Patient/p/$everything?start=2024-01-15&end=2024-02-15"), "match")
    assert set(cut) == {"p", "a2"}
    for wrong in ("colour=blue", "_since=soon", "_type=Pateint", "_count=x", "start=x"):
        assert (await chart("GET", f"Patient/p/$everything?{wrong}")).status_code in (400, 404), wrong
    assert (await chart("GET", "Patient/none/$everything")).status_code == 404
    assert (await chart("GET", "Observation/a1/$everything")).status_code == 404


async def test_everything_in_pages_is_the_whole(chart: Client) -> None:
    seen: list[str] = []
    address: str | None = "Patient/p/$everything?_count=2"
    while address:
        page = await chart("GET", address)
        seen += ids(page, "match")
        links = {link["relation"]: link["url"] for link in page.json()["link"]}
        address = links["next"].partition("/fhir/")[2] if "next" in links else None
    assert sorted(seen) == ["a1", "a2", "a3", "b1", "p"]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ("Observation", {"p", "a1", "a2", "a3", "b1"}),
        ("Practitioner", {"p", "dr"}),
        ("Practitioner,Observation", {"p", "dr", "a1", "a2", "a3", "b1"}),
        ("Patient", {"p"}),
        ("Device", {"p"}),
    ],
)
async def test_everything_of_some_types_is_of_these_alone(chart: Client, types: str, expected: set[str]) -> None:
    """The patient stands at the head of it always; what others refer to is found though they are not wanted."""
    whole = await chart("GET", f"Patient/p/$everything?_type={types}")
    assert (whole.status_code, set(ids(whole))) == (200, expected)
    wanted = {"name": "_type", "valueString": types}, {"name": "_count", "valueInteger": 2}
    page = await chart("POST", "Patient/p/$everything", {"resourceType": "Parameters", "parameter": list(wanted)})
    seen = ids(page)
    while address := next((one["url"] for one in page.json()["link"] if one["relation"] == "next"), None):
        page = await chart("GET", address.partition("/fhir/")[2])
        assert page.status_code == 200 and len(ids(page, "match")) <= 2
        seen += [one for one in ids(page) if one != "dr"]  # an include may come with every page
    assert sorted(seen) == sorted(expected)


async def test_everything_takes_texts_alone(chart: Client) -> None:
    for name in ("_type", "_since", "start", "end", "_count", "_page"):
        for value in ({"valueMeta": {"tag": [{"code": "a"}]}}, {"part": [{"name": "x"}]}, {"valueBoolean": True}, {}):
            body = {"resourceType": "Parameters", "parameter": [{"name": name, **value}]}
            assert (await chart("POST", "Patient/p/$everything", body)).status_code < 500, (name, value)


async def test_everything_counts_and_refuses_no_type_of_an_encounter(chart: Client) -> None:
    counted = (await chart("GET", "Patient/p/$everything?_summary=count")).json()
    assert counted["total"] == 5 and "entry" not in counted
    made = {"resourceType": "Encounter", "id": "e", "status": "finished", "class": {"code": "AMB"}}
    await chart("PUT", "Encounter/e", {**made, "subject": {"reference": "Patient/p"}})
    for types, expected in (("Encounter", ["e"]), ("Patient", ["e", "p"]), ("Observation", ["e"])):
        assert ids(await chart("GET", f"Encounter/e/$everything?_type={types}")) == expected


async def test_lastn_gives_the_newest_of_each_code(chart: Client) -> None:
    assert ids(await chart("GET", "Observation/$lastn?patient=p")) == ["a3", "b1"]
    assert ids(await chart("GET", "Observation/$lastn?patient=Patient/p&max=2")) == ["a3", "a2", "b1"]
    for held in ({"valueReference": {"reference": "Patient/p"}}, {"valueString": "p"}):
        body = {"resourceType": "Parameters", "parameter": [{"name": "patient", **held}]}
        assert ids(await chart("POST", "Observation/$lastn", body)) == ["a3", "b1"]
    assert (await chart("GET", "Observation/$lastn")).status_code == 400
    assert (await chart("GET", "Observation/$lastn?patient=p&max=many")).status_code == 400


async def test_meta_is_read_added_to_and_taken_from(chart: Client) -> None:
    async def codes() -> list[str]:
        meta = (await chart("GET", "Patient/p/$meta")).json()["parameter"][0]["valueMeta"]
        return [tag["code"] for tag in meta.get("tag", [])]

    await chart("POST", "Patient/p/$meta-add", tags("one", "two"))
    await chart("POST", "Patient/p/$meta-add", tags("two", "three"))
    assert await codes() == ["one", "two", "three"]
    await chart("POST", "Patient/p/$meta-delete", tags("two", "never"))
    assert await codes() == ["one", "three"]
    first = (await chart("GET", "Patient/p/_history/1/$meta")).json()["parameter"][0]["valueMeta"]
    assert "tag" not in first
    assert (await chart("POST", "Patient/p/$meta-add", {"resourceType": "Parameters"})).status_code == 400
    assert (await chart("GET", "Patient/p/$meta-add")).status_code == 405
    assert (await chart("GET", "Patient/none/$meta")).status_code == 404


async def test_meta_of_a_type_or_of_all_is_what_is_in_use(chart: Client) -> None:
    await chart("POST", "Patient/p/$meta-add", tags("a", "b"))
    await chart("POST", "Patient/q/$meta-add", tags("b"))
    for place, found in (("Patient/$meta", {"a", "b"}), ("$meta", {"a", "b"}), ("Device/$meta", set())):
        values = (await chart("GET", place)).json().get("parameter", [])
        assert {tag["code"] for one in values for tag in one["valueMeta"]["tag"]} == found, place


async def test_validate_answers_findings_and_stores_nothing(chart: Client) -> None:
    good = {"resourceType": "Patient", "birthDate": "1980-01-01"}
    bad = {"resourceType": "Patient", "birthDate": "1980-13-01"}
    wrapped = {"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": bad}]}
    assert (await chart("POST", "Patient/$validate", good)).json()["issue"][0]["severity"] == "information"
    for body in (bad, wrapped):
        found = await chart("POST", "Patient/$validate", body)
        assert found.status_code == 200
        assert found.json()["issue"][0]["expression"] == ["Patient.birthDate"]
    nothing = {"resourceType": "Parameters", "parameter": [{"name": "mode", "valueCode": "create"}]}
    refused = await chart("POST", "Patient/$validate", json.dumps(nothing, indent=1))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (400, "required")
    broken = await chart("POST", "Patient/$validate", "{")
    assert broken.json()["issue"][0]["severity"] == "error"
    assert (await chart("GET", "Patient/p/$validate")).json()["issue"][0]["severity"] == "information"
    assert (await chart("POST", "Patient/$validate?profile=http://example.org/p", good)).status_code == 400
    assert (await chart("GET", "Patient?_summary=count")).json()["total"] == 2


async def test_document_gathers_what_a_composition_refers_to(chart: Client) -> None:
    composition = {
        "resourceType": "Composition",
        "id": "c",
        "status": "final",
        "type": {"text": "summary"},
        "subject": {"reference": "Patient/p"},
        "date": "2024-04-01",
        "author": [{"reference": "Practitioner/dr"}],
        "title": "Summary",
        "section": [{"entry": [{"reference": "Observation/a1"}, {"reference": "Observation/gone"}]}],
    }
    await chart("PUT", "Composition/c", composition)
    document = await chart("GET", "Composition/c/$document?persist=true")
    bundle = document.json()
    assert bundle["type"] == "document" and bundle["identifier"] and bundle["timestamp"]
    assert bundle["entry"][0]["resource"]["id"] == "c"
    assert {row["resource"]["id"] for row in bundle["entry"]} == {"c", "p", "dr", "a1"}
    assert (await chart("GET", f"Bundle/{bundle['id']}")).json()["type"] == "document"
    assert (await chart("GET", "Composition/c/$document?persist=maybe")).status_code == 400


async def test_an_operation_that_is_not_served_is_said_with_the_nearest(chart: Client) -> None:
    answer = await chart("GET", "Patient/p/$everythin")
    assert answer.status_code == 404
    assert "$everything" in answer.json()["issue"][0]["diagnostics"]
