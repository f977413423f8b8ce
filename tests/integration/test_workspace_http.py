"""The workspace over HTTP: who may open what, what opens and closes it, what is recorded, what hostile callers get."""

from __future__ import annotations

import base64
import csv
import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from io import StringIO

import asyncpg
import httpx
import orjson
import pytest

from xinglin.access import emergencies, sharing
from xinglin.access.audit import Access, AccessEntry
from xinglin.access.house import House
from xinglin.access.identity import accounts
from xinglin.access.persons import catch_up
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.app import Application
from xinglin.core.schema.decode import parse
from xinglin.demo import County, bundles, directory
from xinglin.demo import accounts as county_accounts
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database

PASSWORD = "four words of ours"
OWN = "five words that are mine"
BASE = "http://127.0.0.1:8080"
PERSON = "hx-p000007"  # 李世良, the demo's `patient`: known to hx-hospital and tc-hospital
OTHER = "hx-p000002"
STAFF = ("clinician", "pharmacist", "clerk", "manager", "patient")


class Visitor:
    """A browser without a window: keeps cookies, finds the token of the page it saw last."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http, self.token = http, ""

    async def get(self, path: str, *status: int, **headers: str) -> str:
        answer = await self.http.get(path, headers=headers)
        assert answer.status_code in (status or (200,)), (path, answer.status_code, answer.text[-800:])
        assert "Traceback" not in answer.text
        found = re.search(r'name="_csrf" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        return answer.text

    async def post(self, path: str, status: int = 303, **fields: str) -> httpx.Response:
        answer = await self.http.post(path, data={"_csrf": self.token, **fields})
        assert answer.status_code == status, (path, answer.status_code, answer.text[-800:])
        return answer


@dataclass(frozen=True)
class Hospital:
    """The county as its application serves it."""

    house: House
    visit: Callable[[], Visitor]

    async def sign_in(self, login: str, password: str = PASSWORD, status: int = 303) -> Visitor:
        visitor = self.visit()
        await visitor.get("/sign-in?lang=en")
        await visitor.post("/sign-in", status, login=login, password=password)
        return visitor

    async def as_person(self) -> Records:
        """The gate as the person PERSON reaches it."""
        linked = await sharing.linked(Records(self.house, NODE), PERSON)
        who = Principal("patient", "李世良", Role.PATIENT, Purpose.OWN, patients=tuple(one.patient for one in linked))
        return Records(self.house, who)


@pytest.fixture(scope="module")
async def hospital(postgres: str, template: str) -> AsyncIterator[Hospital]:
    """Twenty people of the demo county, loaded once."""
    name = f"workspace_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    url = with_database(postgres, name)
    house = await House.open(Settings(database_url=url), url, pool_size=8)
    await load(house)
    app = Application(Settings(), house)
    opened: list[httpx.AsyncClient] = []

    def visit() -> Visitor:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        opened.append(httpx.AsyncClient(transport=transport, base_url=BASE))
        return Visitor(opened[-1])

    async with app.pages.router.lifespan_context(app.pages):
        yield Hospital(house, visit)
    for http in opened:
        await http.aclose()
    await house.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


async def load(house: House) -> None:
    county = County(people=40)
    for bundle in [*directory(county), *bundles(county, 0, 20)]:
        resources = [parse(orjson.dumps(resource)) for resource in bundle.resources]
        writes = [Write("PUT", one["resourceType"], one["id"], one, keep_id=True) for one in resources]
        await Records(house, NODE).write(writes, custodian=bundle.custodian)
    while await catch_up(house):
        pass
    for one in county_accounts(county):
        if one.login in STAFF:
            kind, _, id = one.reference.partition("/")
            place = {"patient": id} if kind == "Patient" else {"practitioner": id, "institution": one.organization}
            await accounts.create(
                house.database, one.login, PASSWORD, Role(one.role), name_zh=one.name_zh, name_en=one.name_en, **place
            )


# who may open what -----------------------------------------------------------------------------------------------

PAGES = {
    "/desk": {"clinician", "pharmacist", "clerk"},
    "/desk/locate": {"clinician"},
    f"/desk/people/{PERSON}": {"clinician", "pharmacist", "clerk"},
    f"/desk/people/{PERSON}/timeline": {"clinician"},
    f"/desk/people/{PERSON}/trends": {"clinician"},
    f"/desk/people/{PERSON}/trends/85354-9": {"clinician"},
    f"/desk/people/{PERSON}/medicines": {"clinician", "pharmacist"},
    f"/desk/people/{PERSON}/immunizations": {"clinician"},
    f"/desk/people/{PERSON}/documents": {"clinician"},
    f"/desk/people/{PERSON}/print": {"clinician", "pharmacist"},
    f"/desk/people/{PERSON}/consent": {"clinician"},
    f"/desk/people/{PERSON}/emergency": {"clinician"},
    "/desk/duplicates": {"clerk"},
    "/desk/institution": {"manager"},
    "/desk/institution/users": {"manager"},
    "/desk/institution/users/add": {"manager"},
    "/desk/institution/users/clerk/disable": {"manager"},
    "/desk/institution/access": {"manager"},
}


@pytest.mark.parametrize("login", STAFF)
async def test_a_page_of_another_role_does_not_exist(hospital: Hospital, login: str) -> None:
    visitor = await hospital.sign_in(login)
    for path, roles in PAGES.items():
        expected = 303 if (path, login) == ("/desk", "manager") else 200 if login in roles else 404
        await visitor.get(path, expected)


async def test_nobody_sees_anything_before_signing_in(hospital: Hospital) -> None:
    for path in PAGES:
        answer = await hospital.visit().http.get(path)
        assert answer.status_code == 303 and answer.headers["location"].startswith("/sign-in"), path
        assert not answer.text


async def test_what_belongs_to_another_person_is_not_under_this_ones_address(hospital: Hospital) -> None:
    visitor = await hospital.sign_in("clinician")
    page = await visitor.get(f"/desk/people/{OTHER}/timeline")
    theirs = re.findall(rf"/desk/people/{OTHER}/((?:visits|reports|documents)/[\w-]+)", page)
    assert {path.partition("/")[0] for path in theirs} == {"visits", "reports", "documents"}
    for path in theirs[:20]:
        await visitor.get(f"/desk/people/{OTHER}/{path}")
        await visitor.get(f"/desk/people/{PERSON}/{path}", 404)


async def test_odd_addresses_are_answered(hospital: Hospital) -> None:
    visitor = await hospital.sign_in("clinician")
    for query in ("page=99999999999", "page=-1", "page=x", "year=%00", "kind='--", "institution=%F0%9F%98%80"):
        await visitor.get(f"/desk/people/{PERSON}/timeline?{query}")
    for code in ("a,b", "%2C%7C%24", "a%00b", "x" * 500, "..%2f.."):
        await visitor.get(f"/desk/people/{PERSON}/trends/{code}", 404, 400)
    for text in ("%00", "%27", "<script>alert(1)</script>", "王" * 300, "%", "%FF"):
        page = await visitor.get(f"/desk?q={text}")
        assert "<script>alert" not in page
    for patient in ("nobody", "%00", "a" * 200):
        await visitor.get(f"/desk/people/{patient}", 404, 400)


# finding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "typed",
    ["李世良", "lishiliang", "li shi liang", "lǐ shìliáng", "li3shi4liang2", "lsl", "lishilang", "shiliang li",
     "1952-01-05", "19520105", "1952年1月5日", "HX00000007", "hx00000007", "李 1952"],
)  # fmt: skip
async def test_a_person_is_found_by_whatever_is_known(hospital: Hospital, typed: str) -> None:
    visitor = await hospital.sign_in("clinician")
    page = await visitor.get(f"/desk?q={typed}")
    assert f'href="/desk/people/{PERSON}"' in page
    part = await visitor.get(f"/desk?q={typed}", **{"hx-request": "true"})
    assert part.lstrip().startswith('<section id="found"') and f'href="/desk/people/{PERSON}"' in part


async def test_numbers_find_and_are_masked(hospital: Hospital) -> None:
    patient = parse((await Records(hospital.house, NODE).read("Patient", PERSON)).body)
    resident = next(i["value"] for i in patient["identifier"] if i["system"].startswith("urn:oid"))
    phone = patient["telecom"][0]["value"]
    visitor = await hospital.sign_in("clinician")
    for typed in (resident, phone, f"+86 {phone[:3]} {phone[3:7]} {phone[7:]}"):
        page = await visitor.get("/desk?" + str(httpx.QueryParams({"q": typed})))
        results = page[page.index('id="found"') :]
        assert f'href="/desk/people/{PERSON}"' in results
        assert resident not in results and phone not in results


async def test_who_was_shown_is_recorded(hospital: Hospital) -> None:
    visitor = await hospital.sign_in("clinician")
    await visitor.get("/desk?q=李世良")
    trail = await looks_of("clinician", await hospital.as_person())
    assert trail[0].target == "Patient?find"


async def looks_of(login: str, person: Records) -> list[AccessEntry]:
    """The newest lines that an account left in a person's access list."""
    return [entry for entry in await person.audit_trail(count=20) if entry.login == login]


async def test_people_of_other_institutions_are_not_found(hospital: Hospital) -> None:
    linked = await sharing.linked(Records(hospital.house, NODE), PERSON)
    elsewhere = next(one.patient for one in linked if one.patient != PERSON)
    number = parse((await Records(hospital.house, NODE).read("Patient", elsewhere)).body)["identifier"][0]["value"]
    visitor = await hospital.sign_in("clinician")
    assert "Nobody found" in await visitor.get(f"/desk?q={number}")
    await visitor.get("/desk/people/jj-p401557", 404)


# what opens the record, and closes it ----------------------------------------------------------------------------


async def test_consent_opens_the_record_at_the_next_load_and_its_end_closes_it(hospital: Hospital) -> None:
    visitor = await hospital.sign_in("clinician")
    before = await visitor.get(f"/desk/people/{PERSON}")
    assert "not open to you" in before
    person = await hospital.as_person()
    consent = await sharing.permit(
        person, custodian="tc-hospital", grantee="hx-hospital", category_codes=["visits", "laboratory"]
    )
    opened = await visitor.get(f"/desk/people/{PERSON}")
    assert "open to you by consent" in opened and "Laboratory results" in opened
    timeline = await visitor.get(f"/desk/people/{PERSON}/timeline?institution=tc-hospital")
    assert "Xinglin County Traditional Medicine Hospital" in timeline and "/visits/tc-" in timeline
    await sharing.withdraw(person, consent.id)
    after = await visitor.get(f"/desk/people/{PERSON}")
    assert "not open to you" in after and "by consent" not in after
    assert "/visits/tc-" not in await visitor.get(f"/desk/people/{PERSON}/timeline")


async def test_a_clinician_asks_and_the_person_is_asked_once(hospital: Hospital) -> None:
    visitor, address = await hospital.sign_in("clinician"), f"/desk/people/{PERSON}/consent"
    page = await visitor.get(address)
    assert "Traditional Medicine Hospital" in page and "People&#39;s Hospital</" not in page.split("<main")[1]
    refused = await visitor.post(address, 422, institution="jj-centre", message="")
    assert "Choose one of the institutions" in refused.text
    done = await visitor.post(address, institution="tc-hospital", message="To compare your medicines")
    assert "asked" in await visitor.get(done.headers["location"])
    assert "has not answered yet" in await visitor.get(f"/desk/people/{PERSON}")
    tasks = (await (await hospital.as_person()).search("Task", "status=requested")).matches
    assert [parse(task.body)["description"] for task in tasks] == ["To compare your medicines"]


async def test_forms_of_other_sites_do_nothing(hospital: Hospital) -> None:
    visitor = await hospital.sign_in("clinician")
    visitor.token = "x" * 40
    words = {"reason": "unconscious", "words": "Found on the street", "confirmed": "1"}
    await visitor.post(f"/desk/people/{PERSON}/emergency", 403, **words)
    await visitor.post(f"/desk/people/{PERSON}/consent", 403, institution="tc-hospital")
    assert await emergencies.emergency_until(Records(hospital.house, clinician()), PERSON) is None


def clinician() -> Principal:
    return Principal("clinician", "沈志远", Role.CLINICIAN, Purpose.TREATMENT, "hx-hospital", "hx-s01")


async def test_an_emergency_opens_all_says_so_and_is_told(hospital: Hospital) -> None:
    visitor = await hospital.sign_in("clinician")
    linked = await sharing.linked(Records(hospital.house, NODE), PERSON)
    patient = next(one.patient for one in linked if one.custodian == "tc-hospital")
    await visitor.get(f"/desk/people/{patient}")  # linked to one that may be seen
    address = f"/desk/people/{PERSON}/emergency"
    await visitor.get(address)
    assert "Choose the reason" in (await visitor.post(address, 422, words="He fell")).text
    assert (
        "Say in a sentence" in (await visitor.post(address, 422, reason="unconscious", words="x", confirmed="1")).text
    )
    asked = await visitor.post(address, 200, reason="unconscious", words="He fell on the stairs")
    assert "The person is told at once" in asked.text
    done = await visitor.post(address, reason="unconscious", words="He fell on the stairs", confirmed="1")
    page = await visitor.get(done.headers["location"])
    assert re.search(r"Emergency access is open until \d\d:\d\d", page)
    assert "/visits/tc-" in await visitor.get(f"/desk/people/{PERSON}/timeline")
    person = await hospital.as_person()
    [notice] = (await person.search("Communication", "")).matches
    assert "He fell on the stairs" in notice.body.decode()
    assert {entry.purpose for entry in (await looks_of("clinician", person))[:3]} == {"BTG"}
    manager = await hospital.sign_in("manager")
    log = await manager.get("/desk/institution/access?outcome=emergency")
    assert "He fell on the stairs" in log and f"Patient/{PERSON}" in log


async def test_somebody_from_elsewhere_is_located_by_number_and_birth_date_only(hospital: Hospital) -> None:
    found = (await Records(hospital.house, NODE).search("Patient", "_count=100")).matches
    bodies = [parse(one.body) for one in found if one.id.startswith("jj-")]
    body = next(b for b in bodies if any(i["system"].startswith("urn:oid") for i in b["identifier"]))
    number = next(i["value"] for i in body["identifier"] if i["system"].startswith("urn:oid"))
    visitor = await hospital.sign_in("clinician")
    await visitor.get("/desk/locate")
    await visitor.post("/desk/locate", 422, identifier=number)
    assert (
        "No record found" in (await visitor.post("/desk/locate", 200, identifier=number, birth_date="1900-01-01")).text
    )
    page = (await visitor.post("/desk/locate", 200, identifier=number, birth_date=body["birthDate"])).text
    assert f"/desk/people/{body['id']}/" in page or f'/desk/people/{body["id"]}"' in page
    assert body["name"][0]["text"] not in page


# documents -------------------------------------------------------------------------------------------------------

ATTACK = "<h1>Report</h1><script>alert(1)</script><p onclick=x>Fine<img src=http://evil/x></p><style>p{}</style>"


async def test_documents_are_shown_without_what_could_harm(hospital: Hospital) -> None:
    await document(hospital, "attack", "text/html", ATTACK.encode())
    visitor = await hospital.sign_in("clinician")
    page = (await visitor.get(f"/desk/people/{PERSON}/documents/attack")).split("<article", 1)[1].split("</article")[0]
    assert "<h1>Report</h1>" in page and "Fine" in page
    assert not any(part in page for part in ("<script", "alert", "onclick", "<img", "<style", "evil"))


async def test_other_documents_are_saved_never_opened(hospital: Hospital) -> None:
    await document(hospital, "scan", "application/pdf", b"%PDF-1.7 <script>")
    visitor = await hospital.sign_in("clinician")
    assert "Save as a file" in await visitor.get(f"/desk/people/{PERSON}/documents/scan")
    answer = await visitor.http.get(f"/desk/people/{PERSON}/documents/scan?download")
    assert answer.content == b"%PDF-1.7 <script>"
    assert answer.headers["content-disposition"] == 'attachment; filename="document-scan.pdf"'
    await document(hospital, "odd", "application/pdf", b"MZ\x90 a program")
    named = (await visitor.http.get(f"/desk/people/{PERSON}/documents/odd?download")).headers["content-disposition"]
    assert named == 'attachment; filename="document-odd.bin"', "the ending is what the bytes deserve"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def document(hospital: Hospital, id: str, kind: str, data: bytes) -> None:
    attachment = {"contentType": kind, "data": base64.b64encode(data).decode(), "title": id}
    resource = {
        "resourceType": "DocumentReference",
        "id": id,
        "status": "current",
        "subject": {"reference": f"Patient/{PERSON}"},
        "content": [{"attachment": attachment}],
    }
    write = Write("PUT", "DocumentReference", id, resource, keep_id=True)
    await Records(hospital.house, NODE).write([write], custodian="hx-hospital")


# a clerk ---------------------------------------------------------------------------------------------------------


async def test_a_clerk_joins_with_a_reason_and_takes_it_back(hospital: Hospital) -> None:
    twice = {"resourceType": "Patient", "name": [{"text": "禤又生"}], "birthDate": "1950-02-03", "gender": "male"}
    for id in ("twice-1", "twice-2"):  # name and birth date alone are for a clerk to judge
        await Records(hospital.house, NODE).write([Write("PUT", "Patient", id, {**twice, "id": id}, keep_id=True)])
    while await catch_up(hospital.house):
        pass
    visitor = await hospital.sign_in("clerk")
    listed = await visitor.get("/desk/duplicates")
    waiting = re.search(r"(\d+) pairs? waits?", listed)
    pair = re.search(r"/desk/duplicates/([\w-]+)/([\w-]+)", listed)
    assert waiting and pair
    compared = await visitor.get(pair[0])
    assert "Agreement" in compared and any(word in compared for word in ("Same", "Nearly the same"))
    assert "Say why you decide so" in (await visitor.post(pair[0], 422, decision="join")).text
    done = await visitor.post(pair[0], decision="join", why="Same person at the counter")
    after = await visitor.get(done.headers["location"])
    assert "The records are one person now" in after and "Same person at the counter" in after
    assert {one.patient for one in await sharing.linked(Records(hospital.house, NODE), pair[1])} >= {pair[1], pair[2]}
    assert "These records are joined" in await visitor.get(pair[0])
    entry = re.search(r"entry=(\d+)", done.headers["location"])
    assert entry
    back = await visitor.post("/desk/duplicates/undo", entry=entry[1])
    assert f"{waiting[1]} pair" in await visitor.get(back.headers["location"])
    assert pair[2] not in {one.patient for one in await sharing.linked(Records(hospital.house, NODE), pair[1])}
    await visitor.post("/desk/duplicates/undo", 409, entry=entry[1])


async def test_a_clerk_sees_who_a_person_is_and_nothing_clinical(hospital: Hospital) -> None:
    visitor = await hospital.sign_in("clerk")
    page = await visitor.get(f"/desk/people/{PERSON}")
    assert "2 records of this person" in page and "Traditional Medicine Hospital" in page
    assert "hypertension" not in page.lower()


# a manager -------------------------------------------------------------------------------------------------------


async def test_a_manager_adds_a_user_who_signs_in_until_disabled(hospital: Hospital) -> None:
    manager = await hospital.sign_in("manager")
    await manager.get("/desk/institution/users/add")
    given = {"login": "new.doctor", "role": "clinician", "name_zh": "新医生"}
    refused = await manager.post("/desk/institution/users/add", 422, **given)
    assert "directory" in refused.text
    made = await manager.post("/desk/institution/users/add", 200, **given, practitioner="hx-s02")
    password = re.search(r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3,5}\b", made.text)
    assert password
    assert password[0] not in await manager.get("/desk/institution/users")
    doctor = await hospital.sign_in("new.doctor", password[0])
    await doctor.get("/desk", 303)  # a password that somebody else knows opens the choice of another, and no more
    await doctor.get("/sign-in/password")
    await doctor.post("/sign-in/password", 422, new=password[0], again=password[0])
    await doctor.post("/sign-in/password", new=OWN, again=OWN)
    await doctor.get(f"/desk/people/{PERSON}")
    taken = await manager.post("/desk/institution/users/add", 422, **given, practitioner="hx-s02")
    assert "taken" in taken.text
    await manager.post("/desk/institution/users/new.doctor/disable")
    await doctor.get("/desk", 303)
    await hospital.sign_in("new.doctor", OWN, status=422)
    await manager.post("/desk/institution/users/new.doctor/enable")
    renewed = await manager.post("/desk/institution/users/new.doctor/password", 200)
    again = re.search(r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3,5}\b", renewed.text)
    assert again and again[0] != password[0]
    await hospital.sign_in("new.doctor", OWN, status=422)
    await hospital.sign_in("new.doctor", again[0])


async def test_a_manager_reaches_only_the_institutions_own_users(hospital: Hospital) -> None:
    await accounts.create(hospital.house.database, "stranger", PASSWORD, Role.CLERK, institution="tc-hospital")
    manager = await hospital.sign_in("manager")
    assert "stranger" not in await manager.get("/desk/institution/users")
    nobodys = (("stranger", "disable"), ("patient", "password"), ("clerk", "delete"))
    for login, act in (*nobodys, ("manager", "disable"), ("manager", "password")):
        await manager.get(f"/desk/institution/users/{login}/{act}", 404)
        await manager.post(f"/desk/institution/users/{login}/{act}", 404)
    refused = await manager.post("/desk/institution/users/add", 422, login="root", role="system", name_zh="x")
    assert "choose one of the options" in refused.text


async def test_the_access_log_is_filtered_and_paged(hospital: Hospital) -> None:
    doctor = await hospital.sign_in("clinician")
    await doctor.get(f"/desk/people/{PERSON}")
    manager = await hospital.sign_in("manager")
    assert "Shen Zhiyuan" in await manager.get("/desk/institution/access?login=clinician")
    assert "No accesses that fit" in await manager.get("/desk/institution/access?since=2999-01-01")
    assert "No accesses that fit" in await manager.get("/desk/institution/access?before=1")
    for query in ("since=x", "until=9999-12-31", "before=x", "before=" + "9" * 30, "login=%00", "outcome='"):
        await manager.get(f"/desk/institution/access?{query}")
    assert "Shen Zhiyuan" in await manager.get("/desk/institution/access?purpose=TREAT")
    assert "No accesses that fit" in await manager.get("/desk/institution/access?purpose=HRESCH")
    await manager.get("/desk/institution/access?outcome=disclosed")


async def test_case_81_the_access_log_as_a_table_runs_no_formula(hospital: Hospital) -> None:
    """What a clinician wrote as their reason is text to a spreadsheet, whatever it begins with."""
    manager = await hospital.sign_in("manager")
    named = Principal("formulist", "=cmd|'/c calc'!A1", Role.CLINICIAN, Purpose.TREATMENT, institution="hx-hospital")
    for why in ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "＝1"):
        await hospital.house.audit.write(Access(named, "read", "Observation/x", why=why))
    text = await manager.get("/desk/institution/access.csv?login=formulist")
    rows = list(csv.reader(StringIO(text.removeprefix("\ufeff"))))
    assert len(rows) == 8 and {len(row) for row in rows} == {11}
    assert not [cell for row in rows for cell in row if cell.lstrip(" ").startswith(("=", "+", "-", "@", "\t", "＝"))]
    assert {"'=1+1", "'＝1"} <= {row[9] for row in rows}
    await (await hospital.sign_in("clinician")).get("/desk/institution/access.csv", 404)
