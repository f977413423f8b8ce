"""Tokens to a syntax tree: precedence climbing over the operators of FHIRPath N1, section 6.8."""

from __future__ import annotations

from decimal import Decimal

from . import numbers
from .errors import PathError, PathTooCostly
from .lexer import Token, tokenize
from .quantities import CALENDAR, Quantity
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
    depth,
)
from .temporal import Temporal, parse_date, parse_date_time, parse_time

MAX_NESTING = 60
"""Brackets within brackets. Each level costs the reader four frames of the interpreter's stack."""

MAX_CHAIN = 100
"""Operators or steps chained on one level: each is a level of the compiled closures."""

MAX_DIGITS = 60
"""Of a number: those the arithmetic keeps."""

MAX_DEPTH = 120
"""Levels of the whole tree."""

_LEVELS: tuple[tuple[str, ...], ...] = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "~", "!=", "!~"),
    ("<=", "<", ">", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)
POWER = {operator: level for level, operators in enumerate(_LEVELS, start=1) for operator in operators}
_UNARY = len(_LEVELS) + 1
_WORDS_AS_NAMES = frozenset({"as", "contains", "in", "is"})
_RESERVED = frozenset({"and", "or", "xor", "implies", "div", "mod", "true", "false"})


def parse(source: str) -> Tree:
    """The tree of `source`. Raises PathError (phase syntax) with the place and what was expected there."""
    reader = _Reader(source)
    tree = reader.expression(0)
    if reader.token.kind != "end":
        raise reader.expected("an operator or the end of the expression")
    if depth(tree) > MAX_DEPTH:
        raise PathTooCostly(f"more than {MAX_DEPTH} steps within steps", source=source, position=0, phase="syntax")
    return tree


class _Reader:
    def __init__(self, source: str) -> None:
        self.source = source
        self.tokens = tokenize(source)
        self.at = 0
        self.nesting = 0
        self.chain = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.at]

    def advance(self) -> Token:
        token = self.tokens[self.at]
        self.at += 1
        return token

    def is_symbol(self, text: str) -> bool:
        token = self.tokens[self.at]
        return token.kind == "symbol" and token.text == text

    def take(self, symbol: str) -> Token:
        if not self.is_symbol(symbol):
            raise self.expected(f"'{symbol}'")
        return self.advance()

    def expected(self, what: str, remedy: str | None = None) -> PathError:
        token = self.token
        found = f"'{_short(token.text)}'" if token.kind != "end" else "the end of the expression"
        text = f"expected {what}, found {found}"
        return PathError(text, source=self.source, position=token.position, phase="syntax", remedy=remedy)

    def too_deep(self, what: str, bound: int) -> PathTooCostly:
        return PathTooCostly(
            f"more than {bound} {what}", source=self.source, position=self.token.position, phase="syntax"
        )

    # Expressions ------------------------------------------------------------------------------------------------

    def expression(self, minimum: int) -> Tree:
        self.nesting += 1
        if self.nesting > MAX_NESTING:
            raise self.too_deep("levels of nesting", MAX_NESTING)
        left, links = self.unary(), 0
        while (power := self.operator_power()) > minimum:
            links += 1
            if links > MAX_CHAIN:
                raise self.too_deep("operators in a row", MAX_CHAIN)
            left = self.binary(left, power)
        self.nesting -= 1
        return left

    def operator_power(self) -> int:
        token = self.token
        return POWER.get(token.text, 0) if token.kind in ("symbol", "name") else 0

    def binary(self, left: Tree, power: int) -> Tree:
        operator = self.advance()
        if operator.text in ("is", "as"):
            return TypeTest(operator.text, left, self.type_name(), operator.position)
        if operator.text == "|":
            return self.union(left, power, operator)
        return Binary(operator.text, left, self.expression(power), operator.position)

    def union(self, left: Tree, power: int, operator: Token) -> Tree:
        parts = [left, self.expression(power)]
        while self.is_symbol("|"):
            self.advance()
            parts.append(self.expression(power))
        return Union(tuple(parts), operator.position)

    def unary(self) -> Tree:
        token = self.token
        if token.kind == "symbol" and token.text in ("+", "-"):
            self.advance()
            return Sign(token.text, self.expression(_UNARY), token.position)
        return self.postfix(self.term())

    def postfix(self, tree: Tree) -> Tree:
        links = 0
        while self.is_symbol(".") or self.is_symbol("["):
            links += 1
            if links > MAX_CHAIN:
                raise self.too_deep("steps in a row", MAX_CHAIN)
            token = self.advance()
            if token.text == ".":
                tree = self.invocation(tree)
            else:
                tree = Index(tree, self.expression(0), token.position)
                self.take("]")
        return tree

    def invocation(self, source: Tree) -> Tree:
        token = self.token
        if token.kind == "special":
            raise self.expected("the name of an element or function")
        name = self.identifier("the name of an element or function")
        if self.is_symbol("("):
            return self.call(source, name, token.position)
        return Member(source, name, token.position)

    def call(self, source: Tree | None, name: str, position: int) -> Tree:
        self.take("(")
        if name in ("is", "as", "ofType") and not self.is_symbol(")"):
            type_name = self.type_name()
            self.take(")")
            focus = source if source is not None else Special("$this", position)
            return TypeTest(name, focus, type_name, position)
        arguments: list[Tree] = []
        if not self.is_symbol(")"):
            arguments.append(self.argument(name))
            while self.is_symbol(","):
                self.advance()
                arguments.append(self.argument(name))
        self.take(")")
        return Call(source, name, tuple(arguments), position)

    def argument(self, function: str) -> Tree:
        """An argument; a key of sort() may be followed by its direction."""
        tree, token = self.expression(0), self.token
        if function != "sort" or token.kind != "name" or token.text not in ("asc", "desc"):
            return tree
        self.advance()
        return Sign("-", tree, token.position) if token.text == "desc" else tree

    def identifier(self, what: str) -> str:
        token = self.token
        if token.kind == "quoted" or (token.kind == "name" and token.text not in _RESERVED):
            self.advance()
            return token.text
        quoted = f"A word of the language is quoted where it is a name: `{token.text}`."
        raise self.expected(what, quoted if token.kind == "name" else None)

    def type_name(self) -> TypeName:
        position = self.token.position
        first = self.identifier("the name of a type")
        if self.is_symbol("."):
            self.advance()
            return TypeName(first, self.identifier("the name of a type"), position)
        return TypeName(None, first, position)

    # Terms ------------------------------------------------------------------------------------------------------

    def term(self) -> Tree:
        token = self.token
        if token.kind == "symbol":
            return self.bracketed(token)
        reader = getattr(self, f"_{token.kind}", None)
        if reader is None:
            raise self.expected("a value, a name or '('")
        tree: Tree = reader(token)
        return tree

    def bracketed(self, token: Token) -> Tree:
        if token.text == "(":
            self.advance()
            tree = self.expression(0)
            self.take(")")
            return tree
        if token.text == "{":
            self.advance()
            self.take("}")
            return Empty(token.position)
        raise self.expected("a value, a name or '('")

    def _name(self, token: Token) -> Tree:
        if token.text in ("true", "false"):
            self.advance()
            return Literal(token.text == "true", token.position)
        if token.text in POWER and token.text not in _WORDS_AS_NAMES:
            raise self.expected("a value, a name or '('")
        return self._quoted(token)

    def _quoted(self, token: Token) -> Tree:
        self.advance()
        if self.is_symbol("("):
            return self.call(None, token.text, token.position)
        return Name(token.text, token.position)

    def _special(self, token: Token) -> Tree:
        self.advance()
        return Special(token.text, token.position)

    def _constant(self, token: Token) -> Tree:
        self.advance()
        return Variable(token.text, token.position)

    def _string(self, token: Token) -> Tree:
        self.advance()
        return Literal(token.text, token.position)

    def _number(self, token: Token) -> Tree:
        if len(token.text) > MAX_DIGITS:
            raise self.expected(f"a number of at most {MAX_DIGITS} digits")
        self.advance()
        if token.text.endswith("L"):
            return Literal(numbers.Long(self._whole(token, token.text[:-1])), token.position)
        after = self.token
        if after.kind == "string":
            self.advance()
            return Literal(Quantity(Decimal(token.text), after.text), token.position)
        if after.kind == "name" and after.text in CALENDAR:
            self.advance()
            return Literal(Quantity(Decimal(token.text), CALENDAR[after.text], True), token.position)
        if "." in token.text:
            return Literal(Decimal(token.text), token.position)
        return Literal(numbers.literal(self._whole(token, token.text)), token.position)

    def _whole(self, token: Token, digits: str) -> int:
        if len(digits) > 19:
            raise PathError(
                "the whole number has more than 19 digits", source=self.source, position=token.position, phase="syntax"
            )
        return int(digits)

    def _date(self, token: Token) -> Tree:
        return self._moment(token, parse_date(token.text))

    def _datetime(self, token: Token) -> Tree:
        return self._moment(token, parse_date_time(token.text))

    def _time(self, token: Token) -> Tree:
        return self._moment(token, parse_time(token.text[1:]))

    def _moment(self, token: Token, value: Temporal | None) -> Tree:
        if value is None:
            raise self.expected("a date or time that exists")
        self.advance()
        return Literal(value, token.position)


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
