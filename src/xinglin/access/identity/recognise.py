"""From a request's cookie or bearer token to the Principal.

A session is looked up at every request, by one indexed statement. A token is remembered by each worker, because a
program asks thousands of times a second; what is remembered lives MEMORY_SECONDS at most, is dropped when any worker
revokes a token or changes a link (NOTIFY), and is used only while this worker is listening.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final

import asyncpg

from xinglin.access.identity import limits, sessions
from xinglin.access.identity.acting import CHOSEN, POSTS, Acting, as_staff
from xinglin.access.identity.guardians import as_guardian, row_of, ward_of, wards
from xinglin.access.identity.proof import reached
from xinglin.access.identity.sessions import SEEN_EVERY, Session, hashed
from xinglin.access.identity.tokens import CHANNEL
from xinglin.access.oauth import bearing
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import InvalidToken, Unauthenticated

MEMORY_SECONDS: Final = 2.0
IDLE: Final = timedelta(hours=24)  # of a session, where no Doorkeeper says it: work that outlives its request
_MEMORY_SIZE: Final = 4096
_LISTEN_AGAIN: Final = 1.0  # seconds between attempts to listen while the database refuses

PURPOSES: Final = {
    Role.PATIENT: Purpose.OWN,
    Role.CLINICIAN: Purpose.TREATMENT,
    Role.PHARMACIST: Purpose.TREATMENT,
    Role.CLERK: Purpose.OPERATIONS,
    Role.MANAGER: Purpose.OPERATIONS,
    Role.PRIVACY: Purpose.OPERATIONS,
    Role.SYSTEM: Purpose.ADMINISTRATION,
}
"""What a role's requests are for, unless a page says otherwise."""

_SESSION = f"""
SELECT s.id, s.login, s.csrf, s.created, s.seen, s.expires, s.address, s.agent,
       a.name_zh, a.name_en, a.role, a.institution, a.practitioner, a.patient,
       {reached(patient="a.patient", login="a.login")} AS linked,
       {POSTS.format(practitioner="a.practitioner", login="a.login")}, {CHOSEN}
  FROM session s JOIN account a USING (login)
 WHERE s.hash = $1 AND s.expires > $2 AND s.seen > $3 AND a.active
"""  # noqa: S608
_TOKEN = f"""
SELECT t.id, t.name, t.role, t.institution, t.practitioner, t.patient, t.scopes, t.expires, t.revoked,
       {reached(patient="t.patient", login="'token:' || t.id")} AS linked,
       {POSTS.format(practitioner="t.practitioner", login="'token:' || t.id")}
  FROM access_token t WHERE t.hash = $1
"""  # noqa: S608
_TOKEN_STANDS = f"""
SELECT t.id, t.name, t.role, t.institution, t.practitioner, t.patient, t.scopes,
       {reached(patient="t.patient", login="'token:' || t.id")} AS linked,
       {POSTS.format(practitioner="t.practitioner", login="'token:' || t.id")}
  FROM access_token t WHERE t.id = $1 AND t.revoked IS NULL AND t.expires > $2
"""  # noqa: S608
_ACCOUNT_STANDS = f"""
SELECT a.name_zh AS name, a.role, a.institution, a.practitioner, a.patient,
       {reached(patient="a.patient", login="a.login")} AS linked,
       {POSTS.format(practitioner="a.practitioner", login="a.login")}
  FROM account a WHERE a.login = $1 AND a.active
"""  # noqa: S608
_TOKEN_LOGIN: Final = "token:"  # noqa: S105  a prefix, no secret


async def standing(connection: Connection, login: str) -> Principal | None:
    """The principal of this login as it stands now; None once its token has ended or its account is closed."""
    if bearing.MARK in login:
        bearer = await bearing.of_login(connection, login, IDLE)
        return None if bearer is None else await _borne(connection, bearer)
    if login.startswith(_TOKEN_LOGIN):
        row = await connection.fetchrow(_TOKEN_STANDS, login.removeprefix(_TOKEN_LOGIN), clock.now())
        return None if row is None else as_staff(_principal(row, login, row["name"], row["scopes"]), row)[0]
    row = await connection.fetchrow(_ACCOUNT_STANDS, login)
    return None if row is None else as_staff(_principal(row, login, row["name"], None), row)[0]


async def _borne(connection: Connection, bearer: bearing.Bearer) -> Principal | None:
    """Who bears an app's token: the program, or the person as they are today, within what they allowed."""
    if bearer.login is None:
        return bearer.principal(None)
    row = await connection.fetchrow(_ACCOUNT_STANDS, bearer.login)
    if row is None:
        return None
    person = _principal(row, bearer.login, row["name"], None)
    if bearer.guardianship is None:
        return bearer.principal(as_staff(person, row, bearer.post)[0])
    ward = next((one for one in await wards(connection, bearer.login) if one.id == bearer.guardianship), None)
    return None if ward is None else bearer.principal(as_guardian(person, ward))


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking. forget_cookie: the request bore a session cookie that signs nobody in; the answer clears it.

    acting: what a session's owner may choose to act as, and does.
    """

    principal: Principal | None = None
    session: Session | None = None
    forget_cookie: bool = False
    acting: Acting = field(default_factory=Acting)


class Doorkeeper:
    """One per worker process: recognises callers."""

    def __init__(self, database: Database, *, session_hours: float = 12, secure: bool = True) -> None:
        self.database = database
        self.idle = timedelta(hours=session_hours)
        self.secure = secure
        self._remembered: dict[bytes, tuple[float, Principal]] = {}
        self._listener: Connection | None = None
        self._listening = False
        self._listen_at = 0.0
        self._generation = 0  # of what is remembered: an answer on its way when news came is not kept

    async def recognise(self, authorization: str | None, cookies: Mapping[str, str], language: str = "zh") -> Caller:
        """The caller of a request, by its Authorization header or else its cookie; nobody where it has neither.

        Raises Unauthenticated for a bearer token that is unknown, expired or revoked.
        """
        if authorization is not None:
            scheme, _, token = authorization.partition(" ")
            if scheme.casefold() != "bearer" or not token.strip():
                raise Unauthenticated(
                    "Only bearer tokens are understood.", remedy="Send `Authorization: Bearer TOKEN`."
                )
            return Caller(await self._by_token(token.strip()))
        secret = cookies.get(sessions.cookie_name(self.secure))
        return await self._by_session(secret, language) if secret else Caller()

    async def close(self) -> None:
        """Give the listening connection back."""
        listener, self._listener, self._listening = self._listener, None, False
        if listener is not None:
            with contextlib.suppress(asyncpg.InterfaceError, OSError):
                await listener.remove_listener(CHANNEL, self._on_news)
            await self.database.pool.release(listener)

    async def sweep(self) -> None:
        """Remove what has run out; to be called now and then by a background job."""
        async with self.database.transaction() as connection:
            await sessions.sweep(connection, idle=self.idle)
            await limits.sweep(connection)
            await bearing.sweep(connection)
            await connection.execute("DELETE FROM access_token WHERE expires < $1", clock.now() - timedelta(days=90))

    async def _by_session(self, secret: str, language: str) -> Caller:
        now = clock.now()
        row = await self.database.pool.fetchrow(_SESSION, hashed(secret), now, now - self.idle)
        if row is None:
            return Caller(forget_cookie=True)
        if row["seen"] < now - SEEN_EVERY:
            await self.database.pool.execute("UPDATE session SET seen = $2 WHERE hash = $1", hashed(secret), now)
        session = Session(*(row[name] for name in Session.__dataclass_fields__))
        name = row["name_en"] if language.startswith("en") else row["name_zh"]
        return _caller(_principal(row, row["login"], name, None), session, row)

    async def _by_token(self, token: str) -> Principal:
        digest = hashed(token)
        kept = self._remembered.get(digest)
        if kept is not None and self._listening and monotonic() < kept[0]:
            return kept[1]
        await self._listen()
        generation = self._generation
        try:
            principal, expires = await (self._of_app if token.startswith(bearing.PREFIX) else self._of_operator)(digest)
        except Unauthenticated:
            self._remembered.pop(digest, None)
            raise
        if self._listening and generation == self._generation:
            self._remember(digest, principal, (expires - clock.now()).total_seconds())
        return principal

    async def _of_operator(self, digest: bytes) -> tuple[Principal, datetime]:
        """The bearer of a token that the operator issued."""
        row = await self.database.pool.fetchrow(_TOKEN, digest)
        if row is None or row["revoked"] is not None or row["expires"] <= clock.now():
            raise InvalidToken(_why(row), remedy="Issue a new one: xinglin token --role ROLE --hours N")
        principal = _principal(row, f"{_TOKEN_LOGIN}{row['id']}", row["name"], row["scopes"])
        return as_staff(principal, row)[0], row["expires"]

    async def _of_app(self, digest: bytes) -> tuple[Principal, datetime]:
        """The bearer of a token that an app was given (access/oauth)."""
        async with self.database.connection() as connection:
            bearer = await bearing.of_token(connection, digest, self.idle)
            principal = None if bearer is None else await _borne(connection, bearer)
        if bearer is None or principal is None or bearer.expires is None:
            raise InvalidToken("The access token is not valid, or no longer.", remedy="Ask /oauth/token for another.")
        return principal, bearer.expires

    def _remember(self, digest: bytes, principal: Principal, left: float) -> None:
        if len(self._remembered) >= _MEMORY_SIZE:
            self._remembered.clear()
        self._remembered[digest] = (monotonic() + min(MEMORY_SECONDS, left), principal)

    async def _listen(self) -> None:
        """Listen for news on a connection of our own; while that fails, nothing is remembered."""
        if self._listening or monotonic() < self._listen_at:
            return
        self._listen_at = monotonic() + _LISTEN_AGAIN
        if self._listener is not None:
            await self.close()
        try:
            self._listener = await self.database.pool.acquire(timeout=_LISTEN_AGAIN)
            await self._listener.add_listener(CHANNEL, self._on_news)
            self._listener.add_termination_listener(self._on_silence)
            self._listening = True
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._listening = False

    def _on_news(self, *_: Any) -> None:
        self._generation += 1
        self._remembered.clear()

    def _on_silence(self, *_: Any) -> None:
        self._listening = False
        self._on_news()


def _why(row: Any) -> str:
    if row is None:
        return "The bearer token is not known here."
    return "The bearer token has been revoked." if row["revoked"] else "The bearer token has expired."


def _caller(principal: Principal, session: Session, row: Any) -> Caller:
    """The session's owner as what they act as: in a post, or for somebody."""
    given = row_of(row["ward"])
    if principal.role is Role.PATIENT and given is not None:
        ward = ward_of(given, clock.now())
        return Caller(as_guardian(principal, ward), session, acting=Acting(ward=ward))
    acting, standing = as_staff(principal, row, row["chosen"])
    return Caller(acting, session, acting=Acting(standing))


def _principal(row: Any, login: str, name: str, scopes: list[str] | None) -> Principal:
    role = Role(row["role"])
    own = (row["patient"],) if row["patient"] and role is Role.PATIENT else ()
    return Principal(
        login=login,
        name=name,
        role=role,
        purpose=PURPOSES[role],
        institution=row["institution"],
        practitioner=row["practitioner"],
        patients=own + tuple(sorted(set(row["linked"] or ()) - set(own))) if own else (),
        scopes=None if scopes is None else tuple(scopes),
    )
