"""Posts, identity checks, guardians and the policy test over HTTP, on the demo county."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from xinglin.access.audit import entries
from xinglin.access.house import House
from xinglin.access.identity import accounts, proof
from xinglin.access.persons import catch_up
from xinglin.access.principal import NODE, Role
from xinglin.access.records import Records, Write
from xinglin.app import Application
from xinglin.core.schema.decode import parse
from xinglin.core.store.keys import key_of
from xinglin.demo import County, bundles, directory
from xinglin.demo import accounts as county_accounts
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database

PASSWORD = "four words of ours"
BASE = "http://127.0.0.1:8080"


class Visitor:
    """A browser without a window."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http, self.token = http, ""

    async def get(self, path: str, status: int = 200) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[-800:])
        found = re.search(r'name="_csrf" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        return answer.text

    async def post(self, path: str, status: int = 303, **fields: Any) -> httpx.Response:
        answer = await self.http.post(path, data={"_csrf": self.token, **fields})
        assert answer.status_code == status, (path, answer.status_code, answer.text[-800:])
        return answer

    async def code(self, use: str) -> str:
        """The eight digits that the owner is shown."""
        page = (await self.post("/me/acting/code", 200, use=use)).text
        found = re.search(r"\b(\d{4} \d{4})\b", page)
        assert found
        return found[1]


class Place:
    """The county as its application serves it, and its people: patient is known at hx and tc."""

    def __init__(self, house: House, app: Application) -> None:
        self.house, self.app = house, app
        self.opened: list[httpx.AsyncClient] = []
        self.ids: dict[str, str] = {}

    async def sign_in(self, login: str) -> Visitor:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        self.opened.append(httpx.AsyncClient(transport=transport, base_url=BASE))
        visitor = Visitor(self.opened[-1])
        await visitor.get("/sign-in?lang=en")
        await visitor.post("/sign-in", login=login, password=PASSWORD)
        return visitor

    async def write(self, type: str, body: dict[str, Any], custodian: str) -> None:
        await Records(self.house, NODE).write([Write("PUT", type, body["id"], body, keep_id=True)], custodian=custodian)

    async def body(self, type: str, id: str) -> dict[str, Any]:
        return parse((await Records(self.house, NODE).read(type, id)).body)


@pytest.fixture(scope="module")
async def place(postgres: str, template: str) -> AsyncIterator[Place]:
    name = f"acting_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    url = with_database(postgres, name)
    house = await House.open(Settings(database_url=url), url, pool_size=8)
    app = Application(Settings(), house)
    place = Place(house, app)
    await load(place)
    async with app.pages.router.lifespan_context(app.pages):
        yield place
    for http in place.opened:
        await http.aclose()
    await house.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def load(place: Place) -> None:
    county = County(people=40)
    for bundle in [*directory(county), *bundles(county, 0, 20)]:
        resources = [parse(orjson.dumps(resource)) for resource in bundle.resources]
        writes = [Write("PUT", one["resourceType"], one["id"], one, keep_id=True) for one in resources]
        await Records(place.house, NODE).write(writes, custodian=bundle.custodian)
    while await catch_up(place.house):
        pass
    for one in county_accounts(county):
        kind, _, id = one.reference.partition("/")
        if one.login in ("clinician", "clerk", "clerk2", "manager", "patient"):
            here = {"patient": id} if kind == "Patient" else {"practitioner": id, "institution": one.organization}
            await accounts.create(
                place.house.database,
                one.login,
                PASSWORD,
                Role(one.role),
                name_zh=one.name_zh,
                name_en=one.name_en,
                **here,
            )
            place.ids[one.login] = id
    today = clock.now().date()
    for id, born, login in (
        ("grown", date(1985, 5, 5), "mother"),
        ("child", today - timedelta(days=2200), ""),
        ("sibling", today - timedelta(days=1200), ""),
        ("elder", date(1950, 1, 1), "elder"),
    ):
        name = [{"text": id, "family": id}]
        body = {"resourceType": "Patient", "id": id, "name": name, "birthDate": born.isoformat()}
        await place.write("Patient", body, "hx-hospital")
        if login:
            await accounts.create(place.house.database, login, PASSWORD, Role.PATIENT, name_zh=login, patient=id)
    flu = {"coding": [{"system": "urn:c", "code": "flu", "display": "Influenza vaccine"}]}
    for id in ("child", "sibling", "elder"):
        body = {
            "resourceType": "Immunization",
            "id": f"im-{id}",
            "status": "completed",
            "vaccineCode": flu,
            "patient": {"reference": f"Patient/{id}"},
            "occurrenceDateTime": "2025-01-01",
        }
        await place.write("Immunization", body, "hx-hospital")


async def interactions(place: Place, patient: str) -> list[tuple[str, str, str]]:
    async with place.house.database.connection() as connection:
        found = await entries(connection, persons=[key_of("Patient", patient)], count=200)
    return [(one.interaction, one.login, one.why) for one in found]


# identity checked -----------------------------------------------------------------------------------------------------


async def test_the_counter_shows_the_institutions_records_in_the_account(place: Place) -> None:
    """The patient's account was opened at hx; tc holds a record too, and says so only once it has seen the person."""
    patient = await place.sign_in("patient")
    own = place.ids["patient"]
    async with place.house.database.connection() as connection:
        other = await connection.fetchval(
            "SELECT o.patient_id FROM person_link m JOIN person_link o USING (person)"
            " WHERE m.patient_id = $1 AND o.patient_id LIKE 'tc-%'",
            own,
        )
    before = await patient.get("/me/elsewhere")
    assert "seems to hold" not in before and "Nobody yet" in before
    clerk = await place.sign_in("clerk2")
    await clerk.get(f"/desk/people/{other}/account")
    form = {"login": "patient", "document": "resident-card", "seen": "1"}
    await clerk.post(f"/desk/people/{other}/account", 422, **form, code="0000 0000")
    code = await patient.code("identity")
    await clerk.post(f"/desk/people/{other}/account", 422, login="patient", document="resident-card", code=code)
    await clerk.post(f"/desk/people/{other}/account", **form, code=code)
    assert "Resident identity card" in await patient.get("/me/elsewhere")
    async with place.house.database.connection() as connection:
        assert [one.institution for one in await proof.standing_proofs(connection, "patient")] == ["tc-hospital"]
    done = await interactions(place, other)
    assert ("identity-checked", "clerk2", "resident-card; account patient") in done
    assert ("identity-checked", "clerk2", "account patient") in done, "the attempt with a wrong code, too"
    await patient.get("/me/access")
    await patient.post("/me/elsewhere/end", institution="tc-hospital")
    assert "Nobody yet" in await patient.get("/me/elsewhere")


async def test_only_the_institution_that_holds_a_record_vouches_with_it(place: Place) -> None:
    clerk = await place.sign_in("clerk2")
    await clerk.get("/desk/people/child/account", 404)
    await clerk.get("/desk/people/child/guardian", 404)
    patient = await place.sign_in("patient")
    await patient.get(f"/desk/people/{place.ids['patient']}/account", 404)


# guardians ------------------------------------------------------------------------------------------------------------


async def test_a_guardian_opens_the_childs_record_and_not_the_siblings(place: Place) -> None:
    mother, clerk = await place.sign_in("mother"), await place.sign_in("clerk")
    await mother.get("/me/acting")
    await clerk.get("/desk/people/child/guardian")
    code = await mother.code("guardian")
    await clerk.post("/desk/people/child/guardian", login="mother", code=code, relation="MTH", seen="1")
    await mother.get("/me/acting")
    number = re.search(r'name="guardianship" value="(\d+)"', await mother.get("/me/acting"))
    assert number
    assert "Influenza" not in await mother.get("/me/immunizations")
    await mother.post("/me/acting/choose", guardianship=number[1])
    page = await mother.get("/me/immunizations")
    assert "Influenza" in page and "for child" in page
    answer = await mother.http.get("/fhir/Immunization")
    assert [one["resource"]["id"] for one in answer.json().get("entry", [])] == ["im-child"]
    assert (await mother.http.get("/fhir/Immunization/im-sibling")).status_code == 404
    assert (await mother.http.get("/fhir/Patient/grown")).status_code == 404, "while she acts for the child"
    assert any(
        one[:2] == ("read", "mother") or one[:2] == ("search", "mother") for one in await interactions(place, "child")
    )
    related = await place.house.database.pool.fetchval(
        "SELECT id FROM resource WHERE type = 114 AND id NOT LIKE '%-%p%'"
    )
    assert related
    await mother.post("/me/acting/choose", 404, guardianship="999")
    await clerk.get("/desk/people/child/guardian")
    await clerk.post("/desk/people/child/guardian/end", guardianship=number[1])
    assert "Influenza" not in await mother.get("/me/immunizations"), "from the next request on"
    assert (await mother.http.get("/fhir/Patient/grown")).status_code == 404, "nor silently as herself"
    await mother.post("/me/acting/choose")
    assert (await mother.http.get("/fhir/Patient/grown")).status_code == 200


async def test_an_adult_lets_somebody_read_a_part_until_a_day(place: Place) -> None:
    mother, elder = await place.sign_in("mother"), await place.sign_in("elder")
    await mother.get("/me/acting")
    await elder.get("/me/acting/ask")
    until = (clock.now().date() + timedelta(days=30)).isoformat()
    asked = {"login": "mother", "categories": ["allergies"], "until": until}
    await elder.post("/me/acting/ask", 422, **asked, code="1234 5678")
    await elder.post("/me/acting/ask", **asked, code=await mother.code("guardian"))
    number = re.search(r'name="guardianship" value="(\d+)"', await mother.get("/me/acting"))
    assert number
    await mother.post("/me/acting/choose", guardianship=number[1])
    assert (await mother.http.get("/fhir/Immunization/im-elder")).status_code == 200
    consents = await mother.http.get("/fhir/Consent")
    assert consents.json().get("entry", []) == [], "only what was ticked"
    body = {"resourceType": "Communication", "status": "completed", "subject": {"reference": "Patient/elder"}}
    refused = await mother.http.post(
        "/fhir/Communication", json=body, headers={"content-type": "application/fhir+json"}
    )
    assert refused.status_code == 403, "reads, and changes nothing"
    await mother.get("/me/access", 403)  # who looked may tell more than what was ticked
    assert "elder" in await mother.get("/me/acting")
    await elder.get("/me/acting")
    await elder.post("/me/acting/end", guardianship=number[1])
    assert (await mother.http.get("/fhir/Immunization/im-elder")).status_code == 404
    assert (
        await place.house.database.pool.fetchval(
            "SELECT count(*) FROM access_grant g JOIN guardianship w ON w.consent = g.source"
        )
        == 0
    ), "a consent to a guardian opens nothing to institutions"


# posts ----------------------------------------------------------------------------------------------------------------


async def test_a_licence_that_ends_between_two_requests_stops_the_second(place: Place) -> None:
    doctor, id = await place.sign_in("clinician"), place.ids["clinician"]
    await doctor.get("/desk")
    assert (await doctor.http.get("/fhir/Patient?_count=1")).json().get("entry")
    before = await place.body("Practitioner", id)
    ended = {**before, "qualification": [{**before["qualification"][0], "period": {"end": "2020-12-31"}}]}
    await place.write("Practitioner", ended, "hx-hospital")
    refused = await doctor.get("/desk", 403)
    assert "licence to practise has ended" in refused and "renewal" in refused
    assert (await doctor.http.get("/fhir/Patient?_count=1")).json().get("entry", []) == []
    assert (await doctor.http.get("/fhir/PractitionerRole?_count=1")).json().get("entry"), "the directory stays"
    soon = (clock.now().date() + timedelta(days=12)).isoformat()
    warned = {**before, "qualification": [{**before["qualification"][0], "period": {"end": soon}}]}
    await place.write("Practitioner", warned, "hx-hospital")
    assert "Your licence ends in 1" in await doctor.get("/desk")
    await place.write("Practitioner", before, "hx-hospital")
    assert "Your licence ends" not in await doctor.get("/desk")


async def test_with_several_posts_the_person_chooses_and_no_form_brings_another(place: Place) -> None:
    doctor, id = await place.sign_in("clinician"), place.ids["clinician"]
    own = await place.body("PractitionerRole", f"{id}-r")
    second = {**own, "id": "second", "organization": {"reference": "Organization/tc-hospital"}}
    second["period"] = {"start": "2020-01-01"}
    await place.write("PractitionerRole", second, "hx-hospital")
    await doctor.get("/desk")  # an institution appoints for itself: hx cannot make anybody a physician of tc
    await place.write("PractitionerRole", {**second, "id": "third"}, "tc-hospital")
    await doctor.get("/desk")  # nor does tc let in whoever hx says is its physician: it vouches for the account itself
    async with place.house.database.transaction() as connection:
        await proof.confirm(connection, "clinician", "tc-hospital", "manager2", "resident-card")
    answer = await doctor.http.get("/desk")
    assert answer.status_code == 303 and answer.headers["location"].startswith("/desk/acting")
    page = await doctor.get("/desk/acting")
    assert "third" in page and "second" not in page
    for forged in ("second", "tc-s02-r", "", "x" * 60):
        await doctor.post("/desk/acting", 422, post=forged)
    await doctor.post("/desk/acting", post="third")
    seen = (await doctor.http.get("/fhir/Patient?_count=200")).json()["entry"]
    assert seen and all(one["resource"]["id"].startswith("tc-") for one in seen)
    ended = {**second, "id": "third", "period": {"start": "2020-01-01", "end": "2021-01-01"}}
    await place.write("PractitionerRole", ended, "tc-hospital")
    assert "no post" in await doctor.get("/desk", 403), "not silently back at the other institution"
    await doctor.post("/desk/acting", post=f"{id}-r")
    await doctor.get("/desk")


# the policy test ------------------------------------------------------------------------------------------------------


async def test_rules_are_explained_and_hidden_records_stay_hidden(place: Place) -> None:
    manager = await place.sign_in("manager")
    await manager.get("/desk/institution/policy")

    async def ask(status: int = 200, **form: str) -> str:
        return (await manager.post("/desk/institution/policy", status, **form)).text

    yes = await ask(login="clinician", reference="Immunization/im-child", verb="r")
    assert "clinician may do this now" in yes and "Their institution holds it" in yes
    no = await ask(login="clerk", reference="Immunization/im-child", verb="r")
    assert "clerk may not do this now" in no
    assert "may not do this" in await ask(login="clerk", reference="Immunization/im-child", verb="u")
    other = await place.house.database.pool.fetchval(
        "SELECT r.id FROM resource r WHERE r.type = 103 AND r.id LIKE 'jj-%' LIMIT 1"
    )
    hidden = await ask(login="clinician", reference=f"Patient/{other}", verb="r")
    missing = await ask(login="clinician", reference=f"Patient/{'z' * len(other)}", verb="r")
    token = re.compile(r'name="_csrf" value="[^"]+"')
    assert token.sub("", hidden).replace(other, "N") == token.sub("", missing).replace("z" * len(other), "N")
    await ask(422, login="clerk2", reference="Patient/child", verb="r")
    await ask(422, login="nobody", reference="Patient/child", verb="r")
    await ask(422, login="clinician", reference="nonsense", verb="r")
    proven = await ask(login="mother", reference="Patient/grown", verb="r")
    assert "mother may do this now" in proven
    linked = await place.house.database.pool.fetchval("SELECT patient_id FROM person_link WHERE patient_id LIKE 'tc-%'")
    assert "held by your institution" in await ask(login="patient", reference=f"Patient/{linked}", verb="r")
    async with place.house.database.connection() as connection:
        done = [
            one
            for one in await entries(connection, institution="hx-hospital", count=50)
            if one.interaction == "policy-test"
        ]
    assert len(done) >= 5 and "clinician read Immunization/im-child: yes" in {one.why for one in done}
    doctor = await place.sign_in("clinician")
    await doctor.get("/desk/institution/policy", 404)


async def test_whoever_has_left_is_out_at_once(place: Place) -> None:
    clerk, manager = await place.sign_in("clerk2"), await place.sign_in("manager")
    await manager.get("/desk/institution/users/clerk2/leave", 404)  # another institution's
    doctor = await place.sign_in("clinician")
    await doctor.get("/desk")
    page = await manager.get("/desk/institution/users/clinician/leave")
    assert "posts at your institution end today" in page
    await manager.post("/desk/institution/users/clinician/leave")
    answer = await doctor.http.get("/desk")
    assert answer.status_code == 303 and "/sign-in" in answer.headers["location"]
    post = await place.body("PractitionerRole", f"{place.ids['clinician']}-r")
    assert post["active"] is False and post["period"]["end"]
    await manager.get("/desk/institution/users/manager/leave", 404)  # nobody takes themselves out
    await clerk.get("/desk")
