"""The R4 model as the engine asks it: which JSON keys hold an element, of which type, and which types are kin."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from xinglin.core.schema import definitions

SYSTEM_TYPES = frozenset(
    {"Any", "Boolean", "String", "Integer", "Long", "Decimal", "Date", "DateTime", "Time", "Quantity"}
)

TEXT_TYPES = frozenset(
    "string code id markdown uri url canonical oid uuid base64Binary xhtml".split()  # noqa: SIM905
)
"""Primitives whose JSON string is their whole value: equal text is equality."""


@dataclass(frozen=True, slots=True)
class Child:
    """An element seen from its parent: `types` maps each JSON key it may be held under to the FHIR type there."""

    name: str
    types: Mapping[str, str]
    repeats: bool
    choice: bool
    siblings: Mapping[str, str]
    """`_key` -> type for the keys of primitives: where their id and extensions are."""
    only: tuple[str, str] | None
    """(key, type) where there is but one."""


@cache
def children(type_name: str) -> Mapping[str, Child]:
    """Element name -> Child; empty for a type there is no definition of."""
    definition = definitions.type_def(type_name)
    if definition is None:
        return {}
    names = ("id", "extension") if definition.kind == "primitive-type" else definition.elements
    return {name: _child(definition.elements[name]) for name in names if name in definition.elements}


def _child(element: definitions.Element) -> Child:
    types = {definitions.json_name(element, code): code for code in element.types}
    siblings = {f"_{key}": code for key, code in types.items() if is_primitive(code)}
    only = next(iter(types.items())) if len(types) == 1 else None
    return Child(element.name, types, element.repeats, element.choice, siblings, only)


@cache
def keys(type_name: str) -> Mapping[str, tuple[str, str]]:
    """JSON key (with and without `_`) -> (element name, type), in the order of the definition."""
    found: dict[str, tuple[str, str]] = {}
    for child in children(type_name).values():
        for key, code in (*child.types.items(), *child.siblings.items()):
            found[key] = (child.name, code)
    return found


@cache
def known(type_name: str) -> bool:
    return definitions.type_def(type_name) is not None


@cache
def is_primitive(type_name: str) -> bool:
    definition = definitions.type_def(type_name)
    return definition is not None and definition.kind == "primitive-type"


@cache
def is_resource(type_name: str) -> bool:
    definition = definitions.type_def(type_name)
    return definition is not None and definition.kind == "resource"


@cache
def lineage(type_name: str) -> tuple[str, ...]:
    """The type and its bases, nearest first."""
    line: list[str] = []
    name: str | None = type_name
    while name is not None and name not in line:
        line.append(name)
        definition = definitions.type_def(name)
        name = definition.base if definition else None
    return tuple(line)


@cache
def declared(type_name: str) -> str:
    """The name a type has in FHIR: `BackboneElement` of `Patient.contact`, which has none of its own."""
    return next((name for name in lineage(type_name) if "." not in name), type_name)


def is_kind_of(type_name: str, base: str) -> bool:
    return type_name == base or base in lineage(type_name)
