"""Writing versions: lock what exists, keep what is replaced, store the new with its index rows and its feed lines.

Everything here runs inside a transaction that the caller opened: all of a bundle's changes are in, or none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from xinglin.core.schema.decode import encode
from xinglin.core.store.keys import NO_DATE, TYPE_NAMES, TYPE_NUMBERS
from xinglin.core.store.rows import Change, Current, Stored
from xinglin.kernel import clock, sqltext
from xinglin.kernel.database import Connection

SQL = sqltext.load("xinglin.core.store", "store.sql")


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
    stored = [_version(change, now) for change in changes]
    pairs = list(zip(changes, stored, strict=True))
    replaced = [(change, new) for change, new in pairs if change.before is not None]
    if replaced:
        await _supersede(connection, [change for change, _ in replaced])
        await connection.execute(SQL.replace, *_columns(replaced, 11, _replacement))
    created = [(change, new) for change, new in pairs if change.before is None]
    if created:
        await connection.execute(SQL.insert, *_columns(created, 13, _creation))
    await connection.execute(SQL.index, *_index_columns(pairs))
    return stored


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
        (hashed, index.person, index.date, change.key)
        for change in changes
        if (index := change.before_index) is not None
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


def _columns(pairs: Sequence[tuple[Change, Stored]], width: int, row: Any) -> list[list[Any]]:
    return _transpose([row(change, new) for change, new in pairs], width)


def _transpose(rows: Sequence[tuple[Any, ...]], width: int) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(width)]


def _index_columns(pairs: Sequence[tuple[Change, Stored]]) -> list[list[Any]]:
    """The 29 arrays of `index`: tokens, strings, moments, quantities, feed."""
    tokens: list[tuple[Any, ...]] = []
    strings: list[tuple[Any, ...]] = []
    moments: list[tuple[Any, ...]] = []
    quantities: list[tuple[Any, ...]] = []
    for change, _ in pairs:
        index, key, person = change.index, change.key, change.person
        if index is None:
            continue
        date = index.date
        tokens += [(hashed, person, date, key, system) for hashed, system in index.tokens]
        strings += [(*row, key, person) for row in index.strings]
        moments += [(*row, key, person) for row in index.moments]
        quantities += [(*row, key, person) for row in index.quantities]
    feed = [(c.key, new.version, TYPE_NUMBERS[c.type], c.person, new.updated) for c, new in pairs]
    return [
        *_transpose(tokens, 5),
        *_transpose(strings, 5),
        *_transpose(moments, 5),
        *_transpose(quantities, 9),
        *_transpose(feed, 5),
    ]
