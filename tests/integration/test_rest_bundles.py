"""batch and transaction: http://hl7.org/fhir/R4/http.html#transaction"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from serving import Client

pytest_plugins = ("serving",)

UUID = "urn:uuid:61ebe359-bfdc-4613-8bf2-c5e300945f0a"


def entry(method: str, url: str, resource: Any = None, full_url: str | None = None, **request: str) -> dict[str, Any]:
    made: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        made["resource"] = resource
    return {**made, **({"fullUrl": full_url} if full_url else {})}


def bundle(kind: str, *entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, **({"entry": list(entries)} if entries else {})}


def patient(**more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"family": "王"}], **more}


def observation(subject: str, **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": subject},
        **more,
    }


async def count(fhir: Client, type_name: str) -> int:
    return int((await fhir("GET", f"{type_name}?_summary=count")).json()["total"])


async def test_references_between_entries_become_those_of_what_is_stored(fhir: Client) -> None:
    answer = await fhir(
        "POST",
        "",
        bundle(
            "transaction",
            entry("POST", "Observation", observation(UUID)),
            entry("POST", "Patient", patient(identifier=[{"system": "urn:mrn", "value": "1"}]), UUID),
            entry("POST", "Observation", observation("Patient?identifier=urn:mrn|0")),
        ),
    )
    assert answer.status_code == 412  # the conditional reference finds nobody, so nothing is stored
    assert answer.json()["issue"][0]["expression"][0].startswith("Bundle.entry[2]")
    assert await count(fhir, "Patient") == await count(fhir, "Observation") == 0
    await fhir("PUT", "Patient/known", patient(id="known", identifier=[{"system": "urn:mrn", "value": "0"}]))
    answer = await fhir(
        "POST",
        "",
        bundle(
            "transaction",
            entry("POST", "Observation", observation(UUID)),
            entry("POST", "Patient", patient(), UUID),
            entry("POST", "Observation", observation("Patient?identifier=urn:mrn|0")),
        ),
    )
    response = answer.json()
    assert response["type"] == "transaction-response"
    assert [one["response"]["status"] for one in response["entry"]] == ["201 Created"] * 3
    places = [one["response"]["location"] for one in response["entry"]]
    assert [place.split("/")[0] for place in places] == ["Observation", "Patient", "Observation"]
    subjects = [
        (await fhir("GET", "/".join(place.split("/")[:2]))).json()["subject"]["reference"]
        for place in (places[0], places[2])
    ]
    assert subjects == ["/".join(places[1].split("/")[:2]), "Patient/known"]


async def test_references_are_read_as_their_bundle_means_them(fhir: Client) -> None:
    """bundle.html#references: relative ones from the entry's own fullUrl; http.html#trules: links of narratives too."""
    elsewhere = "http://elsewhere/fhir"
    link = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><a href="{UUID}">x</a></div>'}
    answer = await fhir(
        "POST",
        "",
        bundle(
            "transaction",
            entry("POST", "Patient", patient(), UUID),
            entry("POST", "Patient", patient(), f"{elsewhere}/Patient/1"),
            entry("POST", "Observation", observation("Patient/1"), f"{elsewhere}/Observation/1"),
            entry("POST", "Observation", observation("Patient/1", text=link)),
            entry("POST", "Observation", observation("Patient?identifier=urn:mrn|9")),
            entry("POST", "Patient", patient(), ifNoneExist="identifier=urn:mrn|9"),
        ),
        prefer="return=representation",
    )
    stored = [one["resource"] for one in answer.json()["entry"]]
    ids = [f"Patient/{one['id']}" for one in stored]
    assert [one["subject"]["reference"] for one in stored[2:5]] == [ids[1], "Patient/1", ids[5]]
    assert f'<a href="{ids[0]}">' in stored[3]["text"]["div"]


async def test_one_condition_creates_once_in_a_transaction(fhir: Client) -> None:
    known = patient(identifier=[{"system": "urn:mrn", "value": "5"}])
    create = entry("POST", "Patient", known, ifNoneExist="identifier=urn:mrn|5")
    twice = bundle("transaction", {**create, "fullUrl": UUID}, {**create, "fullUrl": UUID[:-1] + "b"})
    twice["entry"].append(entry("POST", "Observation", observation(UUID[:-1] + "b")))
    for statuses in (["201 Created", "200 OK", "201 Created"], ["200 OK", "200 OK", "201 Created"]):
        answered = (await fhir("POST", "", twice)).json()["entry"]
        assert [one["response"]["status"] for one in answered] == statuses
        assert answered[0]["response"]["location"] == answered[1]["response"]["location"]
    assert await count(fhir, "Patient") == 1
    update = entry("PUT", "Patient?identifier=urn:mrn|6", patient(identifier=[{"system": "urn:mrn", "value": "6"}]))
    refused = await fhir("POST", "", bundle("transaction", update, update))
    assert (refused.status_code, refused.json()["issue"][0]["code"]) == (400, "duplicate")


async def test_reads_in_a_bundle_say_version_and_time(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient(id="p"))
    for kind in ("batch", "transaction"):
        later = entry("GET", "Patient/p", ifModifiedSince="2099-01-01T00:00:00+08:00")
        found, unchanged = (await fhir("POST", "", bundle(kind, entry("GET", "Patient/p"), later))).json()["entry"]
        assert found["response"]["etag"] == 'W/"1"' and found["response"]["lastModified"]
        assert unchanged["response"]["status"] == "304 Not Modified" and "resource" not in unchanged
    wrong = bundle("batch", entry("FOO", "x"), entry("POST", "Observation", observation(UUID)))
    places = [
        one["response"]["outcome"]["issue"][0]["expression"] for one in (await fhir("POST", "", wrong)).json()["entry"]
    ]
    assert places == [["Bundle.entry[0]"], ["Bundle.entry[1].resource.subject"]]


async def test_entries_are_carried_out_in_the_specified_order(fhir: Client) -> None:
    """Deletes, then creates, then updates, then reads: whatever the order of the entries."""
    await fhir("PUT", "Patient/old", patient(id="old", identifier=[{"system": "urn:mrn", "value": "1"}]))
    answer = await fhir(
        "POST",
        "",
        bundle(
            "transaction",
            entry("GET", "Patient?family=李"),
            entry("PUT", "Patient/new", patient(id="new", name=[{"family": "李"}])),
            entry("DELETE", "Patient/old"),
            entry("GET", "Patient/old"),
        ),
    )
    response = answer.json()["entry"]
    assert [one["response"]["status"][:3] for one in response] == ["200", "201", "204", "410"]
    assert [one["resource"]["id"] for one in response[0]["resource"]["entry"]] == ["new"]


async def test_conditions_and_versions_of_entries_are_honoured(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient(id="p", identifier=[{"system": "urn:mrn", "value": "1"}]))
    there = entry("POST", "Patient", patient(), ifNoneExist="identifier=urn:mrn|1")
    stale = entry("PUT", "Patient/p", patient(id="p", active=True), ifMatch='W/"7"')
    assert (await fhir("POST", "", bundle("transaction", there, stale))).status_code == 412
    current = entry("PUT", "Patient/p", patient(id="p", active=True), ifMatch='W/"1"')
    answer = (await fhir("POST", "", bundle("transaction", current), prefer="return=representation")).json()
    assert answer["entry"][0]["response"]["etag"] == 'W/"2"'
    assert answer["entry"][0]["resource"]["active"] is True
    conditional = bundle(
        "transaction",
        entry("PUT", "Patient?identifier=urn:mrn|9", patient(identifier=[{"system": "urn:mrn", "value": "9"}])),
        entry("DELETE", "Patient?identifier=urn:mrn|404"),
    )
    statuses = [one["response"]["status"][:3] for one in (await fhir("POST", "", conditional)).json()["entry"]]
    assert statuses == ["201", "204"]


async def test_what_the_store_refuses_names_its_entry_too(fhir: Client) -> None:
    for name in ("a", "b"):
        await fhir("PUT", f"Patient/{name}", patient(id=name))
    there = entry("POST", "Patient", patient(), ifNoneExist="_id=a")
    for wrong in (
        entry("PUT", "Patient/a", patient(id="a", active=True), ifMatch='W/"7"'),
        entry("DELETE", "Patient?family=王"),
        entry("PUT", "Patient?_id=a", patient(id="b")),
    ):
        for before in ([], [there, entry("POST", "Patient", patient())]):
            refused = await fhir("POST", "", bundle("transaction", *before, wrong))
            assert refused.status_code in (400, 412), refused.text
            place = refused.json()["issue"][0]["expression"][0]
            assert place.startswith(f"Bundle.entry[{len(before)}]"), refused.text
    alone = await fhir("PUT", "Patient?_id=a", patient(id="b"))
    assert alone.json()["issue"][0]["expression"] == ["Patient.id"]
    assert await count(fhir, "Patient") == 2


async def test_what_a_stored_bundle_says_within_itself_stays(fhir: Client) -> None:
    """A document, a message: its entries refer to one another by fullUrl, and to nothing of ours."""
    document = bundle("collection", {"fullUrl": UUID, "resource": patient()}, {"resource": observation(UUID)})
    made = await fhir("POST", "Bundle", document)
    assert made.status_code == 201, made.text
    assert made.json()["entry"] == document["entry"]
    around = entry("POST", "Patient", patient(), UUID)
    answer = await fhir(
        "POST", "", bundle("transaction", around, entry("POST", "Bundle", document)), prefer="return=representation"
    )
    assert answer.json()["entry"][1]["resource"]["entry"] == document["entry"]


async def test_what_a_transaction_deletes_is_gone_for_its_conditions(fhir: Client) -> None:
    """Deletions come first: a create under a condition then finds nothing there, a reference nobody."""
    mrn = [{"system": "urn:mrn", "value": "1"}]
    await fhir("PUT", "Patient/p", patient(id="p", identifier=mrn))
    gone = entry("DELETE", "Patient/p")
    to_it = entry("POST", "Observation", observation("Patient?identifier=urn:mrn|1"))
    assert (await fhir("POST", "", bundle("transaction", gone, to_it))).status_code == 412
    anew = entry("POST", "Patient", patient(identifier=mrn), UUID, ifNoneExist="identifier=urn:mrn|1")
    answer = await fhir("POST", "", bundle("transaction", anew, entry("POST", "Observation", observation(UUID)), gone))
    assert [one["response"]["status"][:3] for one in answer.json()["entry"]] == ["201", "201", "204"]
    (there,) = (await fhir("GET", "Patient?identifier=urn:mrn|1")).json()["entry"]
    assert there["resource"]["id"] != "p"
    assert (await fhir("GET", f"Observation?subject=Patient/{there['resource']['id']}")).json()["total"] == 1
    again = entry("PUT", "Patient?identifier=urn:mrn|1", patient(identifier=mrn))
    both = bundle("transaction", again, entry("DELETE", "Patient?identifier=urn:mrn|1"))
    assert (await fhir("POST", "", both)).status_code == 400  # one resource twice


async def test_patches_stand_in_transactions(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient(id="p"))
    wish = base64.b64encode(b'[{"op":"add","path":"/active","value":true}]').decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": wish}
    answer = await fhir("POST", "", bundle("transaction", entry("PATCH", "Patient/p", binary)))
    assert answer.json()["entry"][0]["response"]["status"] == "200 OK"
    assert (await fhir("GET", "Patient/p")).json()["active"] is True


@pytest.mark.parametrize(
    ("entries", "status", "place"),
    [
        ([entry("POST", "Patient", {"resourceType": "Patient", "colour": "blue"})], 422, "Bundle.entry[1]"),
        ([entry("POST", "Patient", observation("Patient/1"))], 422, "Bundle.entry[1]"),
        ([entry("POST", "Pateint", patient())], 404, "Bundle.entry[1]"),
        ([entry("POST", "Observation", observation("urn:uuid:none"))], 400, "Bundle.entry[1]"),
        ([entry("PUT", "Patient/a", patient(id="b"))], 400, "Bundle.entry[1]"),
        ([entry("PUT", "Patient/../b", patient(id="b"))], 400, "Bundle.entry[1]"),
        ([entry("GROW", "Patient/a")], 400, "Bundle.entry[1]"),
        ([entry("POST", "Patient")], 400, "Bundle.entry[1]"),
        ([entry("PUT", "http://elsewhere.example/fhir/Patient/a", patient(id="a"))], 400, "Bundle.entry[1]"),
        ([entry("POST", "Patient/$meta-add", patient())], 400, "Bundle.entry[1]"),
        ([entry("GET", "Patient/a/b/c/d")], 404, "Bundle.entry[1]"),
        ([{"resource": patient()}], 400, "Bundle.entry[1]"),
        ([{"request": {"method": "GET", "url": 7}}], 400, "Bundle.entry[1].request.url"),
        ([entry("PUT", "Patient/a", patient(id="a")), entry("DELETE", "Patient/a")], 400, "Bundle.entry"),
        (
            [entry("POST", "Patient", patient(), UUID), entry("POST", "Patient", patient(), UUID)],
            400,
            "Bundle.entry[2]",
        ),
    ],
)
async def test_one_wrong_entry_stops_the_whole_and_is_named(
    still: Client, entries: list[dict[str, Any]], status: int, place: str
) -> None:
    answer = await still("POST", "", bundle("transaction", entry("POST", "Patient", patient()), *entries))
    assert answer.status_code == status, answer.text
    assert answer.json()["issue"][0]["expression"][0].startswith(place), answer.text
    assert await count(still, "Patient") == 0


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Bundle", "type": "collection"},
        {"resourceType": "Bundle"},
        {"resourceType": "Patient"},
        {"resourceType": "Bundle", "type": "batch", "entry": {}},
        {"resourceType": "Bundle", "type": "batch", "colour": "blue"},
        [],
        "{",
        "null",
        "",
    ],
)
async def test_what_is_no_bundle_to_carry_out_is_refused(still: Client, body: Any) -> None:
    assert (await still("POST", "", body if isinstance(body, str) else json.dumps(body))).status_code == 400


async def test_a_batch_answers_each_entry_alone(fhir: Client) -> None:
    answer = await fhir(
        "POST",
        "",
        bundle(
            "batch",
            entry("PUT", "Patient/p", patient(id="p")),
            entry("GET", "Patient/p"),
            entry("GET", "Patient/none"),
            entry("POST", "Patient", {"resourceType": "Patient", "colour": "blue"}),
            entry("GET", "Patient?family=王"),
            entry("GET", "Patient/p", ifNoneMatch='W/"1"'),
            entry("POST", "", bundle("batch")),
            entry("DELETE", "Patient/p"),
        ),
    )
    response = answer.json()
    assert (answer.status_code, response["type"]) == (200, "batch-response")
    statuses = [one["response"]["status"][:3] for one in response["entry"]]
    assert statuses == ["201", "200", "404", "422", "200", "304", "400", "204"]
    assert response["entry"][1]["resource"]["id"] == "p"
    assert response["entry"][3]["response"]["outcome"]["issue"][0]["expression"][0].startswith("Bundle.entry[3]")
    assert (await fhir("POST", "", bundle("batch"))).json().get("entry") is None


@pytest.mark.parametrize("kind", ["batch", "transaction"])
async def test_a_posted_search_in_a_bundle_has_its_criteria_in_the_address(fhir: Client, kind: str) -> None:
    await fhir("PUT", "Patient/p", patient(id="p"))
    searches = ["Patient/_search?_id=p", "_search?_type=Patient&_id=p", "Patient/p/Patient/_search", "Patient/_search"]
    answer = (await fhir("POST", "", bundle(kind, *(entry("POST", url) for url in searches)))).json()
    for one in answer["entry"]:
        assert one["response"]["status"] == "200 OK", one
        assert [found["resource"]["id"] for found in one["resource"]["entry"]] == ["p"]


async def test_a_large_transaction_does_not_hold_up_a_small_request(fhir: Client) -> None:
    large = bundle(
        "transaction", *(entry("POST", "Basic", {"resourceType": "Basic", "code": {"text": "x"}}) for _ in range(3000))
    )
    body = json.dumps(large)
    running = asyncio.create_task(fhir("POST", "", body))
    await asyncio.sleep(0)
    loop, waits = asyncio.get_running_loop(), []
    while not running.done():
        start = loop.time()
        await fhir("GET", "Basic/none")
        waits.append(loop.time() - start)
    assert (await running).status_code == 200
    assert len(waits) > 1
    assert await count(fhir, "Basic") == 3000
