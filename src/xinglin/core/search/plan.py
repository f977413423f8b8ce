# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""Which index drives a search, and the statement it becomes. Four shapes, chosen by what is known and by counting:

    keys      the rarest condition's keys gathered, each looked up, the rest filtered, sorted
    ordered   a token's rows in the default order, each looked up and filtered, until a page is full
    walk      the type's (or one person's) resources in the default order, filtered until a page is full
    sorted    any of these without its limit, ordered by the keys of `_sort`

PostgreSQL's statistics know nothing of hashes, and a prepared statement keeps one plan for every value. So the shape
is written into the statement: LATERAL subqueries with OFFSET 0 are looked up row by row, correlated scalar subqueries
are probes, and what is common or rare is counted beforehand, up to PROBE rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from xinglin.core.search.compiled import MAX_ORDERED, Compiled
from xinglin.core.search.conditions import compile_condition, conjuncts, person_of
from xinglin.core.search.joins import holds
from xinglin.core.search.ordering import Cursor, Ordering, after_default, ordering_of
from xinglin.core.search.predicates import at, token_where
from xinglin.core.search.query import TypeQuery
from xinglin.core.search.scope import Scope
from xinglin.core.store.visibility import Visibility

PROBE: Final = 2000
"""A condition that at most this many rows satisfy is gathered whole; a more frequent one is filtered by."""

ESTIMATE: Final = 10_000
"""`_total=estimate` counts no further than this."""

Statement = tuple[str, list[object]]


@dataclass(frozen=True, slots=True)
class Plan:
    """One type's search, compiled: what must hold, whom it is about, in which order, which part drives."""

    type: str
    parts: tuple[Compiled, ...]
    person: int | None
    ordering: Ordering
    visibility: Visibility
    now: int
    driver: Compiled | None = None

    @property
    def name(self) -> str:
        """What to name when it proves too costly."""
        costly = [part.name for part in self.parts if part.name and part is not self.driver]
        return ", ".join(dict.fromkeys(costly)) or (self.driver.name if self.driver else self.type)

    def candidates(self) -> list[Compiled]:
        """The parts that could drive."""
        return [part for part in self.parts if part.source is not None]

    @property
    def ordered(self) -> bool:
        return self.driver is not None and may_order(self.driver)

    # statements ----------------------------------------------------------------------------------

    def probe(self) -> Statement:
        """How many rows each candidate has, up to PROBE + 1."""
        scope = Scope(self.visibility, self.now)
        counts = []
        for part in self.candidates():
            assert part.source is not None
            rows = f"SELECT FROM ({part.source(scope, None)}) AS {scope.row('s')} LIMIT {PROBE + 1}"
            counts.append(f"(SELECT count(*) FROM ({rows}) AS {scope.row('p')})")
        return f"SELECT {', '.join(counts)}", scope.arguments.values

    def page(self, limit: int, cursor: Cursor | None) -> Statement:
        """At most `limit` rows after the cursor: key, type, id, version, updated, body, then the ordering's columns."""
        scope = Scope(self.visibility, self.now)
        if self.ordering.custom:
            sql = self._sorted(scope, cursor)
        elif self.ordered:
            sql = self._ordered(scope, cursor)
        else:
            sql = self._gathered(scope, cursor)
        return f"{sql} LIMIT {scope.bind(limit)}", scope.arguments.values

    def total(self, limit: int | None) -> Statement:
        """The number of matches, counted up to `limit` where one is given."""
        scope = Scope(self.visibility, self.now)
        rows = self._counted(scope)
        bounded = f" LIMIT {scope.bind(limit)}" if limit is not None else ""
        return f"SELECT count(*) FROM ({rows}{bounded}) AS n", scope.arguments.values

    def _ordered(self, scope: Scope, cursor: Cursor | None) -> str:
        """One index scan for each token, merged in the default order."""
        assert self.driver is not None
        r, k = scope.resource(), scope.row("k")
        scans = []
        for place, row in enumerate(self.driver.tokens):
            t = scope.row("t")
            wheres = [token_where(t, [row], scope), *self._own(scope, t)]
            if cursor:
                wheres.append(after_default(t, cursor, self.person is not None, scope.bind))
            if place:  # a row that an earlier scan has given already
                e = scope.row("e")
                earlier = token_where(e, self.driver.tokens[:place], scope)
                wheres.append(f"(SELECT true FROM token {e} WHERE {earlier} AND {at(e, t)} LIMIT 1) IS NOT TRUE")
            scans.append(f"SELECT {t}.person, {t}.date, {t}.key FROM token {t} WHERE {' AND '.join(wheres)}")
        where = holds(scope, r.name, r.guard, self.type, self._rest())
        found = f"SELECT {r.name}.* FROM resource {r.name} WHERE {r.name}.key = {k}.key AND {where} OFFSET 0"
        merged = f"({' UNION ALL '.join(scans)}) AS {k}"
        return (
            f"SELECT {columns(r.name)} FROM {merged} CROSS JOIN LATERAL ({found}) AS {r.name}"
            f" ORDER BY {k}.person, {k}.date DESC, {k}.key"
        )

    def _gathered(self, scope: Scope, cursor: Cursor | None) -> str:
        r, rows = self._rows(scope)
        after = f" AND {after_default(r, cursor, self.person is not None, scope.bind)}" if cursor else ""
        return f"SELECT {columns(r)} FROM {rows}{after} ORDER BY {r}.person, {r}.date DESC, {r}.key"

    def _sorted(self, scope: Scope, cursor: Cursor | None) -> str:
        r, rows = self._rows(scope)
        keys = ", ".join(self.ordering.columns(scope, r))
        after = f" WHERE {self.ordering.after(cursor, scope.bind)}" if cursor else ""
        return f"SELECT * FROM (SELECT {columns(r)}, {keys} FROM {rows}) AS q{after} ORDER BY {self.ordering.clause()}"

    def _rows(self, scope: Scope) -> tuple[str, str]:
        """(alias of resource, FROM and WHERE) of all matches: the driver's keys looked up, or a walk."""
        alias = scope.resource()
        r = alias.name
        where = " AND ".join([holds(scope, r, alias.guard, self.type, self._rest()), *self._own(scope, r)])
        if self.driver is None:
            return r, f"resource {r} WHERE {where}"
        found = f"SELECT {r}.* FROM resource {r} WHERE {r}.key = c.key AND {where} OFFSET 0"
        return r, f"({self._keys(scope)} OFFSET 0) AS c CROSS JOIN LATERAL ({found}) AS {r} WHERE true"

    def _keys(self, scope: Scope) -> str:
        assert self.driver is not None and self.driver.source is not None
        person = None if self.person is None else (lambda: f"{scope.bind(self.person)}::bigint")
        return f"SELECT DISTINCT key FROM ({self.driver.source(scope, person)}) AS {scope.row('s')}"

    def _counted(self, scope: Scope) -> str:
        """Rows to count. A frequent token's resources are joined as PostgreSQL sees fit, or not at all where the
        index alone knows: one token asked, everything visible."""
        if self.driver is None or not self.ordered:
            return f"SELECT FROM {self._rows(scope)[1]}"
        if len(self.driver.tokens) > 1:
            keys = f"({self._keys(scope)}) AS k"
        else:
            wheres = [token_where("t", self.driver.tokens, scope), *self._own(scope, "t")]
            keys = f"(SELECT t.key FROM token t WHERE {' AND '.join(wheres)}) AS k"
        rest = self._rest()
        if self.visibility.unrestricted and not rest:
            return f"SELECT FROM {keys}"
        r = scope.resource()
        where = holds(scope, r.name, r.guard, self.type, rest)
        return f"SELECT FROM {keys} JOIN resource {r.name} ON {r.name}.key = k.key WHERE {where}"

    def _own(self, scope: Scope, alias: str) -> list[str]:
        return [] if self.person is None else [f"{alias}.person = {scope.bind(self.person)}"]

    def _rest(self) -> list[Compiled]:
        return [part for part in self.parts if part is not self.driver or not part.exact]


def columns(r: str) -> str:
    return ", ".join(
        f"{r}.{name}" for name in ("key", "type", "id", "version", "updated", "body", "custodian", "person", "date")
    )


def may_order(part: Compiled) -> bool:
    """True where a part is few enough tokens to be merged in order."""
    return 0 < len(part.tokens) <= MAX_ORDERED


def plan_of(query: TypeQuery, visibility: Visibility, now: int) -> Plan:
    """The plan of one type's search, its driver not yet chosen."""
    flat = [part for condition in query.conditions for part in conjuncts(condition)]
    person = person_of(flat)
    parts = tuple(compile_condition(condition, query.type) for condition in flat)
    return Plan(query.type, parts, person, ordering_of(query.sort, person is not None), visibility, now)


def settled(plan: Plan) -> Plan | None:
    """The plan with its driver where nothing needs counting, else None."""
    found = plan.candidates()
    known = [part for part in found if part.rank == 0]
    if known or not found:
        return replace(plan, driver=known[0] if known else None)
    tokens = [part for part in found if may_order(part)]
    if plan.person is not None:
        codes = [part for part in tokens if part.rank == 10] or tokens
        return replace(plan, driver=codes[0] if codes else None)
    return replace(plan, driver=tokens[0]) if len(found) == 1 and tokens else None


def chosen(plan: Plan, counts: Sequence[int]) -> Plan:
    """The plan driven by the rarest candidate, or where all are frequent by a token's order, or by a walk."""
    found = plan.candidates()
    rarest = min(range(len(found)), key=lambda i: (counts[i], found[i].rank))
    if counts[rarest] <= PROBE:
        return replace(plan, driver=found[rarest])
    tokens = [part for part in found if may_order(part)]
    return replace(plan, driver=min(tokens, key=lambda part: len(part.tokens)) if tokens else None)
