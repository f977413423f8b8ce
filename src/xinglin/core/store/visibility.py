"""What a principal may see, as a predicate that every alias of `resource` or `history` in a statement must carry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Bind = Callable[[object], str]
"""Adds an argument to the statement being built and gives its name, `$n`."""


class Visibility(Protocol):
    """Rules of access compiled to SQL."""

    @property
    def unrestricted(self) -> bool:
        """True where everything may be seen: a count may then be answered from an index alone."""

    def predicate(self, alias: str, bind: Bind) -> str:
        """SQL over the columns of `alias`, a row of `resource`, and over its index rows."""

    def past(self, alias: str, bind: Bind) -> str:
        """The same of a row of `history`, which has no index rows and only the columns type, key, person, custodian,
        category and updated."""


class Unrestricted:
    """Everything is visible: the node itself, and programs of its operator."""

    unrestricted = True

    def predicate(self, alias: str, bind: Bind) -> str:
        return "true"

    def past(self, alias: str, bind: Bind) -> str:
        return "true"


UNRESTRICTED = Unrestricted()


class Arguments:
    """The arguments of one statement, numbered as they are bound."""

    def __init__(self, *values: object) -> None:
        self.values: list[object] = list(values)

    def bind(self, value: object) -> str:
        self.values.append(value)
        return f"${len(self.values)}"
