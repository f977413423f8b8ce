# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""`_include` and `_revinclude`: what the matches refer to, and what refers to them, seen through the visibility."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg
import orjson

from xinglin.core.schema.definitions import resource_types
from xinglin.core.search.extract import references
from xinglin.core.search.fetching import fetch
from xinglin.core.search.parameters import REGISTRY, Parameter
from xinglin.core.search.plan import MOST_BYTES, columns, stored, weighed
from xinglin.core.search.query import Include
from xinglin.core.search.references import reference_hashes, typed
from xinglin.core.search.rows import CANONICAL
from xinglin.core.search.scope import Scope
from xinglin.core.search.texts import targets_of
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.rows import Stored
from xinglin.core.store.visibility import Visibility
from xinglin.kernel.errors import Issue

MAX_INCLUDED: Final = 5000
MAX_ROUNDS: Final = 10
CUT = Issue(
    "incomplete",
    f"More than {MAX_INCLUDED} resources, or {MOST_BYTES >> 20} MiB of them, would be included.",
    "_include",
    "warning",
)


async def included(
    connection: asyncpg.Connection,
    includes: Sequence[Include],
    matches: Sequence[Stored],
    visibility: Visibility,
    now: int,
) -> tuple[list[Stored], tuple[Issue, ...]]:
    """Resources beside the matches, each once. `:iterate` goes on from what was included, until nothing is new."""
    if not includes:
        return [], ()
    walker = _Walker(connection, visibility, now, {key_of(m.type, m.id) for m in matches})
    fresh: Sequence[Stored] = matches
    for round_number in range(MAX_ROUNDS):
        active = [include for include in includes if include.iterate or round_number == 0]
        fresh = await walker.round(active, fresh)
        if not fresh or walker.full:
            break
    return walker.found[:MAX_INCLUDED], (CUT,) if walker.full else ()


class _Walker:
    def __init__(self, connection: asyncpg.Connection, visibility: Visibility, now: int, seen: set[int]) -> None:
        self.connection, self.visibility, self.now = connection, visibility, now
        self.seen = seen
        self.found: list[Stored] = []
        self.size = 0  # bytes

    @property
    def full(self) -> bool:
        return len(self.found) > MAX_INCLUDED or self.size > MOST_BYTES

    async def round(self, includes: Sequence[Include], around: Sequence[Stored]) -> list[Stored]:
        """What the includes add to these resources, in one statement each way."""
        forward = [include for include in includes if not include.reverse]
        backward = [include for include in includes if include.reverse]
        rows = await self._by_keys(self._targets(forward, around)) if forward else []
        rows += await self._by_hashes(self._hashes(backward, around)) if backward else []
        fresh = []
        for key, found in rows:
            if found.body is None:  # beyond what one statement may bring
                self.size = MOST_BYTES + 1
            elif key not in self.seen:
                self.seen.add(key)
                self.size += len(found.body)
                fresh.append(found)
        self.found += fresh
        return fresh

    def _targets(self, includes: Sequence[Include], around: Sequence[Stored]) -> dict[int, set[str | None]]:
        """Hash of each reference -> the types it may be of, None for any."""
        found: dict[int, set[str | None]] = {}
        for one in around:
            resource: Any = None
            for include in includes:
                for parameter in _parameters(include, one.type):
                    resource = resource if resource is not None else orjson.loads(one.body)
                    for target in _followed(parameter, resource):
                        local = typed(target)
                        if local and not _wanted(parameter, include, local[0]):
                            continue
                        for hashed in reference_hashes(target)[:1]:
                            found.setdefault(hashed, set()).add(include.target)
        return found

    async def _by_keys(self, wanted: dict[int, set[str | None]]) -> list[tuple[int, Stored]]:
        if not wanted:
            return []
        scope = Scope(self.visibility, self.now)
        r = scope.resource()
        hashes = scope.bind(list(wanted))
        urls = f"SELECT u.key FROM moment u WHERE u.path = {CANONICAL} AND u.low = ANY({hashes}::bigint[])"
        keys = f"SELECT unnest({hashes}::bigint[]) AS key UNION {urls}"
        rows = await self._fetch(scope, r.name, r.guard, keys)
        return [
            (key, found) for key, found in rows if key not in wanted or None in wanted[key] or found.type in wanted[key]
        ]

    def _hashes(self, includes: Sequence[Include], around: Sequence[Stored]) -> list[int]:
        """Hashes of the reference rows that point to these resources."""
        found: set[int] = set()
        for include in includes:
            for one in around:
                if include.target not in (None, one.type):
                    continue
                for parameter in _referring(include, one.type):
                    keys = [key_of(one.type, one.id)]
                    url = orjson.loads(one.body).get("url") if b'"url"' in one.body else None
                    keys += list(reference_hashes(url)) if isinstance(url, str) else []
                    found |= {
                        path.hash ^ key
                        for path in parameter.paths
                        if path.restriction in (None, one.type)
                        for key in keys
                    }
        return list(found)

    async def _by_hashes(self, hashes: list[int]) -> list[tuple[int, Stored]]:
        if not hashes:
            return []
        scope = Scope(self.visibility, self.now)
        r = scope.resource()
        keys = f"SELECT DISTINCT k.key FROM token k WHERE k.hash = ANY({scope.bind(hashes)}::bigint[])"
        return await self._fetch(scope, r.name, r.guard, keys)

    async def _fetch(self, scope: Scope, r: str, guard: str, keys: str) -> list[tuple[int, Stored]]:
        looked_up = f"SELECT {r}.* FROM resource {r} WHERE {r}.key = c.key AND {guard} OFFSET 0"
        sql = (
            f"SELECT {columns(r)} FROM ({keys} OFFSET 0) AS c CROSS JOIN LATERAL ({looked_up}) AS {r}"
            f" LIMIT {MAX_INCLUDED + len(self.seen) + 1}"
        )
        rows = await fetch(self.connection, weighed(sql), scope.arguments.values, "_include")
        return [(row[0], stored(row)) for row in rows]


def _parameters(include: Include, type_name: str) -> Iterable[Parameter]:
    """The reference parameters of a type that an `_include` names."""
    if include.source not in ("*", type_name):
        return ()
    own = REGISTRY.of_type(type_name)
    if include.code != "*":
        return (own[include.code],) if include.code in own else ()
    return [parameter for parameter in own.values() if parameter.kind == "reference"]


def _referring(include: Include, target: str) -> Iterable[Parameter]:
    """The reference parameters, of any type, by which a `_revinclude` finds what refers to `target`."""
    sources = resource_types() if include.source == "*" else (include.source,)
    for source in sources:
        for parameter in REGISTRY.of_type(source).values():
            named = include.code in ("*", parameter.code)
            if named and parameter.kind == "reference" and target in targets_of(parameter):
                yield parameter


def _followed(parameter: Parameter, resource: Any) -> list[str]:
    return [target for path in parameter.paths for target in references(resource, path, REGISTRY.base)]


def _wanted(parameter: Parameter, include: Include, type_name: str) -> bool:
    return include.target in (None, type_name) and type_name in targets_of(parameter) and type_name in TYPE_NUMBERS
