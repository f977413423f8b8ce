"""The expressions of `_filter`. https://hl7.org/fhir/R4/search_filter.html

filter    = part *(("and" / "or") part)           from the left, none binding tighter
part      = "not" "(" filter ")" / "(" filter ")" / path operator value
path      = parameter ["[" filter "]"] *("." parameter ...)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from xinglin.core.search.parameters import Parameter
from xinglin.core.search.query import And, Condition, DateValue, Match, Missing, Not, Or, TextValue
from xinglin.kernel.errors import Invalid

if TYPE_CHECKING:
    from xinglin.core.search.parse import Request

MAX_NESTING: Final = 20
MAX_PARTS: Final = 100

_LEXEME = re.compile(r'\s*(?:(?P<text>"(?:[^"\\]|\\.)*")|(?P<mark>[()\[\]])|(?P<word>[^\s()\[\]"]+))')

ORDERED: Final = frozenset({"gt", "lt", "ge", "le", "ap", "sa", "eb", "ne", "po"})
_STRING_MODES: Final = {"eq": "equals", "co": "contains", "sw": None, "ew": "ends"}
_TOKEN_MODES: Final = {"eq": None, "in": "in", "ss": "above", "sb": "below"}


def filter_condition(text: str, type_name: str, request: Request) -> Condition:
    """The condition an expression states of a type. Raises Invalid, naming the place."""
    reader = _Reader(text, request)
    found = reader.alternatives(type_name, 0)
    if reader.peek() is not None:
        raise reader.wrong(f"{reader.peek()!r} stands after the end")
    return found


class _Reader:
    def __init__(self, text: str, request: Request) -> None:
        self.request = request
        self.lexemes: list[str] = []
        self.at = 0
        self.parts = 0
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _LEXEME.match(text, position)
            if match is None:
                raise Invalid(f"_filter: a quote is not closed at character {position + 1}.", expression="_filter")
            self.lexemes.append(match[0].strip())
            position = match.end()

    def wrong(self, why: str) -> Invalid:
        return Invalid(f"_filter: {why}.", expression="_filter", remedy="Write: parameter operator value.")

    def peek(self) -> str | None:
        return self.lexemes[self.at] if self.at < len(self.lexemes) else None

    def take(self, expected: str | None = None) -> str:
        found = self.peek()
        if found is None or (expected is not None and found != expected):
            raise self.wrong(f"{expected or 'more'} is missing after {' '.join(self.lexemes[: self.at][-3:])!r}")
        self.at += 1
        return found

    def alternatives(self, type_name: str, depth: int) -> Condition:
        if depth > MAX_NESTING:
            raise self.wrong(f"brackets are nested more than {MAX_NESTING} deep")
        left = self.part(type_name, depth)
        while (word := self.peek()) in ("and", "or"):
            self.take()
            right = self.part(type_name, depth)
            left = And((left, right)) if word == "and" else Or((left, right))
        return left

    def part(self, type_name: str, depth: int) -> Condition:
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise self.wrong(f"it has more than {MAX_PARTS} parts")
        if self.peek() == "not" and self.at + 1 < len(self.lexemes) and self.lexemes[self.at + 1] == "(":
            self.take()
            return Not(self.bracket(type_name, depth))
        if self.peek() == "(":
            return self.bracket(type_name, depth)
        return self.comparison(type_name, depth)

    def bracket(self, type_name: str, depth: int) -> Condition:
        self.take("(")
        found = self.alternatives(type_name, depth + 1)
        self.take(")")
        return found

    def comparison(self, type_name: str, depth: int) -> Condition:
        """A path, an operator, a value. The path is read again for each type that a reference may point to."""
        start = self.at
        self.skip_path()
        end = self.at
        operator, value = self.take(), self.take()
        after = self.at
        found = self.along(type_name, start, end, operator, value, depth)
        self.at = after
        return found

    def skip_path(self) -> None:
        """Over `name`, or `name[filter].rest`: the words of a path touch one another, which the lexemes do not show."""
        self.take()
        while self.peek() == "[":
            open_brackets = 0
            while True:
                lexeme = self.take()
                open_brackets += (lexeme == "[") - (lexeme == "]")
                if open_brackets == 0:
                    break
            if (following := self.peek()) is None or not following.startswith("."):
                raise self.wrong("after ] a further parameter is missing")
            self.take()

    def along(self, type_name: str, at: int, end: int, operator: str, value: str, depth: int) -> Condition:
        names = self.lexemes[at].lstrip(".").split(".")
        return self.step(type_name, names, at, end, operator, value, depth)

    def step(
        self, type_name: str, names: list[str], at: int, end: int, operator: str, value: str, depth: int
    ) -> Condition:
        if depth > MAX_NESTING:
            raise self.wrong("the path is too long")
        code, _, only = names[0].partition(":")
        parameter = self.request.parameter(type_name, code)
        if len(names) > 1:

            def following(target: str) -> Condition:
                return self.step(target, names[1:], at, end, operator, value, depth + 1)

            return self.request.chain(parameter, only, following)
        if at + 1 < end:
            return self.request.chain(parameter, only, lambda t: self.bracketed(t, at + 1, end, operator, value, depth))
        return self.compare(parameter, operator, value)

    def bracketed(self, target: str, at: int, end: int, operator: str, value: str, depth: int) -> Condition:
        self.at = at
        self.take("[")
        condition = self.alternatives(target, depth + 1)
        self.take("]")
        return And((condition, self.along(target, self.at, end, operator, value, depth + 1)))

    def compare(self, parameter: Parameter, operator: str, written: str) -> Condition:
        quoted = written.startswith('"')
        text = re.sub(r"\\(.)", r"\1", written[1:-1]) if quoted else written
        if operator == "pr":
            if text not in ("true", "false"):
                raise self.wrong("pr is followed by true or false")
            return Missing(parameter, text == "false")
        kind = parameter.kind
        if operator in ("ne", "ni") and kind not in ("date", "number", "quantity"):
            return Not(self.compare(parameter, "eq" if operator == "ne" else "in", written))
        if kind in ("date", "number", "quantity") and operator in ORDERED | {"eq"}:
            return self.ordered(parameter, operator, text)
        modes = _STRING_MODES if kind in ("string", "uri") else _TOKEN_MODES if kind == "token" else {"eq": None}
        if operator == "re" and kind == "reference":
            operator = "eq"
        if operator not in modes:
            raise self.wrong(f"{parameter.code}, a {kind}, cannot be compared by {operator!r}")
        return self.same(parameter, modes[operator], text)

    def ordered(self, parameter: Parameter, operator: str, text: str) -> Condition:
        prefix = "ap" if operator == "po" else operator
        found = self.request.match(parameter, None, f"{prefix}{_escaped(text, '|' not in text)}")
        if operator == "po" and isinstance(found, Match) and isinstance(date := found.values[0], DateValue):
            return Match(parameter, (DateValue("po", date.low, date.high),))
        return found

    def same(self, parameter: Parameter, modifier: str | None, text: str) -> Condition:
        if parameter.kind == "string":
            self.request.count_values(1)
            return Match(parameter, (TextValue(text),), modifier)
        return self.request.match(parameter, modifier if parameter.kind == "token" else None, _escaped(text, False))


def _escaped(text: str, bars: bool) -> str:
    escaped = text.replace("\\", "\\\\").replace(",", "\\,").replace("$", "\\$")
    return escaped.replace("|", "\\|") if bars else escaped
