"""What a caller claims for themselves: consents of their own making, scopes, somebody else's words, the access log.

Attack cases 89-90 (consent) as far as they are built, and what a review of the gate found beside the numbered cases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from attacked import ANNA, DOCTOR, concept, observation, ref
from xinglin.access import emergencies, sharing
from xinglin.access.consent import ROLE_CLASS, compile_consent
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.access.records import Records
from xinglin.access.scopes import may, scoped_types
from xinglin.kernel.errors import Forbidden, Invalid, NotFound

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)


def actor(code: str, reference: str) -> dict[str, Any]:
    return {"role": concept(code, ROLE_CLASS), "reference": ref(reference)}


def consent(patient: str | None, grantee: str, **provision: Any) -> dict[str, Any]:
    about = {"patient": ref(f"Patient/{patient}")} if patient else {}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": concept("patient-privacy", "http://terminology.hl7.org/CodeSystem/consentscope"),
        "category": [concept("59284-0", "http://loinc.org")],
        **about,
        "policyRule": concept("OPTIN"),
        "provision": {"type": "permit", "actor": [actor("IRCP", grantee)], **provision},
    }


# consents of one's own making -----------------------------------------------------------------------------------------


async def test_nobody_opens_by_a_consent_what_another_institution_holds(own_county: County) -> None:
    """Whoever keeps the Consent opens by it what they hold themselves: the receiver cannot write it for the holder."""
    county = own_county
    for holder in ([], [actor("CST", "Organization/B")]):
        body = consent("a1", "Organization/A")
        body["provision"]["actor"] += holder
        assert (await county.ask("dr-a", "POST", "Consent", body)).status_code == 201
    assert (await county.ask("dr-a", "GET", "Observation/hid")).status_code == 404
    assert await county.ids("dr-a", "Observation?_id=hid,ob1,hiv") == set()
    assert (await county.ask("dr-b", "POST", "Consent", consent("b1", "Organization/A"))).status_code == 201
    assert await county.ids("dr-a", "Observation?_id=hid,ob1,hiv") == {"hid", "ob1"}  # the holder may; no label is open


async def test_a_consent_about_nobody_opens_nothing(own_county: County) -> None:
    county = own_county
    answer = await county.ask("dr-a", "POST", "Consent", consent(None, "Organization/A"))
    assert answer.status_code in (201, 422)
    assert (await county.ask("root", "POST", "Consent", consent(None, "Organization/A"))).status_code in (201, 422)
    assert (await county.ask("dr-a", "GET", "Binary/bare")).status_code == 404
    assert (await county.ask("dr-a", "GET", "Group/gb")).status_code == 404
    assert not await county.fetch("SELECT 1 FROM access_grant WHERE person = 0")


CLASS = {"system": "https://xinglin.example/fhir/CodeSystem/record-category", "code": "laboratory"}
NOTHING: dict[str, dict[str, Any]] = {
    "an unknown class": {"class": [{"system": "urn:x", "code": "laboratory"}]},
    "what hangs together with a resource": {"data": [{"meaning": "related", "reference": ref("Observation/1")}]},
    "codes": {"code": [concept("x")]},
    "dates of the data": {"dataPeriod": {"start": "2024"}},
    "an action that shows nothing": {"action": [concept("correct")]},
    "a period that cannot be read": {"period": {"start": "soon"}},
}


@pytest.mark.parametrize("limits", NOTHING.values(), ids=NOTHING)
def test_case_89_a_limit_that_cannot_be_kept_opens_nothing(limits: dict[str, Any]) -> None:
    assert not compile_consent(consent("a1", "Organization/A", **limits))


@pytest.mark.parametrize(
    "change", [{"scope": concept("research")}, {"scope": {"text": "patient-privacy"}}, {"status": "draft"}]
)
def test_case_89_a_consent_to_something_else_opens_nothing(change: dict[str, Any]) -> None:
    assert not compile_consent({**consent("a1", "Organization/A"), **change})


def test_case_89_an_untyped_provision_permits_nothing() -> None:
    body = consent("a1", "Organization/A")
    del body["provision"]["type"]
    assert not compile_consent(body)


@pytest.mark.parametrize("deny", [{}, {"class": [{"system": "urn:x", "code": "y"}]}, {"dataPeriod": {"start": "2024"}}])
async def test_case_89_a_denial_inside_closes_what_it_may_mean(own_county: County, deny: dict[str, Any]) -> None:
    body = consent("b1", "Organization/A", provision=[{"type": "deny", **deny}])
    assert (await own_county.ask("dr-b", "POST", "Consent", body)).status_code == 201
    assert await own_county.ids("dr-a", "Observation?_id=ob1,hid") == set()


async def test_case_89_a_permit_inside_a_deny_opens_no_more_than_the_whole(own_county: County) -> None:
    inner = {"type": "permit", "actor": [actor("IRCP", "Organization/A"), actor("IRCP", "Organization/C")]}
    outer = consent("b1", "Organization/A", provision=[{"type": "deny", "provision": [inner]}])
    outer["provision"]["class"] = [CLASS]
    grants = compile_consent(outer, 1)
    opened = {(grant.grantee, grant.custodian, grant.category) for grant in grants if grant.permit}
    plain = compile_consent(dict(outer, provision={**outer["provision"], "provision": []}), 1)
    assert opened == {(grant.grantee, grant.custodian, grant.category) for grant in plain}


async def test_case_89_a_purpose_is_not_another(own_county: County) -> None:
    """What was consented for treatment is not there for research, nor the other way."""
    county = own_county
    await sharing.permit(Records(county.house, ANNA), custodian="B", grantee="A", category_codes=["laboratory"])
    assert (await Records(county.house, DOCTOR).read("Observation", "ob1")).id == "ob1"
    for purpose in set(Purpose) - {Purpose.TREATMENT}:
        with pytest.raises(NotFound):
            await Records(county.house, DOCTOR.for_purpose(purpose)).read("Observation", "ob1")


@pytest.mark.parametrize("end", ["9999-12-31", "9999", "9999-12", "9999-12-31T23:59:59Z", "0001", "0001-01-01"])
async def test_a_consent_may_end_at_the_end_of_time(own_county: County, end: str) -> None:
    answer = await own_county.ask("anna", "POST", "Consent", consent("b1", "Organization/A", period={"end": end}))
    assert answer.status_code == 201
    assert await own_county.ids("dr-a", "Observation?_id=ob1") == ({"ob1"} if end.startswith("9") else set())


# the emergency --------------------------------------------------------------------------------------------------------


async def test_case_90_an_emergency_refused_is_recorded(own_county: County) -> None:
    county = own_county
    doctor = Records(county.house, DOCTOR)
    for id, reason, words, error in (
        ("a1", "unconscious", "", Invalid),
        ("a1", "bored", "let me see", Invalid),
        ("nix", "unconscious", "found in the street", NotFound),
    ):
        with pytest.raises(error):
            await emergencies.break_glass(doctor, id, reason, words)
    rows = await county.fetch("SELECT outcome FROM audit WHERE interaction = 'break-glass' AND login = 'dr-a'")
    assert [row["outcome"] for row in rows] == [4, 4, 4]


@pytest.mark.parametrize("birth", ["ge1900", "1900,ge1900", "1980", "", "ap1980-05-03", "1980-05", "1980-05-03,ge1900"])
async def test_case_90_a_person_is_located_by_number_and_day_only(own_county: County, birth: str) -> None:
    county = own_county
    await county.put(
        "B", {"resourceType": "Patient", "id": "b3", "identifier": [{"value": "5"}], "birthDate": "1980-05-03"}
    )
    assert await emergencies.locate(Records(county.house, DOCTOR), "5", "1980-05-03") == ["b3"]
    with pytest.raises(Invalid):
        await emergencies.locate(Records(county.house, DOCTOR), "5", birth)
    for number in ("*", "5,777", "%", "|5", "urn:id|777", "5\\,6"):
        assert await emergencies.locate(Records(county.house, DOCTOR), number, "1980-05-03") in ([], ["b3"]), number
    assert await emergencies.locate(Records(county.house, DOCTOR), "777", "1980-05-03") == []


# what is nobody's -----------------------------------------------------------------------------------------------------


async def test_an_institution_does_not_take_over_what_was_loaded_for_all(own_county: County) -> None:
    """Definitions that the operator loaded without a holder are read by all and changed by no institution."""
    county = own_county
    plan = {"resourceType": "Questionnaire", "id": "all", "status": "active", "title": "Everybody's"}
    assert (await county.ask("root", "PUT", "Questionnaire/all", plan)).status_code == 201
    assert (await county.ask("manager", "PUT", "Questionnaire/all", {**plan, "title": "Mine"})).status_code == 409
    assert (await county.ask("manager", "DELETE", "Questionnaire/all")).status_code == 409
    other = {"resourceType": "Organization", "id": "B", "name": "Mine"}
    assert (await county.ask("manager", "PUT", "Organization/B", other)).status_code == 409
    assert (await county.get("dr-b", "Questionnaire/all"))["title"] == "Everybody's"


# scopes ---------------------------------------------------------------------------------------------------------------


def holder(role: Role, *scopes: str) -> Principal:
    return Principal("t", "t", role, Purpose.TREATMENT, institution="A", scopes=scopes)


SCOPES: list[tuple[str, Role, str]] = [
    ("user/Observation.read", Role.CLINICIAN, "rs"),
    ("user/Observation.write", Role.CLINICIAN, "cud"),
    ("user/Observation.*", Role.CLINICIAN, "cruds"),
    ("system/*.rs", Role.SYSTEM, "rs"),
    ("system/*.cruds", Role.SYSTEM, "cruds"),
    ("system/Observation.r", Role.SYSTEM, "r"),
    ("system/Observation.s", Role.SYSTEM, "s"),
    ("system/Observation.c", Role.SYSTEM, "c"),
    ("system/Observation.ud", Role.SYSTEM, "ud"),
    ("patient/Observation.rs", Role.PATIENT, "rs"),
    ("patient/Observation.rs", Role.CLINICIAN, ""),
    ("patient/*.cruds", Role.SYSTEM, ""),
    ("user/Patient.rs", Role.CLINICIAN, ""),
    ("user/observation.rs", Role.CLINICIAN, ""),
    ("user/Observation.rs?category=laboratory", Role.CLINICIAN, "rs"),
    ("user/Observation.sr", Role.CLINICIAN, ""),
    ("user/Observation.", Role.CLINICIAN, ""),
    ("user/Observation.readwrite", Role.CLINICIAN, ""),
    ("xuser/Observation.rs", Role.CLINICIAN, ""),
    ("user/Observation.rs user/*.rs", Role.CLINICIAN, ""),
    ("openid", Role.CLINICIAN, ""),
]


@pytest.mark.parametrize(("scope", "role", "verbs"), SCOPES, ids=[f"{row[0]}-{row[1].value}" for row in SCOPES])
def test_a_scope_is_its_verbs_and_no_more(scope: str, role: Role, verbs: str) -> None:
    principal = holder(role, "openid", scope)
    assert "".join(verb for verb in "cruds" if may(principal, "Observation", verb)) == verbs
    assert scoped_types(holder(role), "r") == frozenset() and not may(holder(role), "Observation", "r")


async def test_a_token_that_creates_neither_reads_nor_deletes(own_county: County) -> None:
    """The token `feed`: system/Observation.c and system/Device.write."""
    county = own_county
    body = {name: value for name, value in observation("x", "a1").items() if name != "id"}
    created = await county.ask("feed", "POST", "Observation", body)
    assert created.status_code == 201
    id = created.json()["id"]
    for path in (f"Observation/{id}", "Observation/oa1", "Device/none"):
        assert (await county.ask("feed", "GET", path)).status_code == 404
    assert (await county.get("feed", "Observation"))["total"] == 0
    assert (await county.ask("feed", "DELETE", f"Observation/{id}")).status_code == 403
    assert (await county.ask("feed", "PUT", "Observation/oa1", observation("oa1", "a1"))).status_code == 403
    assert (await county.ask("feed", "POST", "Patient", {"resourceType": "Patient"})).status_code == 403
    header = {"if_none_exist": "code=known"}
    assert (await county.ask("feed", "POST", "Observation", body, **header)).status_code == 403


# whose words ----------------------------------------------------------------------------------------------------------


async def test_a_patient_changes_their_own_words_and_no_finding_of_others(own_county: County) -> None:
    county = own_county
    changed = observation("oa1", "a1", value=1)
    assert (await county.ask("anna", "PUT", "Observation/oa1", changed)).status_code == 403
    assert (await county.ask("anna", "DELETE", "Observation/oa1")).status_code == 403
    assert (await county.get("root", "Observation/oa1"))["valueQuantity"]["value"] == 7
    forged = {**observation("x", "a1"), "performer": [ref("Practitioner/pa")]}
    del forged["id"]
    assert (await county.ask("anna", "POST", "Observation", forged)).status_code == 403
    own = {**forged, "performer": [ref("Patient/a1")]}
    made = await county.ask("anna", "POST", "Observation", own)
    assert made.status_code == 201
    id = made.json()["id"]
    corrected = {**own, "id": id, "valueQuantity": {"value": 8}}
    assert (await county.ask("anna", "PUT", f"Observation/{id}", corrected)).status_code == 200
    assert (await county.ask("anna", "DELETE", f"Observation/{id}")).status_code == 204


async def test_the_notice_of_an_emergency_stays(own_county: County) -> None:
    county = own_county
    await emergencies.break_glass(Records(county.house, DOCTOR), "a1", "unconscious", "found in the street")
    (id,) = await county.ids("anna", "Communication")
    assert (await county.ask("anna", "DELETE", f"Communication/{id}")).status_code == 403
    assert (await county.ask("dr-b", "DELETE", f"Communication/{id}")).status_code == 404


# the access log -------------------------------------------------------------------------------------------------------


async def log(county: County, login: str) -> list[Any]:
    return list((await county.get(login, "AuditEvent?_count=1000")).get("entry", []))


async def test_the_log_of_one_institution_is_not_anothers(own_county: County) -> None:
    """A program limited to an institution reads what its people did; a token for Observations reads no log."""
    county = own_county
    await county.get("dr-a", "Observation/oa1")
    await county.get("dr-b", "Observation/ob1")
    for login, other in (("backend-a", "ob1"), ("backend-b", "oa1"), ("manager", "ob1")):
        text = str(await log(county, login))
        assert f"Observation/{other}" not in text and "Observation/o" in text
    for login in ("dr-a", "pharmacist", "clerk", "app", "feed"):
        assert (await county.ask(login, "GET", "AuditEvent")).status_code == 403
        assert (await county.ask(login, "GET", "AuditEvent/a1")).status_code in (403, 404)


async def test_reading_the_log_is_in_the_log(own_county: County) -> None:
    await log(own_county, "manager")
    rows = await own_county.fetch("SELECT login FROM audit WHERE target = 'AuditEvent' AND role = 'manager'")
    assert len(rows) == 1


ACCESSES: list[tuple[str, str, Any, dict[str, str]]] = [
    ("GET", "Observation/oa1", None, {}),
    ("GET", "Observation/oa1", None, {"if_none_match": 'W/"1"'}),
    ("HEAD", "Observation/oa1", None, {}),
    ("GET", "Observation/oa1/_history/1", None, {}),
    ("GET", "Observation/oa1/_history", None, {}),
    ("GET", "Observation?_id=oa1", None, {}),
    ("GET", "Encounter?_id=ea&_include=Encounter:patient", None, {}),
    ("GET", "Patient/a1/$everything", None, {}),
    ("GET", "Observation/$lastn?patient=a1", None, {}),
    ("GET", "Observation/oa1/$meta", None, {}),
    ("POST", "Patient", {"resourceType": "Patient"}, {"if_none_exist": "_id=a1"}),
    ("PUT", "Observation/oa1", observation("oa1", "a1"), {}),
    ("PUT", "Observation/oa1", observation("oa1", "a2"), {}),
    ("DELETE", "Observation/oa1", None, {}),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers"), ACCESSES, ids=[f"{row[0]} {row[1]} {row[3]}" for row in ACCESSES]
)
async def test_whatever_touches_a_persons_data_is_in_their_list(
    own_county: County, method: str, path: str, body: Any, headers: dict[str, str]
) -> None:
    """Also what a conditional create gave back, a write that changed nothing, and data that was moved away."""
    seen = {row["resource"]["id"] for row in await log(own_county, "anna")}
    answer = await own_county.ask("dr-a", method, path, body, **headers)
    assert answer.status_code < 400, answer.text
    fresh = [row["resource"] for row in await log(own_county, "anna")]
    fresh = [one for one in fresh if one["id"] not in seen]
    asking = [next(agent for agent in row["agent"] if agent["requestor"]) for row in fresh]
    assert fresh and all(agent["role"][0]["coding"][0]["code"] == "clinician" for agent in asking)


@pytest.mark.parametrize(
    ("login", "method", "path", "body"),
    [
        ("dr-a", "GET", "Observation/hid", None),
        ("dr-a", "PUT", "Observation/hid", observation("hid", "a1")),
        ("dr-a", "DELETE", "Observation/hid", None),
        ("manager", "POST", "Observation", {"resourceType": "Observation", "status": "final", "code": {"text": "x"}}),
        ("feed", "DELETE", "Observation/oa1", None),
        ("anna", "DELETE", "Observation/oa1", None),
        ("app", "GET", "Patient/a1", None),
    ],
)
async def test_a_refusal_is_recorded(own_county: County, login: str, method: str, path: str, body: Any) -> None:
    answer = await own_county.ask(login, method, path, body)
    assert answer.status_code in (403, 404)
    rows = await own_county.fetch("SELECT outcome, target FROM audit ORDER BY seq DESC LIMIT 1")
    assert [(row["outcome"], row["target"]) for row in rows] == [(4, path)]


async def test_counts_are_for_the_manager_of_an_institution(own_county: County) -> None:
    nowhere = Principal("m", "m", Role.MANAGER, Purpose.OPERATIONS)
    for principal in (DOCTOR, ANNA, nowhere):
        with pytest.raises(Forbidden):
            await sharing.count_by_type(Records(own_county.house, principal))
    with pytest.raises(Forbidden):
        await Records(own_county.house, nowhere).audit_trail()
