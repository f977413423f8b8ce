"""From a query string to a Query. https://hl7.org/fhir/R4/search.html

Nothing is dropped silently: an unknown parameter is an error, or under `lenient` an issue that names it. What a known
parameter is given must make sense under both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final, cast
from urllib.parse import quote_plus, unquote_to_bytes

from xinglin.core.schema.definitions import compartment, resource_types
from xinglin.core.search import texts
from xinglin.core.search.filters import filter_condition
from xinglin.core.search.parameters import REGISTRY, Parameter, Registry
from xinglin.core.search.query import (
    DEFAULT_COUNT,
    MAX_COUNT,
    Chain,
    Condition,
    Has,
    Include,
    Match,
    Missing,
    Not,
    Or,
    Query,
    ReferenceValue,
    Sort,
    Summary,
    Total,
    TypeQuery,
)
from xinglin.kernel.errors import Invalid, Issue, Problem

MAX_TEXT: Final = 65_536
MAX_PARAMETERS: Final = 100
MAX_VALUES: Final = 1000
MAX_STEPS: Final = 4000
MAX_DEPTH: Final = 8
MAX_INCLUDES: Final = 50
MAX_SORTS: Final = 8

RESULT_PARAMETERS: Final = frozenset(
    {"_sort", "_count", "_total", "_summary", "_elements", "_include", "_revinclude", "_contained", "_type", "_page"}
)
ELSEWHERE: Final = frozenset({"_format", "_pretty"})
"""Parameters that the REST layer answers."""

MODIFIERS: Final[dict[str, frozenset[str]]] = {
    "string": frozenset({"exact", "contains"}),
    "token": frozenset({"text", "not", "above", "below", "in", "not-in", "of-type"}),
    "reference": frozenset({"identifier"}),
    "uri": frozenset({"above", "below"}),
}


class UnknownParameter(Invalid):
    """No such parameter: what `lenient` forgives."""

    default_code = "not-supported"


class StillIndexed(UnknownParameter):
    """Posted at run time, and existing data is not indexed yet: an answer would leave resources out."""

    default_code = "incomplete"


class Unchainable(Invalid):
    """Not a reference: where a chain passes through several types, those of which this is true are left out."""


def pairs(text: str) -> list[tuple[str, str]]:
    """The parameters of a query string, decoded. Raises Invalid for what is too long or no UTF-8."""
    if len(text) > MAX_TEXT:
        raise Invalid(f"The query has more than {MAX_TEXT} characters.", code="too-long")
    found = []
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((_decoded(name), _decoded(value)))
    if len(found) > MAX_PARAMETERS:
        raise Invalid(f"The query has more than {MAX_PARAMETERS} parameters.", code="too-long")
    return found


def _decoded(text: str) -> str:
    if text.isascii() and "%" not in text and "+" not in text and "\0" not in text:
        return text
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Invalid(f"{text[:80]!r} is not percent-encoded UTF-8.") from None
    if "\0" in decoded:
        raise Invalid("A query cannot hold the character U+0000.")
    return decoded


_ENCODED: Final = {n: f"%{n:02X}" for n in range(128) if not (chr(n).isalnum() or chr(n) in "_.-~")} | {32: "+"}


def encoded(parameters: Iterable[tuple[str, str]]) -> str:
    """Parameters as a query string: what `urlencode` gives, in a fraction of its time."""
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in parameters])


def _quoted(text: str) -> str:
    return text.translate(_ENCODED) if text.isascii() else quote_plus(text)


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
    return _Request(given, lenient, registry).query(type_name, within)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a parameter's name means on a type: a function from its value to a condition.

    `steps` is how many types its chains pass through, for the bound on all of a request's.
    """

    condition: Callable[[_Request, str], Condition]
    steps: int = 0


MOST_NAMED: Final = 200
"""Characters of a name whose reading is remembered."""


@lru_cache(maxsize=4096)
def _remembered(registry: Registry, revision: int, type_name: str, name: str) -> Reading:
    """The reading of a name that has been read before; errors are not remembered."""
    return _Names(registry).reading(type_name, name, 0)


@lru_cache(maxsize=1024)
def _members(registry: Registry, revision: int, name: str, type_name: str) -> tuple[Parameter, ...]:
    """The parameters by which resources of a type belong to a compartment."""
    codes = compartment(name).get(type_name, ())
    return tuple(parameter for code in codes if (parameter := registry.get(type_name, code)))


class _Request:
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
        self.dropped: set[str] = set()

    def query(self, type_name: str | None, within: tuple[str, str] | None) -> Query:
        types = self._types(type_name, within)
        branches = tuple([self._branch(name, within, len(types) == 1) for name in types])
        return Query(
            branches=branches,
            count=self._count(),
            total=cast("Total | None", self._one("_total", texts.TOTALS)),
            summary=cast("Summary", self._one("_summary", texts.SUMMARIES) or "false"),
            elements=tuple(e.strip() for e in self._single("_elements", "").split(",") if e.strip()),
            includes=self._includes(),
            page=self._single("_page", "") or None,
            used=tuple(pair for pair in self.given if pair[0] not in self.dropped and pair[0] != "_page"),
            issues=tuple(self.issues.values()),
        )

    # which types ---------------------------------------------------------------------------------

    def _types(self, type_name: str | None, within: tuple[str, str] | None) -> list[str]:
        if type_name is not None and type_name != "*":
            self.registry.of_type(type_name)
            return [type_name]
        listed = [name for value in self._all("_type") for name in value.split(",")]
        for name in listed:
            self.registry.of_type(name)
        known = listed or list(resource_types())
        if within is not None:
            places = compartment(within[0])
            known = [name for name in known if places.get(name)]
        return list(dict.fromkeys(known))

    def _branch(self, type_name: str, within: tuple[str, str] | None, alone: bool) -> TypeQuery:
        self.values = 0
        conditions = [self._compartment(type_name, *within)] if within else []
        for name, value in self.criteria:
            try:
                conditions.append(self.condition(type_name, name, value))
            except UnknownParameter as unknown:
                self._set_aside(name, unknown)
        return TypeQuery(type_name, tuple(conditions), self._sorts(type_name), alone)

    def _forgiving(self, name: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except UnknownParameter as unknown:
            self._set_aside(name, unknown)
            return None

    def _set_aside(self, name: str, unknown: UnknownParameter) -> None:
        if not self.lenient:
            raise unknown
        self.dropped.add(name)
        self.issues[name] = Issue("not-supported", f"{unknown.issues[0].text} It was set aside.", name, "warning")

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
            raise Invalid(f"{type_name} is not part of the compartment {name}.", code="not-supported")
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    # conditions ----------------------------------------------------------------------------------

    def condition(self, type_name: str, name: str, value: str) -> Condition:
        """One parameter of a type with its value, chains and `_has` unfolded."""
        if name == "_filter":
            return filter_condition(value, type_name, self)
        if name == "_list":
            return self.listed(type_name, value)
        if len(name) <= MOST_NAMED:
            reading = _remembered(self.registry, self.registry.revision, type_name, name)
        else:
            reading = _Names(self.registry).reading(type_name, name, 0)
        if reading.steps:
            self.count_steps(reading.steps)
        return reading.condition(self, value)

    def listed(self, type_name: str, value: str) -> Condition:
        if value.startswith("$"):
            raise UnknownParameter(f"The functional list {value} is not kept here.", expression="_list")
        chosen = self.match(self.registry.of_type("List")["_id"], None, value)
        return Has(self.registry.of_type("List")["item"], chosen)

    def parameter(self, type_name: str, code: str) -> Parameter:
        return _Names(self.registry).parameter(type_name, code)

    def chain(self, parameter: Parameter, only: str, inner: Callable[[str], Condition]) -> Condition:
        """The parts for each type that the reference may point to and that knows the next parameter."""

        def reading(target: str) -> Reading:
            condition = inner(target)
            return Reading(lambda request, value: condition)

        return _Names(self.registry, self.count_steps).chain(parameter, only, reading).condition(self, "")

    def match(self, parameter: Parameter, modifier: str | None, value: str) -> Condition:
        """A parameter with its modifier and its alternatives."""
        return _Names(self.registry).match(parameter, modifier).condition(self, value)

    def count_steps(self, number: int) -> None:
        """A chain may pass through any type: what it unfolds to is bounded before it unfolds."""
        self.steps += number
        if self.steps > MAX_STEPS:
            raise _too_many_steps()

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
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise Invalid("_count is a whole number.", expression="_count")
        return min(int(text), MAX_COUNT)

    def _sorts(self, type_name: str) -> tuple[Sort, ...]:
        written = self._all("_sort")
        if not written:
            return ()
        codes = [code.strip() for value in written for code in value.split(",") if code.strip()]
        if len(codes) > MAX_SORTS:
            raise Invalid(f"_sort has more than {MAX_SORTS} keys.", code="too-costly", expression="_sort")
        found = [self._forgiving("_sort", partial(self._sort, type_name, code)) for code in codes]
        return tuple(sort for sort in found if sort is not None)

    def _sort(self, type_name: str, text: str) -> Sort:
        parameter = self.parameter(type_name, text.removeprefix("-"))
        if parameter.kind in ("composite", "special"):
            raise Invalid(f"A {parameter.kind} parameter cannot be sorted by.", expression="_sort")
        return Sort(parameter, text.startswith("-"))

    def _includes(self) -> tuple[Include, ...]:
        found = []
        for name, value in self.given if self.results else ():
            word, _, modifier = name.partition(":")
            if word in ("_include", "_revinclude"):
                if modifier not in ("", "iterate", "recurse"):
                    raise Invalid(f"{word} cannot have the modifier {modifier!r}.", expression=word)
                read = partial(self._include, value, bool(modifier), word == "_revinclude")
                include = self._forgiving(name, read)
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


def _too_many_steps() -> Invalid:
    return Invalid(
        "The chain passes through too many types.",
        code="too-costly",
        remedy="Name the type of each reference, as in subject:Patient.name.",
    )


class _Names:
    """The names of parameters, read once for whatever values they are given. `counted` is told of each type that a
    chain passes through, where they are not counted here."""

    def __init__(self, registry: Registry, counted: Callable[[int], None] | None = None) -> None:
        self.registry = registry
        self.steps = 0
        self.count_steps = counted or self._count_steps

    def _count_steps(self, number: int) -> None:
        self.steps += number
        if self.steps > MAX_STEPS:
            raise _too_many_steps()

    def reading(self, type_name: str, name: str, depth: int) -> Reading:
        if depth > MAX_DEPTH:
            raise Invalid(f"{name}: chained more than {MAX_DEPTH} deep.", code="too-costly", expression=name)
        if name == "_filter":
            return Reading(lambda request, value: filter_condition(value, type_name, request))
        if name == "_list":
            return Reading(lambda request, value: request.listed(type_name, value))
        if name.startswith("_has:"):
            return self.has(type_name, name, depth)
        head, dot, rest = name.partition(".")
        code, colon, modifier = head.partition(":")
        parameter = self.parameter(type_name, code)
        if dot:
            return self.chain(parameter, modifier, lambda target: self.reading(target, rest, depth + 1))
        return self.match(parameter, modifier if colon else None)

    def parameter(self, type_name: str, code: str) -> Parameter:
        found = self.registry.get(type_name, code)
        if found is None or (found.code in texts.UNSUPPORTED and found.code != "_filter"):
            known = ", ".join(sorted(self.registry.of_type(type_name)))
            raise UnknownParameter(
                f"{type_name} has no search parameter {code!r}.", expression=code, remedy=f"It has: {known}."
            )
        if found.url in self.registry.pending():
            raise StillIndexed(
                f"{code!r} is still being indexed for existing data.", expression=code, remedy="Try again later."
            )
        return found

    def chain(self, parameter: Parameter, only: str, inner: Callable[[str], Reading]) -> Reading:
        """The parts for each type that the reference may point to and that knows the next parameter."""
        if parameter.kind != "reference":
            raise Unchainable(f"{parameter.name} is no reference: it cannot be chained.", expression=parameter.code)
        targets = (only,) if only else texts.targets_of(parameter)
        if only:
            self.registry.of_type(only)
        parts: list[tuple[str, Reading]] = []
        refused: Problem | None = None
        for target in targets:
            self.count_steps(1)  # bounded before it unfolds
            try:
                parts.append((target, inner(target)))
            except (UnknownParameter, Unchainable) as unknown:
                refused = unknown
        if not parts:
            raise refused or UnknownParameter(f"{parameter.name} refers to nothing.", expression=parameter.code)

        def condition(request: _Request, value: str) -> Condition:
            found: list[Condition] = []
            refused: Problem | None = None
            for target, reading in parts:
                try:
                    found.append(Chain(parameter, target, reading.condition(request, value)))
                    request.count_values(1)
                except (UnknownParameter, Unchainable) as unknown:
                    refused = unknown
            if refused and not found:
                raise refused
            return found[0] if len(found) == 1 else Or(tuple(found))

        return Reading(condition, self.steps)

    def has(self, type_name: str, name: str, depth: int) -> Reading:
        parts = name.split(":", 3)
        if len(parts) != 4 or not all(parts):
            raise Invalid(f"{name} is not _has:Type:reference:parameter.", expression=name)
        parameter = self.parameter(parts[1], parts[2])
        if parameter.kind != "reference" or type_name not in texts.targets_of(parameter):
            raise Invalid(f"{parameter.name} does not refer to {type_name}.", expression=name)
        inner = self.reading(parts[1], parts[3], depth + 1)
        return Reading(lambda request, value: Has(parameter, inner.condition(request, value)), self.steps)

    def match(self, parameter: Parameter, modifier: str | None) -> Reading:
        """A parameter with its modifier."""
        if modifier == "missing":
            return Reading(lambda request, value: _missing(parameter, value))
        kind, types = parameter.kind, texts.targets_of(parameter)
        if modifier is not None and kind == "reference" and modifier in resource_types():
            types, modifier = (modifier,), None
        elif modifier is not None and modifier not in MODIFIERS.get(kind, frozenset()):
            known = ", ".join(sorted(MODIFIERS.get(kind, frozenset()) | {"missing"}))
            raise Invalid(
                f"{parameter.code} cannot have the modifier {modifier!r}.",
                code="not-supported",
                expression=parameter.code,
                remedy=f"A {kind} parameter has: {known}.",
            )

        def condition(request: _Request, value: str) -> Condition:
            written = texts.split_escaped(value, ",")
            request.count_values(len(written))
            base = self.registry.base
            values = tuple([texts.value(parameter, modifier, part, types, base) for part in written])
            if modifier in ("not", "not-in"):
                return Not(Match(parameter, values, "in" if modifier == "not-in" else None))
            return Match(parameter, values, modifier)

        return Reading(condition)


def _missing(parameter: Parameter, value: str) -> Condition:
    if value not in ("true", "false"):
        raise Invalid(f"{parameter.code}:missing is true or false.", expression=parameter.code)
    return Missing(parameter, value == "true")
