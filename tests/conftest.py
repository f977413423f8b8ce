"""Fixtures every room of the tests may use: the public data folder, an embedded PostgreSQL, fresh databases."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from pathlib import Path
from tempfile import TemporaryDirectory

import argon2
import asyncpg
import hypothesis
import pytest

from clocks import Time
from xinglin.access.house import House
from xinglin.access.identity import passwords
from xinglin.core.search import values
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Database, migrate, serving, with_database
from xinglin.modules import MIGRATIONS

# Speed is for benchmarks: a busy machine must not fail a test.
hypothesis.settings.register_profile("xinglin", deadline=None)
hypothesis.settings.load_profile("xinglin")
pytest.register_assert_rewrite("attacked", "serving")  # plugins whose names tests import, too
REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of public suites and sample data; tests that need it are skipped, loudly, where it is absent."""
    folder = Path(os.environ.get("XINGLIN_SHARED", REPOSITORY.parent / "shared"))
    if not folder.is_dir():
        pytest.skip(f"public data not found at {folder}; set XINGLIN_SHARED to its folder")
    return folder


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Address of a PostgreSQL for this run: XINGLIN_TEST_DATABASE_URL, or an embedded one in a temporary folder.

    Not under pytest's own folder: the next run closes that one to other users, and root's server runs as another.
    """
    given = os.environ.get("XINGLIN_TEST_DATABASE_URL", "")
    with (
        TemporaryDirectory(prefix="xinglin-test-", ignore_cleanup_errors=True) as folder,
        serving(Settings(database_url=given, home=Path(folder))) as url,
    ):
        if not given:
            with ThreadPoolExecutor(1) as pool:  # no loop of pytest's is disturbed
                pool.submit(asyncio.run, _let_go(url)).result()
        yield url


async def _let_go(url: str) -> None:
    """Hundreds of databases come and go with the tests: none needs to outlive the machine. What a killed process has
    written stays with the system; tests of what a killed server has promised start their own."""
    admin = await asyncpg.connect(url)
    for setting in ("fsync", "full_page_writes"):
        await admin.execute(f"ALTER SYSTEM SET {setting} = off")
    await admin.execute("SELECT pg_reload_conf()")
    await admin.close()


@pytest.fixture(scope="session")
async def template(postgres: str) -> str:
    """Name of a migrated, empty database that fresh ones are copied from."""
    admin = await asyncpg.connect(postgres)
    await admin.execute("DROP DATABASE IF EXISTS xinglin_template WITH (FORCE)")
    await admin.execute("CREATE DATABASE xinglin_template")
    await admin.close()
    connection = await asyncpg.connect(postgres, database="xinglin_template")
    await migrate(connection, MIGRATIONS)
    await connection.close()
    return "xinglin_template"


@pytest.fixture
async def database_url(postgres: str, template: str) -> AsyncIterator[str]:
    """Address of a database of this test's own, migrated and empty."""
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log")
    yield with_database(postgres, name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A pool on a database of this test's own."""
    opened = await Database.open(database_url, size=8)
    yield opened
    await opened.close()


@pytest.fixture
async def house(database_url: str) -> AsyncIterator[House]:
    """A house on an empty database of this test's own."""
    opened = await House.open(Settings(database_url=database_url, statement_seconds=20), database_url, pool_size=8)
    yield opened
    await opened.close()


@pytest.fixture(autouse=True)
def zone_of_search_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    """Search tests spell moments in UTC; a house opened by another test has set the process to its clinic's zone."""
    if "search" not in request.node.path.name:
        yield
        return
    before = values._zone
    values.use_zone(UTC)
    yield
    values.use_zone(before)


@pytest.fixture
def time() -> Iterator[Time]:
    """The node's clock, standing at clocks.START."""
    held = Time()
    clock.set_source(held)
    yield held
    clock.set_source(None)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cheap hash of passwords, where it is something else that is tested."""
    monkeypatch.setattr(passwords, "_HASHER", argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    passwords._nobody.cache_clear()
