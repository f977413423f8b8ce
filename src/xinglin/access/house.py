"""The house: what all requests of a process share. Built once (app.py, a command), closed once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from xinglin.access.audit import AuditWriter
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Database


@dataclass(slots=True)
class House:
    """Database, audit writer and the node's signing key. Hand it to `Records` with a principal."""

    settings: Settings
    database: Database
    audit: AuditWriter
    signing_key: bytes

    @classmethod
    async def open(cls, settings: Settings, database_url: str | None = None, *, pool_size: int = 12) -> House:
        """Connect to a migrated database."""
        database = await Database.open(
            database_url or settings.database_url, size=pool_size, statement_seconds=settings.statement_seconds
        )
        try:
            key = await _secret(database, "page-token")
        except BaseException:
            await database.close()
            raise
        return cls(settings, database, AuditWriter(database), key)

    async def close(self) -> None:
        await self.audit.close()
        await self.database.close()


async def _secret(database: Database, name: str) -> bytes:
    """A secret that all processes of the node share, made by the first that asks."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO node_secret (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            name,
            secrets.token_bytes(32),
        )
        return bytes(await connection.fetchval("SELECT value FROM node_secret WHERE name = $1", name))
