"""The one way to bring a resource into a statement: `Scope.resource()`, which carries the principal's visibility.

Index tables (token, string, moment, quantity) hold nothing that can be shown; whatever a condition concludes from
them, it concludes about a resource whose alias was made here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xinglin.core.search.slots import QUERY, SEEN, Slot, Template, Within
from xinglin.core.store.visibility import Arguments, Bind, Visibility


@dataclass(frozen=True, slots=True)
class Rule:
    """A visibility without its values: what it says of any alias. Those whose rules read alike share statements."""

    text: str
    values: int
    unrestricted: bool

    def predicate(self, alias: str, bind: Bind) -> str:
        text = self.text
        for place in range(self.values):
            text = text.replace(_mark(place), bind(Slot(SEEN, place)))
        return text.replace(_ALIAS, alias)

    def past(self, alias: str, bind: Bind) -> str:
        raise AssertionError("a search looks at no history")


_ALIAS = "\x01"


def _mark(place: int) -> str:
    return f"\x02{place}\x02"


def ruled(visibility: Visibility) -> tuple[Rule, tuple[Any, ...]]:
    """The rule of a visibility, and the values that the visibility binds in it, in their order."""
    if visibility.unrestricted:
        return UNRULED, ()
    values: list[Any] = []

    def noted(value: object) -> str:
        values.append(value)
        return _mark(len(values) - 1)

    text = visibility.predicate(_ALIAS, noted)
    return Rule(text, len(values), False), tuple(values)


UNRULED = Rule("true", 0, True)


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for a row of `resource`, and the predicate that must stand wherever the name is introduced."""

    name: str
    guard: str


class Scope:
    """One statement being built: its arguments, its aliases, who is asking.

    The arguments may be slots (`template`): those of a Rule, each bound once however many aliases carry it, and those
    of a query's shape.
    """

    def __init__(self, visibility: Visibility, now: int) -> None:
        self.arguments = Arguments()
        self.visibility = visibility
        self.now = now
        self._aliases = 0
        self._shared: dict[Slot, str] = {}
        self.part: int | None = None  # which of several queries is being built, where they share the statement

    def bind(self, value: object) -> str:
        """`$n` for an argument."""
        if not isinstance(value, Slot) or value.group == QUERY:
            return self.arguments.bind(value if self.part is None else Within(self.part, value))
        name = self._shared.get(value)
        if name is None:
            name = self._shared[value] = self.arguments.bind(value)
        return name

    def template(self, sql: str) -> Template:
        """The statement that was built."""
        return Template(sql, self.arguments.values)

    def resource(self) -> Alias:
        """A new alias of `resource`: current versions that the principal may see."""
        name = self.row("r")
        seen = "" if self.visibility.unrestricted else f" AND {self.visibility.predicate(name, self.bind)}"
        return Alias(name, f"NOT {name}.deleted{seen}")

    def row(self, letter: str) -> str:
        """A new alias of an index table."""
        self._aliases += 1
        return f"{letter}{self._aliases}"
