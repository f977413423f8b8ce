"""An exported log: a zip file that proves itself, and can be judged by whoever has the log's key (judge.py).

    log.json         format, origin, the log's key, keys of its witnesses, when it was written
    entries.ndjson   one line for each leaf, in order: {"leaf", "salt", "line"}, or {"leaf", "erased"} where the line's
                     personal data was removed; `erased` is the number of the line that says so
    hashes           the hashes of all leaves, 32 bytes each
    heads.ndjson     {"note"}: every signed head, with its cosignatures

The last head covers all of it. Verifying needs no database.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from xinglin.access.audit import heads, notes, tree
from xinglin.access.audit.lines import HASHED, content
from xinglin.access.audit.merkle import HASH, Part
from xinglin.access.audit.notes import Head, Key
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Invalid

FORMAT: Final = "xinglin-audit-1"
ERASE: Final = "erase"
"""The interaction of a line that says which lines were erased."""
ENTRIES: Final = f"""
SELECT l.leaf, l.salt, e.by, {", ".join(f"a.{name}" for name in HASHED)}
FROM audit_leaf l JOIN audit a USING (seq) LEFT JOIN audit_erasure e USING (leaf) WHERE l.leaf < $1 ORDER BY l.leaf
"""  # noqa: S608
STRETCH: Final = 1 << 16  # leaves whose hashes are read at once


@dataclass(frozen=True, slots=True)
class Entry:
    """A leaf of an export: the hash that its salt and line give (None where they are erased or damaged), and the number
    of the line by which it was erased."""

    leaf: int
    hashed: bytes | None
    erased: int | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """An export as it was read. `erasures`: what lines say that erase others, by their numbers."""

    key: Key
    entries: tuple[Entry, ...]
    hashes: tuple[bytes, ...]
    heads: tuple[Head, ...]
    witnesses: tuple[Key, ...] = ()
    erasures: dict[int, str] = field(default_factory=dict)


# writing --------------------------------------------------------------------------------------------------------------


async def export(database: Database, settings: Settings, file: Path) -> Head:
    """Write the whole log up to a head that is signed now; returns the head. The file is for its owner's eyes only."""
    await tree.catch_up(database)
    head = await heads.sign(database, settings)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as raw, zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        async with database.connection() as connection, connection.transaction(isolation="repeatable_read"):
            await connection.execute("SET LOCAL statement_timeout = 0")
            archive.writestr("log.json", await _about(connection, settings))
            await _entries(connection, archive, head.size)
            await _hashes(connection, archive, head.size)
            await _heads(connection, archive, head.size)
    return head


async def _about(connection: Connection, settings: Settings) -> bytes:
    log, _ = await heads.signers(connection, settings)
    witnesses = [key.text for key in await heads.peers(connection, "witness")]
    written = clock.instant(clock.micros(clock.now()))
    about = {"format": FORMAT, "origin": log.key.name, "key": log.key.text, "witnesses": witnesses, "written": written}
    return orjson.dumps(about, option=orjson.OPT_INDENT_2)


async def _entries(connection: Connection, archive: zipfile.ZipFile, size: int) -> None:
    with archive.open("entries.ndjson", "w", force_zip64=True) as out:
        async for row in connection.cursor(ENTRIES, size, prefetch=2000):
            out.write(orjson.dumps(entry_of(row), option=orjson.OPT_APPEND_NEWLINE))


def entry_of(row: Any) -> dict[str, Any]:
    """A leaf as it is exported."""
    if row["salt"] is None:
        return {"leaf": row["leaf"], "erased": row["by"]}
    line = {name: value for name, value in content(row).items() if value not in ("", None, [])}
    return {"leaf": row["leaf"], "salt": row["salt"].hex(), "line": line}


async def _hashes(connection: Connection, archive: zipfile.ZipFile, size: int) -> None:
    with archive.open("hashes", "w", force_zip64=True) as out:
        for start in range(0, size, STRETCH):
            parts = [Part(leaf, 1) for leaf in range(start, min(start + STRETCH, size))]
            out.write(b"".join(await tree.hashes_of(connection, parts)))


async def _heads(connection: Connection, archive: zipfile.ZipFile, size: int) -> None:
    with archive.open("heads.ndjson", "w") as out:
        for head in reversed(await heads.listed(connection, size + 1, 1 << 62)):
            out.write(orjson.dumps({"note": head.text}, option=orjson.OPT_APPEND_NEWLINE))


# reading --------------------------------------------------------------------------------------------------------------


def read(file: Path | io.BytesIO) -> Evidence:
    """The export in a file; Invalid where it is none. What is damaged within is left for the judge."""
    try:
        with zipfile.ZipFile(file) as archive:
            about = orjson.loads(archive.read("log.json"))
            if about["format"] != FORMAT:
                raise Invalid(f"This export is of the format {about['format']!r}.", remedy=f"It must be {FORMAT}.")
            with archive.open("entries.ndjson") as lines:
                entries, erasures = judged(lines)
            data = archive.read("hashes")
            notes_ = [orjson.loads(line)["note"] for line in archive.read("heads.ndjson").splitlines()]
            return Evidence(
                notes.key_of_text(about["key"]),
                tuple(entries),
                tuple(data[place : place + HASH] for place in range(0, len(data), HASH)),
                tuple(notes.read(note) for note in notes_),
                tuple(notes.key_of_text(key) for key in about.get("witnesses", ())),
                erasures,
            )
    except OSError as error:
        raise Invalid(f"{file} cannot be read: {error.strerror}.", remedy="Name an export.") from error
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
        raise Invalid(
            f"This is not an export of the access log ({error}).",
            remedy="Make one with `xinglin audit export FILE`.",
        ) from error


def judged(lines: Iterable[bytes]) -> tuple[list[Entry], dict[int, str]]:
    """Entries with the hashes that they give, and what those say that erase others."""
    erasures: dict[int, str] = {}
    return list(_read(lines, erasures)), erasures


def _read(lines: Iterable[bytes], erasures: dict[int, str]) -> Iterator[Entry]:
    for place, text in enumerate(lines):
        try:
            found = orjson.loads(text)
            leaf = int(found["leaf"])
            if "erased" in found:
                yield Entry(leaf, None, int(found["erased"] or 0))
                continue
            line, salt = found["line"], bytes.fromhex(found["salt"])
            hashed = tree.leaf_of(line, salt) if len(salt) == tree.SALT else None
            if line.get("interaction") == ERASE:
                erasures[int(line["seq"])] = str(line.get("why", ""))
        except (KeyError, TypeError, ValueError, AttributeError):
            leaf, hashed = place, None
        yield Entry(leaf, hashed)
