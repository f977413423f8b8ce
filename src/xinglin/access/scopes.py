"""SMART scopes: what a token says it may do, and the predicate that holds every statement to it.

    patient/Observation.rs?category=laboratory

A scope opens types to verbs (c create, r read, u update, d delete, s search), whole, for the people the token is
about (`patient/`), or for what a search would find. All of it becomes SQL on the alias that the role's rules stand on
too. What cannot be compiled grants nothing. SMART App Launch 2.2, sections "Scopes" (versions 1 and 2).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

from xinglin.access.principal import Principal, Role
from xinglin.core.search.compiled import Compiled, all_of
from xinglin.core.search.conditions import compile_condition
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.search.parse import ELSEWHERE, RESULT_PARAMETERS, parse
from xinglin.core.search.query import And, Condition, Match, Not, Or
from xinglin.core.search.querystring import pairs
from xinglin.core.search.resolve import TERMINOLOGICAL
from xinglin.core.search.scope import Alias
from xinglin.core.search.scope import Scope as Statement
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.visibility import Bind
from xinglin.kernel.errors import Problem

VERBS: Final = "cruds"
LONGEST: Final = 1000  # characters of one scope
_FIRST_VERSION: Final = {"*": VERBS, "read": "rs", "write": "cud"}
_SCOPE: Final = re.compile(
    r"(?P<context>patient|user|system)/(?P<type>\*|[A-Z][A-Za-z]+)"
    r"\.(?:(?P<first>\*|read|write)|(?P<verbs>(?=[cruds])c?r?u?d?s?)(?:\?(?P<restriction>[\x21-\x7e]+))?)"
)


@dataclass(frozen=True, slots=True)
class Scope:
    """One scope of a resource. `type` "*": every type; `verbs` some of "cruds"; `restriction` a query string, ""
    for all."""

    context: str
    type: str
    verbs: str
    restriction: str = ""

    def __str__(self) -> str:
        return f"{self.context}/{self.type}.{self.verbs}" + (f"?{self.restriction}" if self.restriction else "")


@lru_cache(maxsize=4096)
def read(text: str) -> Scope | None:
    """The scope that a text says; None for one of another kind (`openid`), or of nothing we know."""
    match = _SCOPE.fullmatch(text) if len(text) <= LONGEST else None
    if match is None or match["type"] not in ("*", *TYPE_NUMBERS):
        return None
    verbs = _FIRST_VERSION[match["first"]] if match["first"] else match["verbs"]
    return Scope(match["context"], match["type"], verbs, match["restriction"] or "")


def narrowed(asked: Scope, most: Scope) -> Scope | None:
    """What both scopes open, or None: never more than either."""
    if asked.context != most.context or (asked.type != most.type and "*" not in (asked.type, most.type)):
        return None
    verbs = "".join(verb for verb in asked.verbs if verb in most.verbs)
    if not verbs:
        return None
    restrictions = dict.fromkeys(one for one in (asked.restriction, most.restriction) if one)
    return Scope(asked.context, most.type if asked.type == "*" else asked.type, verbs, "&".join(restrictions))


def within(asked: Iterable[str], most: Iterable[str]) -> list[str]:
    """Of the scopes asked for, what `most` allows, each as narrow as both say; in their order, without doubles.

    A scope that `most` allows whole keeps the words it was asked in.
    """
    limits = [scope for text in most if (scope := read(text))]
    plain = {text for text in most if read(text) is None}
    found: dict[str, None] = {}
    for text in asked:
        scope = read(text)
        if scope is None:
            found |= {text: None} if text in plain else {}
            continue
        for limit in limits:
            both = narrowed(scope, limit)
            if both is not None:
                found[text if both == scope else str(both)] = None
    return _without_covered(list(found))


def _without_covered(texts: Sequence[str]) -> list[str]:
    """Without scopes that another of them opens whole."""
    scopes = {text: read(text) for text in texts}

    def covered(text: str) -> bool:
        own = scopes[text]
        return own is not None and any(
            other is not None and other != own and narrowed(own, other) == own for other in scopes.values()
        )

    return [text for text in texts if not covered(text)]


def is_granular(scope: Scope) -> bool:
    return bool(scope.restriction)


# what a token's scopes open, compiled ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opening:
    """Resources that a scope opens to one verb. `type` None: every type. `confined`: of the people the token is
    about only. `condition`: only those that a search finds."""

    type: str | None
    confined: bool = False
    condition: Compiled | None = None


def openings(principal: Principal, verb: str) -> tuple[Opening, ...]:
    """What the principal's scopes open to a verb; one of scopes that says nothing of resources: nothing."""
    return _openings(principal.scopes or (), principal.role, bool(principal.about), verb, REGISTRY.revision)


@lru_cache(maxsize=1024)
def _openings(scopes: tuple[str, ...], role: Role, about: bool, verb: str, revision: int) -> tuple[Opening, ...]:
    found: dict[Opening, None] = {}
    for text in scopes:
        scope = read(text)
        if scope is None or verb not in scope.verbs:
            continue
        confined = scope.context == "patient"
        if confined and not about and role is not Role.PATIENT:
            continue
        opening = Opening(None if scope.type == "*" else scope.type, confined)
        if scope.restriction:
            condition = _condition(scope.type, scope.restriction, revision)
            if condition is None:
                continue
            opening = replace(opening, condition=condition)
        found[opening] = None
    return tuple(found)


@lru_cache(maxsize=1024)
def _condition(type: str, restriction: str, revision: int) -> Compiled | None:
    """The search of a scope as a condition on index rows of the resource itself; None where it is none.

    A chain or `_has` looks at other resources, whose visibility would be this very predicate; a value set is known
    to the terminology alone. Every parameter must have taken effect: one set aside would open more than was said.
    """
    if type == "*":
        return None
    try:
        given = pairs(restriction)
        if any(not value.strip() or name in RESULT_PARAMETERS | ELSEWHERE for name, value in given):
            return None
        conditions = parse(given, type).branches[0].conditions
        if len(conditions) < len(given) or not conditions or not all(_own(one) for one in conditions):
            return None
        return all_of([compile_condition(one, type) for one in conditions])
    except Problem:
        return None


def _own(condition: Condition) -> bool:
    """Whether a condition speaks of the resource alone."""
    if isinstance(condition, Match):
        return condition.modifier not in TERMINOLOGICAL and condition.parameter.code != "_list"
    if isinstance(condition, Not):
        return _own(condition.inner)
    return isinstance(condition, And | Or) and all(_own(part) for part in condition.parts)


class _Row(Statement):
    """Part of somebody else's statement, about one alias: its index rows have names that no other part uses."""

    def __init__(self, alias: str, bind: Bind, now: int) -> None:
        self._alias, self._bind, self.now = alias, bind, now
        self._aliases = 0

    def bind(self, value: object) -> str:
        return self._bind(value)

    def row(self, letter: str) -> str:
        self._aliases += 1
        return f"{letter}_{self._alias}_{self._aliases}"

    def resource(self) -> Alias:
        raise AssertionError("a scope looks at no other resource")


def predicate(
    principal: Principal, verb: str, alias: str, bind: Bind, now: int, directory: Callable[[], str], *, past: bool
) -> str:
    """SQL over the columns of `alias` that is true of what the scopes open to the verb.

    directory: gives SQL that is true of what is nobody's, which people's own scopes include. past: the alias is one
    of `history`, whose versions have no index rows: a scope limited by a search opens none of them.
    """
    parts: list[str] = []
    opened = openings(principal, verb)
    for confined in (False, True):
        mine = [one for one in opened if one.confined is confined and (one.condition is None or not past)]
        found = _either(mine, alias, bind, now)
        if confined and found:
            found = [f"({_about(principal, alias, bind)} OR {directory()}) AND ({' OR '.join(found)})"]
        parts += found
    return "(" + (" OR ".join(f"({part})" for part in parts) or "false") + ")"


def _either(opened: Sequence[Opening], alias: str, bind: Bind, now: int) -> list[str]:
    whole = [one for one in opened if one.condition is None]
    if any(one.type is None for one in whole):
        return ["true"]
    types = sorted({TYPE_NUMBERS[one.type] for one in whole if one.type})
    parts = [f"{alias}.type = ANY({bind(types)}::smallint[])"] if types else []
    row = _Row(alias, bind, now)
    for one in opened:
        if one.condition is not None and one.type is not None:
            found = one.condition.filter(row, alias)
            # a deleted resource has no index rows, of which "not y" would be true
            parts.append(f"{alias}.type = {bind(TYPE_NUMBERS[one.type])} AND NOT {alias}.deleted AND {found}")
    return parts


def _about(principal: Principal, alias: str, bind: Bind) -> str:
    """True of the data of those whom the token is about: a patient's own token is about its owner."""
    people = principal.about or principal.patients
    return f"{alias}.person = ANY({bind([key_of('Patient', id) for id in people])}::bigint[])"


def scoped_types(principal: Principal, verb: str) -> frozenset[str] | None:
    """Types of which the scopes let a token do something by a verb; None: all."""
    if principal.scopes is None:
        return None
    opened = openings(principal, verb)
    return None if any(one.type is None for one in opened) else frozenset(one.type for one in opened if one.type)


def may(principal: Principal, type: str, verb: str) -> bool:
    """Whether the scopes open any of a type to a verb; the role's rules, and the predicate, stand beside them."""
    types = scoped_types(principal, verb)
    return types is None or type in types


def opens_whole(principal: Principal, type: str, verb: str) -> bool:
    """Whether the scopes open a type to a verb without a search to limit it, and beyond the people the token is
    about: for what is not read from the store's tables."""
    if principal.scopes is None:
        return True
    own = principal.role is Role.PATIENT and set(principal.about or principal.patients) >= set(principal.patients)
    return any(
        one.condition is None and one.type in (None, type) and (own or not one.confined)
        for one in openings(principal, verb)
    )
