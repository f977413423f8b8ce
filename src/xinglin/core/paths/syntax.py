"""The syntax tree of an expression: frozen values, each knowing its place in the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .numbers import Number
from .quantities import Quantity
from .temporal import Temporal

Value: TypeAlias = "bool | str | Number | Temporal | Quantity"


@dataclass(frozen=True, slots=True)
class Literal:
    value: Value
    position: int


@dataclass(frozen=True, slots=True)
class Empty:
    """`{}`"""

    position: int


@dataclass(frozen=True, slots=True)
class Name:
    """An identifier that opens a path: an element of the focus, or the name of its type."""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Special:
    """`$this`, `$index`, `$total`"""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Variable:
    """`%name`"""

    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Member:
    source: Tree
    name: str
    position: int


@dataclass(frozen=True, slots=True)
class Call:
    """`source.name(arguments)`; no source means the focus."""

    source: Tree | None
    name: str
    arguments: tuple[Tree, ...]
    position: int


@dataclass(frozen=True, slots=True)
class Index:
    source: Tree
    index: Tree
    position: int


@dataclass(frozen=True, slots=True)
class Sign:
    """Unary `+` or `-`"""

    operator: str
    operand: Tree
    position: int


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Tree
    right: Tree
    position: int


@dataclass(frozen=True, slots=True)
class Union:
    """`a | b | c`: one node, however many parts, so that long unions stay shallow."""

    parts: tuple[Tree, ...]
    position: int


@dataclass(frozen=True, slots=True)
class TypeName:
    """`FHIR.Patient`, `System.String` or `Patient`"""

    namespace: str | None
    name: str
    position: int


@dataclass(frozen=True, slots=True)
class TypeTest:
    """`operand is Type` or `operand as Type`; the functions `is()` and `as()` read as the same node."""

    operator: str
    operand: Tree
    type: TypeName
    position: int


Tree: TypeAlias = (
    "Literal | Empty | Name | Special | Variable | Member | Call | Index | Sign | Binary | Union | TypeTest"
)


def parts(tree: Tree) -> tuple[Tree, ...]:
    """The trees directly below."""
    match tree:
        case Member(source) | Index(source, Literal()):
            return (source,)
        case Index(source, index):
            return (source, index)
        case Call(source, _, arguments):
            return arguments if source is None else (source, *arguments)
        case Sign(_, operand) | TypeTest(_, operand):
            return (operand,)
        case Binary(_, left, right):
            return (left, right)
        case Union(parts):
            return parts
    return ()


def depth(tree: Tree) -> int:
    """Levels of the tree, counted without recursion."""
    level, count = [tree], 0
    while level:
        count += 1
        level = [part for one in level for part in parts(one)]
    return count
