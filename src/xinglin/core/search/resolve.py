# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""What must be known before a search can be planned: the codes of value sets, the members of a List."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import asyncpg
import orjson

from xinglin.core.search.concepts import Concepts
from xinglin.core.search.fetching import fetch
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.search.query import (
    And,
    Chain,
    Condition,
    Has,
    Match,
    Not,
    Or,
    TextValue,
    TokenValue,
    TypeQuery,
    Value,
)
from xinglin.core.search.references import local_reference, typed
from xinglin.core.search.scope import Scope
from xinglin.core.store.keys import key_of
from xinglin.core.store.visibility import Visibility
from xinglin.kernel.errors import Invalid

MAX_EXPANSION = 10_000
"""Codes that one `:in`, `:above` or `:below` may stand for."""


class Terminology(Protocol):
    """What search asks of a terminology service; without one, of what is stored. Each raises Problem for what it does
    not know."""

    async def codes(self, value_set: str) -> Sequence[tuple[str, str]]:
        """(system, code) of a value set."""

    async def above(self, system: str | None, code: str) -> Sequence[tuple[str, str]]:
        """The concept and all that subsume it."""

    async def below(self, system: str | None, code: str) -> Sequence[tuple[str, str]]:
        """The concept and all that it subsumes."""


TERMINOLOGICAL = frozenset({"in", "above", "below"})


def asks_terminology(query: TypeQuery) -> bool:
    """True where a condition stands for codes that only the terminology knows."""
    waiting: list[Condition] = list(query.conditions)
    while waiting:
        condition = waiting.pop()
        if isinstance(condition, Chain | Has | Not):
            waiting.append(condition.inner)
        elif isinstance(condition, And | Or):
            waiting += condition.parts
        elif isinstance(condition, Match) and _terminological(condition):
            return True
    return False


def _terminological(condition: Match) -> bool:
    return condition.parameter.kind == "token" and condition.modifier in TERMINOLOGICAL


async def resolved(
    query: TypeQuery,
    connection: asyncpg.Connection,
    visibility: Visibility,
    now: int,
    terminology: Terminology | None,
) -> TypeQuery:
    """The query with `:in`, `:above`, `:below` and `_list` replaced by what they stand for."""
    resolver = _Resolver(connection, visibility, now, terminology)
    conditions = [await resolver.condition(condition, query.type) for condition in query.conditions]
    return replace(query, conditions=tuple(conditions))


class _Resolver:
    def __init__(
        self, connection: asyncpg.Connection, visibility: Visibility, now: int, terminology: Terminology | None
    ) -> None:
        self.connection, self.visibility, self.now = connection, visibility, now
        self.terminology = terminology or Concepts(connection, visibility, now, REGISTRY.base)

    async def condition(self, condition: Condition, type_name: str) -> Condition:
        if isinstance(condition, Match):
            return await self.match(condition)
        if isinstance(condition, Has):
            if condition.parameter.name == "List.item":
                return await self.members(condition, type_name)
            return replace(condition, inner=await self.condition(condition.inner, condition.parameter.type_name))
        if isinstance(condition, Chain):
            return replace(condition, inner=await self.condition(condition.inner, condition.target))
        if isinstance(condition, Not):
            return Not(await self.condition(condition.inner, type_name))
        if isinstance(condition, And | Or):
            parts = tuple([await self.condition(part, type_name) for part in condition.parts])
            return And(parts) if isinstance(condition, And) else Or(parts)
        return condition

    async def match(self, condition: Match) -> Condition:
        if not _terminological(condition):
            return condition
        found: list[Value] = []
        for value in condition.values:
            pairs = await self.expanded(condition.modifier or "", value)
            found += [TokenValue(system, code) for system, code in pairs]
        if len(found) > MAX_EXPANSION:
            raise Invalid(f"{condition.parameter.code} stands for {len(found)} codes.", code="too-costly")
        return Match(condition.parameter, tuple(found))

    async def expanded(self, modifier: str, value: Value) -> Sequence[tuple[str, str]]:
        if isinstance(value, TextValue):
            return await self.terminology.codes(value.text)
        if not isinstance(value, TokenValue) or not value.code:
            raise Invalid(f"{modifier!r} takes a code.")
        ask = self.terminology.above if modifier == "above" else self.terminology.below
        return await ask(value.system, value.code)

    async def members(self, condition: Has, type_name: str) -> Condition:
        """The resources of a type that a List names, by id; of a List that may be seen."""
        inner = condition.inner
        if not (isinstance(inner, Match) and inner.parameter.code == "_id"):
            return replace(condition, inner=await self.condition(inner, "List"))
        keys = [key_of("List", value.code or "") for value in inner.values if isinstance(value, TokenValue)]
        scope = Scope(self.visibility, self.now)
        r = scope.resource()
        sql = f"SELECT {r.name}.body FROM resource {r.name} WHERE {r.name}.key = ANY({scope.bind(keys)}::bigint[])"
        rows = await fetch(self.connection, f"{sql} AND {r.guard}", scope.arguments.values, "_list")
        ids = {id_ for row in rows for id_ in _listed(row[0], type_name)}
        return Match(REGISTRY.of_type(type_name)["_id"], tuple(TokenValue(None, id_) for id_ in sorted(ids)))


def _listed(body: bytes, type_name: str) -> list[str]:
    entries = orjson.loads(body).get("entry") or ()
    written = [(entry.get("item") or {}).get("reference") for entry in entries]
    found = [typed(local_reference(text, REGISTRY.base)) for text in written if text]
    return [target[1] for target in found if target and target[0] == type_name]
