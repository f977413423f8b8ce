"""Search parameters posted at run time: registered by every process, indexed for existing data by a job.

    written    checked and noted in `custom_parameter` in the write's transaction, with a job; all processes are told
    registered each process reads the table when told, and before any write more than FRESH seconds after it last did:
               from then on what it writes is indexed at once
    indexed    the job waits until no process can write without it, then goes through what was written before
    ready      searches use it; until then they set it aside, or refuse it under handling=strict

A registration has a number, which is part of its rows' hashes: rows of an earlier one are never found, only garbage,
which another job removes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from time import monotonic
from typing import Any, Final

import asyncpg
import orjson

from xinglin.access.principal import NODE
from xinglin.core.schema.definitions import SearchParameterDef
from xinglin.core.search.custom import Difference, definition_of, numbered
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.store.keys import TYPE_NUMBERS
from xinglin.core.store.reindex import START, reindex
from xinglin.kernel import clock, jobs
from xinglin.kernel.database import Connection, Database, quiet_since
from xinglin.kernel.errors import Conflict
from xinglin.kernel.jobs import Handler, Running

CHANNEL: Final = "xinglin_parameters"  # NOTIFY: read the table again
FRESH: Final = 2.0  # seconds that a process may go on writing without looking
SLACK: Final = 1.0
LISTEN_AGAIN: Final = 1.0
PATIENCE: Final = 3600.0  # seconds to wait for transactions that began before every process knew
INDEX: Final = "index-parameter"
FORGET: Final = "forget-parameter"

_known = -1.0  # number of the table's state that REGISTRY stands at
_looked = float("-inf")


async def parameter_changed(connection: Connection, key: int, resource: dict[str, Any] | None) -> None:
    """Note a SearchParameter that was written, or deleted (None). Raises Unprocessable that names the place."""
    definition = definition_of(resource) if resource else None
    known = await connection.fetchrow("SELECT * FROM custom_parameter WHERE key = $1 FOR UPDATE", key)
    if known is not None:
        before = _definition(known)
        if definition is not None and numbered(definition, before.generation) == before:
            return
        await connection.execute("DELETE FROM custom_parameter WHERE key = $1", key)
        await jobs.submit(connection, FORGET, NODE.login, asdict(before))
    if definition is not None:
        await _register(connection, key, definition)
    if known is not None or definition is not None:
        await _tell(connection)


async def _register(connection: Connection, key: int, definition: SearchParameterDef) -> None:
    others = [_definition(row) for row in await connection.fetch("SELECT * FROM custom_parameter")]
    for other in others:
        if other.url == definition.url or (other.code == definition.code and set(other.bases) & set(definition.bases)):
            raise Conflict(
                f"Another SearchParameter ({other.url}) has this url, or this code for the same type.",
                expression="SearchParameter.code",
                remedy="Change that one, or choose another url and code.",
            )
    generation = await connection.fetchval(
        "INSERT INTO custom_parameter (url, key, definition) VALUES ($1, $2, $3::jsonb) RETURNING generation",
        *(definition.url, key, orjson.dumps(asdict(definition)).decode()),
    )
    await jobs.submit(connection, INDEX, NODE.login, asdict(numbered(definition, generation)))


async def _tell(connection: Connection) -> None:
    await connection.execute("UPDATE custom_parameter_state SET number = number + 1")
    await connection.execute("SELECT pg_notify($1, '')", CHANNEL)


def _definition(row: Any) -> SearchParameterDef:
    return _of(orjson.loads(row["definition"]) | {"generation": row["generation"]})


def _of(values: Mapping[str, Any]) -> SearchParameterDef:
    """A definition out of JSON, which knows no tuples."""
    given: dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in values.items()}
    return SearchParameterDef(**given)


# every process -----------------------------------------------------------------------------------------------------


async def refresh(connection: Connection) -> None:
    """Bring this process's registry to what the table says."""
    global _known, _looked
    looked = monotonic()
    number = await connection.fetchval("SELECT number FROM custom_parameter_state")
    rows = await connection.fetch("SELECT * FROM custom_parameter ORDER BY generation")
    wanted = {row["url"]: (_definition(row), row["ready"]) for row in rows}
    pending = REGISTRY.pending()
    for url in [*REGISTRY.custom]:
        if url not in wanted:
            REGISTRY.remove(url)
    for url, (definition, ready) in wanted.items():
        if REGISTRY.custom.get(url) != definition or (url in pending) == ready:
            REGISTRY.register(definition, ready=ready)
    _known, _looked = number, looked


async def stay_fresh(connection: Connection) -> None:
    """Called inside every transaction that writes, before anything is extracted."""
    global _looked
    if monotonic() - _looked < FRESH:
        return
    looked = monotonic()
    if await connection.fetchval("SELECT number FROM custom_parameter_state") != _known:
        await refresh(connection)
    _looked = looked


async def follow(database: Database) -> None:
    """Until cancelled: bring the registry up to date whenever a change is told; listen again when that broke off."""
    while True:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            async with database.connection() as connection:
                await _listen(connection)
        await asyncio.sleep(LISTEN_AGAIN)


async def _listen(connection: Connection) -> None:
    told = asyncio.Event()

    def tell(*_: Any) -> None:
        told.set()

    await connection.add_listener(CHANNEL, tell)
    connection.add_termination_listener(tell)
    try:
        while True:
            await refresh(connection)
            await told.wait()
            told.clear()
    finally:
        if not connection.is_closed():
            connection.remove_termination_listener(tell)
            await connection.remove_listener(CHANNEL, tell)


# the jobs ----------------------------------------------------------------------------------------------------------


def handlers(database: Database) -> Mapping[str, Handler]:
    return {INDEX: partial(_carry, database, True), FORGET: partial(_carry, database, False)}


async def _carry(database: Database, adding: bool, running: Running) -> None:
    """Go through what was written before every process knew. progress: `until`, `type` at work, `place`, `count`."""
    definition = _of(running.job.arguments)
    difference = Difference(definition)
    if "until" not in running.progress:
        running.progress = {"until": await _all_know(database), "type": 0, "place": list(START), "count": 0}
    while running.progress["type"] < len(difference.types):
        async with database.transaction() as connection:
            if adding and not await _stands(connection, definition):
                return
            await _batch(connection, difference, adding, running)
            await running.save(connection)
    if adding:
        async with database.transaction() as connection:
            await connection.execute(
                "UPDATE custom_parameter SET ready = true WHERE url = $1 AND generation = $2",
                *(definition.url, definition.generation),
            )
            await _tell(connection)


async def _all_know(database: Database) -> int:
    """Wait until no process writes without the registration; the moment before which data needs the job."""
    await asyncio.sleep(FRESH + SLACK)  # from now, not from `created`: that is when the write began, not its commit
    until = clock.micros(clock.now())
    await quiet_since(database, until, PATIENCE)
    return until


async def _stands(connection: Connection, definition: SearchParameterDef) -> bool:
    """Whether it is still registered; it stays so until this transaction ends."""
    sql = "SELECT 1 FROM custom_parameter WHERE url = $1 AND generation = $2 FOR SHARE"
    return bool(await connection.fetchval(sql, definition.url, definition.generation))


async def _batch(connection: Connection, difference: Difference, adding: bool, running: Running) -> None:
    progress = running.progress
    number = TYPE_NUMBERS[difference.types[progress["type"]]]
    updated, key = progress["place"]
    place, count = await reindex(connection, number, progress["until"], (updated, key), difference, adding=adding)
    progress["count"] += count
    if place is None:
        progress |= {"type": progress["type"] + 1, "place": list(START)}
    else:
        progress["place"] = list(place)
