"""The export job: type after type, stretch after stretch, each read through the gate as its owner may see it then.

Every SYNC_BYTES or SYNC_SECONDS the files are on disk before the transaction that notes the place commits. A process
that dies leaves longer files than were noted; the next cuts them back and goes on. The access log's lines of a stretch
commit with it, and are durable before the manifest can be had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

import orjson

from xinglin.access.bulk import acting_for, filter_of, members, owner, patient_keys, read_removed, read_stretch
from xinglin.access.house import House
from xinglin.access.principal import Principal
from xinglin.core.rest.presentation import Presentation
from xinglin.core.search.walking import Extent
from xinglin.exchange.bulk.asking import Asked
from xinglin.exchange.bulk.folders import Folder, Sink
from xinglin.kernel import jobs
from xinglin.kernel.database import Connection, quiet_since
from xinglin.kernel.errors import Problem
from xinglin.kernel.jobs import Lost, Running

KIND: Final = "export"
PATIENCE: Final = 60.0  # seconds to wait for writers that began before the kick-off
FILE_BYTES: Final = 256 << 20
SYNC_BYTES: Final = 64 << 20
SYNC_SECONDS: Final = 2.0
OUTPUT, DELETED = "output", "deleted"
DELETES_A_LINE: Final = 1000

Show = Callable[[Sequence[bytes]], Sequence[bytes]]


def target_of(job: jobs.Job) -> str:
    """What the access log says was read."""
    return f"$export {job.id}"


async def export(house: House, running: Running) -> None:
    """Carry an export on, from wherever it stands, to its end."""
    folder = Folder.of(house.settings, KIND, running.job.id)
    try:
        await Exporting(house, running, folder).run()
    except Problem:
        folder.remove()
        raise
    except Lost:
        async with house.database.connection() as connection:
            left = await jobs.find(connection, running.job.id)
        if left is None or left.state == jobs.CANCELLED:
            folder.remove()
        raise


class Exporting:
    """One run of the job. progress: `files` written, `type` the number of the type at work, `kind` output or deleted,
    `place` where it stands in it, `count` resources in all."""

    def __init__(self, house: House, running: Running, folder: Folder) -> None:
        self.house = house
        self.running = running
        self.folder = folder
        self.asked = Asked(**running.job.arguments)
        self.target = target_of(running.job)
        self.progress = {"files": [], "type": 0, "kind": OUTPUT, "place": None, "count": 0, **running.progress}
        self.sinks: dict[str, Sink] = {}
        self.unsynced = 0
        self.synced = monotonic()

    async def run(self) -> None:
        self.folder.make()
        await quiet_since(self.house.database, self.asked.at, PATIENCE)
        try:
            while self.progress["type"] < len(self.asked.types):
                await self._stretch(self.asked.types[self.progress["type"]])
                if self.unsynced >= SYNC_BYTES or monotonic() - self.synced >= SYNC_SECONDS:
                    await self._note()
            await self._note()
        finally:
            self._close()

    async def _stretch(self, type_name: str) -> None:
        async with self.house.database.transaction() as connection:
            await connection.execute("SET LOCAL synchronous_commit = off")  # made durable by the next note
            standing = await owner(connection, self.running.job.owner)
            principal = acting_for(standing, self.asked.purpose, self.asked.basis)
            extent = await self._extent(connection, principal, type_name)
            if self.progress["kind"] == OUTPUT:
                await self._read(connection, principal, extent)
            else:
                await self._read_removed(connection, principal, extent)

    async def _note(self) -> None:
        """Files on disk, then where the job stands: durable together with all that was logged before."""
        for sink in self.sinks.values():
            await sink.settle()
        self._close()
        async with self.house.database.transaction() as connection:
            self.running.progress = self.progress
            await self.running.save(connection)
        self.unsynced, self.synced = 0, monotonic()

    async def _extent(self, connection: Connection, principal: Principal, type_name: str) -> Extent:
        asked = self.asked
        persons = None if asked.patients is None else patient_keys(asked.patients)
        if asked.group is not None:
            group = await members(connection, principal, asked.group)
            persons = group if persons is None else tuple(set(group) & set(persons))
        filters = tuple(filter_of(text) for text in asked.filters if text.startswith(f"{type_name}?"))
        return Extent(type_name, asked.at, asked.since, persons, asked.level != "system", filters)

    async def _read(self, connection: Connection, principal: Principal, extent: Extent) -> None:
        show, place = _shown(self.asked.elements, extent.type), self.progress["place"]

        def take(bodies: Sequence[bytes]) -> None:
            if bodies:
                self._write(OUTPUT, extent.type, show(bodies) if show else bodies)

        after = (place[0], place[1], place[2]) if place else None
        stretch = await read_stretch(connection, principal, extent, after, self.target, take)
        self._go_on(stretch.place, DELETED if self.asked.since is not None else None)

    async def _read_removed(self, connection: Connection, principal: Principal, extent: Extent) -> None:
        place = self.progress["place"]
        removed = await read_removed(
            connection, principal, extent, (place[0], place[1]) if place else None, self.target
        )
        found = removed.references
        if found:
            lines = [_deletes(found[at : at + DELETES_A_LINE]) for at in range(0, len(found), DELETES_A_LINE)]
            self._write(DELETED, "Bundle", lines)
        self._go_on(removed.place, None)

    def _go_on(self, place: Sequence[int] | None, following: str | None) -> None:
        """Further in this type, or to what was deleted of it, or to the next type."""
        self.progress["place"] = place
        if place is None and following is not None:
            self.progress["kind"] = following
        elif place is None:
            self.progress |= {"type": self.progress["type"] + 1, "kind": OUTPUT}

    # files ------------------------------------------------------------------------------------------------------

    def _write(self, kind: str, type_name: str, lines: Sequence[bytes]) -> None:
        file = self._file(kind, type_name)
        sink = self.sinks.get(file["name"])
        if sink is None:
            sink = self.sinks[file["name"]] = self.folder.append(file["name"], file["bytes"])
        sink.write(lines)
        self.unsynced += sink.size - file["bytes"]
        file["bytes"], file["count"] = sink.size, file["count"] + len(lines)
        self.progress["count"] += len(lines)

    def _file(self, kind: str, type_name: str) -> dict[str, Any]:
        """The file to write to: the last of this kind and type, or a new one when that is long enough."""
        files: list[dict[str, Any]] = self.progress["files"]
        own = [file for file in files if (file["kind"], file["type"]) == (kind, type_name)]
        if own and own[-1]["bytes"] < FILE_BYTES:
            return own[-1]
        stem = DELETED if kind == DELETED else type_name
        files.append({"kind": kind, "type": type_name, "name": f"{stem}-{len(own) + 1}.ndjson", "count": 0, "bytes": 0})
        return files[-1]

    def _close(self) -> None:
        for sink in self.sinks.values():
            sink.close()
        self.sinks.clear()


def _shown(elements: Sequence[str], type_name: str) -> Show | None:
    """Cuts resources to the elements asked of their type; None where they go out as they are stored."""
    names = tuple(name for name in elements if "." not in name or name.startswith(f"{type_name}."))
    if not names:
        return None
    show = Presentation(elements=names)
    return lambda bodies: [show(body) for body in bodies]


def _deletes(references: Sequence[str]) -> bytes:
    """A Bundle that deletes, as the IG asks for what is no longer there."""
    entries: list[dict[str, Any]] = [{"request": {"method": "DELETE", "url": one}} for one in references]
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
