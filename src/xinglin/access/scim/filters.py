"""SCIM filters (RFC 7644 section 3.4.2.2), the part that provisioning programs use, compiled to SQL. Pure.

    userName eq "li.ming" and active eq true

Attributes userName, externalId, active, id; operators eq, co, sw, pr; joined by `and`. Everything else is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from xinglin.kernel.errors import Invalid

LONGEST: Final = 1000
MOST: Final = 8
COLUMNS: Final = {"username": "a.login", "externalid": "s.external_id", "id": "s.id::text", "active": "a.active"}
FOLDED: Final = frozenset({"username", "id"})  # RFC 7643: userName is not case-exact; ids of ours are lower case
_PART: Final = re.compile(
    r'\s*(?P<attribute>[A-Za-z:0-9.]+)\s+(?:(?P<present>pr)|(?P<operator>eq|co|sw)\s+(?P<value>"(?:[^"\\]|\\.)*"|true|false))'
    r"\s*",
    re.IGNORECASE,
)
_AND: Final = re.compile(r"and\b", re.IGNORECASE)
_URN: Final = "urn:ietf:params:scim:schemas:core:2.0:user:"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison: `operator` eq, co, sw or pr; `value` None for pr."""

    attribute: str
    operator: str
    value: str | bool | None


def parse(text: str) -> tuple[Comparison, ...]:
    """The comparisons, all of which must hold. Raises Invalid with SCIM's invalidFilter."""
    found: list[Comparison] = []
    place = 0
    while True:
        match = _PART.match(text, place) if len(text) <= LONGEST and len(found) < MOST else None
        if match is None:
            raise _wrong("The filter cannot be understood.")
        found.append(_comparison(match))
        if match.end() == len(text):
            return tuple(found)
        joined = _AND.match(text, match.end())
        if joined is None:
            raise _wrong("Comparisons are joined by `and`.")
        place = joined.end()


def _comparison(match: re.Match[str]) -> Comparison:
    attribute = match["attribute"].lower().removeprefix(_URN)
    if attribute not in COLUMNS:
        raise _wrong(f"Users are not filtered by {match['attribute'][:60]!r}.")
    if match["present"]:
        return Comparison(attribute, "pr", None)
    try:
        value = json.loads(match["value"] if match["value"].startswith('"') else match["value"].lower())
    except ValueError:
        raise _wrong("A value of the filter cannot be read.") from None
    operator = match["operator"].lower()
    if (attribute == "active") != isinstance(value, bool) or (attribute == "active" and operator != "eq"):
        raise _wrong("`active` is compared with true or false by eq, the others with text.")
    if isinstance(value, str) and "\x00" in value:
        raise _wrong("A value of the filter cannot be read.")
    return Comparison(attribute, operator, value)


def compiled(comparisons: tuple[Comparison, ...], bind: Callable[[object], str]) -> str:
    """AND ... of a statement over `account a LEFT JOIN scim_user s`."""
    return "".join(f" AND {_sql(one, bind)}" for one in comparisons)


def _sql(one: Comparison, bind: Callable[[object], str]) -> str:
    column = COLUMNS[one.attribute]
    if one.operator == "pr":
        return f"{column} IS NOT NULL"
    if isinstance(one.value, bool):
        return f"{column} = {bind(one.value)}"
    value = bind(str(one.value).casefold() if one.attribute in FOLDED else one.value)
    if one.operator == "eq":
        return f"{column} = {value}"
    if one.operator == "sw":
        return f"starts_with({column}, {value})"
    return f"strpos({column}, {value}) > 0"


def _wrong(text: str) -> Invalid:
    return Invalid(text, code="invalidFilter", remedy='Example: userName eq "li.ming" and active eq true')
