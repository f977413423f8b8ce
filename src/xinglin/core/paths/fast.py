"""The short way for what search parameters are made of: paths, casts, unions and simple filters.

Where the model gives every step one JSON key and one type, an expression needs no typed items: it becomes a closure
over plain dicts. `plan` returns None for anything else, and the general way (compiler.py) takes over. A closure here
may raise AttributeError, TypeError or KeyError on malformed JSON; the caller then evaluates the general way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from . import model, references
from .environment import Environment
from .equality import distinct_pairs
from .syntax import Binary, Call, Index, Literal, Member, Name, Special, Tree, TypeTest, Union

Json = Any
Values: TypeAlias = "Callable[[Json, Environment], list[Json]]"
Pairs: TypeAlias = "Callable[[Json, Environment], list[tuple[Json, str]]]"
Filter: TypeAlias = "Callable[[Json, Json, Environment], bool]"
Step: TypeAlias = "str | int | Filter"


@dataclass(frozen=True, slots=True)
class Line:
    """A path with one key a step: a str descends, an int picks, a callable filters."""

    steps: tuple[Step, ...]
    type: str
    many: bool
    choices: tuple[tuple[str, str], ...] = ()
    """A last step into a choice of types that no cast has narrowed yet."""

    def then(self, *steps: Step, type: str | None = None, many: bool = False) -> Line:
        return Line((*self.steps, *steps), type or self.type, self.many or many)


class _Unplanned(Exception):
    """The expression needs the general way."""


@dataclass(frozen=True, slots=True)
class Plan:
    values: Values
    pairs: Pairs


def plan(tree: Tree, type_name: str, filters: bool) -> Plan | None:
    """Closures for `tree` on a value of `type_name`; `filters`: `as` picks from many instead of refusing them."""
    try:
        if isinstance(tree, Union):
            lines = [line for part in tree.parts for line in _lines(part, type_name, filters)]
            return _union(lines)
        lines = _lines(tree, type_name, filters)
    except _Unplanned:
        return None
    return _single(lines[0]) if lines else Plan(_nothing, _nothing)


def _nothing(root: Json, env: Environment) -> list[Any]:
    return []


# Reading the tree --------------------------------------------------------------------------------------------------


def _lines(tree: Tree, root: str, filters: bool) -> list[Line]:
    """One line, or none where the model says that nothing can be there."""
    line = _Reader(root, filters).line(tree)
    return [line] if line is not None else []


_NOTHING_OF_NOTHING = frozenset({"extension", "first", "where"})
"""Functions that find nothing where there is nothing; `exists()` and its like have an answer then."""


class _Reader:
    def __init__(self, root: str, filters: bool) -> None:
        self.root, self.filters = root, filters

    def line(self, tree: Tree) -> Line | None:
        match tree:
            case Name(name):
                return self.first(name)
            case Special("$this"):
                return Line((), self.root, False)
            case Member(source, name):
                before = self.line(source)
                return before and self.child(before, name)
            case TypeTest(operator, operand, type) if operator != "is" and type.namespace in (None, "FHIR"):
                return self.cast(self.line(operand), operator, type.name)
            case Index(source, Literal(int(at))) if not isinstance(at, bool):
                before = self.line(source)
                return before and self.settled(before).then(at)
            case Call(source, name, arguments) if source is not None:
                before = self.line(source)
                if before is not None:
                    return self.call(self.settled(before), name, arguments)
                if name in _NOTHING_OF_NOTHING:
                    return None
        raise _Unplanned

    def first(self, name: str) -> Line | None:
        start = Line((), self.root, False)
        if name[0].isupper() and model.known(name):
            return start if model.is_kind_of(self.root, name) else None
        return self.child(start, name)

    def settled(self, line: Line) -> Line:
        if line.choices:
            raise _Unplanned
        return line

    def child(self, line: Line, name: str) -> Line | None:
        self.settled(line)
        if line.type in ("Resource", "DomainResource") or model.is_primitive(line.type):
            raise _Unplanned
        child = model.children(line.type).get(name)
        if child is None:
            if model.known(line.type):
                return None
            raise _Unplanned
        if child.only:
            key, type_name = child.only
            return line.then(key, type=type_name, many=child.repeats)
        return Line(line.steps, line.type, line.many, tuple(child.types.items()))

    def cast(self, line: Line | None, operator: str, name: str) -> Line | None:
        if not model.known(name):
            raise _Unplanned
        if line is None:
            return None
        if operator != "ofType" and line.many and not self.filters:
            raise _Unplanned
        if line.choices:
            fits = [(key, code) for key, code in line.choices if model.is_kind_of(code, name)]
            if len(fits) > 1:
                raise _Unplanned
            return line.then(fits[0][0], type=fits[0][1]) if fits else None
        if model.is_resource(line.type) and line.steps:
            raise _Unplanned
        return line if model.is_kind_of(line.type, name) else None

    def call(self, line: Line, name: str, arguments: tuple[Tree, ...]) -> Line | None:
        if name == "extension" and not model.is_primitive(line.type):
            match arguments:
                case (Literal(str(url)),) if (inner := self.child(line, "extension")) is not None:
                    return inner.then(_text_equals("url", url))
        if name == "where" and len(arguments) == 1:
            return line.then(_filter(arguments[0], line.type))
        if name == "first" and not arguments:
            return line.then(0)
        raise _Unplanned


def _filter(tree: Tree, type_name: str) -> Filter:
    match tree:
        case TypeTest("is", Call(None, "resolve", ()), type) if type_name == "Reference":
            if type.namespace in (None, "FHIR") and model.is_resource(type.name):
                return _refers_to(type.name)
        case Binary("=", Name(name), Literal(str(text))):
            child = model.children(type_name).get(name)
            if child and child.only and not child.repeats and child.only[1] in model.TEXT_TYPES:
                return _text_equals(child.only[0], text)
        case Call(None, "hasExtension", (Literal(str(url)),)) if not model.is_primitive(type_name):
            return _has_extension(url)
    raise _Unplanned


def _text_equals(key: str, text: str) -> Filter:
    def equals(item: Json, root: Json, env: Environment) -> bool:
        return bool(item.get(key) == text)

    return equals


def _has_extension(url: str) -> Filter:
    def has(item: Json, root: Json, env: Environment) -> bool:
        return any(extension.get("url") == url for extension in item.get("extension", ()))

    return has


def _refers_to(type_name: str) -> Filter:
    prefix = f"{type_name}/"

    def refers(item: Json, root: Json, env: Environment) -> bool:
        reference = item.get("reference")
        if reference is not None and reference.startswith(prefix):
            return True
        return references.is_type(item, type_name, root, env.resolver)

    return refers


# Closures ----------------------------------------------------------------------------------------------------------


def _single(line: Line) -> Plan:
    if line.choices:
        chosen = _choice(line)
        return Plan(lambda root, env: [value for value, _ in chosen(root, env)], chosen)
    values, type_name = _values(line), line.type
    if type_name in ("Resource", "DomainResource"):
        return Plan(values, lambda root, env: [(item, item["resourceType"]) for item in values(root, env)])
    if len(line.steps) == 1 and isinstance(line.steps[0], str):
        return Plan(values, _one_key_pairs(((line.steps[0], type_name),)))

    def pairs(root: Json, env: Environment) -> list[tuple[Json, str]]:
        found = values(root, env)
        return [(item, type_name) for item in found] if found else found

    return Plan(values, pairs)


def _one_key_pairs(keys: tuple[tuple[str, str], ...]) -> Pairs:
    """What the root holds under each key, with the key's type."""

    def pairs(root: Json, env: Environment) -> list[tuple[Json, str]]:
        found: list[tuple[Json, str]] = []
        for key, type_name in keys:
            value = root.get(key)
            if value is None:
                continue
            if value.__class__ is list:
                found += [(item, type_name) for item in value if item is not None]
            else:
                found.append((value, type_name))
        return found

    return pairs


def _values(line: Line) -> Values:
    steps = line.steps
    if not steps:
        return lambda root, env: [root]
    if len(steps) == 1 and isinstance(steps[0], str):
        return _one_key(steps[0], model.is_primitive(line.type))
    if all(isinstance(step, str) for step in steps):
        return _keys(steps, model.is_primitive(line.type))  # type: ignore[arg-type]
    return _stages(line)


def _one_key(key: str, primitive: bool) -> Values:
    def one_key(root: Json, env: Environment) -> list[Json]:
        value = root.get(key)
        if value is None:
            return []
        if value.__class__ is not list:
            return [value]
        return _without_nulls(value) if primitive else value[:]

    return one_key


def _without_nulls(values: list[Json]) -> list[Json]:
    return [value for value in values if value is not None]


def _keys(steps: tuple[str, ...], primitive: bool) -> Values:
    first, *rest = steps

    def keys(root: Json, env: Environment) -> list[Json]:
        value = root.get(first)
        if value is None:
            return []
        items: list[Json] = value if value.__class__ is list else [value]
        for key in rest:
            found: list[Json] = []
            for item in items:
                value = item.get(key)
                if value is None:
                    continue
                if value.__class__ is list:
                    found += value
                else:
                    found.append(value)
            if not found:
                return found
            items = found
        return _without_nulls(items) if primitive else items

    return keys


def _stages(line: Line) -> Values:
    steps, primitive = line.steps, model.is_primitive(line.type)

    def stages(root: Json, env: Environment) -> list[Json]:
        items = [root]
        for step in steps:
            if step.__class__ is str:
                items = _descend(items, step)
            elif step.__class__ is int:
                if None in items:  # a primitive with extensions only: the general way knows whether it counts
                    raise TypeError
                items = items[step : step + 1]
            else:
                items = [item for item in items if step(item, root, env)]  # type: ignore[operator]
            if not items:
                return items
        return _without_nulls(items) if primitive else items

    return stages


def _descend(items: list[Json], key: Step) -> list[Json]:
    found: list[Json] = []
    for item in items:
        value = item.get(key)
        if value is None:
            continue
        if value.__class__ is list:
            found += value
        else:
            found.append(value)
    return found


def _choice(line: Line) -> Pairs:
    parents = _values(Line(line.steps, line.type, line.many))
    choices = dict(line.choices)
    if len(choices) > 6:

        def by_content(root: Json, env: Environment) -> list[tuple[Json, str]]:
            return [
                (value, choices[key]) for item in parents(root, env) for key, value in item.items() if key in choices
            ]

        return by_content

    def by_choice(root: Json, env: Environment) -> list[tuple[Json, str]]:
        found = []
        for item in parents(root, env):
            for key, code in choices.items():
                value = item.get(key)
                if value is not None:
                    found.append((value, code))
        return found

    return by_choice


def _union(lines: list[Line]) -> Plan:
    """All the lines' items, each once. Plain text and objects are compared as they stand."""
    if not lines:
        return Plan(_nothing, _nothing)
    plans = [_single(line) for line in lines]
    if len(plans) == 1 and not lines[0].many:
        return plans[0]
    parts = tuple(one.pairs for one in plans)
    if all(len(line.steps) == 1 and isinstance(line.steps[0], str) and not line.choices for line in lines):
        parts = (_one_key_pairs(tuple((str(line.steps[0]), line.type) for line in lines)),)

    def pairs(root: Json, env: Environment) -> list[tuple[Json, str]]:
        found: list[tuple[Json, str]] = []
        for part in parts:
            more = part(root, env)
            if more:
                found += more
        return distinct_pairs(found) if len(found) > 1 else found

    return Plan(lambda root, env: [value for value, _ in pairs(root, env)], pairs)
