"""An expression ready to run: read once, specialised once for each type of value it meets."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from . import fast, model
from .check import check
from .compiler import compile_tree
from .environment import NOTHING, Environment
from .errors import PathError, PathTooCostly
from .items import Item, fhir_type, root_node, to_json
from .parser import parse
from .syntax import Tree
from .world import Frame, World

Json = Any
_MALFORMED = (AttributeError, TypeError, KeyError, RecursionError)


class Evaluation:
    """A path bound to one type of root: `values` and `typed` take (resource, environment) and return a list."""

    __slots__ = ("typed", "values")

    def __init__(
        self,
        values: Callable[..., list[Json]],
        typed: Callable[..., list[tuple[Json, str]]],
    ) -> None:
        self.values = values
        self.typed = typed


class Path:
    """A compiled expression. Call it with a resource (parsed JSON): a list of plain JSON values.

    Errors are PathError (400), with the phase and the place. Evaluations of one Path may run in many threads.
    """

    __slots__ = ("_bound", "_filters", "_general", "source", "tree", "type")

    def __init__(self, source: str, tree: Tree, type: str | None, filters: bool) -> None:
        self.source, self.tree, self.type = source, tree, type
        self._filters = filters
        self._bound: dict[str, Evaluation] = {}
        self._general = compile_tree(tree, source, filters)

    def __call__(self, resource: Json, environment: Environment = NOTHING) -> list[Json]:
        return self._evaluation(resource).values(resource, environment)

    def evaluate_typed(self, resource: Json, environment: Environment = NOTHING) -> list[tuple[Json, str]]:
        """(value, FHIR type) pairs: `("2024-05-01", "dateTime")`, `({"value": ...}, "Quantity")`."""
        return self._evaluation(resource).typed(resource, environment)

    def is_true(self, resource: Json, environment: Environment = NOTHING) -> bool | None:
        """The answer of a rule: True, False, or None where the result is empty; one item of another type is true."""
        values = self(resource, environment)
        if len(values) > 1:
            raise PathError(f"expected one truth value, found {len(values)} items", source=self.source, position=0)
        return None if not values else values[0] if isinstance(values[0], bool) else True

    def items(self, resource: Json, environment: Environment = NOTHING, type: str | None = None) -> list[Item]:
        """The items themselves, System values and Nodes: for callers inside the engine."""
        world = World(environment, root_node(resource, type or self.type))
        try:
            return self._general(Frame([world.context], 0, [], world))
        except PathError as error:
            raise self._placed(error) from None
        except RecursionError:
            raise PathTooCostly("the value is nested too deeply", source=self.source, position=0) from None

    def for_type(self, type_name: str) -> Evaluation:
        """The path specialised for roots of one type ("Observation", "Observation.component"); kept for reuse."""
        bound = self._bound.get(type_name)
        if bound is None:
            bound = self._bound[type_name] = self._bind(type_name)
        return bound

    def _evaluation(self, resource: Json) -> Evaluation:
        if self.type is not None:
            return self.for_type(self.type)
        declared = resource.get("resourceType") if resource.__class__ is dict else None
        return self.for_type(declared if declared.__class__ is str and model.is_resource(declared) else "")

    def _bind(self, type_name: str) -> Evaluation:
        def values(resource: Json, environment: Environment = NOTHING) -> list[Json]:
            found = [to_json(item) for item in self.items(resource, environment, type_name or None)]
            return [value for value in found if value is not None]

        def typed(resource: Json, environment: Environment = NOTHING) -> list[tuple[Json, str]]:
            items = self.items(resource, environment, type_name or None)
            found = [(to_json(item), fhir_type(item)) for item in items]
            return [pair for pair in found if pair[0] is not None]

        if type_name and type_name != self.type:
            check(self.tree, self.source, type_name, strict=False)
        plan = fast.plan(self.tree, type_name, self._filters) if model.known(type_name) else None
        if plan is None:
            return Evaluation(values, typed)
        return Evaluation(_else(plan.values, values), _else(plan.pairs, typed))

    def _placed(self, error: PathError) -> PathError:
        if error.source:
            return error
        return error.__class__(
            error.text, source=self.source, position=error.position, phase=error.phase, remedy=error.remedy
        )


def _else(short: Callable[..., Any], long: Callable[..., Any]) -> Callable[..., Any]:
    """The short way; the long one, which checks every step, where the JSON is not shaped as the model says."""

    def evaluate(resource: Json, environment: Environment = NOTHING) -> Any:
        try:
            return short(resource, environment)
        except _MALFORMED:
            return long(resource, environment)

    return evaluate


MAX_CACHED = 4_000
"""Characters of an expression that is kept for reuse: others' expressions must not fill the memory."""


def compile(expression: str, *, type: str | None = None, strict: bool = False, as_filters: bool = False) -> Path:
    """Read `expression`; the same Path is returned for the same arguments.

    `type` names the type of the values it will be applied to, where that is not a resource ("Observation.component").
    `strict` refuses what the model shows to be wrong: unknown elements, functions on values they cannot take.
    `as_filters` lets `as` pick from many items, as R4's own search parameters and invariants use it (N1: from one).
    Raises PathError: phase `syntax` or `semantic`, with the place.
    """
    make = _kept if len(expression) <= MAX_CACHED else _compiled
    return make(expression, type, strict, as_filters)


def _compiled(expression: str, type: str | None, strict: bool, as_filters: bool) -> Path:
    try:
        tree = parse(expression)
        check(tree, expression, type, strict)
        return Path(expression, tree, type, as_filters)
    except RecursionError:
        raise PathTooCostly("nested too deeply", source=expression, position=0, phase="syntax") from None


_kept = lru_cache(maxsize=5_000)(_compiled)


def search(expression: str) -> Path:
    """`compile` for the expression of a SearchParameter."""
    return compile(expression, as_filters=True)
