"""The tree in PostgreSQL: lines become leaves in an order that no later commit can change, and proofs come from it.

A line's place is (txid, seq) once every transaction that began before its own has ended: what commits from then on
comes after it. One process at a time adds leaves, in transactions that hold the advisory lock GROWING; killed at any
moment, it leaves the tree of before or of after (docs/decisions/0015).
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from xinglin.access.audit import merkle
from xinglin.access.audit.lines import HASHED, canonical, content
from xinglin.access.audit.merkle import Address, Part
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import NotFound

GROWING: Final = 7061_1090
"""The advisory lock of whoever adds leaves: one sequencer for a database."""
BATCH: Final = 5000  # lines placed in one transaction
SALT: Final = 16  # bytes: nobody guesses what an erased line said by hashing guesses

STATE: Final = "SELECT size, txid::text AS txid, seq, floor FROM audit_tree FOR UPDATE"
# the text of the number has a name of its own: an ORDER BY of that name would go by its digits
READY: Final = f"""
SELECT {", ".join(HASHED)}, txid::text AS at_txid FROM audit
WHERE (txid, seq) > ($1::text::xid8, $2) AND txid < pg_snapshot_xmin(pg_current_snapshot()) AND seq > $3
ORDER BY txid, seq LIMIT $4
"""  # noqa: S608
LEAVES: Final = """
INSERT INTO audit_leaf (leaf, seq, salt) SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
"""
TILES: Final = """
INSERT INTO audit_tile (level, tile, hashes) SELECT * FROM unnest($1::smallint[], $2::bigint[], $3::bytea[])
ON CONFLICT (level, tile) DO UPDATE SET hashes = excluded.hashes
"""
READ_TILES: Final = """
SELECT t.level, t.tile, t.hashes FROM unnest($1::smallint[], $2::bigint[]) AS n(level, tile)
JOIN audit_tile t USING (level, tile)
"""
RESTORED: Final = "SELECT $1::text::xid8 >= pg_snapshot_xmax(pg_current_snapshot())"
"""Whether the last line placed bears a number that this server has not given yet: the database came from a dump."""
LEFT_BEHIND: Final = f"""
SELECT {", ".join(HASHED)}, txid::text AS at_txid FROM audit a
WHERE seq > $1 AND NOT EXISTS (SELECT 1 FROM audit_leaf l WHERE l.seq = a.seq) ORDER BY a.txid, seq LIMIT $2
"""  # noqa: S608
TAKE_OVER: Final = "UPDATE audit_tree SET txid = '0', seq = 0, floor = (SELECT coalesce(max(seq), 0) FROM audit)"


def leaf_of(line: dict[str, Any], salt: bytes) -> bytes:
    """The hash of a line's leaf: over its salt, then its canonical form."""
    return merkle.leaf_hash(salt + canonical(line))


async def size(connection: Connection) -> int:
    """Leaves of the tree now."""
    return int(await connection.fetchval("SELECT size FROM audit_tree"))


async def catch_up(database: Database) -> int:
    """Place every line that can be placed now; how many. 0 also where another process is at it."""
    placed = 0
    while True:
        added = await _step(database)
        placed += added
        if added < BATCH:
            return placed


async def _step(database: Database) -> int:
    async with database.transaction() as connection:
        if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", GROWING):
            return 0
        return await place(connection)


async def place(connection: Connection) -> int:
    """Place a batch within the transaction that is open; the caller holds the lock GROWING."""
    state = await connection.fetchrow(STATE)
    if await connection.fetchval(RESTORED, state["txid"]):
        return await _take_over(connection, state["size"], state["floor"])
    rows = await connection.fetch(READY, state["txid"], state["seq"], state["floor"], BATCH)
    await _append(connection, state["size"], rows)
    return len(rows)


async def _take_over(connection: Connection, start: int, floor: int) -> int:
    """Place all that the dump held, while nobody writes; from here on this server's transaction numbers count."""
    await connection.execute("LOCK TABLE audit IN SHARE MODE")
    placed = 0
    while rows := await connection.fetch(LEFT_BEHIND, floor, BATCH):
        await _append(connection, start + placed, rows)
        placed += len(rows)
    await connection.execute(TAKE_OVER)
    return placed


async def _append(connection: Connection, start: int, rows: Sequence[Any]) -> None:
    if not rows:
        return
    salts = [secrets.token_bytes(SALT) for _ in rows]
    hashes = [leaf_of(content(row), salt) for row, salt in zip(rows, salts, strict=True)]
    edge = await tiles(connection, merkle.edge(start))
    changed = merkle.grow(start, hashes, edge)
    await connection.execute(LEAVES, list(range(start, start + len(rows))), [row["seq"] for row in rows], salts)
    await connection.execute(
        TILES, [level for level, _ in changed], [tile for _, tile in changed], list(changed.values())
    )
    await connection.execute(
        "UPDATE audit_tree SET size = $1, txid = $2::text::xid8, seq = $3",
        start + len(rows),
        rows[-1]["at_txid"],
        rows[-1]["seq"],
    )


async def tiles(connection: Connection, wanted: Iterable[Address]) -> dict[Address, bytes]:
    """These tiles, in one statement."""
    pairs = list(wanted)
    rows = await connection.fetch(READ_TILES, [level for level, _ in pairs], [tile for _, tile in pairs])
    return {(level, tile): hashes for level, tile, hashes in rows}


async def hashes_of(connection: Connection, parts: Sequence[Part]) -> list[bytes]:
    """The hashes of subtrees: a proof, in order."""
    found = await tiles(connection, merkle.addresses(parts))
    return [merkle.value(part, found) for part in parts]


async def root(connection: Connection, of_size: int) -> bytes:
    """The root of the first `of_size` leaves, also of the past."""
    [found] = await hashes_of(connection, [Part(0, of_size)])
    return found


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A leaf with the hashes that lead from it to the root of the tree of `size` leaves."""

    leaf: int
    size: int
    hashed: bytes
    path: tuple[bytes, ...]


async def inclusion(connection: Connection, leaf: int, of_size: int) -> Inclusion:
    """Proof that a leaf is in the tree of that size. NotFound where the tree is not so large, or the leaf not in it."""
    if 0 <= leaf < of_size:
        with suppress(LookupError):
            hashed, *path = await hashes_of(connection, [Part(leaf, 1), *merkle.inclusion(leaf, of_size)])
            return Inclusion(leaf, of_size, hashed, tuple(path))
    raise NotFound(f"The log's tree of {of_size} leaves has no leaf {leaf}.", remedy="Ask for its newest head.")


async def consistency(connection: Connection, old: int, new: int) -> list[bytes]:
    """Proof that the tree of `new` leaves begins with that of `old`. NotFound where there are no such trees."""
    if 0 < old < new:
        with suppress(LookupError):
            return await hashes_of(connection, merkle.consistency(old, new))
    elif 0 <= old <= new <= await size(connection):
        return []
    raise NotFound(f"The log has no trees of {old} and {new} leaves.", remedy="Ask for its newest head.")


async def leaf_of_line(connection: Connection, seq: int) -> int:
    """The leaf that a line became. NotFound until it is placed."""
    found = await connection.fetchval("SELECT leaf FROM audit_leaf WHERE seq = $1", seq)
    if found is None:
        raise NotFound("The line is not in the tree yet.", remedy="Ask again in a minute.")
    return int(found)
