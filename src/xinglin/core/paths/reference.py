"""The slow and obvious twin: the core of the language as one recursive function over the tree.

It is for the tests, which compare it with the closures over generated expressions and resources. An item is a pair
(value, type) of plain JSON, or of a System value with its System type. It knows paths, choices, filters, unions,
equality, logic, counting and casts.
"""

from __future__ import annotations

from typing import Any

from xinglin.core.schema.definitions import json_name, type_def

from .errors import PathError
from .items import system_type
from .syntax import Binary, Call, Empty, Index, Literal, Member, Name, Special, Tree, TypeTest, Union

Pair = tuple[Any, str]


def evaluate(tree: Tree, focus: list[Pair]) -> list[Pair]:
    """The items `tree` gives for `focus`. Raises PathError where the language says so."""
    match tree:
        case Literal(value):
            return [(value, system_type(value))]
        case Empty():
            return []
        case Special("$this"):
            return focus
        case Name(name):
            return [one for one in focus if _is(one[1], name)] if name[0].isupper() else _children(focus, name)
        case Member(source, name):
            return _children(evaluate(source, focus), name)
        case Index(source, Literal(int(at))):
            return evaluate(source, focus)[at : at + 1]
        case Union(parts):
            return _once([item for part in parts for item in evaluate(part, focus)])
        case TypeTest(operator, operand, type):
            return _typed(operator, evaluate(operand, focus), type.name)
        case Binary(operator, left, right):
            return _operated(operator, evaluate(left, focus), evaluate(right, focus))
        case Call(source, name, arguments):
            return _called(name, arguments, focus if source is None else evaluate(source, focus))
    raise AssertionError(f"the twin does not know {tree}")


def _is(type_name: str, base: str) -> bool:
    definition = type_def(type_name)
    return type_name == base or (definition is not None and definition.base is not None and _is(definition.base, base))


def _children(items: list[Pair], name: str) -> list[Pair]:
    found: list[Pair] = []
    for value, type_name in items:
        definition = type_def(type_name)
        if name == "value" and definition is not None and definition.kind == "primitive-type":
            found.append((value, system_type(value)))
            continue
        element = definition.elements.get(name) if definition and isinstance(value, dict) else None
        if element is None:
            continue
        for key, inner in value.items():
            for code in element.types:
                if key == json_name(element, code):
                    found += [(one, code) for one in (inner if isinstance(inner, list) else [inner])]
    return found


def _typed(operator: str, items: list[Pair], name: str) -> list[Pair]:
    if operator != "ofType" and len(items) > 1:
        raise PathError("one item")
    if operator == "is":
        return [(_is(items[0][1], name), "Boolean")] if items else []
    return [one for one in items if _is(one[1], name)]


def _called(name: str, arguments: tuple[Tree, ...], items: list[Pair]) -> list[Pair]:
    if name == "where":
        return [one for one in items if _truth(evaluate(arguments[0], [one])) is True]
    if name == "select":
        return [found for one in items for found in evaluate(arguments[0], [one])]
    if name == "all":
        return [(all(_truth(evaluate(arguments[0], [one])) is True for one in items), "Boolean")]
    if name == "exists":
        return [(bool(_called("where", arguments, items) if arguments else items), "Boolean")]
    if name == "not":
        answer = _truth(items)
        return [] if answer is None else [(not answer, "Boolean")]
    plain: dict[str, list[Pair]] = {
        "empty": [(not items, "Boolean")],
        "count": [(len(items), "Integer")],
        "first": items[:1],
        "last": items[-1:],
        "tail": items[1:],
        "distinct": _once(items),
    }
    return plain[name]


def _truth(items: list[Pair]) -> bool | None:
    if len(items) > 1:
        raise PathError("one item")
    return None if not items else items[0][0] if isinstance(items[0][0], bool) else True


def _operated(operator: str, left: list[Pair], right: list[Pair]) -> list[Pair]:
    if operator in ("=", "!="):
        if not left or not right:
            return []
        same = len(left) == len(right) and all(_equal(a, b) for a, b in zip(left, right, strict=True))
        return [(same == (operator == "="), "Boolean")]
    if operator == "in":
        if len(left) > 1:
            raise PathError("one item")
        return [(any(_equal(left[0], one) for one in right), "Boolean")] if left else []
    answer = _logic(operator, _truth(left), _truth(right))
    return [] if answer is None else [(answer, "Boolean")]


def _logic(operator: str, a: bool | None, b: bool | None) -> bool | None:
    """Three-valued logic by its definition: what holds for every reading of an unknown."""
    answers = set()
    for x in (True, False) if a is None else (a,):
        for y in (True, False) if b is None else (b,):
            table = {"and": x and y, "or": x or y, "implies": not x or y, "xor": x != y}
            answers.add(table[operator])
    return answers.pop() if len(answers) == 1 else None


def _equal(left: Pair, right: Pair) -> bool:
    a, b = left[0], right[0]
    if isinstance(a, bool) != isinstance(b, bool) or isinstance(a, dict) != isinstance(b, dict):
        return False
    return bool(a == b) and (not isinstance(a, dict) or left[1] == right[1])


def _once(items: list[Pair]) -> list[Pair]:
    found: list[Pair] = []
    for one in items:
        if not any(_equal(one, other) for other in found):
            found.append(one)
    return found
