"""Patient/$match, PIXm and PDQm: who is meant, among those who may be seen."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from xinglin.access.persons import catch_up, linking, models, review
from xinglin.access.persons.weights import Weights, shipped
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.kernel.errors import Conflict

if TYPE_CHECKING:
    from serving import Client
    from xinglin.access.house import House

pytest_plugins = ("serving",)
RESIDENT, ID = "urn:oid:2.16.156.10011.1.3", "11010519491231002X"
CLERK = Principal("clerk", "Clerk", Role.CLERK, Purpose.OPERATIONS, institution="A")


def person(id: str, name: str, birth: str = "1980-05-03", phone: str = "", **more: Any) -> dict[str, Any]:
    body: dict[str, Any] = {"resourceType": "Patient", "id": id, "name": [{"text": name}], "gender": "male", **more}
    body |= {"birthDate": birth} if birth else {}
    return body | ({"telecom": [{"system": "phone", "value": phone}]} if phone else {})


def numbered(value: str, system: str = RESIDENT) -> list[dict[str, Any]]:
    return [{"system": system, "value": value}]


def asked(patient: dict[str, Any], **more: Any) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [{"name": "resource", "resource": patient}]
    kinds = {bool: "valueBoolean", int: "valueInteger"}
    parameters += [{"name": name, kinds[type(value)]: value} for name, value in more.items()]
    return {"resourceType": "Parameters", "parameter": parameters}


def told(bundle: Any) -> dict[str, str]:
    return {e["resource"]["id"]: e["search"]["extension"][0]["valueCode"] for e in bundle.get("entry", ())}


async def test_those_who_may_be_meant_are_graded(fhir: Client) -> None:
    stored = [
        person("same", "王小明", phone="13800138000", identifier=numbered(ID)),
        person("homophone", "王晓明", phone="13800138000"),
        person("namesake", "王小明"),
        person("sister", "王小红", "1982-01-01", phone="13800138000"),
        person("other", "李红", "1990-01-01"),
    ]
    for one in stored:
        await fhir("PUT", f"Patient/{one['id']}", one)
    query = person("x", "王小明", phone="13800138000", identifier=numbered(ID))
    found = (await fhir("POST", "Patient/$match", asked(query))).json()
    grades = told(found)
    assert grades.pop("same") == "certain" and grades.pop("homophone") == "certain"
    assert grades == {"namesake": "probable"} and found["total"] == 3
    scores = [entry["search"]["score"] for entry in found["entry"]]
    assert all(0 <= score <= 1 for score in scores) and found["type"] == "searchset"
    first = (await fhir("POST", "Patient/$match", asked(query, count=1))).json()
    assert len(first["entry"]) == 1 and first["total"] == 1
    # Two records that nobody has linked yet are certain: not one answer, so none.
    assert told((await fhir("POST", "Patient/$match", asked(query, onlyCertainMatches=True))).json()) == {}
    only = person("x", "李红", "1990-01-01")
    assert told((await fhir("POST", "Patient/$match", asked(only))).json()) == {"other": "probable"}
    named = {"resourceType": "Patient", "name": [{"text": "李红"}]}
    assert "certain" not in told((await fhir("POST", "Patient/$match", asked(named))).json()).values()


async def test_a_barracks_says_nothing_where_a_name_does(house: House) -> None:
    """A key that many share brings some of them by chance: only where nothing else brings anybody."""
    home = [{"line": ["青囊镇3村5号"]}]
    soldiers = [person(f"s{n}", f"李{chr(0x4E10 + 7 * n)}", f"19{40 + n}-01-02", address=home) for n in range(55)]
    await Records(house, NODE).write([Write("PUT", "Patient", one["id"], one) for one in soldiers])
    await Records(house, NODE).write([Write("PUT", "Patient", "w", person("w", "王小明"))])
    match = Records(house, NODE).match
    assert [one.stored.id for one in await match(person("x", "王小明", address=home), 50)] == ["w"]
    assert [one.stored.id for one in await match(person("x", "王小明", "1980"), 50)] == ["w"], "only the year is known"
    alone = await match({"resourceType": "Patient", "address": home, "birthDate": "1950-01-02"}, 50)
    assert (alone[0].stored.id, alone[0].grade) == ("s10", "probable"), "nothing else brings anybody"
    assert "s9" in {one.stored.id for one in await match({**soldiers[9], "id": "x", "birthDate": ""}, 50)}


async def test_a_number_that_many_hold_is_nobodys(house: House) -> None:
    """As when links are made: a desk's own card, put in where the patient has none with them."""
    people = [person(f"d{n}", f"李{chr(0x4E10 + 7 * n)}", f"19{30 + n}-01-02", identifier=numbered(ID))
              for n in range(51)]  # fmt: skip
    await Records(house, NODE).write([Write("PUT", "Patient", one["id"], one) for one in people[:49]])
    await Records(house, NODE).write([Write("PUT", "Patient", "w", person("w", "王小明", identifier=numbered(ID)))])
    asked_for = person("x", "王小明", identifier=numbered(ID))
    [first, *_] = await Records(house, NODE).match(asked_for, 10)
    assert (first.stored.id, first.grade) == ("w", "certain")
    await Records(house, NODE).write([Write("PUT", "Patient", one["id"], one) for one in people[49:]])
    [first, *_] = await Records(house, NODE).match(asked_for, 10)
    assert (first.stored.id, first.grade) == ("w", "probable")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"resourceType": "Parameters"}, 400),
        (asked({"resourceType": "Patient"}), 422),
        (asked({"resourceType": "Observation", "status": "final", "code": {"text": "x"}}), 400),
        (asked(person("x", "a"), count=0), 400),
        (asked(person("x", "a" * 3000, identifier=numbered("9" * 3000)), onlyCertainMatches=True), 200),
        (asked({"resourceType": "Patient", "name": [{"text": "\u200b"}], "birthDate": "1980"}), 200),
        (asked({"resourceType": "Patient", "name": [{"text": "\u202e😀 e\u0301\u0301\u0301 ١٢٣ \ufdfa"}]}), 200),
        (asked({"resourceType": "Patient", "name": [{"text": "王" * 10_000}], "birthDate": "1980-05-03"}), 200),
        (asked({"resourceType": "Patient", "name": "王小明"}), 422),
        (asked({"resourceType": "Patient", "name": [{"given": "王"}]}), 422),
        (asked({"resourceType": "Patient", "birthDate": "yesterday"}), 422),
        (asked({"resourceType": "Patient", "birthDate": 1980}), 422),
        (asked(person("x", "a"), count=-1), 400),
        (asked(person("x", "a"), count=10**12), 422),
        ({"resourceType": "Parameters", "parameter": [{"name": "resource"}]}, 400),
        ({"resourceType": "Parameters", "parameter": [{"name": "resource", "resource": person("x", "a")}] * 2}, 400),
        ({"resourceType": "Parameters", "parameter": {"name": "resource"}}, 422),
        ({"resourceType": "Parameters", "parameter": [7, None, []]}, 422),
        ({**asked(person("x", "a")), "parameter": [*asked(person("x", "a"))["parameter"], {"name": "nix"}]}, 400),
        (asked(person("x", "a"), count=True), 400),
        (person("x", "a"), 422),
    ],
)
async def test_what_cannot_be_matched_is_refused_in_words(still: Client, body: dict[str, Any], status: int) -> None:
    answer = await still("POST", "Patient/$match", body)
    assert answer.status_code == status, answer.text


async def test_a_person_is_known_under_other_numbers(fhir: Client, house: House) -> None:
    """PIXm, ITI-83: from a number under one system to those under others; and PDQm's search, ITI-78."""
    more = {"phone": "13800138000"}
    await fhir("PUT", "Patient/a", person("a", "王小明", **more, identifier=[*numbered(ID), *numbered("1", "urn:a")]))
    await fhir("PUT", "Patient/b", person("b", "王小明", **more, identifier=[*numbered(ID), *numbered("2", "urn:b")]))
    while await catch_up(house):
        pass
    source = quote("urn:a|1")
    known = (await fhir("GET", f"Patient/$ihe-pix?sourceIdentifier={source}&targetSystem=urn:b")).json()
    values = {(p["name"], str(p.get("valueIdentifier", p.get("valueReference")))) for p in known["parameter"]}
    assert ("targetId", str({"reference": "Patient/b"})) in values
    assert [p["valueIdentifier"]["value"] for p in known["parameter"] if p["name"] == "targetIdentifier"] == ["2"]
    for source in ("urn:a|9", "urn:nix|1"):
        assert (await fhir("GET", f"Patient/$ihe-pix?sourceIdentifier={quote(source)}")).status_code == 404
    assert (await fhir("GET", "Patient/$ihe-pix?sourceIdentifier=1")).status_code == 400
    found = (await fhir("GET", f"Patient?identifier={quote('urn:b|2')}&birthdate=1980-05-03")).json()
    assert found["entry"][0]["resource"]["id"] == "b"


async def test_other_weights_propose_and_relink_nothing(house: House) -> None:
    """A node's own weights judge what is new; of what is linked they only ask."""
    more = {"phone": "13800138000", "identifier": numbered(ID)}
    pairs = [person("a", "王小明", **more), person("b", "王小明", **more), person("c", "王小明")]
    await Records(house, NODE).write([Write("PUT", "Patient", one["id"], one) for one in pairs])
    while await catch_up(house):
        pass
    before = await house.database.pool.fetch("SELECT * FROM person_edge")
    strict = Weights.of({**shipped().to_json(), "version": "strict", "prior": -90.0})
    async with house.database.transaction() as connection:
        await models.keep(connection, strict)
        await models.adopt(connection, "strict")
        with pytest.raises(Conflict):
            await models.keep(connection, strict)
    assert await linking.propose(house) == 1
    assert await house.database.pool.fetch("SELECT * FROM person_edge") == before
    assert {one.rule for one in await review.reviews(house, CLERK)} >= {linking.NO_LONGER}


async def test_clerks_at_once_leave_what_one_after_another_would(house: House) -> None:
    names = [f"p{n}" for n in range(6)]
    await Records(house, NODE).write([Write("PUT", "Patient", n, person(n, f"李{n}", "")) for n in names])
    while await catch_up(house):
        pass
    tables = ("person_edge", "person_bar", "person_link")
    before = [await house.database.pool.fetch(f"SELECT * FROM {t} ORDER BY 1, 2") for t in tables]
    acts = [review.join(house, CLERK, a, b) for a, b in pairwise(names)]
    acts += [review.part(house, CLERK, names[0], names[5]), review.part(house, CLERK, names[2], names[4])]
    entries = await asyncio.gather(*acts)
    for entry in sorted(entries, reverse=True):
        await review.undo(house, CLERK, entry)
    assert [await house.database.pool.fetch(f"SELECT * FROM {t} ORDER BY 1, 2") for t in tables] == before
