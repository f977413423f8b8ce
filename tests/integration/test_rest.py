"""The interactions of FHIR's REST API on one resource, through the whole application and a real database.

What each test states is normative: https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from xinglin.core.rest.door import query_of
from xinglin.kernel.errors import Invalid

if TYPE_CHECKING:
    from serving import Client

pytest_plugins = ("serving",)

FORM = {"content_type": "application/x-www-form-urlencoded"}


def patient(id: str | None = None, family: str = "王", **more: Any) -> dict[str, Any]:
    resource = {"resourceType": "Patient", "name": [{"family": family, "given": ["小明"]}], "birthDate": "1980-05-03"}
    return {**resource, **({"id": id} if id else {}), **more}


def bodyless(answer: Any) -> bool:
    return answer.content == b""


async def test_create_gives_an_id_a_version_and_a_place(fhir: Client) -> None:
    made = await fhir("POST", "Patient", patient("ignored"))
    resource = made.json()
    assert made.status_code == 201
    assert resource["id"] != "ignored"
    assert resource["meta"]["versionId"] == "1"
    assert made.headers["etag"] == 'W/"1"'
    assert made.headers["location"] == f"{fhir.base}/Patient/{resource['id']}/_history/1"
    assert made.headers["content-type"].startswith("application/fhir+json")


async def test_a_decimal_comes_back_with_the_digits_it_was_sent_with(fhir: Client) -> None:
    text = (
        '{"resourceType":"Observation","id":"o","status":"final","code":{"text":"x"},'
        '"valueQuantity":{"value":1.500,"unit":"kg"}}'
    )
    await fhir("PUT", "Observation/o", text)
    for path in ("Observation/o", "Observation/o?_pretty=true", "Observation/o?_elements=value", "Observation?_id=o"):
        assert "1.500" in (await fhir("GET", path)).text, path


async def test_update_makes_versions_that_stay(fhir: Client) -> None:
    assert (await fhir("PUT", "Patient/p", patient("p"))).status_code == 201
    second = await fhir("PUT", "Patient/p", patient("p", "李"))
    assert (second.status_code, second.headers["etag"]) == (200, 'W/"2"')
    assert (await fhir("GET", "Patient/p")).json()["name"][0]["family"] == "李"
    assert (await fhir("GET", "Patient/p/_history/1")).json()["name"][0]["family"] == "王"
    for missing in ("7", "0", "01", "x", "99999999999999999999"):
        assert (await fhir("GET", f"Patient/p/_history/{missing}")).status_code == 404


async def test_the_id_of_an_update_must_be_that_of_the_address(fhir: Client) -> None:
    for resource in (patient(), patient("other")):
        refused = await fhir("PUT", "Patient/p", resource)
        assert refused.status_code == 400
        assert refused.json()["issue"][0]["expression"] == ["Patient.id"]
    assert (await fhir("PUT", "Patient/p", {**patient("p"), "resourceType": "Person"})).status_code in (400, 422)


async def test_if_match_lets_one_writer_through(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient("p"))
    first = await fhir("PUT", "Patient/p", patient("p", "李"), if_match='W/"1"')
    stale = await fhir("PUT", "Patient/p", patient("p", "赵"), if_match='W/"1"')
    assert (first.status_code, stale.status_code) == (200, 412)
    assert (await fhir("DELETE", "Patient/p", if_match='W/"1"')).status_code == 412
    assert (await fhir("PUT", "Patient/p", patient("p"), if_match="rubbish")).status_code == 400
    assert (await fhir("PUT", "Patient/p", patient("p"), if_match='W/"99999999999"')).status_code == 412


async def test_if_match_takes_several_versions_and_any(fhir: Client) -> None:
    assert (await fhir("PUT", "Patient/p", patient("p"), if_match="*")).status_code == 412
    await fhir("PUT", "Patient/p", patient("p"))
    for tags, status in (('W/"7", W/"1"', 200), ('W/"7", "8"', 412), ('W/"99999999999", W/"2"', 200), ("*", 200)):
        answer = await fhir("PUT", "Patient/p", patient("p", f"李{tags}"), if_match=tags)
        assert answer.status_code == status, tags
    patch = {"content_type": "application/json-patch+json"}
    change = [{"op": "add", "path": "/active", "value": True}]
    assert (await fhir("PATCH", "Patient/p", change, if_match='W/"3", W/"9"', **patch)).status_code == 412
    assert (await fhir("PATCH", "Patient/p", change, if_match="*", **patch)).status_code == 200
    assert (await fhir("DELETE", "Patient?_id=p", if_match='W/"4"')).status_code == 412
    assert (await fhir("DELETE", "Patient?_id=p", if_match="*")).status_code == 204
    assert (await fhir("DELETE", "Patient/p", if_match="*")).status_code == 412


async def test_if_none_match_star_creates_only(fhir: Client) -> None:
    assert (await fhir("PUT", "Patient/p", patient("p"), if_none_match="*")).status_code == 201
    assert (await fhir("PUT", "Patient/p", patient("p", "李"), if_none_match="*")).status_code == 412


async def test_a_reader_whose_copy_is_current_gets_304(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient("p"))
    read = await fhir("GET", "Patient/p")
    same = await fhir("GET", "Patient/p", if_none_match=read.headers["etag"])
    assert same.status_code == 304 and bodyless(same)
    assert (await fhir("GET", "Patient/p", if_none_match='W/"9", W/"1"')).status_code == 304
    assert (await fhir("GET", "Patient/p", if_none_match='W/"9"')).status_code == 200
    assert (await fhir("GET", "Patient/p", if_modified_since=read.headers["last-modified"])).status_code == 304
    assert (await fhir("GET", "Patient/p", if_modified_since="Sat, 01 Jan 2000 00:00:00 GMT")).status_code == 200
    assert (await fhir("GET", "Patient/p", if_modified_since="yesterday")).status_code == 200


async def test_prefer_chooses_what_a_write_answers(fhir: Client) -> None:
    minimal = await fhir("PUT", "Patient/p", patient("p"), prefer="return=minimal")
    assert minimal.status_code == 201 and bodyless(minimal) and minimal.headers["etag"] == 'W/"1"'
    outcome = await fhir("PUT", "Patient/p", patient("p", "李"), prefer="return=OperationOutcome")
    assert outcome.json()["resourceType"] == "OperationOutcome"
    whole = await fhir("PUT", "Patient/p", patient("p", "赵"), prefer="return=representation")
    assert whole.json()["name"][0]["family"] == "赵"


async def test_delete_hides_and_history_remembers(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient("p"))
    assert (await fhir("DELETE", "Patient/p")).status_code == 204
    assert (await fhir("GET", "Patient/p")).status_code == 410
    assert (await fhir("DELETE", "Patient/p")).status_code == 204
    assert (await fhir("DELETE", "Patient/never")).status_code == 204
    again = await fhir("PUT", "Patient/p", patient("p"))
    assert (again.status_code, again.headers["etag"]) == (201, 'W/"3"')
    history = (await fhir("GET", "Patient/p/_history")).json()
    assert [entry["request"]["method"] for entry in history["entry"]] == ["PUT", "DELETE", "PUT"]
    made = (await fhir("POST", "Patient", patient())).json()["id"]
    (first,) = (await fhir("GET", f"Patient/{made}/_history")).json()["entry"]
    assert first["request"] == {"method": "POST", "url": "Patient"}  # the node's own id: nobody chose it
    assert [entry["response"]["etag"] for entry in history["entry"]] == ['W/"3"', 'W/"2"', 'W/"1"']
    assert "resource" not in history["entry"][1]


async def test_history_pages_and_bounds(fhir: Client) -> None:
    for family in "赵钱孙李周":
        await fhir("PUT", "Patient/p", patient("p", family))
    await fhir("PUT", "Patient/q", patient("q"))
    seen, address = [], "Patient/_history?_count=2"
    while address:
        page = (await fhir("GET", address)).json()
        assert page["type"] == "history" and len(page["entry"]) <= 2
        seen += [(entry["resource"]["id"], entry["resource"]["meta"]["versionId"]) for entry in page["entry"]]
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        address = following[0].removeprefix(fhir.base + "/") if following else ""
    assert seen == [("q", "1"), ("p", "5"), ("p", "4"), ("p", "3"), ("p", "2"), ("p", "1")]
    since = (await fhir("GET", "Patient/p/_history/4")).json()["meta"]["lastUpdated"]
    newer = (await fhir("GET", f"Patient/p/_history?_since={since}")).json()
    assert {entry["resource"]["meta"]["versionId"] for entry in newer["entry"]} == {"4", "5"}
    between = (await fhir("GET", f"Patient/p/_history?_at={since}")).json()  # in this millisecond 3 gave way to 4
    assert {entry["resource"]["meta"]["versionId"] for entry in between["entry"]} == {"3", "4"}
    now = (await fhir("GET", "Patient/p/_history?_at=2099")).json()
    assert [entry["resource"]["meta"]["versionId"] for entry in now["entry"]] == ["5"]
    assert "entry" not in (await fhir("GET", "Patient/p/_history?_at=2001")).json()
    assert len((await fhir("GET", "_history")).json()["entry"]) == 6
    (self_link, following) = (await fhir("GET", "_history?colour=red&_count=1&_elements=name")).json()["link"]
    assert self_link["url"] == f"{fhir.base}/_history?_count=1&_elements=name"  # what took effect
    assert "_elements=name&_page=" in following["url"]
    for wrong in ("_since=soon", "_count=-1", "_at=2001-13", "_page=../.."):
        assert (await fhir("GET", f"Patient/p/_history?{wrong}")).status_code == 400, wrong


async def test_conditional_create_update_delete(fhir: Client) -> None:
    number = {"identifier": [{"system": "urn:mrn", "value": "7"}]}
    made = await fhir("POST", "Patient", patient(**number), if_none_exist="identifier=urn:mrn|7")
    same = await fhir("POST", "Patient", patient(**number), if_none_exist="identifier=urn:mrn|7")
    query = await fhir("POST", "Patient?identifier=urn:mrn|7", patient(**number))
    assert (made.status_code, same.status_code, query.status_code) == (201, 200, 200)
    assert made.json()["id"] == same.json()["id"] == query.json()["id"]
    changed = await fhir("PUT", "Patient?identifier=urn:mrn|7", patient(family="李", **number))
    assert (changed.status_code, changed.json()["id"]) == (200, made.json()["id"])
    other = await fhir("PUT", "Patient?identifier=urn:mrn|8", patient(identifier=[{"system": "urn:mrn", "value": "8"}]))
    assert other.status_code == 201
    for method in ("PUT", "DELETE"):
        body = patient() if method == "PUT" else None
        assert (await fhir(method, "Patient?birthdate=1980-05-03", body)).status_code == 412
        assert (await fhir(method, "Patient", body)).status_code == 412
        assert (await fhir(method, "Patient?_pretty=true", body)).status_code == 412
    assert (await fhir("DELETE", "Patient?identifier=urn:mrn|8")).status_code == 204
    assert (await fhir("GET", f"Patient/{other.json()['id']}")).status_code == 410


async def test_summary_and_elements_cut_and_say_so(fhir: Client) -> None:
    note = {"text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">王</div>'}}
    extra = {"maritalStatus": {"text": "married"}, "contact": [{"name": {"text": "x"}}], **note}
    await fhir("PUT", "Patient/p", patient("p", **extra))
    cut = {
        "_summary=true": ({"name", "birthDate"}, {"text", "maritalStatus", "contact"}),
        "_summary=text": ({"text"}, {"name", "maritalStatus"}),
        "_summary=data": ({"name", "maritalStatus"}, {"text"}),
        "_elements=birthDate,Patient.contact": ({"birthDate", "contact"}, {"name", "text"}),
        "_elements=contact.name,Patient.name.family,Person.birthDate": ({"contact", "name"}, {"text", "birthDate"}),
    }
    for query, (kept, left_out) in cut.items():
        for resource in (
            (await fhir("GET", f"Patient/p?{query}")).json(),
            (await fhir("GET", f"Patient?_id=p&{query}")).json()["entry"][0]["resource"],
        ):
            assert kept <= resource.keys() and not left_out & resource.keys(), query
            assert resource["meta"]["tag"][-1]["code"] == "SUBSETTED"
    assert "tag" not in (await fhir("GET", "Patient/p?_summary=false")).json()["meta"]
    assert (await fhir("GET", "Patient/p?_summary=some")).status_code == 400
    assert (await fhir("GET", "Patient/p?_summary=true&_elements=name")).status_code == 400


async def test_search_tells_total_links_and_what_was_used(fhir: Client) -> None:
    for number in range(5):
        await fhir("PUT", f"Patient/p{number}", patient(f"p{number}"))
    page = (await fhir("GET", "Patient?family=王&_count=2&_total=accurate")).json()
    assert (page["type"], page["total"], len(page["entry"])) == ("searchset", 5, 2)
    assert all(entry["search"]["mode"] == "match" for entry in page["entry"])
    assert page["entry"][0]["fullUrl"].startswith(f"{fhir.base}/Patient/p")
    seen = set()
    address: str | None = "Patient?family=王&_count=2&_elements=birthDate"
    while address:
        page = (await fhir("GET", address)).json()
        seen |= {entry["resource"]["id"] for entry in page["entry"]}
        assert all("name" not in entry["resource"] for entry in page["entry"])
        links = {link["relation"]: link["url"] for link in page["link"]}
        assert "self" in links
        address = links["next"].removeprefix(fhir.base + "/") if "next" in links else None
    assert seen == {f"p{number}" for number in range(5)}
    posted = await fhir("POST", "Patient/_search?_count=2", "family=%E7%8E%8B", **FORM)
    assert len(posted.json()["entry"]) == 2
    counted = (await fhir("GET", "Patient?family=王&_summary=count")).json()
    assert counted["total"] == 5 and "entry" not in counted


def test_a_query_may_come_as_bare_utf_8() -> None:
    """As curl sends what was typed; through the whole application: tests/security/test_parsers.py."""
    assert query_of("family=王&a=%E7".encode()) == "family=王&a=%E7"
    with pytest.raises(Invalid, match="UTF-8"):
        query_of(b"family=\xff")


async def test_an_unknown_parameter_is_told_or_refused_never_dropped(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient("p"))
    lenient = (await fhir("GET", "Patient?colour=blue&_id=p")).json()
    modes = [entry["search"]["mode"] for entry in lenient["entry"]]
    assert modes == ["match", "outcome"]
    assert "colour" in lenient["entry"][1]["resource"]["issue"][0]["diagnostics"]
    assert "colour" not in next(link["url"] for link in lenient["link"] if link["relation"] == "self")
    strict = await fhir("GET", "Patient?colour=blue&_id=p", prefer="handling=strict")
    assert strict.status_code == 400


async def test_the_audit_log_is_searched_in_pages_and_never_written(fhir: Client) -> None:
    for number in range(5):
        await fhir("GET", f"Patient/none{number}")
    seen, address = [], "AuditEvent?_count=1"
    for _ in range(3):
        page = (await fhir("GET", address)).json()
        seen.append(page["entry"][0]["resource"]["id"])
        address = next(link["url"] for link in page["link"] if link["relation"] == "next").removeprefix(f"{fhir.base}/")
    assert len(set(seen)) == 3
    assert (await fhir("GET", f"AuditEvent/{seen[0]}")).json()["id"] == seen[0]
    assert (await fhir("DELETE", f"AuditEvent/{seen[0]}")).status_code in (403, 404, 405, 422)


async def test_compartment_and_system_searches(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient("p"))
    seen = {"status": "final", "code": {"text": "x"}}
    for number, who in enumerate(("p", "other")):
        observed = {
            "resourceType": "Observation",
            "id": f"o{number}",
            "subject": {"reference": f"Patient/{who}"},
            **seen,
        }
        await fhir("PUT", f"Observation/o{number}", observed)
    inside = (await fhir("GET", "Patient/p/Observation")).json()
    assert [entry["resource"]["id"] for entry in inside["entry"]] == ["o0"]
    assert inside["link"][0]["url"].startswith(f"{fhir.base}/Patient/p/Observation")
    for path in ("Patient/p/_search", "Patient/p/*/_search"):
        first = (await fhir("POST", path, "_count=1", **FORM)).json()
        addresses = {link["relation"]: link["url"] for link in first["link"]}
        assert addresses["self"] == f"{fhir.base}/Patient/p/*?_count=1"
        rest = (await fhir("GET", addresses["next"].removeprefix(f"{fhir.base}/"))).json()
        assert {entry["resource"]["id"] for page in (first, rest) for entry in page["entry"]} == {"p", "o0"}
    assert (await fhir("GET", "Patient/p/*?_type=Organization")).status_code == 400
    everywhere = (await fhir("GET", "?_type=Patient,Observation")).json()
    assert {entry["resource"]["id"] for entry in everywhere["entry"]} == {"p", "o0", "o1"}
    assert (await fhir("GET", "Organization/p/Observation")).status_code == 404


async def test_gzip_packs_long_answers_and_unpacks_bodies(fhir: Client) -> None:
    long = patient(
        "p", text={"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{"文" * 3000}</div>'}
    )
    packed = gzip.compress(json.dumps(long).encode())
    assert (await fhir("PUT", "Patient/p", packed, content_encoding="gzip")).status_code == 201
    read = await fhir("GET", "Patient/p", accept_encoding="gzip")
    assert read.headers["content-encoding"] == "gzip" and read.json()["id"] == "p"
    for refusing in ("identity", "gzip;q=0"):
        assert "content-encoding" not in (await fhir("GET", "Patient/p", accept_encoding=refusing)).headers


async def test_head_answers_without_a_body(fhir: Client) -> None:
    await fhir("PUT", "Patient/p", patient("p"))
    head = await fhir("HEAD", "Patient/p")
    assert (head.status_code, head.headers["etag"]) == (200, 'W/"1"') and bodyless(head)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("application/fhir+json", 200),
        ("application/json", 200),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", 200),
        ("application/fhir+json; fhirVersion=4.0", 200),
        ("application/fhir+json; fhirVersion=5.0", 406),
        ("application/fhir+xml", 406),
        ("application/fhir+json;q=0, application/xml", 406),
    ],
)
async def test_accept_is_obeyed(still: Client, accept: str, status: int) -> None:
    assert (await still("GET", "Patient", accept=accept)).status_code == status


async def test_capabilities_say_what_is_served(fhir: Client) -> None:
    token = fhir.http.headers.pop("authorization")
    assert (await fhir("GET", "Patient")).status_code == 401
    statement = (await fhir("GET", "metadata")).json()
    fhir.http.headers["authorization"] = token
    assert statement["fhirVersion"] == "4.0.1"
    rest = statement["rest"][0]
    resources = {resource["type"]: resource for resource in rest["resource"]}
    assert len(resources) == 146
    assert {"transaction", "batch", "search-system", "history-system"} == {row["code"] for row in rest["interaction"]}
    parameters = {row["name"]: row["type"] for row in resources["Observation"]["searchParam"]}
    assert parameters["code-value-quantity"] == "composite" and parameters["patient"] == "reference"
    assert not {"_text", "_content"} & {row["name"] for row in rest["searchParam"]}  # left out
    assert "Observation:subject" in resources["Observation"]["searchInclude"]
    assert "Observation:subject" in resources["Patient"]["searchRevInclude"]
    assert "everything" in {row["name"] for row in resources["Patient"]["operation"]}
    checked = await fhir("POST", "CapabilityStatement/$validate", statement)
    assert [issue["severity"] for issue in checked.json()["issue"]] == ["information"], checked.text[:500]


async def test_what_every_parameter_of_the_statement_says_is_answered(still: Client) -> None:
    """Every search parameter that the statement names is understood under strict handling."""
    statement = (await still("GET", "metadata")).json()
    sample = {
        "token": "a",
        "string": "a",
        "date": "2024",
        "reference": "Patient/1",
        "number": "1",
        "quantity": "1",
        "uri": "urn:a",
    }
    types = {"Patient", "Observation", "Encounter", "Condition", "MedicationRequest", "ValueSet", "Consent"}
    for resource in statement["rest"][0]["resource"]:
        if resource["type"] not in types:
            continue
        for row in resource["searchParam"]:
            if row["type"] in sample:
                address = f"{resource['type']}?{row['name']}={sample[row['type']]}"
                answer = await still("GET", address, prefer="handling=strict")
                assert answer.status_code == 200, (address, answer.text)


async def test_openapi_describes_the_same(still: Client) -> None:
    description = (await still("GET", "openapi.json")).json()
    assert description["openapi"].startswith("3.1")
    assert {"get", "put", "patch", "delete", "parameters"} == description["paths"]["/Patient/{id}"].keys()
    assert {"name": "birthdate", "in": "query"}.items() <= next(
        row.items() for row in description["paths"]["/Patient"]["get"]["parameters"] if row.get("name") == "birthdate"
    )
    names = [
        row["operationId"] for path in description["paths"].values() for key, row in path.items() if key != "parameters"
    ]
    assert len(set(names)) == len(names)
