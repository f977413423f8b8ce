"""The syntax tree of an expression: frozen values, each knowing its place in the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from .quantities import Quantity
from .temporal import Temporal
from .numbers import Number

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
