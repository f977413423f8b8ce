"""Attack cases 28-34: what may not be seen is as what is not there, by every road to an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attacked import ANNA, DOCTOR, HIV, Seen, observation, ref, told
from xinglin.access import sharing
from xinglin.access.policy import directory_types
from xinglin.access.records import Records
from xinglin.core.rest.table import INTERACTIONS, OPERATIONS
from xinglin.core.schema.definitions import resource_types

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)

PATCH = {"content_type": "application/json-patch+json"}
ADD = [{"op": "add", "path": "/language", "value": "zh"}]
TAG = {"resourceType": "Parameters", "parameter": [{"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}]}
ROADS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("GET", "", None, {}),
    ("HEAD", "", None, {}),
    ("GET", "", None, {"if_none_match": 'W/"1"'}),
    ("GET", "?_elements=id", None, {}),
    ("GET", "/_history", None, {}),
    ("GET", "/_history/1", None, {}),
    ("GET", "/_history/2", None, {}),
    ("GET", "/$meta", None, {}),
    ("GET", "/_history/1/$meta", None, {}),
    ("POST", "/$meta-add", TAG, {}),
    ("POST", "/$meta-delete", TAG, {}),
    ("DELETE", "", None, {}),
    ("DELETE", "", None, {"if_match": 'W/"1"'}),
    ("DELETE", "", None, {"if_match": 'W/"2"'}),
    ("PATCH", "", ADD, PATCH),
    ("PATCH", "", ADD, PATCH | {"if_match": 'W/"1"'}),
    ("PUT", "", "body", {}),
    ("PUT", "", "body", {"if_match": 'W/"1"'}),
    ("PUT", "", "body", {"if_none_match": "*"}),
]


async def along(county: County, login: str, id: str) -> list[Seen]:
    seen = []
    for method, below, body, headers in ROADS:
        sent = observation(id, "a1", "new") if body == "body" else body
        seen.append(told(await county.ask(login, method, f"Observation/{id}{below}", sent, **headers), id))
    batch = [{"request": {"method": "GET", "url": f"Observation/{id}"}}]
    for kind in ("batch", "transaction"):
        bundle = {"resourceType": "Bundle", "type": kind, "entry": batch}
        seen.append(told(await county.ask(login, "POST", "", bundle), id))
    return seen


@pytest.mark.parametrize("login", ["dr-a", "pharmacist", "clerk", "manager", "ben", "app"])
async def test_case_28_an_id_that_is_hidden_answers_like_one_that_is_not_there(county: County, login: str) -> None:
    before = await county.get("root", "Observation/hid")
    assert await along(county, login, "hid") == await along(county, login, "nix")
    assert await county.get("root", "Observation/hid") == before


async def test_case_28_an_update_under_a_condition_does_not_try_ids(county: County) -> None:
    """A conditional update that matches nothing creates with an id of ours; a wished one would tell which are taken."""
    answers = [
        told(await county.ask("dr-a", "PUT", "Observation?_id=nobody", observation(id, "a1", "new")), id)
        for id in ("hid", "nix")
    ]
    assert answers[0] == answers[1] and answers[0].status == 404


async def test_case_29_an_earlier_version_is_lost_with_the_newest(own_county: County) -> None:
    """A label added later closes the past; and a version that bore a label stays closed when the label is gone."""
    county = own_county
    consent = await sharing.permit(
        Records(county.house, ANNA), custodian="B", grantee="A", category_codes=["laboratory"]
    )
    assert (await county.ask("dr-a", "GET", "Observation/ob1/_history/1")).status_code == 200
    await county.put("B", observation("ob1", "b1", "known", 9, meta=HIV))
    assert (await county.ask("dr-a", "GET", "Observation/ob1/_history/1")).status_code == 404
    assert (await county.ask("dr-a", "GET", "Observation/ob1/_history")).status_code == 404
    await county.put("B", observation("ob1", "b1", "known", 10))
    assert (await county.ask("dr-a", "GET", "Observation/ob1/_history/2")).status_code == 404
    history = await county.get("dr-a", "Observation/ob1/_history")
    assert [row["resource"]["meta"]["versionId"] for row in history["entry"]] == ["3", "1"]
    await sharing.withdraw(Records(county.house, ANNA), consent.id)
    for path in ("ob1", "ob1/_history", "ob1/_history/1", "ob1/_history/3"):
        assert (await county.ask("dr-a", "GET", f"Observation/{path}")).status_code == 404


async def test_case_30_what_was_deleted_is_gone_for_those_who_saw_it_only(own_county: County) -> None:
    county = own_county
    for id in ("oa1", "hid"):
        assert (await county.ask("root", "DELETE", f"Observation/{id}")).status_code == 204
    assert (await county.ask("dr-a", "GET", "Observation/oa1")).status_code == 410
    assert len((await county.get("dr-a", "Observation/oa1/_history"))["entry"]) == 2
    assert await along(county, "dr-a", "hid") == await along(county, "dr-a", "nix")
    for path in ("Observation/_history", "_history"):
        urls = [row["request"]["url"] for row in (await county.get("dr-a", path))["entry"]]
        assert "Observation/oa1" in urls and not [url for url in urls if "hid" in url]


async def test_case_31_a_body_names_another_patient(own_county: County) -> None:
    """People write about people they see: neither a new resource nor a changed one moves to somebody hidden."""
    county = own_county
    unknown = [
        told(await county.ask("dr-a", "PUT", "Observation/oa1", observation("oa1", who)), who)
        for who in ("b2", "nobody")
    ]
    assert unknown[0] == unknown[1] and unknown[0].status == 422
    assert (await county.ask("ben", "PUT", "Observation/oa1", observation("oa1", "a2"))).status_code == 404
    assert (await county.ask("anna", "POST", "Observation", _new("a2"))).status_code == 422
    entries = [
        {"request": {"method": "DELETE", "url": "Patient/b2"}},
        {"request": {"method": "POST", "url": "Observation"}, "resource": _new("b2")},
    ]
    for first in (entries[:1], [_put("Patient/b2", {"resourceType": "Patient", "id": "b2"})]):
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [*first, entries[1]]}
        assert (await county.ask("dr-a", "POST", "", bundle)).status_code in (404, 422)
    assert await county.ids("root", "Observation?patient=b2") == {"ob2"}


def _new(who: str, **more: Any) -> dict[str, Any]:
    return {name: value for name, value in observation("x", who, **more).items() if name != "id"}


def _put(url: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {"request": {"method": "PUT", "url": url}, "resource": resource}


@pytest.mark.parametrize("written", ["http://127.0.0.1:8080/fhir/Patient/b2", "Patient/b2/_history/1", "Patient/b2"])
async def test_case_32_however_a_reference_is_written(own_county: County, written: str) -> None:
    """A reference by this node's own absolute URL is the reference; one to elsewhere is to nobody here."""
    body = {**_new("a1"), "subject": ref(written)}
    answer = await own_county.ask("dr-a", "POST", "Observation", body)
    assert answer.status_code == 422, answer.text
    assert await own_county.ids("dr-a", f"Observation?subject={written}") == set()


async def test_case_32_a_reference_to_elsewhere_gives_no_rights(own_county: County) -> None:
    body = {**_new("a1"), "subject": ref("http://elsewhere.example/Patient/b2")}
    answer = await own_county.ask("dr-a", "POST", "Observation", body)
    assert answer.status_code == 201
    assert answer.json()["id"] not in await own_county.ids("root", "Observation?patient=b2")


def routes() -> list[tuple[str, str]]:
    shapes = {
        "system": "", "type": "Patient", "instance": "Patient/a1", "version": "Patient/a1/_history/1",
        "instance-history": "Patient/a1/_history", "type-history": "Patient/_history", "system-history": "_history",
        "type-search": "Patient/_search", "system-search": "_search", "compartment": "Patient/a1/Observation",
        "compartment-search": "Patient/a1/Observation/_search", "metadata": "metadata", "openapi": "openapi.json",
    }  # fmt: skip
    found = [(one.method, shapes[one.shape]) for one in INTERACTIONS if not one.public]
    for operation in OPERATIONS:
        for level in operation.levels:
            place = shapes[level].replace("Patient", min(operation.types or {"Patient"}))
            found += [(method, f"{place}/${operation.name}".lstrip("/")) for method in operation.methods()]
    return found


@pytest.mark.parametrize(("method", "path"), routes(), ids=lambda part: part or "root")
async def test_case_33_no_route_is_open_to_strangers(county: County, method: str, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer xl_wrong"}, {"cookie": "xinglin=wrong; __Host-xinglin=wrong"}):
        answer = await county.http.request(method, f"http://127.0.0.1:8080/fhir/{path}", headers=headers)
        assert answer.status_code == 401, (method, path)


async def test_case_33_no_type_is_without_a_check(own_county: County) -> None:
    """One resource of every type, held by B: nobody of A sees any but those of the directory."""
    county = own_county
    types = [name for name in resource_types() if name not in ("AuditEvent", "Parameters")]
    await county.put("B", *({"resourceType": name, "id": "bait"} for name in types))
    open_to_all = directory_types()
    for login in ("dr-a", "pharmacist", "manager", "ben", "backend-a"):
        page = await county.get(login, "?_id=bait&_count=1000")
        seen = {row["resource"]["resourceType"] for row in page.get("entry", [])}
        assert seen == open_to_all & set(types), login
    assert {
        row["resource"]["resourceType"] for row in (await county.get("clerk", "?_id=bait&_count=1000"))["entry"]
    } == (open_to_all & set(types) | {"Patient", "Person"})
    for name in sorted(set(types) - open_to_all):
        for path in (f"{name}/bait", f"{name}/bait/_history", f"{name}/bait/_history/1"):
            assert (await county.ask("dr-a", "GET", path)).status_code == 404, path
        assert (await county.get("dr-a", f"{name}?_id=bait&_summary=count"))["total"] == 0
        rows = (await county.get("dr-a", f"{name}/_history?_count=1000")).get("entry", [])
        assert "bait" not in [row["resource"]["id"] for row in rows]


async def test_case_34_a_binary_is_whose_it_says(county: County) -> None:
    """A Binary belongs to the patient of its security context; without one to nobody but its holder."""
    for id, seers in (("own", {"root", "dr-b", "backend-b", "anna"}), ("bare", {"root", "dr-b", "backend-b"})):
        for login in (
            "root",
            "dr-a",
            "dr-b",
            "backend-a",
            "backend-b",
            "anna",
            "ben",
            "pharmacist",
            "clerk",
            "manager",
            "app",
        ):
            answer = await county.ask(login, "GET", f"Binary/{id}")
            assert answer.status_code == (200 if login in seers else 404), (id, login)


async def test_case_34_a_document_does_not_open_its_binary(own_county: County) -> None:
    """Who may see a DocumentReference that points to a hidden Binary sees the pointer only."""
    county = own_county
    attachment = {"attachment": {"url": "Binary/bare", "contentType": "text/plain"}}
    document = {"status": "current", "subject": ref("Patient/a1"), "content": [attachment]}
    await county.put("A", {"resourceType": "DocumentReference", "id": "da", **document})
    page = await county.get("dr-a", "DocumentReference?_include=*&_revinclude=*")
    assert {row["resource"]["resourceType"] for row in page["entry"]} == {"DocumentReference", "Patient"}
    assert (await county.ask("dr-a", "GET", "Binary/bare")).status_code == 404


async def test_linked_records_elsewhere_are_named_to_who_treats_only(county: County) -> None:
    """sharing.linked says that a person is known elsewhere, not under which id: to who may see one of the records."""
    from xinglin.kernel.errors import NotFound

    found = await sharing.linked(Records(county.house, DOCTOR), "a1")
    assert [(one.patient, one.visible) for one in found] == [("a1", True), ("", False)]
    texts = []
    for id in ("b2", "nix"):
        with pytest.raises(NotFound) as caught:
            await sharing.linked(Records(county.house, DOCTOR), id)
        texts.append(str(caught.value).replace(id, "X"))
    assert texts[0] == texts[1]
