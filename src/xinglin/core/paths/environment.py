"""What an evaluation may ask of the world around it, and the bounds it must keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Json = Any
Resolver = Callable[[str], "dict[str, Any] | None"]

MAX_STEPS = 1_000_000
"""Items an evaluation may visit or make: about a second of work."""

MAX_TEXT = 4_000_000
"""Characters one string may grow to."""

STANDARD: Mapping[str, str] = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}


@dataclass(frozen=True, slots=True)
class Environment:
    """Everything is optional: without a resolver `resolve()` finds only contained resources and bundle entries.

    `variables` are `%name` -> JSON value or list of them. `resolver` takes a reference and returns the resource or
    None. `member_of(value, type, value set URL)`, `conforms_to(resource, profile URL)` and `subsumes(Coding, Coding)`
    (the first is the second or wider) answer True, False or None (unknown). `trace(name, values)` receives what
    `trace()` shows. `now` fixes the clock; it must know its zone.
    """

    variables: Mapping[str, Json] = field(default_factory=dict)
    resolver: Resolver | None = None
    member_of: Callable[[Json, str, str], bool | None] | None = None
    conforms_to: Callable[[Json, str], bool | None] | None = None
    subsumes: Callable[[Json, Json], bool | None] | None = None
    trace: Callable[[str, list[Json]], None] | None = None
    now: datetime | None = None
    root: Json = None
    max_steps: int = MAX_STEPS


NOTHING = Environment()


def standing(name: str) -> str | None:
    """The value of a variable that FHIR defines: `%sct`, `%'vs-name'`, `%'ext-name'`."""
    if name.startswith("vs-"):
        return f"http://hl7.org/fhir/ValueSet/{name[3:]}"
    if name.startswith("ext-"):
        return f"http://hl7.org/fhir/StructureDefinition/{name[4:]}"
    return STANDARD.get(name)


def is_given(name: str, environment: Environment) -> bool:
    """Whether a variable stands without being defined: by the language, by FHIR or by the caller."""
    return name in environment.variables or name in _ALWAYS or standing(name) is not None


_ALWAYS = frozenset({"context", "resource", "rootResource"})
