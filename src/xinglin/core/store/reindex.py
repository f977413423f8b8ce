"""Index rows added to what is stored already, or taken away again: a batch at a time, each in a short transaction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xinglin.core.schema.decode import parse
from xinglin.core.store.rows import IndexRows
from xinglin.kernel import sqltext
from xinglin.kernel.database import Connection

SQL = sqltext.load("xinglin.core.store", "reindex.sql")
BATCH: Final = 300
START: Final = (-(2**63), -(2**63))

Place = tuple[int, int]
"""(updated, key) of the last resource that was dealt with."""
Rows = Callable[[dict[str, Any]], IndexRows]


async def reindex(
    connection: Connection, type_number: int, until: int, after: Place, rows: Rows, *, adding: bool
) -> tuple[Place | None, int]:
    """Add (or remove) the rows of the next resources of a type written by `until`; (None, 0) when there are no more.

    A resource is locked for the moment of its batch only. Runs in the caller's transaction; doing it again changes
    nothing.
    """
    batch = await connection.fetch(SQL.batch, type_number, until, *after, BATCH)
    if not batch:
        return None, 0
    held = await connection.fetch(SQL.held, [row[1] for row in batch], until)
    columns = _columns([(*row[:3], rows(parse(row[3]))) for row in held])
    if any(columns):
        await connection.execute(SQL.remove, *columns)
        if adding:
            await connection.execute(SQL.add, *columns)
    last = batch[-1]
    return (last[0], last[1]), len(batch)


def _columns(found: list[tuple[int, int, int, IndexRows]]) -> list[list[Any]]:
    tokens: list[tuple[Any, ...]] = []
    strings: list[tuple[Any, ...]] = []
    moments: list[tuple[Any, ...]] = []
    quantities: list[tuple[Any, ...]] = []
    for key, person, date, index in found:
        tokens += [(hashed, person, date, key, system) for hashed, system in index.tokens]
        strings += [(*row, key, person) for row in index.strings]
        moments += [(*row, key, person) for row in index.moments]
        quantities += [(*row, key, person) for row in index.quantities]
    parts = ((tokens, 5), (strings, 5), (moments, 5), (quantities, 9))
    return [[row[n] for row in rows] for rows, width in parts for n in range(width)]
