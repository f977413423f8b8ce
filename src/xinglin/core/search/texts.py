"""One written value of a parameter, by its kind: escapes, prefixes, systems, references."""

from __future__ import annotations

import re
from typing import Final

from xinglin.core.schema.definitions import resource_types
from xinglin.core.search.parameters import Parameter
from xinglin.core.search.query import (
    CompositeValue,
    DateValue,
    NumberValue,
    ReferenceValue,
    TextValue,
    TokenValue,
    TypedIdentifier,
    Value,
)
from xinglin.core.search.references import local_reference, typed
from xinglin.core.search.values import date_range, number_range
from xinglin.kernel.errors import Invalid

PREFIXES: Final = frozenset({"eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"})
SUMMARIES: Final = ("true", "text", "data", "count", "false")
TOTALS: Final = ("none", "estimate", "accurate")
CONTAINED: Final = ("false", "true", "both")
UNSUPPORTED: Final = {
    "_text": "narratives are not indexed",
    "_content": "the whole text of resources is not indexed",
    "_query": "it has no named queries",
    "near": "positions are not indexed",
}
"""Parameters of R4 that are left out, and why."""
MAX_VALUE: Final = 2000

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_PREFIXED = re.compile(r"(?:(?P<prefix>[a-z]{2})(?=[\d+\-.]))?(?P<rest>.*)", re.DOTALL)


def check_id(text: str) -> str:
    """The text where it can be a resource's id, else Invalid."""
    if not _ID.fullmatch(text):
        raise Invalid(f"{text[:80]!r} cannot be a resource's id.", remedy="1 to 64 letters, digits, '-' and '.'.")
    return text


def split_escaped(text: str, separator: str) -> list[str]:
    """The parts between separators that no backslash precedes; escapes are kept for the next reader."""
    if "\\" not in text:
        return text.split(separator)
    parts, start, position = [], 0, 0
    while position < len(text):
        if text[position] == "\\":
            position += 1
        elif text[position] == separator:
            parts.append(text[start:position])
            start = position + 1
        position += 1
    return [*parts, text[start:]]


_ESCAPE = re.compile(r"\\([,|$\\])")


def plain(text: str) -> str:
    """The text without its escapes."""
    return _ESCAPE.sub(r"\1", text) if "\\" in text else text


def targets_of(parameter: Parameter) -> tuple[str, ...]:
    """The types a reference parameter may point to."""
    restrictions = {path.restriction for path in parameter.paths}
    if restrictions and None not in restrictions:
        return tuple(sorted(name for name in restrictions if name))
    return parameter.targets or resource_types()


def value(parameter: Parameter, modifier: str | None, text: str, types: tuple[str, ...], base: str) -> Value:
    """One alternative of a parameter. Raises Invalid, naming the parameter."""
    if len(text) > MAX_VALUE:
        raise Invalid(f"A value has more than {MAX_VALUE} characters.", code="too-long", expression=parameter.code)
    if not text.strip():
        raise Invalid(f"{parameter.code} has an empty value.", expression=parameter.code)
    try:
        if parameter.code == "_id" and modifier is None:
            return token_value(check_id(text))
        if parameter.kind == "composite":
            return _composite(parameter, text, base)
        return _simple(parameter.kind, modifier, text, types, base)
    except ValueError as wrong:
        raise Invalid(f"{parameter.code}: {wrong}.", expression=parameter.code) from None


def _simple(kind: str, modifier: str | None, text: str, types: tuple[str, ...], base: str) -> Value:
    if kind == "token":
        return _token(modifier, text)
    if kind == "reference":
        return token_value(text) if modifier == "identifier" else _reference(plain(text), types, base)
    if kind == "date":
        return _date(text)
    if kind in ("number", "quantity"):
        return _number(text, kind == "quantity")
    return TextValue(plain(text))


def token_value(text: str) -> TokenValue:
    """`code`, `|code`, `system|code` or `system|`."""
    system, *rest = split_escaped(text, "|")
    if not rest:
        return TokenValue(None, plain(system))
    code = plain("|".join(rest))
    if not code and not system:
        raise ValueError(f"{text!r} has neither system nor code")
    return TokenValue(plain(system), code or None)


def _token(modifier: str | None, text: str) -> Value:
    if modifier in ("text", "in", "not-in"):
        return TextValue(plain(text))
    if modifier == "of-type":
        parts = [plain(part) for part in split_escaped(text, "|")]
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise ValueError(f"{text!r} is not system|code|value")
        return TypedIdentifier(*parts)
    return token_value(text)


def _reference(text: str, types: tuple[str, ...], base: str) -> ReferenceValue:
    local = local_reference(text, base)
    if not local:
        raise ValueError(f"{text!r} refers to what is inside a resource")
    if typed(local):
        return ReferenceValue(local)
    if ":" in local or "/" in local or "|" in local:
        return ReferenceValue(local)
    check_id(local)
    return ReferenceValue(None, local, types)


def _prefix(text: str) -> tuple[str, str]:
    match = _PREFIXED.fullmatch(text)
    prefix, rest = (match["prefix"] or "eq", match["rest"]) if match else ("eq", text)
    if prefix not in PREFIXES:
        raise ValueError(f"{prefix!r} is no prefix: they are {', '.join(sorted(PREFIXES))}")
    return prefix, rest


def _date(text: str) -> DateValue:
    prefix, rest = _prefix(plain(text))
    return DateValue(prefix, *date_range(rest.replace(" ", "+") if "T" in rest else rest))


def _number(text: str, quantity: bool) -> NumberValue:
    number, *unit = split_escaped(text, "|")
    if not quantity and unit:
        raise ValueError(f"{text!r} is a number with a unit")
    prefix, rest = _prefix(number)
    bounds = number_range(rest)
    if not unit or not any(unit):
        return NumberValue(prefix, *bounds)
    if len(unit) != 2 or not unit[1]:
        raise ValueError(f"{text!r} is not number|system|code")
    return NumberValue(prefix, *bounds, plain(unit[0]), plain(unit[1]))


def _composite(parameter: Parameter, text: str, base: str) -> CompositeValue:
    parts = split_escaped(text, "$")
    kinds = parameter.component_kinds
    if len(parts) != len(kinds):
        raise ValueError(f"{text!r} has not {len(kinds)} parts between '$'")
    targets = parameter.component_targets
    found = tuple(
        _simple(kind, None, part, types or resource_types(), base)
        for part, kind, types in zip(parts, kinds, targets, strict=True)
    )
    if any(isinstance(part, TokenValue) and not part.code for part in found):
        raise ValueError(f"{text!r} names a system without a code")
    return CompositeValue(found)
