"""What many ask of the database at the same time, asked in one go.

The first that comes is served at once. Who comes meanwhile waits, and all who wait share the next go: a statement, a
transaction, a flush. So nobody waits for company, and what a go costs is shared the more, the busier the node is. A go
begins after everything it serves was asked for: it sees all that was done before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextlib import suppress
from typing import Final, Generic, TypeVar

Kind = TypeVar("Kind", bound=Hashable)
Wish = TypeVar("Wish")
Given = TypeVar("Given")

MOST: Final = 2000
"""Wishes that one go serves, at most."""


class Together(Generic[Kind, Wish, Given]):
    """serve: answers to wishes of one kind, in their order; what it raises is raised to all whom it serves."""

    def __init__(self, serve: Callable[[Kind, Sequence[Wish]], Awaitable[Sequence[Given]]]) -> None:
        self._serve = serve
        self._waiting: dict[Kind, list[tuple[Wish, asyncio.Future[Given]]]] = {}
        self._going: set[asyncio.Task[None]] = set()

    async def ask(self, kind: Kind, wish: Wish) -> Given:
        """What is given to this wish."""
        future: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.get(kind)
        if waiting is not None:
            waiting.append((wish, future))
        else:
            self._waiting[kind] = [(wish, future)]
            task = asyncio.create_task(self._run(kind))
            self._going.add(task)
            task.add_done_callback(self._going.discard)
        return await future

    async def close(self) -> None:
        """Stop; who still waits is cancelled."""
        for task in list(self._going):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _run(self, kind: Kind) -> None:
        """Serve this kind until nobody waits for it."""
        group: list[tuple[Wish, asyncio.Future[Given]]] = []
        try:
            while self._waiting[kind]:
                group = self._waiting[kind][:MOST]
                del self._waiting[kind][:MOST]
                await self._go(kind, group)
        finally:
            for _, future in [*group, *self._waiting.pop(kind)]:
                future.cancel()  # of those that are served already nothing is left to cancel

    async def _go(self, kind: Kind, group: Sequence[tuple[Wish, asyncio.Future[Given]]]) -> None:
        try:
            given = await self._serve(kind, [wish for wish, _ in group])
        except Exception as error:
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
            return
        for (_, future), one in zip(group, given, strict=True):
            if not future.done():
                future.set_result(one)
