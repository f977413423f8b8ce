# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""Searches compiled once for all that ask alike, and the values of one request put in.

What is remembered: for each shape of query and rule of visibility its plan, and of the plan the statements that were
needed so far. The latest SHAPES are kept; a query without a shape is compiled for itself by the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from xinglin.core.search import plan as plans
from xinglin.core.search.ordering import Cursor
from xinglin.core.search.plan import LIMIT, Plan, chosen, plan_of, settled, weighed
from xinglin.core.search.query import TypeQuery
from xinglin.core.search.scope import Rule, Scope
from xinglin.core.search.slots import Statement, Template

SHAPES: Final = 1024
"""Compiled shapes that a process remembers, some 20 kB each."""


class Driven:
    """A plan whose driver is chosen, with the statements made of it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.name = plan.name
        self._first: Template | None = None
        self._totals: dict[int | None, Template] = {}
        self.shared: str | None = None  # its first page as many may ask for it (sharing.py); "" where they cannot

    def page(self, cursor: Cursor | None, *, heavy: bool = False) -> Template:
        if cursor is not None or heavy:
            return self.plan.page(cursor, heavy=heavy)
        if self._first is None:
            self._first = self.plan.page(None)
        return self._first

    def total(self, limit: int | None) -> Template:
        found = self._totals.get(limit)
        if found is None:
            found = self._totals[limit] = self.plan.total(limit)
        return found


class Prepared:
    """A plan, and what its drivers make of it. `settled` where nothing needs counting."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        ready = settled(plan)
        self.settled = Driven(ready) if ready is not None else None
        self._driven: dict[int, Driven] = {}
        self._probes: dict[int, Template] = {}

    def probe(self) -> Template:
        """Counts the candidates, as far as it matters."""
        found = self._probes.get(plans.PROBE)
        if found is None:
            found = self._probes[plans.PROBE] = self.plan.probe()
        return found

    def chosen(self, counts: Sequence[int]) -> Driven:
        """What the counts make of it."""
        ready = chosen(self.plan, counts)
        place = next((n for n, part in enumerate(self.plan.parts) if part is ready.driver), -1)
        found = self._driven.get(place)
        if found is None:
            found = self._driven[place] = Driven(ready)
        return found


@lru_cache(maxsize=SHAPES)
def prepared(shape: TypeQuery, rule: Rule) -> Prepared:
    """The plan of a shape, of which no value and no time of asking is known."""
    return Prepared(plan_of(shape, rule, 0))


@dataclass(frozen=True, slots=True)
class Ready:
    """One type's search as it runs: its statements, and the values they run with."""

    driven: Driven
    values: tuple[Sequence[Any], Sequence[Any]]

    def page(self, limit: int, cursor: Cursor | None, *, heavy: bool = False) -> Statement:
        return self.driven.page(cursor, heavy=heavy).given((*self.values, (limit,)))

    def total(self, limit: int | None) -> Statement:
        return self.driven.total(limit).given((*self.values, ()))


MOST_TEXT: Final = 12_000
"""Characters of a shared statement: the driver does not keep prepared what is much longer."""


def gathered(ready: Sequence[Ready]) -> list[list[Ready]]:
    """Searches of several types in groups that share a statement: those in the default order, as many as fit."""
    groups: list[list[Ready]] = []
    room = 0
    for one in ready:
        custom = one.driven.plan.ordering.custom
        size = 0 if custom else len(one.driven.page(None).sql)
        if custom or size > room or not groups:
            groups.append([])
            room = MOST_TEXT
        groups[-1].append(one)
        room -= size
    return groups


def together(ready: Sequence[Ready], limit: int, cursor: Cursor | None) -> Statement:
    """The first rows of several types in the default order, by one statement."""
    driven = tuple([one.driven for one in ready])
    if cursor is None and all(one.values[0] for one in ready):
        template = _first_together(driven)
    else:
        template = _together(driven, cursor)
    return template.given(([one.values[0] for one in ready], ready[0].values[1], (limit,)))


@lru_cache(maxsize=128)
def _first_together(driven: tuple[Driven, ...]) -> Template:
    return _together(driven, None)


def _together(driven: tuple[Driven, ...], cursor: Cursor | None) -> Template:
    scope = Scope(driven[0].plan.rule, driven[0].plan.now)
    parts = []
    for scope.part, one in enumerate(driven):
        parts.append(f"({one.plan.page_in(scope, cursor)})")
    every = " UNION ALL ".join(parts)
    sql = f"SELECT * FROM ({every}) AS every ORDER BY person, date DESC, key LIMIT {scope.bind(LIMIT)}"
    return scope.template(weighed(sql))
