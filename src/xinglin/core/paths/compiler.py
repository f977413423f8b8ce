"""The whole language as closures: one Python function for each node of the tree, chosen when it is compiled."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from . import model, numbers, references
from .arithmetic import is_number
from .environment import standing
from .equality import distinct
from .errors import PathError
from .functions import FUNCTIONS, Function
from .items import Item, Node, root_node, system, system_type
from .navigation import child
from .operators import OPERATORS, describe, single, truth
from .quantities import Quantity
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
    parts,
)
from .world import Frame, Run


def compile_tree(tree: Tree, source: str, filters: bool) -> Run:
    """The closure of a tree. Raises PathError (semantic) for unknown functions, types and wrong counts of arguments."""
    return _Compiler(source, filters, _defines(tree)).compile(tree)


class _Compiler:
    def __init__(self, source: str, filters: bool, defines: bool) -> None:
        self.source, self.filters, self.defines = source, filters, defines

    def compile(self, tree: Tree) -> Run:
        match tree:
            case Literal(value):
                return _constant([value])
            case Empty():
                return _constant([])
            case Name(name):
                return _named(name)
            case Special(name):
                return _SPECIAL[name]
            case Variable(name):
                return self.placed(_variable(name), tree.position)
            case Member(inner, name):
                return _member(self.compile(inner), name)
            case Call():
                return self.placed(self.call(tree), tree.position)
            case Index(inner, index):
                return self.placed(_index(self.compile(inner), self.scoped(index)), tree.position)
            case Sign(sign, operand):
                run = self.compile(operand)
                return self.placed(_negative(run) if sign == "-" else _positive(run), tree.position)
            case Union(branches):
                return _union([self.scoped(branch) for branch in branches])
            case TypeTest():
                return self.placed(self.type_test(tree), tree.position)
            case Binary(operator, left, right):
                return self.placed(_binary(operator, self.scoped(left), self.scoped(right)), tree.position)

    def scoped(self, tree: Tree) -> Run:
        """An operand or argument: what it defines by defineVariable() ends with it."""
        run = self.compile(tree)
        if not self.defines or not _defines(tree):
            return run

        def inside(frame: Frame) -> list[Item]:
            before = frame.names
            try:
                return run(frame)
            finally:
                frame.names = before

        return inside

    def placed(self, run: Run, position: int) -> Run:
        """`run`, whose errors know their place. The innermost place wins."""

        def at(frame: Frame) -> list[Item]:
            world = frame.world
            world.steps -= 1
            if world.steps < 0:
                world.spend(0)
            try:
                return run(frame)
            except PathError as error:
                if error.position < 0:
                    kind = error.__class__
                    raise kind(error.text, source=self.source, position=position, remedy=error.remedy) from None
                raise

        return at

    def wrong(self, text: str, position: int, remedy: str | None = None) -> PathError:
        return PathError(text, source=self.source, position=position, phase="semantic", remedy=remedy)

    def call(self, tree: Call) -> Run:
        function = FUNCTIONS.get(tree.name)
        if function is None:
            raise self.wrong(f"there is no function '{tree.name}'", tree.position)
        count = len(tree.arguments)
        if not function.least <= count <= function.most:
            takes = str(function.least) if function.least == function.most else f"{function.least} to {function.most}"
            raise self.wrong(f"'{tree.name}' takes {takes} arguments, found {count}", tree.position)
        focus = self.compile(tree.source) if tree.source is not None else _this
        if function.name == "sort":
            return _called(function, focus, [self.sort_key(one) for one in tree.arguments])
        if function.name == "getReferenceKey":
            return _called(function, focus, [_constant([_type_text(one)]) for one in tree.arguments])
        return _called(function, focus, [self.scoped(one) for one in tree.arguments])

    def sort_key(self, tree: Tree) -> Run:
        """A minus before a key of sort() asks for descending order."""
        if isinstance(tree, Sign) and tree.operator == "-":
            run = self.scoped(tree.operand)
            return lambda frame: [True, *run(frame)]
        run = self.scoped(tree)
        return lambda frame: [False, *run(frame)]

    def type_test(self, tree: TypeTest) -> Run:
        fits = self.fits(tree.type)
        if tree.operator == "is":
            if isinstance(tree.operand, Call) and tree.operand.name == "resolve":
                operand = tree.operand.source
                return _resolves_to(self.compile(operand) if operand else _this, tree.type.name)
            return _is(self.compile(tree.operand), fits)
        many = tree.operator == "ofType" or self.filters
        return _of_type(self.compile(tree.operand), fits, many)

    def fits(self, type_name: TypeName) -> Callable[[Item], bool]:
        """Whether an item is of the type; unqualified names are looked for among System's and FHIR's types."""
        namespace, name = type_name.namespace, type_name.name
        in_system = namespace in (None, "System") and name in model.SYSTEM_TYPES
        in_fhir = namespace in (None, "FHIR") and model.known(name)
        if not in_system and not in_fhir:
            full = f"{namespace}.{name}" if namespace else name
            raise self.wrong(f"there is no type '{full}'", type_name.position)

        def fits(item: Item) -> bool:
            if item.__class__ is Node:
                return in_fhir and model.is_kind_of(item.type, name)
            return in_system and (name == "Any" or system_type(item) == name)

        return fits


def _defines(tree: Tree) -> bool:
    if isinstance(tree, Call) and tree.name == "defineVariable":
        return True
    return any(_defines(part) for part in parts(tree))


def _type_text(tree: Tree) -> str:
    """`Patient` or `FHIR.Patient` where a type is named as an argument; anything else is compared as its own text."""
    return tree.name if isinstance(tree, Name | Member) else str(getattr(tree, "value", ""))


# Terms -------------------------------------------------------------------------------------------------------------


def _constant(items: list[Item]) -> Run:
    return lambda frame: items


def _this(frame: Frame) -> list[Item]:
    return frame.this


_SPECIAL: dict[str, Run] = {
    "$this": _this,
    "$index": lambda frame: [frame.index],
    "$total": lambda frame: frame.total,
}


def _named(name: str) -> Run:
    """An element of the focus; a name of a type stands for the focus itself, where it is of that type."""
    if not (name[0].isupper() and model.known(name)):
        return lambda frame: _counted(child(frame.this, name), frame)

    def typed(frame: Frame) -> list[Item]:
        return [item for item in frame.this if item.__class__ is Node and model.is_kind_of(item.type, name)] or child(
            frame.this, name
        )

    return typed


def _member(source: Run, name: str) -> Run:
    return lambda frame: _counted(child(source(frame), name), frame)


def _counted(items: list[Item], frame: Frame) -> list[Item]:
    """Long collections are work; the short are counted with the operator or function that asked."""
    if len(items) > 16:
        frame.world.spend(len(items))
    return items


def _variable(name: str) -> Run:
    def variable(frame: Frame) -> list[Item]:
        if frame.names is not None and name in frame.names:
            return frame.names[name]
        world = frame.world
        environment = world.environment
        if name in environment.variables:
            value = environment.variables[name]
            return [root_node(one) for one in value] if isinstance(value, list) else [root_node(value)]
        if name == "context":
            return [world.context]
        if name in ("resource", "rootResource"):
            return [world.context if environment.root is None else root_node(environment.root)]
        standard = standing(name)
        if standard is None:
            raise PathError(f"there is no variable %{name}", remedy="Give it in the environment's variables.")
        return [standard]

    return variable


# Steps -------------------------------------------------------------------------------------------------------------


def _index(source: Run, index: Run) -> Run:
    def at(frame: Frame) -> list[Item]:
        position = single(index(frame), "an index")
        if position is None:
            return []
        if isinstance(position, bool) or not isinstance(position, int):
            raise PathError(f"an index is a whole number, found {describe(position)}")
        return source(frame)[position : position + 1] if position >= 0 else []

    return at


def _called(function: Function, focus: Run, arguments: list[Run]) -> Run:
    run = function.run
    return lambda frame: run(focus(frame), arguments, frame)


def _positive(operand: Run) -> Run:
    return _signed(operand, 1)


def _negative(operand: Run) -> Run:
    return _signed(operand, -1)


def _signed(operand: Run, sign: int) -> Run:
    def signed(frame: Frame) -> list[Item]:
        items = operand(frame)
        value = _number(items, sign) if items else None
        return [] if value is None else [value]

    return signed


def _number(items: list[Item], sign: int) -> Item:
    value = single(items, "a sign")
    if value is None:
        return None
    number = value.value if isinstance(value, Quantity) else value
    if not is_number(number):
        raise PathError(f"a sign stands before a number or a quantity, found {describe(value)}")
    signed = number if sign > 0 else numbers.negative(number)
    if signed is None or not isinstance(value, Quantity):
        return signed
    return Quantity(Decimal(signed), value.unit, value.calendar)


def _union(parts: list[Run]) -> Run:
    def union(frame: Frame) -> list[Item]:
        items = [item for part in parts for item in part(frame)]
        world = frame.world
        world.spend(len(parts) + len(items))
        return distinct(items, world.spend) if len(items) > 1 else items

    return union


# Types -------------------------------------------------------------------------------------------------------------


def _is(operand: Run, fits: Callable[[Item], bool]) -> Run:
    def is_type(frame: Frame) -> list[Item]:
        items = operand(frame)
        if len(items) > 1:
            raise PathError(f"'is' takes one item, found {len(items)}")
        return [fits(items[0])] if items else []

    return is_type


def _resolves_to(operand: Run, type_name: str) -> Run:
    """`resolve() is Patient`: what the reference says is enough, and nothing is fetched for it."""

    def resolves(frame: Frame) -> list[Item]:
        items = operand(frame)
        if len(items) > 1:
            raise PathError(f"'is' takes one item, found {len(items)}")
        if not items:
            return []
        value, environment = system(items[0]), frame.world.environment
        reference = value.value if isinstance(value, Node) else {"reference": value}
        root = environment.root if environment.root is not None else getattr(frame.world.context, "value", None)
        return [references.is_type(reference, type_name, root, environment.resolver)]

    return resolves


def _of_type(operand: Run, fits: Callable[[Item], bool], many: bool) -> Run:
    def of_type(frame: Frame) -> list[Item]:
        items = operand(frame)
        if len(items) > 1 and not many:
            raise PathError(f"'as' takes one item, found {len(items)}", remedy="ofType() picks from many.")
        return [item for item in items if fits(item)]

    return of_type


# Operators ---------------------------------------------------------------------------------------------------------


def _binary(operator: str, left: Run, right: Run) -> Run:
    lazy = _LOGIC.get(operator)
    if lazy is not None:
        return lazy(left, right)
    operate = OPERATORS[operator]
    return lambda frame: operate(left(frame), right(frame), frame.world)


def _and(left: Run, right: Run) -> Run:
    def both(frame: Frame) -> list[Item]:
        a = truth(left(frame), "'and'")
        if a is False:
            return [False]
        b = truth(right(frame), "'and'")
        return [False] if b is False else [True] if a and b else []

    return both


def _or(left: Run, right: Run) -> Run:
    def either(frame: Frame) -> list[Item]:
        a = truth(left(frame), "'or'")
        if a:
            return [True]
        b = truth(right(frame), "'or'")
        return [True] if b else [False] if a is False and b is False else []

    return either


def _implies(left: Run, right: Run) -> Run:
    def implies(frame: Frame) -> list[Item]:
        a = truth(left(frame), "'implies'")
        if a is False:
            return [True]
        b = truth(right(frame), "'implies'")
        return [True] if b else [False] if a and b is False else []

    return implies


_LOGIC: dict[str, Callable[[Run, Run], Run]] = {"and": _and, "or": _or, "implies": _implies}
