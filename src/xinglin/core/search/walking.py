# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""All resources of a type in the store's own order, from a place on: what a bulk export reads, a stretch at a time.

The statement is built like a search's: its resource comes from `Scope.resource()` and carries the principal's
visibility, and so does every resource that a filter looks at. A resource that changed after the moment `at` is given
as it was then, where that version may be seen too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from xinglin.core.search.compiled import Compiled
from xinglin.core.search.conditions import compile_condition
from xinglin.core.search.ordering import after_default
from xinglin.core.search.query import TypeQuery
from xinglin.core.search.resolve import resolved
from xinglin.core.search.scope import Scope
from xinglin.core.search.slots import Statement
from xinglin.core.store.keys import TYPE_NUMBERS
from xinglin.core.store.visibility import Visibility

Place = tuple[int, int, int]
"""(person, date, key) of a resource: where a walk stands."""

HEAVY: Final = frozenset({"Binary", "Bundle", "DocumentReference", "Media"})
"""Types whose bodies may be files of many megabytes: a few are read at a time."""
FETCHED_BYTES: Final = 4 << 20
MOST_FETCHED: Final = 2000
MOST_HEAVY: Final = 8


@dataclass(frozen=True, slots=True)
class Extent:
    """What to walk over. `at` and `since` in microseconds. persons: keys of Patients, None for all; people_only
    leaves out what is nobody's. filters: any of these searches must find the resource; none means all."""

    type: str
    at: int
    since: int | None = None
    persons: tuple[int, ...] | None = None
    people_only: bool = False
    filters: tuple[TypeQuery, ...] = ()


async def walk(
    connection: asyncpg.Connection, extent: Extent, visible: Visibility, now: int, after: Place | None, limit: int
) -> AsyncIterator[Sequence[Any]]:
    """Rows (person, date, key, body) in order, a bounded number of bytes at a time; body None: not there at `at`.

    Runs inside the caller's transaction, on a cursor.
    """
    queries = [await resolved(query, connection, visible, now, None) for query in extent.filters]
    sql, arguments = statement(extent, queries, visible, now, after, limit)
    cursor = await connection.cursor(sql, *arguments)
    most = MOST_HEAVY if extent.type in HEAVY else MOST_FETCHED
    count = 8
    while rows := await cursor.fetch(count):
        yield rows
        size = sum([len(row[3] or b"") for row in rows]) // len(rows) + 1
        count = max(1, min(most, count * 8, FETCHED_BYTES // size))


def statement(
    extent: Extent, queries: Sequence[TypeQuery], visible: Visibility, now: int, after: Place | None, limit: int
) -> Statement:
    scope = Scope(visible, now)
    alias = scope.resource()
    r = alias.name
    where = [f"{r}.type = {scope.bind(TYPE_NUMBERS[extent.type])}", alias.guard]
    if extent.since is not None:
        where.append(f"{r}.updated >= {scope.bind(extent.since)}")
    if extent.people_only:
        where.append(f"{r}.person <> 0")
    if queries:
        where.append("(" + " OR ".join(_holds(query, scope, r) for query in queries) + ")")
    if after is not None:
        where.append(after_default(r, after, False, scope.bind))
    columns = f"{r}.person, {r}.date, {r}.key, {_state(extent, scope, r)} AS body"
    rows = f"SELECT {columns} FROM resource {r} WHERE {' AND '.join(where)}"
    if extent.persons is None:
        sql = f"{rows} ORDER BY {r}.person, {r}.date DESC, {r}.key"
    else:
        sql = _person_by_person(rows, r, extent.persons, scope, after)
    return f"{sql} LIMIT {scope.bind(limit)}", scope.arguments.values


def _holds(query: TypeQuery, scope: Scope, r: str) -> str:
    parts: list[Compiled] = [compile_condition(condition, query.type) for condition in query.conditions]
    return "(" + (" AND ".join(part.filter(scope, r) for part in parts) or "true") + ")"


def _state(extent: Extent, scope: Scope, r: str) -> str:
    """The body as it was at the moment: of the newest version, or of the last before that moment."""
    at, h = scope.bind(extent.at), scope.row("h")
    seen = "" if scope.visibility.unrestricted else f" AND {scope.visibility.past(h, scope.bind)}"
    changed = "true" if extent.since is None else f"{h}.updated >= {scope.bind(extent.since)}"
    earlier = (
        f"SELECT CASE WHEN NOT {h}.deleted AND {changed}{seen} THEN {h}.body END FROM history {h}"
        f" WHERE {h}.key = {r}.key AND {h}.updated <= {at} ORDER BY {h}.version DESC LIMIT 1"
    )
    return f"CASE WHEN {r}.updated <= {at} THEN {r}.body ELSE ({earlier}) END"


def _person_by_person(rows: str, r: str, persons: Sequence[int], scope: Scope, after: Place | None) -> str:
    """For a group: one index scan for each member, in the order of members."""
    start = f" WHERE p >= {scope.bind(after[0])}" if after else ""
    members = f"SELECT DISTINCT p FROM unnest({scope.bind(sorted(persons))}::bigint[]) AS p{start} ORDER BY p OFFSET 0"
    one = f"{rows} AND {r}.person = g.p ORDER BY {r}.date DESC, {r}.key OFFSET 0"
    return f"SELECT q.* FROM ({members}) AS g CROSS JOIN LATERAL ({one}) AS q ORDER BY g.p, q.date DESC, q.key"


async def removed(
    connection: asyncpg.Connection,
    extent: Extent,
    visible: Visibility,
    after: tuple[int, int] | None,
    limit: int,
) -> Sequence[Any]:
    """Rows (updated, key, id, person) of what was deleted from `since` to `at`, after (updated, key)."""
    scope = Scope(visible, extent.at)
    bind = scope.bind
    where = [
        f"r.type = {bind(TYPE_NUMBERS[extent.type])} AND r.deleted",
        f"r.updated BETWEEN {bind(extent.since or 0)} AND {bind(extent.at)}",
    ]
    if not visible.unrestricted:
        where.append(visible.predicate("r", bind))
    if extent.persons is not None:
        where.append(f"r.person = ANY({bind(list(extent.persons))}::bigint[])")
    elif extent.people_only:
        where.append("r.person <> 0")
    if after is not None:
        where.append(f"(r.updated, r.key) > ({bind(after[0])}::bigint, {bind(after[1])}::bigint)")
    sql = f"SELECT r.updated, r.key, r.id, r.person FROM resource r WHERE {' AND '.join(where)}"
    rows: Sequence[Any] = await connection.fetch(
        f"{sql} ORDER BY r.updated, r.key LIMIT {bind(limit)}", *scope.arguments.values
    )
    return rows
