"""`kernel.together`: what waits at the same time is served in one go, and only by a go that began later."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from xinglin.kernel.together import Together


class Slow:
    """A served thing that remembers its goes; each takes as long as the test lets it."""

    def __init__(self) -> None:
        self.goes: list[tuple[str, list[int]]] = []
        self.gate = asyncio.Event()

    async def serve(self, kind: str, wishes: Sequence[int]) -> list[int]:
        self.goes.append((kind, list(wishes)))
        await self.gate.wait()
        if 13 in wishes:
            raise LookupError("13")
        return [wish * 2 for wish in wishes]


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_the_first_is_served_at_once_and_the_rest_share_the_next_go() -> None:
    slow = Slow()
    together = Together(slow.serve)
    first = asyncio.create_task(together.ask("a", 1))
    await turns()
    rest = [asyncio.create_task(together.ask("a", wish)) for wish in (2, 3, 4)]
    other = asyncio.create_task(together.ask("b", 5))
    await turns()
    assert slow.goes == [
        ("a", [1]),
        ("b", [5]),
    ]  # a go that has begun takes nobody in; kinds do not wait for each other
    slow.gate.set()
    assert await asyncio.gather(first, *rest, other) == [2, 4, 6, 8, 10]
    assert slow.goes[2:] == [("a", [2, 3, 4])]
    assert await together.ask("a", 6) == 12  # and it begins again after a rest


async def test_an_error_meets_those_of_its_go_alone() -> None:
    slow = Slow()
    together = Together(slow.serve)
    first = asyncio.create_task(together.ask("a", 1))
    await turns()
    unlucky = [asyncio.create_task(together.ask("a", wish)) for wish in (12, 13)]
    slow.gate.set()
    assert await first == 2
    assert all(isinstance(one, LookupError) for one in await asyncio.gather(*unlucky, return_exceptions=True))
    assert await together.ask("a", 7) == 14


async def test_who_gives_up_takes_nothing_from_the_others() -> None:
    slow = Slow()
    together = Together(slow.serve)
    tasks = [asyncio.create_task(together.ask("a", wish)) for wish in (1, 2, 3)]
    await turns()
    tasks[1].cancel()
    slow.gate.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert found[0] == 2 and found[2] == 6 and isinstance(found[1], asyncio.CancelledError)


async def test_closing_leaves_nobody_waiting() -> None:
    slow = Slow()
    together = Together(slow.serve)
    served = asyncio.create_task(together.ask("a", 1))
    await turns()
    waiting = asyncio.create_task(together.ask("a", 2))
    await turns()
    await together.close()
    for task in (served, waiting):
        with pytest.raises(asyncio.CancelledError):
            await task
