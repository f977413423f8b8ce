"""Conditions of a Query compiled to SQL: matches by kind, chains and `_has` with visibility on every resource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from xinglin.core.search import compiled as c
from xinglin.core.search.compiled import Compiled
from xinglin.core.search.joins import chain, has
from xinglin.core.search.matches import match
from xinglin.core.search.parameters import decides_person
from xinglin.core.search.predicates import TokenRow
from xinglin.core.search.query import And, Chain, Condition, Has, Match, Missing, Not, ReferenceValue
from xinglin.core.search.references import typed
from xinglin.core.search.scope import Scope
from xinglin.core.search.slots import later
from xinglin.core.store.keys import reference_key


def compile_condition(condition: Condition, type_name: str) -> Compiled:
    """A condition on a type, in both its forms. Pure: nothing is bound until a statement asks for it."""
    if isinstance(condition, Match):
        return replace(match(condition), name=condition.parameter.code)
    if isinstance(condition, Missing):
        return missing(condition)
    if isinstance(condition, Chain):
        inner = [compile_condition(part, condition.target) for part in conjuncts(condition.inner)]
        return replace(chain(condition.parameter, condition.target, inner), name=condition.parameter.code)
    if isinstance(condition, Has):
        other = condition.parameter.type_name
        inner = [compile_condition(part, other) for part in conjuncts(condition.inner)]
        return replace(has(condition.parameter, type_name, inner), name=f"_has:{condition.parameter.name}")
    if isinstance(condition, Not):
        return c.negated(compile_condition(condition.inner, type_name))
    parts = [compile_condition(part, type_name) for part in condition.parts]
    combined = c.all_of(parts) if isinstance(condition, And) else c.any_of(parts)
    return replace(combined, name=", ".join(dict.fromkeys(part.name for part in parts if part.name)))


def conjuncts(condition: Condition) -> Sequence[Condition]:
    return condition.parts if isinstance(condition, And) else (condition,)


def missing(condition: Missing) -> Compiled:
    """The presence bit of the parameter, or the token row that stands for it beyond the 63rd."""
    parameter, absent = condition.parameter, condition.missing
    if not parameter.paths:
        return c.only_filter(lambda scope, r: "false" if absent else "true")  # every resource has an id and a time
    if parameter.bit is None:
        present = c.of_tokens([TokenRow(parameter.presence)], rank=45)
        return c.negated(present) if absent else present
    bit, sign = 1 << parameter.bit, "=" if absent else "<>"

    def probe(scope: Scope, r: str) -> str:
        return f"({r}.present & {scope.bind(bit)}::bigint {sign} 0)"

    return c.only_filter(probe)


def person_of(conditions: Sequence[Condition]) -> int | None:
    """The key of the one Patient that the conditions speak of, where one of them says so; else None.

    Sound only for a path that decides `resource.person`: whatever refers to that Patient by it has that person.
    """
    for condition in conditions:
        if not isinstance(condition, Match) or condition.modifier or len(condition.values) != 1:
            continue
        value = condition.values[0]
        if not isinstance(value, ReferenceValue) or len(value.targets()) != 1:
            continue
        patient = value.heads() == ("Patient",) and (value.target is None or typed(value.target))
        if patient and condition.parameter.paths and decides(condition):
            key: int = later(reference_key, value.targets()[0])
            return key
    return None


def decides(condition: Match) -> bool:
    """True where the parameter's reference decides the person of what it stands in."""
    parameter = condition.parameter
    return all(decides_person(parameter.type_name, path) for path in parameter.paths)
