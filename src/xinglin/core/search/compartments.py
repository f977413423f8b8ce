# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""All of a compartment at once: one scan of the reference rows that point to its subject, whatever type they are of.

A reference row's hash is made of a path, which is of one type, and of its target. So the paths of all the types that
are wanted, each with the subject, are all there is to look for; and the subject itself, where its type is wanted.
"""

from __future__ import annotations

from functools import lru_cache

from xinglin.core.schema.definitions import compartment
from xinglin.core.search.compiled import Compiled, Person
from xinglin.core.search.parameters import REGISTRY, Registry
from xinglin.core.search.query import Query
from xinglin.core.search.scope import Scope
from xinglin.core.store.keys import reference_key


def members(query: Query) -> Compiled:
    """What the query's compartment holds of the types of its branches."""
    assert query.within is not None
    name, id = query.within
    subject = reference_key(f"{name}/{id}")
    paths = [path for branch in query.branches for path in _paths(REGISTRY, REGISTRY.revision, name, branch.type)]
    hashes = [path ^ subject for path in paths]
    itself = [subject] if any(branch.type == name for branch in query.branches) else []

    def source(scope: Scope, person: Person) -> str:
        k = scope.row("k")
        return (
            f"SELECT {k}.key FROM token {k} WHERE {k}.hash = ANY({scope.bind(hashes)}::bigint[])"
            f" UNION ALL SELECT unnest({scope.bind(itself)}::bigint[])"
        )

    def probe(scope: Scope, r: str) -> str:
        return f"({r}.key IN ({source(scope, None)}))"

    return Compiled(probe, source, rank=0, name=f"{name}/*")


@lru_cache(maxsize=1024)
def _paths(registry: Registry, revision: int, name: str, type_name: str) -> tuple[int, ...]:
    """The paths by which a resource of a type belongs to a compartment."""
    found = [registry.get(type_name, code) for code in compartment(name).get(type_name, ())]
    return tuple(
        [
            path.hash
            for parameter in found
            if parameter is not None
            for path in parameter.paths
            if path.restriction in (None, name)
        ]
    )
