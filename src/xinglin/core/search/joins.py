# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""Chains and `_has`: from one resource to another along a reference, each resource seen through the visibility.

A reference row's hash is `path hash XOR target key`, so that either end can compute it: from a target's key the rows
of those that refer to it, from a Patient (a resource's person) the row that proves the reference. A canonical
reference is joined by the hash of its URL, which a conformance resource keeps in `moment` under CANONICAL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xinglin.core.search.compiled import Compiled, Heads, Person, any_of
from xinglin.core.search.parameters import Parameter, Path, decides_person, sole_person_path
from xinglin.core.search.predicates import at, token_where
from xinglin.core.search.rows import CANONICAL
from xinglin.core.search.scope import Scope
from xinglin.core.store.keys import TYPE_NUMBERS

CHAIN_RANK = 40
CANONICAL_TYPES = frozenset({"canonical", "uri"})
Also = Callable[[Scope, str], str] | None


def chain(parameter: Parameter, target: str, inner: Sequence[Compiled]) -> Compiled:
    """True of what refers by the parameter to a visible resource of type `target` for which all of `inner` holds."""
    paths = [path for path in parameter.paths if path.restriction in (None, target)]
    return any_of([_chain_path(parameter, path, target, inner) for path in paths])


def _chain_path(parameter: Parameter, path: Path, target: str, inner: Sequence[Compiled]) -> Compiled:
    def source(scope: Scope, person: Person) -> str:
        return _referring(scope, path, matching(scope, target, inner, None), person)

    def by_set(scope: Scope, r: str) -> str:
        # targets that nothing drives are all of a type: they are gathered once, not for each person
        person = (lambda: f"{r}.person") if driver else None
        return f"({r}.key IN (SELECT key FROM ({source(scope, person)}) AS {scope.row('c')} OFFSET 0))"

    def by_person(scope: Scope, r: str) -> str:
        t, k = scope.resource(), scope.row("k")
        hashed = f"({scope.bind(path.hash)}::bigint # {r}.person)"
        proof = f"(SELECT true FROM token {k} WHERE {k}.hash = {hashed} AND {at(k, r)} LIMIT 1)"
        return (
            f"(SELECT true FROM resource {t.name} WHERE {t.name}.key = {r}.person AND"
            f" {holds(scope, t.name, t.guard, target, inner)} AND {proof} LIMIT 1)"
        )

    decides = target == "Patient" and decides_person(parameter.type_name, path)
    driver = best(inner)
    probe = by_person if decides else by_set
    if driver is None:
        return Compiled(probe)
    heads = None
    if not path.types & CANONICAL_TYPES:
        heads = Heads(lambda scope: matching(scope, target, inner, None), path.hash, decides)
    gauge = (driver.gauge or driver.source) if heads else None
    return Compiled(probe, source, rank=CHAIN_RANK, gauge=gauge, heads=heads)


def _referring(scope: Scope, path: Path, targets: str, person: Person) -> str:
    """Keys of what refers by a path to any of the targets."""
    g, k = scope.row("g"), scope.row("k")
    own = f" AND {k}.person = {person()}" if person else ""
    hashed = f"({scope.bind(path.hash)}::bigint # {g}.key)"
    if path.types & CANONICAL_TYPES:
        u = scope.row("u")
        targets = (
            f"SELECT key FROM ({targets}) AS {scope.row('h')} UNION ALL SELECT {u}.low FROM ({targets}) AS t"
            f" JOIN moment {u} ON {u}.key = t.key AND {u}.path = {CANONICAL}"
        )
    rows = f"SELECT {k}.key FROM token {k} WHERE {k}.hash = {hashed}{own} OFFSET 0"
    return f"SELECT {k}.key FROM ({targets}) AS {g} CROSS JOIN LATERAL ({rows}) AS {k}"


def matching(
    scope: Scope, type_name: str, parts: Sequence[Compiled], person: Person, column: str = "key", also: Also = None
) -> str:
    """SELECT of one column of the visible resources of a type for which all the parts, and `also`, hold."""
    t = scope.resource()
    further = also(scope, t.name) if also else ""
    driver = best(parts)
    if driver is None or driver.source is None:
        where = holds(scope, t.name, t.guard, type_name, parts)
        return f"SELECT {t.name}.{column} FROM resource {t.name} WHERE {where}{further}"
    s = scope.row("s")
    source = driver.source(scope, person)
    rest = [part for part in parts if part is not driver or not part.exact]
    where = holds(scope, t.name, t.guard, type_name, rest)
    found = (
        f"SELECT {t.name}.{column} FROM resource {t.name} WHERE {t.name}.key = {s}.key AND {where}{further} OFFSET 0"
    )
    keys = f"SELECT DISTINCT key FROM ({source}) AS {scope.row('d')} OFFSET 0"
    return f"SELECT {t.name}.{column} FROM ({keys}) AS {s} CROSS JOIN LATERAL ({found}) AS {t.name}"


def best(parts: Sequence[Compiled]) -> Compiled | None:
    """The part that is likely to leave the fewest."""
    return min((part for part in parts if part.source), key=lambda part: part.rank, default=None)


def holds(scope: Scope, r: str, guard: str, type_name: str, parts: Sequence[Compiled]) -> str:
    """The WHERE of one alias: its type ("*": any), its visibility, and every part."""
    filters = [part.filter(scope, r) for part in parts]
    typed = [] if type_name == "*" else [f"{r}.type = {scope.bind(TYPE_NUMBERS[type_name])}"]
    return " AND ".join([*typed, guard, *filters])


def has(parameter: Parameter, candidate: str, inner: Sequence[Compiled]) -> Compiled:
    """True of a `candidate` to which a visible resource refers by the parameter, all of `inner` holding for it."""
    paths = [path for path in parameter.paths if path.restriction in (None, candidate)]
    return any_of([_has_path(parameter, path, candidate, inner) for path in paths])


def _has_path(parameter: Parameter, path: Path, candidate: str, inner: Sequence[Compiled]) -> Compiled:
    if candidate == "Patient" and decides_person(parameter.type_name, path):
        return _has_person(parameter, path, inner)
    other = parameter.type_name

    def by_reference(scope: Scope, r: str) -> str:
        key = f"(SELECT {r}.key AS key)"
        if path.types & CANONICAL_TYPES:
            urls = f"SELECT low FROM moment WHERE moment.key = {r}.key AND moment.path = {CANONICAL}"
            key = f"(SELECT {r}.key AS key UNION ALL {urls})"
        g, k, o = scope.row("g"), scope.row("k"), scope.resource()
        where = holds(scope, o.name, o.guard, other, inner)
        rows = f"SELECT {k}.key FROM token {k} WHERE {k}.hash = ({scope.bind(path.hash)}::bigint # {g}.key) OFFSET 0"
        seen = f"SELECT true FROM resource {o.name} WHERE {o.name}.key = {k}.key AND {where} OFFSET 0"
        return (
            f"(SELECT true FROM {key} AS {g} CROSS JOIN LATERAL ({rows}) AS {k}"
            f" CROSS JOIN LATERAL ({seen}) AS {scope.row('y')} LIMIT 1)"
        )

    return Compiled(by_reference)


def _has_person(parameter: Parameter, path: Path, inner: Sequence[Compiled]) -> Compiled:
    """The reference decides the person: what refers to a Patient stands under that Patient in every index."""
    other = parameter.type_name
    sole = sole_person_path(other)

    def proof(scope: Scope, o: str) -> str:
        if sole:
            return ""
        k = scope.row("k")
        hashed = f"({scope.bind(path.hash)}::bigint # {o}.person)"
        return f" AND (SELECT true FROM token {k} WHERE {k}.hash = {hashed} AND {at(k, o)} LIMIT 1)"

    def by_person(scope: Scope, r: str) -> str:
        o = scope.resource()
        driver = next((part for part in inner if part.tokens), None)
        rest = [part for part in inner if part is not driver]
        where = holds(scope, o.name, o.guard, other, rest) + proof(scope, o.name)
        if driver is None:
            found = f"FROM resource {o.name} WHERE {o.name}.person = {r}.key AND {where}"
        else:
            k = scope.row("k")
            rows = f"FROM token {k} CROSS JOIN LATERAL (SELECT true FROM resource {o.name} WHERE {o.name}.key = {k}.key"
            found = f"{rows} AND {where} OFFSET 0) AS {o.name} WHERE {token_where(k, driver.tokens, scope)}"
            found += f" AND {k}.person = {r}.key"
        return f"(SELECT true {found} LIMIT 1)"

    def source(scope: Scope, person: Person) -> str:
        p = scope.row("p")
        people = matching(scope, other, inner, person, "person", proof)
        return f"SELECT {p}.person AS key FROM ({people}) AS {p}"

    driver = best(inner)
    if driver is None:
        return Compiled(by_person)
    return Compiled(by_person, source, rank=CHAIN_RANK, gauge=driver.gauge or driver.source)
