"""What an app asks for: checked against who it is, and kept until the person has answered.

Where the app or the address to answer at is not certain, nothing is sent anywhere (`Unanswerable`); all else is
answered at that address (RFC 6749 section 4.1.2.1), with `iss` (RFC 9207).
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from xinglin.access import scopes as smart
from xinglin.access.identity.sessions import hashed
from xinglin.access.oauth import clients
from xinglin.access.oauth.clients import Client
from xinglin.access.oauth.errors import OAuthError
from xinglin.access.oauth.lifetimes import lasts
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Invalid, NotFound

_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # SHA-256 in base64url
_SHOWN: Final = re.compile(r"[\x20-\x7e]{1,1000}")
MOST_ASKED: Final = 200
PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})  # OpenID Connect Core 3.1.2.1


class Unanswerable(Invalid):
    """Who asks, or where to answer, is not certain: the person is told, nobody else."""

    def __init__(self, text: str) -> None:
        super().__init__(text, remedy="Start again from the app.")


class Redirected(OAuthError):
    """A refusal that the app is told, at its own address."""

    def __init__(self, error: str, text: str, redirect_uri: str, state: str | None) -> None:
        super().__init__(error, text)
        self.redirect_uri = redirect_uri
        self.state = state


@dataclass(frozen=True, slots=True)
class Asked:
    """An authorization request that is in order. `scopes`: what the client may have of what it asked for.

    launch: the launch's handle, still to be looked up. max_age: seconds that the person's sign-in may have lain back
    when the app asked, 0 where it wants a new one (prompt=login), None where it does not care.
    """

    redirect_uri: str
    scopes: tuple[str, ...]
    state: str
    challenge: str
    nonce: str | None = None
    launch: str | None = None
    max_age: int | None = None

    def satisfied_by(self, proven: datetime, asked: datetime) -> bool:
        """Whether a proof of that moment is new enough for a request of that moment."""
        return self.max_age is None or proven >= asked - timedelta(seconds=self.max_age)


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that waits for its person's answer. login, patient, encounter: of the launch it belongs to."""

    client: Client
    asked: Asked
    login: str | None
    patient: str | None
    encounter: str | None
    at: datetime


def read(client: Client, given: Sequence[tuple[str, str]], audience: str, *, proven: datetime | None = None) -> Asked:
    """The request that parameters say. Raises Unanswerable or Redirected.

    audience: our FHIR base. proven: when whoever is signed in at this browser last proved who they are.
    """
    redirect_uri = _one(given, "redirect_uri")
    if redirect_uri is None or redirect_uri not in client.redirect_uris:
        raise Unanswerable("The app asks for an answer at an address that is not registered for it.")
    state = _one(given, "state")

    def refuse(error: str, text: str) -> Redirected:
        return Redirected(error, text, redirect_uri, state)

    names = [name for name, _ in given]
    if len(names) != len(set(names)):
        raise refuse("invalid_request", "A parameter is given twice.")
    values = dict(given)
    for name, error in (("request", "request_not_supported"), ("request_uri", "request_uri_not_supported")):
        if name in values:
            raise refuse(error, f"{name} is not understood.")
    _check_form(values, audience, refuse)
    scopes = _scopes(client, values, refuse)
    asked = Asked(
        *(redirect_uri, scopes, values["state"], values["code_challenge"], values.get("nonce"), values.get("launch")),
        max_age=_max_age(values, refuse),
    )
    if values.get("prompt") == "none":
        if proven is None or not asked.satisfied_by(proven, clock.now()):
            raise refuse("login_required", "The person would have to sign in.")
        raise refuse("consent_required", "The person is always asked.")
    return asked


def _max_age(values: dict[str, str], refuse: Any) -> int | None:
    """Of prompt and max_age (OpenID Connect Core 3.1.2.1)."""
    prompts, age = set(values.get("prompt", "").split()), values.get("max_age")
    if not prompts <= PROMPTS or ("none" in prompts and len(prompts) > 1):
        raise refuse("invalid_request", f"prompt is of {', '.join(sorted(PROMPTS))}; none stands alone.")
    if age is not None and not re.fullmatch("[0-9]{1,9}", age):
        raise refuse("invalid_request", "max_age is a number of seconds.")
    if {"login", "select_account"} & prompts:
        return 0
    return None if age is None else int(age)


def _one(given: Sequence[tuple[str, str]], name: str) -> str | None:
    """The value of a parameter that stands once."""
    found = [value for key, value in given if key == name]
    return found[0] if len(found) == 1 else None


def _check_form(values: dict[str, str], audience: str, refuse: Any) -> None:
    if values.get("response_type") != "code":
        raise refuse("unsupported_response_type", "response_type is code.")
    if values.get("response_mode", "query") != "query":
        raise refuse("invalid_request", "response_mode is query.")
    if values.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(values.get("code_challenge", "")):
        raise refuse("invalid_request", "PKCE is needed: code_challenge, and code_challenge_method S256.")
    if not _SHOWN.fullmatch(values.get("state", "")) or not _SHOWN.fullmatch(values.get("nonce", "-")):
        raise refuse("invalid_request", "state is needed, and nonce where given, in up to 1000 characters.")
    if values.get("aud", "").rstrip("/") != audience.rstrip("/"):
        raise refuse("invalid_request", f"aud is {audience}.")


def _scopes(client: Client, values: dict[str, str], refuse: Any) -> tuple[str, ...]:
    asked = values.get("scope", "").split()
    if len(asked) > MOST_ASKED:
        raise refuse("invalid_scope", f"More than {MOST_ASKED} scopes.")
    found = smart.within(asked, client.scopes)
    if "launch" not in values:
        found = [text for text in found if text != "launch"]
    elif "launch" not in found:
        raise refuse("invalid_scope", "A launch needs the scope launch.")
    if not found:
        raise refuse("invalid_scope", "The app may have none of these scopes.")
    return tuple(found)


def answer_at(redirect_uri: str, issuer: str, **values: str | None) -> str:
    """The address to send the browser to: the app's own, with the answer and `iss`."""
    told = urlencode({name: value for name, value in {**values, "iss": issuer}.items() if value is not None})
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{told}"


# kept until it is answered --------------------------------------------------------------------------------------------


async def client_of(connection: Connection, given: Sequence[tuple[str, str]]) -> Client:
    """Who asks. Raises Unanswerable."""
    try:
        client = await clients.get(connection, _one(given, "client_id") or "")
    except NotFound:
        raise Unanswerable("The app is not known here.") from None
    if client.state != clients.ACTIVE or client.backend:
        raise Unanswerable("The app is not approved here.")
    return client


async def keep(connection: Connection, client: Client, asked: Asked, launch: Any = None) -> str:
    """The handle of a request; only whoever has it can open the page. `launch`: what the launch was bound to."""
    handle, now = secrets.token_urlsafe(24), clock.now()
    await connection.execute("DELETE FROM oauth_request WHERE expires <= $1", now)
    said = {name: getattr(asked, name) for name in ("redirect_uri", "scopes", "state", "challenge", "nonce", "max_age")}
    await connection.execute(
        "INSERT INTO oauth_request (hash, client, asked, login, patient, encounter, expires)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(hashed(handle), client.id, json.dumps(said)),
        *((launch.login, launch.patient, launch.encounter) if launch else (None, None, None)),
        now + lasts("answer"),
    )
    return handle


_KEPT: Final = "client, asked, login, patient, encounter, expires"


async def look(connection: Connection, handle: str, *, take: bool = False) -> Pending:
    """The request of a handle; `take` uses it up, so that of two answers one counts. Raises Unanswerable."""
    verb = "DELETE FROM oauth_request" if take else f"SELECT {_KEPT} FROM oauth_request"  # noqa: S608
    tail = f" RETURNING {_KEPT}" if take else ""
    row = await connection.fetchrow(f"{verb} WHERE hash = $1 AND expires > $2{tail}", hashed(handle), clock.now())
    if row is None:
        raise Unanswerable("This request is over, or was answered.")
    said = json.loads(row["asked"])
    asked = Asked(
        *(said["redirect_uri"], tuple(said["scopes"]), said["state"], said["challenge"], said["nonce"]),
        max_age=said.get("max_age"),
    )
    client = await clients.get(connection, row["client"])
    if client.state != clients.ACTIVE:
        raise Unanswerable("The app is not approved here.")
    at = row["expires"] - lasts("answer")
    return Pending(client, asked, row["login"], row["patient"], row["encounter"], at)
