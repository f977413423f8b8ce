"""Erasing: a person's record as one institution holds it, and versions that are gone for good."""

from __future__ import annotations

from collections.abc import Sequence

from xinglin.core.store.keys import TYPE_NAMES, TYPE_NUMBERS
from xinglin.core.store.rows import Stored
from xinglin.kernel import sqltext
from xinglin.kernel.database import Connection

SQL = sqltext.load("xinglin.core.store", "erase.sql")


async def record_of(connection: Connection, person: int) -> list[Stored]:
    """The newest versions of what the holder of this Patient holds about them, the Patient first; [] if none."""
    rows = await connection.fetch(SQL.record, person, sorted(TYPE_NUMBERS.values()), TYPE_NUMBERS["Patient"])
    return [Stored(TYPE_NAMES[row["type"]], *list(row.values())[1:]) for row in rows]


async def purge(connection: Connection, keys: Sequence[int]) -> None:
    """Remove every earlier version of resources that are deleted already; that they were deleted stays."""
    await connection.execute(SQL.purge, list(keys))
