"""patch: JSON Patch (RFC 6902) and FHIRPath Patch (http://hl7.org/fhir/R4/fhirpatch.html)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from serving import Client

pytest_plugins = ("serving",)

JSON_PATCH = {"content_type": "application/json-patch+json"}
PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "active": True,
    "name": [{"family": "王", "given": ["小", "明"]}, {"family": "Wang"}],
    "birthDate": "1980-05-03",
    "multipleBirthInteger": 2,
}


def operation(kind: str, path: str, **parts: Any) -> dict[str, Any]:
    given = [{"name": "type", "valueCode": kind}, {"name": "path", "valueString": path}]
    for name, value in parts.items():
        given.append({"name": name, **value} if isinstance(value, dict) else {"name": name, **_value(value)})
    return {"name": "operation", "part": given}


def _value(value: Any) -> dict[str, Any]:
    return {"valueInteger": value} if isinstance(value, int) else {"valueString": value}


def fhirpath_patch(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Parameters", "parameter": list(operations)}


async def test_json_patch_changes_a_version_or_nothing(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", PATIENT)
    wish = [
        {"op": "test", "path": "/name/0/family", "value": "王"},
        {"op": "replace", "path": "/birthDate", "value": "1981-01-01"},
        {"op": "remove", "path": "/name/1"},
        {"op": "add", "path": "/name/0/given/-", "value": "光"},
    ]
    changed = await fhir("PATCH", "Patient/p", wish, **JSON_PATCH)
    assert (changed.status_code, changed.headers["etag"]) == (200, 'W/"2"')
    assert changed.json()["name"] == [{"family": "王", "given": ["小", "明", "光"]}]
    failing = await fhir(
        "PATCH", "Patient/p", [*wish[1:2], {"op": "test", "path": "/active", "value": 1}], **JSON_PATCH
    )
    assert failing.status_code == 422
    assert (await fhir("GET", "Patient/p")).headers["etag"] == 'W/"2"'


@pytest.mark.parametrize(
    ("patch", "status"),
    [
        ("{}", 400),
        ("[1]", 400),
        ('[{"op":"grow","path":"/a"}]', 400),
        ('[{"op":"add","path":5,"value":1}]', 400),
        ('[{"op":"add","path":"active","value":1}]', 422),
        ('[{"op":"remove","path":"/deceasedBoolean"}]', 422),
        ('[{"op":"add","path":"/name/99","value":{}}]', 422),
        ('[{"op":"replace","path":"/active","value":"yes"}]', 422),
        ('[{"op":"add","path":"/colour","value":"blue"}]', 422),
        ('[{"op":"replace","path":"/id","value":"q"}]', 422),
        ('[{"op":"replace","path":"/resourceType","value":"Person"}]', 422),
        ('[{"op":"replace","path":"","value":7}]', 422),
        ('[{"op":"move","from":"/name","path":"/name/0"}]', 422),
        ('[],"x":[]', 400),
        ("[", 400),
    ],
)
async def test_a_wrong_json_patch_is_refused_with_its_operation(still: Client, patch: str, status: int) -> None:
    await still("PUT", "Patient/p", PATIENT)
    assert (await still("PATCH", "Patient/p", patch, **JSON_PATCH)).status_code == status
    assert (await still("GET", "Patient/p")).headers["etag"] == 'W/"1"'


async def test_copies_that_double_are_stopped(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", PATIENT)
    wish = [{"op": "copy", "from": "/name", "path": "/name/0/extension"}] * 40
    assert (await fhir("PATCH", "Patient/p", wish, **JSON_PATCH)).status_code in (413, 422)


async def test_fhirpath_patch_builds_what_no_value_of_parameters_can_hold(fhir: Client) -> None:
    """An Extension has no value[x] in Parameters: it is given by parts, and so may be any type that has elements."""
    await fhir("PUT", "Patient/p", PATIENT)
    named = [{"name": "url", "valueUri": "urn:e"}, {"name": "value", "valueCodeableConcept": {"text": "x"}}]
    inner = [{"name": "url", "valueUri": "urn:outer"}, {"name": "extension", "part": named}]
    person = [{"name": "name", "part": [{"name": "given", "valueString": text} for text in "ab"]}]
    wish = fhirpath_patch(
        operation("add", "Patient", name="extension", value={"part": inner}),
        operation("add", "Patient", name="contact", value={"part": person}),
    )
    changed = (await fhir("PATCH", "Patient/p", wish)).json()
    within = {"url": "urn:e", "valueCodeableConcept": {"text": "x"}}
    assert changed["extension"] == [{"url": "urn:outer", "extension": [within]}]
    assert changed["contact"] == [{"name": {"given": ["a", "b"]}}]
    for name in ("birthDate", "deceased"):
        wrong = fhirpath_patch(operation("add", "Patient", name=name, value={"part": named}))
        assert (await fhir("PATCH", "Patient/p", wrong)).status_code == 422


async def test_fhirpath_patch_adds_inserts_replaces_moves_deletes(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", PATIENT)
    contact = {
        "part": [{"name": "name", "valueHumanName": {"text": "Mother"}}, {"name": "gender", "valueCode": "female"}]
    }
    wish = fhirpath_patch(
        operation("replace", "Patient.birthDate", value={"valueDate": "1981-01-01"}),
        operation("add", "Patient", name="contact", value=contact),
        operation("add", "Patient.name.where(family = 'Wang')", name="given", value="Ming"),
        operation("insert", "Patient.name[0].given", index=1, value="大"),
        operation("move", "Patient.name", source=1, destination=0),
        operation("delete", "Patient.active"),
        operation("delete", "Patient.photo"),
        operation("replace", "Patient.multipleBirth", value={"valueBoolean": True}),
    )
    changed = (await fhir("PATCH", "Patient/p", wish)).json()
    assert changed["birthDate"] == "1981-01-01"
    assert changed["contact"] == [{"name": {"text": "Mother"}, "gender": "female"}]
    assert changed["name"] == [{"family": "Wang", "given": ["Ming"]}, {"family": "王", "given": ["小", "大", "明"]}]
    assert "active" not in changed and "multipleBirthInteger" not in changed
    assert changed["multipleBirthBoolean"] is True


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        (fhirpath_patch(), 422),
        ({"resourceType": "Parameters"}, 400),
        (fhirpath_patch(operation("grow", "Patient")), 400),
        (fhirpath_patch(operation("add", "Patient", name="contact")), 400),
        (fhirpath_patch(operation("delete", "Patient.name")), 422),
        (fhirpath_patch(operation("delete", "Patient.(")), 400),
        (fhirpath_patch(operation("replace", "Patient.name", value="x")), 422),
        (fhirpath_patch(operation("add", "Patient", name="colour", value="blue")), 422),
        (fhirpath_patch(operation("add", "Patient", name="birthDate", value={"valueDate": "2000"})), 422),
        (fhirpath_patch(operation("insert", "Patient.name", index=9, value={"valueHumanName": {"text": "x"}})), 422),
        (fhirpath_patch(operation("move", "Patient.name", source=5, destination=0)), 422),
        (fhirpath_patch(operation("replace", "Patient.id", value={"valueId": "q"})), 422),
        (PATIENT, 415),
    ],
)
async def test_a_wrong_fhirpath_patch_is_refused(still: Client, wish: dict[str, Any], status: int) -> None:
    await still("PUT", "Patient/p", PATIENT)
    assert (await still("PATCH", "Patient/p", wish)).status_code == status
    assert (await still("GET", "Patient/p")).headers["etag"] == 'W/"1"'


async def test_merge_patch_sets_replaces_and_takes_away(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", PATIENT)
    wish = {"active": None, "maritalStatus": {"text": "married"}, "name": [{"family": "李"}]}
    for kind in ("application/merge-patch+json", "application/json"):
        changed = (await fhir("PATCH", "Patient/p", wish, content_type=kind)).json()
        assert "active" not in changed and changed["birthDate"] == "1980-05-03"
        assert (changed["maritalStatus"], changed["name"]) == ({"text": "married"}, [{"family": "李"}])
    assert (await fhir("PATCH", "Patient/p", {"id": "q"}, content_type=kind)).status_code == 422


async def test_patches_at_the_same_time_all_take_effect(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", PATIENT)
    given = [[{"op": "add", "path": "/name/0/given/-", "value": f"g{number}"}] for number in range(4)]
    answers = await asyncio.gather(*(fhir("PATCH", "Patient/p", wish, **JSON_PATCH) for wish in given))
    assert [answer.status_code for answer in answers] == [200] * 4
    final = (await fhir("GET", "Patient/p")).json()
    assert sorted(final["name"][0]["given"][2:]) == ["g0", "g1", "g2", "g3"]


async def test_conditional_patch_and_if_match(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", PATIENT)
    wish = [{"op": "replace", "path": "/active", "value": False}]
    assert (await fhir("PATCH", "Patient?family=Wang", wish, **JSON_PATCH)).json()["active"] is False
    assert (await fhir("PATCH", "Patient?family=Nobody", wish, **JSON_PATCH)).status_code == 404
    assert (await fhir("PATCH", "Patient", wish, **JSON_PATCH)).status_code == 412
    assert (await fhir("PATCH", "Patient/p", wish, if_match='W/"1"', **JSON_PATCH)).status_code == 412
    await fhir("PUT", "Patient/q", {**PATIENT, "id": "q"})
    assert (await fhir("PATCH", "Patient?family=Wang", wish, **JSON_PATCH)).status_code == 412
    assert (await fhir("PATCH", "Patient/none", wish, **JSON_PATCH)).status_code == 404
