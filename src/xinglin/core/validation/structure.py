"""The slow pass: every structural error of a resource, each with the place, what is wrong and what is allowed.

The twin of the fast pass in `core.schema.decode`, and the one with the last word. Checks elements and their types,
cardinalities, primitive formats, choices, required bindings, reference targets, narratives, and that ids inside a
resource or a Bundle differ. Invariants are in `core.validation.invariants`.
Source of the rules: https://hl7.org/fhir/R4/json.html and https://hl7.org/fhir/R4/validation.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from functools import cache
from typing import Any

from xinglin.core.schema import narrative, primitives
from xinglin.core.schema.definitions import (
    Element,
    TypeDef,
    json_name,
    resource_types,
    type_def,
    value_set_codes,
    value_set_order,
)
from xinglin.core.schema.references import is_allowed_target, target_type
from xinglin.kernel.errors import Issue

MAX_ISSUES = 500
MAX_STEPS = 200_000  # objects and primitives that are looked at: about a second's work
MAX_SUGGESTIONS = 50
MAX_DEPTH = 100
LISTED = 8  # values named in a message
_suggestions: ContextVar[list[int] | None] = ContextVar("suggestions", default=None)


def validate(resource: Any, *, expected_type: str | None = None) -> tuple[Issue, ...]:
    """Structural issues of a resource as parsed JSON (decimals as Decimal or int); empty when it is sound."""
    pass_ = _Pass()
    found = resource.get("resourceType") if isinstance(resource, dict) else None
    if expected_type is not None and isinstance(found, str) and found != expected_type:
        pass_.add("structure", f"is a {found}; a {expected_type} is expected", found, "resourceType")
    pass_.resource(resource, "")
    if pass_.steps >= MAX_STEPS:
        text = f"has too many values for its errors to be looked for: the check ended after {MAX_STEPS}"
        pass_.issues.insert(0, Issue("too-costly", f"{text}.", found, remedy="Mend what is named, or split it."))
    return tuple(pass_.issues)


@contextmanager
def sparing_suggestions() -> Iterator[None]:
    """All resources that are validated inside share MAX_SUGGESTIONS: for bundles of many wrong ones."""
    token = _suggestions.set([MAX_SUGGESTIONS])
    try:
        yield
    finally:
        _suggestions.reset(token)


class _Pass:
    """One walk over one resource, gathering issues up to MAX_ISSUES, and giving up after MAX_STEPS."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self.depth = 0
        self.steps = 0
        shared = _suggestions.get()
        self.suggestions = [MAX_SUGGESTIONS] if shared is None else shared

    @property
    def ended(self) -> bool:
        return len(self.issues) >= MAX_ISSUES or self.steps >= MAX_STEPS

    def add(self, code: str, text: str, path: str, name: str = "", remedy: str | None = None) -> None:
        place = f"{path}.{name}" if path and name else path or name
        if len(self.issues) < MAX_ISSUES:
            self.issues.append(Issue(code, f"{text}.", place or None, remedy=remedy))

    def suggestion(self, name: str, known: Iterable[str]) -> str | None:
        """The known name that is most alike; not for the many errors of hostile input, since looking costs 1 ms."""
        if self.suggestions[0] <= 0:
            return None
        self.suggestions[0] -= 1
        close = get_close_matches(name[:80], list(known), n=1)
        return f"Did you mean '{close[0]}'?" if close else None

    def resource(self, value: Any, path: str) -> None:
        """A resource at the root (path "") or inside another."""
        if not isinstance(value, dict):
            self.add("structure", f"must be a resource, not {primitives.json_kind(value)}", path)
            return
        name = value.get("resourceType")
        if not isinstance(name, str) or name not in _RESOURCES:
            self.unknown_resource(name, path)
            return
        definition = _definition(name)
        place = path or name
        self.object(value, definition, place)
        self.contained(value.get("contained"), place)
        if name == "Bundle":
            self.entries(value, place)

    def unknown_resource(self, name: Any, path: str) -> None:
        if name is None:
            self.add("required", "has no resourceType", path, remedy='Add one, such as "resourceType": "Patient".')
            return
        known = f"'{primitives.shortened(str(name))}' is not an R4 resource type"
        self.add("structure", known, path, "resourceType", self.suggestion(str(name), resource_types()))

    def object(self, value: Any, definition: TypeDef, path: str) -> None:
        """An object of a complex type, backbone or resource."""
        if not isinstance(value, dict):
            self.add("structure", f"must be an object ({definition.name}), not {primitives.json_kind(value)}", path)
        elif not value:
            self.add("structure", "must not be an empty object; leave the element out", path)
        elif self.depth >= MAX_DEPTH:
            self.add("structure", f"is nested deeper than {MAX_DEPTH} levels", path)
        else:
            self.depth += 1
            self.properties(value, definition, path)
            self.missing(value, definition, path)
            self.choices(value, definition, path)
            self.depth -= 1

    def properties(self, value: Mapping[str, Any], definition: TypeDef, path: str) -> None:
        for name, inner in value.items():
            if self.ended:
                return
            if name == "resourceType" and definition.kind == "resource":
                continue
            element = definition.element(name)
            if element is None or (name.startswith("_") and not _has_sibling(definition, element, name)):
                self.unknown_element(name, definition, path)
            elif name.startswith("_"):
                self.sibling(inner, value, name, element, _place(path, element, name[1:]))
            else:
                self.element(inner, value, name, element, _place(path, element, name))

    def unknown_element(self, name: str, definition: TypeDef, path: str) -> None:
        known = [json_name(e, code) for e in definition.elements.values() for code in e.types]
        text = f"{definition.name} has no element '{primitives.shortened(name)}'"
        self.add("structure", text, path, remedy=self.suggestion(name, known))

    def element(self, value: Any, owner: Mapping[str, Any], name: str, element: Element, path: str) -> None:
        code = _type_code(element, name)
        if not element.repeats:
            if isinstance(value, list):
                self.add("structure", "must be a single value, not an array", path)
            else:
                self.value(value, code, element, path)
        elif not isinstance(value, list):
            self.add("structure", f"must be an array, not {primitives.json_kind(value)}", path)
        elif not value:
            self.add("structure", "must not be an empty array; leave the element out", path)
        else:
            beside = owner.get("_" + name)
            for index, item in enumerate(value):
                if self.ended:
                    return
                if item is not None or not _stands_for(beside, index):
                    self.value(item, code, element, f"{path}[{index}]")

    def value(self, value: Any, code: str, element: Element, path: str) -> None:
        definition = type_def(code)
        self.steps += 1
        if value is None:
            self.add("structure", "must not be null; leave the element out", path)
        elif code in ("Resource", "DomainResource"):
            self.resource(value, path)
        elif definition is not None and definition.kind == "primitive-type":
            self.primitive(value, code, element, path)
        elif definition is not None:
            self.object(value, definition, path)
            if isinstance(value, dict):
                self.rules(value, code, element, path)

    def primitive(self, value: Any, code: str, element: Element, path: str) -> None:
        if isinstance(value, (dict, list)):
            self.add("structure", f"must be a {code}, not {primitives.json_kind(value)}", path)
        elif problem := primitives.problem(code, value):
            self.add("value", problem, path)
        elif code == "xhtml" and (problem := narrative.problem(value)):
            self.add("invariant", f"the narrative {problem}", path)
        elif code == "code" and not element.choice and element.binding and element.binding[0] == "required":
            self.bound_code(value, element.binding[1], path)

    def bound_code(self, value: str, value_set: str, path: str) -> None:
        allowed = value_set_order(value_set)
        if allowed and value not in allowed:
            text = f"'{primitives.shortened(value)}' is not in the required value set {value_set}"
            self.add("code-invalid", text, path, remedy=self.suggestion(value, allowed) or _one_of(allowed))

    def rules(self, value: Mapping[str, Any], code: str, element: Element, path: str) -> None:
        """What the element that uses a data type adds to it."""
        if code == "Reference" and element.targets:
            self.reference(value, element.targets, path)
        if code == "CodeableConcept" and element.binding and element.binding[0] == "required":
            self.bound_concept(value, element.binding[1], path)

    def reference(self, value: Mapping[str, Any], targets: tuple[str, ...], path: str) -> None:
        text, named = value.get("reference"), value.get("type")
        allowed = f"It may point to {_listed(targets)}."
        if isinstance(text, str) and not is_allowed_target(text, targets):
            self.add("structure", f"must not point to a {target_type(text)}", path, "reference", allowed)
        if isinstance(named, str) and named not in targets:
            self.add("structure", f"must not be '{primitives.shortened(named)}'", path, "type", allowed)

    def bound_concept(self, value: Mapping[str, Any], value_set: str, path: str) -> None:
        codes = value_set_codes(value_set)
        codings = value.get("coding")
        if codes is None or (codings is not None and not isinstance(codings, list)):
            return
        found = {(c.get("system", ""), c.get("code", "")) for c in codings or () if _is_texts(c, "system", "code")}
        if not found & codes:
            text = f"has no coding from the required value set {value_set}"
            self.add("code-invalid", text, path, remedy=_one_of(sorted(f"{s}|{c}" for s, c in codes)))

    def sibling(self, value: Any, owner: Mapping[str, Any], name: str, element: Element, path: str) -> None:
        """`_birthDate` or `_given`: ids and extensions of primitives."""
        if not element.repeats:
            self.object(value, _definition("Element"), path)
            return
        if not isinstance(value, list) or not value:
            self.add("structure", f"'{name}' must be an array that is not empty", path)
            return
        beside = owner.get(name[1:])
        for index, item in enumerate(value):
            self.steps += 1
            if self.ended:
                return
            if item is not None:
                self.object(item, _definition("Element"), f"{path}[{index}]")
            elif not _stands_for(beside, index):
                self.add("structure", f"'{name}' is null where there is no value either", f"{path}[{index}]")

    def missing(self, value: Mapping[str, Any], definition: TypeDef, path: str) -> None:
        for element, names in _names_required(definition.name):
            if not any(name in value or "_" + name in value for name in names):
                name = f"{element.name}[x]" if element.choice else element.name
                remedy = f"Give one of {_listed(names)}." if element.choice else None
                self.add("required", f"{definition.name} needs '{name}'", path, element.name, remedy)

    def choices(self, value: Mapping[str, Any], definition: TypeDef, path: str) -> None:
        given: dict[str, set[str]] = {}
        for name in value:
            plain = name.removeprefix("_")
            element = definition.element(plain)
            if element is not None and element.choice:
                given.setdefault(element.name, set()).add(plain)
        for element_name, names in given.items():
            if len(names) > 1:
                self.add("structure", f"only one of {_listed(sorted(names))} may be given", path, element_name)

    def contained(self, resources: Any, path: str) -> None:
        seen: set[str] = set()
        for index, inner in enumerate(resources if isinstance(resources, list) else ()):
            if not isinstance(inner, dict):
                continue
            place = f"{path}.contained[{index}]"
            if "contained" in inner:
                self.add("structure", "a contained resource must not contain others", place, "contained")
            if "id" not in inner:
                self.add("required", "a contained resource needs an id", place, "id")
            elif isinstance(inner["id"], str) and inner["id"] in seen:
                self.add("duplicate", f"the id '{inner['id'][:64]}' is used twice", place, "id")
            elif isinstance(inner["id"], str):
                seen.add(inner["id"])

    def entries(self, bundle: Mapping[str, Any], path: str) -> None:
        """Two entries are the same when fullUrl (or type and id) and version agree; rule bdl-7."""
        seen: dict[tuple[str, str], int] = {}
        entries = bundle.get("entry")
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            identity = _identity(entry)
            if identity is None:
                continue
            if identity in seen:
                text = f"is the same resource as entry[{seen[identity]}] ('{primitives.shortened(identity[0])}')"
                self.add("duplicate", text, f"{path}.entry[{index}]")
            seen.setdefault(identity, index)


@cache
def _names_required(name: str) -> tuple[tuple[Element, tuple[str, ...]], ...]:
    """The elements that a type cannot lack, with the JSON names each may have."""
    definition = _definition(name)
    needed = (element for element in definition.elements.values() if element.min)
    return tuple((element, tuple(json_name(element, code) for code in element.types)) for element in needed)


def _identity(entry: Any) -> tuple[str, str] | None:
    resource = entry.get("resource") if isinstance(entry, dict) else None
    body: dict[str, Any] = resource if isinstance(resource, dict) else {}
    meta = body.get("meta")
    version = str(meta.get("versionId", "")) if isinstance(meta, dict) else ""
    if isinstance(entry, dict) and isinstance(entry.get("fullUrl"), str):
        return entry["fullUrl"], version
    return (f"{body.get('resourceType')}/{body['id']}", version) if "id" in body else None


def _place(path: str, element: Element, name: str) -> str:
    """The FHIRPath of an element: a choice names its type."""
    return f"{path}.{element.name}.ofType({_type_code(element, name)})" if element.choice else f"{path}.{name}"


def _type_code(element: Element, name: str) -> str:
    if not element.choice:
        return element.types[0]
    return next(code for code in element.types if json_name(element, code) == name)


def _has_sibling(definition: TypeDef, element: Element, name: str) -> bool:
    """Whether `_name` may stand beside `name`: for primitives other than ids, Extension.url and narratives."""
    kind = type_def(_type_code(element, name[1:]))
    bare = element.name == "id" or element.path == "Extension.url" or element.types[0] == "xhtml"
    return kind is not None and kind.kind == "primitive-type" and not bare


def _stands_for(beside: Any, index: int) -> bool:
    """Whether the other of the two arrays of a repeating primitive has something at this place."""
    return isinstance(beside, list) and index < len(beside) and beside[index] is not None


def _is_texts(value: Any, *names: str) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name, ""), str) for name in names)


def _definition(name: str) -> TypeDef:
    definition = type_def(name)
    assert definition is not None, name
    return definition


def _one_of(allowed: Iterable[str]) -> str:
    return f"It must be one of {_listed(tuple(allowed))}."


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")


_RESOURCES = frozenset(resource_types())
