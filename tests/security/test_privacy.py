"""What a person closes, opens and asks: denials at home, opt-outs, withdrawals, emergencies and their review."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from attacked import ANNA, DOCTOR, County, concept, county, observation, own_county, ref
from xinglin.access import emergencies, oversight, preview, sharing
from xinglin.access.oversight import JUSTIFIED, NOT_JUSTIFIED
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.schema.decode import parse
from xinglin.core.store.keys import key_of
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, NotFound

__all__ = ["county", "own_county"]

OFFICER = Principal("officer", "Officer", Role.PRIVACY, Purpose.OPERATIONS, institution="A")
OFFICER_B = replace(OFFICER, institution="B")
COLLEAGUE = replace(DOCTOR, login="dr-a2", practitioner="pa2")
CLERK = Principal("clerk", "Clerk", Role.CLERK, Purpose.OPERATIONS, institution="A")
SCOPE = "http://terminology.hl7.org/CodeSystem/consentscope"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
BEN = Principal("ben", "Ben", Role.PATIENT, Purpose.OWN, patients=("a2",))
REPORT = Principal("report", "Report", Role.SYSTEM, Purpose.PUBLIC_HEALTH, institution="A")


def gate(county: County, principal: Principal, **more: Any) -> Records:
    return Records(county.house, replace(principal, **more))


async def seen(records: Records, query: str = "_id=oa1,oa4,ob1,hiv,hid", type: str = "Observation") -> set[str]:
    return {stored.id for stored in (await records.search(type, query)).matches}


# closing ------------------------------------------------------------------------------------------------------------


async def test_case_89_one_person_is_closed_out_at_home_and_nobody_else(own_county: County) -> None:
    county = own_county
    denial = await sharing.close(gate(county, ANNA), custodian="A", practitioner="pa")
    assert await seen(gate(county, DOCTOR)) == set()
    assert await seen(gate(county, DOCTOR), "_id=a1,a2", "Patient") == {"a2"}
    assert await seen(gate(county, COLLEAGUE)) == {"oa1", "oa4"}
    with pytest.raises(NotFound):
        await gate(county, DOCTOR).vread("Observation", "oa1", 1)
    await emergencies.break_glass(gate(county, DOCTOR), "a1", "unconscious", "found in the street")
    assert "oa1" in await seen(gate(county, DOCTOR))
    await sharing.withdraw(gate(county, ANNA), denial.id)
    assert await seen(gate(county, COLLEAGUE)) == {"oa1", "oa4"}


async def test_case_89_a_desk_keeps_who_a_person_is(own_county: County) -> None:
    county = own_county
    await county.put("A", {"resourceType": "Coverage", "id": "cov", "status": "active",
                           "beneficiary": ref("Patient/a1"), "payor": [ref("Organization/A")]})  # fmt: skip
    assert await seen(gate(county, CLERK), "_id=cov", "Coverage") == {"cov"}
    await sharing.close(gate(county, ANNA), custodian="A", role="clerk")
    assert await seen(gate(county, CLERK), "_id=cov", "Coverage") == set()
    assert await seen(gate(county, CLERK), "_id=a1", "Patient") == {"a1"}


@pytest.mark.parametrize("who", [{"role": "clinician"}, {"role": "pharmacist"}, {}, {"practitioner": "nobody"}])
async def test_case_89_those_who_treat_are_not_closed_out_as_a_whole(own_county: County, who: dict[str, str]) -> None:
    with pytest.raises((Invalid, NotFound)):
        await sharing.close(gate(own_county, ANNA), custodian="A", **who)
    whole = {"type": "deny", "actor": [{"role": concept("IRCP"), "reference": ref("Organization/A")}]}
    body = {"resourceType": "Consent", "status": "active", "scope": concept("patient-privacy"), "category": [],
            "patient": ref("Patient/a1"), "policyRule": concept("OPTOUT"), "provision": whole}  # fmt: skip
    del body["category"]
    body["category"] = [concept("x")]
    await gate(own_county, ANNA).write([Write("POST", "Consent", resource=body)])
    assert await seen(gate(own_county, DOCTOR)) == {"oa1", "oa4"}


async def test_case_89_a_consent_may_name_a_post(own_county: County) -> None:
    """Somebody in one post of theirs: permitted and refused there, and in no other post."""
    county = own_county
    at_post = gate(county, DOCTOR, practitioner_role="ra")
    other, without = gate(county, DOCTOR, practitioner_role="ra9"), gate(county, DOCTOR)
    named = {"role": concept("IRCP", PARTICIPATION), "reference": ref("PractitionerRole/ra")}

    def consent(kind: str, **more: Any) -> dict[str, Any]:
        return {"resourceType": "Consent", "id": "post", "status": "active", "scope": concept("patient-privacy", SCOPE),
                "category": [concept("x")], "patient": ref("Patient/b1"), "policyRule": concept("OPTIN"),
                "provision": {"type": kind, "actor": [named], **more}}  # fmt: skip

    await county.put("B", consent("permit"))
    assert "hid" in await seen(at_post) and "hid" not in await seen(other) | await seen(without)
    within = {"type": "deny", "actor": [named]}
    whole = [{"role": concept("IRCP", PARTICIPATION), "reference": ref("Practitioner/pa")}]
    await county.put("B", consent("permit", actor=whole))
    assert "hid" in await seen(at_post) & await seen(without)
    await county.put("B", consent("permit", actor=whole, provision=[within]))
    assert "hid" not in await seen(at_post) | await seen(without)  # whose post it is cannot be kept: nothing is open
    house = [{"role": concept("IRCP", PARTICIPATION), "reference": ref("Organization/A")}]
    await county.put("B", consent("permit", actor=house, provision=[within]))
    assert "hid" not in await seen(at_post) and "hid" in await seen(other) & await seen(without)


# beyond care --------------------------------------------------------------------------------------------------------


async def test_case_89_an_opt_out_is_set_once_and_holds_everywhere_but_before_the_law(own_county: County) -> None:
    county = own_county
    researchers = [
        gate(county, DOCTOR, purpose=Purpose.RESEARCH),
        gate(county, REPORT, purpose=Purpose.RESEARCH),
        gate(county, REPORT),
        gate(county, REPORT, institution="B"),
        gate(county, REPORT, institution=None),
    ]
    assert all([await seen(one) for one in researchers])
    await sharing.opt_out(gate(county, ANNA), refuse=True)
    assert not any([await seen(one) for one in researchers])
    assert await seen(gate(county, REPORT, basis="statutory-reporting")) == {"oa1", "oa4"}
    assert not await seen(gate(county, REPORT, basis="health-research"))
    assert await seen(gate(county, DOCTOR)) == {"oa1", "oa4"}  # her own care is as it was
    await sharing.opt_out(gate(county, ANNA), refuse=False)
    assert all([await seen(one) for one in researchers])


@pytest.mark.parametrize("purpose", [Purpose.PAYMENT, Purpose.PUBLIC_HEALTH, Purpose.ADMINISTRATION])
async def test_case_89_a_role_claims_no_purpose_that_is_not_its_own(county: County, purpose: Purpose) -> None:
    assert await seen(gate(county, DOCTOR, purpose=purpose)) == set()


async def test_case_89_a_consent_by_value_set_holds_for_old_versions_too(own_county: County) -> None:
    county = own_county
    concepts = [{"system": "urn:c", "concept": [{"code": "genetic"}]}]
    await county.put("B", {"resourceType": "ValueSet", "id": "vs", "url": "http://n/vs", "status": "active",
                           "compose": {"include": concepts}})  # fmt: skip
    await county.put("B", observation("gen", "b1", "genetic"))
    await county.put("B", observation("gen", "b1", "known"))  # version 1 spoke of genes
    body = sharing.provision(custodian="B", grantee="A", category_codes=["laboratory"], label_codes=[],
                             start="2024", end=None)  # fmt: skip
    named = [{"coding": [{"system": "urn:ietf:rfc:3986", "code": "http://n/vs"}]}]
    body["provision"] = [{"type": "deny", "code": named}]
    consent = {"resourceType": "Consent", "status": "active", "scope": concept("patient-privacy"),
               "category": [concept("x")], "patient": ref("Patient/b1"), "policyRule": concept("OPTIN"),
               "provision": body}  # fmt: skip
    await gate(county, ANNA).write([Write("POST", "Consent", resource=consent)])
    doctor = gate(county, DOCTOR)
    assert await seen(doctor, "_id=gen,ob1") == {"gen", "ob1"}
    assert (await doctor.vread("Observation", "gen", 2)).id == "gen"
    with pytest.raises(NotFound):
        await doctor.vread("Observation", "gen", 1)
    await county.put("B", observation("new", "b1", "genetic"), observation("other", "b1", "gout"))
    assert await seen(doctor, "_id=new,other") == {"other"}
    concepts[0]["concept"].append({"code": "gout"})
    await county.put("B", {"resourceType": "ValueSet", "id": "vs", "url": "http://n/vs", "status": "active",
                           "compose": {"include": concepts}})  # fmt: skip
    assert await seen(doctor, "_id=new,other") == set()


async def test_case_89_codes_of_consents_that_are_over_make_room(own_county: County) -> None:
    """However many codes were spoken of before: what is in force counts, and a bit that changes hands opens nothing."""
    county, doctor = own_county, gate(own_county, DOCTOR)
    await county.put("B", *(observation(f"t{n}", "b1", f"topic-{n}") for n in range(14)))
    query = "_id=" + ",".join(f"t{n}" for n in range(14))

    def consent(n: int, status: str = "active") -> dict[str, Any]:
        named = [{"coding": [{"system": "urn:c", "code": f"topic-{n}"}]}]
        who = [{"role": concept("IRCP", PARTICIPATION), "reference": ref("Organization/A")}]
        return {"resourceType": "Consent", "id": f"c{n}", "status": status, "scope": concept("patient-privacy", SCOPE),
                "category": [concept("x")], "patient": ref("Patient/b1"), "policyRule": concept("OPTIN"),
                "provision": {"type": "permit", "actor": who, "code": named}}  # fmt: skip

    for n in range(12):
        await county.put("B", consent(n))
        assert await seen(doctor, query) == {f"t{n}"}
        await county.put("B", consent(n, "inactive"))
        assert await seen(doctor, query) == set()
    for n in range(10):
        await county.put("B", consent(n))
    await county.put("B", consent(12))
    assert await seen(doctor, query) == {f"t{n}" for n in range(10)}, "more than ten at once open nothing more"
    await county.put("B", consent(3, "inactive"))
    await county.put("B", consent(13))
    assert await seen(doctor, query) == {f"t{n}" for n in range(10) if n != 3} | {"t13"}


# withdrawing --------------------------------------------------------------------------------------------------------


async def test_case_25_no_read_after_a_withdrawal_was_acknowledged_finds_anything(own_county: County) -> None:
    county, acknowledged = own_county, asyncio.Event()
    found_before = stale = reads = 0

    async def reader(number: int) -> None:
        nonlocal found_before, stale, reads
        doctor = gate(county, DOCTOR)
        for _ in range(200):
            after = acknowledged.is_set()
            told = await seen(doctor, "_id=ob1") if number % 2 else await seen(doctor, "patient=b1")
            reads += 1
            found_before += bool(told) and not after
            stale += bool(told) and after
            if after and reads % 5 == 0:
                return

    for _ in range(3):
        acknowledged.clear()
        consent = await sharing.permit(gate(county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"])
        readers = [asyncio.create_task(reader(number)) for number in range(5)]
        await asyncio.sleep(0.1)
        await sharing.withdraw(gate(county, ANNA), consent.id)
        acknowledged.set()
        await asyncio.gather(*readers)
    assert found_before and not stale, (reads, found_before, stale)


async def test_case_25_no_copy_is_kept_of_what_a_consent_opened(own_county: County) -> None:
    """A document that is persisted would outlast the consent by which its parts were seen."""
    county = own_county
    body = {"resourceType": "Composition", "id": "comp", "status": "final", "type": concept("x"), "title": "t",
            "subject": ref("Patient/a1"), "date": "2024-01-01", "author": [ref("Practitioner/pa")],
            "section": [{"entry": [ref("Observation/oa1")]}]}  # fmt: skip
    await county.put("A", body)
    assert (await county.ask("dr-a", "GET", "Composition/comp/$document?persist=true")).status_code == 200
    body["section"] = [{"entry": [ref("Observation/oa1"), ref("Observation/ob1")]}]
    await county.put("A", body)
    await sharing.permit(gate(county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"])
    shown = await county.ask("dr-a", "GET", "Composition/comp/$document")
    assert "Observation/ob1" in shown.text
    assert (await county.ask("dr-a", "GET", "Composition/comp/$document?persist=true")).status_code == 403


async def test_a_request_is_allowed_and_answered_in_one_transaction(own_county: County) -> None:
    wrong = Write("POST", "Communication", resource={"resourceType": "Communication", "status": "completed",
                                                     "subject": ref("Patient/a2")})  # fmt: skip
    with pytest.raises(Exception):  # noqa: B017  whatever the second write is refused for
        await sharing.permit(
            gate(own_county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"], answering=[wrong]
        )
    assert await seen(gate(own_county, DOCTOR), "_id=ob1") == set()


async def test_case_89_sensitive_records_are_opened_by_a_consent_of_their_own(own_county: County) -> None:
    county = own_county
    await sharing.permit(
        gate(county, ANNA), custodian="B", grantee="A", category_codes=["laboratory"], label_codes=["HIV"]
    )
    assert await seen(gate(county, DOCTOR), "_id=ob1,hiv") == {"ob1", "hiv"}
    ordinary, own = sorted(await sharing.sharings(gate(county, ANNA)), key=lambda one: len(one.labels))
    await sharing.withdraw(gate(county, ANNA), ordinary.id)
    assert await seen(gate(county, DOCTOR), "_id=ob1,hiv") == {"hiv"}
    await sharing.withdraw(gate(county, ANNA), own.id)
    assert await seen(gate(county, DOCTOR), "_id=ob1,hiv") == set()


async def test_a_preview_is_what_comes_and_leaves_nothing(own_county: County) -> None:
    county, anna = own_county, gate(own_county, ANNA)
    chosen: dict[str, Any] = {"custodian": "B", "grantee": "A", "category_codes": ["laboratory"]}
    before = (await preview.seen_by(anna, ["A"]))["A"]
    change = await preview.change(anna, "A", await sharing.permits(anna, **chosen))
    assert change.before == before == (await preview.seen_by(anna, ["A"]))["A"]
    assert await seen(gate(county, DOCTOR), "_id=ob1") == set()
    await sharing.permit(anna, **chosen)
    assert (await preview.seen_by(anna, ["A"]))["A"] == change.after
    assert change.gained["laboratory"] >= 1 and not change.lost
    assert (await preview.held(anna))["HIV"] == 1 and "HIV" not in change.after


async def test_a_hidden_record_of_a_person_has_no_id(county: County) -> None:
    found = await sharing.linked(gate(county, DOCTOR), "a1")
    assert {(one.patient, one.custodian, one.visible) for one in found} == {("a1", "A", True), ("", "B", False)}


# emergencies and questions ------------------------------------------------------------------------------------------


async def test_case_90_an_emergency_waits_for_a_review_that_the_person_reads(own_county: County) -> None:
    county = own_county
    await emergencies.break_glass(gate(county, DOCTOR), "a1", "unconscious", "found in the street")
    (case,) = await oversight.judgements(gate(county, OFFICER))
    assert (case.kind, case.login, case.reason, case.finding) == (oversight.REVIEW, "dr-a", "unconscious", "")
    assert [one.id for one in await oversight.judgements(gate(county, ANNA))] == [case.id]
    for other in (DOCTOR, OFFICER_B, BEN, CLERK):
        assert await oversight.judgements(gate(county, other)) == []
    with pytest.raises(Forbidden):
        await oversight.judge(gate(county, DOCTOR), case.id, case.version, JUSTIFIED, "it was me")
    with pytest.raises(Invalid):
        await oversight.judge(gate(county, OFFICER), case.id, case.version, JUSTIFIED, " ")
    await oversight.judge(gate(county, OFFICER), case.id, case.version, JUSTIFIED, "She was brought in unconscious.")
    (read,) = await oversight.judgements(gate(county, ANNA))
    assert (read.finding, read.answer) == (JUSTIFIED, "She was brought in unconscious.")
    with pytest.raises(Conflict):
        await oversight.judge(gate(county, OFFICER), case.id, case.version, NOT_JUSTIFIED, "On second thoughts")


async def test_case_90_repeated_misuse_closes_the_glass(own_county: County) -> None:
    county = own_county
    for _ in range(oversight.rules()["misuse"]["not_justified"]):
        await emergencies.break_glass(gate(county, DOCTOR), "b2", "other", "curious about her")
        case = (await oversight.judgements(gate(county, OFFICER), open_only=True))[0]
        await oversight.judge(gate(county, OFFICER), case.id, case.version, NOT_JUSTIFIED, "No patient of ours.")
    with pytest.raises(Forbidden):
        await emergencies.break_glass(gate(county, DOCTOR), "b2", "other", "curious again")
    await emergencies.break_glass(gate(county, COLLEAGUE), "b2", "unconscious", "found in the street")
    rows = await county.fetch(
        "SELECT outcome FROM audit WHERE interaction = 'break-glass' AND login = 'dr-a' ORDER BY seq DESC LIMIT 1"
    )
    assert rows[0][0] == 4


async def test_the_privacy_officer_reads_nothing_clinical(own_county: County) -> None:
    county, officer = own_county, gate(own_county, OFFICER)
    await sharing.ask(gate(county, DOCTOR), "a1", "B", "for the consultation")
    for type in ("Patient", "Observation", "Encounter", "Task", "Communication", "Consent"):
        assert await seen(officer, "_count=50", type) == set()
    assert await officer.audit_trail(count=5)
    with pytest.raises(Forbidden):
        await officer.write([Write("POST", "Observation", resource=observation("x", "a1"))])


async def test_a_person_asks_why_somebody_looked_and_reads_the_answer(own_county: County) -> None:
    county, anna = own_county, gate(own_county, ANNA)
    await gate(county, DOCTOR).read("Observation", "oa1")
    await gate(county, DOCTOR).read("Observation", "oa2")
    entry = next(one for one in await anna.audit_trail() if one.login == "dr-a")
    others = next(one for one in await gate(county, BEN).audit_trail() if one.login == "dr-a")
    with pytest.raises(NotFound):
        await oversight.challenge(anna, others.seq, "whose is this?")
    with pytest.raises(Forbidden):
        await oversight.challenge(gate(county, DOCTOR), entry.seq, "why?")
    task = await oversight.challenge(anna, entry.seq, "I do not know why they looked.")
    assert parse(task.body)["focus"] == ref(f"AuditEvent/a{entry.seq}")
    assert task.person == key_of("Patient", "a1")
    with pytest.raises(Conflict):
        await oversight.challenge(anna, entry.seq, "again")
    for other in (DOCTOR, OFFICER_B, BEN):
        with pytest.raises(NotFound):
            await gate(county, other).read("Task", task.id)
    case = await oversight.judgement(gate(county, OFFICER), task.id)
    await oversight.judge(gate(county, OFFICER), task.id, case.version, JUSTIFIED, "She saw you that morning.")
    assert (await oversight.judgements(anna))[0].answer == "She saw you that morning."
