"""A way back in for who has lost everything: given in person by staff of the account's own institution.

There are no questions, no mails, no messages to phones: each of those is a way in for somebody else. Staff see the
person and a document, and hand over a code that works once, after a delay in which whoever holds the account sees it
announced on their pages and may refuse it, and for a day. Using it ends every session and every other way in, and a
new password is chosen. Nobody gives one to themselves or to somebody who may do more (data/sign_in.json).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from xinglin.access.house import House
from xinglin.access.identity import accounts, begun, entering, events, limits, passwords, proof, rules, second_factor
from xinglin.access.identity.accounts import fold_login
from xinglin.access.identity.events import Whence
from xinglin.access.policy import institution_key
from xinglin.access.principal import Principal, Role
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import NotFound, Unauthenticated, Unprocessable

KIND: Final = "recovery"


@dataclass(frozen=True, slots=True)
class Given:
    """A code to be handed over, shown this once; it works from `starts` until `expires`."""

    code: str
    login: str
    name_zh: str
    name_en: str
    role: Role
    starts: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class Announced:
    """What the owner is told of a code that was given and not yet used: by whom (name in both languages), when."""

    given_by: str
    name_zh: str
    name_en: str
    institution: str
    starts: datetime
    expires: datetime


# giving ---------------------------------------------------------------------------------------------------------------


async def give(house: House, giver: Principal, login: str, evidence: str, whence: Whence) -> Given:
    """Make a code for somebody who stands before the giver. evidence: a code of data/sign_in.json.

    Raises NotFound, alike for an account that is unknown, another institution's, the giver's own or above them.
    """
    if evidence not in {one.code for one in rules.evidence()}:
        raise Unprocessable("Say how you recognised the person.", remedy="Choose one of the ways.")
    login, code, now = fold_login(login), second_factor.new_code(), clock.now()
    rule = rules.data()["recovery"]
    starts = now + timedelta(minutes=rule["delay_minutes"])
    expires = now + timedelta(hours=rule["hours"])
    async with house.database.transaction() as connection:
        row = await _account_of(connection, giver, login)
        if row is not None:
            await connection.execute(
                "INSERT INTO recovery (login, hash, given_by, institution, evidence, starts, expires)"
                " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (login) DO UPDATE SET hash = $2, given_by = $3,"
                " institution = $4, evidence = $5, starts = $6, expires = $7",
                *(login, second_factor.hashed_code(login, code), giver.login, giver.institution),
                *(evidence, starts, expires),
            )
            detail = f"{giver.name} ({giver.login}): {evidence}"
            await events.tell(connection, "recovery-given", login, whence, detail=detail, by=giver)
    if row is None:
        raise NotFound("Your institution has no such account that you may let in again.", remedy="Check the login.")
    return Given(code, login, row["name_zh"], row["name_en"], Role(row["role"]), starts, expires)


async def _account_of(connection: Connection, giver: Principal, login: str) -> Any:
    """The account, where this giver may let it in again; else None."""
    row = await connection.fetchrow(
        "SELECT name_zh, name_en, role, institution, patient FROM account WHERE login = $1 AND active", login
    )
    if row is None or login == giver.login or not giver.institution:
        return None
    if not rules.may_give_recovery(giver.role, Role(row["role"])):
        return None
    if Role(row["role"]) is not Role.PATIENT:
        return row if row["institution"] == giver.institution else None
    held = await connection.fetchval(
        "SELECT EXISTS (SELECT 1 FROM resource WHERE key = $1 AND custodian = $2 AND NOT deleted)",
        *(key_of("Patient", row["patient"]), institution_key(giver.institution)),
    )
    return row if held else None


# what its owner sees --------------------------------------------------------------------------------------------------


async def announced(connection: Connection, login: str) -> Announced | None:
    row = await connection.fetchrow(
        "SELECT given_by, coalesce(a.name_zh, given_by) AS name_zh, coalesce(a.name_en, given_by) AS name_en,"
        " r.institution, starts, expires FROM recovery r LEFT JOIN account a ON a.login = given_by"
        " WHERE r.login = $1 AND expires > $2",
        *(login, clock.now()),
    )
    return None if row is None else Announced(**row)


async def refuse(connection: Connection, login: str, whence: Whence) -> None:
    """The owner says that it was not them: the code ends."""
    if await connection.execute("DELETE FROM recovery WHERE login = $1", login) != "DELETE 0":
        await begun.forget(connection, login)
        await events.tell(connection, "recovery-refused", login, whence)


# using ----------------------------------------------------------------------------------------------------------------


async def begin(house: House, login: str, code: str, whence: Whence) -> str:
    """The ticket for choosing a new password, where login and code are right.

    Raises Unauthenticated in the same words after the same work (a password's hash, so that it takes as long as any
    other try) whatever is wrong, a code that does not work yet included; and limits.TooManySignIns.
    """
    login = fold_login(login)
    attempt = limits.Attempt.of(login, whence.address)
    await limits.enter(house.database, attempt)
    await passwords.matches(None, code[: passwords.LONGEST])
    async with house.database.transaction() as connection:
        found = await connection.fetchval(
            "SELECT login FROM recovery r JOIN account a USING (login) WHERE login = $1 AND hash = $2 AND a.active"
            " AND starts <= $3 AND expires > $3",
            *(login, second_factor.hashed_code(login, code), clock.now()),
        )
        if found is not None:
            await limits.forgiven(connection, attempt)
            hashed = second_factor.hashed_code(login, code).hex()
            return await begun.begin(connection, KIND, rules.minutes("second_step"), login=login, hash=hashed)
        await events.tell(connection, "refused", login, whence)
    raise Unauthenticated(
        "The login or the code is wrong, or the code does not work at this time.", remedy="Check both and try again."
    )


async def waiting(connection: Connection, ticket: str) -> str | None:
    """The login whose new password the ticket lets choose."""
    found = await begun.look(connection, KIND, ticket)
    return found.login if found else None


async def finish(house: House, ticket: str, password: str, whence: Whence) -> entering.Answer:
    """Take the code, end all that opened the account before, set the password and go on signing in.

    Raises Unauthenticated where the ticket or the code has ended meanwhile, Unprocessable for a weak password.
    """
    async with house.database.connection() as connection:
        login = await waiting(connection, ticket)
        if login is None:
            raise entering.over()
        await accounts.check_password(connection, login, password)
    encoded = await passwords.hash_password(password)
    async with house.database.transaction() as connection:
        found = await begun.take(connection, KIND, ticket)
        used = found and await connection.fetchval(
            "DELETE FROM recovery WHERE login = $1 AND hash = $2 AND expires > $3 RETURNING login",
            *(login, bytes.fromhex(found.data["hash"]), clock.now()),
        )
        if used is None:
            raise entering.over()
        await accounts.put_password(connection, login, encoded)
        for table in ("passkey", "authenticator", "recovery_code", "provider_link"):
            await connection.execute(f"DELETE FROM {table} WHERE login = $1", login)  # noqa: S608  names of ours
        await proof.end_all(connection, login, by="recovery")
        await events.tell(connection, "recovered", login, whence)
        return await entering.arrived(house, connection, login, ["pwd"], whence)
