"""Statements without their values: what a statement is bound to, worked out from values that come later.

A search is compiled once for all that ask alike: where a value will stand there is a `Slot`, what is made of it is a
`Late`, and a `Template` turns into a statement when the values are there. Compiling with the values themselves gives
the same text and the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

Values = Sequence[Sequence[Any]]
"""What slots are filled from: the query's values, the visibility's, the page's."""
Filler = Callable[[Values], Any]

QUERY: Final = 0
SEEN: Final = 1
PAGE: Final = 2


@dataclass(frozen=True, slots=True)
class Late:
    """The result of a function of values that come later."""

    function: Callable[..., Any]
    arguments: tuple[Any, ...]

    def filler(self) -> Filler:
        """The same as one function of the values."""
        function = self.function
        if len(self.arguments) == 1:
            only = _filler(self.arguments[0])
            return lambda values: function(only(values))
        if len(self.arguments) == 2 and not isinstance(self.arguments[0], Late):
            first, second = self.arguments[0], _filler(self.arguments[1])
            return lambda values: function(first, second(values))
        fillers = [_filler(one) for one in self.arguments]
        return lambda values: function(*[one(values) for one in fillers])


class Slot(Late):
    """The place of one value."""

    __slots__ = ()

    def __init__(self, group: int, place: int) -> None:
        super().__init__(_itself, (group, place))

    @property
    def group(self) -> int:
        group: int = self.arguments[0]
        return group

    def filler(self) -> Filler:
        group, place = self.arguments
        return lambda values: values[group][place]


class Within(Late):
    """An argument of one of several queries that share a statement: their values are a list, in their order."""

    __slots__ = ()

    def __init__(self, place: int, argument: Any) -> None:
        super().__init__(_itself, (place, argument))

    def filler(self) -> Filler:
        place, argument = self.arguments
        fill = _filler(argument)
        return lambda values: fill((values[QUERY][place], *values[1:]))


def _itself(*place: int) -> Any:
    raise AssertionError("a slot is filled, not worked out")


def later(function: Callable[..., Any], *arguments: Any) -> Any:
    """The function's result now, or a Late where an argument is one."""
    if any(isinstance(one, Late) for one in arguments):
        return Late(function, arguments)
    return function(*arguments)


Statement = tuple[str, list[object]]


class Template:
    """The text of a statement, and its arguments, of which some come later. `of_query`: places of those (from 0) that
    are worked out from a query's values."""

    def __init__(self, sql: str, arguments: Sequence[object]) -> None:
        self.sql = sql
        self._arguments = arguments
        self._fillers = [_filler(one) for one in arguments]

    @cached_property
    def of_query(self) -> tuple[int, ...]:
        return tuple([place for place, one in enumerate(self._arguments) if _asks(one, QUERY)])

    def given(self, values: Values) -> Statement:
        return self.sql, [fill(values) for fill in self._fillers]

    def given_many(self, queries: Sequence[Sequence[Any]], others: Values) -> list[object]:
        """The arguments for several queries: in the places `of_query` the list of all of theirs."""
        return [
            [fill((values,)) for values in queries] if place in self.of_query else fill(((), *others))
            for place, fill in enumerate(self._fillers)
        ]


def _asks(argument: object, group: int) -> bool:
    """Whether an argument is made of a slot of this group."""
    if isinstance(argument, Slot):
        return argument.group == group
    parts = argument.arguments if isinstance(argument, Late) else argument if isinstance(argument, list) else ()
    return any(_asks(part, group) for part in parts)


def _filler(argument: object) -> Filler:
    if isinstance(argument, Late):
        return argument.filler()
    if isinstance(argument, list) and any(isinstance(one, Late) for one in argument):
        fillers = [_filler(one) for one in argument]
        return lambda values: [fill(values) for fill in fillers]
    return lambda values: argument
