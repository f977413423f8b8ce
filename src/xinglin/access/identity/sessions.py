"""Sessions of the pages: a random secret in a cookie, its hash in the database.

Nothing about the caller is in the cookie, so nothing can be forged; a cookie that is unknown, tampered with or too
old signs nobody in.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from xinglin.access.identity import limits, passwords
from xinglin.access.identity.accounts import fold_login
from xinglin.access.principal import Role
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Unauthenticated

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


async def sign_in(
    database: Database, login: str, password: str, address: str, *, agent: str = ""
) -> tuple[str, Session]:
    """The cookie's value and the session, always a new one.

    address: the caller's network address. Raises Unauthenticated, with the same words and after the same work
    whether the login or the password is wrong, and limits.TooManySignIns.
    """
    login = fold_login(login)
    attempt = limits.Attempt.of(login, address)
    await limits.enter(database, attempt)
    row = await database.pool.fetchrow("SELECT role, password FROM account WHERE login = $1 AND active", login)
    if not await passwords.matches(row and row["password"], password) or row is None:
        raise Unauthenticated("The login or the password is wrong.", remedy="Check both and try again.")
    renewed = await passwords.hash_password(password) if passwords.is_outdated(row["password"]) else row["password"]
    async with database.transaction() as connection:
        await limits.succeeded(connection, attempt)
        # The account may have been disabled, or its password changed, while we hashed: then the row is not there.
        kept = await connection.fetchval(
            "UPDATE account SET password = $3 WHERE login = $1 AND active AND password = $2 RETURNING login",
            *(login, row["password"], renewed),
        )
        if kept is None:
            raise Unauthenticated("The account has just changed.", remedy="Sign in again.")
        return await _begin(connection, login, Role(row["role"]), address, agent)


async def _begin(connection: Connection, login: str, role: Role, address: str, agent: str) -> tuple[str, Session]:
    secret, now = secrets.token_urlsafe(32), clock.now()
    row = await connection.fetchrow(
        f"INSERT INTO session (hash, {_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $5, $6, $7, $8) RETURNING {_COLUMNS}",  # noqa: S608
        *(hashed(secret), secrets.token_hex(8), login, secrets.token_urlsafe(32), now),
        *(now + LONGEST.get(role, LONGEST_STAFF), address[:64], agent[:200]),
    )
    return secret, Session(**row)


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
