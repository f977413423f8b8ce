"""The index rows of a resource: all of its type's parameters gathered in one pass over its JSON.

The walks of a type's parameters are merged into a tree of property names with leaves where values are found. Ingest
then touches each property of a resource once, however many parameters there are: the cost follows the resource.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xinglin.core import paths as fhirpath
from xinglin.core.paths.errors import PathError
from xinglin.core.search.branches import Walk, implied_systems
from xinglin.core.search.composites import WalkSteps, composite_leaf, follow
from xinglin.core.search.parameters import REGISTRY, Parameter, Path, Registry, person_paths
from xinglin.core.search.references import local_reference
from xinglin.core.search.rows import (
    CANONICAL,
    IndexRows,
    Leaf,
    canonical_leaf,
    moment_leaf,
    number_leaf,
    quantity_leaf,
    reference_leaf,
    string_leaf,
    token_leaf,
    uri_leaf,
)
from xinglin.core.store.keys import key_of

__all__ = ["CANONICAL", "IndexRows", "extract", "references"]

Whole = Callable[[Any, IndexRows], None]


@dataclass(slots=True)
class Node:
    """Where the walk stands after a property: what to take here, what to look at below."""

    leaves: list[Leaf] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)
    guarded: dict[tuple[str, str], Node] = field(default_factory=dict)
    indexed: dict[int, Node] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TypePlan:
    """A type's compiled extraction: the tree, and what needs the resource as a whole."""

    root: Node
    whole: tuple[Whole, ...]
    presence: tuple[tuple[int, int], ...]  # (bit of a borrowed mask, presence hash) of parameters beyond the 63rd


def extract(resource: Mapping[str, Any], registry: Registry = REGISTRY) -> IndexRows:
    """The rows to write beside a resource that has passed the structure check.

    Raises Invalid for a type that does not exist. What cannot be read as its parameter's type leaves no row.
    """
    type_name = resource["resourceType"]
    plan = _plan(type_name, registry)
    rows = IndexRows()
    if type_name == "Patient" and "id" in resource:
        rows.person, rows.rank = key_of("Patient", resource["id"]), -1
    _visit(plan.root, resource, rows)
    for leaf in plan.whole:
        leaf(resource, rows)
    for bit, hashed in plan.presence:
        if rows.present & bit:
            rows.by_hash[hashed] = 0
    rows.present &= _COLUMN
    rows.refuse_too_many()
    return rows


_COLUMN = 2**63 - 1


def _visit(node: Node, value: Mapping[str, Any], rows: IndexRows) -> None:
    children = node.children
    for name, below in value.items():
        child = children.get(name)
        if child is None:
            continue
        if type(below) is list:
            for item in below:
                _arrive(child, item, rows)
            if child.indexed:
                _arrive_indexed(child, below, rows)
        else:
            _arrive(child, below, rows)


def _arrive(node: Node, value: Any, rows: IndexRows) -> None:
    if value is None:  # a primitive that has only extensions
        return
    for leaf in node.leaves:
        leaf(value, rows)
    if node.children and type(value) is dict:
        _visit(node, value, rows)
    if node.guarded:
        for (name, wanted), below in node.guarded.items():
            if value.get(name) == wanted:
                _arrive(below, value, rows)


def _arrive_indexed(node: Node, items: list[Any], rows: IndexRows) -> None:
    for index, below in node.indexed.items():
        if index < len(items):
            _arrive(below, items[index], rows)


@dataclass(slots=True)
class _Target:
    """One place where a path's values stand, and the presence bits of the parameters that share it."""

    path: Path
    walk: Walk
    mask: int = 0
    restricted: dict[str, int] = field(default_factory=dict)


_plans: dict[tuple[int, str], tuple[int, TypePlan]] = {}


def _plan(type_name: str, registry: Registry) -> TypePlan:
    known = _plans.get((id(registry), type_name))
    if known is None or known[0] != registry.revision:
        known = _plans[id(registry), type_name] = (registry.revision, _compile(type_name, registry))
    return known[1]


def _compile(type_name: str, registry: Registry) -> TypePlan:
    root, whole, presence = Node(), [], []
    targets: dict[tuple[int, str, WalkSteps], _Target] = {}
    for place, parameter in enumerate(registry.of_type(type_name).values()):
        if parameter.bit is None and parameter.paths:
            presence.append((1 << (64 + place), parameter.presence))
        mask = 1 << (64 + place if parameter.bit is None else parameter.bit)
        for path in parameter.paths:
            if path.walks is None:
                whole.append(_evaluated(path, mask, parameter, registry))
            for walk in path.walks or ():
                target = targets.setdefault((path.hash, walk.type, walk.steps), _Target(path, walk))
                if path.restriction:
                    target.restricted[path.restriction] = target.restricted.get(path.restriction, 0) | mask
                else:
                    target.mask |= mask
    for target in targets.values():
        _plant(root, whole, target, type_name, registry)
    if "url" in registry.of_type(type_name):
        _descend(root, (("url", None, None),)).leaves.append(canonical_leaf())
    return TypePlan(root, tuple(whole), tuple(presence))


def _plant(root: Node, whole: list[Whole], target: _Target, type_name: str, registry: Registry) -> None:
    path, walk = target.path, target.walk
    if path.kind == "composite":
        for components in path.components:
            leaf = composite_leaf(path, components, target.mask, registry.base)
            whole.append(_over(walk.steps, leaf))
        return
    leaf = _leaf(path, walk.type, target, type_name, registry)
    _descend(root, walk.steps).leaves.append(leaf)


def _over(steps: WalkSteps, leaf: Callable[..., None]) -> Whole:
    """Composites look at their element and, some, at the resource: they run after the walk."""
    if not steps:
        return lambda resource, rows: leaf(resource, rows, resource)
    first = steps[0][0]

    def visit(resource: Any, rows: IndexRows) -> None:
        if first in resource:
            for value in follow(resource, steps):
                leaf(value, rows, resource)

    return visit


def _descend(node: Node, steps: WalkSteps) -> Node:
    for name, guard, index in steps:
        node = node.children.setdefault(name, Node())
        if index is not None:
            node = node.indexed.setdefault(index, Node())
        if guard is not None:
            node = node.guarded.setdefault(guard, Node())
    return node


def _leaf(path: Path, fhir_type: str, target: _Target, type_name: str, registry: Registry) -> Leaf:
    if path.kind == "token":
        systems = implied_systems(target.walk.element)
        return token_leaf(path.hash, fhir_type, target.mask, systems, True)
    if path.kind == "reference":
        names = person_paths(type_name)
        rank = names.index(path.text) if path.text in names else None
        return reference_leaf(path.hash, fhir_type, target.mask, target.restricted, rank, registry.base)
    if path.kind == "date":
        return moment_leaf(path.hash, fhir_type, target.mask, path.headline)
    if path.kind == "string":
        return string_leaf(path.hash, fhir_type, target.mask, path.prefixed)
    simple = {"uri": uri_leaf, "number": number_leaf, "quantity": quantity_leaf}
    make = simple.get(path.kind)
    return make(path.hash, fhir_type, target.mask) if make else (lambda value, rows: None)


def _evaluated(path: Path, mask: int, parameter: Parameter, registry: Registry) -> Whole:
    """A path that is more than a walk: FHIRPath finds the values and their types."""
    compiled = fhirpath.search(path.expression)
    leaves: dict[str, Leaf] = {}

    def visit(resource: Any, rows: IndexRows) -> None:
        try:
            found = compiled.evaluate_typed(resource)
        except PathError:  # this resource gives it nothing to work on: no row, and the write goes on
            return
        for value, fhir_type in found:
            leaf = leaves.get(fhir_type)
            if leaf is None:
                target = _Target(path, Walk((), fhir_type, None, True), mask)
                leaf = leaves[fhir_type] = _leaf(path, fhir_type, target, parameter.type_name, registry)
            leaf(value, rows)

    return visit


def references(resource: Mapping[str, Any], path: Path, base: str = "") -> list[str]:
    """The targets a reference path names, "Type/id" where they are of this server: what `_include` follows."""
    if path.walks is None:
        found = fhirpath.search(path.expression)(resource)
    else:
        found = [value for walk in path.walks for value in follow(resource, walk.steps)]
    written = [value.get("reference") if isinstance(value, dict) else value for value in found]
    return [local for text in written if isinstance(text, str) and (local := local_reference(text, base))]
