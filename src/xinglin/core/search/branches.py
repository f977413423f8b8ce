"""A search parameter's expression, restricted to one type: union branches in a canonical form, resolved to JSON.

Most branches are mere walks ("Observation.component.value as Quantity"): they become property names with the FHIR
type at the end, so that ingest follows all of a type's parameters in one pass over the resource. What is more than a
walk is left to `core.paths`.

Canonical means: parameters that say the same have the same text, and so share their index rows. `patient` and
`subject` differ only by `.where(resolve() is Patient)`, which is kept beside the walk as `restriction`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from xinglin.core.schema.definitions import Element, json_name, type_def, value_set_codes

Guard = tuple[str, str]
"""A step's condition: the property and the text it must equal."""


@dataclass(frozen=True, slots=True)
class Step:
    """One property of a walk. `only` is the type a choice is narrowed to; `index` a position in a list."""

    name: str
    only: str | None = None
    guard: Guard | None = None
    index: int | None = None

    def text(self) -> str:
        narrowed = f".ofType({self.only})" if self.only else ""
        guarded = f".where({self.guard[0]}='{self.guard[1]}')" if self.guard else ""
        place = f"[{self.index}]" if self.index is not None else ""
        return f"{self.name}{place}{narrowed}{guarded}"


@dataclass(frozen=True, slots=True)
class Branch:
    """One branch of a union: `steps` below `root`, or None where the expression is more than a walk."""

    root: str
    text: str
    steps: tuple[Step, ...] | None
    restriction: str | None = None


@dataclass(frozen=True, slots=True)
class Walk:
    """A branch in JSON: (property, guard, index) at each step, and the FHIR type found at the end.

    `element` is the last element, None for the root itself; `repeats` says that one resource may hold several.
    """

    steps: tuple[tuple[str, Guard | None, int | None], ...]
    type: str
    element: Element | None
    repeats: bool


def split_union(expression: str) -> list[str]:
    """The branches of a union, split at `|` outside brackets and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(expression):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "|" and depth == 0:
            parts.append(expression[start:position])
            start = position + 1
    return [part.strip() for part in (*parts, expression[start:]) if part.strip()]


_CAST = re.compile(r"\(\s*([^()]+?)\s+as\s+(\w+)\s*\)")
_BARE_CAST = re.compile(r"^([^()\s]+)\s+as\s+(\w+)$")
_METHOD_CAST = re.compile(r"\.as\(\s*(\w+)\s*\)")
_RESOLVES = re.compile(r"\.where\(\s*resolve\(\)\s+is\s+(\w+)\s*\)")
_STEP = re.compile(
    r"(?P<name>[A-Za-z]\w*)(?:\('(?P<url>[^']*)'\))?(?:\[(?P<index>\d+)\])?"
    r"(?:\.ofType\((?P<only>\w+)\))?(?:\.where\(\s*(?P<property>\w+)\s*=\s*'(?P<literal>[^']*)'\s*\))?"
)


def branch(text: str) -> Branch:
    """Read one branch; `steps` is None where it is not a walk."""
    restriction = match[1] if (match := _RESOLVES.search(text)) else None
    text = _RESOLVES.sub("", text).replace("DateTime", "dateTime").strip()
    for pattern in (_CAST, _BARE_CAST):
        text = pattern.sub(r"\1.ofType(\2)", text)
    text = _METHOD_CAST.sub(r".ofType(\1)", text)
    while text.startswith("(") and text.endswith(")") and "(" not in text[1:-1]:
        text = text[1:-1].strip()
    steps = _steps(text)
    if not steps:
        return Branch(text.partition(".")[0], text, None, restriction)
    if steps[0].name[0].isupper():
        root, below = steps[0].name, steps[1:]
    else:
        root, below = "Resource", steps
    return Branch(root, ".".join(step.text() for step in below) or "$this", tuple(below), restriction)


def _steps(text: str) -> list[Step] | None:
    steps, position = [], 0
    while True:
        match = _STEP.match(text, position)
        if match is None:
            return None
        if match["url"] is not None and match["name"] != "extension":
            return None
        guard = (match["property"], match["literal"]) if match["property"] else None
        if match["url"] is not None:
            guard = ("url", match["url"])
        index = int(match["index"]) if match["index"] else None
        steps.append(Step(match["name"], match["only"], guard, index))
        position = match.end()
        if position == len(text):
            return steps
        if text[position] != ".":
            return None
        position += 1


def branches_for(expression: str, type_name: str) -> list[Branch]:
    """The branches that speak of a type: its own, and those of its ancestors."""
    roots = {type_name, "Resource", "DomainResource"}
    return [found for part in split_union(expression) if (found := branch(part)).root in roots]


def walks(root_type: str, steps: tuple[Step, ...]) -> list[Walk]:
    """Every way the steps can be taken in JSON from a type: one for each type of an open choice."""
    return list(_walks(root_type, steps, (), None, False))


def _walks(
    at: str,
    steps: tuple[Step, ...],
    taken: tuple[tuple[str, Guard | None, int | None], ...],
    element: Element | None,
    repeats: bool,
) -> Iterator[Walk]:
    if not steps:
        yield Walk(taken, at, element, repeats)
        return
    definition = type_def(at)
    step = steps[0]
    found = definition.elements.get(step.name) if definition else None
    if found is None:
        return
    for code in found.types:
        if step.only is None or code == step.only or not found.choice:
            here = (*taken, (json_name(found, code), step.guard, step.index))
            yield from _walks(code, steps[1:], here, found, repeats or (found.repeats and step.index is None))


def implied_systems(element: Element | None) -> dict[str, str]:
    """Code -> system of a `code` element, which carries no system of its own: its required value set says it."""
    if element is None or element.binding is None or element.binding[0] != "required":
        return {}
    return {code: system for system, code in value_set_codes(element.binding[1]) or ()}
