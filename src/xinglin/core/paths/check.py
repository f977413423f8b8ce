"""What the model shows to be wrong before anything runs: types are inferred from the root's, as far as they can be.

Always refused: a function on values that can never be what it takes. Only under `strict`: elements that do not exist,
functions of order on collections without one, a condition that is no truth value.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import model
from .errors import PathError
from .functions import FUNCTIONS, Function
from .items import system_type
from .syntax import (
    Binary,
    Call,
    Empty,
    Index,
    Literal,
    Member,
    Name,
    Sign,
    Special,
    Tree,
    TypeName,
    TypeTest,
    Union,
    Variable,
)

_TEXT = model.TEXT_TYPES | {"System.String", "String"}
_DYNAMIC = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})
_TRUTH = frozenset({"System.Boolean", "boolean"})
_TRUTH_OPERATORS = frozenset("= != ~ !~ < <= > >= in contains and or xor implies".split())  # noqa: SIM905


@dataclass(frozen=True, slots=True)
class Kind:
    """The types items may have, None where nothing is known; whether their order means something."""

    types: frozenset[str] | None
    ordered: bool = True


_UNKNOWN = Kind(None)
_UNORDERED = frozenset({"children", "descendants"})


def check(tree: Tree, source: str, type_name: str | None, strict: bool) -> None:
    """Raises PathError (semantic) at the first fault. Without a type of the root, next to nothing can be known."""
    root = Kind(frozenset({type_name})) if type_name and model.known(type_name) else _UNKNOWN
    _Checker(source, root, strict).kind(tree, root)


class _Checker:
    def __init__(self, source: str, root: Kind, strict: bool) -> None:
        self.source, self.root, self.strict = source, root, strict

    def kind(self, tree: Tree, focus: Kind) -> Kind:
        match tree:
            case Literal(value):
                return _system(system_type(value))
            case Name(name):
                return self.named(focus, name, tree.position)
            case Special(name):
                return focus if name == "$this" else _system("Integer") if name == "$index" else _UNKNOWN
            case Variable(name):
                return self.root if name in ("resource", "context", "rootResource") else _UNKNOWN
            case Member(inner, name):
                return self.member(self.kind(inner, focus), name, tree.position)
            case Index(inner, index):
                self.kind(index, focus)
                return self.in_order(self.kind(inner, focus), "an index", tree.position)
            case Sign(_, operand):
                return self.kind(operand, focus)
            case Union(parts):
                return _either([self.kind(part, focus) for part in parts])
            case TypeTest(operator, operand, type):
                return self.typed(operator, self.kind(operand, focus), type)
            case Binary(operator, left, right):
                return _calculated(operator, self.kind(left, focus), self.kind(right, focus))
            case Call():
                return self.called(tree, focus)
            case Empty():
                return _UNKNOWN

    def wrong(self, text: str, position: int) -> PathError:
        return PathError(text, source=self.source, position=position, phase="semantic")

    def named(self, focus: Kind, name: str, position: int) -> Kind:
        if name[0].isupper() and model.known(name):
            if focus.types is None:
                return Kind(frozenset({name}))
            if self.strict and not any(model.is_kind_of(one, name) for one in focus.types):
                raise self.wrong(f"the expression starts from {_listed(focus.types)}, not {name}", position)
            return focus
        return self.member(focus, name, position)

    def member(self, parent: Kind, name: str, position: int) -> Kind:
        if parent.types is None or parent.types & _DYNAMIC:
            return _UNKNOWN
        found: set[str] = set()
        for one in parent.types:
            if not model.known(one):
                return _UNKNOWN
            if one != "xhtml" and model.is_primitive(one) and name == "value":
                return _UNKNOWN
            child = model.children(one).get(name)
            found.update(child.types.values() if child else ())
        if not found and self.strict:
            raise self.wrong(f"there is no element '{name}' in {_listed(parent.types)}", position)
        return Kind(frozenset(found)) if found else _UNKNOWN

    def typed(self, operator: str, operand: Kind, type: TypeName) -> Kind:
        if operator == "is":
            return _system("Boolean")
        if type.namespace == "System" or not model.known(type.name):
            return _system(type.name)
        fits = {one for one in operand.types or () if model.is_kind_of(one, type.name)}
        return Kind(frozenset(fits or {type.name}), operand.ordered)

    def called(self, tree: Call, focus: Kind) -> Kind:
        function = FUNCTIONS.get(tree.name)
        source = self.kind(tree.source, focus) if tree.source is not None else focus
        if function is None:
            return _UNKNOWN
        self.taken(function, source, tree.position)
        scope = source if function.iterates or function.name == "iif" else focus
        arguments = [self.kind(argument, scope) for argument in tree.arguments]
        if function.name == "iif" and self.strict:
            self.condition(arguments[0] if arguments else _UNKNOWN, tree.position)
        if function.ordered:
            self.in_order(source, f"{function.name}()", tree.position)
        return _given(function, source, arguments)

    def taken(self, function: Function, source: Kind, position: int) -> None:
        """A known complex type can never be a String; primitives of other kinds are left to the evaluation."""
        if function.takes != "String" or not source.types or source.types & _DYNAMIC:
            return
        if all(model.known(one) and not model.is_primitive(one) for one in source.types):
            raise self.wrong(f"{function.name}() takes a String, found {_listed(source.types)}", position)

    def condition(self, kind: Kind, position: int) -> None:
        if kind.types and not kind.types & _TRUTH:
            raise self.wrong(f"the first argument of iif is a truth value, found {_listed(kind.types)}", position)

    def in_order(self, kind: Kind, what: str, position: int) -> Kind:
        if self.strict and not kind.ordered:
            raise self.wrong(f"{what} needs an order, and children have none", position)
        return kind


def _system(name: str) -> Kind:
    return Kind(frozenset({f"System.{name}"}))


def _listed(types: frozenset[str]) -> str:
    names = sorted(types)
    return ", ".join(names[:5]) + (" or others" if len(names) > 5 else "")


def _either(kinds: list[Kind]) -> Kind:
    types: set[str] = set()
    for kind in kinds:
        if kind.types is None:
            return _UNKNOWN
        types |= kind.types
    return Kind(frozenset(types))


def _calculated(operator: str, left: Kind, right: Kind) -> Kind:
    if operator in _TRUTH_OPERATORS:
        return _system("Boolean")
    if operator == "&":
        return _system("String")
    return left if left.types == right.types and operator in "+-*" else _UNKNOWN


def _given(function: Function, source: Kind, arguments: list[Kind]) -> Kind:
    if function.name in _UNORDERED:
        return Kind(None, ordered=False)
    gives = function.gives.rstrip("*")
    if gives == "$":
        return source
    if gives == "$1":
        return Kind(arguments[0].types) if arguments else _UNKNOWN
    if gives in model.SYSTEM_TYPES:
        return _system(gives)
    return Kind(frozenset({gives})) if gives and model.known(gives) else _UNKNOWN
