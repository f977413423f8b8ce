"""Codes, refresh tokens and assertions become access tokens.

A code and a refresh token are good for one try. A second one, or one by another app, means that somebody else has it:
all that was made of the grant ends (RFC 9700 sections 2.1.1, 4.14). So what refuses must be kept, not rolled back: the
inner functions return a refusal, and the outer raise it after the commit.
"""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from xinglin.access import audit, scopes
from xinglin.access.audit import Access
from xinglin.access.house import House
from xinglin.access.identity.recognise import standing
from xinglin.access.identity.sessions import hashed
from xinglin.access.identity.tokens import forget_remembered
from xinglin.access.oauth import bearing, keys
from xinglin.access.oauth.clients import Client
from xinglin.access.oauth.errors import OAuthError, invalid_grant, invalid_scope
from xinglin.access.oauth.lifetimes import lasts
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.kernel import clock
from xinglin.kernel.database import Connection

ACCESS: Final = lasts("access")
PROGRAM: Final = lasts("program")
REFRESH_PREFIX: Final = "xlr_"
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")  # RFC 7636 section 4.1

Answer = dict[str, Any]
"""The JSON of a token response."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What tokens are made of."""

    id: str
    client: str
    login: str | None
    session: str | None
    scopes: tuple[str, ...]
    patient: str | None
    encounter: str | None
    proven: Any
    ended: Any
    created: datetime


_GRANT: Final = "g.id, g.client, g.login, g.session, g.scopes, g.patient, g.encounter, g.proven, g.ended, g.created"


async def exchange(house: House, client: Client, code: str, redirect_uri: str, verifier: str) -> Answer:
    """A code's tokens. Raises OAuthError."""
    async with house.database.transaction() as connection:
        found = await _exchanged(connection, house, client, code, redirect_uri, verifier)
    return _told(found)


async def _exchanged(
    connection: Connection, house: House, client: Client, code: str, redirect_uri: str, verifier: str
) -> Answer | OAuthError:
    row = await connection.fetchrow(
        "SELECT client, grant_id, redirect_uri, challenge, nonce, expires, used FROM oauth_code WHERE hash = $1"
        " FOR UPDATE",
        hashed(code),
    )
    if row is None:
        return invalid_grant("The code is not known.")
    grant = await _grant(connection, row["grant_id"])
    if row["used"] is not None:
        return await _misused(connection, grant, "code-reused", "The code was used before.")
    await connection.execute("UPDATE oauth_code SET used = $2 WHERE hash = $1", hashed(code), clock.now())
    if row["client"] != client.id:
        return await _misused(connection, grant, "code-stolen", "The code was given to another client.")
    if row["expires"] <= clock.now():
        return invalid_grant("The code is over.")
    if row["redirect_uri"] != redirect_uri:
        return await _misused(connection, grant, "code-stolen", "redirect_uri is not the one asked with.")
    if not _matches(verifier, row["challenge"]):
        return await _misused(connection, grant, "code-stolen", "code_verifier is missing or wrong.")
    return await _answer(connection, house, grant, grant.scopes, nonce=row["nonce"])


def _matches(verifier: str, challenge: str) -> bool:
    if not _VERIFIER.fullmatch(verifier):
        return False
    made = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return hmac.compare_digest(made, challenge)


async def refresh(house: House, client: Client, token: str, asked: Sequence[str] | None) -> Answer:
    """Fresh tokens for a refresh token, which is over; `asked`: scopes for the access token, never more than before."""
    async with house.database.transaction() as connection:
        found = await _refreshed(connection, house, client, token, asked)
    return _told(found)


async def _refreshed(
    connection: Connection, house: House, client: Client, token: str, asked: Sequence[str] | None
) -> Answer | OAuthError:
    row = await connection.fetchrow(
        "SELECT grant_id, expires, ended FROM oauth_token WHERE hash = $1 AND kind = 'refresh' FOR UPDATE",
        hashed(token),
    )
    if row is None:
        return invalid_grant("The refresh token is not known.")
    grant = await _grant(connection, row["grant_id"])
    if grant.client != client.id:
        return await _misused(connection, grant, "refresh-stolen", "The refresh token was given to another client.")
    if row["ended"] is not None:
        return await _misused(connection, grant, "refresh-reused", "The refresh token was used before.")
    if row["expires"] <= clock.now():
        return invalid_grant("The refresh token is over.")
    wanted = tuple(asked) if asked else grant.scopes
    if not all(scopes.within([text], grant.scopes) == [text] for text in wanted):
        return invalid_scope("A refresh asks for no more than was allowed.")
    await connection.execute("UPDATE oauth_token SET ended = $2 WHERE hash = $1", hashed(token), clock.now())
    return await _answer(connection, house, grant, wanted)


async def public_client_of(connection: Connection, token: str) -> str:
    """The public client that a refresh token was given to; "" where there is none.

    Such a client has nothing to prove itself by, and common libraries do not even say who it is when they refresh.
    """
    found = await connection.fetchval(
        "SELECT c.id FROM oauth_token t JOIN oauth_grant g ON g.id = t.grant_id JOIN oauth_client c ON c.id = g.client"
        " WHERE t.hash = $1 AND t.kind = 'refresh' AND c.kind = 'public'",
        hashed(token),
    )
    return found or ""


async def for_program(house: House, client: Client, asked: Sequence[str]) -> Answer:
    """A program's own token, for five minutes. Raises OAuthError."""
    found = scopes.within(asked, client.scopes)
    if not client.backend:
        raise OAuthError("unauthorized_client", "The client is no program.")
    if not found:
        raise invalid_scope("The program may have none of these scopes.")
    now = clock.now()
    async with house.database.transaction() as connection:
        row = await connection.fetchrow(
            "INSERT INTO oauth_grant AS g (id, client, scopes, created, used) VALUES ($1, $2, $3, $4, $4)"
            " ON CONFLICT (client, scopes) WHERE login IS NULL AND ended IS NULL DO UPDATE SET used = $4"
            " RETURNING g.id",
            *(secrets.token_hex(8), client.id, sorted(found), now),
        )
        token = await _store(connection, row["id"], "access", found, PROGRAM, bearing.PREFIX)
        who = Principal(
            f"{client.id}{bearing.MARK}{row['id']}",
            client.name,
            Role.SYSTEM,
            Purpose.ADMINISTRATION,
            client.institution,
        )
        await audit.record(connection, [Access(who, "token", f"app {client.id}", why=" ".join(found)[:500])])
    return {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": int(PROGRAM.total_seconds()),
        "scope": " ".join(found),
    }


async def _grant(connection: Connection, id: str) -> Grant:
    row = await connection.fetchrow(f"SELECT {_GRANT} FROM oauth_grant g WHERE g.id = $1 FOR UPDATE", id)  # noqa: S608
    return Grant(**{**dict(row), "scopes": tuple(row["scopes"])})


async def _misused(connection: Connection, grant: Grant, why: str, text: str) -> OAuthError:
    """End the grant, for every token made of it, and say so in the audit."""
    if grant.ended is None:
        await connection.execute(
            "UPDATE oauth_grant SET ended = $2, why = $3 WHERE id = $1", grant.id, clock.now(), why
        )
        await forget_remembered(connection)
        login = f"{grant.login or grant.client}{bearing.MARK}{grant.id}"
        who = Principal(login, grant.client, Role.SYSTEM, Purpose.ADMINISTRATION)
        entry = Access(who, "app-ended", f"app {grant.client}", outcome=audit.REFUSED, why=why)
        await audit.record(connection, [entry])
    return invalid_grant(text)


async def _answer(
    connection: Connection, house: House, grant: Grant, chosen: Sequence[str], *, nonce: str | None = None
) -> Answer | OAuthError:
    """Tokens for a grant that stands: its account active, its session not over, its last day not past."""
    left = grant.created + lasts("refresh_at_most") - clock.now()
    stands = grant.ended is None and left > timedelta(0)
    person = await standing(connection, f"{grant.login}{bearing.MARK}{grant.id}") if stands else None
    if person is None:
        return invalid_grant("What was allowed is over.")
    access = await _store(connection, grant.id, "access", chosen, ACCESS, bearing.PREFIX)
    answer: Answer = {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": int(ACCESS.total_seconds()),
        "scope": " ".join(chosen),
    }
    if {"offline_access", "online_access"} & set(grant.scopes):
        until = min(left, lasts("refresh"))
        answer["refresh_token"] = await _store(connection, grant.id, "refresh", grant.scopes, until, REFRESH_PREFIX)
    answer |= _context(house, grant)
    if "openid" in chosen:
        answer["id_token"] = await keys.id_token(connection, house, _claims(house, grant, chosen, person, nonce))
    await connection.execute("UPDATE oauth_grant SET used = $2 WHERE id = $1", grant.id, clock.now())
    return answer


def _context(house: House, grant: Grant) -> Answer:
    """SMART's launch context beside the token. The app's page is its own: it shows whom it is about."""
    if grant.patient is None:
        return {}
    found: Answer = {
        "patient": grant.patient,
        "need_patient_banner": True,
        "smart_style_url": f"{house.settings.public_base}/oauth/style.json",
    }
    return found | ({"encounter": grant.encounter} if grant.encounter else {})


def _claims(house: House, grant: Grant, chosen: Sequence[str], person: Principal, nonce: str | None) -> Answer:
    claims: Answer = {"aud": grant.client, **identity(house, chosen, person, grant.login or "")}
    if nonce is not None:
        claims["nonce"] = nonce
    if grant.proven is not None:
        claims["auth_time"] = int(grant.proven.timestamp())
    return claims


def identity(house: House, chosen: Sequence[str], person: Principal, login: str) -> Answer:
    """What is said of a person: to whom `fhirUser` or `profile` was allowed, who they are in the record."""
    told: Answer = {"sub": keys.subject_of(house, login)}
    user = keys.fhir_user(person)
    if user and {"fhirUser", "profile"} & set(chosen):
        told["fhirUser"] = f"{house.settings.public_base}/fhir/{user}"
    if "profile" in chosen:
        told["name"] = person.name.rpartition(bearing.BY)[0] or person.name
    return told


async def _store(
    connection: Connection, grant: str, kind: str, chosen: Sequence[str], lasts: timedelta, prefix: str
) -> str:
    token = prefix + secrets.token_urlsafe(32)
    await connection.execute(
        "INSERT INTO oauth_token (hash, grant_id, kind, scopes, expires) VALUES ($1, $2, $3, $4, $5)",
        *(hashed(token), grant, kind, list(chosen), clock.now() + lasts),
    )
    return token


def _told(found: Answer | OAuthError) -> Answer:
    if isinstance(found, OAuthError):
        raise found
    return found


# afterwards -----------------------------------------------------------------------------------------------------------


async def revoke(connection: Connection, client: Client, token: str) -> None:
    """End a token of this client's; a refresh token's whole grant (RFC 7009). Another's, or none, ends nothing."""
    row = await connection.fetchrow(
        "SELECT t.kind, t.grant_id FROM oauth_token t JOIN oauth_grant g ON g.id = t.grant_id"
        " WHERE t.hash = $1 AND g.client = $2",
        *(hashed(token), client.id),
    )
    if row is None:
        return
    now = clock.now()
    await connection.execute("UPDATE oauth_token SET ended = $2 WHERE hash = $1 AND ended IS NULL", hashed(token), now)
    if row["kind"] == "refresh":
        await connection.execute(
            "UPDATE oauth_grant SET ended = $2, why = 'revoked' WHERE id = $1 AND ended IS NULL", row["grant_id"], now
        )
    await forget_remembered(connection)


async def introspect(connection: Connection, house: House, client: Client | None, token: str) -> Answer:
    """What a token stands for (RFC 7662), an access or a refresh token; of none that it is, that it is not active.

    client: whose tokens may be asked about; None, for another resource server of the operator's: everybody's.
    """
    kind = "refresh" if token.startswith(REFRESH_PREFIX) else "access"
    idle = timedelta(hours=house.settings.session_hours)
    bearer = await bearing.of_token(connection, hashed(token), idle, kind)
    if bearer is None or (client is not None and bearer.client != client.id) or bearer.expires is None:
        return {"active": False}
    login = f"{bearer.login or bearer.client}{bearing.MARK}{bearer.grant_id}"
    person = await standing(connection, login)
    if person is None:
        return {"active": False}
    told: Answer = {
        "active": True,
        "scope": " ".join(bearer.scopes),
        "client_id": bearer.client,
        "token_type": "Bearer" if kind == "access" else None,
        "exp": int(bearer.expires.timestamp()),
        "iss": house.settings.public_base,
        "aud": f"{house.settings.public_base}/fhir",
        "patient": bearer.patient,
        "encounter": bearer.encounter,
        "sub": bearer.client,
    }
    if bearer.login:
        told |= identity(house, bearer.scopes, person, bearer.login)
    return {name: value for name, value in told.items() if value is not None}


async def userinfo(connection: Connection, house: House, token: str) -> Answer | None:
    """Who the bearer of a token is (OpenID Connect); None where it does not stand, or `openid` was not allowed."""
    bearer = await bearing.of_token(connection, hashed(token), timedelta(hours=house.settings.session_hours))
    if bearer is None or bearer.login is None or "openid" not in bearer.scopes:
        return None
    person = await standing(connection, f"{bearer.login}{bearing.MARK}{bearer.grant_id}")
    if person is None:
        return None
    return identity(house, bearer.scopes, person, bearer.login)
