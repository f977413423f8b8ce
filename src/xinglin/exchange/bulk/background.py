"""What the background process of a node does for bulk data: one job after another, and old files removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from time import monotonic
from typing import Final

import asyncpg

from xinglin.access.house import House
from xinglin.exchange.bulk import exporting
from xinglin.exchange.bulk.folders import Folder
from xinglin.kernel import jobs
from xinglin.kernel.errors import Problem

REST: Final = 1.0  # seconds between looks when nothing waits
SWEEP: Final = 60.0  # seconds between removals of what has expired
WITH_FILES: Final = (exporting.KIND,)

log = logging.getLogger(__name__)


def handlers(house: House) -> Mapping[str, jobs.Handler]:
    return {exporting.KIND: partial(exporting.export, house)}


async def work_on(house: House) -> None:
    """Until cancelled: take jobs, carry them out, remove what has expired."""
    doing, swept = handlers(house), 0.0
    while True:
        try:
            if monotonic() - swept > SWEEP:
                await sweep(house)
                swept = monotonic()
            worked = await jobs.work(house.database, doing)
        except (Problem, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("a job could not be worked on, trying again: %s", type(error).__name__)
            worked = False
        if not worked:
            await asyncio.sleep(REST)


async def sweep(house: House) -> None:
    """Remove files and entries of jobs that have expired or were cancelled."""
    async with house.database.connection() as connection:
        for job in await jobs.expired(connection, WITH_FILES):
            Folder.of(house.settings, job.kind, job.id).remove()
            await jobs.remove(connection, job.id)
