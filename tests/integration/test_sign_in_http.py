"""Signing in over HTTP, on a node that demands two factors of staff: the whole way, and what is shut along it."""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import httpx
import pyotp
import pytest

from clocks import Time
from softkey import SoftKey
from xinglin.access.house import House
from xinglin.access.identity import accounts
from xinglin.access.principal import NODE, Role
from xinglin.access.records import Records, Write
from xinglin.app import Application
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database

pytestmark = pytest.mark.usefixtures("time", "quick")

PASSWORD = "four words of ours"
BASE = "http://localhost:8080"
CODE = r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3,5}\b"


@dataclass
class Visitor:
    """A browser without a window; `token` is that of the form it saw last."""

    http: httpx.AsyncClient
    token: str = ""

    async def get(self, path: str, status: int = 200) -> str:
        answer = await self.http.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[-500:])
        found = re.search(r'name="_csrf" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        return html.unescape(answer.text) if status == 200 else answer.headers.get("location", "")

    async def post(self, path: str, status: int = 303, **fields: str) -> httpx.Response:
        answer = await self.http.post(path, data={"_csrf": self.token, **fields})
        assert answer.status_code == status, (path, answer.status_code, answer.text[-500:])
        return answer

    async def sign_in(self, login: str, password: str = PASSWORD, status: int = 303, **fields: str) -> httpx.Response:
        await self.get("/sign-in?lang=en")
        return await self.post("/sign-in", status, login=login, password=password, **fields)


@dataclass(frozen=True)
class Node:
    app: Application
    visit: Callable[[], Visitor]


@pytest.fixture(scope="module")
async def built(postgres: str, template: str) -> AsyncIterator[Application]:
    name = f"signing_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    settings = Settings(second_factor="required")
    house = await House.open(settings, with_database(postgres, name), pool_size=6)
    patient = {"resourceType": "Patient", "id": "p1"}
    await Records(house, NODE).write([Write("PUT", "Patient", "p1", patient, keep_id=True)], custodian="hx")
    app = Application(settings, house)
    async with app.pages.router.lifespan_context(app.pages):
        yield app
    await house.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def node(built: Application) -> AsyncIterator[Node]:
    assert built.house is not None
    database = built.house.database
    for table in ("account", "sign_in_failure", "begun"):
        await database.pool.execute(f"DELETE FROM {table}")
    for login, role in (("li", Role.CLINICIAN), ("clerk", Role.CLERK), ("boss", Role.MANAGER)):
        await accounts.create(database, login, PASSWORD, role, institution="hx")
    await accounts.create(database, "wang", PASSWORD, Role.PATIENT, patient="p1")
    opened: list[httpx.AsyncClient] = []

    def visit() -> Visitor:
        transport = httpx.ASGITransport(built, raise_app_exceptions=False)  # type: ignore[arg-type]
        opened.append(httpx.AsyncClient(transport=transport, base_url=BASE))
        return Visitor(opened[-1])

    yield Node(built, visit)
    for client in opened:
        await client.aclose()


def key_on(page: str) -> pyotp.TOTP:
    """The app that has scanned a page's QR code."""
    found = re.search(r"<code class=\"u-wrap\">([A-Z2-7 ]+)</code>", page)
    assert found
    return pyotp.TOTP(found[1].replace(" ", ""))


async def enrolled(visitor: Visitor, login: str) -> tuple[pyotp.TOTP, list[str]]:
    """Staff at their first sign-in: the app, and the recovery codes."""
    answer = await visitor.sign_in(login)
    assert answer.headers["location"] == "/sign-in/enrol" and "xl_session" not in visitor.http.cookies
    app = key_on(await visitor.get("/sign-in/enrol"))
    shown = await visitor.post("/sign-in/enrol", 200, code=app.at(clock.now()))
    return app, re.findall(CODE, shown.text)


# the way in -----------------------------------------------------------------------------------------------------------


async def test_staff_set_up_an_app_at_the_first_sign_in_and_use_it_at_the_next(node: Node, time: Time) -> None:
    first = node.visit()
    app, codes = await enrolled(first, "li")
    assert len(codes) == 10
    assert "An authenticator app was set up" in await first.get("/desk/security")
    second = node.visit()
    answer = await second.sign_in("li", next="/desk/settings")
    assert answer.headers["location"] == "/sign-in/second"
    await second.get("/desk/settings", 303)
    assert (await second.get("/sign-in/enrol", 303)) == "/sign-in/second", "a step cannot be chosen"
    page = await second.get("/sign-in/second")
    assert "li" not in re.findall(r'value="([^"]*)"', page)
    wrong = await second.post("/sign-in/second", 422, code="000000")
    assert "The code is wrong" in wrong.text
    time.now += timedelta(seconds=60)
    entered = await second.post("/sign-in/second", code=app.at(time.now))
    assert entered.headers["location"] == "/desk/settings"
    third = node.visit()
    await third.sign_in("li")
    await third.get("/sign-in/second")
    await third.post("/sign-in/second", 422, code=app.at(time.now))
    await third.post("/sign-in/second", code=codes[0])


async def test_a_passkey_is_added_signs_in_confirms_and_is_removed(node: Node, time: Time) -> None:
    visitor, key = node.visit(), SoftKey(BASE, counter=1)
    await visitor.sign_in("wang")
    await visitor.get("/me/security")
    options = await visitor.post("/me/security/passkeys/options", 200)
    await visitor.post("/me/security/passkeys", credential=key.create(options.text), name="My <b>phone</b>")
    page = await visitor.http.get("/me/security")
    assert "My &lt;b&gt;phone" in page.text and "<b>phone" not in page.text
    other = node.visit()
    await other.get("/sign-in?lang=en&next=/me/settings")
    options = await other.post("/sign-in/passkey/options", 200)
    assert "wang" not in options.text
    entered = await other.post("/sign-in/passkey", credential=key.get(options.text), next="/me/settings")
    assert entered.headers["location"] == "/me/settings"
    await other.get("/me/security")
    time.now += timedelta(minutes=11)
    asked = await other.post("/me/security/passkeys/options")
    assert asked.headers["location"].startswith("/me/security/confirm?next=")
    await other.get("/me/security/confirm?next=/me/security")
    options = await other.post("/me/security/confirm/passkey/options", 200)
    await other.post("/me/security/confirm/passkey", credential=key.get(options.text), next="/me/security")
    remove = re.search(r'href="(/me/security/passkeys/[^"]+/remove)"', await other.get("/me/security"))
    assert remove
    await other.get(remove[1])
    await other.post(remove[1])
    assert "A passkey was removed" in await other.get("/me/security")
    await other.get(remove[1], 404)


async def test_lost_everything_and_back_in_face_to_face(node: Node, time: Time) -> None:
    owner, clerk, lost = node.visit(), node.visit(), node.visit()
    await owner.sign_in("wang")
    await enrolled(clerk, "clerk")
    assert "Never by telephone" in await clerk.get("/desk/recovery")
    refused = await clerk.post("/desk/recovery", 422, login="boss", evidence="identity-card")
    assert not re.search(CODE, refused.text)
    made = await clerk.post("/desk/recovery", 200, login="Wang ", evidence="identity-card")
    code = re.findall(CODE, made.text)[0]
    warned = await owner.get("/me/security")
    assert "A code that opens this account was handed over" in warned and code not in warned
    await lost.get("/sign-in/recover?lang=en")
    early = await lost.post("/sign-in/recover", 422, login="wang", code=code)
    assert "does not work at this time" in early.text
    time.now += timedelta(minutes=31)
    await lost.post("/sign-in/recover", login="wang", code=code)
    await lost.get("/sign-in/recover/password")
    await lost.post("/sign-in/recover/password", 422, new="short", again="short")
    done = await lost.post("/sign-in/recover/password", new="my own new words", again="my own new words")
    assert done.headers["location"] == "/"
    assert "opened with a code from staff" in await lost.get("/me/security")
    await owner.get("/me", 303)
    await node.visit().sign_in("wang", status=422)


async def test_the_owner_stops_a_code_without_proving_more(node: Node, time: Time) -> None:
    owner, clerk = node.visit(), node.visit()
    await owner.sign_in("wang")
    await enrolled(clerk, "clerk")
    await clerk.get("/desk/recovery")
    made = await clerk.post("/desk/recovery", 200, login="wang", evidence="passport")
    time.now += timedelta(minutes=31)
    await owner.get("/me/security")
    await owner.post("/me/security/recovery/refuse")
    lost = node.visit()
    await lost.get("/sign-in/recover")
    await lost.post("/sign-in/recover", 422, login="wang", code=re.findall(CODE, made.text)[0])


# what is shut ---------------------------------------------------------------------------------------------------------

CHANGES = (
    "/me/security/passkeys/options", "/me/security/passkeys", "/me/security/passkeys/x/remove", "/me/security/codes",
    "/me/security/codes/remove", "/me/security/recovery-codes",
)  # fmt: skip
FORMS = (
    *CHANGES, "/sign-in/second", "/sign-in/second/passkey", "/sign-in/second/passkey/options", "/sign-in/password",
    "/sign-in/enrol", "/sign-in/enrol/passkey", "/sign-in/passkey", "/sign-in/passkey/options", "/sign-in/recover",
    "/sign-in/recover/password", "/me/security/confirm", "/me/security/confirm/passkey", "/me/security/sessions",
    "/me/security/confirm/passkey/options", "/me/security/recovery/refuse", "/me/settings/password", "/sign-in",
)  # fmt: skip


@pytest.mark.parametrize("path", CHANGES)
async def test_a_session_left_open_changes_no_lock(node: Node, time: Time, path: str) -> None:
    visitor = node.visit()
    await visitor.sign_in("wang")
    await visitor.get("/me/security")
    time.now += timedelta(minutes=11)
    answer = await visitor.post(path, credential="{}", code="000000")
    assert answer.headers["location"].startswith("/me/security/confirm?next=%2Fme%2Fsecurity")
    await visitor.get("/me/security/confirm")
    await visitor.post("/me/security/confirm", 422, password="wrong password")
    before = visitor.http.cookies["xl_session"]
    back = await visitor.post("/me/security/confirm", password=PASSWORD, next="https://evil.example/")
    assert visitor.http.cookies["xl_session"] != before, "a new proof, a new cookie"
    thief = node.visit()
    thief.http.cookies.set("xl_session", before)
    assert (await thief.get("/me", 303)).startswith("/sign-in")
    assert back.headers["location"] == "/me/security"


async def test_a_password_alone_does_not_change_the_password_of_who_has_more(node: Node, time: Time) -> None:
    visitor, key = node.visit(), SoftKey(BASE, counter=1)
    await visitor.sign_in("wang")
    await visitor.get("/me/security")
    options = await visitor.post("/me/security/passkeys/options", 200)
    await visitor.post("/me/security/passkeys", credential=key.create(options.text))
    time.now += timedelta(minutes=11)
    await visitor.get("/me/settings")
    new = {"current": PASSWORD, "new": "my own new words", "again": "my own new words"}
    asked = await visitor.post("/me/settings/password", **new)
    assert asked.headers["location"] == "/me/security/confirm?next=%2Fme%2Fsettings"
    await node.visit().sign_in("wang")


@pytest.mark.parametrize("path", FORMS)
async def test_a_form_of_another_site_changes_nothing(node: Node, path: str) -> None:
    """Without the token, with another's, and where the browser says that another site sent it."""
    for login in ("wang", ""):
        visitor = node.visit()
        if login:
            await visitor.sign_in(login)
            await visitor.get("/me/security")
        for fields, headers in (
            ({}, {}),
            ({"_csrf": "x" * 43}, {}),
            ({"_csrf": visitor.token}, {"sec-fetch-site": "cross-site"}),
        ):
            answer = await visitor.http.post(path, data=fields, headers=headers)
            waiting = answer.status_code == 303 and answer.headers["location"].startswith("/sign-in")
            assert answer.status_code == 403 or waiting, (path, login, answer.status_code)
            assert "set-cookie" not in answer.headers or "xl_session=" not in answer.headers["set-cookie"]


@pytest.mark.parametrize("address", ["//evil.example", "https://evil.example/", "/\\evil.example", "evil", "/\tx"])
async def test_the_way_goes_on_to_pages_of_ours_only(node: Node, time: Time, address: str) -> None:
    visitor, key = node.visit(), SoftKey(BASE, counter=1)
    app, _codes = await enrolled(visitor, "li")
    await visitor.get("/desk/security")
    options = await visitor.post("/desk/security/passkeys/options", 200)
    await visitor.post("/desk/security/passkeys", credential=key.create(options.text))
    time.now += timedelta(minutes=1)
    again = node.visit()
    await again.sign_in("li", next=address)
    await again.get("/sign-in/second")
    assert (await again.post("/sign-in/second", code=app.at(time.now))).headers["location"] == "/"
    third = node.visit()
    await third.get("/sign-in")
    options = await third.post("/sign-in/passkey/options", 200)
    entered = await third.post("/sign-in/passkey", credential=key.get(options.text), next=address)
    assert entered.headers["location"] == "/"


async def test_a_ticket_or_challenge_is_worth_nothing_in_another_browser(node: Node, time: Time) -> None:
    owner, thief = node.visit(), node.visit()
    app, _codes = await enrolled(owner, "li")
    time.now += timedelta(minutes=1)
    victim = node.visit()
    await victim.sign_in("li")
    await thief.get("/sign-in")
    answer = await thief.post("/sign-in/second", code=app.at(time.now))
    assert answer.headers["location"].startswith("/sign-in?failed=over")
    await victim.get("/sign-in/second")
    await victim.post("/sign-in/second", code=app.at(time.now))
    assert victim.http.cookies.get("xl_sign_in") is None
    assert (await thief.get("/sign-in/second", 303)) == "/sign-in?failed=over"


async def test_a_session_cookie_set_by_somebody_else_is_replaced(node: Node) -> None:
    """Session fixation: what the browser bore before signing in opens nothing afterwards, here or elsewhere."""
    attacker, victim = node.visit(), node.visit()
    await attacker.sign_in("wang")
    planted = attacker.http.cookies["xl_session"]
    await attacker.get("/me/security")
    await victim.http.post(
        "/sign-in",
        data={"_csrf": attacker.token, "login": "wang", "password": PASSWORD},
        headers={"cookie": f"xl_session={planted}"},
    )
    assert victim.http.cookies["xl_session"] != planted
    await attacker.get("/me", 303)
    await victim.get("/me/security")


@pytest.mark.parametrize("login", ["clerk", "boss"])
async def test_staff_stand_before_the_desk_freshly_proven(node: Node, time: Time, login: str) -> None:
    visitor = node.visit()
    await enrolled(visitor, login)
    await visitor.get("/desk/recovery")
    time.now += timedelta(minutes=11)
    answer = await visitor.post("/desk/recovery", login="wang", evidence="passport")
    assert answer.headers["location"] == "/desk/security/confirm?next=%2Fdesk%2Frecovery"
    person = node.visit()
    await person.sign_in("wang")
    await person.get("/desk/recovery", 404)
    assert await person.get("/desk/security", 303) == "/me/security"


async def test_nothing_secret_is_kept_by_a_browser_or_a_cache(node: Node) -> None:
    visitor = node.visit()
    await visitor.sign_in("li")
    page = await visitor.http.get("/sign-in/enrol")
    assert page.headers["cache-control"] == "no-store"
    assert "unsafe-inline" not in page.headers["content-security-policy"]
    cookies = [c for c in (await visitor.sign_in("li")).headers.get_list("set-cookie") if c.startswith("xl_sign_in")]
    assert cookies and all("HttpOnly" in c and "SameSite=lax" in c and "Path=/" in c for c in cookies)
