"""What one browser has begun and it alone may finish, once and soon.

A challenge for a passkey, a sign-in whose password was right and whose second step is due, a visit to an outside
provider. The ticket is in the browser's cookie, its hash in the database: a form, a link or a challenge that is
carried to another browser finishes nothing there.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from xinglin.kernel import clock
from xinglin.kernel.database import Connection


@dataclass(frozen=True, slots=True)
class Begun:
    """kind: what for. login: whose, where that is known already."""

    kind: str
    login: str | None
    data: Mapping[str, Any]
    expires: datetime


async def begin(connection: Connection, kind: str, lasting: timedelta, *, login: str | None = None, **data: Any) -> str:
    """The ticket for the browser's cookie."""
    ticket, now = secrets.token_urlsafe(32), clock.now()
    await connection.execute("DELETE FROM begun WHERE expires <= $1", now)
    await connection.execute(
        "INSERT INTO begun (hash, kind, login, data, expires) VALUES ($1, $2, $3, $4, $5)",
        *(_hashed(ticket), kind, login, json.dumps(data), now + lasting),
    )
    return ticket


async def look(connection: Connection, kind: str, ticket: str) -> Begun | None:
    """What the ticket stands for, left in place; None where it is unknown, over, or of another kind."""
    row = await connection.fetchrow(
        "SELECT kind, login, data, expires FROM begun WHERE hash = $1 AND kind = $2 AND expires > $3",
        *(_hashed(ticket), kind, clock.now()),
    )
    return _begun(row)


async def take(connection: Connection, kind: str, ticket: str) -> Begun | None:
    """The same, and it is used up: of two who come at once one gets it."""
    row = await connection.fetchrow(
        "DELETE FROM begun WHERE hash = $1 AND kind = $2 AND expires > $3 RETURNING kind, login, data, expires",
        *(_hashed(ticket), kind, clock.now()),
    )
    return _begun(row)


async def forget(connection: Connection, login: str) -> None:
    """Nothing that was begun for the account can be finished any more."""
    await connection.execute("DELETE FROM begun WHERE login = $1", login)


def _hashed(ticket: str) -> bytes:
    return sha256(ticket.encode("utf-8", "surrogatepass")).digest()


def _begun(row: Any) -> Begun | None:
    return None if row is None else Begun(row["kind"], row["login"], json.loads(row["data"]), row["expires"])
