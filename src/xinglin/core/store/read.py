"""Reading versions: by id, by version, and as history. Each statement carries the principal's visibility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from xinglin.core.store.keys import TYPE_NAMES, TYPE_NUMBERS, key_of
from xinglin.core.store.rows import Stored
from xinglin.core.store.visibility import Arguments, Visibility
from xinglin.kernel.database import Connection

VERSION_COLUMNS = "type, id, version, updated, body, deleted, person, custodian, key"


def stored_of(row: Any) -> Stored:
    """A row of VERSION_COLUMNS as a value."""
    return Stored(TYPE_NAMES[row[0]], *row[1:8])


async def newest(connection: Connection, type: str, id: str, visible: Visibility) -> Stored | None:
    """The newest version, deleted or not, if it may be seen."""
    arguments = Arguments(key_of(type, id))
    rule = visible.predicate("r", arguments.bind)
    sql = f"SELECT {VERSION_COLUMNS} FROM resource r WHERE key = $1 AND {rule}"  # noqa: S608
    return _named(await connection.fetchrow(sql, *arguments.values), type, id)


async def newest_of(
    connection: Connection, references: Sequence[tuple[str, str]], visible: Visibility
) -> list[Stored | None]:
    """`newest` of several, each a (type, id), by one statement."""
    keys = [key_of(type, id) for type, id in references]
    arguments = Arguments(keys)
    rule = visible.predicate("r", arguments.bind)
    sql = f"SELECT {VERSION_COLUMNS} FROM resource r WHERE key = ANY($1::bigint[]) AND {rule}"  # noqa: S608
    rows = {row[8]: row for row in await connection.fetch(sql, *arguments.values)}
    return [_named(rows.get(key), type, id) for key, (type, id) in zip(keys, references, strict=True)]


def _named(row: Any, type: str, id: str) -> Stored | None:
    """The version, unless it is of another resource that has the same key."""
    found = None if row is None else stored_of(row)
    return found if found and found.type == type and found.id == id else None


async def version(connection: Connection, type: str, id: str, number: int, visible: Visibility) -> Stored | None:
    """One version, if it and the newest may both be seen: what a person lost sight of is lost in the past too."""
    current = await newest(connection, type, id, visible)
    if current is None or current.version == number:
        return current
    arguments = Arguments(key_of(type, id), number)
    rule = visible.past("h", arguments.bind)
    sql = f"SELECT {VERSION_COLUMNS} FROM history h WHERE key = $1 AND version = $2 AND {rule}"  # noqa: S608
    row = await connection.fetchrow(sql, *arguments.values)
    return None if row is None else stored_of(row)


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Which versions: of one resource, of a type, or of all; `since` inclusive and `before` exclusive, in microseconds.

    `until` keeps those that nothing newer had replaced by then: with `before`, what was current in a period.
    `after` is the (updated, key, version) of the last row of the page before.
    """

    type: str | None = None
    id: str | None = None
    since: int | None = None
    before: int | None = None
    after: tuple[int, int, int] | None = None
    count: int = 50
    until: int | None = None


async def history(connection: Connection, query: HistoryQuery, visible: Visibility) -> list[Stored]:
    """Versions, newest first, one more than `count` where there are more."""
    arguments = Arguments()
    bind = arguments.bind
    limit = bind(query.count + 1)
    conditions = _history_conditions(query, arguments)
    # An old version is shown only where the newest is: a label added later closes the past as well.
    newest_too = f"EXISTS (SELECT 1 FROM resource c WHERE c.key = v.key AND {visible.predicate('c', bind)})"  # noqa: S608
    parts = [
        f"(SELECT {VERSION_COLUMNS} FROM {table} v WHERE {conditions} AND {rule}"  # noqa: S608
        f" ORDER BY updated DESC, key DESC, version DESC LIMIT {limit})"
        for table, rule in (
            ("resource", visible.predicate("v", bind)),
            ("history", f"{visible.past('v', bind)} AND {newest_too}{_unreplaced(query, arguments)}"),
        )
    ]
    sql = f"{' UNION ALL '.join(parts)} ORDER BY updated DESC, key DESC, version DESC LIMIT {limit}"
    return [stored_of(row) for row in await connection.fetch(sql, *arguments.values)]


def _unreplaced(query: HistoryQuery, arguments: Arguments) -> str:
    """The next version is of the history or the newest; a version is current from its own time to that of the next."""
    if query.until is None:
        return ""
    until = arguments.bind(query.until)
    return "".join(
        f" AND NOT EXISTS (SELECT 1 FROM {table} n WHERE n.key = v.key AND n.version = v.version + 1"  # noqa: S608
        f" AND n.updated <= {until})"
        for table in ("history", "resource")
    )


def _history_conditions(query: HistoryQuery, arguments: Arguments) -> str:
    bind = arguments.bind
    conditions = ["true"]
    if query.type and query.id:
        conditions.append(f"key = {bind(key_of(query.type, query.id))}")
    elif query.type:
        conditions.append(f"type = {bind(TYPE_NUMBERS[query.type])}")
    if query.since is not None:
        conditions.append(f"updated >= {bind(query.since)}")
    if query.before is not None:
        conditions.append(f"updated < {bind(query.before)}")
    if query.after is not None:
        conditions.append(
            "(updated, key, version) < (" + ", ".join(f"{bind(part)}::bigint" for part in query.after) + ")"
        )
    return " AND ".join(conditions)
