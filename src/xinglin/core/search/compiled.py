# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""A condition turned to SQL, in the two forms a plan chooses between: a filter on a resource, a source of keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xinglin.core.search.predicates import TokenRow, at, token_where
from xinglin.core.search.scope import Scope

Filter = Callable[[Scope, str], str]
"""(statement, alias of a resource) -> a boolean expression that PostgreSQL evaluates row by row, by index."""

Person = Callable[[], str] | None
"""Gives SQL for the key of the one person in question; binds it only when called."""

Source = Callable[[Scope, Person], str]
"""(statement, the one person in question) -> SELECT of the column `key`, with duplicates."""

MAX_ORDERED: int = 8
"""Alternatives of a token that are merged in order; beyond that their rows are gathered and sorted."""


@dataclass(frozen=True, slots=True)
class Heads:
    """A chain seen from its targets: SELECT of their keys, and the path by which they are referred to; `person` where
    a target is always the person of what refers to it."""

    targets: Callable[[Scope], str]
    path: int
    person: bool


@dataclass(frozen=True, slots=True)
class Compiled:
    """`source` is None where only a filter is to be had. Where not `exact`, a source gives more than the filter lets
    through. `gauge` gives at least as many rows, more cheaply, for counting. `rank` prefers sources when nothing is
    counted. `tokens` are the rows when all of it is tokens. `early` is true of every token row, which carries its
    resource's date, that may belong to what the filter lets through."""

    filter: Filter
    source: Source | None = None
    exact: bool = True
    rank: int = 50
    tokens: tuple[TokenRow, ...] = ()
    name: str = ""
    gauge: Source | None = None
    heads: Heads | None = None
    early: Filter | None = None


NOTHING = Compiled(lambda scope, r: "false", lambda scope, person: "SELECT 0::bigint AS key WHERE false", rank=0)


def of_tokens(rows: Sequence[TokenRow], rank: int = 10) -> Compiled:
    """Any of some token rows."""
    if not rows:
        return NOTHING
    chosen = tuple(dict.fromkeys(rows))

    def probe(scope: Scope, r: str) -> str:
        k = scope.row("k")
        return f"(SELECT true FROM token {k} WHERE {token_where(k, chosen, scope)} AND {at(k, r)} LIMIT 1)"

    def source(scope: Scope, person: Person) -> str:
        k = scope.row("k")
        own = f" AND {k}.person = {person()}" if person else ""
        return f"SELECT {k}.key FROM token {k} WHERE {token_where(k, chosen, scope)}{own}"

    return Compiled(probe, source, rank=rank, tokens=chosen)


def of_rows(table: str, wheres: Callable[[Scope, str], list[str]], rank: int) -> Compiled:
    """Rows of string, moment or quantity; `wheres` gives the alternatives for an alias."""

    def probe(scope: Scope, r: str) -> str:
        x = scope.row("x")
        any_of = " OR ".join(f"({where})" for where in wheres(scope, x))
        return f"(SELECT true FROM {table} {x} WHERE {x}.key = {r}.key AND ({any_of}) LIMIT 1)"

    def source(scope: Scope, person: Person) -> str:
        x = scope.row("x")
        return " UNION ALL ".join(f"SELECT {x}.key FROM {table} {x} WHERE {where}" for where in wheres(scope, x))

    return Compiled(probe, source, rank=rank)


def only_filter(text: Filter) -> Compiled:
    return Compiled(text)


def any_of(parts: Sequence[Compiled]) -> Compiled:
    """True where any part is."""
    if not parts:
        return NOTHING
    if len(parts) == 1:
        return parts[0]
    if all(part.tokens for part in parts):
        return of_tokens([row for part in parts for row in part.tokens], max(part.rank for part in parts))

    def either(scope: Scope, r: str) -> str:
        return "(" + " OR ".join(part.filter(scope, r) for part in parts) + ")"

    def source(scope: Scope, person: Person) -> str:
        return " UNION ALL ".join(f"({part.source(scope, person)})" for part in parts if part.source)

    complete = all(part.source for part in parts)
    return Compiled(either, source if complete else None, all(p.exact for p in parts), max(p.rank for p in parts))


def all_of(parts: Sequence[Compiled]) -> Compiled:
    """True where every part is; the likeliest part to be rare is the source."""
    if len(parts) == 1:
        return parts[0]
    sources = sorted((part for part in parts if part.source), key=lambda part: part.rank)

    def every(scope: Scope, r: str) -> str:
        return "(" + " AND ".join(part.filter(scope, r) for part in parts) + ")"

    if not sources:
        return Compiled(every)
    return Compiled(every, sources[0].source, False, sources[0].rank)


def negated(part: Compiled) -> Compiled:
    return Compiled(lambda scope, r: f"({part.filter(scope, r)} IS NOT TRUE)")
