"""What the name of a parameter means on a type, whatever its value: chains, `_has` and modifiers unfolded.

Names are read once and remembered; of a request only its values are read anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from xinglin.core.schema.definitions import resource_types
from xinglin.core.search import texts
from xinglin.core.search.filters import filter_condition
from xinglin.core.search.parameters import Parameter, Registry
from xinglin.core.search.query import Chain, Condition, Has, Match, Missing, Not, Or
from xinglin.kernel.errors import Invalid, Problem

if TYPE_CHECKING:
    from xinglin.core.search.parse import Request

MAX_STEPS: Final = 4000
MAX_DEPTH: Final = 8

MODIFIERS: Final[dict[str, frozenset[str]]] = {
    "string": frozenset({"exact", "contains"}),
    "token": frozenset({"text", "not", "above", "below", "in", "not-in", "of-type"}),
    "reference": frozenset({"identifier"}),
    "uri": frozenset({"above", "below"}),
}

MOST_NAMED: Final = 200
"""Characters of a name whose reading is remembered."""


class UnknownParameter(Invalid):
    """No such parameter: what `lenient` forgives."""

    default_code = "not-supported"


class StillIndexed(UnknownParameter):
    """Posted at run time, and existing data is not indexed yet: an answer would leave resources out."""

    default_code = "incomplete"


class Unchainable(Invalid):
    """Not a reference: where a chain passes through several types, those of which this is true are left out."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a parameter's name means on a type: a function from its value to a condition.

    `steps` is how many types its chains pass through, for the bound on all of a request's.
    """

    condition: Callable[[Request, str], Condition]
    steps: int = 0


def named(registry: Registry, type_name: str, name: str) -> Reading:
    """What a parameter's name means on a type. Raises UnknownParameter, or Invalid where it makes no sense."""
    if len(name) <= MOST_NAMED:
        return _remembered(registry, registry.revision, type_name, name)
    return Names(registry).reading(type_name, name, 0)


@lru_cache(maxsize=4096)
def _remembered(registry: Registry, revision: int, type_name: str, name: str) -> Reading:
    """The reading of a name that has been read before; errors are not remembered."""
    return Names(registry).reading(type_name, name, 0)


def too_many_steps() -> Invalid:
    return Invalid(
        "The chain passes through too many types.",
        code="too-costly",
        remedy="Name the type of each reference, as in subject:Patient.name.",
    )


class Names:
    """The names of parameters, read once for whatever values they are given. `counted` is told of each type that a
    chain passes through, where they are not counted here."""

    def __init__(self, registry: Registry, counted: Callable[[int], None] | None = None) -> None:
        self.registry = registry
        self.steps = 0
        self.count_steps = counted or self._count_steps

    def _count_steps(self, number: int) -> None:
        self.steps += number
        if self.steps > MAX_STEPS:
            raise too_many_steps()

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
        if found is None or found.code in texts.UNSUPPORTED:
            known = ", ".join(sorted(self.registry.of_type(type_name).keys() - texts.UNSUPPORTED.keys()))
            why = f": {texts.UNSUPPORTED[found.code]}" if found else ""
            raise UnknownParameter(
                f"{type_name} has no search parameter {code!r}{why}.", expression=code, remedy=f"It has: {known}."
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

        def condition(request: Request, value: str) -> Condition:
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

        def condition(request: Request, value: str) -> Condition:
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
