"""Outside OpenID providers that people may sign in by: which there are (a file of data), and whose accounts they open.

An outside account opens one of ours only where its owner connected the two while signed in, or where the provider is
trusted to have verified the number of a person's identity document, which the account's own Patient bears. Never by
a mail address or a name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from xinglin.access.identity import events, proof
from xinglin.access.identity.events import Whence
from xinglin.access.persons.identifiers import is_resident_id
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict, Invalid, NotFound, Unprocessable

ALGORITHMS: Final = frozenset({"RS256", "PS256", "ES256", "ES384", "EdDSA"})
"""Signatures that may be allowed; never a shared secret or none (RFC 8725 section 3.1)."""

RESERVED: Final = frozenset(
    {"response_type", "response_mode", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge"}
    | {"code_challenge_method"}
)
"""Parameters of a visit that are ours to say."""


class Trusted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A claim that counts where it holds one of these values."""

    claim: str
    values: tuple[str, ...]


class Verified(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The claim that holds a resident ID, and the one that says how well it was checked."""

    claim: str
    assurance: Trusted


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """name: in our addresses. client_secret: `env:NAME` or `file:PATH`, never the secret itself; "" for none.

    identity: the claim that may open the account whose Patient bears this number. second_factor: the claim by which
    the provider says that it asked for two factors. parameters: what else its authorization endpoint is to be told
    (`acr_values`, or `aud` of a SMART server).
    """

    name: str
    issuer: str
    client_id: str
    label_zh: str
    label_en: str
    client_secret: str = ""
    scopes: tuple[str, ...] = ("openid",)
    algorithms: tuple[str, ...] = ("RS256", "ES256")
    identity: Verified | None = None
    second_factor: Trusted | None = None
    parameters: dict[str, str] = {}


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    providers: tuple[Provider, ...]


@dataclass(frozen=True, slots=True)
class Link:
    issuer: str
    created: datetime
    used: datetime | None


# the file -------------------------------------------------------------------------------------------------------------


def configured(settings: Settings) -> tuple[Provider, ...]:
    """The providers of XINGLIN_PROVIDERS, read once. Raises Invalid with what is wrong in the file."""
    return _read(settings.providers) if settings.providers else ()


def named(settings: Settings, name: str) -> Provider:
    for one in configured(settings):
        if one.name == name:
            return one
    raise NotFound("There is no such page.", remedy="Go back, or start from home.")


@cache
def _read(path: str) -> tuple[Provider, ...]:
    try:
        found = msgspec.json.decode(Path(path).read_bytes(), type=File).providers
    except (OSError, msgspec.MsgspecError) as error:
        raise Invalid(
            f"XINGLIN_PROVIDERS: {path}: {error}.", remedy="docs/how-to/providers.md shows a file."
        ) from error
    for one in found:
        _check(one)
    if len({one.name for one in found}) < len(found) or len({one.issuer for one in found}) < len(found):
        raise Invalid("XINGLIN_PROVIDERS: two providers have one name or one issuer.", remedy="Keep one of them.")
    return found


def _check(one: Provider) -> None:
    wrong = {
        "name": not re.fullmatch(r"[a-z0-9-]{1,40}", one.name),
        "issuer": not is_safe(one.issuer) or "?" in one.issuer or "#" in one.issuer,
        "algorithms": not one.algorithms or not ALGORITHMS.issuperset(one.algorithms),
        "scopes": "openid" not in one.scopes,
        "client_secret": bool(one.client_secret) and not one.client_secret.startswith(("env:", "file:")),
        "identity": one.identity is not None and not one.identity.assurance.values,
        "parameters": not RESERVED.isdisjoint(one.parameters),
        "second_factor": one.second_factor is not None and not one.second_factor.values,
    }
    for name, is_wrong in wrong.items():
        if is_wrong:
            raise Invalid(
                f"XINGLIN_PROVIDERS: {one.name}: {name} is not one we accept.",
                remedy="docs/how-to/providers.md says what each may hold.",
            )


def is_safe(address: str) -> bool:
    """Whether an address may be called: https, or http on this very machine."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  refuses what is no port
    except ValueError:
        return False
    if parts.username or parts.password or not parts.hostname:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1"))


def secret_of(one: Provider) -> str:
    """The client's secret, from where the file says it is; "" for a public client."""
    kind, _colon, where = one.client_secret.partition(":")
    if not kind:
        return ""
    try:
        text = os.environ[where] if kind == "env" else Path(where).read_text(encoding="utf-8").strip()
    except (KeyError, OSError) as error:
        raise Invalid(f"The secret of the provider {one.name} is not at {one.client_secret}.") from error
    return text


# accounts -------------------------------------------------------------------------------------------------------------


async def links(connection: Connection, login: str) -> list[Link]:
    rows = await connection.fetch(
        "SELECT issuer, created, used FROM provider_link WHERE login = $1 ORDER BY created", login
    )
    return [Link(**row) for row in rows]


async def link(connection: Connection, login: str, one: Provider, subject: str, whence: Whence) -> None:
    """Connect; raises Conflict where the outside account, or the account's place at this provider, is taken."""
    taken = await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM provider_link WHERE issuer = $1 AND (login = $2 OR subject = $3)"
        " AND NOT (login = $2 AND subject = $3))",
        *(one.issuer, login, subject),
    )
    made = None
    if not taken:
        made = await connection.fetchval(
            "INSERT INTO provider_link (issuer, subject, login, created) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (issuer, subject) DO UPDATE SET used = provider_link.used"
            " WHERE provider_link.login = $3 RETURNING login",
            *(one.issuer, subject, login, clock.now()),
        )
    if made is None:
        raise Conflict("That sign-in, or this account, is connected already.", remedy="Remove the connection first.")
    await events.tell(connection, "provider-linked", login, whence, detail=one.label_zh)


async def unlink(connection: Connection, login: str, one: Provider, whence: Whence) -> None:
    done = await connection.execute("DELETE FROM provider_link WHERE login = $1 AND issuer = $2", login, one.issuer)
    if done != "DELETE 0":
        await events.tell(connection, "provider-unlinked", login, whence, detail=one.label_zh)


async def account_of(connection: Connection, one: Provider, claims: Mapping[str, Any], whence: Whence) -> str | None:
    """The login that these verified claims open: connected before, or by a number that the provider vouches for."""
    login = await connection.fetchval(
        "UPDATE provider_link SET used = $3 WHERE issuer = $1 AND subject = $2 RETURNING login",
        *(one.issuer, claims["sub"], clock.now()),
    )
    if login is not None:
        return str(login)
    number = vouched_number(one, claims)
    login = await _bearing(connection, number) if number else None
    if login is None:
        return None
    await link(connection, login, one, claims["sub"], whence)
    return login  # opened, not proven: whoever else can enter the account has not shown the number


def vouched_number(one: Provider, claims: Mapping[str, Any]) -> str:
    """The resident ID that the provider says it has verified; "" where it does not say so."""
    if one.identity is None or not holds(one.identity.assurance, claims):
        return ""
    number = str(claims.get(one.identity.claim, "")).strip().upper()
    return number if is_resident_id(number) else ""


def holds(trusted: Trusted, claims: Mapping[str, Any]) -> bool:
    found = claims.get(trusted.claim)
    said = found if isinstance(found, list) else [found]
    return any(str(value) in trusted.values for value in said if value is not None)


async def _bearing(connection: Connection, number: str) -> str | None:
    """The one patient's account whose own Patient bears the number; None where there is none, or more than one."""
    rows = await connection.fetch(
        "SELECT id FROM resource WHERE key IN (SELECT patient FROM person_term WHERE kind = 9 AND term = $1)"
        " AND NOT deleted",
        f"i:resident-id:{number}",
    )
    found = await connection.fetch(
        "SELECT login FROM account WHERE role = 'patient' AND active AND patient = ANY($1::text[]) LIMIT 2",
        [row["id"] for row in rows],
    )
    return str(found[0]["login"]) if len(found) == 1 else None


async def prove(connection: Connection, login: str, one: Provider, claims: Mapping[str, Any]) -> None:
    """What was verified there counts here, for whoever is signed in to the account already: the linked records that
    bear the number are this person's. Nothing, where the account's own Patient does not bear it."""
    number = vouched_number(one, claims)
    if number:
        with suppress(NotFound, Unprocessable):
            async with connection.transaction():
                await proof.confirm(connection, login, None, one.issuer, "openid", number=number)
