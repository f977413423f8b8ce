"""From a query string to a Query. https://hl7.org/fhir/R4/search.html

Nothing is dropped silently: an unknown parameter is an error, or under `lenient` an issue that names it. What a known
parameter is given must make sense under both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, Final, cast

from xinglin.core.schema.definitions import compartment, resource_types
from xinglin.core.search import texts
from xinglin.core.search.filters import filter_condition
from xinglin.core.search.naming import MAX_STEPS, Names, Reading, UnknownParameter, named, too_many_steps
from xinglin.core.search.parameters import REGISTRY, Parameter, Registry
from xinglin.core.search.query import (
    DEFAULT_COUNT,
    MAX_COUNT,
    Condition,
    Has,
    Include,
    Match,
    Or,
    Query,
    ReferenceValue,
    Sort,
    Summary,
    Total,
    TypeQuery,
)
from xinglin.core.search.querystring import pairs
from xinglin.kernel.errors import Invalid, Issue

MAX_VALUES: Final = 1000
MAX_INCLUDES: Final = 50
MAX_SORTS: Final = 8

RESULT_PARAMETERS: Final = frozenset(
    {"_sort", "_count", "_total", "_summary", "_elements", "_include", "_revinclude", "_contained", "_type", "_page"}
)
ELSEWHERE: Final = frozenset({"_format", "_pretty"})
"""Parameters that the REST layer answers."""


def parse(
    parameters: str | Iterable[tuple[str, str]],
    type_name: str | None = None,
    *,
    within: tuple[str, str] | None = None,
    lenient: bool = False,
    registry: Registry = REGISTRY,
) -> Query:
    """The request for a type, for several by `_type`, or for all (None); `within` is a compartment ("Patient", id).

    Raises Invalid, naming the parameter and what may stand there.
    """
    given = pairs(parameters) if isinstance(parameters, str) else list(parameters)
    given = [(name, value) for name, value in given if value.strip() and name not in ELSEWHERE]
    return Request(given, lenient, registry).query(type_name, within)


@lru_cache(maxsize=1024)
def _members(registry: Registry, revision: int, name: str, type_name: str) -> tuple[Parameter, ...]:
    """The parameters by which resources of a type belong to a compartment."""
    codes = compartment(name).get(type_name, ())
    return tuple(parameter for code in codes if (parameter := registry.get(type_name, code)))


class Request:
    """One request while it is read: its parameters, and what had to be set aside."""

    def __init__(self, given: list[tuple[str, str]], lenient: bool, registry: Registry) -> None:
        self.given = given
        self.criteria = [pair for pair in given if pair[0].partition(":")[0] not in RESULT_PARAMETERS]
        self.results: dict[str, list[str]] = {}
        if len(self.criteria) < len(given):
            for name, value in given:
                self.results.setdefault(name, []).append(value)
        self.lenient = lenient
        self.registry = registry
        self.values = 0
        self.steps = 0
        self.issues: dict[str, Issue] = {}
        self.dropped: set[tuple[str, str]] = set()
        self.in_force: set[tuple[str, str]] = set()  # set aside for some of the types only

    def query(self, type_name: str | None, within: tuple[str, str] | None) -> Query:
        types = self._types(type_name, within)
        if self._one("_contained", texts.CONTAINED) not in (None, "false"):
            self._forgiving("_contained", self._single("_contained", ""), _no_contained)
        alone, sorts = len(types) == 1, self._sorts(types)
        branches = tuple([self._branch(name, within, alone, sort) for name, sort in zip(types, sorts, strict=True)])
        return Query(
            branches=branches,
            count=self._count(),
            total=cast("Total | None", self._one("_total", texts.TOTALS)),
            summary=cast("Summary", self._one("_summary", texts.SUMMARIES) or "false"),
            elements=tuple(e.strip() for e in self._single("_elements", "").split(",") if e.strip()),
            includes=self._includes(),
            page=self._single("_page", "") or None,
            used=self._used(),
            within=None if self.criteria or alone or any(sorts) else within,
            issues=tuple(self.issues.values()),
        )

    # which types ---------------------------------------------------------------------------------

    def _types(self, type_name: str | None, within: tuple[str, str] | None) -> list[str]:
        listed = [name for value in self._all("_type") for name in value.split(",")] if self.results else []
        for name in listed:
            self.registry.of_type(name)
        if type_name is not None and type_name != "*":
            self.registry.of_type(type_name)
            if listed and type_name not in listed:
                self._forgiving("_type", self._all("_type")[-1], partial(_of_one_type, type_name))
            return [type_name]
        known = listed or list(resource_types())
        if within is not None:
            places = compartment(within[0])
            known = [name for name in known if places.get(name)] or [_outside(listed[0], within[0])]
        return list(dict.fromkeys(known))

    def _branch(
        self, type_name: str, within: tuple[str, str] | None, alone: bool, sorts: tuple[Sort, ...]
    ) -> TypeQuery:
        self.values = 0
        conditions = [self._compartment(type_name, *within)] if within else []
        for name, value in self.criteria:
            try:
                conditions.append(self.condition(type_name, name, value))
                if not alone:
                    self.in_force.add((name, value))
            except UnknownParameter as unknown:
                self._set_aside(name, value, unknown)
        return TypeQuery(type_name, tuple(conditions), sorts, alone)

    def _forgiving(self, name: str, value: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except UnknownParameter as unknown:
            self._set_aside(name, value, unknown)
            return None

    def _set_aside(self, name: str, value: str, unknown: UnknownParameter) -> None:
        if not self.lenient:
            raise unknown
        self.dropped.add((name, value))
        self.issues[name] = Issue("not-supported", f"{unknown.issues[0].text} It was set aside.", name, "warning")

    def _used(self) -> tuple[tuple[str, str], ...]:
        """What took effect, for the links: the next page is of the same search."""
        gone = self.dropped - self.in_force
        return tuple([pair for pair in self.given if pair not in gone and pair[0] != "_page"])

    def _compartment(self, type_name: str, name: str, identifier: str) -> Condition:
        """Membership: any of the parameters that the compartment's definition names refers to its subject."""
        texts.check_id(identifier)
        value = (ReferenceValue(f"{name}/{identifier}"),)
        members = _members(self.registry, self.registry.revision, name, type_name)
        parts: list[Condition] = [Match(parameter, value) for parameter in members]
        if type_name == name:
            own = self.registry.of_type(type_name)["_id"]
            parts.insert(0, Match(own, (texts.token_value(identifier),)))
        if not parts:
            _outside(type_name, name)
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    # conditions ----------------------------------------------------------------------------------

    def condition(self, type_name: str, name: str, value: str) -> Condition:
        """One parameter of a type with its value, chains and `_has` unfolded."""
        if name == "_filter":
            return filter_condition(value, type_name, self)
        if name == "_list":
            return self.listed(type_name, value)
        reading = named(self.registry, type_name, name)
        if reading.steps:
            self.count_steps(reading.steps)
        return reading.condition(self, value)

    def listed(self, type_name: str, value: str) -> Condition:
        if value.startswith("$"):
            raise UnknownParameter(f"The functional list {value} is not kept here.", expression="_list")
        named = ",".join(part.removeprefix("List/") for part in value.split(","))
        chosen = self.match(self.registry.of_type("List")["_id"], None, named)
        return Has(self.registry.of_type("List")["item"], chosen)

    def parameter(self, type_name: str, code: str) -> Parameter:
        return Names(self.registry).parameter(type_name, code)

    def chain(self, parameter: Parameter, only: str, inner: Callable[[str], Condition]) -> Condition:
        """The parts for each type that the reference may point to and that knows the next parameter."""

        def reading(target: str) -> Reading:
            condition = inner(target)
            return Reading(lambda request, value: condition)

        return Names(self.registry, self.count_steps).chain(parameter, only, reading).condition(self, "")

    def match(self, parameter: Parameter, modifier: str | None, value: str) -> Condition:
        """A parameter with its modifier and its alternatives."""
        return Names(self.registry).match(parameter, modifier).condition(self, value)

    def count_steps(self, number: int) -> None:
        """A chain may pass through any type: what it unfolds to is bounded before it unfolds."""
        self.steps += number
        if self.steps > MAX_STEPS:
            raise too_many_steps()

    def count_values(self, number: int) -> None:
        self.values += number
        if self.values > MAX_VALUES:
            raise Invalid(
                f"The query unfolds to more than {MAX_VALUES} values.",
                code="too-costly",
                remedy="Name the type of a chained reference, as in subject:Patient.name.",
            )

    # results -------------------------------------------------------------------------------------

    def _all(self, name: str) -> list[str]:
        return self.results.get(name, [])

    def _single(self, name: str, default: str) -> str:
        values = self._all(name)
        if len(values) > 1:
            raise Invalid(f"{name} is given {len(values)} times.", expression=name)
        return values[0] if values else default

    def _one(self, name: str, allowed: Sequence[str]) -> str | None:
        value = self._single(name, "")
        if value and value not in allowed:
            raise Invalid(f"{name}={value[:40]} is none of {', '.join(allowed)}.", expression=name)
        return value or None

    def _count(self) -> int:
        text = self._single("_count", "")
        if not text:
            return DEFAULT_COUNT
        if not (text.isascii() and text.isdigit()):
            raise Invalid("_count is a whole number.", expression="_count")
        return min(int(text[:10]), MAX_COUNT)

    def _sorts(self, types: Sequence[str]) -> Sequence[tuple[Sort, ...]]:
        """The keys for each of the types: those of `_sort` that all of them have, so that there is one order."""
        written = self._all("_sort")
        if not written:
            return [()] * len(types)
        codes = [code.strip() for value in written for code in value.split(",") if code.strip()]
        if len(codes) > MAX_SORTS:
            raise Invalid(f"_sort has more than {MAX_SORTS} keys.", code="too-costly", expression="_sort")
        found = [(code, self._forgiving("_sort", code, partial(self._sort, types, code))) for code in codes]
        kept = [(code, keys) for code, keys in found if keys]
        if len(kept) < len(found):
            others = [pair for pair in self.given if pair[0] != "_sort"]
            self.given = [*others, ("_sort", ",".join(code for code, _ in kept))] if kept else others
        return list(zip(*(keys for _, keys in kept), strict=True)) if kept else [()] * len(types)

    def _sort(self, types: Sequence[str], text: str) -> list[Sort]:
        parameters = [self.parameter(name, text.removeprefix("-")) for name in types]
        if any(parameter.kind in ("composite", "special") for parameter in parameters):
            raise Invalid(f"A {parameters[0].kind} parameter cannot be sorted by.", expression="_sort")
        if len({parameter.kind for parameter in parameters}) > 1:
            raise UnknownParameter(f"{text!r} is not of the same kind in all types.", expression="_sort")
        return [Sort(parameter, text.startswith("-")) for parameter in parameters]

    def _includes(self) -> tuple[Include, ...]:
        found = []
        for name, value in self.given if self.results else ():
            word, _, modifier = name.partition(":")
            if word in ("_include", "_revinclude"):
                if modifier not in ("", "iterate", "recurse"):
                    raise Invalid(f"{word} cannot have the modifier {modifier!r}.", expression=word)
                read = partial(self._include, value, bool(modifier), word == "_revinclude")
                include = self._forgiving(name, value, read)
                if include is not None:
                    found.append(include)
        if len(found) > MAX_INCLUDES:
            raise Invalid(f"More than {MAX_INCLUDES} includes.", code="too-costly", expression="_include")
        return tuple(found)

    def _include(self, value: str, iterate: bool, reverse: bool) -> Include:
        if value == "*":
            return Include("*", "*", None, iterate, reverse)
        source, _, rest = value.partition(":")
        code, _, target = rest.partition(":")
        self.registry.of_type(source)
        if target:
            self.registry.of_type(target)
        if not code:
            raise Invalid(f"{value} is not Type:parameter.", expression="_include")
        if code != "*" and self.parameter(source, code).kind != "reference":
            raise Invalid(f"{source}.{code} is no reference: nothing can be included by it.", expression="_include")
        return Include(source, code, target or None, iterate, reverse)


def _no_contained() -> None:
    raise UnknownParameter("Contained resources are not searched on their own.", expression="_contained")


def _of_one_type(name: str) -> None:
    raise UnknownParameter(f"_type names others than {name}, which alone is searched here.", expression="_type")


def _outside(name: str, place: str) -> str:
    raise Invalid(f"{name} is not part of the compartment {place}.", code="not-supported", expression="_type")
