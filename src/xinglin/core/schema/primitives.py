"""FHIR's primitive types: what a value may be, in the words of the specification's regular expressions.

Both passes use this table: the fast one through `msgspec.Meta`, the slow one through `problem`. Rules added to
the published expressions: a date must exist in the calendar, and a decimal must lie within 1e±300 and have at
most 64 digits. Source: https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal

MAX_STRING = 1024 * 1024
MAX_EXPONENT = 300
MAX_DIGITS = 64
INTEGERS = {
    "integer": (-(2**31), 2**31 - 1),
    "unsignedInt": (0, 2**31 - 1),
    "positiveInt": (1, 2**31 - 1),
}

_DATE = r"(?!0000)[0-9]{4}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01]))?)?"
_FULL_DATE = r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

PATTERNS = {
    "id": r"[A-Za-z0-9\-.]{1,64}",
    "code": r"[^\s]+(?:\s[^\s]+)*",
    "uri": r"\S+",
    "url": r"\S+",
    "canonical": r"\S+",
    "oid": r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+",
    "uuid": r"urn:uuid:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "base64Binary": r"(?:\s*+[0-9a-zA-Z+/]){2,}+\s*+(?:=\s*+){0,2}",
    "date": _DATE,
    "dateTime": rf"{_DATE}|{_FULL_DATE}T{_TIME}{_ZONE}",
    "instant": rf"{_FULL_DATE}T{_TIME}{_ZONE}",
    "time": _TIME,
}

# Days that exist, as an expression: 29 February only where the year is divisible by 4 and not by 100, or is 2000.
_DAY = (
    r"(?:(?!0000)[0-9]{4}-(?:02-(?:0[1-9]|1[0-9]|2[0-8])"
    r"|(?:0[13-9]|1[0-2])-(?:0[1-9]|[12][0-9]|30)|(?:0[13578]|1[02])-31)"
    r"|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|2000)-02-29)"
)
_YEAR_OR_MONTH = r"(?!0000)[0-9]{4}(?:-(?:0[1-9]|1[0-2]))?"
# Expressions for the fast pass: alone they accept less than the whole rule, never more.
FAST_PATTERNS = {
    **PATTERNS,
    "date": rf"{_DAY}|{_YEAR_OR_MONTH}",
    "dateTime": rf"{_DAY}(?:T{_TIME}{_ZONE})?|{_YEAR_OR_MONTH}",
    "instant": rf"{_DAY}T{_TIME}{_ZONE}",
}

_EXAMPLES = {
    "id": "1 to 64 letters, digits, '-' or '.'",
    "code": "text without leading, trailing or doubled whitespace",
    "uri": "a URI without whitespace",
    "url": "a URL without whitespace",
    "canonical": "a canonical URL without whitespace",
    "oid": "an OID such as 'urn:oid:1.2.3'",
    "uuid": "a UUID such as 'urn:uuid:c757873d-ec9a-4326-a141-556f43239520'",
    "base64Binary": "base64 text",
    "date": "a date such as 2024, 2024-05 or 2024-05-31",
    "dateTime": "a date, or a date and time with seconds and a zone such as 2024-05-31T08:30:00+08:00",
    "instant": "a date and time with seconds and a zone such as 2024-05-31T08:30:00+08:00",
    "time": "a time with seconds such as 08:30:00",
}

_COMPILED = {name: re.compile(pattern, re.ASCII) for name, pattern in PATTERNS.items()}
TEXT_TYPES = frozenset(_COMPILED) | {"string", "markdown", "xhtml"}
DATED_TYPES = frozenset({"date", "dateTime", "instant"})


def problem(type_code: str, value: object) -> str | None:
    """What is wrong with a JSON value as a primitive of this type, as a clause; None when nothing is."""
    if type_code in TEXT_TYPES:
        return _text_problem(type_code, value)
    return _NUMERIC[type_code](type_code, value)


def spaced(text: str) -> bool:
    """Whether a text could break the rule of a code or URI: cheap, and never wrong in saying no."""
    return " " in text or not text.isprintable()


def is_code(text: str) -> bool:
    return _COMPILED["code"].fullmatch(text) is not None


def is_uri(text: str) -> bool:
    return _COMPILED["uri"].fullmatch(text) is not None


def _text_problem(type_code: str, value: object) -> str | None:
    if not isinstance(value, str):
        return f"must be text ({type_code}), not {json_kind(value)}"
    if not value:
        return "must not be empty text; leave the element out"
    if len(value) > MAX_STRING and type_code in ("string", "markdown"):
        return f"is longer than {MAX_STRING} characters"
    pattern = _COMPILED.get(type_code)
    if pattern is not None and not (pattern.fullmatch(value) and _holds(type_code, value)):
        return f"'{shortened(value)}' is not a valid {type_code}: expected {_EXAMPLES[type_code]}"
    return None


def _holds(type_code: str, value: str) -> bool:
    """What an expression cannot say: the day exists, base64 comes in fours."""
    if type_code in DATED_TYPES and len(value) >= 10:
        return _is_day(value[:10])
    if type_code == "base64Binary":
        return len("".join(value.split())) % 4 == 0
    return True


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _boolean_problem(_: str, value: object) -> str | None:
    return None if isinstance(value, bool) else f"must be true or false, not {json_kind(value)}"


def _integer_problem(type_code: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int):
        return f"must be a whole number ({type_code}), not {json_kind(value)}"
    low, high = INTEGERS[type_code]
    return None if low <= value <= high else f"must be a whole number from {low} to {high}"


def _decimal_problem(_: str, value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return f"must be a number, not {json_kind(value)}"
    number = Decimal(value)
    if len(number.as_tuple().digits) > MAX_DIGITS or (number and abs(number.adjusted()) > MAX_EXPONENT):
        return f"has more than {MAX_DIGITS} digits or an exponent beyond {MAX_EXPONENT}"
    return None


_NUMERIC: dict[str, Callable[[str, object], str | None]] = {
    "boolean": _boolean_problem,
    "decimal": _decimal_problem,
    **dict.fromkeys(INTEGERS, _integer_problem),
}


def json_kind(value: object) -> str:
    """What a JSON value is called in a message."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, str):
        return "text"
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    return "a number"


def shortened(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
