# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""The codes that stored ValueSets and CodeSystems give to `:in`, `:not-in`, `:above` and `:below`.

Of a ValueSet its `compose` is worked out, or its `expansion` taken where it has no other; the value sets that R4's own
elements require are known without being stored. What cannot be worked out exactly is refused: a code left out would
answer wrongly. All is read as whoever asks may see it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import asyncpg
import orjson

from xinglin.core.schema.definitions import value_set_codes
from xinglin.core.search.fetching import fetch
from xinglin.core.search.references import local_reference, typed
from xinglin.core.search.rows import CANONICAL
from xinglin.core.search.scope import Scope
from xinglin.core.store.keys import TYPE_NUMBERS, cached_hash64, key_of
from xinglin.core.store.visibility import Visibility
from xinglin.kernel.errors import Invalid

DEEPEST: Final = 8  # value sets within value sets
MOST_READ: Final = 50  # ValueSets and CodeSystems of one request
Pair = tuple[str, str]
"""System and code."""


@dataclass(frozen=True, slots=True)
class System:
    """A CodeSystem: each code's properties, and the codes right above and below it."""

    properties: Mapping[str, Mapping[str, Any]]
    above: Mapping[str, set[str]]
    below: Mapping[str, set[str]]

    def reached(self, code: str, steps: Mapping[str, set[str]]) -> set[str]:
        """The code and all that is reached from it."""
        found, waiting = {code}, deque([code])
        while waiting:
            new = steps.get(waiting.popleft(), set()) - found
            found |= new
            waiting += new
        return found


class Concepts:
    """The stored terminology, as one principal may see it, for one request."""

    def __init__(self, connection: asyncpg.Connection, visibility: Visibility, now: int, base: str = "") -> None:
        self.connection, self.visibility, self.now, self.base = connection, visibility, now, base
        self.systems: dict[str, System] = {}
        self.read = 0

    async def codes(self, value_set: str) -> Sequence[Pair]:
        """(system, code) of a ValueSet, named by its url, `url|version` or `ValueSet/id`."""
        return sorted(await self._expanded(value_set, 0))

    async def above(self, system: str | None, code: str) -> Sequence[Pair]:
        """The concept and all that subsume it."""
        found = await self._system(_named(system))
        return [(system or "", one) for one in sorted(found.reached(code, found.above))]

    async def below(self, system: str | None, code: str) -> Sequence[Pair]:
        """The concept and all that it subsumes."""
        found = await self._system(_named(system))
        return [(system or "", one) for one in sorted(found.reached(code, found.below))]

    # value sets --------------------------------------------------------------------------------------------------

    async def _expanded(self, name: str, depth: int) -> set[Pair]:
        if depth > DEEPEST:
            raise Invalid(f"The ValueSet {name[:200]} takes in others too deep.", code="too-costly")
        body = await self._body("ValueSet", name)
        if body is None:
            known = value_set_codes(name)
            if known is None:
                raise _unknown("ValueSet", name)
            return set(known)
        compose = body.get("compose")
        if compose is None:
            return set(_contained(body.get("expansion", {}).get("contains", ())))
        found: set[Pair] = set()
        for part in compose.get("include", ()):
            found |= await self._part(part, depth)
        for part in compose.get("exclude", ()):
            found -= await self._part(part, depth)
        return found

    async def _part(self, part: Mapping[str, Any], depth: int) -> set[Pair]:
        """What one include (or exclude) holds: what all of its conditions let through."""
        sets = [await self._expanded(name, depth + 1) for name in part.get("valueSet", ())]
        if "system" in part:
            sets.append(await self._of_system(part))
        return set.intersection(*sets) if sets else set()

    async def _of_system(self, part: Mapping[str, Any]) -> set[Pair]:
        name = part["system"]
        if "concept" in part:
            return {(name, concept["code"]) for concept in part["concept"]}
        version = part.get("version")
        system = await self._system(f"{name}|{version}" if version else name)
        codes = set(system.properties)
        for wanted in part.get("filter", ()):
            codes &= _filtered(system, name, wanted)
        return {(name, code) for code in codes}

    # what is stored ----------------------------------------------------------------------------------------------

    async def _system(self, name: str) -> System:
        if name not in self.systems:
            body = await self._body("CodeSystem", name)
            if body is None:
                raise _unknown("CodeSystem", name)
            if body.get("content") in ("not-present", "supplement"):
                raise _unknown("CodeSystem", name, "is stored without its concepts")
            self.systems[name] = _system_of(orjson.dumps(body.get("concept", ())), _hierarchy(body))
        return self.systems[name]

    async def _body(self, type_name: str, name: str) -> dict[str, Any] | None:
        """The newest resource of the url, and of its version where one is named; or the one of an id."""
        self.read += 1
        if self.read > MOST_READ:
            raise Invalid(f"The search needs more than {MOST_READ} ValueSets and CodeSystems.", code="too-costly")
        local = typed(local_reference(name, self.base))
        scope = Scope(self.visibility, self.now)
        r = scope.resource()
        url, _, version = name.partition("|")
        if local is not None:
            where = f"{r.name}.key = {scope.bind(key_of(*local))} AND {r.name}.id = {scope.bind(local[1])}"
        else:
            hashed = scope.bind(cached_hash64(url))
            where = f"{r.name}.key IN (SELECT u.key FROM moment u WHERE u.path = {CANONICAL} AND u.low = {hashed})"
        sql = (
            f"SELECT {r.name}.body FROM resource {r.name} WHERE {where} AND {r.name}.type = "
            f"{scope.bind(TYPE_NUMBERS[type_name])} AND {r.guard} ORDER BY {r.name}.updated DESC, {r.name}.key"
        )
        rows = await fetch(self.connection, sql, scope.arguments.values, type_name)
        bodies: list[dict[str, Any]] = [orjson.loads(row[0]) for row in rows]
        if local is None:
            bodies = [one for one in bodies if one.get("url") == url and version in ("", one.get("version"))]
        return bodies[0] if bodies else None


def _named(system: str | None) -> str:
    if not system:
        raise Invalid("A concept above or below others needs its system.", remedy="Write system|code.")
    return system


def _contained(listed: Iterable[Mapping[str, Any]]) -> Iterable[Pair]:
    waiting = deque(listed)
    while waiting:
        one = waiting.popleft()
        waiting += one.get("contains", ())
        if "code" in one and not one.get("abstract"):
            yield one.get("system", ""), one["code"]


def _hierarchy(body: Mapping[str, Any]) -> bool:
    """Whether what stands below a concept is a kind of it."""
    return body.get("hierarchyMeaning") in (None, "is-a")


@lru_cache(maxsize=8)
def _system_of(concepts: bytes, hierarchy: bool) -> System:
    """The CodeSystem of these concepts: nested, or with the properties `parent` and `child`."""
    properties: dict[str, dict[str, Any]] = {}
    above: dict[str, set[str]] = {}
    below: dict[str, set[str]] = {}

    def joined(parent: str, child: str) -> None:
        above.setdefault(child, set()).add(parent)
        below.setdefault(parent, set()).add(child)

    waiting: deque[tuple[str | None, dict[str, Any]]] = deque((None, one) for one in orjson.loads(concepts))
    while waiting:
        parent, concept = waiting.popleft()
        code = concept["code"]
        own = properties.setdefault(code, {})
        for one in concept.get("property", ()):
            value = next((value for name, value in one.items() if name.startswith("value")), None)
            own.setdefault(one["code"], []).append(value["code"] if isinstance(value, dict) else value)
        for named in own.get("parent", ()):
            joined(str(named), code)
        for named in own.get("child", ()):
            joined(code, str(named))
        if parent is not None and hierarchy:
            joined(parent, code)
        waiting += ((code, below_it) for below_it in concept.get("concept", ()))
    return System(properties, above, below)


def _filtered(system: System, name: str, wanted: Mapping[str, Any]) -> set[str]:
    """The codes that a filter of a ValueSet lets through (valueset-filter-operator)."""
    operator, value, on = wanted["op"], wanted["value"], wanted["property"]
    known = set(system.properties)
    if operator == "is-a":
        return system.reached(value, system.below) & known
    if operator == "descendent-of":
        return (system.reached(value, system.below) & known) - {value}
    if operator == "is-not-a":
        return known - system.reached(value, system.below)
    if operator == "generalizes":
        return system.reached(value, system.above) & known
    tests: dict[str, Callable[[list[str]], bool]] = {
        "=": lambda held: value in held,
        "in": lambda held: any(one in listed for one in held),
        "not-in": lambda held: not any(one in listed for one in held),
        "exists": lambda held: bool(held) == (value == "true"),
    }
    listed = {one.strip() for one in value.split(",")}
    if operator not in tests:
        raise Invalid(f"A filter of {name} by {operator!r} is not worked out here.", code="not-supported")
    return {code for code, held in system.properties.items() if tests[operator](_held(code, held, on))}


def _held(code: str, properties: Mapping[str, Any], on: str) -> list[str]:
    """The values of a property, as a filter spells them."""
    if on in ("code", "concept"):
        return [code]
    return [("true" if one else "false") if isinstance(one, bool) else str(one) for one in properties.get(on, ())]


def _unknown(type_name: str, name: str, why: str = "is not stored here") -> Invalid:
    return Invalid(
        f"The {type_name} {name[:200]} {why}.",
        code="not-found",
        remedy=f"Store it, or name one by its url or as {type_name}/[id].",
    )
