"""SCIM filters (RFC 7644 section 3.4.2.2), compiled to SQL. Pure.

    userName eq "li.ming" and (active eq true or not (meta.lastModified lt "2026-01-01T00:00:00Z"))

The whole grammar, over the attributes that this node keeps; another attribute, or a comparison that makes no sense of
one, is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from xinglin.kernel.errors import Invalid

LONGEST: Final = 1000
MOST: Final = 20  # comparisons
DEEPEST: Final = 10  # parentheses within each other
EXACT, FOLDED, FLAG, TIME = "exact", "folded", "flag", "time"
STAFF_URN: Final = "urn:xinglin:params:scim:schemas:extension:2.0:staff:"
USER_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:user:"
ATTRIBUTES: Final = {
    "username": ("a.login", FOLDED),  # RFC 7643: not case-exact; logins and ids of ours are lower case
    "id": ("s.id::text", FOLDED),
    "externalid": ("s.external_id", EXACT),
    "displayname": ("a.name_zh", EXACT),
    "name.formatted": ("a.name_en", EXACT),
    "active": ("a.active", FLAG),
    "roles": ("a.role", EXACT),
    "roles.value": ("a.role", EXACT),
    "roles.primary": ("true", FLAG),
    "meta.created": ("a.created", TIME),
    "meta.lastmodified": ("s.changed", TIME),
    f"{STAFF_URN}practitioner": ("a.practitioner", EXACT),
}
CASTS: Final = {EXACT: "text", FOLDED: "text", FLAG: "boolean", TIME: "timestamptz"}
ORDER: Final = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
OPERATORS: Final = {
    EXACT: frozenset({"eq", "ne", "co", "sw", "ew", "pr", *ORDER}),
    FOLDED: frozenset({"eq", "ne", "co", "sw", "ew", "pr", *ORDER}),
    FLAG: frozenset({"eq", "ne", "pr"}),
    TIME: frozenset({"eq", "ne", "pr", *ORDER}),
}
_TOKEN: Final = re.compile(r'\s*(?P<token>"(?:[^"\\]|\\.)*"|[()\[\]]|[^\s()\[\]"]+)')
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9:._-]*")


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison of a known attribute; `value` None: there is none."""

    attribute: str
    operator: str
    value: str | bool | datetime | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """Parts of which all (`and`), one (`or`) or none (`not`, of one part) must hold."""

    how: str
    parts: tuple[Expression, ...]


Expression = Comparison | Joined


def parse(text: str) -> Expression:
    """What a filter says. Raises Invalid with SCIM's invalidFilter."""
    if len(text) > LONGEST or "\0" in text:
        raise _wrong(f"A filter has at most {LONGEST} characters.")
    reading = _Reading(_tokens(text))
    found = reading.either("")
    if reading.rest:
        raise _wrong(f"{reading.rest[0][:40]!r} is not expected there.")
    return found


def _tokens(text: str) -> list[str]:
    found, place = [], 0
    while place < len(text.rstrip()):
        match = _TOKEN.match(text, place)
        if match is None:
            raise _wrong("The filter cannot be understood.")
        found.append(match["token"])
        place = match.end()
    return found


class _Reading:
    """A filter's tokens, read from the left. `within`: the attribute whose brackets are open, with its dot."""

    def __init__(self, tokens: list[str]) -> None:
        self.rest = tokens
        self.comparisons = 0
        self.depth = 0

    def either(self, within: str) -> Expression:
        return self._joined("or", within, lambda: self._joined("and", within, lambda: self._one(within)))

    def _joined(self, word: str, within: str, part: Callable[[], Expression]) -> Expression:
        parts = [part()]
        while self._next().lower() == word:
            self._take()
            parts.append(part())
        return parts[0] if len(parts) == 1 else Joined(word, tuple(parts))

    def _one(self, within: str) -> Expression:
        word = self._take()
        if word.lower() == "not" and self._next() == "(":
            return Joined("not", (self._inside(self._take(), within),))
        if word == "(":
            return self._inside(word, within)
        if self._next() == "[":
            return self._inside(self._take(), f"{_plain(word)}.")
        return self._comparison(within + _plain(word))

    def _inside(self, opening: str, within: str) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            raise _wrong(f"More than {DEEPEST} parentheses within each other.")
        found = self.either(within)
        if self._take() != {"(": ")", "[": "]"}[opening]:
            raise _wrong("A parenthesis is not closed.")
        self.depth -= 1
        return found

    def _comparison(self, attribute: str) -> Comparison:
        self.comparisons += 1
        if self.comparisons > MOST:
            raise _wrong(f"More than {MOST} comparisons.")
        if attribute not in ATTRIBUTES:
            raise _wrong(f"Users are not filtered by {attribute[:60]!r}.")
        operator, kind = self._take().lower(), ATTRIBUTES[attribute][1]
        if operator not in OPERATORS[kind]:
            raise _wrong(f"{attribute} is not compared by {operator[:10]!r}.")
        return Comparison(attribute, operator, None if operator == "pr" else _value(self._take(), kind, operator))

    def _next(self) -> str:
        return self.rest[0] if self.rest else ""

    def _take(self) -> str:
        if not self.rest:
            raise _wrong("The filter ends too early.")
        return self.rest.pop(0)


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise _wrong(f"{name[:40]!r} is no attribute.")
    return name.lower().removeprefix(USER_URN)


def _value(token: str, kind: str, operator: str) -> str | bool | datetime | None:
    try:
        value: Any = json.loads(token if token.startswith('"') else token.lower())
        if value is None and operator in ("eq", "ne"):
            return None
        if kind == TIME and isinstance(value, str):
            found = datetime.fromisoformat(value)
            return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        raise _wrong(f"The value {token[:40]!r} cannot be read.") from None
    if isinstance(value, bool) != (kind == FLAG) or (kind != FLAG and (kind == TIME or not isinstance(value, str))):
        raise _wrong("`active` is compared with true or false, moments with moments, the others with text.")
    if isinstance(value, str) and ("\0" in value or not value.isprintable()):
        raise _wrong("A value of the filter cannot be read.")
    return value.casefold() if kind == FOLDED else value  # type: ignore[no-any-return]


# to SQL ---------------------------------------------------------------------------------------------------------------


def compiled(found: Expression | None, bind: Callable[[object], str]) -> str:
    """AND ... of a statement over `account a LEFT JOIN scim_user s`."""
    return "" if found is None else f" AND {_sql(found, bind)}"


def _sql(one: Expression, bind: Callable[[object], str]) -> str:
    if isinstance(one, Comparison):
        return f"coalesce({_compared(one, bind)}, false)"
    parts = [_sql(part, bind) for part in one.parts]
    return f"NOT {parts[0]}" if one.how == "not" else f"({f' {one.how.upper()} '.join(parts)})"


def _compared(one: Comparison, bind: Callable[[object], str]) -> str:
    column, kind = ATTRIBUTES[one.attribute]
    if one.operator == "pr" or one.value is None:
        return f"({column} IS {'' if one.operator == 'eq' else 'NOT '}NULL)"
    value = f"{bind(one.value)}::{CASTS[kind]}"
    match one.operator:
        case "eq":
            return f"{column} = {value}"
        case "ne":
            return f"({column} IS DISTINCT FROM {value})"
        case "co":
            return f"strpos({column}, {value}) > 0"
        case "sw":
            return f"starts_with({column}, {value})"
        case "ew":
            return f"right({column}, length({value})) = {value}"
    collated = "" if kind == TIME else ' COLLATE "C"'
    return f"{column}{collated} {ORDER[one.operator]} {value}"


def _wrong(text: str) -> Invalid:
    return Invalid(text, code="invalidFilter", remedy='Example: userName eq "li.ming" and active eq true')
