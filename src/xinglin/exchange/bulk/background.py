"""What the background process of a node does for bulk data: its kinds of jobs, and old files removed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

from xinglin.access.house import House
from xinglin.exchange.bulk import exporting, importing
from xinglin.exchange.bulk.folders import Folder
from xinglin.kernel import jobs

WITH_FILES: Final = (exporting.KIND, importing.KIND)


def handlers(house: House) -> Mapping[str, jobs.Handler]:
    return {
        exporting.KIND: partial(exporting.export, house),
        importing.KIND: partial(importing.import_files, house),
    }


async def sweep(house: House) -> None:
    """Remove files and entries of jobs that have expired or were cancelled."""
    async with house.database.connection() as connection:
        for job in await jobs.expired(connection, WITH_FILES):
            Folder.of(house.settings, job.kind, job.id).remove()
            await jobs.remove(connection, job.id)
