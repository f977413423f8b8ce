# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""Which index drives a search, and the statement it becomes. Five shapes, chosen by what is known and by counting:

    keys      the rarest condition's keys gathered, each looked up, the rest filtered, sorted
    ordered   a token's rows in the default order, each looked up and filtered, until a page is full
    heads     the first rows of each target of a chain in the default order, then the first of all of those
    walk      the type's (or one person's) resources in the default order, filtered until a page is full
    sorted    any of these without its limit, ordered by the keys of `_sort`

PostgreSQL's statistics know nothing of hashes, and a prepared statement keeps one plan for every value. So the shape
is written into the statement: LATERAL subqueries with OFFSET 0 are looked up row by row, correlated scalar subqueries
are probes, and what is common or rare is counted beforehand, up to PROBE rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from xinglin.core.search.compiled import MAX_ORDERED, Compiled
from xinglin.core.search.conditions import compile_condition, conjuncts, person_of
from xinglin.core.search.joins import holds
from xinglin.core.search.ordering import Cursor, Ordering, after_default, ordering_of
from xinglin.core.search.predicates import at, token_where
from xinglin.core.search.query import TypeQuery
from xinglin.core.search.scope import Rule, Scope
from xinglin.core.search.slots import PAGE, Slot, Template, later
from xinglin.core.store.keys import NO_DATE, TYPE_NAMES
from xinglin.core.store.rows import Stored

PROBE: Final = 2000
"""A condition that at most this many rows satisfy is gathered whole; a more frequent one is filtered by."""

HEAD: Final = 5
"""What the head of one target of a chain costs, in rows gathered."""

ESTIMATE: Final = 10_000
"""`_total=estimate` counts no further than this."""

MOST_BYTES: Final = 32 << 20
"""Bodies of a page: what would go beyond begins the next one."""

LIMIT: Final = Slot(PAGE, 0)
"""The most rows of a page."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One type's search, compiled: what must hold, whom it is about, in which order, which part drives."""

    type: str
    parts: tuple[Compiled, ...]
    person: int | None
    ordering: Ordering
    rule: Rule
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

    def probe(self) -> Template:
        """How many rows each candidate has at most, counted up to PROBE + 1."""
        scope = Scope(self.rule, self.now)
        counts = []
        for part in self.candidates():
            gauge = part.gauge or part.source
            assert gauge is not None
            rows = f"SELECT FROM ({gauge(scope, None)}) AS {scope.row('s')} LIMIT {PROBE + 1}"
            counts.append(f"(SELECT count(*) FROM ({rows}) AS {scope.row('p')})")
        return scope.template(f"SELECT {', '.join(counts)}")

    def page(self, cursor: Cursor | None, *, heavy: bool = False) -> Template:
        """As many rows after the cursor as LIMIT says: COLUMNS, then the ordering's. A body of more than its share of
        MOST_BYTES is NULL; with `heavy`, one that begins beyond MOST_BYTES: few pages are worth adding up."""
        scope = Scope(self.rule, self.now)
        sql, keys = self.page_in(scope, cursor), len(self.ordering.keys)
        if heavy:
            return scope.template(weighed(sql, keys))
        fits = f"octet_length(body) <= {scope.bind(later(_share, LIMIT))}"
        return scope.template(_bodies_where(fits, sql, keys))

    def page_in(self, scope: Scope, cursor: Cursor | None) -> str:
        """The same as a part of a statement."""
        if self.ordering.by_headline and self.ordered and len(self.driver.tokens) == 1:  # type: ignore[union-attr]
            sql = self._by_token_date(scope, cursor)
        elif self.ordering.custom:
            sql = self._sorted(scope, cursor)
        elif self.driver is not None and self.driver.heads is not None:
            sql = self._headed(scope, cursor)
        elif self.ordered:
            sql = self._ordered(scope, cursor)
        else:
            sql = self._gathered(scope, cursor)
        return f"{sql} LIMIT {scope.bind(LIMIT)}"

    def total(self, limit: int | None) -> Template:
        """The number of matches, counted up to `limit` where one is given."""
        scope = Scope(self.rule, self.now)
        rows = self._counted(scope)
        bounded = f" LIMIT {scope.bind(limit)}" if limit is not None else ""
        return scope.template(f"SELECT count(*) FROM ({rows}{bounded}) AS n")

    def _ordered(self, scope: Scope, cursor: Cursor | None) -> str:
        """One index scan for each token, merged in the default order before anything is looked up."""
        assert self.driver is not None
        k = scope.row("k")
        scans = []
        for place in range(len(self.driver.tokens)):
            t = scope.row("t")
            wheres = self._scan(scope, t, place)
            if cursor:
                wheres.append(after_default(t, cursor, self.person is not None, scope.bind))
            in_order = f"ORDER BY {t}.person, {t}.date DESC, {t}.key OFFSET 0"
            scans.append(
                f"(SELECT {t}.person, {t}.date, {t}.key FROM token {t} WHERE {' AND '.join(wheres)} {in_order})"
            )
        merged = " UNION ALL ".join(scans)
        if len(scans) > 1:
            merged = f"SELECT * FROM ({merged}) AS {scope.row('m')} ORDER BY person, date DESC, key OFFSET 0"
        r, found = self._looked_up(scope, f"{k}.key", scanned=True)
        return (
            f"SELECT {columns(r)} FROM ({merged}) AS {k} CROSS JOIN LATERAL ({found}) AS {r}"
            f" ORDER BY {k}.person, {k}.date DESC, {k}.key"
        )

    def _scan(self, scope: Scope, t: str, place: int) -> list[str]:
        """WHERE of the scan of one of the driver's tokens, without the rows that an earlier one gives. Other tokens
        are asked before anything is looked up."""
        assert self.driver is not None
        wheres = [token_where(t, self.driver.tokens[place : place + 1], scope), *self._own(scope, t)]
        wheres += [part.early(scope, t) for part in self.parts if part.early]
        wheres += [part.filter(scope, t) for part in self._beside()]
        if place:
            e = scope.row("e")
            earlier = token_where(e, self.driver.tokens[:place], scope)
            wheres.append(f"(SELECT true FROM token {e} WHERE {earlier} AND {at(e, t)} LIMIT 1) IS NOT TRUE")
        return wheres

    def _looked_up(self, scope: Scope, key: str, scanned: bool = False) -> tuple[str, str]:
        """(alias, SELECT) of the one resource with a key, where all holds that neither the driver nor its scan says."""
        alias = scope.resource()
        r = alias.name
        beside = self._beside() if scanned else []
        rest = [part for part in self._rest() if part not in beside]
        where = " AND ".join([holds(scope, r, alias.guard, self.type, rest), *self._own(scope, r)])
        return r, f"SELECT {r}.* FROM resource {r} WHERE {r}.key = {key} AND {where} OFFSET 0"

    def _headed(self, scope: Scope, cursor: Cursor | None) -> str:
        """The first rows of each target of a chain, then the first of all of those."""
        assert self.driver is not None and self.driver.heads is not None
        g, k = scope.row("g"), scope.row("k")
        wheres = [f"{k}.hash = ({scope.bind(self.driver.heads.path)}::bigint # {g}.key)", *self._own(scope, k)]
        if cursor:
            wheres.append(after_default(k, cursor, self.person is not None, scope.bind))
        targets = self.driver.heads.targets(scope)
        rows = f"SELECT {k}.key FROM token {k} WHERE {' AND '.join(wheres)} ORDER BY {k}.person, {k}.date DESC, {k}.key"
        r, found = self._looked_up(scope, "h.key")
        head = f"SELECT {columns(r)} FROM ({rows} OFFSET 0) AS h CROSS JOIN LATERAL ({found}) AS {r}"
        head = f"{head} LIMIT {scope.bind(LIMIT)}"
        if self.driver.heads.person:  # a target is a person: in its order, no further than the page
            targets = f"SELECT key FROM ({targets}) AS {scope.row('o')} ORDER BY key OFFSET 0"
            each = f"SELECT q.* FROM ({targets}) AS {g} CROSS JOIN LATERAL ({head}) AS q"
            return f"{each} ORDER BY {g}.key, q.date DESC, q.key"
        each = f"SELECT DISTINCT ON (q.person, q.date, q.key) q.* FROM ({targets}) AS {g}"
        return f"{each} CROSS JOIN LATERAL ({head}) AS q ORDER BY q.person, q.date DESC, q.key"

    def _by_token_date(self, scope: Scope, cursor: Cursor | None) -> str:
        """Ordered by the headline date, which the token's rows carry: sorted before anything is looked up."""
        assert self.driver is not None
        t, k = scope.row("t"), scope.row("k")
        where = " AND ".join(self._scan(scope, t, 0))
        dated = f"SELECT {t}.key, NULLIF({t}.date, {NO_DATE}) AS s0 FROM token {t} WHERE {where}"
        after = f" WHERE {self.ordering.after(cursor, scope.bind)}" if cursor else ""
        rows = f"SELECT * FROM ({dated}) AS {scope.row('d')}{after} ORDER BY {self.ordering.clause()} OFFSET 0"
        r, found = self._looked_up(scope, f"{k}.key", scanned=True)
        return (
            f"SELECT {columns(r)}, {k}.s0 FROM ({rows}) AS {k} CROSS JOIN LATERAL ({found}) AS {r}"
            f" ORDER BY {self.ordering.clause(f'{k}.')}"
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
        if self.driver is None:
            alias = scope.resource()
            r = alias.name
            where = " AND ".join([holds(scope, r, alias.guard, self.type, self._rest()), *self._own(scope, r)])
            return r, f"resource {r} WHERE {where}"
        r, found = self._looked_up(scope, "c.key")
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
        if self.rule.unrestricted and not rest:
            return f"SELECT FROM {keys}"
        r = scope.resource()
        where = holds(scope, r.name, r.guard, self.type, rest)
        return f"SELECT FROM {keys} JOIN resource {r.name} ON {r.name}.key = k.key WHERE {where}"

    def _own(self, scope: Scope, alias: str) -> list[str]:
        return [] if self.person is None else [f"{alias}.person = {scope.bind(self.person)}"]

    def _beside(self) -> list[Compiled]:
        """Parts that are tokens as the driver is: they hold for one of its rows or do not."""
        return [part for part in self.parts if part.tokens and part is not self.driver]

    def _rest(self) -> list[Compiled]:
        return [part for part in self.parts if part is not self.driver or not part.exact]


COLUMNS: Final = ("key", "type", "id", "version", "updated", "body", "custodian", "person", "date")


def columns(r: str) -> str:
    """What is read of a resource; `stored` makes a value of it."""
    return ", ".join(f"{r}.{name}" for name in COLUMNS)


def weighed(sql: str, keys: int = 0) -> str:
    """The rows of a statement in their order, NULL in place of a body once those before it fill MOST_BYTES. How long
    a body is, PostgreSQL knows without reading it."""
    before = "sum(octet_length(body)) OVER (ROWS UNBOUNDED PRECEDING) - octet_length(body)"
    return _bodies_where(f"{before} < {MOST_BYTES}", sql, keys)


def _bodies_where(fits: str, sql: str, keys: int) -> str:
    body = f"CASE WHEN {fits} THEN body END AS body"
    names = [body if name == "body" else name for name in COLUMNS] + [f"s{place}" for place in range(keys)]
    return f"SELECT {', '.join(names)} FROM ({sql}) AS page"


def _share(rows: int) -> int:
    return MOST_BYTES // rows


def stored(row: Sequence[Any]) -> Stored:
    """The resource in a row that starts with `columns`."""
    _, number, identifier, version, updated, body, custodian, person = row[:8]
    return Stored(TYPE_NAMES[number], identifier, version, updated, body, False, person, custodian)


def may_order(part: Compiled) -> bool:
    """True where a part is few enough tokens to be merged in order."""
    return 0 < len(part.tokens) <= MAX_ORDERED


def plan_of(query: TypeQuery, rule: Rule, now: int) -> Plan:
    """The plan of one type's search, or of the shape of one, its driver not yet chosen."""
    flat = [part for condition in query.conditions for part in conjuncts(condition)]
    person = person_of(flat)
    parts = tuple(compile_condition(condition, query.type) for condition in flat)
    return Plan(query.type, parts, person, ordering_of(query.sort, query.alone and person is not None), rule, now)


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
    costs = [count * (HEAD if part.heads else 1) for part, count in zip(found, counts, strict=True)]
    rarest = min(range(len(found)), key=lambda i: (costs[i], found[i].rank))
    if counts[rarest] <= PROBE and costs[rarest] <= PROBE * HEAD // 2:
        return replace(plan, driver=found[rarest])
    tokens = [part for part in found if may_order(part)]
    return replace(plan, driver=min(tokens, key=lambda part: len(part.tokens)) if tokens else None)
