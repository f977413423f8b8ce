"""Signing in, step by step. A session exists only when every step is behind: there is no half a session to abuse.

    password ─┐                ┌─ second factor, where the account has one ─┐
    provider ─┼─ who it is ────┼─ a password of one's own, where it was given ─┼── session
    recovery ─┘                └─ a second factor set up, where the role must ─┘
    passkey ──── who it is, with two factors at once ───────────────────────────┘

Between steps the browser holds a ticket (begun.py). Which step is next is asked of the account each time, never kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from xinglin.access.house import House
from xinglin.access.identity import begun, events, limits, passwords, rules, sessions
from xinglin.access.identity.accounts import fold_login
from xinglin.access.identity.events import Whence
from xinglin.access.identity.sessions import Session
from xinglin.access.principal import Role
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Unauthenticated

KIND: Final = "sign-in"
SECOND: Final = frozenset({"otp", "hwk", "rec", "mfa"})
"""Methods that count as a second factor; RFC 8176 names, and `rec` for a recovery code."""
NEW_AFTER: Final = timedelta(days=90)  # a browser not seen for so long is told of as a new one


class Step(StrEnum):
    """What is still asked before there is a session."""

    SECOND = "second"
    CHANGE = "change"
    ENROL = "enrol"


@dataclass(frozen=True, slots=True)
class Entered:
    """Signed in: the cookie's value, the session, and the page that was asked for."""

    secret: str
    session: Session
    goal: str = ""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """More is asked: the ticket for the browser's cookie, and what."""

    ticket: str
    step: Step


Answer = Entered | Unfinished


@dataclass(frozen=True, slots=True)
class Standing:
    """What of an account decides its steps."""

    login: str
    role: Role
    temporary: bool
    codes: bool
    passkeys: int


def next_step(account: Standing, methods: frozenset[str], *, must: bool) -> Step | None:
    """The step that is due after these methods; must: the role signs in with two factors."""
    proven = bool(methods & SECOND)
    if not proven and (account.codes or (must and account.passkeys)):
        return Step.SECOND
    if account.temporary and "pwd" in methods:
        return Step.CHANGE
    if must and not account.codes and not account.passkeys and "mfa" not in methods:
        return Step.ENROL
    return None


async def standing(connection: Connection, login: str) -> Standing | None:
    """None where there is no such account, or it is disabled."""
    row = await connection.fetchrow(
        "SELECT login, role, temporary IS NOT NULL AS temporary,"
        " EXISTS (SELECT 1 FROM authenticator t WHERE t.login = a.login) AS codes,"
        " (SELECT count(*) FROM passkey p WHERE p.login = a.login AND p.suspended IS NULL) AS passkeys"
        " FROM account a WHERE login = $1 AND active",
        login,
    )
    return None if row is None else Standing(row["login"], Role(row["role"]), *list(row)[2:])


# the first step -------------------------------------------------------------------------------------------------------


async def with_password(house: House, login: str, password: str, whence: Whence, *, goal: str = "") -> Answer:
    """goal: the page to open in the end.

    Raises Unauthenticated, alike whether login or password is wrong, and limits.TooManySignIns.
    """
    login = fold_login(login)
    attempt = limits.Attempt.of(login, whence.address)
    await check_password(house.database, attempt, login, password, whence)
    async with house.database.transaction() as connection:
        return await arrived(house, connection, login, ["pwd"], whence, attempt, goal=goal)


async def sign_in(
    database: Database, login: str, password: str, address: str, *, agent: str = ""
) -> tuple[str, Session]:
    """By password alone, for an account that asks for no more: the cookie's value and a new session.

    Commands and tests use it; pages go by `with_password`, which leads through the other steps.
    """
    login, whence = fold_login(login), Whence(address, agent)
    attempt = limits.Attempt.of(login, address)
    await check_password(database, attempt, login, password, whence)
    async with database.transaction() as connection:
        account = await standing(connection, login)
        if account is not None and next_step(account, frozenset({"pwd"}), must=False) is None:
            await limits.succeeded(connection, attempt)
            entered = await _enter(connection, account, ["pwd"], whence)
            return entered.secret, entered.session
        await limits.forgiven(connection, attempt)
    raise Unauthenticated("This account signs in with more than a password.", remedy="Use the sign-in page.")


async def check_password(
    database: Database, attempt: limits.Attempt, login: str, password: str, whence: Whence
) -> None:
    """Count the attempt, do the work of a hash whoever asks, and renew a hash of older parameters."""
    await limits.enter(database, attempt)
    row = await database.pool.fetchrow(
        "SELECT password FROM account WHERE login = $1 AND active AND (temporary IS NULL OR temporary > $2)",
        *(login, clock.now()),
    )
    right = await passwords.matches(row and row["password"], password)
    if not right or row is None:
        async with database.transaction() as connection:
            await events.tell(connection, "refused", login, whence)
        raise Unauthenticated("The login or the password is wrong.", remedy="Check both and try again.")
    renewed = await passwords.hash_password(password) if passwords.is_outdated(row["password"]) else row["password"]
    # The account may have been disabled, or its password changed, while we hashed: then the row is not there.
    kept = await database.pool.fetchval(
        "UPDATE account SET password = $3 WHERE login = $1 AND active AND password = $2 RETURNING login",
        *(login, row["password"], renewed),
    )
    if kept is None:
        raise Unauthenticated("The account has just changed.", remedy="Sign in again.")


async def arrived(
    house: House,
    connection: Connection,
    login: str,
    methods: list[str],
    whence: Whence,
    attempt: limits.Attempt | None = None,
    *,
    goal: str = "",
) -> Answer:
    """Who it is has been proven by these methods: on to the session, or to the step that is due."""
    account = await standing(connection, login)
    if account is None:
        raise Unauthenticated("The account has just changed.", remedy="Sign in again.")
    step = next_step(account, frozenset(methods), must=rules.must_have_second(account.role, house.settings))
    if step is None:
        if attempt is not None:
            await limits.succeeded(connection, attempt)
        return await _enter(connection, account, methods, whence, goal)
    if attempt is not None:
        await limits.forgiven(connection, attempt)
    ticket = await begun.begin(connection, KIND, rules.minutes("second_step"), login=login, methods=methods, goal=goal)
    return Unfinished(ticket, step)


async def _enter(
    connection: Connection, account: Standing, methods: list[str], whence: Whence, goal: str = ""
) -> Entered:
    kind = "new-device" if await _is_new(connection, account.login, whence) else "signed-in"
    await events.tell(connection, kind, account.login, whence, detail=" ".join(methods))
    return Entered(*await sessions.start(connection, account.login, account.role, whence, methods), goal)


async def _is_new(connection: Connection, login: str, whence: Whence) -> bool:
    """Whether this browser is new to an account that was used before."""
    before = await connection.fetch(
        "SELECT DISTINCT agent FROM security_event"
        " WHERE login = $1 AND kind IN ('signed-in', 'new-device') AND at > $2",
        *(login, clock.now() - NEW_AFTER),
    )
    return bool(before) and whence.agent[:200] not in {row["agent"] for row in before}


# the steps after it ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Waiting:
    """A sign-in under way: whose, and the step that is due (None: nothing is)."""

    account: Standing
    methods: tuple[str, ...]
    step: Step | None


async def waiting(house: House, ticket: str) -> Waiting | None:
    """What the ticket's sign-in waits for; None where it is over."""
    async with house.database.connection() as connection:
        return await _waiting(house, connection, await begun.look(connection, KIND, ticket))


async def _waiting(house: House, connection: Connection, found: Any) -> Waiting | None:
    account = await standing(connection, found.login) if found else None
    if account is None:
        return None
    methods = frozenset(found.data["methods"])
    must = rules.must_have_second(account.role, house.settings)
    return Waiting(account, tuple(found.data["methods"]), next_step(account, methods, must=must))


async def went_on(house: House, connection: Connection, ticket: str, whence: Whence, *, method: str = "") -> Answer:
    """A step is behind (by a second factor: `method`): the session, or a new ticket for what is still due."""
    found = await begun.take(connection, KIND, ticket)
    if found is None or found.login is None:
        raise over()
    methods = [*found.data["methods"], *([method] if method else [])]
    return await arrived(house, connection, found.login, methods, whence, goal=found.data["goal"])


def over() -> Unauthenticated:
    return Unauthenticated("This sign-in has taken too long.", remedy="Sign in again.")
