"""An app without a browser: asks for access at the attacked county, lets its user answer, trades codes for tokens."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from attacked import County
from xinglin.access.identity import sessions
from xinglin.access.identity.events import Whence
from xinglin.access.oauth import clients
from xinglin.access.oauth.clients import Client, Registration
from xinglin.access.principal import Role

pytest_plugins = ("attacked",)

BASE = "http://127.0.0.1:8080"
FHIR = f"{BASE}/fhir"
TOKEN = f"{BASE}/oauth/token"
BACK = "https://app.example/back"
SCOPES = (
    *(
        "openid",
        "fhirUser",
        "profile",
        "launch",
        "launch/patient",
        "launch/encounter",
        "offline_access",
        "online_access",
    ),
    *("patient/*.cruds", "user/*.cruds"),
)
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def pkce() -> tuple[str, str]:
    verifier = secrets.token_urlsafe(48)
    return verifier, base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


@dataclass
class Clinic:
    """The county with accounts that people sign in with, and apps."""

    county: County
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def http(self) -> httpx.AsyncClient:
        return self.county.http

    async def sign_in(self, login: str) -> None:
        async with self.county.house.database.transaction() as connection:
            role = Role(await connection.fetchval("SELECT role FROM account WHERE login = $1", login))
            secret, _ = await sessions.start(connection, login, role, Whence("10.0.0.9", "test"), ["pwd"])
        self.cookies[login] = f"xl_session={secret}; xl_lang=en"

    async def sign_out(self, login: str) -> None:
        secret = self.cookies[login].partition("=")[2].partition(";")[0]
        await sessions.sign_out(self.county.house.database, secret)

    async def app(self, kind: str = "public", **more: Any) -> App:
        given = {"redirect_uris": (BACK,), "scopes": SCOPES, "launch_uri": "https://app.example/launch", **more}
        client, secret = await clients.register(self.county.house.database, Registration("Growth chart", kind, **given))
        return App(self, client, secret)

    async def program(self, *scopes: str, keys: Any = None, institution: str | None = "A", **more: Any) -> App:
        given = {"jwks": json.dumps({"keys": [key.as_dict(private=False) for key in keys]})} if keys else {}
        wanted = Registration("Back end", "key", scopes, institution=institution, backend=True, **(given | more))
        client, _ = await clients.register(self.county.house.database, wanted)
        return App(self, client, None)

    async def fhir(self, token: str, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"authorization": f"Bearer {token}", "content-type": "application/fhir+json"}
        content = None if body is None else json.dumps(body)
        return await self.http.request(method, f"{FHIR}/{path}", content=content, headers=headers)

    async def ids(self, token: str, path: str) -> set[str]:
        answer = await self.fhir(token, "GET", path)
        assert answer.status_code == 200, answer.text
        return {row["resource"]["id"] for row in answer.json().get("entry", ())}


@dataclass
class App:
    clinic: Clinic
    client: Client
    secret: str | None
    verifier: str = ""

    def asks(self, scope: str, **changed: str | None) -> dict[str, str]:
        self.verifier, challenge = pkce()
        given = {
            "response_type": "code", "client_id": self.client.id, "redirect_uri": BACK, "scope": scope,
            "state": "s-1", "aud": FHIR, "code_challenge": challenge, "code_challenge_method": "S256", "nonce": "n-1",
        } | changed  # fmt: skip
        return {name: value for name, value in given.items() if value is not None}

    async def authorize(self, given: dict[str, str] | Sequence[tuple[str, str]], method: str = "GET") -> httpx.Response:
        pairs = list(given.items()) if isinstance(given, dict) else list(given)
        if method == "POST":
            return await self.clinic.http.post(f"{BASE}/oauth/authorize", data=dict(pairs))
        return await self.clinic.http.get(f"{BASE}/oauth/authorize", params=pairs)

    async def page(self, login: str, path: str) -> httpx.Response:
        return await self.clinic.http.get(f"{BASE}{path}", headers={"cookie": self.clinic.cookies[login]})

    async def answer(
        self, login: str, path: str, *, patient: str = "", scopes: Sequence[str] | None = None, allow: bool = True
    ) -> dict[str, str]:
        """What the app's own address is told."""
        query = f"?patient={patient}" if patient else ""
        shown = await self.page(login, path + query)
        assert shown.status_code == 200, shown.text[-500:]
        token = re.search(r'name="_csrf" value="([^"]+)"', shown.text)
        offered = re.findall(r'name="scope" value="([^"]+)"', shown.text)
        about = re.search(r'name="patient" value="([^"]+)"', shown.text)
        assert token is not None and offered, shown.text[-500:]
        sent: dict[str, Any] = {"_csrf": token[1], "answer": "allow" if allow else "deny"}
        sent["scope"] = [one for one in offered if scopes is None or one in scopes]
        if about:
            sent["patient"] = about[1]
        post = re.search(r'name="post" value="([^"]+)"', shown.text)
        if post:
            sent["post"] = post[1]
        done = await self.clinic.http.post(f"{BASE}{path}", data=sent, headers={"cookie": self.clinic.cookies[login]})
        assert done.status_code == 303, done.text[-500:]
        address = urlsplit(done.headers["location"])
        assert f"{address.scheme}://{address.netloc}{address.path}" == BACK
        return dict(parse_qsl(address.query))

    async def code(self, login: str, scope: str, *, patient: str = "", **changed: str | None) -> str:
        asked = await self.authorize(self.asks(scope, **changed))
        assert asked.status_code == 303, asked.text[-500:]
        assert asked.headers["location"].startswith("/oauth/consent/"), asked.headers["location"]
        told = await self.answer(login, asked.headers["location"], patient=patient)
        assert told["state"] == "s-1" and told["iss"] == BASE
        return told["code"]

    async def token(self, **form: str) -> httpx.Response:
        given = {"client_id": self.client.id, **form}
        if self.secret:
            given |= {"client_secret": self.secret}
        return await self.clinic.http.post(TOKEN, data={k: v for k, v in given.items() if v})

    async def exchange(self, code: str, **changed: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": self.verifier}
        return await self.token(**(form | changed))

    async def enter(self, login: str, scope: str, *, patient: str = "") -> dict[str, Any]:
        """The token response of a whole standalone launch."""
        answer = await self.exchange(await self.code(login, scope, patient=patient))
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        return told

    def assertion(self, key: RSAKey | ECKey, alg: str, header: Any = None, **claims: Any) -> str:
        now = int(time.time())
        said = {
            "iss": self.client.id,
            "sub": self.client.id,
            "aud": TOKEN,
            "exp": now + 240,
            "jti": secrets.token_hex(8),
        }
        head = {"alg": alg, "kid": key.kid, "typ": "JWT", **(header or {})}
        return jwt.encode(head, {**said, **claims}, key, algorithms=[alg])

    async def by_assertion(self, assertion: str, scope: str = "system/Observation.rs", **form: str) -> httpx.Response:
        given = {"grant_type": "client_credentials", "scope": scope, "client_assertion_type": ASSERTION} | form
        return await self.clinic.http.post(TOKEN, data={**given, "client_assertion": assertion})


def told_in(answer: httpx.Response) -> dict[str, str]:
    """What a redirect tells the app."""
    assert answer.status_code == 303, answer.text[-300:]
    return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@pytest.fixture(scope="module")
async def clinic(county: County) -> AsyncIterator[Clinic]:
    """Staff and patients of the attacked county, signed in; whoever ends a session signs in again."""
    house = county.house
    people = {
        "dr-anne": {"role": Role.CLINICIAN, "institution": "A", "practitioner": "pa"},
        "anna": {"role": Role.PATIENT, "patient": "a1"},
        "ben": {"role": Role.PATIENT, "patient": "a2"},
        "boss": {"role": Role.MANAGER, "institution": "A"},
    }
    found = Clinic(county)
    async with house.database.connection() as connection:
        for login, more in people.items():
            given = {"institution": None, "practitioner": None, "patient": None, **more}
            await connection.execute(
                "INSERT INTO account (login, name_zh, name_en, role, institution, practitioner, patient, password,"
                " active, created, changed) VALUES ($1, $1, $1, $2, $3, $4, $5, '-', true, now(), now())",
                *(login, given["role"].value, given["institution"], given["practitioner"], given["patient"]),
            )
    for login in people:
        await found.sign_in(login)
    yield found
