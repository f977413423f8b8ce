"""Jobs: work that outlives a request, and the process that does it.

    job = await submit(connection, "export", login, {...})      in the transaction that decides on it
    await work(database, {"export": handler})                   in a background process: takes one and runs it

A job is held by a lease that its process renews. When the process dies the lease runs out, another process takes the
job and goes on from its last saved progress. `taken` counts who took it: whoever lost the job can no longer save, so
two processes never both carry it on.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, Final
from uuid import UUID

import asyncpg
import orjson

from xinglin.kernel import sqltext
from xinglin.kernel.database import Connection, Database, absence
from xinglin.kernel.errors import Problem

log = logging.getLogger(__name__)

SQL = sqltext.load("xinglin.kernel", "jobs.sql")
LEASE: Final = timedelta(seconds=15)
REST: Final = 1.0  # seconds between looks when nothing waits
BETWEEN_TIDYING: Final = 60.0  # seconds
MOST_FRUITLESS: Final = 5
"""A job taken so often without any progress between is given up: it would end its process again."""

QUEUED: Final = "queued"
RUNNING: Final = "running"
DONE: Final = "done"
FAILED: Final = "failed"
CANCELLED: Final = "cancelled"


@dataclass(frozen=True, slots=True)
class Job:
    """One job as it stands. `arguments` and `progress` are JSON objects; `error` is the sentence for its owner."""

    id: UUID
    kind: str
    owner: str
    state: str
    arguments: dict[str, Any]
    progress: dict[str, Any]
    error: str
    created: datetime
    started: datetime | None
    finished: datetime | None
    expires: datetime | None
    taken: int

    @property
    def ended(self) -> bool:
        return self.state in (DONE, FAILED, CANCELLED)


class Lost(Exception):
    """The job was cancelled, or another process has it: whoever is running it stops at once."""


class Running:
    """A job in the hands of the process that runs it."""

    def __init__(self, database: Database, job: Job) -> None:
        self.database = database
        self.job = job
        self.progress: dict[str, Any] = dict(job.progress)

    async def save(self, connection: Connection) -> None:
        """Make `progress` durable with the transaction of `connection`. Raises Lost, and then it must not commit."""
        done = await connection.execute(SQL.save, self.job.id, self.job.taken, _json(self.progress), LEASE)
        if done != "UPDATE 1":
            raise Lost

    async def finish(self, state: str, error: str = "") -> None:
        """End the job, unless it was lost."""
        async with self.database.connection() as connection:
            await connection.execute(SQL.finish, self.job.id, self.job.taken, state, _json(self.progress), error[:2000])

    async def release(self) -> None:
        """Give it back unfinished: the next process goes on at once."""
        async with self.database.connection() as connection:
            await connection.execute(SQL.release, self.job.id, self.job.taken)


Handler = Callable[[Running], Awaitable[None]]
"""Does a job to its end, saving progress. Raises Problem for what its owner must know: the job has failed."""


async def submit(
    connection: Connection, kind: str, owner: str, arguments: Mapping[str, Any], *, keep: timedelta | None = None
) -> Job:
    """A new job, there with the transaction of `connection`; its results are removed after `keep`."""
    return _job(await connection.fetchrow(SQL.submit, kind, owner, _json(arguments), keep))


async def find(connection: Connection, id: str | UUID) -> Job | None:
    try:
        row = await connection.fetchrow(SQL.find, id if isinstance(id, UUID) else UUID(id))
    except ValueError:
        return None
    return None if row is None else _job(row)


async def unfinished(connection: Connection, owner: str) -> int:
    """How many jobs of an owner wait or run."""
    return int(await connection.fetchval(SQL.unfinished, owner))


async def cancel(connection: Connection, id: UUID) -> None:
    """Whoever runs it notices when it next saves."""
    await connection.execute(SQL.cancel, id)


async def remove(connection: Connection, id: UUID) -> None:
    await connection.execute(SQL.remove, id)


async def expired(connection: Connection, kinds: Sequence[str]) -> list[Job]:
    """Jobs whose results are no longer wanted, and that nobody runs."""
    return [_job(row) for row in await connection.fetch(SQL.expired, list(kinds))]


async def claim(database: Database, kinds: Sequence[str]) -> Running | None:
    """Take the oldest job that waits or was left behind, or None."""
    async with database.connection() as connection:
        row = await connection.fetchrow(SQL.claim, list(kinds), LEASE)
    if row is None:
        return None
    running = Running(database, _job(row))
    if row["fruitless"] > MOST_FRUITLESS:
        await running.finish(FAILED, "It was started several times and never got on. Start it again, asking for less.")
        return await claim(database, kinds)
    return running


async def work(database: Database, handlers: Mapping[str, Handler]) -> bool:
    """Take one job and run it to its end; False when none waits."""
    running = await claim(database, list(handlers))
    if running is None:
        return False
    holding = asyncio.create_task(_hold(running))
    try:
        await _carry_out(running, handlers[running.job.kind])
    finally:
        holding.cancel()
        with suppress(asyncio.CancelledError):
            await holding
    return True


async def work_on(
    database: Database, handlers: Mapping[str, Handler], tidy: Callable[[], Awaitable[None]] | None = None
) -> None:
    """Until cancelled: carry out one job after another; call `tidy` now and then."""
    tidied = float("-inf")
    while True:
        worked = False
        try:
            if tidy is not None and monotonic() - tidied > BETWEEN_TIDYING:
                await tidy()
                tidied = monotonic()
            worked = await work(database, handlers)
        except (Problem, OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("a job could not be worked on, trying again: %s", type(error).__name__)
        if not worked:
            await asyncio.sleep(REST)


async def _carry_out(running: Running, handler: Handler) -> None:
    try:
        await handler(running)
    except Lost:
        return
    except asyncio.CancelledError:
        with suppress(Exception):
            await running.release()
        raise
    except Exception as error:
        await _fail(running, error)
    else:
        await running.finish(DONE)


async def _fail(running: Running, error: Exception) -> None:
    if away := absence(error):  # the lease runs out, and the job goes on when the database is back
        log.warning("job %s (%s) waits: %s", running.job.id, running.job.kind, away)
    elif isinstance(error, Problem):
        await running.finish(FAILED, str(error))
    else:
        places = "".join(traceback.format_tb(error.__traceback__))  # places, never values: those may be patient data
        log.error("job %s (%s) failed: %s\n%s", running.job.id, running.job.kind, type(error).__name__, places)
        await running.finish(FAILED, f"The node failed on this job ({type(error).__name__}). Its log says where.")


async def _hold(running: Running) -> None:
    """Renew the lease while the job is worked on."""
    while True:
        await asyncio.sleep(LEASE.total_seconds() / 3)
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            async with running.database.connection() as connection:
                await connection.execute(SQL.hold, running.job.id, running.job.taken, LEASE)


def _job(row: Any) -> Job:
    values = {name: row[name] for name in Job.__dataclass_fields__}
    return Job(
        **{**values, "arguments": orjson.loads(values["arguments"]), "progress": orjson.loads(values["progress"])}
    )


def _json(value: Mapping[str, Any]) -> str:
    return orjson.dumps(value).decode()
