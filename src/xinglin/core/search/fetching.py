"""One statement run: its timeout becomes an answer that says which part of the search was too costly."""

from __future__ import annotations

from typing import Any

import asyncpg

from xinglin.kernel.errors import TooCostly


async def fetch(connection: asyncpg.Connection, sql: str, arguments: list[object], part: str) -> list[Any]:
    """The rows. Raises TooCostly, naming the part, where the statement runs into its timeout."""
    try:
        rows: list[Any] = await connection.fetch(sql, *arguments)
    except asyncpg.QueryCanceledError:
        raise TooCostly(
            f"The search took too long at {part}.",
            expression=part,
            remedy="Narrow it: name a patient, a code or a shorter period.",
        ) from None
    return rows
