"""A Query answered: plan, count what must be counted, read the page, follow the includes."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import asyncpg

from xinglin.core.search.compartments import members
from xinglin.core.search.fetching import fetch
from xinglin.core.search.includes import included
from xinglin.core.search.ordering import Cursor, ordering_of
from xinglin.core.search.pages import Context, page_token, read_page_token
from xinglin.core.search.plan import COLUMNS, ESTIMATE, Plan, plan_of, stored
from xinglin.core.search.prepared import Driven, Prepared, Ready, gathered, prepared, together
from xinglin.core.search.query import Query, TypeQuery
from xinglin.core.search.resolve import Terminology, asks_terminology, resolved
from xinglin.core.search.scope import ruled
from xinglin.core.search.shapes import taken_apart
from xinglin.core.search.slots import Statement
from xinglin.core.store.keys import TYPE_NUMBERS
from xinglin.core.store.rows import Stored
from xinglin.core.store.visibility import Visibility
from xinglin.kernel.errors import Issue


@dataclass(frozen=True, slots=True)
class SearchResult:
    """`matches` in their order, `included` in no particular one; `total` None where it was not asked for and not
    known; `next` the token of the following page."""

    matches: list[Stored]
    included: list[Stored]
    total: int | None
    next: str | None
    issues: tuple[Issue, ...] = ()


class Found(NamedTuple):
    """One match: the resource, and its place in the order."""

    stored: Stored
    place: Cursor


async def search(
    connection: asyncpg.Connection,
    query: Query,
    visibility: Visibility,
    *,
    now: int,
    secret: bytes = b"",
    context: Context = "",
    terminology: Terminology | None = None,
) -> SearchResult:
    """The page that the query asks for, of what the principal may see.

    `now` is in microseconds since 1970. `secret` signs page links, `context` names the query and the principal a link
    is good for; as a function it is asked only where there is a link. Raises TooCostly, naming the part, where a
    statement runs into its timeout; Invalid for a page link of another search.
    """
    cursor, known = read_page_token(query.page, secret, context) if query.page else (None, None)
    compiler = _Compiler(connection, visibility, now, terminology)
    plans = await compiler.plans(query)
    if query.counts_only:
        return SearchResult([], [], await _total(connection, plans, None), None, query.issues)
    rows, more = _cut(query, await _page(connection, plans, query.count + 1, cursor))
    total = known if cursor else await _wanted_total(connection, query, plans, rows, more)
    following = page_token(rows[-1].place, total, secret, context) if more else None
    matches = [row.stored for row in rows]
    others, issues = await included(connection, query.includes, matches, visibility, now) if rows else ([], ())
    return SearchResult(matches, others, total, following, (*query.issues, *issues))


def first_result(query: Query, plan: Plan, rows: Sequence[Any], secret: bytes, context: Context) -> SearchResult | None:
    """The same of a first page that was read with others (sharing.py); None where `search` must weigh its bodies."""
    keys = len(plan.ordering.keys)
    found = [_found(row, keys) for row in rows]
    if any(one.stored.body is None for one in found):
        return None
    found, more = _cut(query, found)
    total = len(found) if query.total is None and not more else None
    following = page_token(found[-1].place, total, secret, context) if more else None
    return SearchResult([one.stored for one in found], [], total, following, query.issues)


def _cut(query: Query, rows: list[Found]) -> tuple[list[Found], bool]:
    """The rows that fit the page, and whether there are more."""
    room = min(query.count, next((at for at, row in enumerate(rows) if row.stored.body is None), query.count))
    return rows[:room], len(rows) > room


async def _populated(connection: asyncpg.Connection, branches: Sequence[TypeQuery]) -> Sequence[TypeQuery]:
    """The branches of a search over many types whose types have any resources at all: one if none has."""
    if len(branches) <= FEW:
        return branches
    numbers = {row[0] for row in await connection.fetch(_TYPES_THAT_EXIST)}
    # What may fail does so whatever is stored: an error must not tell that resources of a type exist.
    return [
        branch for branch in branches if TYPE_NUMBERS[branch.type] in numbers or asks_terminology(branch)
    ] or branches[:1]


FEW: Final = 4
_TYPES_THAT_EXIST: Final = """
WITH RECURSIVE types AS (
    (SELECT type FROM resource WHERE NOT deleted ORDER BY type LIMIT 1)
    UNION ALL
    SELECT (SELECT r.type FROM resource r WHERE r.type > types.type AND NOT r.deleted ORDER BY r.type LIMIT 1)
    FROM types WHERE types.type IS NOT NULL
)
SELECT type FROM types WHERE type IS NOT NULL
"""


class _Compiler:
    """From a type's query to what runs: compiled by its shape where it has one."""

    def __init__(
        self, connection: asyncpg.Connection, visibility: Visibility, now: int, terminology: Terminology | None
    ) -> None:
        self.connection, self.visibility, self.now, self.terminology = connection, visibility, now, terminology
        self.rule, self.seen = ruled(visibility)

    async def plans(self, query: Query) -> list[Ready]:
        """One for each type; for all of a compartment one altogether."""
        if query.within is None:
            return [await self.ready(branch) for branch in await _populated(self.connection, query.branches)]
        part = members(query)
        whole = Plan("*", (part,), None, ordering_of((), False), self.rule, self.now, part)
        return [Ready(Driven(whole), ((), self.seen))]

    async def ready(self, branch: TypeQuery) -> Ready:
        apart = taken_apart(branch)
        if apart is not None:
            found, values = prepared(apart[0], self.rule), apart[1]
        else:
            branch = await resolved(branch, self.connection, self.visibility, self.now, self.terminology)
            found, values = Prepared(plan_of(branch, self.rule, self.now)), ()
        driven = found.settled or await self._counted(found, values)
        return Ready(driven, (values, self.seen))

    async def _counted(self, found: Prepared, values: tuple[Any, ...]) -> Driven:
        statement = found.probe().given((values, self.seen))
        return found.chosen(list((await fetch(self.connection, *statement, found.plan.name))[0]))


async def _page(
    connection: asyncpg.Connection, plans: Sequence[Ready], limit: int, cursor: Cursor | None
) -> list[Found]:
    """The first rows of every type, merged in the one order."""
    found = []
    for group in gathered(plans) if len(plans) > 1 else [plans]:
        keys = len(group[0].driven.plan.ordering.keys)
        found.append([_found(row, keys) for row in await _rows(connection, group, limit, cursor)])
    if len(found) == 1:
        return found[0]
    merged = heapq.merge(*found, key=lambda row: _rank(row.place, plans[0].driven.plan))
    return list(merged)[:limit]


async def _rows(connection: asyncpg.Connection, group: Sequence[Ready], limit: int, cursor: Cursor | None) -> list[Any]:
    """The first rows of types that share a statement; where a body has more than its share, all are weighed."""
    ready = group[0]
    if len(group) > 1:
        return await _fetch(connection, ready, together(group, limit, cursor))
    rows = await _fetch(connection, ready, ready.page(limit, cursor))
    if any(row["body"] is None for row in rows):
        rows = await _fetch(connection, ready, ready.page(limit, cursor, heavy=True))
    return rows


def _found(row: Any, keys: int) -> Found:
    """A row of COLUMNS and then so many keys of an order other than the default."""
    place = (*row[len(COLUMNS) : len(COLUMNS) + keys], row[0]) if keys else (row[7], row[8], row[0])
    return Found(stored(row), place)


def _rank(place: Cursor, plan: Plan) -> tuple[Any, ...]:
    """A place as something Python orders like the statement does."""
    if not plan.ordering.custom:
        return (place[0], -place[1], place[2])
    ranked = [
        (value is None, Backwards(value) if key.descending and value is not None else value)
        for key, value in zip(plan.ordering.keys, place[:-1], strict=True)
    ]
    return (*ranked, -place[-1] if plan.ordering.last_descends else place[-1])


@dataclass(frozen=True, slots=True)
class Backwards:
    """A value that comes before what is smaller."""

    value: Any

    def __lt__(self, other: Backwards) -> bool:
        return bool(other.value < self.value)


async def _wanted_total(
    connection: asyncpg.Connection, query: Query, plans: Sequence[Ready], rows: Sequence[Found], more: bool
) -> int | None:
    if query.total == "none":
        return None
    if not more:
        return len(rows)
    if query.total == "accurate":
        return await _total(connection, plans, None)
    if query.total == "estimate":
        counted = await _total(connection, plans, ESTIMATE + 1)
        return counted if counted <= ESTIMATE else None
    return None


async def _total(connection: asyncpg.Connection, plans: Sequence[Ready], limit: int | None) -> int:
    return sum([(await _fetch(connection, plan, plan.total(limit)))[0][0] for plan in plans])


async def _fetch(connection: asyncpg.Connection, ready: Ready, statement: Statement) -> list[Any]:
    return await fetch(connection, *statement, ready.driven.name)
