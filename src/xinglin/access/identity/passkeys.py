"""Passkeys: WebAuthn credentials that the browser finds by itself and that check their owner (a face, a PIN).

Such a sign-in is two factors at once and cannot be given away: the browser signs our origin. Attestation is not asked
for, since which make of key somebody uses is none of our business. W3C Web Authentication level 3, sections 7.1, 7.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, parse_authentication_credential_json
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from xinglin.access.identity import begun, events, rules
from xinglin.access.identity.events import Whence
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import NotFound, Unauthenticated, Unprocessable

REGISTER: Final = "passkey-new"
USE: Final = "passkey"
MOST: Final = 20  # of one account
LONGEST: Final = 16 * 1024  # characters of a browser's answer
METHODS: Final = ("hwk", "user", "mfa")
"""What a sign-in by passkey proves, RFC 8176: a key that was held, and a person who was checked."""


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """What browsers bind passkeys to: `id` a host's name, `origins` the addresses of its pages."""

    id: str
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Passkey:
    """id: of the credential, base64url. synced: kept on several devices by a provider."""

    id: str
    login: str
    name: str
    synced: bool
    created: datetime
    used: datetime | None
    suspended: datetime | None


def relying_party(settings: Settings) -> RelyingParty:
    """From the public address. Browsers accept no network address as id, so this machine's own is called localhost."""
    parts = urlsplit(settings.public_base)
    host = parts.hostname or "localhost"
    if host in ("127.0.0.1", "::1"):
        host = "localhost"
    port = f":{parts.port}" if parts.port else ""
    return RelyingParty(host, (f"{parts.scheme}://{host}{port}",))


_COLUMNS = "id, login, name, synced, created, used, suspended"


async def of_account(connection: Connection, login: str) -> list[Passkey]:
    """The account's passkeys, the oldest first."""
    rows = await connection.fetch(f"SELECT {_COLUMNS} FROM passkey WHERE login = $1 ORDER BY created, id", login)  # noqa: S608
    return [_passkey(row) for row in rows]


# registering ----------------------------------------------------------------------------------------------------------


async def begin_registration(connection: Connection, settings: Settings, login: str) -> tuple[str, str]:
    """The ticket for the browser's cookie, and the options as JSON for `navigator.credentials.create`."""
    row = await connection.fetchrow("SELECT handle, name_zh FROM account WHERE login = $1", login)
    known = await of_account(connection, login)
    party = relying_party(settings)
    options = webauthn.generate_registration_options(
        rp_id=party.id,
        rp_name="杏林 Xinglin",
        user_id=bytes(row["handle"]),
        user_name=login,
        user_display_name=row["name_zh"],
        timeout=_milliseconds(),
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.REQUIRED
        ),
        exclude_credentials=_descriptors(known),
    )
    ticket = await _keep(connection, REGISTER, options.challenge, login)
    return ticket, webauthn.options_to_json(options)


async def register(
    database: Database, settings: Settings, ticket: str, login: str, answer: str, name: str, whence: Whence
) -> Passkey:
    """Add what the browser made. Raises Unprocessable where it is not an answer to this challenge, from our pages."""
    party = relying_party(settings)
    async with database.transaction() as connection:
        challenge = await _challenge(connection, REGISTER, ticket, login)
    try:
        made = webauthn.verify_registration_response(
            credential=_bounded(answer),
            expected_challenge=challenge,
            expected_rp_id=party.id,
            expected_origin=list(party.origins),
            require_user_verification=True,
        )
    except Exception as error:  # whatever a hostile answer makes the parsers say
        raise _unfit() from error
    async with database.transaction() as connection:
        await connection.execute("SELECT 1 FROM account WHERE login = $1 FOR UPDATE", login)
        if len(await of_account(connection, login)) >= MOST:
            raise Unprocessable("There are too many passkeys.", remedy="Remove those that are not used.")
        row = await connection.fetchrow(
            f"INSERT INTO passkey ({_COLUMNS}, public_key, counter)"  # noqa: S608
            f" VALUES ($1, $2, $3, $4, $5, NULL, NULL, $6, $7) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}",
            *(made.credential_id, login, name, made.credential_backed_up, clock.now()),
            *(made.credential_public_key, made.sign_count),
        )
        if row is None:  # another account's credential, or the same twice: a browser's own would be new
            raise _unfit()
        await events.tell(connection, "passkey-added", login, whence, detail=name)
    return _passkey(row)


async def remove(connection: Connection, login: str, passkey_id: str, whence: Whence) -> None:
    """Raises NotFound where it is not the account's."""
    name = await connection.fetchval(
        "DELETE FROM passkey WHERE id = $1 AND login = $2 RETURNING name", _decoded(passkey_id), login
    )
    if name is None:
        raise NotFound("There is no such passkey.", remedy="Open the page again.")
    await events.tell(connection, "passkey-removed", login, whence, detail=name)


# using ----------------------------------------------------------------------------------------------------------------


async def begin_use(connection: Connection, settings: Settings, login: str | None = None) -> tuple[str, str]:
    """The ticket, and the options as JSON for `navigator.credentials.get`; any passkey of ours where login is None."""
    known = await of_account(connection, login) if login else []
    options = webauthn.generate_authentication_options(
        rp_id=relying_party(settings).id,
        timeout=_milliseconds(),
        allow_credentials=_descriptors([one for one in known if one.suspended is None]),
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return await _keep(connection, USE, options.challenge, login), webauthn.options_to_json(options)


async def use(
    database: Database, settings: Settings, ticket: str, answer: str, whence: Whence, login: str | None = None
) -> str:
    """The login whose passkey answered the challenge. Raises Unauthenticated, in the same words whatever is wrong.

    login: of whom the challenge was begun for (None: it was for anybody); another's passkey does not answer it.
    """
    async with database.transaction() as connection:
        challenge = await _challenge(connection, USE, ticket, login)
        row = await _claimed(connection, answer, login)
    try:
        verified = webauthn.verify_authentication_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=relying_party(settings).id,
            expected_origin=list(relying_party(settings).origins),
            credential_public_key=bytes(row["public_key"]),
            credential_current_sign_count=0,  # compared below: only a signed count says anything
            require_user_verification=True,
        )
    except Exception as error:  # whatever a hostile answer makes the parsers say
        raise _refused() from error
    async with database.transaction() as connection:
        counted = await _count(connection, row, verified.new_sign_count, whence)
    if not counted:
        raise _refused()
    return str(row["login"])


async def _claimed(connection: Connection, answer: str, login: str | None) -> Any:
    """The stored passkey that the answer names, if it is of this account and its owner's handle is the one signed."""
    try:
        claimed = parse_authentication_credential_json(_bounded(answer))
    except Exception as error:  # as above
        raise _refused() from error
    row = await connection.fetchrow(
        "SELECT p.id, p.login, p.name, p.public_key, p.counter, a.handle FROM passkey p JOIN account a USING (login)"
        " WHERE p.id = $1 AND p.suspended IS NULL AND a.active AND ($2::text IS NULL OR login = $2)",
        *(claimed.raw_id, login),
    )
    handle = claimed.response.user_handle
    if row is None or (handle is None and login is None) or (handle is not None and handle != bytes(row["handle"])):
        raise _refused()
    return row


async def _count(connection: Connection, row: Any, counter: int, whence: Whence) -> bool:
    """Note the use. A counter that did not rise says that the key was copied: it is suspended, its owner told."""
    noted = await connection.execute(
        "UPDATE passkey SET counter = $2, used = $3 WHERE id = $1 AND suspended IS NULL"
        " AND (counter < $2 OR (counter = 0 AND $2 = 0))",
        *(row["id"], counter, clock.now()),
    )
    if noted == "UPDATE 1":
        return True
    await connection.execute(
        "UPDATE passkey SET suspended = coalesce(suspended, $2) WHERE id = $1", row["id"], clock.now()
    )
    await events.tell(connection, "passkey-suspended", row["login"], whence, detail=row["name"])
    return False


# parts ----------------------------------------------------------------------------------------------------------------


async def _keep(connection: Connection, kind: str, challenge: bytes, login: str | None) -> str:
    return await begun.begin(
        connection, kind, rules.minutes("challenge"), login=login, challenge=bytes_to_base64url(challenge)
    )


async def _challenge(connection: Connection, kind: str, ticket: str, login: str | None) -> bytes:
    """The challenge of the ticket, used up; it must have been begun for this account."""
    found = await begun.take(connection, kind, ticket)
    if found is None or found.login != login:
        raise Unauthenticated("The passkey was asked too long ago.", remedy="Press the button again.")
    return base64url_to_bytes(found.data["challenge"])


def _milliseconds() -> int:
    return int(rules.minutes("challenge").total_seconds() * 1000)


def _descriptors(known: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.id)) for one in known]


def _bounded(answer: str) -> str:
    if len(answer) > LONGEST:
        raise Unprocessable("The passkey's answer is too long.", remedy="Press the button again.")
    return answer


def _decoded(passkey_id: str) -> bytes:
    try:
        return base64url_to_bytes(passkey_id)
    except ValueError:
        return b""


def _passkey(row: Any) -> Passkey:
    return Passkey(bytes_to_base64url(bytes(row["id"])), *list(row)[1:7])


def _unfit() -> Unprocessable:
    return Unprocessable("This passkey cannot be added.", remedy="Press the button again, or use another device.")


def _refused() -> Unauthenticated:
    return Unauthenticated("The passkey was not accepted.", remedy="Try again, or sign in another way.")
