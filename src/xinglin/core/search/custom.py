"""A SearchParameter resource as something the registry can take, or what is wrong with it and where.

Taken are active parameters with an expression over types of R4. One that says the same as R4's own of that code needs
no registration; one that says something else under R4's code is refused: its searches would change their meaning.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any, Final

from xinglin.core import paths
from xinglin.core.paths.errors import PathError
from xinglin.core.schema.definitions import SearchParameterDef, resource_types
from xinglin.core.search.extract import extract
from xinglin.core.search.parameters import REGISTRY, Registry
from xinglin.core.search.rows import IndexRows
from xinglin.kernel.errors import Unprocessable

KINDS: Final = frozenset({"number", "date", "string", "token", "reference", "quantity", "uri"})
ABSTRACT: Final = frozenset({"Resource", "DomainResource"})
MOST_BASES: Final = 200


def definition_of(resource: dict[str, Any]) -> SearchParameterDef | None:
    """What is to be registered; None where there is nothing: not active, no expression, or R4's own already.

    Raises Unprocessable with the place of what cannot be.
    """
    if resource.get("status") != "active" or not resource.get("expression") or "url" not in resource:
        return None
    definition = SearchParameterDef(
        url=resource["url"],
        id=resource.get("id", ""),
        code=resource["code"],
        bases=tuple(resource["base"]),
        type=resource["type"],
        expression=resource["expression"],
        targets=tuple(resource.get("target", ())),
        components=(),
        comparators=tuple(resource.get("comparator", ())),
        modifiers=tuple(resource.get("modifier", ())),
        multiple_or=resource.get("multipleOr", True),
        multiple_and=resource.get("multipleAnd", True),
    )
    _check(definition)
    return None if _is_served(definition) else definition


def _check(definition: SearchParameterDef) -> None:
    if definition.type not in KINDS:
        raise _refusal("type", f"Parameters of type {definition.type} are not indexed.", "Use another type.")
    if not definition.code.replace("-", "").replace("_", "").isalnum() or not definition.code.isascii():
        raise _refusal("code", f"{definition.code[:40]!r} cannot be a parameter's name.", "Use letters, digits and -.")
    for place, base in enumerate(definition.bases):
        if base not in ABSTRACT and base not in resource_types():
            raise _refusal(f"base[{place}]", f"There is no resource type {base[:40]!r} in R4.")
    try:
        paths.compile(definition.expression or "", strict=True, as_filters=True)
    except PathError as error:
        raise _refusal("expression", str(error)) from error
    trial = Registry(revision=secrets.randbits(60))
    trial.register(definition)
    for base in definition.bases:  # compiles all that ingest will run
        extract({"resourceType": "Basic" if base in ABSTRACT else base}, trial)


def _is_served(definition: SearchParameterDef) -> bool:
    """Whether R4's own parameters of this code index the same. Raises where they index something else."""
    own, trial = Registry(), Registry(revision=secrets.randbits(60))
    trial.register(definition)
    same = []
    for base in definition.bases:
        name = "Basic" if base in ABSTRACT else base
        known = own.get(name, definition.code)
        if known is not None:
            mine = trial.of_type(name)[definition.code]
            same.append(known.kind == mine.kind and {p.hash for p in known.paths} == {p.hash for p in mine.paths})
    if not all(same):
        raise _refusal(
            "code", f"R4 has a parameter {definition.code} that means something else.", "Choose another code."
        )
    return bool(same) and len(same) == len(definition.bases)


def _refusal(element: str, text: str, remedy: str | None = None) -> Unprocessable:
    return Unprocessable(text, code="not-supported", expression=f"SearchParameter.{element}", remedy=remedy)


class Difference:
    """The index rows that one parameter adds to a resource: those with it, less those without."""

    def __init__(self, definition: SearchParameterDef) -> None:
        number = definition.generation << 1
        self._with = Registry(REGISTRY.base, number)
        self._with.register(definition, ready=True)
        self._without = Registry(REGISTRY.base, -number)
        self.types = _types(definition)

    def __call__(self, resource: dict[str, Any]) -> IndexRows:
        found, plain = extract(resource, self._with), extract(resource, self._without)
        added = IndexRows()
        added.by_hash = {hashed: system for hashed, system in found.by_hash.items() if hashed not in plain.by_hash}
        known = {*plain.strings}, {*plain.moments}, {*plain.quantities}
        added.strings = [row for row in dict.fromkeys(found.strings) if row not in known[0]]
        added.moments = [row for row in dict.fromkeys(found.moments) if row not in known[1]]
        added.quantities = [row for row in dict.fromkeys(found.quantities) if row not in known[2]]
        return added


def _types(definition: SearchParameterDef) -> tuple[str, ...]:
    if ABSTRACT & set(definition.bases):
        return tuple(resource_types())
    return definition.bases


def numbered(definition: SearchParameterDef, generation: int) -> SearchParameterDef:
    return replace(definition, generation=generation)
