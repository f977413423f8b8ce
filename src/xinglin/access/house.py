"""The house: what all requests of a process share. Built once (app.py, a command), closed once."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from xinglin.access.audit import AuditWriter
from xinglin.access.categories import use_sensitive
from xinglin.access.creating import Creation, create_together
from xinglin.access.labelling import begin_labels
from xinglin.access.parameters import refresh
from xinglin.access.policy import visibility
from xinglin.access.principal import Principal
from xinglin.access.writing import Outcome
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.search.prepared import Driven
from xinglin.core.search.sharing import Wish, first_pages
from xinglin.core.search.values import use_zone
from xinglin.core.store import read as store
from xinglin.core.store.rows import Stored
from xinglin.core.store.visibility import UNRESTRICTED, Visibility
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Conflict, Problem
from xinglin.kernel.together import Together

Asker = tuple[Principal, bool]
"""Who asks; and whether as the node itself, to which everything is visible."""


def rules(asker: Asker, verb: str) -> Visibility:
    """The asker's rules at this moment for one of SMART's verbs."""
    principal, everything = asker
    return UNRESTRICTED if everything else visibility(principal, clock.micros(clock.now()), verb)


@dataclass(slots=True)
class House:
    """Database, audit writer and the node's signing key. Hand it to `Records` with a principal.

    What one asker waits for at the same time shares a statement, or a transaction. reads: newest versions by (type,
    id). pages: first pages, as many rows as said, of searches that ask alike. creations: small ones.
    """

    settings: Settings
    database: Database
    audit: AuditWriter
    signing_key: bytes
    reads: Together[Asker, tuple[str, str], Stored | None] = field(init=False)
    pages: Together[tuple[Asker, Driven, int], Wish, list[Any]] = field(init=False)

    creations: Together[Asker, Creation, list[Outcome] | Problem | None] = field(init=False)

    def __post_init__(self) -> None:
        self.reads = Together(self._newest)
        self.pages = Together(self._first_pages)
        self.creations = Together(self._created)

    async def _newest(self, asker: Asker, references: Sequence[tuple[str, str]]) -> list[Stored | None]:
        async with self.database.connection() as connection:
            return await store.newest_of(connection, references, rules(asker, "r"))

    async def _first_pages(self, alike: tuple[Asker, Driven, int], wishes: Sequence[Wish]) -> list[list[Any]]:
        _, driven, limit = alike
        async with self.database.connection() as connection:
            return await first_pages(connection, driven, limit, wishes)

    async def _created(self, asker: Asker, wishes: Sequence[Creation]) -> list[list[Outcome] | Problem | None]:
        return await create_together(self.database, asker[0], rules(asker, "r"), wishes)

    @classmethod
    async def open(cls, settings: Settings, database_url: str | None = None, *, pool_size: int = 12) -> House:
        """Connect to a migrated database."""
        use_sensitive(settings.sensitive)
        database = await Database.open(
            database_url or settings.database_url, size=pool_size, statement_seconds=settings.statement_seconds
        )
        try:
            await _hold_to(database, "zone", settings.zone)
            key = await _secret(database, "page-token")
            REGISTRY.stand_at(f"{settings.public_base}/fhir")
            async with database.connection() as connection:
                await begin_labels(connection)
                await refresh(connection)
        except BaseException:
            await database.close()
            raise
        use_zone(ZoneInfo(settings.zone))
        return cls(settings, database, AuditWriter(database), key)

    async def close(self) -> None:
        await self.reads.close()
        await self.pages.close()
        await self.creations.close()
        await self.audit.close()
        await self.database.close()


async def _hold_to(database: Database, name: str, value: str) -> None:
    """Refuse a setting that index rows were made with, where it is another now: they would answer wrongly."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO node_setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING", name, value
        )
        held = await connection.fetchval("SELECT value FROM node_setting WHERE name = $1", name)
    if held != value:
        raise Conflict(
            f"This database was filled with XINGLIN_{name.upper()}={held}, and is opened with {value}.",
            remedy=f"Set XINGLIN_{name.upper()}={held}.",
        )


async def _secret(database: Database, name: str) -> bytes:
    """A secret that all processes of the node share, made by the first that asks."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO node_secret (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            name,
            secrets.token_bytes(32),
        )
        return bytes(await connection.fetchval("SELECT value FROM node_secret WHERE name = $1", name))
