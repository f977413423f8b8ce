"""Heads of this node's log: signed now and then, kept for good, and kept with what witnesses signed beside them.

The key signs under the log's origin, a name that stays. It is a file of the operator's where XINGLIN_AUDIT_KEY names
one: a key beside the lines in the database protects them from nobody who owns the database.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from xinglin.access.audit import notes, tree
from xinglin.access.audit.notes import LOG, WITNESS, Head, Key, Signer
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, NotFound

ORIGIN: Final = "audit-origin"
SECRET: Final = "audit-key"  # noqa: S105  the name of a row
_SIGNATURES: Final = "SELECT line FROM audit_cosignature WHERE size = $1 ORDER BY name"


async def signers(connection: Connection, settings: Settings) -> tuple[Signer, Signer]:
    """The node as a log and as a witness of other logs: two names, two keys of one secret."""
    origin = await _origin(connection, settings)
    seed = _from_file(settings.audit_key) if settings.audit_key else await _from_database(connection)
    witnessing = sha256(b"xinglin witness\0" + seed).digest()
    name = f"{origin.removesuffix('/log')}/witness"
    return Signer.of(origin, seed, LOG), Signer.of(name, witnessing, WITNESS)


async def _origin(connection: Connection, settings: Settings) -> str:
    """The log's name: the node's address when it was first used. A signature stands under a name for ever."""
    parts = urlsplit(settings.public_base)
    name = f"{parts.netloc}{parts.path}".replace("+", "-") + "/log"
    await connection.execute("INSERT INTO node_setting VALUES ($1, $2) ON CONFLICT DO NOTHING", ORIGIN, name)
    return str(await connection.fetchval("SELECT value FROM node_setting WHERE name = $1", ORIGIN))


async def _from_database(connection: Connection) -> bytes:
    made = secrets.token_bytes(32)
    await connection.execute("INSERT INTO node_secret VALUES ($1, $2) ON CONFLICT DO NOTHING", SECRET, made)
    return bytes(await connection.fetchval("SELECT value FROM node_secret WHERE name = $1", SECRET))


def _from_file(path: str) -> bytes:
    try:
        private = load_pem_private_key(Path(path).read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise Invalid(
            f"XINGLIN_AUDIT_KEY: {path} holds no private key.", remedy="openssl genpkey -algorithm ed25519 -out FILE"
        ) from error
    if not isinstance(private, Ed25519PrivateKey):
        raise Invalid(f"XINGLIN_AUDIT_KEY: {path} is not an Ed25519 key.", remedy="openssl genpkey -algorithm ed25519")
    return private.private_bytes_raw()


async def sign(database: Database, settings: Settings, *, every: int = 0) -> Head:
    """A signed head of the tree as it is. The newest one where nothing was added, or it is younger than `every` s."""
    async with database.transaction() as connection:
        log, _ = await signers(connection, settings)
        await connection.execute("SELECT pg_advisory_xact_lock($1)", tree.GROWING)
        found = await connection.fetchrow("SELECT size, at, note FROM audit_head ORDER BY size DESC LIMIT 1")
        size, now = await tree.size(connection), clock.micros(clock.now())
        if found is not None and (found["size"] == size or now - found["at"] < every * 1_000_000):
            return await _whole(connection, found)
        head = Head(log.key.name, size, await tree.root(connection, size)).signed(log)
        await connection.execute("INSERT INTO audit_head VALUES ($1, $2, $3, $4)", size, head.root, now, head.text)
        return head


async def _whole(connection: Connection, row: Any) -> Head:
    """A head of the table with its cosignatures."""
    head = notes.read(row["note"])
    lines = await connection.fetch(_SIGNATURES, row["size"])
    return head.also(*notes.read(head.body + "\n" + "".join(line["line"] for line in lines)).signatures)


async def head(connection: Connection, size: int | None = None) -> Head:
    """The head of that size, or the newest. NotFound where none was signed."""
    sql = "SELECT size, note FROM audit_head WHERE $1::bigint IS NULL OR size = $1 ORDER BY size DESC LIMIT 1"
    row = await connection.fetchrow(sql, size)
    if row is None:
        raise NotFound("The log has no such head.", remedy="Ask for the newest, or again in a minute.")
    return await _whole(connection, row)


async def listed(connection: Connection, before: int, count: int) -> list[Head]:
    """Heads smaller than `before`, the newest first."""
    sql = "SELECT size, note FROM audit_head WHERE size < $1 ORDER BY size DESC LIMIT $2"
    return [await _whole(connection, row) for row in await connection.fetch(sql, before, count)]


# witnesses of this log --------------------------------------------------------------------------------------------


async def trust(connection: Connection, key: Key, *, anew: bool = False) -> None:
    """Accept what this key signs from now on: a log's heads for countersigning, a witness's signatures on ours.

    anew: forget the head last signed, where a log had to start again after a restore and its operator has told why.
    """
    kind = "log" if key.kind == LOG else "witness"
    known = await connection.fetchval("SELECT vkey FROM audit_peer WHERE kind = $1 AND name = $2", kind, key.name)
    if known not in (None, key.text):
        raise Conflict(f"Another key is known for {key.name}.", remedy="A log that changes its key takes a new name.")
    await connection.execute(
        "INSERT INTO audit_peer (name, kind, vkey) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", key.name, kind, key.text
    )
    if anew:
        forget = "UPDATE audit_peer SET size = 0, root = NULL, note = '' WHERE kind = $1 AND name = $2"
        await connection.execute(forget, kind, key.name)


async def peers(connection: Connection, kind: str) -> list[Key]:
    rows = await connection.fetch("SELECT vkey FROM audit_peer WHERE kind = $1 ORDER BY name", kind)
    return [notes.key_of_text(row["vkey"]) for row in rows]


async def accept(connection: Connection, given: Head) -> int:
    """Keep what known witnesses signed under one of our heads; how many signatures.

    Forbidden where none is of a known witness; Conflict where the head is not ours: then somebody saw another tree.
    """
    row = await connection.fetchrow("SELECT root, note FROM audit_head WHERE size = $1", given.size)
    if row is None or row["root"] != given.root or notes.read(row["note"]).origin != given.origin:
        raise Conflict(
            "This node has not signed that head.", remedy="If its signature is under it, the log has forked."
        )
    kept = 0
    for key in await peers(connection, "witness"):
        if signature := given.signature_of(key):
            await connection.execute(
                "INSERT INTO audit_cosignature VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                *(given.size, key.name, signature.at, signature.line),
            )
            kept += 1
    if not kept:
        raise Forbidden("No witness that this node knows has signed it.", remedy="xinglin audit trust KEY")
    return kept
