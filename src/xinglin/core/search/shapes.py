"""The shape of a search: the query with its values taken out, so that all that ask alike are compiled once.

    patient=p1&code=http://loinc.org|8867-4     shape: patient=Patient/()&code=http://loinc.org|()   values: p1, 8867-4

A value is taken out where nothing but arguments depend on it: a code (not its system), a local id, a date (not its
prefix), a text. A query with any other value has no shape and is compiled for itself, as is one that must be resolved
first, or that gives one value twice: what is told apart or joined by its values is not told by a shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from xinglin.core.search.query import (
    And,
    BriefText,
    Chain,
    Condition,
    DateValue,
    Has,
    Match,
    Missing,
    Not,
    Or,
    ReferenceValue,
    TextValue,
    TokenValue,
    TypeQuery,
    Value,
)
from xinglin.core.search.references import typed
from xinglin.core.search.resolve import TERMINOLOGICAL
from xinglin.core.search.slots import QUERY, Slot
from xinglin.core.search.values import fold, prefix_end

MOST_VALUES: Final = 32
"""A query with more has no shape: long lists come in every length."""
_SLOTS: Final = tuple(Slot(QUERY, place) for place in range(MOST_VALUES))


class _Shapeless(Exception):
    """A value of the query decides more than arguments."""


def taken_apart(query: TypeQuery) -> tuple[TypeQuery, tuple[Any, ...]] | None:
    """(shape, values), or None where the query has no shape. The shape is a query with slots where values were."""
    values: list[Any] = []

    def taken(value: Any) -> Any:
        values.append(value)
        if len(values) > MOST_VALUES:
            raise _Shapeless
        return _SLOTS[len(values) - 1]

    try:
        conditions = tuple([_condition(one, taken) for one in query.conditions])
    except _Shapeless:
        return None
    return TypeQuery(query.type, conditions, query.sort, query.alone), tuple(values)


Take = Callable[[Any], Any]


def _condition(condition: Condition, taken: Take) -> Condition:
    if isinstance(condition, Match):
        return _match(condition, taken)
    if isinstance(condition, Chain):
        return Chain(condition.parameter, condition.target, _condition(condition.inner, taken))
    if isinstance(condition, Has):
        if condition.parameter.type_name == "List":
            raise _Shapeless
        return Has(condition.parameter, _condition(condition.inner, taken))
    if isinstance(condition, Not):
        return Not(_condition(condition.inner, taken))
    if isinstance(condition, Missing):
        return condition
    parts = tuple([_condition(part, taken) for part in condition.parts])
    return And(parts) if isinstance(condition, And) else Or(parts)


def _match(match: Match, taken: Take) -> Match:
    read = _READERS.get(match.parameter.kind)
    if read is None or (match.modifier is not None and match.modifier not in _MODIFIERS):
        raise _Shapeless
    if len(match.values) == 1:
        return Match(match.parameter, (read(match.values[0], match.modifier, taken),), match.modifier)
    own: list[Any] = []

    def noted(value: Any) -> Any:
        own.append(value)
        return taken(value)

    values = tuple([read(value, match.modifier, noted) for value in match.values])
    if len(set(own)) < len(own):
        raise _Shapeless
    return Match(match.parameter, values, match.modifier)


_MODIFIERS: Final = frozenset({"exact", "contains", "ends", "equals", "identifier"})
assert not _MODIFIERS & TERMINOLOGICAL


def _token(value: Value, modifier: str | None, taken: Take) -> Value:
    if not isinstance(value, TokenValue) or not value.code:
        raise _Shapeless
    return TokenValue(value.system, taken(value.code))


def _reference(value: Value, modifier: str | None, taken: Take) -> Value:
    if modifier == "identifier":
        return _token(value, modifier, taken)
    if not isinstance(value, ReferenceValue):
        raise _Shapeless
    if value.target is None:
        return ReferenceValue(None, taken(value.id), value.types)
    target = typed(value.target)
    if target is None:
        raise _Shapeless
    return ReferenceValue(None, taken(target[1]), target[:1])


def _date(value: Value, modifier: str | None, taken: Take) -> Value:
    if not isinstance(value, DateValue) or value.prefix == "ap":  # how wide "about" is depends on the time of asking
        raise _Shapeless
    return DateValue(value.prefix, taken(value.low), taken(value.high))


def _string(value: Value, modifier: str | None, taken: Take) -> Value:
    if not isinstance(value, TextValue):
        raise _Shapeless
    folded = fold(value.text)
    if not folded or prefix_end(folded) is None:
        raise _Shapeless
    return (BriefText if value.brief else TextValue)(taken(value.text))


def _uri(value: Value, modifier: str | None, taken: Take) -> Value:
    if modifier is not None or not isinstance(value, TextValue):
        raise _Shapeless
    return TextValue(taken(value.text))


_READERS: Final[dict[str, Callable[[Value, str | None, Take], Value]]] = {
    "token": _token,
    "reference": _reference,
    "date": _date,
    "string": _string,
    "uri": _uri,
}
