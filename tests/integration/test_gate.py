"""The gate on a real database: who sees what, what is written whole or not at all, what is recorded."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from xinglin.access import emergencies, sharing
from xinglin.access.categories import use_sensitive
from xinglin.access.house import House
from xinglin.access.labelling import complete_labels
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.schema.decode import encode, parse
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.errors import Conflict, Forbidden, Gone, Invalid, NotFound, PreconditionFailed, Unprocessable

ANNA = Principal("anna", "Anna", Role.PATIENT, Purpose.OWN, patients=("a1", "b1"))
BEN = Principal("ben", "Ben", Role.PATIENT, Purpose.OWN, patients=("a2",))
DOCTOR_A = Principal("dr-a", "Dr A", Role.CLINICIAN, Purpose.TREATMENT, institution="A", practitioner="pa")
DOCTOR_B = Principal("dr-b", "Dr B", Role.CLINICIAN, Purpose.TREATMENT, institution="B", practitioner="pb")
PHARMACIST_A = Principal("ph-a", "Ph A", Role.PHARMACIST, Purpose.TREATMENT, institution="A", practitioner="fa")
CLERK_A = Principal("clerk", "Clerk", Role.CLERK, Purpose.OPERATIONS, institution="A")
MANAGER_A = Principal("boss", "Boss", Role.MANAGER, Purpose.OPERATIONS, institution="A")


def patient(id: str, family: str = "王") -> dict[str, Any]:
    return {"resourceType": "Patient", "id": id, "name": [{"text": f"{family}{id}"}], "birthDate": "1980-05-03"}


def observation(
    id: str, patient: str, code: str = "4548-4", category: str = "laboratory", **more: Any
) -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "id": id,
        "status": "final",
        "category": [{"coding": [{"system": system, "code": category}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "subject": {"reference": f"Patient/{patient}"},
        "effectiveDateTime": "2024-03-01",
        "valueQuantity": {"value": 7, "unit": "%", "system": "http://unitsofmeasure.org", "code": "%"},
        **more,
    }


async def put(house: House, custodian: str, *resources: dict[str, Any]) -> None:
    writes = [Write("PUT", r["resourceType"], r["id"], r) for r in resources]
    await Records(house, NODE).write(writes, custodian=custodian)


@pytest.fixture
async def county(house: House) -> House:
    """Anna is known at A and at B (linked); Ben at A only. B holds two results of Anna's, one of them sensitive."""
    for name in ("A", "B"):
        await put(house, name, {"resourceType": "Organization", "id": name, "name": f"Hospital {name}"})
    await put(house, "A", patient("a1"), patient("a2"), observation("oa1", "a1"), observation("oa2", "a2"))
    await put(house, "A", {"resourceType": "AllergyIntolerance", "id": "al", "patient": {"reference": "Patient/a1"}})
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]}
    vital = observation("vb", "b1", "8310-5", "vital-signs")
    await put(
        house, "B", patient("b1"), observation("ob1", "b1"), observation("hiv", "b1", "75622-1", meta=label), vital
    )
    async with house.database.connection() as connection:
        rows = [(key_of("Patient", id), id, "anna") for id in ("a1", "b1")]
        await connection.executemany("INSERT INTO person_link (patient, patient_id, person) VALUES ($1, $2, $3)", rows)
    return house


async def ids(house: House, who: Principal, query: str, type: str = "Observation") -> set[str]:
    return {stored.id for stored in (await Records(house, who).search(type, query)).matches}


async def test_roles_see_the_least_their_work_needs(county: House) -> None:
    assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2"}
    assert await ids(county, DOCTOR_B, "") == {"ob1", "hiv", "vb"}
    assert await ids(county, ANNA, "") == {"oa1", "ob1", "hiv", "vb"}
    assert await ids(county, BEN, "") == {"oa2"}
    assert await ids(county, PHARMACIST_A, "") == set()
    assert await ids(county, PHARMACIST_A, "", "AllergyIntolerance") == {"al"}
    assert await ids(county, MANAGER_A, "", "Patient") == set()
    assert await ids(county, CLERK_A, "", "Patient") == {"a1", "a2", "b1"}
    assert await ids(county, CLERK_A, "") == set()
    for who in (DOCTOR_A, ANNA, PHARMACIST_A, CLERK_A, MANAGER_A):
        assert await ids(county, who, "", "Organization") == {"A", "B"}


async def test_forbidden_and_missing_look_the_same(county: House) -> None:
    texts = []
    for id in ("ob1", "nothing"):
        with pytest.raises(NotFound) as caught:
            await Records(county, DOCTOR_A).read("Observation", id)
        texts.append(str(caught.value).replace(id, "X"))
    assert texts[0] == texts[1]


async def test_consent_opens_and_withdrawal_closes_on_the_next_request(county: House) -> None:
    anna = Records(county, ANNA)
    consent = await sharing.permit(anna, custodian="B", grantee="A", category_codes=["laboratory"])
    assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2", "ob1"}
    assert (await Records(county, DOCTOR_A).read("Patient", "b1")).id == "b1"
    [elsewhere] = await sharing.elsewhere(Records(county, DOCTOR_A), "a1")
    assert elsewhere.institution == "B" and {c.code for c in elsewhere.opened} == {"demographics", "laboratory"}
    with pytest.raises(NotFound):
        await Records(county, DOCTOR_A).read("Observation", "hiv")
    await sharing.withdraw(anna, consent.id)
    assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2"}
    with pytest.raises(NotFound):
        await Records(county, DOCTOR_A).read("Observation", "ob1")


async def test_a_sensitive_label_needs_a_consent_that_names_it(county: House) -> None:
    await sharing.permit(
        Records(county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"], label_codes=["HIV"]
    )
    assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2", "ob1", "hiv"}


async def test_what_is_stored_is_labelled_anew_when_other_value_sets_say_what_is_sensitive(
    county: House, tmp_path: Path
) -> None:
    await sharing.permit(
        Records(county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"], label_codes=[]
    )
    noted = "SELECT count(*) FROM node_setting WHERE name = 'labelled-by'"
    assert await county.database.pool.fetchval(noted) == 1, "what comes into an empty database needs no second look"
    await put(county, "B", observation("ob1", "b1", status="amended"))
    assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2", "ob1"}
    url = "https://xinglin.example/fhir/ValueSet/sensitive-hiv"
    ours = [{"valueSet": [f"{url}|1"]}, {"system": "http://loinc.org", "concept": [{"code": "4548-4"}]}]
    body = {"resourceType": "ValueSet", "url": url, "compose": {"include": ours}}
    (tmp_path / "ours.json").write_bytes(encode(body))
    try:
        use_sensitive(str(tmp_path))
        assert await complete_labels(county) == 4  # three results as they are, and one as it was
        assert await complete_labels(county) == 0
        assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2"}
    finally:
        use_sensitive("")
    assert await complete_labels(county) == 4
    assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2", "ob1"}


async def test_a_consent_ends_with_its_last_day(county: House) -> None:
    until = (clock.now() + timedelta(days=3)).date()
    await sharing.permit(Records(county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"], until=until)
    assert "ob1" in await ids(county, DOCTOR_A, "")
    real = clock.now()
    clock.set_source(lambda: real + timedelta(days=5))
    try:
        assert "ob1" not in await ids(county, DOCTOR_A, "")
    finally:
        clock.set_source(None)


async def test_only_the_person_consents_and_only_for_themselves(county: House) -> None:
    with pytest.raises(Forbidden):
        await sharing.permit(Records(county, DOCTOR_A), custodian="B", grantee="A", category_codes=["laboratory"])
    with pytest.raises(NotFound):
        await sharing.permit(Records(county, BEN), custodian="B", grantee="A", category_codes=["laboratory"])
    consent = await sharing.permit(Records(county, ANNA), custodian="B", grantee="A", category_codes=["vitals"])
    with pytest.raises(NotFound):
        await sharing.withdraw(Records(county, BEN), consent.id)
    with pytest.raises(Unprocessable):
        forged = {**parse(consent.body), "patient": {"reference": "Patient/a1"}}
        del forged["id"]
        await Records(county, BEN).write([Write("POST", "Consent", resource=forged)])


async def test_emergency_access_needs_a_reason_lasts_an_hour_and_is_told(county: House) -> None:
    doctor = Records(county, DOCTOR_A)
    with pytest.raises(Invalid):
        await emergencies.break_glass(doctor, "a1", "unconscious", "")
    with pytest.raises(Forbidden):
        await emergencies.break_glass(Records(county, CLERK_A), "a1", "unconscious", "found in the street")
    ends = await emergencies.break_glass(doctor, "a1", "unconscious", "found in the street")
    assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2", "ob1", "hiv", "vb"}
    assert await emergencies.emergency_until(doctor, "a1") == ends
    colleague = Principal("dr-c", "Dr C", Role.CLINICIAN, Purpose.TREATMENT, institution="A", practitioner="pc")
    assert await ids(county, colleague, "") == {"oa1", "oa2"}
    notices = await Records(county, ANNA).search("Communication", "")
    assert len(notices.matches) == 1 and "found in the street" in notices.matches[0].body.decode()
    trail = await Records(county, ANNA).audit_trail()
    assert any(entry.interaction == "break-glass" and "found in the street" in entry.why for entry in trail)
    real = clock.now()
    clock.set_source(lambda: real + timedelta(minutes=61))
    try:
        assert await ids(county, DOCTOR_A, "") == {"oa1", "oa2"}
    finally:
        clock.set_source(None)


async def test_every_access_is_in_the_persons_list_allowed_or_refused(county: House) -> None:
    await Records(county, DOCTOR_B).read("Observation", "ob1")
    await Records(county, DOCTOR_B).search("Observation", "code=4548-4")
    trail = await Records(county, ANNA).audit_trail()
    assert [(e.login, e.interaction, e.target) for e in trail if e.login == "dr-b"] == [
        ("dr-b", "search", "Observation?code"),
        ("dr-b", "read", "Observation/ob1"),
    ]
    assert not any(e.login == "dr-b" for e in await Records(county, BEN).audit_trail())
    with pytest.raises(NotFound):
        await Records(county, DOCTOR_A).read("Observation", "ob1")
    [told] = await Records(county, ANNA).audit_trail(count=1)
    assert (told.login, told.outcome, told.target) == ("dr-a", 4, "Observation/ob1")
    refused = await Records(county, MANAGER_A).audit_trail(count=1)
    assert (refused[0].outcome, refused[0].target) == (4, "Observation/ob1")
    with pytest.raises(Forbidden):
        await Records(county, DOCTOR_A).audit_trail()


async def test_versions_history_and_deletion(county: House) -> None:
    node = Records(county, NODE)
    changed = observation("oa1", "a1", valueQuantity={"value": 8})
    [outcome] = await node.write([Write("PUT", "Observation", "oa1", changed)], custodian="A")
    assert (outcome.status, outcome.stored.version) == (200, 2)
    [again] = await node.write([Write("PUT", "Observation", "oa1", changed)], custodian="A")
    assert again.stored.version == 2
    assert parse((await node.vread("Observation", "oa1", 1)).body)["valueQuantity"]["value"] == 7
    await node.write([Write("DELETE", "Observation", "oa1")])
    with pytest.raises(Gone):
        await node.read("Observation", "oa1")
    assert await ids(county, DOCTOR_A, "") == {"oa2"}
    assert [row.version for row in (await node.history("Observation", "oa1")).rows] == [3, 2, 1]
    first = await node.history("Observation", count=2)
    rest = await node.history("Observation", count=50, before=first.next)
    everything = await node.history("Observation", count=50)
    assert [*first.rows, *rest.rows] == everything.rows
    [back] = await node.write([Write("PUT", "Observation", "oa1", changed)], custodian="A")
    assert (back.status, back.stored.version) == (201, 4)


async def test_a_lost_sight_is_lost_in_the_past_too(county: House) -> None:
    label = {"security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "HIV"}]}
    await sharing.permit(Records(county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"])
    assert (await Records(county, DOCTOR_A).vread("Observation", "ob1", 1)).version == 1
    await put(county, "B", observation("ob1", "b1", meta=label))
    with pytest.raises(NotFound):
        await Records(county, DOCTOR_A).vread("Observation", "ob1", 1)
    seen = await Records(county, DOCTOR_A).history("Observation")
    assert "ob1" not in {row.id for row in seen.rows}


async def test_a_transaction_is_stored_whole_or_not_at_all(county: House) -> None:
    node = Records(county, NODE)
    person = {"resourceType": "Patient", "name": [{"family": "Li"}]}
    result = observation("x", "a1")
    del result["id"]
    bad = {**result, "subject": {"reference": "urn:uuid:nobody"}}
    with pytest.raises(Invalid) as caught:
        await node.write(
            [
                Write("POST", "Patient", resource=dict(person), full_url="urn:uuid:p"),
                Write("POST", "Observation", resource=bad),
            ]
        )
    assert caught.value.issues[0].expression == "Bundle.entry[1].Observation.subject"
    assert await ids(county, NODE, "family=Li", "Patient") == set()
    good = {**result, "subject": {"reference": "urn:uuid:p"}}
    created = await node.write(
        [
            Write("POST", "Patient", resource=dict(person), full_url="urn:uuid:p"),
            Write("POST", "Observation", resource=good),
        ]
    )
    [new_patient, new_result] = [outcome.stored for outcome in created]
    assert parse(new_result.body)["subject"]["reference"] == new_patient.reference
    assert await ids(county, NODE, f"patient={new_patient.id}") == {new_result.id}


async def test_the_same_id_twice_is_refused(county: House) -> None:
    writes = [Write("PUT", "Patient", "z", patient("z")), Write("PUT", "Patient", "z", patient("z", "李"))]
    with pytest.raises(Invalid, match="twice"):
        await Records(county, NODE).write(writes)


async def test_if_match_has_one_winner(county: House) -> None:
    async def attempt(value: int) -> int:
        body = observation("oa1", "a1", valueQuantity={"value": value})
        try:
            [outcome] = await Records(county, NODE).write([Write("PUT", "Observation", "oa1", body, if_match=1)])
        except PreconditionFailed:
            return 0
        return outcome.stored.version

    versions = await asyncio.gather(*(attempt(value) for value in range(100, 132)))
    assert sorted(versions)[-2:] == [0, 2]


async def test_if_none_exist_creates_one(county: House) -> None:
    body = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "7"}]}

    async def attempt() -> int:
        write = Write("POST", "Patient", resource=dict(body), condition="identifier=urn:x|7")
        [outcome] = await Records(county, NODE).write([write], custodian="A")
        return outcome.status

    statuses = await asyncio.gather(*(attempt() for _ in range(32)))
    assert sorted(statuses) == [200] * 31 + [201]


async def test_institutions_change_only_what_they_hold(county: House) -> None:
    await sharing.permit(Records(county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"])
    with pytest.raises(Conflict):
        await Records(county, DOCTOR_A).write(
            [Write("PUT", "Observation", "ob1", observation("ob1", "b1", status="amended"))]
        )
    with pytest.raises(NotFound):
        await Records(county, DOCTOR_A).write([Write("PUT", "Observation", "vb", observation("vb", "b1"))])
    with pytest.raises(NotFound):
        await Records(county, DOCTOR_A).write([Write("DELETE", "Observation", "vb")])
    with pytest.raises(Forbidden):
        await Records(county, MANAGER_A).write([Write("PUT", "Observation", "oa1", observation("oa1", "a1"))])
    with pytest.raises(Unprocessable):
        about_a_stranger = observation("n", "b9")
        del about_a_stranger["id"]
        await Records(county, DOCTOR_A).write([Write("POST", "Observation", resource=about_a_stranger)])
    new = observation("n", "a1")
    del new["id"]
    [outcome] = await Records(county, DOCTOR_A).write([Write("POST", "Observation", resource=new)])
    assert outcome.status == 201


async def test_what_a_task_was_does_not_find_it_any_longer(house: House) -> None:
    """A Task is in nobody's compartment; its rows bear the person all the same, and go with the version."""
    records = Records(house, NODE)
    task = {
        "resourceType": "Task", "id": "t1", "intent": "order", "for": {"reference": "Patient/p1"},
        "code": {"text": "x", "coding": [{"system": "urn:x", "code": "x"}]},
    }  # fmt: skip
    for status in ("requested", "accepted", "completed"):
        await records.write([Write("PUT", "Task", "t1", {**task, "status": status})])
    found = {
        status: [one.id for one in (await records.search("Task", f"status={status}")).matches]
        for status in ("requested", "accepted", "completed")
    }
    assert found == {"requested": [], "accepted": [], "completed": ["t1"]}
    assert len((await records.search("Task", "code=urn:x|x&_total=accurate")).matches) == 1
