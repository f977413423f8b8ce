"""The patient's pages over HTTP: who may open them, and what a hostile or hurried caller is told."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import asyncpg
import httpx
import orjson
import pytest

from xinglin.access.house import House
from xinglin.access.identity import accounts
from xinglin.access.persons import catch_up
from xinglin.access.principal import NODE, Role
from xinglin.access.records import Records, Write
from xinglin.app import Application
from xinglin.core.schema.decode import parse
from xinglin.demo import County, bundles, directory
from xinglin.demo import accounts as county_accounts
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database

PASSWORD = "four words of ours"
BASE = "http://127.0.0.1:8080"
PATIENTS = ("reader", "changer", "mover", "guesser")
PATIENT = "reader"
STAFF = "clinician"


async def load(house: House, county: County) -> None:
    """The directory and the first people."""
    for bundle in [*directory(county), *bundles(county, 0, 20)]:
        writes = [
            Write("PUT", resource["resourceType"], resource["id"], parse(orjson.dumps(resource)), keep_id=True)
            for resource in bundle.resources
        ]
        await Records(house, NODE).write(writes, custodian=bundle.custodian)
    while await catch_up(house):
        pass


async def make_accounts(house: House, county: County) -> None:
    """Five accounts of one person, so that no test sees another's sessions, and one of a physician."""
    known = {one.login: one for one in county_accounts(county)}
    patient = known["patient"].reference.removeprefix("Patient/")
    for login in PATIENTS:
        await accounts.create(house.database, login, PASSWORD, Role.PATIENT, name_zh="李世良", patient=patient)
    doctor = known["clinician"]
    number = doctor.reference.removeprefix("Practitioner/")
    await accounts.create(
        *(house.database, STAFF, PASSWORD, Role.CLINICIAN),
        name_zh=doctor.name_zh,
        practitioner=number,
        institution=doctor.organization,
    )


class Visitor:
    """A browser without a window: keeps cookies, finds the token of the page it saw last."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http
        self.token = ""

    async def get(self, path: str, **headers: str) -> httpx.Response:
        answer = await self.http.get(path, headers=headers)
        found = re.search(r'name="_csrf" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        assert answer.status_code < 500 and "Traceback" not in answer.text
        return answer

    async def post(self, path: str, **fields: str | list[str]) -> httpx.Response:
        answer = await self.http.post(path, data={"_csrf": self.token, **fields})
        assert answer.status_code < 500 and "Traceback" not in answer.text
        return answer

    async def sign_in(self, login: str, password: str = PASSWORD, **fields: str) -> httpx.Response:
        await self.get("/sign-in?lang=en")
        return await self.post("/sign-in", login=login, password=password, **fields)


@pytest.fixture(scope="module")
async def served(postgres: str, template: str) -> AsyncIterator[Application]:
    """The application on a small county of this module's own."""
    name = f"portal_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    house = await House.open(Settings(), with_database(postgres, name), pool_size=8)
    county = County(people=40)
    await load(house, county)
    await make_accounts(house, county)
    app = Application(Settings(), house)
    async with app.pages.router.lifespan_context(app.pages):
        yield app
    await house.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def visitors(served: Application) -> AsyncIterator[Callable[[], Visitor]]:
    """Makes browsers that know nothing yet."""
    opened: list[httpx.AsyncClient] = []

    def visitor() -> Visitor:
        transport = httpx.ASGITransport(served, raise_app_exceptions=False)  # type: ignore[arg-type]
        opened.append(httpx.AsyncClient(transport=transport, base_url=BASE))
        return Visitor(opened[-1])

    yield visitor
    for client in opened:
        await client.aclose()


async def test_pages_are_for_those_who_may(visitors: Any) -> None:
    nobody, staff, person = visitors(), visitors(), visitors()
    for path in ("/me", "/me/record?kind=visits", "/me/settings"):
        answer = await nobody.get(path)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=%2Fme")
    fragment = await nobody.get("/me/record", **{"hx-request": "true"})
    assert fragment.status_code == 204 and fragment.headers["hx-redirect"] == "/sign-in"

    entered = await staff.sign_in(STAFF)
    assert entered.status_code == 303
    assert (await staff.get("/")).headers["location"] == "/desk"
    refused = await staff.get("/me")
    assert refused.status_code == 404 and "<h1>" in refused.text
    assert refused.text.count("Page not found") >= 1

    await person.sign_in(PATIENT)
    assert (await person.get("/")).headers["location"] == "/me"
    home = await person.get("/me")
    assert home.status_code == 200 and home.headers["cache-control"] == "no-store"
    assert "default-src 'self'" in home.headers["content-security-policy"]


async def test_a_cookie_that_was_tampered_with_signs_nobody_in(visitors: Any) -> None:
    person = visitors()
    await person.sign_in(PATIENT)
    person.http.cookies.set("xl_session", "x" * 43, domain="127.0.0.1")
    answer = await person.get("/me")
    assert answer.status_code == 303


@pytest.mark.parametrize(
    "address", ["//evil.example", "https://evil.example/", "/\\evil.example", "/sign-out", "evil", "/\tx"]
)
async def test_the_next_page_is_one_of_ours(visitors: Any, address: str) -> None:
    person = visitors()
    answer = await person.sign_in(PATIENT, next=address)
    assert answer.status_code == 303 and answer.headers["location"] == "/"


async def test_hostile_requests_get_clear_answers(visitors: Any) -> None:
    person = visitors()
    await person.sign_in(PATIENT)
    for path, status in (
        ("/me/record?page=999999&kind=%00&year=%27", 200),
        ("/me/record?page=-1", 200),
        ("/me/trends/%F0%9F%8C%B8", 404),
        ("/me/trends/a,b%7Cc%24", 404),
        ("/me/reports/..%2F..%2Fetc", 404),
        ("/me/reports/nothing", 404),
        ("/me/documents/%3Cscript%3E", 404),
        ("/me/access?before=999999999999999999&who=x&institution=y", 200),
        ("/me/access?before=abc", 200),
        ("/nowhere", 404),
    ):
        answer = await person.get(path)
        assert answer.status_code == status, path
        assert "<script>" not in answer.text
    assert (await person.http.post("/me/sharing/withdraw", data={"consent": "x"})).status_code == 403
    assert (await person.post("/me/sharing/withdraw", consent="nothing")).status_code == 404
    assert (await person.post("/me/requests/nothing", answer="allow")).status_code == 404
    assert (await person.post("/me/notices/nothing")).status_code == 404


async def test_a_corrected_form_comes_back_with_its_reasons(visitors: Any) -> None:
    person = visitors()
    await person.sign_in(PATIENT)
    await person.get("/me/sharing/give")
    answer = await person.post(
        "/me/sharing/give", custodian="nowhere", grantee="hx-hospital", categories=["visits"], until="1999-01-01"
    )
    assert answer.status_code == 422
    assert "That institution holds no record of yours." in answer.text
    assert "The last day lies in the past." in answer.text
    unknown = await person.post(
        "/me/sharing/give", custodian="hx-hospital", grantee="jj-centre", categories=["everything"], step="give"
    )
    assert unknown.status_code == 422
    same = await person.post(
        "/me/sharing/give", custodian="hx-hospital", grantee="hx-hospital", categories=["visits"], step="give"
    )
    assert same.status_code == 422


async def test_the_password_is_changed_and_other_devices_are_signed_out(visitors: Any) -> None:
    here, there = visitors(), visitors()
    await here.sign_in("changer")
    await there.sign_in("changer")
    assert (await there.get("/me")).status_code == 200
    await here.get("/me/settings")
    wrong = await here.post("/me/settings/password", current="not mine at all", new="five new words now", again="x")
    assert wrong.status_code == 422 and "The two new passwords differ" in wrong.text
    new = "five new words now"
    wrong = await here.post("/me/settings/password", current="not mine at all", new=new, again=new)
    assert wrong.status_code == 422 and "This is not your current password." in wrong.text
    short = await here.post("/me/settings/password", current=PASSWORD, new="short", again="short")
    assert short.status_code == 422 and "five new words" not in short.text
    for easy, why in (("Password1", "tried first"), ("changer2026", "your login"), ("19870703", "a date")):
        refused = await here.post("/me/settings/password", current=PASSWORD, new=easy, again=easy)
        assert refused.status_code == 422 and why in refused.text and easy not in refused.text
    done = await here.post("/me/settings/password", current=PASSWORD, new=new, again=new)
    assert done.status_code == 303
    assert (await here.get("/me")).status_code == 200
    assert (await there.get("/me")).status_code == 303
    assert (await there.sign_in("changer", PASSWORD)).status_code == 422
    assert (await there.sign_in("changer", new)).status_code == 303


async def test_sessions_are_listed_and_ended(visitors: Any) -> None:
    here, there = visitors(), visitors()
    await there.sign_in("mover")
    await here.sign_in("mover")
    shown = await here.get("/me/settings")
    other = re.findall(r'name="session" value="([^"]+)"', shown.text)
    assert len(other) == 1
    assert (await here.post("/me/settings/sessions", session=other[0])).status_code == 303
    assert (await there.get("/me")).status_code == 303
    assert (await here.get("/me")).status_code == 200


async def test_a_hundred_wrong_passwords_are_told_to_wait(visitors: Any) -> None:
    person = visitors()
    answers = [await person.sign_in("guesser", f"wrong {n}") for n in range(10)]
    assert [answer.status_code for answer in answers[:5]] == [422] * 5
    assert answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) >= 1
    assert "Too many sign-ins have failed. Please wait" in answers[-1].text
