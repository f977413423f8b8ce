"""Accounts: who may sign in, as what. Private tables: an account is not health data."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from xinglin.access.identity import passwords, rules
from xinglin.access.identity.guessable import words_of_name
from xinglin.access.identity.tokens import forget_remembered
from xinglin.access.principal import Role
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Conflict, NotFound, Unprocessable

_SELECT = "SELECT login, name_zh, name_en, role, institution, practitioner, patient, active, created FROM account"


@dataclass(frozen=True, slots=True)
class Account:
    """One person's way in. institution, practitioner, patient: ids of Organization, Practitioner and Patient."""

    login: str
    name_zh: str
    name_en: str
    role: Role
    institution: str | None
    practitioner: str | None
    patient: str | None
    active: bool
    created: datetime


def fold_login(login: str) -> str:
    """Logins are compared without regard to case or width of characters."""
    return unicodedata.normalize("NFKC", login).strip().casefold()


async def create(
    database: Database,
    login: str,
    password: str,
    role: Role,
    *,
    name_zh: str = "",
    name_en: str = "",
    institution: str | None = None,
    practitioner: str | None = None,
    patient: str | None = None,
    given: bool = False,
    published: bool = False,
) -> Account:
    """A new account. Staff belong to an institution, a patient's account to a Patient; programs get tokens instead.

    given: the password comes from somebody else; its owner must choose another at the first sign-in, and soon.
    published: it is known to everybody on purpose, as the demo's is, so that no rule makes it better.
    """
    login = _checked(login)
    _check_belonging(role, institution, patient)
    if not published:
        async with database.connection() as connection:
            await _check_password(connection, password, (login, name_zh, name_en), institution)
    encoded = await passwords.hash_password(password)
    now = clock.now()
    try:
        await database.pool.execute(
            "INSERT INTO account (login, name_zh, name_en, role, institution, practitioner, patient, password, created,"
            " changed, temporary) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)",
            *(login, name_zh or name_en or login, name_en or name_zh or login, role.value),
            *(institution, practitioner, patient, encoded, now, _until(given)),
        )
    except asyncpg.UniqueViolationError as error:
        raise Conflict(f"The account {login!r} exists.", remedy="Choose another login.") from error
    return await get(database, login)


async def get(database: Database, login: str) -> Account:
    row = await database.pool.fetchrow(_SELECT + " WHERE login = $1", fold_login(login))
    if row is None:
        raise _unknown(login)
    return _account(row)


async def everyone(database: Database, *, institution: str | None = None) -> list[Account]:
    """All accounts by login, or those of one institution."""
    rows = await database.pool.fetch(
        _SELECT + " WHERE $1::text IS NULL OR institution = $1 ORDER BY login", institution
    )
    return [_account(row) for row in rows]


async def set_password(database: Database, login: str, password: str, *, given: bool = False) -> None:
    """A new password ends every session of the account and what apps were allowed: whoever knew the old one is out.

    given: as for `create`.
    """
    login = fold_login(login)
    async with database.connection() as connection:
        await check_password(connection, login, password)
    encoded = await passwords.hash_password(password)
    async with database.transaction() as connection:
        await put_password(connection, login, encoded, given=given)


async def check_password(connection: Connection, login: str, password: str) -> None:
    """Raises Unprocessable where an account may not have this password: too short, or easily guessed of its holder."""
    row = await connection.fetchrow("SELECT name_zh, name_en, institution FROM account WHERE login = $1", login)
    names = (row["name_zh"], row["name_en"]) if row else ()
    await _check_password(connection, password, (login, *names), row["institution"] if row else None)


async def _check_password(
    connection: Connection, password: str, names: tuple[str, ...], institution: str | None
) -> None:
    """In a thread: the first name that is read in pinyin costs the process 0.2 s."""
    if institution:
        key = key_of("Organization", institution)
        body = await connection.fetchval("SELECT body FROM resource WHERE key = $1 AND NOT deleted", key)
        held = orjson.loads(body) if body else {}
        names = (*names, institution, held.get("name", ""), *held.get("alias", ()))
    await asyncio.to_thread(lambda: passwords.check_new(password, [w for name in names for w in words_of_name(name)]))


async def put_password(connection: Connection, login: str, encoded: str, *, given: bool = False) -> None:
    """The same in a transaction, of a password that was checked and hashed; what was begun with the old one is over."""
    await _change(connection, login, "password = $2, changed = $3, temporary = $4", encoded, clock.now(), _until(given))
    await _put_out(connection, login)


async def _put_out(connection: Connection, login: str) -> None:
    """Whoever is in by what was valid before is out: sessions, sign-ins under way, codes handed over, apps."""
    for table in ("session", "begun", "recovery"):
        await connection.execute(f"DELETE FROM {table} WHERE login = $1", login)  # noqa: S608  names of ours
    await connection.execute(
        "UPDATE oauth_grant SET ended = $2, why = 'account' WHERE login = $1 AND ended IS NULL", login, clock.now()
    )
    await forget_remembered(connection)


def _until(given: bool) -> datetime | None:
    """Until when a password that somebody else gave is accepted; None: it is the owner's."""
    return clock.now() + timedelta(hours=rules.data()["temporary_password_hours"]) if given else None


async def set_active(database: Database, login: str, active: bool) -> None:
    """Disable or enable; a disabled account's sessions end at once."""
    login = fold_login(login)
    async with database.transaction() as connection:
        await _change(connection, login, "active = $2", active)
        if not active:
            await _put_out(connection, login)


async def set_role(database: Database, login: str, role: Role, *, institution: str | None = None) -> None:
    """Another role, and another institution where one is given; in force from the next request on."""
    account = await get(database, login)
    institution = institution or account.institution
    _check_belonging(role, institution, account.patient)
    async with database.transaction() as connection:
        await _change(connection, account.login, "role = $2, institution = $3", role.value, institution)


async def missing(database: Database, named: Mapping[str, str | None]) -> list[str]:
    """Of the resources that an account or token names, by type, those that are not there."""
    sql = "SELECT EXISTS (SELECT 1 FROM resource WHERE key = $1 AND NOT deleted)"
    given = [(type, id) for type, id in named.items() if id]
    return [f"{type}/{id}" for type, id in given if not await database.pool.fetchval(sql, key_of(type, id))]


async def _change(connection: Connection, login: str, what: str, *values: object) -> None:
    if await connection.execute(f"UPDATE account SET {what} WHERE login = $1", login, *values) == "UPDATE 0":  # noqa: S608
        raise _unknown(login)


def _checked(login: str) -> str:
    folded = fold_login(login)
    if not 2 <= len(folded) <= 64 or any(not (c.isalnum() or c in "._@-") for c in folded):
        raise Unprocessable(
            f"{login!r} cannot be a login.", remedy="Use 2 to 64 letters, digits, dots, hyphens, underscores or @."
        )
    return folded


def _check_belonging(role: Role, institution: str | None, patient: str | None) -> None:
    if role is Role.SYSTEM:
        raise Unprocessable("A program has no account.", remedy="Issue a token: xinglin token --role system")
    if role is Role.PATIENT and not patient:
        raise Unprocessable("A patient's account names no Patient.", remedy="Give the id of the Patient resource.")
    if role is not Role.PATIENT and not institution:
        raise Unprocessable(f"A {role.value} belongs to no institution.", remedy="Give the id of the Organization.")


def _unknown(login: str) -> NotFound:
    return NotFound(f"There is no account {login!r}.", remedy="`xinglin user list` shows all.")


def _account(row: Any) -> Account:
    return Account(**{**dict(row), "role": Role(row["role"])})
