"""`xinglin migrate`: bring the database's tables to this version."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import asyncpg
import typer

from xinglin.cli import console
from xinglin.kernel.database import DatabaseUnavailable, serving
from xinglin.kernel.database import migrate as apply
from xinglin.modules import MIGRATIONS

EXAMPLE = "Example:  XINGLIN_DATABASE_URL=postgresql://xinglin@db/xinglin xinglin migrate"


def migrate(
    home: Annotated[Path | None, typer.Option(help="Folder of the embedded database.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Bring the database's tables to this version. Running it again changes nothing."""
    with serving(console.settings_with(home=home)) as url:
        applied = asyncio.run(bring_up_to_date(url))
    if json:
        console.answer({"applied": applied})
    else:
        console.out.print("\n".join(f"Applied {name}" for name in applied) or "The database is up to date.")


async def bring_up_to_date(url: str) -> list[str]:
    """Apply what the database at `url` lacks; the names of what was applied."""
    try:
        connection = await asyncpg.connect(url)
    except (OSError, asyncpg.PostgresError, ValueError) as error:
        raise DatabaseUnavailable(
            f"The database cannot be reached: {error}.", remedy="Check XINGLIN_DATABASE_URL, or run `xinglin doctor`."
        ) from error
    try:
        return await apply(connection, MIGRATIONS)
    finally:
        await connection.close()
