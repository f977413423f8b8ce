"""Long work that lets others in: a loop over thousands of things takes a breath between them.

The requests of a process share one event loop; whoever computes without a pause holds up all others.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final, TypeVar

Thing = TypeVar("Thing")

SLICE: Final = 0.004  # seconds of work between two breaths; an answer needs several turns of the loop


async def in_slices(things: Iterable[Thing]) -> AsyncIterator[Thing]:
    """The things one by one, with a turn of the event loop whenever the work on them has taken a slice."""
    until = perf_counter() + SLICE
    for thing in things:
        if perf_counter() > until:
            await asyncio.sleep(0)
            until = perf_counter() + SLICE
        yield thing


@contextmanager
def without_collecting() -> Iterator[None]:
    """Put off the search for garbage while a large request holds hundreds of thousands of values, none of it garbage.

    A pass over all of them stops the process for as long as a hundred small requests take, and they hold one after the
    other. Only who put it off takes it up again, so that large requests that overlap do not put it off for good.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
