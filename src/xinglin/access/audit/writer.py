"""Readers' lines: those that wait at the same time share one statement, one transaction and one flush.

None is answered before its own line is on disk; where it cannot be written, nothing is disclosed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from xinglin.access.audit.lines import Access, record
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Problem

log = logging.getLogger(__name__)

GROUP: Final = 2000
"""Accesses that are written together, at most."""


class AuditUnavailable(Problem):
    status = 503
    default_code = "transient"


def _withhold(group: Sequence[tuple[Access, asyncio.Future[None]]]) -> None:
    refusal = AuditUnavailable("The access log cannot be written, so nothing is shown.", remedy="Try again.")
    for _, future in group:
        if not future.done():
            future.set_exception(refusal)


class AuditWriter:
    """Groups the lines of concurrent readers into one transaction after another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Access, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def write(self, access: Access) -> None:
        """Return when the access is durably recorded; raise where it cannot be, and then nothing may be disclosed."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((access, future))
        self._arrived.set()
        await future

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        _withhold(self._waiting)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                await self._write_group(group)

    async def _write_group(self, group: list[tuple[Access, asyncio.Future[None]]]) -> None:
        try:
            async with self._database.connection() as connection:
                await record(connection, [access for access, _ in group])
        except Exception:
            log.exception("audit lines could not be written; %d answers are withheld", len(group))
            _withhold(group)
            return
        for _, future in group:
            if not future.done():
                future.set_result(None)
