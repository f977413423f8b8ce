"""Labels of what is stored already, when other ValueSets say what is sensitive than those it was labelled by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from xinglin.access.categories import classify, labelled_by
from xinglin.access.topics import hold_topics
from xinglin.core.schema.decode import parse
from xinglin.kernel.database import Connection

if TYPE_CHECKING:
    from xinglin.access.house import House

SETTING: Final = "labelled-by"
BATCH: Final = 500
START: Final = (-(2**63), -1)


async def begin_labels(connection: Connection) -> None:
    """Note in an empty database what all that comes is labelled by: nothing needs to be labelled anew."""
    await connection.execute(
        "INSERT INTO node_setting SELECT $1, $2 WHERE NOT EXISTS (SELECT 1 FROM resource) ON CONFLICT DO NOTHING",
        *(SETTING, labelled_by()),
    )


async def complete_labels(house: House) -> int:
    """Label anew whatever was labelled by other ValueSets, superseded versions too; how many changed.

    A batch at a time, so that nobody waits. May be broken off and run again; does nothing where all is done.
    """
    wanted = labelled_by()
    async with house.database.connection() as connection:
        held = await connection.fetchval("SELECT value FROM node_setting WHERE name = $1", SETTING)
    if held == wanted:
        return 0
    changed = 0
    for table in ("resource", "history"):
        place: tuple[int, int] | None = START
        while place is not None:
            async with house.database.transaction() as connection:
                place, count = await _batch(connection, table, place)
            changed += count
    async with house.database.connection() as connection:
        await connection.execute(
            "INSERT INTO node_setting VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            *(SETTING, wanted),
        )
    return changed


async def _batch(connection: Connection, table: str, after: tuple[int, int]) -> tuple[tuple[int, int] | None, int]:
    """Where to go on (None: at the end), and how many rows changed."""
    topics = await hold_topics(connection)
    rows = await connection.fetch(
        f"SELECT key, version, category, body FROM {table} WHERE (key, version) > ($1, $2)"  # noqa: S608
        " ORDER BY key, version LIMIT $3",
        *(*after, BATCH),
    )
    changed: list[tuple[Any, ...]] = []
    for row in rows:
        body = parse(row["body"]) if row["body"] else None
        category = row["category"] if body is None else classify(body) | topics.of(body)
        if category != row["category"]:
            changed.append((row["key"], row["version"], category))
    if changed:
        await connection.executemany(
            f"UPDATE {table} SET category = $3 WHERE key = $1 AND version = $2",  # noqa: S608
            changed,
        )
    return (rows[-1]["key"], rows[-1]["version"]) if rows else None, len(changed)
