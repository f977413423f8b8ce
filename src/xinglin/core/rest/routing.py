"""What is served, as one table: shapes of paths, the interactions on them, and the `$operations`.

The CapabilityStatement, the OpenAPI description and the reference page are generated from this table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from xinglin.core.rest.exchange import Answer, Call, shortened
from xinglin.core.schema.definitions import compartment, resource_types
from xinglin.kernel.errors import NotFound, Problem

Handler = Callable[[Call], Awaitable[Answer]]

TYPES: Final = frozenset(resource_types())
FHIR_TYPE: Final = "application/fhir+json"
COMPARTMENTS: Final = frozenset({"Patient", "Encounter", "Practitioner", "RelatedPerson", "Device"})


READ_ONLY: Final = frozenset({"AuditEvent"})
"""Types that only the node itself writes."""
_WRITES: Final = frozenset({"create", "update", "patch", "delete"})


class MethodNotAllowed(Problem):
    status = 405
    default_code = "not-supported"

    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interaction:
    """An interaction of the specification on a shape of path. `public`: served to anyone, signed in or not."""

    code: str
    shape: str
    method: str
    handler: Handler
    summary: str
    public: bool = False
    media: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Operation:
    """A `$operation`. levels: "system", "type", "instance"; types: empty means every type.

    writes: it changes something, so GET is refused. media: what it answers beside or instead of FHIR's JSON.
    done: the statuses of its answers.
    """

    name: str
    levels: frozenset[str]
    handler: Handler
    summary: str
    types: frozenset[str] = frozenset()
    definition: str = ""
    writes: bool = False
    reads: bool = True
    deletes: bool = False
    media: frozenset[str] = frozenset()
    done: tuple[int, ...] = (200,)

    def methods(self) -> tuple[str, ...]:
        pairs = (("GET", self.reads and not self.writes), ("POST", self.reads), ("DELETE", self.deletes))
        return tuple(method for method, served in pairs if served)

    def answers(self, method: str) -> list[tuple[int, tuple[str, ...]]]:
        """Statuses and media types of its answers to a method, for the description."""
        if method == "DELETE":
            return [(202, (FHIR_TYPE,))]
        return [
            (status, tuple(sorted(self.media)) if self.media and status == 200 else (FHIR_TYPE,))
            for status in self.done
        ]


class Routes:
    """Finds what answers a call."""

    def __init__(self, interactions: Sequence[Interaction], operations: Sequence[Operation]) -> None:
        self.interactions = tuple(interactions)
        self.operations = tuple(operations)
        self._by_shape: dict[str, dict[str, Interaction]] = {}
        for interaction in interactions:
            self._by_shape.setdefault(interaction.shape, {})[interaction.method] = interaction
        self._by_name: dict[str, list[Operation]] = {}
        for operation in operations:  # one name may mean something at several places
            self._by_name.setdefault(operation.name, []).append(operation)
        self.instance = self._by_shape["instance"]

    def find(self, call: Call) -> Interaction:
        """The interaction for a call, or the Problem that says what is wrong with its address or method."""
        segments = call.segments
        method = "GET" if call.method == "HEAD" else call.method
        if len(segments) == 2 and segments[0] in TYPES and segments[1][:1] not in ("_", "$"):
            found = self.instance.get(method)  # the hot path: read by id
            if found is not None and (method == "GET" or segments[0] not in READ_ONLY):
                return found
        if segments and segments[-1].startswith("$"):
            return self._operation(call, method)
        shape = shape_of(segments)
        served = self._by_shape[shape]
        if segments and segments[0] in READ_ONLY:
            served = {name: one for name, one in served.items() if one.code not in _WRITES}
        if method not in served:
            raise not_allowed(call.method, served)
        return served[method]

    def _operation(self, call: Call, method: str) -> Interaction:
        name, place = call.segments[-1][1:], call.segments[:-1]
        named = self._by_name.get(name)
        if named is None:
            raise NotFound(
                f"There is no operation ${shortened(name)}.",
                code="not-supported",
                remedy=_like(name, self._by_name, "$"),
            )
        level = _level(place)
        operation = next((one for one in named if _stands_at(one, level, place)), None)
        if operation is None:
            where = "; ".join(_where(one) for one in named)
            raise NotFound(f"${name} is not served here.", code="not-supported", remedy=f"It is served on {where}.")
        if operation.writes and place and place[0] in READ_ONLY:
            raise not_allowed(call.method, ())
        if method not in operation.methods():
            raise not_allowed(call.method, operation.methods())
        return Interaction("operation", level, method, operation.handler, operation.summary, media=operation.media)


def shape_of(segments: Sequence[str]) -> str:
    """The name of a path's shape; raises NotFound with a remedy for a path that has none."""
    match segments:
        case []:
            return "system"
        case ["metadata"]:
            return "metadata"
        case ["openapi.json"]:
            return "openapi"
        case ["_history"]:
            return "system-history"
        case ["_search"]:
            return "system-search"
    known_type(segments[0])
    match segments[1:]:
        case []:
            return "type"
        case ["_history"]:
            return "type-history"
        case ["_search"]:
            return "type-search"
        case [_]:
            return "instance"
        case [_, "_history"]:
            return "instance-history"
        case [_, "_history", _]:
            return "version"
        case [_, ("*" | "_search")]:
            return _compartment(segments)
        case [_, name]:
            known_type(name)
            return _compartment(segments)
        case [_, name, "_search"]:
            if name != "*":
                known_type(name)
            return _compartment(segments)
    raise NotFound("There is nothing at this address.", remedy="Addresses are [base]/[type]/[id]; see [base]/metadata.")


def _compartment(segments: Sequence[str]) -> str:
    if segments[0] not in COMPARTMENTS:
        raise NotFound(f"{segments[0]} has no compartment.", remedy=f"{', '.join(sorted(COMPARTMENTS))} have one.")
    return "compartment-search" if segments[-1] == "_search" else "compartment"


def _level(place: Sequence[str]) -> str:
    if place:
        known_type(place[0])
    levels = {0: "system", 1: "type", 2: "instance"}
    if len(place) == 4 and place[2] == "_history":
        return "version"
    level = levels.get(len(place))
    if level is None:
        raise NotFound("There is nothing at this address.", remedy="Operations are at [base]/[type]/[id]/$name.")
    return level


def known_type(name: str) -> str:
    """The name when it is a resource type of R4; else NotFound with the nearest one."""
    if name not in TYPES:
        raise NotFound(
            f"There is no resource type {shortened(name)!r}.", code="not-supported", remedy=_like(name, TYPES)
        )
    return name


def _like(name: str, known: Mapping[str, object] | frozenset[str], sign: str = "") -> str:
    exact = [one for one in known if one.lower() == name.lower()]
    near = exact or get_close_matches(name[:64], known, n=1, cutoff=0.6)
    return f"Did you mean {sign}{near[0]}?" if near else "See [base]/metadata for what is served."


def not_allowed(method: str, served: Mapping[str, object] | Sequence[str]) -> MethodNotAllowed:
    allowed = tuple(served) + (("HEAD",) if "GET" in served else ())
    remedy = f"Use {', '.join(allowed)}." if allowed else "Only the node itself writes this."
    problem = MethodNotAllowed(f"{shortened(method, 20)} is not served here.", remedy=remedy)
    problem.allowed = allowed
    return problem


def _stands_at(operation: Operation, level: str, place: Sequence[str]) -> bool:
    own = operation.types
    return level in operation.levels and (level == "system" or not own or place[0] in own)


def _where(operation: Operation) -> str:
    types = ", ".join(sorted(operation.types)) or "every type"
    return f"{types} ({', '.join(sorted(operation.levels))})"


def in_compartment(name: str) -> Sequence[str]:
    """The resource types that a compartment can hold."""
    return sorted(compartment(name))
