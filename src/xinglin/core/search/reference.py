"""The slow and obvious twin of the search engine: the same answers from a list of resources, one at a time.

It shares the parser and the meaning of written values with the engine, nothing else: values are found by evaluating
each parameter's FHIRPath expression, references by looking through everything, and access by asking a function about
each resource. Tests compare it with the compiled SQL over generated data; nothing else uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, partial
from typing import Any

from xinglin.core import paths as fhirpath
from xinglin.core.schema.definitions import SearchParameterDef, search_parameters
from xinglin.core.search import twin_values as v
from xinglin.core.search.branches import implied_systems, split_union
from xinglin.core.search.parameters import HEADLINE_DATES, REGISTRY, Parameter, person_paths
from xinglin.core.search.query import (
    And,
    Chain,
    CompositeValue,
    Condition,
    DateValue,
    Has,
    Include,
    Match,
    Missing,
    Not,
    NumberValue,
    Or,
    Query,
    ReferenceValue,
    Sort,
    TextValue,
    TokenValue,
    TypedIdentifier,
    TypeQuery,
    Value,
)
from xinglin.core.search.references import local_reference
from xinglin.core.search.texts import targets_of
from xinglin.core.store.keys import NO_DATE, key_of

Typed = tuple[Any, str]


@dataclass(frozen=True, slots=True)
class Held:
    """A resource as the store holds it; `updated` in microseconds since 1970."""

    resource: dict[str, Any]
    updated: int
    custodian: int = 0

    @property
    def type(self) -> str:
        return str(self.resource["resourceType"])

    @property
    def id(self) -> str:
        return str(self.resource["id"])

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"

    @property
    def key(self) -> int:
        return key_of(self.type, self.id)


@dataclass(frozen=True, slots=True)
class Answer:
    """All matches in their order, as references, and what is included beside the first page."""

    matches: tuple[str, ...]
    included: frozenset[str]


def answer(query: Query, held: Sequence[Held], visible: Callable[[Held], bool], now: int) -> Answer:
    """What the engine must answer, all its pages put together; includes are those of the first page."""
    world = World([one for one in held if visible(one)], now)
    found: list[tuple[Held, TypeQuery]] = []
    for branch in query.branches:
        for one in world.held:
            if one.type == branch.type and all(world.holds(condition, one) for condition in branch.conditions):
                found.append((one, branch))
    found.sort(key=cmp_to_key(partial(_in_order, world)))
    matches = [one for one, _ in found]
    return Answer(tuple(one.reference for one in matches), world.included(query.includes, matches[: query.count]))


def _in_order(world: World, a: tuple[Held, TypeQuery], b: tuple[Held, TypeQuery]) -> int:
    return world.compare(a[0], b[0], a[1].sort, b[1].sort)


class World:
    """What one principal can see, at one moment."""

    def __init__(self, held: list[Held], now: int) -> None:
        self.held = held
        self.now = now

    # conditions ----------------------------------------------------------------------------------

    def holds(self, condition: Condition, one: Held) -> bool:
        if isinstance(condition, And):
            return all(self.holds(part, one) for part in condition.parts)
        if isinstance(condition, Or):
            return any(self.holds(part, one) for part in condition.parts)
        if isinstance(condition, Not):
            return not self.holds(condition.inner, one)
        if isinstance(condition, Missing):
            return condition.missing != present(condition.parameter, one)
        if isinstance(condition, Chain):
            return any(self.holds(condition.inner, other) for other in self.targets(condition, one))
        if isinstance(condition, Has):
            return any(
                refers(condition.parameter, other, one) and self.holds(condition.inner, other) for other in self.held
            )
        return any(self.matches(condition, value, one) for value in condition.values)

    def targets(self, condition: Chain, one: Held) -> Iterator[Held]:
        for other in self.held:
            if other.type == condition.target and refers(condition.parameter, one, other):
                yield other

    def matches(self, condition: Match, value: Value, one: Held) -> bool:
        parameter, modifier = condition.parameter, condition.modifier
        if parameter.code == "_id":
            return isinstance(value, TokenValue) and not value.system and value.code == one.id
        if parameter.code == "_lastUpdated":
            return isinstance(value, DateValue) and v.date_holds((one.updated, one.updated + 1), value, self.now)
        if parameter.kind == "composite":
            return isinstance(value, CompositeValue) and self.composite(parameter, value, one)
        found = values(parameter, one)
        return any(self.satisfies(parameter, item, value, modifier) for item in found)

    def satisfies(self, parameter: Parameter, item: Typed, value: Value, modifier: str | None) -> bool:
        systems = implied(parameter)
        if isinstance(value, TokenValue):
            if parameter.kind == "reference":
                return v.logical_identifier(item, value)
            return v.token_holds(item, value, systems)
        if isinstance(value, TypedIdentifier):
            return v.typed_identifier(item, value)
        if isinstance(value, ReferenceValue):
            wanted = [t for t in value.targets() if allowed(parameter, t)]
            return any(v.same_reference(written, target) for written in v.written(item) for target in wanted)
        if isinstance(value, DateValue):
            found = v.moments(item)
            return found is not None and v.date_holds(found, value, self.now)
        if isinstance(value, NumberValue):
            return v.number_holds(item, value)
        assert isinstance(value, TextValue)
        if parameter.kind == "uri":
            return v.uri_holds(item, value.text, modifier)
        if parameter.kind == "token":
            return any(v.text_holds(text, value.text, None) for text in v.display_texts(item))
        return any(v.text_holds(text, value.text, modifier) for text in v.name_texts(item))

    def composite(self, parameter: Parameter, value: CompositeValue, one: Held) -> bool:
        definition = definition_of(parameter)
        for base, base_type in evaluated(definition.expression or "", one.resource, None):
            parts = [
                component(definition_, expression, base, base_type, one.resource)
                for definition_, expression in definition.components
            ]
            kinds = parameter.component_kinds
            if all(
                any(self.part_holds(kind, item, wanted) for item in items)
                for kind, items, wanted in zip(kinds, parts, value.parts, strict=True)
            ):
                return True
        return False

    def part_holds(self, kind: str, item: Typed, value: Value) -> bool:
        if isinstance(value, TokenValue):
            return v.token_holds(item, value, {})
        if isinstance(value, DateValue):
            found = v.moments(item)
            return found is not None and v.date_holds(found, value, self.now)
        if isinstance(value, NumberValue):
            return v.number_holds(item, value)
        if isinstance(value, ReferenceValue):
            return any(v.same_reference(w, target) for w in v.written(item) for target in value.targets())
        return isinstance(value, TextValue) and any(v.text_holds(t, value.text, None) for t in v.name_texts(item))

    # order ---------------------------------------------------------------------------------------

    def compare(self, a: Held, b: Held, sorts: tuple[Sort, ...], others: tuple[Sort, ...]) -> int:
        """Each by the parameters of its own type."""
        if not sorts:
            first, second = default_place(a), default_place(b)
            return (first > second) - (first < second)
        for sort, other in zip(sorts, others, strict=True):
            left, right = sort_value(sort, a), sort_value(other, b)
            if left == right:
                continue
            if left is None or right is None:  # what has no value comes last, either way
                return 1 if left is None else -1
            return (1 if left > right else -1) * (-1 if sort.descending else 1)
        return ((a.key > b.key) - (a.key < b.key)) * (-1 if sorts[-1].descending else 1)

    # includes ------------------------------------------------------------------------------------

    def included(self, includes: tuple[Include, ...], matches: list[Held]) -> frozenset[str]:
        seen = {one.reference for one in matches}
        fresh, round_number = list(matches), 0
        while fresh and round_number < 10:
            active = [i for i in includes if i.iterate or round_number == 0]
            near = [other for other in self.held for one in fresh if any(self.joins(i, one, other) for i in active)]
            fresh = [other for other in near if other.reference not in seen]
            seen |= {other.reference for other in fresh}
            round_number += 1
        return frozenset(seen - {one.reference for one in matches})

    def joins(self, include: Include, one: Held, other: Held) -> bool:
        source, target = (other, one) if include.reverse else (one, other)
        if include.source not in ("*", source.type) or include.target not in (None, target.type):
            return False
        return any(
            refers(parameter, source, target)
            for parameter in REGISTRY.of_type(source.type).values()
            if parameter.kind == "reference"
            and include.code in ("*", parameter.code)
            and (not include.reverse or target.type in targets_of(parameter))
        )


# values ------------------------------------------------------------------------------------------


def definition_of(parameter: Parameter) -> SearchParameterDef:
    custom = REGISTRY.custom.get(parameter.url)
    return custom or next(d for d in search_parameters() if d.url == parameter.url)


def values(parameter: Parameter, one: Held) -> list[Typed]:
    """What the parameter's expression finds, with types."""
    return evaluated(definition_of(parameter).expression or "", one.resource, None)


def evaluated(expression: str, root: Any, root_type: str | None) -> list[Typed]:
    found: list[Typed] = []
    own = str(root["resourceType"]) if root_type is None else root_type
    for part in split_union(expression.replace("DateTime", "dateTime")):
        start = part.lstrip("(").split(".")[0].split(" ")[0]
        if root_type is not None or start in (own, "Resource", "DomainResource") or not start[:1].isupper():
            kind = root_type if root_type is not None and root_type != own else own
            found += fhirpath.compile(part, type=kind, as_filters=True).evaluate_typed(root)
    return found


def component(url: str, expression: str, base: Any, base_type: str, resource: dict[str, Any]) -> list[Typed]:
    if expression.startswith("%resource."):
        own = str(resource["resourceType"])
        return evaluated(expression.replace("%resource.", own + "."), resource, None)
    return evaluated(expression, base, base_type)


def implied(parameter: Parameter) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in parameter.paths:
        for walk in path.walks or ():
            found |= implied_systems(walk.element)
    return found


def present(parameter: Parameter, one: Held) -> bool:
    """Whether the resource says anything that the parameter could find."""
    if not parameter.paths:
        return True
    if parameter.kind == "composite":
        return _composite_present(parameter, one)
    found = values(parameter, one)
    if parameter.kind == "reference":
        return any(v.refers_at_all(item) for item in found)
    checks: dict[str, Callable[[Typed], Any]] = {
        "date": v.moments,
        "number": v.bounds,
        "quantity": v.bounds,
        "string": v.name_texts,
    }
    check = checks.get(parameter.kind)
    return any(check(item) for item in found) if check else bool(found)


def _composite_present(parameter: Parameter, one: Held) -> bool:
    definition = definition_of(parameter)
    for base, base_type in evaluated(definition.expression or "", one.resource, None):
        parts = [component(url, text, base, base_type, one.resource) for url, text in definition.components]
        code = parts.pop(parameter.component_kinds.index("token"))
        if any(v.coded(item, {}) for item in code) and all(parts):
            return True
    return False


def allowed(parameter: Parameter, target: str) -> bool:
    restrictions = {path.restriction for path in parameter.paths}
    return None in restrictions or target.partition("/")[0] in restrictions


def refers(parameter: Parameter, one: Held, other: Held) -> bool:
    """Whether a resource refers to another by a parameter: by type and id, or by the other's canonical URL."""
    if one.type != parameter.type_name:
        return False
    url = other.resource.get("url")
    for item in values(parameter, one):
        for written in v.written(item):
            local = local_reference(written)
            if v.same_reference(written, other.reference) and allowed(parameter, local):
                return True
            if url and item[1] in ("canonical", "uri") and local.partition("|")[0] == url:
                return True
    return False


# order -------------------------------------------------------------------------------------------


def person(one: Held) -> int:
    """The key of the Patient a resource is about; 0: none."""
    if one.type == "Patient":
        return one.key
    own = REGISTRY.of_type(one.type)
    for text in person_paths(one.type):
        for parameter in own.values():
            if parameter.kind == "reference" and any(path.text == text for path in parameter.paths):
                for item in values(parameter, one):
                    for written in v.written(item):
                        local = local_reference(written)
                        if local.startswith("Patient/") and parameter.paths[0].text == text:
                            return key_of("Patient", local.removeprefix("Patient/"))
    return 0


def headline(one: Held) -> int:
    code = HEADLINE_DATES.get(one.type)
    parameter = REGISTRY.get(one.type, code) if code else None
    found = [m for item in (values(parameter, one) if parameter else []) if (m := v.moments(item))]
    return found[-1][0] if found else NO_DATE


def default_place(one: Held) -> tuple[int, int, int]:
    return person(one), -headline(one), one.key


def sort_value(sort: Sort, one: Held) -> Any:
    parameter = sort.parameter
    if parameter.code == "_id":
        return one.id.encode()
    if parameter.code == "_lastUpdated":
        return one.updated
    found = [key for item in values(parameter, one) for key in v.sort_keys(item, parameter.kind)]
    return (max if sort.descending else min)(found, default=None)
