"""The gate: the only door to the record.

    records = Records(house, principal)      who is asking, and why; made for each request
    await records.read("Observation", "x")   what may not be seen is not there

Each verb compiles the principal's rules into the statement it runs (access/policy.py), and its audit line is durable
before it returns: in the same transaction for a write, in a group commit for a read (access/audit.py). A refusal is
recorded too.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from typing import Any, Final

import asyncpg

from xinglin.access import audit
from xinglin.access.answers import Found, History, missing
from xinglin.access.audit import Access
from xinglin.access.audit.lines import shown
from xinglin.access.creating import Creation, shareable
from xinglin.access.house import House, rules
from xinglin.access.log_reading import LogReading
from xinglin.access.parameters import stay_fresh
from xinglin.access.persons import models
from xinglin.access.persons.find import Match
from xinglin.access.persons.find import find as find_people
from xinglin.access.persons.match import Candidate, candidates, certain_of
from xinglin.access.policy import institution_key
from xinglin.access.principal import Principal, Role
from xinglin.access.projections import project
from xinglin.access.writing import Outcome, Writing
from xinglin.core.rest.gate import Write
from xinglin.core.search.execute import SearchResult, first_result
from xinglin.core.search.execute import search as run_search
from xinglin.core.search.extract import extract
from xinglin.core.search.parse import parse
from xinglin.core.search.query import Query
from xinglin.core.search.querystring import encoded
from xinglin.core.search.sharing import first_page
from xinglin.core.store import read as store
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.read import HistoryQuery
from xinglin.core.store.rows import Change, Stored
from xinglin.core.store.visibility import Visibility
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict, Forbidden, Gone, Invalid, NotFound, Problem

__all__ = ["Found", "History", "House", "Outcome", "Records", "Stored", "Write"]

SOME: Final = 500
"""Resources that one statement looks up."""
ATTEMPTS: Final = 4
"""Times a write is tried when another transaction creates the same resource at the same moment."""
LOG_ID: Final = re.compile(r"a(\d{1,18})")


class Records(LogReading):
    """The record as one principal may reach it."""

    def __init__(self, house: House, principal: Principal, *, why: str = "", visible_to_node: bool = False) -> None:
        self.house = house
        self.principal = principal
        self.why = why
        self._everything = visible_to_node
        self._parts: list[Stored] | None = None  # of one access (`as_one`): what its looks have disclosed so far

    @property
    def visible(self) -> Visibility:
        """The principal's rules at this moment."""
        return self._may("r")

    def _may(self, verb: str) -> Visibility:
        """The rules for one of SMART's verbs: a token may be let to read and not to search."""
        return rules((self.principal, self._everything), verb)

    # reading ----------------------------------------------------------------------------------------------------

    async def read(self, type: str, id: str) -> Stored:
        """The newest version. NotFound for what is missing and for what is not the principal's to see; Gone."""
        if type == "AuditEvent" and LOG_ID.fullmatch(id):
            return await self._read_log(id)
        _check_type(type)
        async with self._audited("read", f"{type}/{id}") as touched:
            found = await self.house.reads.ask((self.principal, self._everything), (type, id))
            if found is None:
                raise missing(type, id)
            if found.deleted:
                raise Gone(f"{type}/{id} was deleted.", remedy="Its history may still be read.")
            touched.append(found)
        return found

    def keeps(self, stored: Stored) -> bool:
        """Whether a copy of it may stay with the caller: nobody's data, or held by the institution they act for.

        What a consent opened must end with it (PIPL art. 15), so no copy of that is made here.
        """
        who = self.principal
        everything = who.role is Role.SYSTEM and who.institution is None
        return not stored.person or everything or stored.custodian == institution_key(who.institution or "")

    async def vread(self, type: str, id: str, version: int) -> Stored:
        """One version, where it and the newest may be seen."""
        _check_type(type)
        async with self._audited("vread", f"{type}/{id}/_history/{version}") as touched:
            async with self.house.database.connection() as connection:
                found = await store.version(connection, type, id, version, self.visible)
            if found is None:
                raise missing(type, f"{id}/_history/{version}")
            if found.deleted:
                raise Gone(f"{type}/{id} was deleted in version {version}.")
            touched.append(found)
        return found

    async def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        since: int | None = None,
        at: tuple[int, int] | None = None,
        count: int = 50,
        before: str | None = None,
    ) -> History:
        """Versions of a resource, a type or everything; `since` and `at` in microseconds, `before` a cursor."""
        if type is not None:
            _check_type(type)
        query = HistoryQuery(type, id, since, None, _cursor(before), min(max(count, 1), 1000))
        if at is not None:
            query = replace(query, until=at[0], before=at[1])
        async with self._audited("history", f"{type or '*'}/{id or '*'}") as touched:
            async with self.house.database.connection() as connection:
                if type and id and await store.newest(connection, type, id, self.visible) is None:
                    raise missing(type, id)
                rows = await store.history(connection, query, self.visible)
            more = len(rows) > query.count
            rows = rows[: query.count]
            touched += rows
        last = rows[-1] if more else None
        cursor = f"{last.updated}-{key_of(last.type, last.id)}-{last.version}" if last else None
        return History(rows, cursor)

    async def search(
        self,
        type: str | None,
        query: str,
        *,
        compartment: tuple[str, str] | None = None,
        strict: bool = False,
    ) -> Found:
        """A page of a search; `query` is a query string. Raises Invalid for a query that cannot be understood."""
        if type == "AuditEvent" and compartment is None:
            return await self._search_log(query, strict)
        parsed = parse(query, type, within=compartment, lenient=not strict)
        async with self._audited("search", _target(type, parsed)) as touched:
            result = await self._searched(parsed, (type, compartment))
            touched += [*result.matches, *result.included]
        return Found(
            result.matches,
            result.included,
            result.total,
            result.next,
            list(result.issues),
            encoded(parsed.used),
        )

    async def find(self, text: str, count: int = 20) -> list[Match]:
        """Patients that what was typed may mean, the best first: names in any spelling, numbers, dates."""
        async with self._audited("search", "Patient?find") as touched:
            async with self.house.database.connection() as connection:
                found = await find_people(connection, text, self._may("s"), limit=count)
            touched += [match.stored for match in found]
        return found

    async def match(self, patient: dict[str, Any], count: int, *, certain: bool = False) -> list[Candidate]:
        """Records that a description may mean, the likeliest first; with `certain`, only where nobody else can be."""
        async with self._audited("search", "Patient/$match") as touched:
            async with self.house.database.connection() as connection:
                matcher = await models.in_force(connection)
                found = await candidates(connection, patient, matcher, self._may("s"))
            found = (certain_of(found) if certain else found)[:count]
            touched += [one.stored for one in found]
        return found

    async def several(self, references: Iterable[str]) -> list[Stored]:
        """What may be seen of these (Type/id), in their order; what is missing, hidden or deleted is left out."""
        pairs = [(type, id) for type, _, id in (one.partition("/") for one in references) if type in TYPE_NUMBERS]
        if not pairs:
            return []
        kinds = {type for type, _ in pairs}
        async with self._audited("search", f"{kinds.pop() if len(kinds) == 1 else '*'}?_id") as touched:
            async with self.house.database.connection() as connection:
                for start in range(0, len(pairs), SOME):
                    found = await store.newest_of(connection, pairs[start : start + SOME], self._may("s"))
                    touched += [stored for stored in found if stored is not None and not stored.deleted]
            return [*touched]

    @asynccontextmanager
    async def as_one(self, interaction: str, target: str) -> AsyncIterator[Records]:
        """Several looks that are one access: a line of the log for all that they disclose together, before it is
        handed on. `target`: what the line names."""
        async with self._audited(interaction, target) as touched:
            part = Records(self.house, self.principal, why=self.why, visible_to_node=self._everything)
            part._parts = touched
            yield part

    async def visible_of(self, type: str, ids: Sequence[str]) -> list[Stored]:
        """Those of some resources of a type that may be seen, in their order."""
        return await self.several(f"{type}/{id}" for id in ids)

    async def _searched(self, query: Query, where: object) -> SearchResult:
        """The page, read together with others where it is short."""
        visible = self._may("s")
        ready = first_page(query, visible)
        if ready is not None:
            alike = ((self.principal, self._everything), ready.driven, query.count + 1)
            rows = await self.house.pages.ask(alike, ready.values)
            context = lambda: self._context(query, where)  # noqa: E731
            result = first_result(query, ready.driven.plan, rows, self.house.signing_key, context)
            if result is not None:
                return result
        async with self.house.database.connection() as connection:
            return await self._run(connection, query, visible, where)

    async def _run(
        self, connection: Connection, query: Query, visible: Visibility, where: object = None
    ) -> SearchResult:
        return await run_search(
            connection,
            query,
            visible,
            now=clock.micros(clock.now()),
            secret=self.house.signing_key,
            context=lambda: self._context(query, where),
        )

    def _context(self, query: Query, where: object) -> str:
        """What a page link is good for: this search, where it was asked, and whoever made it."""
        who = self.principal
        asked = [pair for pair in query.used if pair[0] != "_page"]
        text = repr((where, asked, who.login, who.role, who.purpose, who.institution, who.scopes, who.about))
        return sha256(text.encode()).hexdigest()

    # writing ----------------------------------------------------------------------------------------------------

    async def write(self, writes: Sequence[Write], *, custodian: str | None = None) -> list[Outcome]:
        """Make all the changes, or none. `custodian`: the Organization that holds them (programs of the operator)."""
        async with self.refusals(_interaction(writes), _written(writes)):
            if any(one.type == "AuditEvent" for one in writes):
                raise Forbidden(
                    "AuditEvents are written by this node alone, of what was done here.",
                    remedy="Keep another system's events in its own repository.",
                )
            if custodian and self.principal.role is not Role.SYSTEM:
                raise Forbidden("Only a program of the operator says for whom it writes.")
            if custodian is None and shareable(self.principal, writes):
                made = await self._create(writes)
                if made is not None:
                    return made
            return await self._write(writes, custodian)

    async def _create(self, writes: Sequence[Write]) -> list[Outcome] | None:
        """A few creations, in one transaction with those that are asked for at the same time; None: try it alone."""
        asker = (self.principal, self._everything)
        made = await self.house.creations.ask(asker, Creation(writes, self._write_access))
        if isinstance(made, Problem):
            raise made
        return made

    async def _write(self, writes: Sequence[Write], custodian: str | None) -> list[Outcome]:
        """Try again where another transaction made the same resource between our look and our insert."""
        for attempt in range(ATTEMPTS):
            try:
                async with self.house.database.transaction() as connection:
                    return await self.write_within(connection, writes, custodian)
            except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
                if attempt == ATTEMPTS - 1:
                    raise Conflict("Others keep changing the same resources.", remedy="Try again.") from None
        raise AssertionError("unreachable")

    async def write_within(
        self, connection: Connection, writes: Sequence[Write], custodian: str | None = None
    ) -> list[Outcome]:
        """The same inside a transaction that is open already."""
        await stay_fresh(connection)
        writing = Writing(
            connection,
            self.principal,
            self.visible,
            self._matches,
            extract,
            custodian,
            clock.micros(clock.now()),
        )
        try:
            outcomes, changes = await writing.run(writes)
        except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
            writing.undo()
            raise
        await project(connection, changes)
        await audit.record(connection, [self._write_access(writes, changes, outcomes)])
        return outcomes

    async def _matches(self, connection: Connection, type: str, query: str) -> list[Stored]:
        """What a condition matches, as the principal sees it: two at most, since two are too many already."""
        parsed = parse(f"{query}&_count=2", type)
        if not parsed.branches[0].conditions:
            raise Invalid("A condition needs a search parameter.", code="required", remedy="Say identifier=...")
        result = await self._run(connection, parsed, self._may("s"))
        return result.matches

    def _write_access(self, writes: Sequence[Write], changes: Sequence[Change], outcomes: Sequence[Outcome]) -> Access:
        """Whose data a write touched: what it changed, whose that was before, and what it found and showed."""
        befores = [change.before for change in changes if change.before]
        versions = [outcome.stored for outcome in outcomes if outcome.stored]
        showed = shown([*versions, *changes, *befores])
        target = _written(writes)
        if len(writes) == 1 and outcomes[0].stored is not None:
            target = outcomes[0].stored.reference
        return Access(self.principal, _interaction(writes), target, why=self.why, **showed)

    # audit ------------------------------------------------------------------------------------------------------

    def _audited(self, interaction: str, target: str) -> _Audited:
        """Record what the block discloses before it is handed on, and a refusal too."""
        return _Audited(self, interaction, target)

    async def _disclosed(self, interaction: str, target: str, touched: Sequence[Stored]) -> None:
        if self._parts is not None:
            self._parts += touched
            return
        showed = shown(touched)
        await self.house.audit.write(Access(self.principal, interaction, target, why=self.why, **showed))

    async def _refused(self, interaction: str, target: str, problem: Problem) -> None:
        if self._parts is not None:  # the whole access is refused, and told as that
            return
        outcome = audit.REFUSED if problem.status < 500 else audit.FAILED
        persons = await self._whose(target)
        why = problem.issues[0].code
        await self.house.audit.write(Access(self.principal, interaction, target, persons, outcome=outcome, why=why))

    async def _whose(self, target: str) -> tuple[int, ...]:
        """Whose a refused target is, so that the person reads of the attempt. Asked for what is missing, too, which
        so takes as long as what is hidden."""
        type, _, id = target.partition("/")
        if not id or type not in TYPE_NUMBERS:
            return ()
        async with self.house.database.connection() as connection:
            person = await connection.fetchval(
                "SELECT person FROM resource WHERE key = $1", key_of(type, id.partition("/")[0])
            )
        return (person,) if person else ()

    @asynccontextmanager
    async def refusals(self, interaction: str, target: str) -> AsyncIterator[None]:
        """Record it where the block refuses; for a verb that writes its own line when it succeeds."""
        try:
            yield
        except Problem as problem:
            await self._refused(interaction, target, problem)
            raise


class _Audited:
    """`Records._audited`, without what a generator would cost each read."""

    __slots__ = ("_asked", "_records", "_touched")

    def __init__(self, records: Records, interaction: str, target: str) -> None:
        self._records, self._asked = records, (interaction, target)
        self._touched: list[Stored] = []

    async def __aenter__(self) -> list[Stored]:
        return self._touched

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            await self._records._disclosed(*self._asked, self._touched)
        elif isinstance(error, Problem):
            await self._records._refused(*self._asked, error)


def _check_type(type: str) -> None:
    if type not in TYPE_NUMBERS:
        raise NotFound(f"There is no resource type {type!r}.", code="not-supported")


def _cursor(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,18})-(-?\d{1,19})-(\d{1,9})", text)
    if match is None:
        raise Invalid("The page link is damaged.", code="value", remedy="Start again from the first page.")
    updated, key, version = (int(part) for part in match.groups())
    if not -(2**63) <= key < 2**63:
        raise Invalid("The page link is damaged.", code="value", remedy="Start again from the first page.")
    return updated, key, version


def _target(type: str | None, query: Query) -> str:
    """What was searched: the type and the names of the parameters, never their values."""
    names = ",".join(dict.fromkeys(name for name, _ in query.used))
    return f"{type or '*'}?{names}" if names else f"{type or '*'}"


def _interaction(writes: Sequence[Write]) -> str:
    if len(writes) != 1:
        return "transaction"
    return {"POST": "create", "PUT": "update", "DELETE": "delete"}[writes[0].method]


def _written(writes: Sequence[Write]) -> str:
    if len(writes) == 1:
        write = writes[0]
        return f"{write.type}/{write.id}" if write.id else write.type
    return f"Bundle of {len(writes)}"
