"""Signing in at an outside OpenID provider: a second instance of our own server, and one that lies in every way."""

from __future__ import annotations

import html
import re
import uuid
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, RSAKey

from xinglin.access.house import House
from xinglin.access.identity import accounts, openid, providers
from xinglin.access.oauth import clients
from xinglin.access.oauth.clients import Registration
from xinglin.access.persons import catch_up
from xinglin.access.principal import NODE, Role
from xinglin.access.records import Records, Write
from xinglin.app import Application
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database
from xinglin.kernel.errors import Invalid

PASSWORD = "four words of ours"
BASE, OUTSIDE, OTHER = "http://localhost:8080", "http://localhost:9001", "https://id.other.example"
NUMBER = "11010519491231002X"


@dataclass
class Browser:
    http: httpx.AsyncClient
    token: str = ""

    async def get(self, path: str) -> httpx.Response:
        answer = await self.http.get(path)
        found = re.search(r'name="_csrf" value="([^"]+)"', answer.text)
        self.token = found[1] if found else self.token
        assert answer.status_code < 500, answer.text[-500:]
        return answer

    async def post(self, path: str, **fields: Any) -> httpx.Response:
        answer = await self.http.post(path, data={"_csrf": self.token, **fields})
        assert answer.status_code < 500, answer.text[-500:]
        return answer

    async def sign_in(self, login: str) -> None:
        await self.get("/sign-in")
        assert (await self.post("/sign-in", login=login, password=PASSWORD)).status_code == 303

    async def leave_for(self, provider: str, **fields: str) -> str:
        """Where the page after the button leads by itself, or the answer without going there."""
        await self.get("/sign-in")
        answer = await self.post(f"/sign-in/with/{provider}", **fields)
        if answer.status_code == 303:
            return str(answer.headers["location"])
        assert answer.headers["referrer-policy"] == "no-referrer"
        onward = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.text)
        assert onward, answer.text[-500:]
        return html.unescape(onward[1])

    @property
    def is_in(self) -> bool:
        return bool(self.http.cookies.get("xl_session"))


def browser(app: Application, base: str) -> Browser:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
    return Browser(httpx.AsyncClient(transport=transport, base_url=base, headers={"accept-language": "en"}))


async def _house(postgres: str, template: str, settings: Settings) -> House:
    name = f"provider_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    await admin.close()
    return await House.open(settings, with_database(postgres, name), pool_size=4)


@pytest.fixture(scope="module")
async def outside(postgres: str, template: str) -> AsyncIterator[tuple[Application, str, str]]:
    """A second instance of this very server, where we are an app; and our id and secret there."""
    house = await _house(postgres, template, Settings(base_url=OUTSIDE))
    app = Application(house.settings, house)
    wanted = Registration("Node", "secret", ("openid",), (f"{BASE}/sign-in/with/outside/return",))
    client, secret = await clients.register(house.database, wanted)
    await accounts.create(house.database, "wang.outside", PASSWORD, Role.PATIENT, patient="x")
    async with app.pages.router.lifespan_context(app.pages):
        yield app, client.id, secret or ""
    await house.close()


@pytest.fixture(scope="module")
async def node(
    postgres: str, template: str, outside: tuple[Application, str, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Application]:
    """Our node, which knows that server and the lying one."""
    folder = tmp_path_factory.mktemp("providers")
    (folder / "secret").write_text(outside[2] + "\n")
    one = {"label_zh": "外部", "label_en": "Outside"}
    file = folder / "providers.json"
    identity = {"claim": "resident_id", "assurance": {"claim": "ial", "values": ["2", "3"]}}
    file.write_bytes(
        orjson.dumps(
            {
                "providers": [
                    {**one, "name": "outside", "issuer": OUTSIDE, "client_id": outside[1],
                     "client_secret": f"file:{folder / 'secret'}", "parameters": {"aud": f"{OUTSIDE}/fhir"}},
                    {**one, "name": "other", "issuer": OTHER, "client_id": "us", "identity": identity,
                     "second_factor": {"claim": "amr", "values": ["mfa"]}},
                ]
            }
        )
    )  # fmt: skip
    house = await _house(postgres, template, Settings(base_url=BASE, providers=str(file), second_factor="required"))
    resident = {"system": "http://hl7.org/fhir/sid/cn-resident-id", "value": NUMBER}
    patient = {"resourceType": "Patient", "id": "p1", "identifier": [resident], "name": [{"text": "王秀英"}]}
    await Records(house, NODE).write([Write("PUT", "Patient", "p1", patient, keep_id=True)], custodian="hx")
    while await catch_up(house):
        pass
    app = Application(house.settings, house)
    async with app.pages.router.lifespan_context(app.pages):
        yield app
    await house.close()


@pytest.fixture(autouse=True)
async def afresh(node: Application) -> AsyncIterator[None]:
    assert node.house is not None
    pool = node.house.database.pool
    for table in ("account", "account_proof", "sign_in_failure", "begun"):
        await pool.execute(f"DELETE FROM {table}")
    await accounts.create(node.house.database, "wang", PASSWORD, Role.PATIENT, patient="p1")
    await accounts.create(node.house.database, "li", PASSWORD, Role.CLINICIAN, institution="hx")
    openid.forget_published()
    yield


# our own server as provider -------------------------------------------------------------------------------------------


@pytest.fixture
def reached(outside: tuple[Application, str, str]) -> Iterator[None]:
    openid.TRANSPORT = httpx.ASGITransport(outside[0])  # type: ignore[arg-type]
    yield
    openid.TRANSPORT = None


async def go_through(there: Browser, address: str) -> str:
    """The answer's address of a person who is signed in at the outside server and allows it."""
    asked = await there.get(address.removeprefix(OUTSIDE))
    page = await there.get(asked.headers["location"])
    assert page.status_code == 200, (asked.headers["location"], page.text[-3000:])
    answer = await there.post(asked.headers["location"], answer="allow", scope=["openid"])
    assert answer.status_code == 303, answer.text[-800:]
    return str(answer.headers["location"]).removeprefix(BASE)


async def test_a_second_instance_of_ours_is_connected_and_signs_in(
    node: Application, outside: tuple[Application, str, str], reached: None
) -> None:
    there, here = browser(outside[0], OUTSIDE), browser(node, BASE)
    await there.sign_in("wang.outside")
    assert "Sign in with Outside" in (await here.get("/sign-in")).text
    back = await here.get(await go_through(there, await here.leave_for("outside")))
    assert back.headers["location"] == "/sign-in?failed=unlinked", "an account of the same person is not enough"
    assert "No account here belongs to that sign-in" in (await here.get(back.headers["location"])).text

    await here.sign_in("wang")
    await here.get("/me/security")
    leaving = await here.post("/me/security/links/outside")
    link = re.search(r'href="(http://localhost:9001/[^"]+)"', leaving.text)
    assert link
    back = await here.get(await go_through(there, link[1].replace("&amp;", "&")))
    assert back.headers["location"] == "/me/security?done=linked"
    assert "Another sign-in was connected" in (await here.get("/me/security")).text

    new = browser(node, BASE)
    back = await new.get(await go_through(there, await new.leave_for("outside", next="/me/settings")))
    assert back.headers["location"] == "/me/settings" and new.is_in

    await here.get("/me/security/links/outside/remove")
    await here.post("/me/security/links/outside/remove")
    new.http.cookies.clear()
    back = await new.get(await go_through(there, await new.leave_for("outside")))
    assert back.headers["location"] == "/sign-in?failed=unlinked"


# a provider that lies -------------------------------------------------------------------------------------------------


@dataclass
class Liar:
    """A provider as httpx reaches it. `header`, `claims`: put into the ID token in place of the right ones."""

    key: Any = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1"}))
    signing: Any = None
    header: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    nonce: str = ""
    verifier: str = ""
    asked: list[str] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        assert "cookie" not in request.headers
        if request.url.path.endswith("openid-configuration"):
            ends = {"authorization_endpoint": f"{OTHER}/auth", "token_endpoint": f"{OTHER}/token"}
            return httpx.Response(200, json={"issuer": OTHER, **ends, "jwks_uri": f"{OTHER}/keys", **self.metadata})
        if request.url.path == "/keys":
            return httpx.Response(200, json=KeySet([self.key]).as_dict(private=False))
        self.verifier = parse_qs(request.content.decode())["code_verifier"][0]
        return httpx.Response(200, json={"id_token": self.token()})

    def token(self) -> str:
        now = int(clock.now().timestamp())
        claims = {"iss": OTHER, "aud": "us", "sub": "s1", "exp": now + 300, "iat": now, "nonce": self.nonce}
        claims = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        header = {"alg": "ES256", "kid": "k1", **self.header}
        if "crit" in header:
            return self._signed_by_hand(header, claims)
        if header["alg"] == "none":
            return ".".join((*(_plain(part) for part in (header, claims)), ""))
        return jwt.encode(header, claims, self.signing or self.key, algorithms=[header["alg"]])

    def _signed_by_hand(self, header: dict[str, Any], claims: dict[str, Any]) -> str:
        """A right signature over a header that libraries refuse to write."""
        text = f"{_plain(header)}.{_plain(claims)}"
        r, s = decode_dss_signature(self.key.private_key.sign(text.encode(), ec.ECDSA(SHA256())))
        return f"{text}.{urlsafe_b64encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big')).rstrip(b'=').decode()}"


def _plain(part: dict[str, Any]) -> str:
    return urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=").decode()


@pytest.fixture
def liar() -> Iterator[Liar]:
    one = Liar()
    openid.TRANSPORT = httpx.MockTransport(one)
    yield one
    openid.TRANSPORT = None


async def visit(liar: Liar, here: Browser) -> dict[str, str]:
    """Off to the provider: what our address told it."""
    address = await here.leave_for("other")
    query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
    assert query["code_challenge_method"] == "S256" and query["response_type"] == "code"
    liar.nonce = query["nonce"]
    return query


async def come_back(here: Browser, **given: str) -> str:
    query = httpx.QueryParams(given)
    return str((await here.get(f"/sign-in/with/other/return?{query}")).headers["location"])


async def linked(node: Application, login: str = "wang") -> None:
    assert node.house is not None
    async with node.house.database.transaction() as connection:
        one = providers.named(node.house.settings, "other")
        await providers.link(connection, login, one, "s1", openid.Whence())


async def test_the_right_answer_signs_in_once(node: Application, liar: Liar) -> None:
    await linked(node)
    here = browser(node, BASE)
    query = await visit(liar, here)
    assert await come_back(here, state=query["state"], code="c") == "/" and here.is_in
    assert liar.verifier and liar.verifier not in str(query)
    again = browser(node, BASE)
    again.http.cookies.update(here.http.cookies)
    again.http.cookies.delete("xl_session")
    assert await come_back(again, state=query["state"], code="c") == "/sign-in?failed=provider"


RIGHT_AUDIENCES = [{"aud": ["us"]}, {"aud": ["us", "them"], "azp": "us"}, {"azp": "us"}]


@pytest.mark.parametrize("claims", RIGHT_AUDIENCES)
async def test_an_audience_of_several_names_us_as_the_party(node: Application, liar: Liar, claims: Any) -> None:
    await linked(node)
    here = browser(node, BASE)
    query = await visit(liar, here)
    liar.claims = claims
    assert await come_back(here, state=query["state"], code="c") == "/"


HMAC = OctKey.import_key("k" * 64)
LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"claims": {"iss": OUTSIDE}},
    "for another app": {"claims": {"aud": "them"}},
    "for several, party unsaid": {"claims": {"aud": ["us", "them"]}},
    "for several, another party": {"claims": {"aud": ["us", "them"], "azp": "them"}},
    "another party": {"claims": {"azp": "them"}},
    "over": {"claims": {"exp": 1000}},
    "without an end": {"claims": {"exp": None}},
    "an end in words": {"claims": {"exp": "tomorrow"}},
    "made long ago": {"claims": {"iat": 1000}},
    "made in the future": {"claims": {"iat": 2**40}},
    "another visit": {"claims": {"nonce": "x" * 43}},
    "no visit": {"claims": {"nonce": None}},
    "nobody": {"claims": {"sub": ""}},
    "a number as subject": {"claims": {"sub": 1}},
    "unsigned": {"header": {"alg": "none"}},
    "signed with a shared secret": {"header": {"alg": "HS256"}, "signing": HMAC},
    "an algorithm we do not allow": {"header": {"alg": "RS512"}, "signing": RSAKey.generate_key(2048)},
    "signed by somebody else": {"signing": ECKey.generate_key("P-256", {"kid": "k1"})},
    "an extension that must be understood": {"header": {"crit": ["x"], "x": "y"}},
    "signed right, and unsigned in name": {"header": {"alg": "nOnE", "crit": []}},
    "a key that is not known": {"header": {"kid": "k2"}, "signing": ECKey.generate_key("P-256", {"kid": "k2"})},
}


@pytest.mark.parametrize("lie", LIES)
async def test_55_57_an_id_token_that_is_wrong_in_anything_signs_nobody_in(
    node: Application, liar: Liar, lie: str
) -> None:
    await linked(node)
    here = browser(node, BASE)
    query = await visit(liar, here)
    for name, value in LIES[lie].items():
        setattr(liar, name, value)
    assert await come_back(here, state=query["state"], code="c") == "/sign-in?failed=provider"
    assert not here.is_in


async def test_state_is_bound_to_its_browser_and_visit(node: Application, liar: Liar) -> None:
    await linked(node)
    victim, thief = browser(node, BASE), browser(node, BASE)
    query = await visit(liar, thief)
    assert await come_back(victim, state=query["state"], code="c") == "/sign-in?failed=provider"
    mine = await visit(liar, victim)
    assert await come_back(victim, state=query["state"], code="c") == "/sign-in?failed=provider"
    assert await come_back(victim, state=mine["state"], code="c") == "/sign-in?failed=provider", "and it was used up"
    assert not victim.is_in and liar.verifier == "", "no code was redeemed"


async def test_another_site_begins_no_sign_in(node: Application, liar: Liar) -> None:
    """A link or a form elsewhere makes no visit to the provider, which might be silent, and so no session."""
    await linked(node)
    here = browser(node, BASE)
    assert (await here.get("/sign-in/with/other?next=/me")).status_code == 405
    assert (await here.post("/sign-in/with/other")).status_code == 403
    await here.get("/sign-in")
    crossing = {"sec-fetch-site": "cross-site"}
    answer = await here.http.post("/sign-in/with/other", data={"_csrf": here.token}, headers=crossing)
    assert answer.status_code == 403 and liar.asked == [] and not here.is_in


async def test_an_answer_of_another_provider_is_not_taken(node: Application, liar: Liar) -> None:
    """Mix-up: by the `iss` of RFC 9207, and by the return address that each provider has to itself."""
    await linked(node)
    here = browser(node, BASE)
    query = await visit(liar, here)
    assert await come_back(here, state=query["state"], code="c", iss=OUTSIDE) == "/sign-in?failed=provider"
    query = await visit(liar, here)
    crossed = await here.get(f"/sign-in/with/outside/return?state={query['state']}&code=c")
    assert crossed.headers["location"] == "/sign-in?failed=provider"
    openid.forget_published()
    liar.metadata = {"authorization_response_iss_parameter_supported": True}
    query = await visit(liar, here)
    assert await come_back(here, state=query["state"], code="c") == "/sign-in?failed=provider"
    query = await visit(liar, here)
    assert await come_back(here, state=query["state"], code="c", iss=OTHER) == "/"


@pytest.mark.parametrize(
    "metadata",
    [{"issuer": OUTSIDE}, {"token_endpoint": "http://10.0.0.1/"}, {"jwks_uri": "file:///etc"}, {"jwks_uri": 1}],
)
async def test_67_a_description_that_is_not_its_own_is_not_followed(
    node: Application, liar: Liar, metadata: Any
) -> None:
    liar.metadata = metadata
    assert await browser(node, BASE).leave_for("other") == "/sign-in?failed=provider"


@pytest.mark.parametrize("path", ["/token", "/keys", "/.well-known/openid-configuration"])
async def test_62_a_redirect_of_the_provider_is_not_followed(node: Application, liar: Liar, path: str) -> None:
    await linked(node)
    called: list[str] = []

    def hop(request: httpx.Request) -> httpx.Response:
        called.append(str(request.url))
        if request.url.path == path:
            return httpx.Response(307, headers={"location": "http://169.254.169.254/latest"}, json={})
        return liar(request)

    openid.TRANSPORT = httpx.MockTransport(hop)
    here = browser(node, BASE)
    if path.startswith("/.well"):
        assert await here.leave_for("other") == "/sign-in?failed=provider"
    else:
        query = await visit(liar, here)
        assert await come_back(here, state=query["state"], code="c") == "/sign-in?failed=provider"
    assert not [address for address in called if "169.254" in address]


async def test_keys_are_fetched_again_for_a_new_one_but_not_at_every_guess(
    node: Application, liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    await linked(node)
    here = browser(node, BASE)
    query = await visit(liar, here)
    assert await come_back(here, state=query["state"], code="c") == "/"
    liar.key = ECKey.generate_key("P-256", {"kid": "k2"})
    liar.header = {"kid": "k2"}
    for _guess in range(5):
        query = await visit(liar, browser_ := browser(node, BASE))
        assert await come_back(browser_, state=query["state"], code="c") == "/sign-in?failed=provider"
    assert liar.asked.count("/keys") == 1
    monkeypatch.setattr(openid, "AGAIN_SECONDS", 0.0)
    query = await visit(liar, here := browser(node, BASE))
    assert await come_back(here, state=query["state"], code="c") == "/"
    assert liar.asked.count("/keys") == 2


async def test_connecting_is_for_whoever_began_it(node: Application, liar: Liar) -> None:
    """The victim's browser cannot be made to connect its account with the attacker's outside one."""
    attacker, victim = browser(node, BASE), browser(node, BASE)
    await victim.sign_in("wang")
    assert (await victim.get("/me/security/links/other")).status_code == 405, "nothing begins by a link"
    forged = await victim.http.post("/me/security/links/other", data={"_csrf": "x" * 43})
    assert forged.status_code == 403
    await attacker.sign_in("wang")
    await attacker.get("/me/security")
    page = await attacker.post("/me/security/links/other")
    query = parse_qs(urlsplit(re.search(r'href="(https://id.other[^"]+)"', page.text)[1].replace("&amp;", "&")).query)  # type: ignore[index]
    liar.nonce = query["nonce"][0]
    assert await come_back(victim, state=query["state"][0], code="c") == "/me/security?failed=provider"
    attacker.http.cookies.delete("xl_session")  # signed out meanwhile
    assert await come_back(attacker, state=query["state"][0], code="c") == "/sign-in?failed=provider"
    assert await node.house.database.pool.fetchval("SELECT count(*) FROM provider_link") == 0  # type: ignore[union-attr]


async def test_never_by_mail_name_or_login(node: Application, liar: Liar) -> None:
    here = browser(node, BASE)
    query = await visit(liar, here)
    liar.claims = {"sub": "wang", "email": "wang@example.org", "email_verified": True, "preferred_username": "wang"}
    assert await come_back(here, state=query["state"], code="c") == "/sign-in?failed=unlinked"


NUMBERS = {
    "verified": ({"resident_id": NUMBER.lower(), "ial": "2"}, True),
    "not well enough": ({"resident_id": NUMBER, "ial": "1"}, False),
    "assurance unsaid": ({"resident_id": NUMBER}, False),
    "another's": ({"resident_id": "110105199003078532", "ial": "2"}, False),
    "no number at all": ({"resident_id": "' OR 1=1 --", "ial": "2"}, False),
    "a list": ({"resident_id": [NUMBER], "ial": "2"}, False),
}


@pytest.mark.parametrize("what", NUMBERS)
async def test_a_number_opens_the_account_that_bears_it_where_the_provider_vouches(
    node: Application, liar: Liar, what: str
) -> None:
    claims, opens = NUMBERS[what]
    here = browser(node, BASE)
    query = await visit(liar, here)
    liar.claims = claims
    expected = "/" if opens else "/sign-in?failed=unlinked"
    assert await come_back(here, state=query["state"], code="c") == expected
    assert node.house is not None
    proven = await node.house.database.pool.fetchval("SELECT method FROM account_proof WHERE login = 'wang'")
    assert proven is None, "whoever made the account may have put somebody else's number into its record"


async def test_two_accounts_that_bear_one_number_are_opened_by_neither(node: Application, liar: Liar) -> None:
    assert node.house is not None
    await accounts.create(node.house.database, "wang2", PASSWORD, Role.PATIENT, patient="p1")
    here = browser(node, BASE)
    query = await visit(liar, here)
    liar.claims = {"resident_id": NUMBER, "ial": "3"}
    assert await come_back(here, state=query["state"], code="c") == "/sign-in?failed=unlinked"


@pytest.mark.parametrize(
    ("amr", "where"), [(["pwd"], "/sign-in/enrol"), (["pwd", "mfa"], "/"), (None, "/sign-in/enrol")]
)
async def test_staff_need_two_factors_wherever_they_sign_in(
    node: Application, liar: Liar, amr: list[str] | None, where: str
) -> None:
    await linked(node, "li")
    here = browser(node, BASE)
    query = await visit(liar, here)
    liar.claims = {"amr": amr}
    assert await come_back(here, state=query["state"], code="c") == where


# the file -------------------------------------------------------------------------------------------------------------

GOOD = {"name": "a", "issuer": OTHER, "client_id": "us", "label_zh": "甲", "label_en": "A"}
WRONG_FILES: dict[str, Any] = {
    "no JSON": b"{",
    "no list": {},
    "unknown key": {"providers": [{**GOOD, "secret": "x"}]},
    "plain http": {"providers": [{**GOOD, "issuer": "http://id.example"}]},
    "a user in the address": {"providers": [{**GOOD, "issuer": "https://me@id.example"}]},
    "a shared secret's algorithm": {"providers": [{**GOOD, "algorithms": ["HS256"]}]},
    "no algorithm": {"providers": [{**GOOD, "algorithms": []}]},
    "the secret itself": {"providers": [{**GOOD, "client_secret": "s3cret"}]},
    "not OpenID": {"providers": [{**GOOD, "scopes": ["profile"]}]},
    "twice": {"providers": [GOOD, GOOD]},
    "any assurance": {"providers": [{**GOOD, "identity": {"claim": "n", "assurance": {"claim": "i", "values": []}}}]},
    "our parameter": {"providers": [{**GOOD, "parameters": {"state": "x"}}]},
    "name": {"providers": [{**GOOD, "name": "../x"}]},
}


@pytest.mark.parametrize("what", WRONG_FILES)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, what: str) -> None:
    content = WRONG_FILES[what]
    file = tmp_path / "providers.json"
    file.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
    with pytest.raises(Invalid, match="XINGLIN_PROVIDERS"):
        providers.configured(Settings(providers=str(file)))
