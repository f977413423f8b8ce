"""The verbs of a provisioning program on the staff accounts of its one institution.

It makes and changes accounts of those who treat and register. Whoever oversees others (managers, privacy officers) is
made by the operator or the institution's manager; a program may only close such an account. Accounts of another
institution, and of patients, are not there for it.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final

from xinglin.access import audit
from xinglin.access.identity import accounts, leaving, passwords
from xinglin.access.identity.tokens import SCIM
from xinglin.access.principal import Principal, Role
from xinglin.access.records import House, Records
from xinglin.access.scim import filters
from xinglin.access.scim.shape import Wanted, patched, wanted
from xinglin.core.store.visibility import Arguments
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, NotFound, PreconditionFailed, Problem

ASSIGNABLE: Final = frozenset({Role.CLINICIAN, Role.PHARMACIST, Role.CLERK})
VISIBLE: Final = tuple(sorted(role.value for role in ASSIGNABLE | {Role.MANAGER, Role.PRIVACY}))
MOST: Final = 200
_COLUMNS: Final = (
    "s.id::text, s.external_id, s.changed, a.login, a.name_zh, a.name_en, a.role, a.active, a.practitioner, a.created"
)


@dataclass(frozen=True, slots=True)
class User:
    """An account as a program knows it. etag changes with whatever the program can see."""

    id: str
    external_id: str | None
    changed: datetime
    login: str
    name_zh: str
    name_en: str
    role: str
    active: bool
    practitioner: str | None
    created: datetime

    @property
    def etag(self) -> str:
        seen = (self.external_id, self.login, self.name_zh, self.name_en, self.role, self.active, self.practitioner)
        return f'W/"{sha256(repr(seen).encode()).hexdigest()[:16]}"'


class Users:
    """One program at one institution. Raises Forbidden for a token without the scope, or bound to no institution."""

    def __init__(self, house: House, principal: Principal) -> None:
        scopes = principal.scopes or ()
        if principal.role is not Role.SYSTEM or not principal.institution or SCIM not in scopes:
            raise Forbidden("This needs a token with the scope scim, bound to one institution.")
        self.house = house
        self.principal = principal
        self.institution = principal.institution

    async def listed(self, filter: str, start: int, count: int) -> tuple[int, list[User]]:
        """How many match, and those from `start` (1-based) on."""
        wanted = filters.parse(filter) if filter else None
        async with self.house.database.transaction() as connection:
            await self._name_all(connection)
            arguments = Arguments(self.institution, list(VISIBLE))
            where = filters.compiled(wanted, arguments.bind)
            total = await connection.fetchval(f"SELECT count(*) {_FROM}{where}", *arguments.values)
            limit, offset = arguments.bind(min(max(count, 0), MOST)), arguments.bind(max(start, 1) - 1)
            sql = f"SELECT {_COLUMNS} {_FROM}{where} ORDER BY a.login LIMIT {limit} OFFSET {offset}"
            rows = await connection.fetch(sql, *arguments.values)
        await self._record("search", "User")
        return int(total), [User(**row) for row in rows]

    async def read(self, id: str) -> User:
        async with self.house.database.transaction() as connection:
            await self._name_all(connection)
            found = await self._found(connection, id)
        await self._record("read", found.login)
        return found

    async def create(self, body: Any) -> User:
        """A new account, which its owner enters by a way back in that the manager gives, or an outside sign-in."""
        asked = wanted(body)
        self._check_role(asked.role)
        async with self.house.database.connection() as connection:
            await self._check_practitioner(connection, asked)
        login = accounts.fold_login(asked.login)
        if not await self._returns(login, asked):
            await self._create(asked)
        async with self.house.database.transaction() as connection:
            id = str(uuid.uuid4())
            await connection.execute(
                "INSERT INTO scim_user (id, login, external_id, changed) VALUES ($1, $2, $3, $4)"
                " ON CONFLICT (login) DO UPDATE SET external_id = excluded.external_id",
                *(uuid.UUID(id), login, asked.external_id, clock.now()),
            )
            await self._apply(connection, login, replace(asked, password=None))
            id = str(await connection.fetchval("SELECT id FROM scim_user WHERE login = $1", login))
        await self._record("create", login)
        async with self.house.database.connection() as connection:
            return await self._found(connection, id)

    async def replace(self, id: str, body: Any, if_match: str | None) -> User:
        return await self._change(id, lambda _: wanted(body), if_match)

    async def patch(self, id: str, body: Any, if_match: str | None) -> User:
        return await self._change(id, lambda current: patched(current, body), if_match)

    async def delete(self, id: str, if_match: str | None) -> None:
        """Whoever is deleted has left: account, sessions, tokens and posts end. What they wrote stays theirs."""
        async with self.house.database.connection() as connection:
            found = await self._found(connection, id)
            _check_version(found, if_match)
        account = await accounts.get(self.house.database, found.login)
        await leaving.leave(Records(self.house, self.principal, why="scim"), account)
        await self.house.database.pool.execute("DELETE FROM scim_user WHERE login = $1", found.login)

    # inside -----------------------------------------------------------------------------------------------------------

    async def _name_all(self, connection: Connection) -> None:
        """Accounts that were made otherwise get a number too, while they may sign in."""
        await connection.execute(
            "INSERT INTO scim_user (id, login, changed) SELECT gen_random_uuid(), a.login, a.created FROM account a"
            " WHERE a.institution = $1 AND a.role = ANY($2::text[]) AND a.active ON CONFLICT DO NOTHING",
            *(self.institution, list(VISIBLE)),
        )

    async def _found(self, connection: Connection, id: str, *, lock: bool = False) -> User:
        try:
            key = str(uuid.UUID(id))
        except ValueError:
            raise _missing() from None
        sql = f"SELECT {_COLUMNS} {_FROM} AND s.id = $3::text::uuid{' FOR UPDATE OF a' if lock else ''}"
        row = await connection.fetchrow(sql, self.institution, list(VISIBLE), key)
        if row is None:
            raise _missing()
        return User(**row)

    async def _change(self, id: str, change: Any, if_match: str | None) -> User:
        async with self.house.database.transaction() as connection:
            await self._name_all(connection)
            found = await self._found(connection, id, lock=True)
            _check_version(found, if_match)
            current = Wanted(
                *(found.login, found.role, found.name_zh, found.name_en, found.external_id),
                *(found.practitioner, found.active),
            )
            asked = change(current)
            self._check_change(current, asked)
            await self._check_practitioner(connection, asked)
            await self._apply(connection, found.login, asked)
            changed = await self._found(connection, id)
        await self._record("update", found.login)
        return changed

    def _check_change(self, current: Wanted, asked: Wanted) -> None:
        if accounts.fold_login(asked.login) != current.login:
            raise Invalid("userName stays as it is.", code="mutability")
        if current.role not in ASSIGNABLE and asked != replace(current, active=False):
            raise Forbidden("A program may only close an account that oversees others.")
        if asked.role != current.role:
            self._check_role(asked.role)

    def _check_role(self, role: str) -> None:
        if role not in ASSIGNABLE:
            raise Forbidden("A program gives the roles clinician, pharmacist and clerk, and no others.")

    async def _check_practitioner(self, connection: Connection, asked: Wanted) -> None:
        """Only somebody to whom the institution itself has given a post."""
        if asked.practitioner is None:
            return
        known = await connection.fetchval(
            "SELECT EXISTS (SELECT 1 FROM staff_role WHERE practitioner = $1 AND institution = $2)",
            *(asked.practitioner, self.institution),
        )
        if not known:
            raise Invalid("The practitioner holds no post at this institution.", code="invalidValue")

    async def _create(self, asked: Wanted) -> None:
        try:
            await accounts.create(
                self.house.database,
                asked.login,
                asked.password or secrets.token_urlsafe(24),
                Role(asked.role),
                name_zh=asked.name_zh,
                name_en=asked.name_en,
                institution=self.institution,
                practitioner=asked.practitioner,
                given=True,
            )
        except Conflict:
            raise Conflict("This userName is taken.", code="uniqueness", remedy="Choose another.") from None
        except Problem as problem:
            raise Invalid(problem.issues[0].text, code="invalidValue", remedy=problem.issues[0].remedy) from None

    async def _returns(self, login: str, asked: Wanted) -> bool:
        """Whether somebody who had left this institution comes back; with a password of nobody's, not the old one."""
        known = await self.house.database.pool.fetchval(
            "SELECT EXISTS (SELECT 1 FROM account a LEFT JOIN scim_user s USING (login) WHERE a.login = $1"
            " AND a.institution = $2 AND a.role = ANY($3::text[]) AND NOT a.active AND s.login IS NULL)",
            *(login, self.institution, sorted(role.value for role in ASSIGNABLE)),
        )
        if known:
            password = asked.password or secrets.token_urlsafe(24)
            await accounts.set_password(self.house.database, login, password, given=True)
        return bool(known)

    async def _apply(self, connection: Connection, login: str, asked: Wanted) -> None:
        names = (asked.name_zh or asked.name_en or login, asked.name_en or asked.name_zh or login)
        await connection.execute(
            "UPDATE account SET name_zh = $2, name_en = $3, role = $4, practitioner = $5, active = $6 WHERE login = $1",
            *(login, *names, asked.role, asked.practitioner, asked.active),
        )
        await connection.execute(
            "UPDATE scim_user SET external_id = $2, changed = $3, version = version + 1 WHERE login = $1",
            *(login, asked.external_id, clock.now()),
        )
        if asked.password is not None:
            await accounts.check_password(connection, login, asked.password)
            encoded = await passwords.hash_password(asked.password)
            await accounts.put_password(connection, login, encoded, given=True)
        if not asked.active:
            await connection.execute("DELETE FROM session WHERE login = $1", login)

    async def _record(self, interaction: str, target: str) -> None:
        await self.house.audit.write(audit.Access(self.principal, interaction, f"account {target}", (), why="scim"))


_FROM: Final = "FROM account a JOIN scim_user s USING (login) WHERE a.institution = $1 AND a.role = ANY($2::text[])"


def _check_version(found: User, if_match: str | None) -> None:
    if if_match not in (None, "*") and found.etag not in [one.strip() for one in str(if_match).split(",")]:
        raise PreconditionFailed("The account has changed since.", remedy="Read it again.")


def _missing() -> NotFound:
    return NotFound("There is no such User.", remedy="Check the id.")
