"""The state of one evaluation: what `$this`, `%resource` and the clock are, and how much work is left."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

from .environment import MAX_TEXT, Environment
from .errors import PathTooCostly
from .items import Item


class World:
    """One per evaluation. `context` is the item the expression was called on."""

    __slots__ = ("context", "environment", "moment", "patterns", "steps")

    def __init__(self, environment: Environment, context: Item) -> None:
        self.environment = environment
        self.context = context
        self.steps = environment.max_steps
        self.moment: datetime | None = environment.now
        self.patterns: set[Any] = set()

    def spend(self, steps: int) -> None:
        """Count work that grows with the data. Raises PathTooCostly beyond the bound."""
        self.steps -= steps
        if self.steps < 0:
            raise PathTooCostly(
                f"the evaluation took more than {self.environment.max_steps} steps",
                remedy="Narrow the expression or the data.",
            )

    def text(self, value: str) -> str:
        """`value`, if it is not longer than a string may grow."""
        self.room(len(value))
        return value

    def room(self, length: int) -> None:
        """Count a string of this length before it is made."""
        if length > MAX_TEXT:
            raise PathTooCostly(f"a string grew beyond {MAX_TEXT} characters")
        self.spend(1 + length // 100)

    def now(self) -> datetime:
        """The same moment throughout the evaluation."""
        if self.moment is None:
            self.moment = datetime.now(UTC)
        return self.moment


class Frame:
    """The scope of a closure: `this` is the focus, `index` its place, `total` what aggregate() has gathered.

    `names` are the variables of defineVariable() that are in scope; None where there is none.
    """

    __slots__ = ("index", "names", "this", "total", "world")

    def __init__(
        self, this: list[Item], index: int, total: list[Item], world: World, names: dict[str, list[Item]] | None = None
    ) -> None:
        self.this = this
        self.index = index
        self.total = total
        self.world = world
        self.names = names


Run: TypeAlias = Callable[[Frame], list[Item]]
"""A compiled expression. The list it returns is never changed in place."""
