"""Readers' lines: those that wait at the same time share one statement, one transaction and one flush.

None is answered before its own line is on disk; where it cannot be written, nothing is disclosed.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from xinglin.access.audit.lines import Access, record
from xinglin.kernel.database import Database, DatabaseUnavailable, absence
from xinglin.kernel.together import Together

log = logging.getLogger(__name__)


class AuditUnavailable(DatabaseUnavailable):
    """Nothing is disclosed that cannot be recorded."""


class AuditWriter:
    """Groups the lines of concurrent readers into one transaction after another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._together = Together(self._write_group)

    async def write(self, access: Access) -> None:
        """Return when the access is durably recorded; raise where it cannot be, and then nothing may be disclosed."""
        await self._together.ask(None, access)

    async def close(self) -> None:
        await self._together.close()

    async def _write_group(self, _: None, group: Sequence[Access]) -> Sequence[None]:
        try:
            async with self._database.connection() as connection:
                await record(connection, group)
        except Exception as error:
            told = None if absence(error) else error  # a database that is away needs no traceback for every group
            log.error("audit lines could not be written; %d answers are withheld", len(group), exc_info=told)
            text = "The access log cannot be written, so nothing is shown."
            raise AuditUnavailable(text, remedy="Try again.") from error
        return [None] * len(group)
