"""The processes of a running node: web workers and the one that does the background work. None outlives its parent."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import signal
import threading
from functools import partial
from typing import Any

import asyncpg

from xinglin.kernel import jobs, logs
from xinglin.kernel.config import Settings, load
from xinglin.kernel.errors import Problem

BETWEEN_ROUNDS = 2.0  # seconds of rest when the background work finds nothing to do
AFTER_FAILURE = 15.0
BETWEEN_SWEEPS = 3600.0
JOBS_AT_ONCE = 2  # a long one does not hold up all others
AWAY = (Problem, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)  # what a database that is away may raise
GRACE = 5.0  # seconds that an orphan gets to end in order

log = logging.getLogger(__name__)


def application() -> Any:
    """What a web worker runs; granian calls it by name in each worker process."""
    end_with_parent()
    logs.configure()
    from xinglin.app import application as build

    return build()


def end_with_parent() -> None:
    """End this process when its parent is gone, even killed: an orphan would keep the port."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_wait_and_end, args=(parent,), daemon=True, name="end-with-parent").start()


def _wait_and_end(parent: Any) -> None:
    parent.join()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(GRACE)
    os._exit(1)


def background() -> None:
    """Keep up what follows from new records, links between a person's Patients, and work on jobs.

    Settings: the environment. Every step is one transaction, so ending it is safe at any moment.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent decides
    end_with_parent()
    logs.configure()
    asyncio.run(_rounds(load()))


async def _rounds(settings: Settings) -> None:
    from xinglin.access import parameters
    from xinglin.exchange.bulk import background as bulk

    house = await _opened(settings)
    handlers = {**parameters.handlers(house.database), **bulk.handlers(house)}
    working = (jobs.work_on(house.database, handlers, partial(bulk.sweep, house)) for _ in range(JOBS_AT_ONCE))
    await asyncio.gather(_link(house), sequence(house), tidy(house), *working)


async def _opened(settings: Settings) -> Any:
    """The house, as soon as the database answers: a start may fall into its absence."""
    from xinglin.access.records import House

    while True:
        try:
            return await House.open(settings)
        except AWAY as error:
            log.warning("the background work waits: %s", error)
            await asyncio.sleep(BETWEEN_ROUNDS)


async def sequence(house: Any) -> None:
    """Give the access log's lines their places in its tree, and sign heads of it."""
    from xinglin.access.audit import heads, tree

    while True:
        rest = BETWEEN_ROUNDS / 2
        try:
            await tree.catch_up(house.database)
            await heads.sign(house.database, house.settings, every=house.settings.audit_head_seconds)
        except AWAY as error:
            log.warning("the access log's tree does not grow, trying again: %s", error)
            rest = AFTER_FAILURE
        await asyncio.sleep(rest)


async def tidy(house: Any) -> None:
    """Remove sessions, failures, codes and tokens that have run out; seal with today's key what a former one sealed."""
    from xinglin.access.identity import Doorkeeper, sealing

    doorkeeper = Doorkeeper(house.database, session_hours=house.settings.session_hours)
    while True:
        try:
            await doorkeeper.sweep()
            async with house.database.transaction() as connection:
                await sealing.renew(connection, house.settings)
        except AWAY as error:
            log.warning("what has run out is not removed, trying again: %s", error)
        await asyncio.sleep(BETWEEN_SWEEPS)


async def _link(house: Any) -> None:
    from xinglin.access.labelling import complete_labels
    from xinglin.access.persons import catch_up
    from xinglin.access.persons.linking import complete_index

    indexed = labelled = False
    while True:
        try:
            indexed = indexed or await complete_index(house)
            labelled = labelled or await complete_labels(house) >= 0
            done = await catch_up(house)
        except AWAY as error:
            log.warning("background work failed, trying again: %s", error)
            done = 0
        if not done:
            await asyncio.sleep(BETWEEN_ROUNDS)
