"""What most verbs work on: the configured database, or the house, opened for one verb and closed again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from xinglin.kernel.config import Settings, load
from xinglin.kernel.database import Database, pending_migrations, serving
from xinglin.kernel.errors import Problem
from xinglin.modules import MIGRATIONS

if TYPE_CHECKING:
    from xinglin.access.house import House

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


def on_database(work: Callable[[Database], Awaitable[T]]) -> T:
    """Run the work on the configured database, which must be migrated."""

    async def run(url: str) -> T:
        database = await Database.open(url, size=2)
        try:
            await _require_tables(database)
            return await work(database)
        finally:
            await database.close()

    with serving(load()) as url:
        return asyncio.run(run(url))


def on_house(work: Callable[[House], Awaitable[T]]) -> T:
    """The same with the house, for work on records; it is loaded here, since it brings the engine."""
    from xinglin.access.house import House

    async def run(settings: Settings) -> T:
        house = await House.open(settings, pool_size=3)
        try:
            await _require_tables(house.database)
            return await work(house)
        finally:
            await house.close()

    settings = load()
    with serving(settings) as url:
        return asyncio.run(run(replace(settings, database_url=url)))


async def unknown(database: Database, **named: str | None) -> None:
    """Say which of the resources that somebody named are not there: a slip, or still to be loaded."""
    from xinglin.access.identity.accounts import missing
    from xinglin.cli import console

    for reference in await missing(database, named):
        console.warn(f"There is no {reference} here yet. Check the id, or load it.")


async def _require_tables(database: Database) -> None:
    async with database.connection() as connection:
        if await pending_migrations(connection, MIGRATIONS):
            raise Problem("The database lacks tables of this version.", remedy="Run `xinglin migrate`.")
