"""The FHIR R4 definitions as values: types, search parameters, compartments, codes of required value sets.

The data is generated from the official package by `scripts/compile_definitions.py`, and read when first used.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import orjson

# (key, severity, FHIRPath expression) of an invariant
Constraint = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a type. `name` is the JSON name without `[x]`; `max` None means unbounded.

    `types` are FHIR type codes; an element with inline children has the type named like its path
    ("Observation.component"), also by way of a contentReference. `binding` is (strength, value set URL).
    `targets` are the resource types a Reference may point to, empty where any may.
    """

    name: str
    path: str
    types: tuple[str, ...]
    min: int
    max: int | None
    choice: bool
    binding: tuple[str, str] | None
    targets: tuple[str, ...]
    summary: bool
    modifier: bool
    constraints: tuple[Constraint, ...] = ()

    @property
    def repeats(self) -> bool:
        return self.max is None or self.max > 1


@dataclass(frozen=True, slots=True)
class TypeDef:
    """A type: `kind` is primitive-type, complex-type, resource or backbone; `elements` has the inherited too."""

    name: str
    kind: str
    base: str | None
    abstract: bool
    elements: Mapping[str, Element]
    constraints: tuple[Constraint, ...]
    regex: str | None = None  # of a primitive's value
    choices: Mapping[str, Element] = field(default_factory=lambda: MappingProxyType({}))

    def element(self, json_name: str) -> Element | None:
        """The element behind a JSON property: `valueQuantity` finds `value`, and `_status` finds `status`."""
        name = json_name.removeprefix("_")
        plain = self.elements.get(name)
        return plain if plain is not None and not plain.choice else self.choices.get(name)


@dataclass(frozen=True, slots=True)
class SearchParameterDef:
    """A search parameter; `components` are (definition URL, expression) of a composite.

    generation: 0 for R4's own; of one posted at run time the number of its registration: index rows of one
    registration are never taken for those of another.
    """

    url: str
    id: str
    code: str
    bases: tuple[str, ...]
    type: str
    expression: str | None
    targets: tuple[str, ...]
    components: tuple[tuple[str, str], ...]
    comparators: tuple[str, ...]
    modifiers: tuple[str, ...]
    multiple_or: bool
    multiple_and: bool
    generation: int = 0


def json_name(element: Element, type_code: str) -> str:
    """The JSON property of an element with a value of this type: `value` + `Quantity` -> `valueQuantity`."""
    return element.name + type_code[0].upper() + type_code[1:] if element.choice else element.name


@cache
def type_def(name: str) -> TypeDef | None:
    """The definition of a primitive, data type, resource or backbone ("Observation.component"), or None."""
    row = _type_rows().get(name)
    return None if row is None else _type(row)


@cache
def resource_types() -> tuple[str, ...]:
    """The 146 resource types that can be stored, in alphabetical order."""
    return tuple(sorted(row[0] for row in _type_rows().values() if row[1] == "resource" and not row[3]))


@cache
def type_names() -> tuple[str, ...]:
    """Every type there is a definition for, backbones included."""
    return tuple(_type_rows())


@cache
def search_parameters() -> tuple[SearchParameterDef, ...]:
    """All search parameters of the base specification."""
    return tuple(_search_parameter(row) for row in _read("search_parameters"))


@cache
def compartment(name: str) -> Mapping[str, tuple[str, ...]]:
    """Resource type -> codes of the search parameters that place it there; empty for an unknown name.

    The code `{def}` stands for the compartment's own resource.
    """
    resources: dict[str, list[str]] = _read("compartments").get(name, {})
    return MappingProxyType({type_name: tuple(codes) for type_name, codes in resources.items()})


@cache
def value_set_codes(url: str) -> frozenset[tuple[str, str]] | None:
    """(system, code) of a value set that some element requires; None where the codes cannot be listed."""
    systems = _value_sets().get(url.partition("|")[0])
    if systems is None:
        return None
    return frozenset((system, code) for system, codes in systems.items() for code in codes)


@cache
def value_set_order(url: str) -> tuple[str, ...]:
    """The same codes without their systems, in the value set's order: what an error message lists."""
    return tuple(code for codes in _value_sets().get(url.partition("|")[0], {}).values() for code in codes)


def _type(row: list[Any]) -> TypeDef:
    name, kind, base, abstract, regex, constraints, element_rows = row
    elements = {element[0]: _element(element) for element in element_rows}
    choices = {json_name(e, code): e for e in elements.values() if e.choice for code in e.types}
    return TypeDef(
        name,
        kind,
        base,
        abstract,
        MappingProxyType(elements),
        _constraints(constraints),
        regex,
        MappingProxyType(choices),
    )


def _element(row: list[Any]) -> Element:
    name, path, types, low, high, choice, binding, targets, summary, modifier, constraints = row
    return Element(
        name,
        path,
        tuple(types),
        low,
        high,
        choice,
        None if binding is None else (binding[0], binding[1]),
        tuple(targets),
        summary,
        modifier,
        _constraints(constraints),
    )


def _constraints(rows: list[list[str]]) -> tuple[Constraint, ...]:
    return tuple((key, severity, expression) for key, severity, expression in rows)


def _search_parameter(row: list[Any]) -> SearchParameterDef:
    url, id_, code, bases, type_, expression, targets, components, comparators, modifiers, any_of, all_of = row
    return SearchParameterDef(
        url,
        id_,
        code,
        tuple(bases),
        type_,
        expression,
        tuple(targets),
        tuple((definition, path) for definition, path in components),
        tuple(comparators),
        tuple(modifiers),
        any_of,
        all_of,
    )


@cache
def _type_rows() -> dict[str, list[Any]]:
    return {row[0]: row for row in _read("types")}


@cache
def _value_sets() -> dict[str, dict[str, list[str]]]:
    value_sets: dict[str, dict[str, list[str]]] = _read("value_sets")
    return value_sets


def _read(name: str) -> Any:
    packed = files("xinglin.core.schema").joinpath("data", f"{name}.json.gz").read_bytes()
    return orjson.loads(gzip.decompress(packed))
