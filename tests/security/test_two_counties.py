"""Two counties that differ only in what a caller may not see give the same answers over HTTP, to everything asked here.

`generative/test_noninterference.py` holds the FHIR door to that with generated rules; this asks the whole application,
roads that are not generated there: other verbs and headers, documents, files, conditions within Bundles, validation
that looks at references, search parameters of one's own. Reads come first, since what is written has ids of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from attacked import SECURITY, County, _opened, concept, ref
from xinglin.core.store.keys import TYPE_NUMBERS, key_of

CALLERS = ("dr-a", "manager", "pharmacist", "app")  # of A: what B holds of people is hidden
DIRECTORY = ("Organization", "Practitioner", "PractitionerRole", "Questionnaire")
TABLES = ("resource", "history", "token", "string", "moment", "quantity", "feed")
CHANCE = re.compile(
    r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z|_page=[^\"&]*"
    r"|\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT|token:[0-9a-f]{12}"
)
PLACES = ("Observation/hid", "Patient/b2", "Composition/compb", "List/lb", "Group/gb", "Binary/bare", "Encounter/eb")
ASKED = """
Observation?_has:Provenance:target:_id=prb  Patient?_has:Group:member:_id=gb  Observation?_list=lb  List?_id=lb,la
Observation?encounter=Encounter/eb&_include=*  Provenance?target=Observation/hid  Patient?link.identifier=urn:id|1
Observation?subject:identifier=urn:id|777  Patient?identifier=urn:id|777&_total=accurate  Observation/$lastn?patient=b1
Observation?_profile:missing=true&_total=accurate  Patient?_id=b1,b2,a1&_elements=id  _history?_count=200
Observation/_history?_since=2000  Binary?_id=bare  Composition/compb/$document  Composition?_include=Composition:entry
Group/gb/$export  Group/gb/$everything  Patient/b2/$everything  Patient/a1/$everything?_type=Composition,List
Observation/$lastn?patient.identifier=urn:id|777  Patient/$ihe-pix?sourceIdentifier=urn:id|777  Patient/b1/*
Patient/$ihe-pix?sourceIdentifier=urn:id|1  Patient/$ihe-pix?sourceIdentifier=urn:id|nobody  Encounter/eb/Observation
Practitioner/pb/*  Organization/B/*  Practitioner?_revinclude=*  Organization?_revinclude=*  Questionnaire?_revinclude=*
Practitioner?_has:Provenance:agent:_id=prb  Person/anna  Person?patient=a1  Consent?patient=a1  Task  Communication
AuditEvent?patient=b2&_total=accurate  AuditEvent?entity=Observation/hid&_total=accurate  $export  Patient/$export
?_source=http://hidden.example  ?_has:Provenance:target:_id=prb  Observation?code-value-quantity=secret$42  $meta
Observation?_filter=patient.family%20eq%20%22Secret%22  Observation?code:in=http://nowhere  Observation?_sort=subject
Patient/b2/$match  Patient/b1/$summary  SearchParameter  ConceptMap/$translate?url=http://x  ValueSet/$expand?url=http://x
"""
HEADERS: tuple[dict[str, str], ...] = (
    {"if_none_match": 'W/"1"'},
    {"if_modified_since": "Wed, 01 Jan 2020 00:00:00 GMT"},
    {"accept": "application/fhir+xml"},
    {"accept": "image/png"},
    {"prefer": "handling=strict"},
    {"range": "bytes=0-3"},
)
CONDITIONS = ("_id=hid", "code=secret", "identifier=urn:id|777", "value-quantity=42", "_has:Provenance:target:_id=prb")
SUBJECTS = ("Patient/b2", "Patient/nobody", "Patient?identifier=urn:id|777", "Patient?identifier=urn:id|nobody")

Ask = tuple[str, str, Any, dict[str, str]]


def reads() -> Iterator[Ask]:
    for path in ASKED.split():
        yield "GET", path, None, {}
    for place in PLACES:
        for below in ("", "/_history", "/_history/1", "/$meta", "/$everything", "/$validate?mode=delete"):
            yield "GET", place + below, None, {}
        for headers in HEADERS:
            yield "GET", place, None, headers
        for method in ("HEAD", "OPTIONS"):
            yield method, place, None, {}
    person = {"resourceType": "Patient", "name": [{"family": "Secret"}], "identifier": [{"value": "777"}]}
    named = [{"name": "resource", "resource": person}]
    yield "POST", "Patient/$match", {"resourceType": "Parameters", "parameter": named}, {}


def bundle(kind: str, *entries: dict[str, Any]) -> Ask:
    return "POST", "", {"resourceType": "Bundle", "type": kind, "entry": list(entries)}, {}


def writes() -> Iterator[Ask]:
    patch: list[dict[str, str]] = [{"op": "add", "path": "/language", "value": "en"}]
    as_patch = {"content_type": "application/json-patch+json"}
    label = {"name": "meta", "valueMeta": {"security": [{"system": SECURITY, "code": "HIV"}]}}
    for place in PLACES:
        type, _, id = place.partition("/")
        body = {"resourceType": type, "id": id}
        for match in ({}, {"if_match": 'W/"1"'}, {"if_match": 'W/"2"'}, {"if_none_match": "*"}):
            yield "PUT", place, body, match
            yield "PATCH", place, patch, {**match, **as_patch}
            yield "DELETE", place, None, match
        for operation in ("$meta-add", "$meta-delete"):
            yield "POST", f"{place}/{operation}", {"resourceType": "Parameters", "parameter": [label]}, {}
        yield "POST", f"{place}/$validate", body, {}
        for kind in ("batch", "transaction"):
            yield bundle(kind, {"request": {"method": "GET", "url": place, "ifNoneMatch": 'W/"1"'}})
            yield bundle(kind, {"request": {"method": "DELETE", "url": place}})
    for subject in SUBJECTS:
        body = {"resourceType": "Observation", "status": "final", "code": concept("x"), "subject": ref(subject)}
        yield "POST", "Observation", body, {}
        yield "POST", "Observation/$validate", body, {}
        yield bundle("transaction", {"request": {"method": "POST", "url": "Observation"}, "resource": body})
    plain = {"resourceType": "Observation", "status": "final", "code": concept("x"), "subject": ref("Patient/a1")}
    for pointed in ("Observation/hid", "Observation/nobody"):
        yield "POST", "Observation", {**plain, "hasMember": [ref(pointed)]}, {}
    for condition in CONDITIONS:
        yield "POST", "Observation", plain, {"if_none_exist": condition}
        yield "PUT", f"Observation?{condition}", plain, {}
        yield "PATCH", f"Observation?{condition}", patch, as_patch
        yield "DELETE", f"Observation?{condition}", None, {}
        entry = {"method": "POST", "url": "Observation", "ifNoneExist": condition}
        yield bundle("transaction", {"request": entry, "resource": plain})


async def told(county: County, login: str, ask: Ask) -> Any:
    """Status, headers and text, without ids, moments and page tokens that are new; rows in an order of their own."""
    method, path, body, headers = ask
    answer = await county.ask(login, method, path, body, **headers)
    text = CHANCE.sub("~", answer.text)
    if text.startswith('{"resourceType":"Bundle"'):
        found = json.loads(text)
        found["entry"] = sorted(found.get("entry", ()), key=json.dumps)
        text = json.dumps(found)
    kept = {name: CHANCE.sub("~", value) for name, value in answer.headers.items() if name != "content-length"}
    return answer.status_code, kept, text


async def take_away(county: County) -> None:
    types = [TYPE_NUMBERS[type] for type in DIRECTORY]
    rows = await county.fetch(
        "SELECT key FROM resource WHERE custodian = $1 AND type <> ALL($2::smallint[])",
        *(key_of("Organization", "B"), types),
    )
    keys = [row["key"] for row in rows]
    assert len(keys) > 10
    for table in TABLES:
        await county.fetch(f"DELETE FROM {table} WHERE key = ANY($1::bigint[])", keys)
    for table in ("person_term", "person_block"):
        await county.fetch(f"DELETE FROM {table} WHERE patient = ANY($1::bigint[])", keys)


async def test_what_is_hidden_makes_no_difference_to_any_answer(postgres: str, template: str) -> None:
    async with _opened(postgres, template) as whole, _opened(postgres, template) as rest:
        await take_away(rest)
        seen = set()
        for asked in (list(reads()), list(writes())):
            for login in CALLERS:
                for ask in asked:
                    first, second = await told(whole, login, ask), await told(rest, login, ask)
                    assert first == second, (login, ask)
                    seen.add(first[0])
        assert {200, 201, 400, 403, 404, 412, 422} <= seen
        assert await told(whole, "root", ("GET", PLACES[0], None, {})) != await told(
            rest, "root", ("GET", PLACES[0], None, {})
        )
