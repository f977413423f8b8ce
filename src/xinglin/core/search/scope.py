"""The one way to bring a resource into a statement: `Scope.resource()`, which carries the principal's visibility.

Index tables (token, string, moment, quantity) hold nothing that can be shown; whatever a condition concludes from
them, it concludes about a resource whose alias was made here.
"""

from __future__ import annotations

from dataclasses import dataclass

from xinglin.core.store.visibility import Arguments, Visibility


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for a row of `resource`, and the predicate that must stand wherever the name is introduced."""

    name: str
    guard: str


class Scope:
    """One statement being built: its arguments, its aliases, who is asking."""

    def __init__(self, visibility: Visibility, now: int) -> None:
        self.arguments = Arguments()
        self.visibility = visibility
        self.now = now
        self._aliases = 0

    def bind(self, value: object) -> str:
        """`$n` for an argument."""
        return self.arguments.bind(value)

    def resource(self) -> Alias:
        """A new alias of `resource`: current versions that the principal may see."""
        name = self.row("r")
        seen = "" if self.visibility.unrestricted else f" AND {self.visibility.predicate(name, self.bind)}"
        return Alias(name, f"NOT {name}.deleted{seen}")

    def row(self, letter: str) -> str:
        """A new alias of an index table."""
        self._aliases += 1
        return f"{letter}{self._aliases}"
