"""PostgreSQL: a pool on a server, and migrations that only go forward."""

from __future__ import annotations

import asyncio
import errno
import traceback
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from hashlib import sha256
from importlib.resources import files
from time import monotonic
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from xinglin.kernel import embedded
from xinglin.kernel.config import Settings
from xinglin.kernel.errors import Problem

Connection = Any  # asyncpg.Connection or its pool proxy: the driver ships no types
MINIMUM_VERSION = 150000
MIGRATION_LOCK = 7061_1001  # any constant: one migration at a time on a database


class DatabaseUnavailable(Problem):
    status = 503
    default_code = "transient"


class StorageFull(DatabaseUnavailable):
    status = 507
    default_code = "no-store"


_GONE = asyncpg.PostgresConnectionError | asyncpg.OperatorInterventionError | asyncpg.InterfaceError
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


def absence(error: BaseException) -> DatabaseUnavailable | None:
    """What to say of an error whose reason is the database or its disk and not the request: gone, starting, full,
    taking no writes. None for any other error; a statement that took too long is one of those.
    """
    if isinstance(error, DatabaseUnavailable):
        return error
    if isinstance(error, asyncpg.DiskFullError) or (isinstance(error, OSError) and error.errno in _NO_ROOM):
        return StorageFull("There is no room left to store this.", remedy="Tell the operator: a disk is full.")
    if isinstance(error, asyncpg.ReadOnlySQLTransactionError):
        return DatabaseUnavailable("The database takes no writes at the moment.", remedy="Read, and write later.")
    if _of_connection(error) or isinstance(error, asyncpg.InsufficientResourcesError | asyncpg.PostgresSystemError):
        return DatabaseUnavailable(
            "The database does not answer at the moment.",
            remedy="Try again in a few seconds.",
        )
    return None


def _of_connection(error: BaseException) -> bool:
    """Whether the database went away: told by its server, by the driver, or by the system while it connected."""
    if isinstance(error, asyncpg.QueryCanceledError | asyncpg.DataError):
        return False
    if isinstance(error, _GONE | asyncpg.InternalClientError | ConnectionError):
        return True
    places = (frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__))
    return isinstance(error, OSError) and any(place.startswith("asyncpg.") for place in places)


async def _leave_as_it_is(connection: Connection) -> None:
    """No statement of ours changes a pooled session, so it needs no reset: that would be a round trip for each use."""


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool

    @classmethod
    async def open(cls, url: str, *, size: int = 16, statement_seconds: int = 10) -> Database:
        """Connect, or say what is wrong with the address."""
        try:
            pool = await asyncpg.create_pool(
                url,
                min_size=0,  # what breaks off is connected again by whoever needs it next
                max_size=size,
                max_queries=2**31,  # a connection is not worn out by use, and what it has prepared is worth keeping
                command_timeout=None,
                reset=_leave_as_it_is,
                server_settings={
                    "application_name": "xinglin",
                    "statement_timeout": str(statement_seconds * 1000),
                    "jit": "off",
                    "timezone": "UTC",
                },
            )
            async with pool.acquire():  # an address that is wrong is told now
                pass
        except (OSError, asyncpg.PostgresError, ValueError) as error:
            raise DatabaseUnavailable(
                f"The database cannot be reached: {error}.",
                remedy="Check XINGLIN_DATABASE_URL, or run `xinglin doctor`.",
            ) from error
        return cls(pool)

    async def close(self) -> None:
        await self.pool.close()

    def connection(self) -> AbstractAsyncContextManager[Connection]:
        found: AbstractAsyncContextManager[Connection] = self.pool.acquire()
        return found

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        async with self.pool.acquire() as connection, connection.transaction():
            yield connection


OPEN_BEFORE = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
   AND xact_start < to_timestamp($1::double precision / 1000000) AND backend_type = 'client backend'
"""


async def quiet_since(database: Database, moment: int, patience: float) -> None:
    """Return once no transaction that began before `moment` (microseconds) is open: all that it wrote can be read.

    One that stays open for longer than `patience` (seconds) is not waited for.
    """
    until = monotonic() + patience
    async with database.connection() as connection:
        while await connection.fetchval(OPEN_BEFORE, moment) and monotonic() < until:  # noqa: ASYNC110  of others
            await asyncio.sleep(0.05)


async def migrate(connection: Connection, packages: Sequence[str]) -> list[str]:
    """Apply the `.sql` files of the packages' `migrations` folders that are not applied yet, each in a transaction.

    Returns the names applied. A file that was applied and has changed since is an error: migrations go forward.
    """
    version = connection.get_server_version()
    if version.major * 10000 < MINIMUM_VERSION:
        raise DatabaseUnavailable(f"PostgreSQL {version.major} is too old.", remedy="Use PostgreSQL 15 or newer.")
    await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
    try:
        await _keep_account(connection)
        return [name for name, text in _migrations(packages) if await _apply(connection, name, text)]
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)


async def _keep_account(connection: Connection) -> None:
    """The table of what was applied. Looked for first: a role that may not make tables may find all of them there."""
    if await connection.fetchval("SELECT to_regclass('migration')") is None:
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS migration"
            " (name text PRIMARY KEY, checksum text NOT NULL, applied timestamptz NOT NULL DEFAULT now())"
        )


def _migrations(packages: Sequence[str]) -> Iterator[tuple[str, str]]:
    for package in packages:
        folder = files(package).joinpath("migrations")
        for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
            if file.name.endswith(".sql"):
                yield f"{package}:{file.name}", file.read_text(encoding="utf-8")


async def _apply(connection: Connection, name: str, text: str) -> bool:
    checksum = sha256(text.encode()).hexdigest()
    known = await connection.fetchval("SELECT checksum FROM migration WHERE name = $1", name)
    if known is not None:
        if known != checksum:
            raise Problem(f"Migration {name} was applied in another form.", remedy="Restore the file, add a new one.")
        return False
    async with connection.transaction():
        await connection.execute(text)
        await connection.execute("INSERT INTO migration (name, checksum) VALUES ($1, $2)", name, checksum)
    return True


async def pending_migrations(connection: Connection, packages: Sequence[str]) -> list[str]:
    """Names of the migrations that this database still lacks."""
    if await connection.fetchval("SELECT to_regclass('migration')") is None:
        applied: set[str] = set()
    else:
        applied = {row["name"] for row in await connection.fetch("SELECT name FROM migration")}
    return [name for name, _ in _migrations(packages) if name not in applied]


def with_database(url: str, name: str) -> str:
    """The same server's address with another database's name."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"/{name}"))


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The address of the database to use: the configured server, or the embedded one, running while inside."""
    if settings.database_url:
        yield settings.database_url
        return
    with embedded.running(settings.home) as url:
        yield url
