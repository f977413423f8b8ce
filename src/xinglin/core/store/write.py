"""Writing versions: lock what exists, keep what is replaced, store the new with its index rows and its feed lines.

Everything here runs inside a transaction that the caller opened: all of a bundle's changes are in, or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from xinglin.core.schema.decode import encode
from xinglin.core.store.keys import NO_DATE, TYPE_NAMES, TYPE_NUMBERS
from xinglin.core.store.rows import Change, Current, Stored
from xinglin.kernel import clock, sqltext
from xinglin.kernel.breath import in_slices
from xinglin.kernel.database import Connection

SQL = sqltext.load("xinglin.core.store", "store.sql")
MANY: Final = 40
"""Resources from which on a transaction is written by COPY."""
CREATION: Final = (
    "key", "type", "version", "deleted", "person", "custodian", "category", "date", "date_end", "updated", "present",
    "id", "body",
)  # fmt: skip
COLUMNS: Final = {
    "token": ("hash", "person", "date", "key", "system"),
    "string": ("path", "value", "exact", "key", "person"),
    "moment": ("path", "low", "high", "key", "person"),
    "quantity": (
        "path", "unit", "low", "high", "canonical", "canonical_low", "canonical_high", "key", "person",
    ),
    "feed": ("key", "version", "type", "person", "updated"),
}  # fmt: skip
"""Columns of the index tables and the feed, in the order of the statement `store`."""

Rows = list[tuple[Any, ...]]


async def lock(connection: Connection, keys: Iterable[int]) -> dict[int, Current]:
    """The newest versions of the resources that exist, locked until the transaction ends, in one order for all."""
    rows = await connection.fetch(SQL.lock, list(keys))
    return {row["key"]: _current(row) for row in rows}


def _current(row: Any) -> Current:
    key, category, number, *rest = row
    return Current(key, Stored(TYPE_NAMES[number], *rest), category)


async def earlier_bodies(connection: Connection, key: int) -> list[bytes]:
    """The superseded versions' texts, newest first, a hundred at most."""
    return [row["body"] for row in await connection.fetch(SQL.earlier, key)]


async def commit(connection: Connection, changes: Sequence[Change], now: int) -> list[Stored]:
    """Store the changes (each key once) as versions of the time `now`; returns them as stored, in the given order."""
    stored = [_version(change, now) async for change in in_slices(changes)]
    pairs = list(zip(changes, stored, strict=True))
    replaced = [(change, new) for change, new in pairs if change.before is not None]
    if replaced:
        await _supersede(connection, [change for change, _ in replaced])
        rows = [_replacement(change, new) for change, new in replaced]
        await connection.execute(SQL.replace, *_transpose(rows, len(rows[0])))
    created = [_creation(change, new) for change, new in pairs if change.before is None]
    # One statement is quickest for a few resources; COPY costs half the processor time a row for many.
    await (_insert if len(changes) < MANY else _copy)(connection, created, await _index_rows(pairs))
    return stored


async def _insert(connection: Connection, created: Rows, index: Mapping[str, Rows]) -> None:
    arrays = [column for table, rows in index.items() for column in _transpose(rows, len(COLUMNS[table]))]
    await connection.execute(SQL.store, *_transpose(created, len(CREATION)), *arrays)


async def _copy(connection: Connection, created: Rows, index: Mapping[str, Rows]) -> None:
    # In the order of their keys, so that two loaders of the same resources wait for each other and do not deadlock.
    await connection.copy_records_to_table("resource", records=in_slices(sorted(created)), columns=CREATION)
    for table, rows in index.items():
        if rows:
            await connection.copy_records_to_table(table, records=in_slices(rows), columns=COLUMNS[table])


def _version(change: Change, now: int) -> Stored:
    version = change.before.stored.version + 1 if change.before else 1
    if change.resource is None:
        return Stored(change.type, change.id, version, now, b"", True, change.person, change.custodian)
    body = body_of(change.resource, change.id, version, now)
    return Stored(change.type, change.id, version, now, body, False, change.person, change.custodian)


def body_of(resource: dict[str, Any], resource_id: str, version: int, now: int) -> bytes:
    """The text that is stored and served: type, id and meta first, then the content as it came."""
    meta = {**resource.get("meta", {}), "versionId": str(version), "lastUpdated": clock.instant(now)}
    head = {"resourceType": resource["resourceType"], "id": resource_id, "meta": meta}
    return encode({**head, **{name: value for name, value in resource.items() if name not in head}})


async def _supersede(connection: Connection, changes: Sequence[Change]) -> None:
    tokens = [
        (hashed, change.before.person, index.date, change.key)  # of a Task, the rows say more than the index knows
        for change in changes
        if change.before is not None and (index := change.before_index) is not None
        for hashed, _ in index.tokens
    ]
    await connection.execute(SQL.supersede, [change.key for change in changes], *_transpose(tokens, 4))


def _replacement(change: Change, new: Stored) -> tuple[Any, ...]:
    index = change.index
    dates = (index.date, index.date_end) if index else (NO_DATE, NO_DATE)
    present = index.present if index else 0
    owner = (change.person, change.custodian, change.category)
    return (change.key, new.version, new.deleted, *owner, *dates, new.updated, present, new.body)


def _creation(change: Change, new: Stored) -> tuple[Any, ...]:
    key, version, deleted, *middle, body = _replacement(change, new)
    return (key, TYPE_NUMBERS[change.type], version, deleted, *middle, change.id, body)


def _transpose(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


async def _index_rows(pairs: Sequence[tuple[Change, Stored]]) -> dict[str, Rows]:
    """Table -> rows of COLUMNS."""
    tokens: Rows = []
    strings: Rows = []
    moments: Rows = []
    quantities: Rows = []
    async for change, _ in in_slices(pairs):
        index, key, person = change.index, change.key, change.person
        if index is None:
            continue
        date = index.date
        tokens += [(hashed, person, date, key, system) for hashed, system in index.tokens]
        strings += [(*row, key, person) for row in index.strings]
        moments += [(*row, key, person) for row in index.moments]
        quantities += [(*row, key, person) for row in index.quantities]
    feed = [(c.key, new.version, TYPE_NUMBERS[c.type], c.person, new.updated) for c, new in pairs]
    return {"token": tokens, "string": strings, "moment": moments, "quantity": quantities, "feed": feed}
