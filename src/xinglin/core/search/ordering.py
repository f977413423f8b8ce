# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""The order of results, as SQL: the sort keys, and the condition that starts a page after a given row.

The default order is (person, date DESC, key), in which the indexes stand. A `_sort` ends in the resource's key, in the
direction of its last key, so that the order is total and a page can start after any row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xinglin.core.search.jsonpaths import body_texts
from xinglin.core.search.parameters import Parameter
from xinglin.core.search.query import Sort
from xinglin.core.search.scope import Scope
from xinglin.core.store.keys import NO_DATE
from xinglin.core.store.visibility import Bind

Cursor = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Key:
    """One sort key: an expression over an alias of resource, and the SQL type of its values."""

    expression: Callable[[Scope, str], str]
    descending: bool
    nullable: bool
    type: str


@dataclass(frozen=True, slots=True)
class Ordering:
    """The keys of `_sort`, empty for the default order."""

    keys: tuple[Key, ...] = ()
    by_headline: bool = False  # the headline date is the one key

    @property
    def custom(self) -> bool:
        return bool(self.keys)

    @property
    def last_descends(self) -> bool:
        return self.keys[-1].descending

    def columns(self, scope: Scope, r: str) -> list[str]:
        return [f"{key.expression(scope, r)} AS s{place}" for place, key in enumerate(self.keys)]

    def clause(self, table: str = "") -> str:
        """ORDER BY over the columns s0, s1, ... and key of a table ("k.")."""
        parts = [
            f"{table}s{place}{' DESC' if key.descending else ''}{' NULLS LAST' if key.nullable else ''}"
            for place, key in enumerate(self.keys)
        ]
        return ", ".join([*parts, f"{table}key{' DESC' if self.last_descends else ''}"])

    def after(self, cursor: Cursor, bind: Bind) -> str:
        """True of the rows that come after the cursor's: its values of s0, s1, ... and key."""
        ties: list[str] = []
        ways: list[str] = []
        for place, (key, value) in enumerate(zip(self.keys, cursor[:-1], strict=True)):
            column = f"s{place}"
            if value is None:
                ties.append(f"{column} IS NULL")
                continue
            name = f"{bind(value)}::{key.type}"
            later = f"{column} {'<' if key.descending else '>'} {name}"
            if key.nullable:
                later = f"({later} OR {column} IS NULL)"
            ways.append(" AND ".join([*ties, later]))
            ties.append(f"{column} = {name}")
        ways.append(" AND ".join([*ties, f"key {'<' if self.last_descends else '>'} {bind(cursor[-1])}::bigint"]))
        return "(" + " OR ".join(f"({way})" for way in ways) + ")"


DEFAULT: Final = Ordering()


def after_default(k: str, cursor: Cursor, one_person: bool, bind: Bind) -> str:
    """The same for the default order, over the columns of `k`: (person, date, key)."""
    person, date, key = (f"{bind(value)}::bigint" for value in cursor)
    within = f"({k}.date < {date} OR ({k}.date = {date} AND {k}.key > {key}))"
    if one_person:
        return f"{k}.person = {person} AND {k}.date <= {date} AND {within}"
    return f"{k}.person >= {person} AND ({k}.person > {person} OR {within})"


def ordering_of(sorts: Sequence[Sort], one_person: bool) -> Ordering:
    """Newest first of one person is the default order already; not of one and of others' beside it, whose places in
    the order would not compare."""
    if not sorts:
        return DEFAULT
    first = sorts[0].parameter
    if one_person and len(sorts) == 1 and sorts[0].descending and is_headline(first):
        return DEFAULT
    keys = tuple(_key(sort.parameter, sort.descending) for sort in sorts)
    return Ordering(keys, len(sorts) == 1 and is_headline(first))


def is_headline(parameter: Parameter) -> bool:
    return bool(parameter.paths) and all(path.headline for path in parameter.paths)


def _key(parameter: Parameter, descending: bool) -> Key:
    if parameter.code == "_id":
        return Key(lambda scope, r: f"{r}.id", descending, False, 'text COLLATE "C"')
    if parameter.code == "_lastUpdated":
        return Key(lambda scope, r: f"{r}.updated", descending, False, "bigint")
    if is_headline(parameter):
        return Key(lambda scope, r: f"NULLIF({r}.date, {NO_DATE})", descending, True, "bigint")
    choose = "max" if descending else "min"
    table = {"string": "string", "uri": "string", "date": "moment", "number": "quantity", "quantity": "quantity"}
    if parameter.kind in table:
        column, kind = _COLUMNS[table[parameter.kind]]
        hashes = [path.hash for path in parameter.paths]
        return Key(_indexed(table[parameter.kind], column, hashes, choose), descending, True, kind)
    return Key(_in_body(parameter, choose), descending, True, 'text COLLATE "C"')


_COLUMNS: Final = {
    "string": ("x.value", 'text COLLATE "C"'),
    "moment": ("x.low", "bigint"),
    "quantity": ("CASE WHEN x.canonical <> 0 THEN x.canonical_low ELSE x.low END", "double precision"),
}


def _indexed(table: str, column: str, paths: list[int], choose: str) -> Callable[[Scope, str], str]:
    def expression(scope: Scope, r: str) -> str:
        bound = scope.bind(paths)
        return f"(SELECT {choose}({column}) FROM {table} x WHERE x.key = {r}.key AND x.path = ANY({bound}::bigint[]))"

    return expression


def _restricted(type_name: str | None, texts: str) -> str:
    """Of references only those to a type, where the parameter counts no others: written Type/id, at any server."""
    return texts if type_name is None else f"SELECT text FROM ({texts}) AS b WHERE text ~ '(^|/){type_name}[/?]'"


def _in_body(parameter: Parameter, choose: str) -> Callable[[Scope, str], str]:
    """Codes and references are indexed by hash only: their text is asked of the body."""
    below = {"CodeableConcept": ("coding", "code"), "Coding": ("code",), "Identifier": ("value",)}
    below |= {"ContactPoint": ("value",), "Reference": ("reference",)}

    def expression(scope: Scope, r: str) -> str:
        rows = [
            _restricted(path.restriction, body_texts(scope, r, walk, below.get(walk.type, ())))
            for path in parameter.paths
            for walk in path.walks or ()
        ]
        if not rows:
            return "NULL::text"
        return f'(SELECT {choose}(text COLLATE "C") FROM ({" UNION ALL ".join(rows)}) AS x)'

    return expression
