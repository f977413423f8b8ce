"""A person's answer: a grant, and the one-time code that the app trades for tokens."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from xinglin.access import audit, scopes
from xinglin.access.audit import Access
from xinglin.access.identity.sessions import hashed
from xinglin.access.identity.tokens import forget_remembered
from xinglin.access.oauth.asking import Pending
from xinglin.access.oauth.lifetimes import lasts
from xinglin.access.principal import Principal, Role
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Forbidden, NotFound

LAUNCHED: Final = ("launch", "launch/patient", "launch/encounter")
KEEPING: Final = ("offline_access", "online_access")


@dataclass(frozen=True, slots=True)
class Signed:
    """The session that answers. proven: when its owner signed in. guardianship: by which they act for somebody."""

    id: str
    proven: datetime
    guardianship: int | None = None


@dataclass(frozen=True, slots=True)
class Allowed:
    """A grant as its owner sees it. `used`: when the app last asked for a token."""

    id: str
    client: str
    app: str
    scopes: tuple[str, ...]
    patient: str | None
    created: datetime
    used: datetime


def offered(pending: Pending, principal: Principal) -> list[str]:
    """Scopes that the person can allow: those asked for, without what their role never has, or no visit came with."""
    if principal.role is Role.SYSTEM:
        return []
    return [text for text in pending.asked.scopes if text != "launch/encounter" or pending.encounter]


def needs_patient(chosen: Sequence[str]) -> bool:
    """Whether the app is about one person: it says so, or a scope is confined to one."""
    return any(text in LAUNCHED or text.startswith("patient/") for text in chosen)


async def allow(
    connection: Connection,
    pending: Pending,
    principal: Principal,
    session: Signed,
    chosen: Sequence[str],
    patient: str | None,
) -> str:
    """The code. chosen: of those offered. patient: Patient id, which the caller has made sure that the person may
    open.

    Raises Forbidden for an answer to somebody else's launch, or one that allows nothing.
    """
    if pending.login is not None and pending.login != principal.login:
        raise Forbidden("This app was opened by somebody else.", remedy="Open it again yourself.")
    kept = [text for text in offered(pending, principal) if text in chosen]
    if not any(text == "openid" or scopes.read(text) for text in kept):
        raise Forbidden("Nothing was allowed.", remedy="Choose what the app may see, or refuse it.")
    about = (pending.patient or patient) if needs_patient(kept) else None
    now, grant = clock.now(), secrets.token_hex(8)
    bound = None if "offline_access" in kept else session.id
    await connection.execute(
        "INSERT INTO oauth_grant (id, client, login, session, scopes, patient, encounter, post, guardianship, proven,"
        " created, used) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        *(grant, pending.client.id, principal.login, bound, kept, about, pending.encounter if about else None),
        *(principal.practitioner_role, session.guardianship, session.proven, now),
    )
    code = secrets.token_urlsafe(32)
    await connection.execute(
        "INSERT INTO oauth_code (hash, grant_id, client, redirect_uri, challenge, nonce, expires)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(hashed(code), grant, pending.client.id, pending.asked.redirect_uri),
        *(pending.asked.challenge, pending.asked.nonce, now + lasts("code")),
    )
    await note(connection, principal, "app-allowed", pending.client.id, " ".join(kept), about)
    return code


async def note(
    connection: Connection,
    principal: Principal,
    interaction: str,
    client: str,
    why: str = "",
    patient: str | None = None,
) -> None:
    """Record what was done about an app, in the list of whom it is about."""
    about = patient or (principal.patients[0] if principal.patients else None)
    persons = (key_of("Patient", about),) if about else ()
    await audit.record(connection, [Access(principal, interaction, f"app {client}", persons, why=why[:500])])


async def of_person(connection: Connection, login: str) -> list[Allowed]:
    """What an account allowed that still stands, the latest first."""
    rows = await connection.fetch(
        "SELECT g.id, g.client, c.name AS app, g.scopes, g.patient, g.created, g.used FROM oauth_grant g"
        " JOIN oauth_client c ON c.id = g.client WHERE g.login = $1 AND g.ended IS NULL AND c.state = 'active'"
        " AND EXISTS (SELECT 1 FROM oauth_token t WHERE t.grant_id = g.id AND t.ended IS NULL AND t.expires > $2)"
        " ORDER BY g.created DESC, g.id",
        *(login, clock.now()),
    )
    return [Allowed(**{**dict(row), "scopes": tuple(row["scopes"])}) for row in rows]


async def end(connection: Connection, principal: Principal, grant: str) -> None:
    """End one of one's own: its tokens are over with the commit. Another's is not found."""
    client = await connection.fetchval(
        "UPDATE oauth_grant SET ended = $3, why = 'revoked' WHERE id = $1 AND login = $2 AND ended IS NULL"
        " RETURNING client",
        *(grant, principal.login, clock.now()),
    )
    if client is None:
        raise NotFound("There is no such app.", remedy="Go back, or start from home.")
    await forget_remembered(connection)
    await note(connection, principal, "app-ended", client)
