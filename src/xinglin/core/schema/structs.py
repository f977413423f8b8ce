"""msgspec structs generated from the definitions: the types of the fast pass.

What a struct accepts, the slow pass (`core.validation.structure`) accepts; what it refuses, the slow pass looks
at again and has the last word. So a struct may be stricter than FHIR where the exact rule is slow and its use
rare (null in an array of primitives, `_value` beside a choice), and never laxer.

A choice `value[x]` becomes one field per type. What msgspec cannot say is in a `__post_init__` written per
struct: one choice at most, whitespace in URIs and codes, reference targets, required bindings, narratives.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from threading import Lock
from types import ModuleType
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from xinglin.core.schema import narrative, primitives
from xinglin.core.schema.definitions import (
    Element,
    TypeDef,
    json_name,
    type_def,
    value_set_codes,
    value_set_order,
)
from xinglin.core.schema.references import is_allowed_target

# Texts met so often that `__post_init__` checks their whitespace at a third of a pattern's price; absent ones
# are "" rather than UNSET.
HOT = frozenset(
    {("Coding", "system"), ("Coding", "code"), ("Quantity", "system"), ("Quantity", "code"), ("Identifier", "system")}
    | {("Extension", "url")}
)
NO_SIBLING = frozenset({("Extension", "url")})
# Likewise ids and dates of resources and periods: `__post_init__` matches them at half the price of a Meta pattern.
MATCHED = frozenset({"id", "date", "dateTime", "instant"})

# Annotations name types by their names here, so that types may refer to one another before all are made.
_names = ModuleType("xinglin.core.schema._generated")
sys.modules[_names.__name__] = _names
_making = Lock()  # a thread must not use a struct whose fields' types another has yet to make
_names.__dict__.update(Annotated=Annotated, non_empty=Meta(min_length=1), UnsetType=UnsetType, Raw=msgspec.Raw)


@cache
def decoder(resource_type: str) -> msgspec.json.Decoder[Any]:
    """The typed decoder of a resource type; resources within it stay raw text."""
    definition = type_def(resource_type)
    assert definition is not None
    with _making:
        return msgspec.json.Decoder(_all_structs(definition))


def _all_structs(definition: TypeDef) -> type:
    """Make the struct and every struct its fields name."""
    waiting = [_Plan(definition)]
    first = waiting[0].name
    while waiting:
        plan = waiting.pop()
        if plan.name not in _names.__dict__:
            setattr(_names, plan.name, plan.build())
            waiting.extend(plan.needs)
    struct: type = _names.__dict__[first]
    return struct


class _Plan:
    """One struct to be made: a type, perhaps narrowed by the element that uses it (Reference, CodeableConcept)."""

    def __init__(self, definition: TypeDef, narrowed: str = "", rule: Callable[[Any], None] | None = None) -> None:
        self.definition = definition
        self.name = definition.name.replace(".", "_") + narrowed
        self.rule = rule
        self.needs: list[_Plan] = []
        self.spaced: list[tuple[str, bool]] = []  # field, is a code
        self.matched: list[tuple[str, str]] = []  # field, primitive type
        self.choices: list[tuple[list[str], int]] = []
        self.optional = 0  # fields that are UNSET when absent

    def build(self) -> type:
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        siblings: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        if self.definition.kind == "resource":
            fields.append(("resourceType", Literal[self.definition.name]))
        for element in self.definition.elements.values():
            fields.extend(self.choice(element) if element.choice else [self.field(element)])
            siblings.extend(self.siblings(element))
        self.optional = sum(len(field) == 3 and field[2] is UNSET for field in fields + siblings)
        namespace = {"__post_init__": post_init} if (post_init := _post_init(self)) else {}
        return msgspec.defstruct(
            self.name,
            fields + siblings,
            module=_names.__name__,
            namespace=namespace,
            kw_only=True,
            forbid_unknown_fields=True,
            omit_defaults=True,
            eq=False,
            gc=False,
        )

    def field(self, element: Element) -> tuple[str, Any] | tuple[str, Any, Any]:
        name = element.name
        if (self.definition.name, name) in HOT:
            self.spaced.append((name, element.types[0] == "code"))
            return (name, "spaced") if element.min else (name, "spaced", "")
        one = self.type_name(element, element.types[0])
        if self.is_matched(element, one):
            self.matched.append((name, one))
            one = "spaced"
        annotation = f"Annotated[list[{one}], non_empty]" if element.repeats else one
        return (name, annotation) if element.min else (name, f"{annotation} | UnsetType", UNSET)

    def choice(self, element: Element) -> Iterator[tuple[str, Any, Any]]:
        names = [json_name(element, code) for code in element.types]
        self.choices.append((names, element.min))
        for name, code in zip(names, element.types, strict=True):
            one = self.type_name(element, code)
            if self.is_matched(element, one):
                self.matched.append((name, one))
                one = "spaced"
            yield (name, f"{one} | UnsetType", UNSET)

    def is_matched(self, element: Element, code: str) -> bool:
        often = self.definition.kind == "resource" or self.definition.name == "Period"
        return often and code in MATCHED and not element.repeats

    def siblings(self, element: Element) -> Iterator[tuple[str, Any, Any]]:
        """`_birthDate` beside `birthDate`: id and extensions of a primitive."""
        owner = self.definition.name
        if element.choice or element.name == "id" or (owner, element.name) in NO_SIBLING:
            return
        kind = type_def(element.types[0])
        if kind is not None and kind.kind == "primitive-type" and element.types[0] != "xhtml":
            element_type = type_def("Element")
            assert element_type is not None
            self.needs.append(_Plan(element_type))
            annotation = "Annotated[list[Element], non_empty]" if element.repeats else "Element"
            yield ("_" + element.name, f"{annotation} | UnsetType", UNSET)

    def type_name(self, element: Element, code: str) -> str:
        if code in ("Resource", "DomainResource"):
            return "Raw"
        kind = type_def(code)
        assert kind is not None, code
        if kind.kind == "primitive-type":
            return _bound_code(element) if code == "code" and not element.choice else code
        plan = _narrowed(element, kind)
        self.needs.append(plan)
        return plan.name


def _bound_code(element: Element) -> str:
    """The name of the Literal of a required value set, or plain `code`."""
    if element.binding is None or element.binding[0] != "required":
        return "code"
    codes = value_set_order(element.binding[1])
    if not codes:
        return "code"
    name = "codes_" + "".join(c if c.isalnum() else "_" for c in element.binding[1])
    if name not in _names.__dict__:
        setattr(_names, name, Literal[tuple(dict.fromkeys(codes))])
    return name


def _narrowed(element: Element, kind: TypeDef) -> _Plan:
    if kind.name == "Reference" and element.targets:
        targets = frozenset(element.targets)
        return _Plan(kind, "_" + "_".join(element.targets), _target_rule(targets))
    if kind.name == "CodeableConcept" and element.binding is not None and element.binding[0] == "required":
        codes = value_set_codes(element.binding[1])
        if codes is not None:
            return _Plan(
                kind,
                "_" + "".join(c if c.isalnum() else "_" for c in element.binding[1]),
                _concept_rule(codes),
            )
    return _Plan(kind, rule=_check_narrative if kind.name == "Narrative" else None)


def _target_rule(targets: frozenset[str]) -> Callable[[Any], None]:
    def check(reference: Any, unset: UnsetType = UNSET) -> None:
        text = reference.reference
        if text is not unset and text[:9] != "urn:uuid:" and text.partition("/")[0] not in targets:
            _check_target(text, targets)
        if reference.type is not unset and reference.type not in targets:
            raise ValueError("the reference's type is another")

    return check


def _check_target(text: str, targets: frozenset[str]) -> None:
    if not is_allowed_target(text, targets):
        raise ValueError("the reference's target has another type")


def _concept_rule(codes: frozenset[tuple[str, str]]) -> Callable[[Any], None]:
    def check(concept: Any) -> None:
        codings = concept.coding
        if codings is UNSET or not any((coding.system, coding.code) in codes for coding in codings):
            raise ValueError("no coding from the required value set")

    return check


def _check_narrative(text: Any) -> None:
    if not narrative.is_plain(text.div) and (problem := narrative.problem(text.div)):
        raise ValueError(problem)


def _post_init(plan: _Plan) -> Callable[[Any], None] | None:
    """Write the checks of one struct as a function; every name in it comes from the shipped definitions."""
    lines = [*_spaced_lines(plan), *_matched_lines(plan), *_choice_lines(plan)]
    if plan.rule is not None and not lines:
        return plan.rule
    if not lines:
        return None
    scope: dict[str, Any] = {
        "check_texts": _text_check(plan),
        "UNSET": UNSET,
        "astuple": msgspec.structs.astuple,
        **_MATCHES,
    }
    source = "def __post_init__(self, UNSET=UNSET):\n" + "".join(f"    {line}\n" for line in lines)
    exec(source, scope)  # noqa: S102  as dataclasses do: one function per struct, without loops
    made: Callable[[Any], None] = scope["__post_init__"]
    return made


def _spaced_lines(plan: _Plan) -> list[str]:
    if not plan.spaced:
        return []
    text = " + ".join(f"self.{name}" for name, _ in plan.spaced)
    return [f"text = {text}", "if ' ' in text or not text.isprintable(): check_texts(self)"]


def _matched_lines(plan: _Plan) -> Iterator[str]:
    for name, code in plan.matched:
        yield f"text = self.{name}"
        yield f"if text is not UNSET and match_{code}(text) is None: raise ValueError('{code}')"


def _text_check(plan: _Plan) -> Callable[[Any], None]:
    fields = tuple(plan.spaced)

    def check(self: Any) -> None:
        for name, is_code in fields:
            text = getattr(self, name)
            if text and not (primitives.is_code(text) if is_code else primitives.is_uri(text)):
                raise ValueError(f"whitespace in {name}")

    return check


def _choice_lines(plan: _Plan) -> Iterator[str]:
    for names, low in plan.choices:
        given = " + ".join(f"(self.{name} is not UNSET)" for name in names)
        wrong = f"{given} > 1" if low == 0 else f"{given} != 1"
        # All fields but one unset: no need to look at the fifty types of an open choice one by one.
        guard = f"astuple(self).count(UNSET) < {plan.optional - 1} and " if low == 0 and len(names) > 20 else ""
        yield f"if {guard}{wrong}: raise ValueError('choice')"


_MATCHES = {f"match_{code}": re.compile(primitives.FAST_PATTERNS[code], re.ASCII).fullmatch for code in MATCHED}
_INTEGER_META = {name: Meta(ge=low, le=high) for name, (low, high) in primitives.INTEGERS.items()}
_names.__dict__.update({name: Annotated[int, meta] for name, meta in _INTEGER_META.items()})
_names.__dict__.update(
    {
        name: Annotated[str, Meta(min_length=1, pattern=rf"(?a)\A(?:{pattern})\Z")]
        for name, pattern in primitives.FAST_PATTERNS.items()
    }
)
_names.__dict__.update(
    boolean=bool,
    decimal=Annotated[float, Meta(gt=-(10.0**primitives.MAX_EXPONENT), lt=10.0**primitives.MAX_EXPONENT)],
    spaced=Annotated[str, Meta(min_length=1)],
    xhtml=Annotated[str, Meta(min_length=1)],
    string=Annotated[str, Meta(min_length=1, max_length=primitives.MAX_STRING)],
    markdown=Annotated[str, Meta(min_length=1, max_length=primitives.MAX_STRING)],
    base64Binary=Annotated[bytes, Meta(min_length=1)],
)
