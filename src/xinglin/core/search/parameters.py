"""The search parameters of each type, R4's and those posted at run time, resolved to what the index holds.

What is indexed are *paths*, not parameters: a path is a union branch in canonical form with the kind of value it
gives, and parameters that share a branch share its rows. `Observation.patient` uses the rows of `subject`;
`combo-code` is the OR of `code` and `component-code`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final

from xinglin.core.schema.definitions import (
    SearchParameterDef,
    compartment,
    resource_types,
    search_parameters,
)
from xinglin.core.search.branches import Branch, Walk, branch, branches_for, split_union, walks
from xinglin.core.store.keys import hash64
from xinglin.kernel.errors import Invalid

PRESENCE_BITS: Final = 63
MAX_EXPRESSION: Final = 4000

HEADLINE_DATES: Final[dict[str, str]] = {
    "AllergyIntolerance": "date", "Appointment": "date", "AuditEvent": "date", "CarePlan": "date",
    "CareTeam": "date", "Claim": "created", "ClinicalImpression": "date", "Communication": "sent",
    "CommunicationRequest": "authored", "Composition": "date", "Condition": "recorded-date", "Consent": "date",
    "DetectedIssue": "identified", "DeviceRequest": "authored-on", "DiagnosticReport": "date",
    "DocumentReference": "date", "Encounter": "date", "EpisodeOfCare": "date", "ExplanationOfBenefit": "created",
    "FamilyMemberHistory": "date", "Flag": "date", "Goal": "start-date", "ImagingStudy": "started",
    "Immunization": "date", "Invoice": "date", "List": "date", "MeasureReport": "date", "Media": "created",
    "MedicationAdministration": "effective-time", "MedicationDispense": "whenhandedover",
    "MedicationRequest": "authoredon", "MedicationStatement": "effective", "Observation": "date",
    "Patient": "birthdate", "Person": "birthdate", "Procedure": "date", "Provenance": "recorded",
    "QuestionnaireResponse": "authored", "RelatedPerson": "birthdate", "RequestGroup": "authored",
    "RiskAssessment": "date", "Schedule": "date", "ServiceRequest": "authored", "Slot": "start",
    "Specimen": "collected", "SupplyRequest": "date", "Task": "authored-on", "VisionPrescription": "datewritten",
}  # fmt: skip
"""The date parameter of each type that lives in `resource.date`: what a clinician would order by."""

NAMES: Final = frozenset(
    f"{person}.name{part}"
    for person in ("Patient", "Person", "Practitioner", "RelatedPerson")
    for part in ("", ".family", ".given")
)
"""Paths whose beginnings are tokens. A further one needs a migration that indexes what is there (0003_names.sql)."""

NOT_INDEXED: Final = frozenset({"_id", "_lastUpdated", "_filter", "_query", "_text", "_content"})
"""Answered from columns, or no parameter of a value in the resource."""


@dataclass(frozen=True, slots=True)
class Path:
    """One indexed path. `kind` is the parameter's type; `hash` opens its rows; `walks` is None for an expression
    that only `core.paths` can evaluate. `headline`: its rows are `resource.date`. `prefixed`: the beginnings of its
    texts are tokens too, which stand in the default order: people are many, and found by a few letters."""

    text: str
    kind: str
    hash: int
    walks: tuple[Walk, ...] | None
    expression: str
    restriction: str | None = None
    headline: bool = False
    prefixed: bool = False
    components: tuple[tuple[Component, ...], ...] = ()

    @property
    def types(self) -> frozenset[str]:
        """The FHIR types that may stand at the end, where the definitions tell."""
        return frozenset(walk.type for walk in self.walks or ())


@dataclass(frozen=True, slots=True)
class Component:
    """One part of a composite, relative to the composite's element: `whole` starts at the resource instead."""

    kind: str
    walks: tuple[Walk, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """A search parameter of one type. `bit` is its place in `resource.present`, None beyond the 63rd;
    `presence` then is the hash of the token row that says the same. `component_parameters` are a composite's.

    One object each for as long as the registry does not change: compared by identity, which is quick.
    """

    type_name: str
    code: str
    kind: str
    paths: tuple[Path, ...]
    targets: tuple[str, ...]
    url: str
    bit: int | None
    presence: int
    component_kinds: tuple[str, ...] = ()
    component_targets: tuple[tuple[str, ...], ...] = ()

    @property
    def name(self) -> str:
        return f"{self.type_name}.{self.code}"


def path_hash(type_name: str, text: str, kind: str) -> int:
    """The hash that opens the rows of a path."""
    return hash64(f"{type_name}|{text}|{kind}")


@dataclass(slots=True, eq=False)
class Registry:
    """All parameters by type. `base` is the server's own URL: references below it are made relative.

    `revision` counts changes, for whoever compiles from the registry.
    """

    base: str = ""
    revision: int = 0
    custom: dict[str, SearchParameterDef] = field(default_factory=dict)
    _types: dict[str, dict[str, Parameter]] = field(default_factory=dict)

    def stand_at(self, base: str) -> None:
        """The server's own URL from now on; what was compiled with another is compiled anew."""
        if base != self.base:
            self.base = base
            self.revision += 1

    def of_type(self, type_name: str) -> dict[str, Parameter]:
        """Code -> parameter of a type; Invalid where there is no such type."""
        found = self._types.get(type_name)
        if found is None:
            if type_name not in _TYPES:
                raise Invalid(f"There is no resource type {type_name!r}.", code="not-supported")
            found = self._types[type_name] = _parameters_of(type_name, self.custom.values())
        return found

    def get(self, type_name: str, code: str) -> Parameter | None:
        return self.of_type(type_name).get(code)

    def register(self, definition: SearchParameterDef, *, ready: bool = False) -> None:
        """Add or replace a parameter posted at run time; it is not `ready` until existing data is indexed.

        Raises Invalid where the expression is too long or says nothing about its base types, and for a composite
        whose first part is no token.
        """
        if len(definition.expression or "") > MAX_EXPRESSION:
            raise Invalid(
                f"The expression has more than {MAX_EXPRESSION} characters.", expression="SearchParameter.expression"
            )
        first = _by_url().get(definition.components[0][0]) if definition.components else None
        if definition.components and (first is None or first.type != "token"):
            raise Invalid("A composite's first part is a token parameter.", expression="SearchParameter.component[0]")
        for base in definition.bases:
            if base in _TYPES and not branches_for(definition.expression or "", base):
                raise Invalid(
                    f"The expression of search parameter {definition.code!r} has no branch for {base}.",
                    expression="SearchParameter.expression",
                )
        self.custom[definition.url] = definition
        self._pending = {*self._pending} - {definition.url} if ready else {*self._pending, definition.url}
        self._changed()

    def mark_ready(self, url: str) -> None:
        """Existing data has been indexed for this parameter."""
        self._pending = {*self._pending} - {url}
        self._changed()

    def remove(self, url: str) -> None:
        self.custom.pop(url, None)
        self.mark_ready(url)

    def pending(self) -> frozenset[str]:
        """URLs of parameters whose existing data is still being indexed."""
        return frozenset(self._pending)

    def _changed(self) -> None:
        self._types.clear()
        self.revision += 1

    _pending: set[str] = field(default_factory=set)


_TYPES: Final = frozenset(resource_types())
_NOT_DOMAIN: Final = frozenset({"Bundle", "Binary", "Parameters"})


@cache
def _by_base() -> dict[str, list[SearchParameterDef]]:
    found: dict[str, list[SearchParameterDef]] = {}
    for definition in search_parameters():
        for base in definition.bases:
            if not definition.url.endswith("/example"):
                found.setdefault(base, []).append(definition)
    return found


@cache
def _by_url() -> dict[str, SearchParameterDef]:
    return {definition.url: definition for definition in search_parameters()}


def _parameters_of(type_name: str, custom: Iterable[SearchParameterDef]) -> dict[str, Parameter]:
    bases = ["Resource", *([] if type_name in _NOT_DOMAIN else ["DomainResource"]), type_name]
    own = {d.code: d for base in bases for d in _by_base().get(base, ()) if _usable(d, type_name)}
    ordered = sorted(own)
    places = {code: place for place, code in enumerate(c for c in ordered if c not in NOT_INDEXED)}
    result = {}
    for code in ordered:
        place = places.get(code, PRESENCE_BITS)
        result[code] = _parameter(type_name, own[code], place if place < PRESENCE_BITS else None)
    for definition in custom:
        if set(definition.bases) & set(bases):
            result[definition.code] = _parameter(type_name, definition, None)
    return result


def _usable(definition: SearchParameterDef, type_name: str) -> bool:
    if definition.code in NOT_INDEXED:
        return definition.code != "_query"
    return bool(definition.expression) and bool(branches_for(definition.expression or "", type_name))


def _parameter(type_name: str, definition: SearchParameterDef, bit: int | None) -> Parameter:
    code, kind = definition.code, definition.type
    headline = HEADLINE_DATES.get(type_name) == code
    composite = [_by_url().get(url) for url, _ in definition.components]
    paths = [] if code in NOT_INDEXED else _paths(type_name, definition, headline)
    return Parameter(
        type_name=type_name,
        code=code,
        kind="date" if code == "_lastUpdated" else kind,
        paths=tuple(paths),
        targets=definition.targets,
        url=definition.url,
        bit=bit,
        presence=hash64(f"{type_name}|{code}|present" + (f"|{definition.generation}" if definition.generation else "")),
        component_kinds=tuple(part.type if part else "token" for part in composite),
        component_targets=tuple(part.targets if part else () for part in composite),
    )


def _paths(type_name: str, definition: SearchParameterDef, headline: bool) -> list[Path]:
    found: dict[tuple[str, str | None], Path] = {}
    for part in branches_for(definition.expression or "", type_name):
        path = _path(type_name, definition, part)
        known = found.get((path.text, None))
        if known is None:
            found[path.text, path.restriction] = replace(path, headline=headline)
    return list(found.values())


def _path(type_name: str, definition: SearchParameterDef, part: Branch) -> Path:
    whole = f"{type_name}.{part.text}" if part.steps is not None else part.text
    if definition.type == "composite":
        return _composite_path(type_name, definition, part)
    taken = None if part.steps is None else tuple(walks(type_name, part.steps)) or None
    own = f"{definition.generation}:{part.text}" if definition.generation else part.text
    hashed = path_hash(type_name, own, definition.type)
    prefixed = whole in NAMES and definition.type == "string" and not definition.generation
    return Path(part.text, definition.type, hashed, taken, whole, part.restriction, prefixed=prefixed)


def _composite_path(type_name: str, definition: SearchParameterDef, part: Branch) -> Path:
    base = tuple(walks(type_name, part.steps or ()))
    at = base[0].type if base else type_name
    texts, components = [part.text], []
    for url, expression in definition.components:
        component, text = _component(type_name, at, url, expression)
        components.append(component)
        texts.append(text)
    text = "$".join(texts)
    components.sort(key=lambda component: component.kind != "token")  # the code opens the path of the rest
    hashed = path_hash(type_name, text, "composite")
    return Path(text, "composite", hashed, base, part.text, components=(tuple(components),))


def _component(type_name: str, at: str, url: str, expression: str) -> tuple[Component, str]:
    kind = _by_url()[url].type if url in _by_url() else "token"
    whole = expression.startswith("%resource.")
    start = type_name if whole else at
    parts = [branch(text.removeprefix("%resource.")) for text in split_union(expression)]
    taken = [walk for part in parts for walk in walks(start, part.steps or ())]
    return Component(kind, tuple(taken), whole), "|".join(part.text for part in parts)


@cache
def person_paths(type_name: str) -> tuple[str, ...]:
    """Texts of the reference paths that make a resource a person's, in the compartment's order of preference."""
    codes = [code for code in compartment("Patient").get(type_name, ()) if code != "{def}"]
    first = sorted(codes, key=lambda code: code not in ("patient", "subject"))
    texts: dict[str, None] = {}
    for code in first:
        parameter = REGISTRY.get(type_name, code)
        for path in parameter.paths if parameter else ():
            if path.restriction in (None, "Patient"):
                texts[path.text] = None
    return tuple(texts)


def decides_person(type_name: str, path: Path) -> bool:
    """True where a reference to a Patient at this path is always the resource's person."""
    first = person_paths(type_name)[:1]
    return type_name != "Patient" and first == (path.text,) and element_max_one(path)


def sole_person_path(type_name: str) -> bool:
    """True where nothing else makes a resource of this type a person's."""
    return len(person_paths(type_name)) == 1


REGISTRY: Final = Registry()
"""The process's registry."""


def element_max_one(path: Path) -> bool:
    """True where a resource holds at most one value of the path."""
    return path.walks is not None and not any(walk.repeats for walk in path.walks)
