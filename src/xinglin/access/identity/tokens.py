"""Bearer tokens of programs: issued by the operator, shown once, kept as hashes."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from xinglin.access.identity.sessions import hashed
from xinglin.access.principal import Role
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import NotFound, Unprocessable

PREFIX: Final = "xl_"  # lets secret scanners recognise a token that was committed by mistake
SCIM: Final = "scim"  # the scope of a program that keeps an institution's staff accounts (access/scim)
INTROSPECT: Final = "introspect"  # the scope of another resource server, which asks what apps' tokens stand for
LONGEST_HOURS: Final = 366 * 24
CHANNEL: Final = "xinglin_identity"  # NOTIFY: what a worker remembers of callers is out of date
_SCOPE = re.compile(r"(patient|user|system)/(\*|[A-Z][A-Za-z]+)\.(\*|read|write|(?=[cruds])c?r?u?d?s?)")
_COLUMNS = "id, name, role, institution, practitioner, patient, scopes, created, expires, revoked"
_INSERT = (
    f"INSERT INTO access_token (hash, {_COLUMNS})"  # noqa: S608
    f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, NULL) RETURNING {_COLUMNS}"
)


@dataclass(frozen=True, slots=True)
class AccessToken:
    """What is known of a token; the token itself is not kept."""

    id: str
    name: str
    role: Role
    institution: str | None
    practitioner: str | None
    patient: str | None
    scopes: tuple[str, ...] | None
    created: datetime
    expires: datetime
    revoked: datetime | None


async def issue(
    database: Database,
    role: Role,
    hours: float,
    *,
    name: str = "",
    institution: str | None = None,
    practitioner: str | None = None,
    patient: str | None = None,
    scopes: Sequence[str] | None = None,
) -> tuple[str, AccessToken]:
    """The token, to be shown once, and its entry. scopes (SMART v1 or v2) narrow the role; None: the role alone."""
    _check(role, hours, institution, patient, scopes)
    token, now = PREFIX + secrets.token_urlsafe(32), clock.now()
    row = await database.pool.fetchrow(
        _INSERT,
        *(hashed(token), secrets.token_hex(6), name or f"{role.value}-token", role.value),
        *(institution, practitioner, patient, None if scopes is None else list(scopes)),
        *(now, now + timedelta(hours=hours)),
    )
    return token, _entry(row)


async def revoke(database: Database, token_id: str) -> None:
    """End a token. Workers that remember it are told as the statement commits."""
    async with database.transaction() as connection:
        done = await connection.execute(
            "UPDATE access_token SET revoked = $2 WHERE id = $1 AND revoked IS NULL", token_id, clock.now()
        )
        if done == "UPDATE 0":
            raise NotFound(f"There is no valid token {token_id!r}.", remedy="`xinglin token list` shows all.")
        await forget_remembered(connection)


async def bears(connection: Connection, token: str, scope: str) -> bool:
    """Whether a text is a valid token that has a scope of ours."""
    sql = "SELECT EXISTS (SELECT 1 FROM access_token WHERE hash = $1 AND $2 = ANY(scopes) AND revoked IS NULL"
    return bool(await connection.fetchval(f"{sql} AND expires > $3)", hashed(token), scope, clock.now()))


async def listed(database: Database) -> list[AccessToken]:
    """All tokens, the latest first, ended ones included."""
    rows = await database.pool.fetch(f"SELECT {_COLUMNS} FROM access_token ORDER BY created DESC, id")  # noqa: S608
    return [_entry(row) for row in rows]


async def forget_remembered(connection: Connection) -> None:
    """Tell every worker, on commit, to look callers up again: a right was taken away."""
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)


def _check(
    role: Role, hours: float, institution: str | None, patient: str | None, scopes: Sequence[str] | None
) -> None:
    if not 0 < hours <= LONGEST_HOURS:
        raise Unprocessable(f"A token cannot last {hours:g} hours.", remedy=f"Choose up to {LONGEST_HOURS}.")
    if role is Role.PATIENT and not patient:
        raise Unprocessable("A patient's token names no Patient.", remedy="Add --patient ID.")
    if role not in (Role.PATIENT, Role.SYSTEM) and not institution:
        raise Unprocessable(f"A {role.value}'s token names no institution.", remedy="Add --institution ID.")
    if SCIM in (scopes or ()) and (role is not Role.SYSTEM or not institution or list(scopes or ()) != [SCIM]):
        raise Unprocessable(
            "The scope scim stands alone, for a program of one institution.",
            remedy="Add --role system --institution ID.",
        )
    if INTROSPECT in (scopes or ()) and (role is not Role.SYSTEM or institution or list(scopes or ()) != [INTROSPECT]):
        raise Unprocessable(
            "The scope introspect stands alone, for a server of the operator's.", remedy="Add --role system alone."
        )
    for scope in scopes or ():
        if scope in (SCIM, INTROSPECT):
            continue
        if not _SCOPE.fullmatch(scope):  # nor one limited by a search: granting its whole type would be too much
            raise Unprocessable(f"{scope!r} is not a scope we grant.", remedy="Example: system/Observation.rs")


def _entry(row: Any) -> AccessToken:
    scopes = None if row["scopes"] is None else tuple(row["scopes"])
    return AccessToken(**{**dict(row), "role": Role(row["role"]), "scopes": scopes})
