"""The definitions' invariants along an instance: FHIRPath rules such as per-1 or obs-6, each on the values it governs.

For `$validate`, not for the ingest path. The resource is taken to be sound in structure; rules that the structural
pass proves already (ele-1, txt-1, ...) are left to it. A rule the engine cannot evaluate is told as information.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

from xinglin.core import paths
from xinglin.core.schema.definitions import Constraint, Element, TypeDef, json_name, type_def
from xinglin.kernel.errors import Issue

# Proved by the structural pass: no empty elements, safe narratives, one level of contained resources.
STRUCTURAL = frozenset({"ele-1", "txt-1", "txt-2", "dom-2"})
MAX_ISSUES = 500
Rules = tuple[tuple[str, str, paths.Path], ...]


def validate(
    resource: dict[str, Any], *, environment: paths.Environment = paths.Environment(), severities: str = "error"
) -> tuple[Issue, ...]:
    """Broken invariants with their places. `severities` names those to evaluate: "error" or "error warning"."""
    wanted = frozenset(severities.split())
    issues: list[Issue] = []
    scoped = _scoped(environment, resource, resource)
    for issue in _resource(resource, resource["resourceType"], scoped, resource, wanted):
        issues.append(issue)
        if len(issues) == MAX_ISSUES:
            break
    return tuple(issues)


def _scoped(environment: paths.Environment, resource: Any, root: Any) -> paths.Environment:
    """`%resource` is the resource a value stands in, `%rootResource` the one that contains it, if any."""
    return replace(
        environment, root=root, variables={**environment.variables, "resource": resource, "rootResource": root}
    )


def _resource(
    value: dict[str, Any], path: str, environment: paths.Environment, root: Any, wanted: frozenset[str]
) -> Iterator[Issue]:
    definition = type_def(value["resourceType"])
    if definition is not None:
        yield from _object(value, definition, path, environment, root, wanted)


def _object(
    value: dict[str, Any],
    definition: TypeDef,
    path: str,
    environment: paths.Environment,
    root: Any,
    wanted: frozenset[str],
) -> Iterator[Issue]:
    yield from _broken(value, _rules(definition.constraints, definition.name), path, environment, wanted)
    for element, code, name in _fields(definition.name):
        given = value.get(name)
        if given is None:
            continue
        place = f"{path}.{element.name}.ofType({code})" if element.choice else f"{path}.{name}"
        for index, item in enumerate(given if isinstance(given, list) else [given]):
            at = f"{place}[{index}]" if isinstance(given, list) else place
            if item is not None:
                yield from _value(item, element, code, at, environment, root, wanted)


def _value(
    value: Any,
    element: Element,
    code: str,
    path: str,
    environment: paths.Environment,
    root: Any,
    wanted: frozenset[str],
) -> Iterator[Issue]:
    if element.constraints:
        yield from _broken(value, _rules(element.constraints, code), path, environment, wanted)
    if not isinstance(value, dict):
        return
    if "resourceType" in value and code in ("Resource", "DomainResource"):
        contained = element.name == "contained"
        inner_root = root if contained else value
        yield from _resource(value, path, _scoped(environment, value, inner_root), inner_root, wanted)
        return
    definition = type_def(code)
    if definition is not None:
        yield from _object(value, definition, path, environment, root, wanted)


def _broken(
    value: Any, rules: Rules, path: str, environment: paths.Environment, wanted: frozenset[str]
) -> Iterator[Issue]:
    for key, severity, rule in rules:
        if severity not in wanted:
            continue
        try:
            kept = rule.is_true(value, environment)
        except paths.PathError as error:
            yield Issue("not-supported", f"rule {key} could not be evaluated: {error}", path, "information")
            continue
        if kept is False:
            yield Issue("invariant", f"breaks the rule {key}: {rule.source}", path, severity)


@cache
def _rules(constraints: tuple[Constraint, ...], type_name: str) -> Rules:
    return tuple(
        (key, severity, paths.compile(expression, type=None if _is_resource(type_name) else type_name, as_filters=True))
        for key, severity, expression in constraints
        if key not in STRUCTURAL
    )


def _is_resource(type_name: str) -> bool:
    definition = type_def(type_name)
    return definition is not None and definition.kind == "resource"


@cache
def _fields(type_name: str) -> tuple[tuple[Element, str, str], ...]:
    """(element, type, JSON name) of every element that may lead to a rule."""
    definition = type_def(type_name)
    assert definition is not None
    return tuple(
        (element, code, json_name(element, code))
        for element in definition.elements.values()
        for code in element.types
        if element.constraints or not _is_primitive(code)
    )


def _is_primitive(code: str) -> bool:
    definition = type_def(code)
    return definition is not None and definition.kind == "primitive-type"
