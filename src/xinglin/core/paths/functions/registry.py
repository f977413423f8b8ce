"""How a function of the language is declared: its name, how many arguments, what it takes and gives.

`takes` and `gives` name a System type for the checker and the reference page: "" is any item, "$" the input's own
type, "$n" that of the n-th argument; a `*` after `gives` means a collection.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..errors import PathError
from ..items import Item, Node, system
from ..operators import describe, single
from ..world import Frame, Run, World

Call = Callable[[list[Item], list[Run], Frame], list[Item]]


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    run: Call
    least: int
    most: int
    takes: str
    gives: str
    iterates: bool
    ordered: bool
    summary: str


FUNCTIONS: dict[str, Function] = {}


def function(
    name: str,
    least: int = 0,
    most: int | None = None,
    *,
    takes: str = "",
    gives: str = "",
    iterates: bool = False,
    ordered: bool = False,
) -> Callable[[Call], Call]:
    """Declare `run(items, arguments, frame)`: arguments come unevaluated; `iterates` means $this is each item."""

    def declare(run: Call) -> Call:
        summary = (run.__doc__ or "").strip().split("\n")[0]
        high = least if most is None else most
        FUNCTIONS[name] = Function(name, run, least, high, takes, gives, iterates, ordered, summary)
        return run

    return declare


def one(
    name: str, least: int = 0, most: int | None = None, *, takes: str = "", gives: str = ""
) -> Callable[[Callable[..., Item]], Callable[..., Item]]:
    """Declare `run(world, value, *arguments)` on single System values; an empty input or argument gives empty."""

    def declare(run: Callable[..., Item]) -> Callable[..., Item]:
        def call(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
            value = single(items, name)
            if value is None:
                return []
            _expect(name, value, takes)
            if isinstance(value, str):
                frame.world.spend(len(value) // 1000)
            given = [single(argument(frame), f"an argument of {name}") for argument in arguments]
            if any(one is None for one in given):
                return []
            return answer(run(frame.world, value, *given))

        call.__doc__ = run.__doc__
        function(name, least, most, takes=takes, gives=gives)(call)
        return run

    return declare


def answer(value: Item) -> list[Item]:
    return [] if value is None else value if isinstance(value, list) else [value]


def _expect(name: str, value: Item, takes: str) -> None:
    if takes == "String" and not isinstance(value, str):
        raise PathError(f"{name} takes a String, found {describe(value)}")


def text(name: str, value: Item) -> str:
    if not isinstance(value, str):
        raise PathError(f"{name} takes a String as its argument, found {describe(value)}")
    return value


def whole(name: str, value: Item) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise PathError(f"{name} takes an Integer as its argument, found {describe(value)}")
    return value


def each(items: list[Item], run: Run, frame: Frame) -> list[list[Item]]:
    """`run` on every item as $this, with its $index."""
    world = frame.world
    world.spend(len(items))
    scope = Frame([], 0, frame.total, world, frame.names)
    results = []
    for index, item in enumerate(items):
        scope.this = [item]
        scope.index = index
        results.append(run(scope))
    return results


__all__ = ["FUNCTIONS", "Function", "Node", "World", "answer", "each", "function", "one", "system", "text", "whole"]
