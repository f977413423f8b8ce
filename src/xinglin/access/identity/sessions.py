"""Sessions of the pages: a random secret in a cookie, its hash in the database.

Nothing about the caller is in the cookie, so nothing can be forged; a cookie that is unknown, tampered with or too
old signs nobody in.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from xinglin.access.identity import rules
from xinglin.access.identity.events import Whence
from xinglin.access.principal import Role
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database

LONGEST: Final = {Role.PATIENT: timedelta(days=7)}  # a patient's own phone
LONGEST_STAFF: Final = timedelta(hours=24)  # a ward's shared computer
SEEN_EVERY: Final = timedelta(minutes=1)  # the last request is noted no finer than this, to spare writes


@dataclass(frozen=True, slots=True)
class Session:
    """One sign-in on one device. `id` names it to its owner; the secret is known to the browser alone."""

    id: str
    login: str
    csrf: str
    created: datetime
    seen: datetime
    expires: datetime
    address: str
    agent: str


_COLUMNS = "id, login, csrf, created, seen, expires, address, agent"


def cookie_name(secure: bool) -> str:
    """`__Host-` binds the cookie to this very host and path; browsers accept it with Secure only."""
    return "__Host-xl_session" if secure else "xl_session"


def cookie_settings(secure: bool) -> dict[str, Any]:
    """Arguments of Starlette's `set_cookie` beside name and value (and of `delete_cookie`)."""
    return {"path": "/", "httponly": True, "samesite": "lax", "secure": secure}


def hashed(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()


async def start(
    connection: Connection, login: str, role: Role, whence: Whence, methods: Sequence[str]
) -> tuple[str, Session]:
    """A new session of somebody who has proven who they are by these methods (RFC 8176 names)."""
    secret, now = secrets.token_urlsafe(32), clock.now()
    row = await connection.fetchrow(
        f"INSERT INTO session (hash, {_COLUMNS}, verified, methods)"  # noqa: S608
        f" VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8, $5, $9) RETURNING {_COLUMNS}",
        *(hashed(secret), secrets.token_hex(8), login, secrets.token_urlsafe(32), now),
        *(now + LONGEST.get(role, LONGEST_STAFF), whence.address[:64], whence.agent[:200], list(methods)),
    )
    return secret, Session(**row)


async def proven(connection: Connection, session_id: str) -> tuple[datetime, tuple[str, ...]] | None:
    """When the session's owner last proved who they are, and by which methods; None where it has ended."""
    row = await connection.fetchrow("SELECT verified, methods FROM session WHERE id = $1", session_id)
    return None if row is None else (row["verified"], tuple(row["methods"]))


async def is_fresh(connection: Connection, session_id: str) -> bool:
    """Whether that was short enough ago to change what guards the account."""
    found = await proven(connection, session_id)
    return found is not None and found[0] > clock.now() - rules.minutes("fresh")


async def prove_again(connection: Connection, session_id: str, methods: Sequence[str]) -> str:
    """The session's new secret: the former cookie signs nobody in any more, should somebody have had it."""
    secret = secrets.token_urlsafe(32)
    await connection.execute(
        "UPDATE session SET hash = $4, verified = $2, methods = $3 WHERE id = $1",
        *(session_id, clock.now(), list(methods), hashed(secret)),
    )
    return secret


async def sign_out(database: Database, secret: str) -> None:
    await database.pool.execute("DELETE FROM session WHERE hash = $1", hashed(secret))


async def own(database: Database, login: str, *, idle: timedelta) -> list[Session]:
    """The account's sessions that still work, the latest first."""
    now = clock.now()
    rows = await database.pool.fetch(
        f"SELECT {_COLUMNS} FROM session WHERE login = $1 AND expires > $2 AND seen > $3 ORDER BY seen DESC",  # noqa: S608
        *(login, now, now - idle),
    )
    return [Session(**row) for row in rows]


async def end_others(connection: Connection, login: str, but: str) -> int:
    """End all sessions of the account but one; the number ended."""
    done = await connection.execute("DELETE FROM session WHERE login = $1 AND id <> $2", login, but)
    return int(done.split()[-1])


async def end(database: Database, login: str, session_id: str | None = None) -> int:
    """End one session of the account by its id, or all; the number ended. Another's id ends nothing."""
    done = await database.pool.execute(
        "DELETE FROM session WHERE login = $1 AND ($2::text IS NULL OR id = $2)", login, session_id
    )
    return int(done.split()[-1])


async def sweep(connection: Connection, *, idle: timedelta) -> None:
    """Remove sessions that no longer work."""
    now = clock.now()
    await connection.execute("DELETE FROM session WHERE expires <= $1 OR seen <= $2", now, now - idle)
