"""Worker processes: each with its own event loop, connections and gate, fed with units over a pipe.

The parent reads and hands out; at most two units wait at a worker, and never more than IN_FLIGHT bytes in all, so
memory does not depend on the input. A worker whose parent dies sees its pipe close and ends.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import asyncpg

from xinglin.cli.loading.sources import Unit
from xinglin.exchange.loading.report import Refusal, Report
from xinglin.kernel.config import Settings
from xinglin.kernel.errors import Problem

WAITING = 2
IN_FLIGHT = 32 << 20


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    sizes: list[int]  # of the units it holds, oldest first


class Pool:
    """Hands units to workers and yields their reports as they come."""

    def __init__(self, workers: list[_Worker]) -> None:
        self.workers = workers

    def run(self, units: Iterable[Unit | Refusal]) -> Iterator[Report]:
        """A report per unit, in the order they are done."""
        for unit in units:
            if isinstance(unit, Refusal):
                report = Report()
                report.refuse([unit], 0)
                yield report
                continue
            size = unit.size
            while not (worker := self._free(size)):
                yield from self._reports()
            worker.sizes.append(size)
            try:
                worker.pipe.send(unit)
            except OSError:
                yield _received(worker)  # it ended: its last word says why
        while self._busy():
            yield from self._reports()

    def _free(self, size: int) -> _Worker | None:
        held = sum(sum(worker.sizes) for worker in self.workers)
        if held and held + size > IN_FLIGHT:
            return None
        worker = min(self.workers, key=lambda one: len(one.sizes))
        return worker if len(worker.sizes) < WAITING else None

    def _busy(self) -> dict[Connection, _Worker]:
        return {worker.pipe: worker for worker in self.workers if worker.sizes}

    def _reports(self) -> Iterator[Report]:
        busy = self._busy()
        for pipe in wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            worker.sizes.pop(0)
            yield _received(worker)


def _received(worker: _Worker) -> Report:
    """The next report of a worker; raises what it ended with."""
    try:
        result = worker.pipe.recv()
    except (EOFError, ConnectionResetError) as error:
        raise Problem(
            "A worker process ended unexpectedly; the bundle it worked on was not stored.",
            remedy="If memory ran out, use fewer --workers. Then run the same command again: it goes on.",
        ) from error
    if isinstance(result, Exception):
        raise result
    assert isinstance(result, Report)
    return result


@contextmanager
def pool(settings: Settings, count: int, names: dict[str, str]) -> Iterator[Pool]:
    """Workers on the database that `settings` name, running while inside.

    On the way out they end, in the middle of a transaction if need be: the database undoes it.
    """
    context = multiprocessing.get_context("spawn")
    workers: list[_Worker] = []
    try:
        for _ in range(count):
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(settings, names, theirs), daemon=True, name="xinglin-load")
            with _without_ctrl_c():
                process.start()
            theirs.close()
            workers.append(_Worker(process, ours, []))
        yield Pool(workers)
    finally:
        for worker in workers:
            worker.pipe.close()
            if worker.sizes:
                worker.process.terminate()
        for worker in workers:
            worker.process.join(10)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """What is started inside never hears Ctrl-C, not even before its first line; ours comes when the block ends."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _work(settings: Settings, names: dict[str, str], pipe: Connection) -> None:
    """A worker's life: until the parent closes the pipe."""
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # a lost connection is told once, by us
    try:
        asyncio.run(_serve(settings, names, pipe))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except Exception as error:
        if os.environ.get("XINGLIN_DEBUG"):
            traceback.print_exc()
        _tell(pipe, error)


async def _serve(settings: Settings, names: dict[str, str], pipe: Connection) -> None:
    from xinglin.exchange.loading.storing import Storing  # imports the engine: only workers need it

    gc.freeze()
    gc.set_threshold(100_000, 20, 100)  # trees of parsed values without cycles: a tenth of the time went into looking
    async with Storing.open(settings, names) as storing:
        following = asyncio.create_task(asyncio.to_thread(pipe.recv))
        while True:
            unit = await following
            following = asyncio.create_task(asyncio.to_thread(pipe.recv))  # the next arrives while this is stored
            pipe.send(await storing.store(unit))


def _tell(pipe: Connection, error: Exception) -> None:
    """Hand the parent what went wrong, in a form that travels."""
    known = Problem(f"A worker failed: {type(error).__name__}: {error}")
    if isinstance(error, Problem):
        known = Problem(issues=error.issues)
    elif isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError | OSError):
        known = Problem(f"The database broke off: {error}.", remedy="Once it is back, run the same command again.")
    try:
        pipe.send(known)
    except OSError:
        return
