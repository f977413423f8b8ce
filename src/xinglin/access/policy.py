"""What each role may see and do, compiled to SQL. The rules stand in data/roles.json, each with its reason.

A statement about the record asks `visibility(principal, now)` for a predicate and puts it on every alias; nothing is
filtered afterwards, and nothing says whether a hidden row exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.categories import OVERSIGHT
from xinglin.access.decisions import closed_at_home, opened_elsewhere
from xinglin.access.posts import BARRED, stops
from xinglin.access.principal import Principal, Role
from xinglin.access.provisions import LABELS
from xinglin.access.purposes import beyond_care
from xinglin.access.scopes import may
from xinglin.access.scopes import predicate as scope_predicate
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.visibility import UNRESTRICTED, Bind, Visibility
from xinglin.kernel.errors import Forbidden


@dataclass(frozen=True, slots=True)
class RoleRule:
    """The least a role needs. `reads` and `writes` are resource types; None means every type."""

    reads: frozenset[str] | None
    writes: frozenset[str]
    region: frozenset[str]  # types read whoever holds them: a clerk joins duplicates across institutions
    purposes: frozenset[str]  # what its requests may be for
    oversight: str  # judgements of accesses (categories.OVERSIGHT): "" not, "too" as well, "only" these
    reason: str


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath("data/roles.json").read_bytes())
    return data


@cache
def directory_types() -> frozenset[str]:
    """Types that are nobody's health data: who works where, and definitions. All who signed in may read them."""
    return frozenset(_data()["directory"])


@cache
def rule_of(role: Role) -> RoleRule:
    row = _data()["roles"][role.value]
    reads = None if row["reads"] == "*" else frozenset(row["reads"])
    writes = frozenset(TYPE_NUMBERS if row["writes"] == "*" else row["writes"])
    region, purposes = frozenset(row.get("region", ())), frozenset(row["purposes"])
    return RoleRule(reads, writes, region, purposes, row.get("oversight", ""), row["reason"])


@dataclass(frozen=True, slots=True)
class RoleVisibility:
    """The predicate of one principal at one moment (`now`, microseconds since 1970)."""

    principal: Principal
    now: int
    verb: str = "r"
    unrestricted: bool = False

    def predicate(self, alias: str, bind: Bind) -> str:
        return self._role(alias, bind) + self.scopes(alias, bind)

    def past(self, alias: str, bind: Bind) -> str:
        return self._role(alias, bind) + self.scopes(alias, bind, past=True)

    def _role(self, alias: str, bind: Bind) -> str:
        who = self.principal
        if who.role is Role.SYSTEM and who.institution is None:
            if who.purpose.value not in beyond_care():
                return "true"
            return f"NOT {closed_at_home(who, self.now, alias, bind)}"
        rule = rule_of(who.role)
        directory = self._directory(alias, bind)
        if who.barred or who.purpose.value not in rule.purposes:
            return directory
        if who.role is Role.PATIENT:
            return f"({directory} OR {self._own(alias, bind)})"
        return "(" + " OR ".join([directory, *self._staff(rule, alias, bind)]) + ")"

    def _staff(self, rule: RoleRule, alias: str, bind: Bind) -> list[str]:
        """What is held at home and not closed to this caller, what is everybody's in the region, what is opened."""
        home = []
        if self.principal.institution:
            home.append(_limited(f"{alias}.custodian = {bind(self._institution)}", rule.reads, alias, bind))
        if rule.region:
            home.append(_of_types(rule.region, alias, bind))
        if not home:
            return []
        closed = closed_at_home(self.principal, self.now, alias, bind)
        judged = f"{alias}.category & {OVERSIGHT} {'<>' if rule.oversight == 'only' else '='} 0"
        whole = f"({' OR '.join(home)}) AND NOT {closed}"
        found = [f"({whole})" if rule.oversight == "too" else f"({whole} AND {judged})"]
        if self.principal.institution and rule.oversight != "only" and (rule.reads is None or rule.reads):
            opened = opened_elsewhere(self.principal, self.now, alias, bind)
            found.append(_limited(opened, rule.reads, alias, bind))
        return found

    def scopes(self, alias: str, bind: Bind, *, past: bool = False) -> str:
        """A token may ask for less than its role allows; never for more. Every one of the verbs must be opened."""
        if self.principal.scopes is None:
            return ""
        directory = lambda: self._directory(alias, bind)  # noqa: E731
        opened = [
            scope_predicate(self.principal, verb, alias, bind, self.now, directory, past=past) for verb in self.verb
        ]
        return "".join(f" AND {one}" for one in opened)

    @property
    def _institution(self) -> int:
        return key_of("Organization", self.principal.institution or "")

    def _directory(self, alias: str, bind: Bind) -> str:
        return f"({alias}.person = 0 AND {_of_types(directory_types(), alias, bind)})"

    def _own(self, alias: str, bind: Bind) -> str:
        """The person's own. Not the Person: it names linked records, proven to be the account's owner's or not."""
        own = f"{alias}.person = ANY({bind(own_keys(self.principal))}::bigint[])"
        own += f" AND {alias}.type <> {TYPE_NUMBERS['Person']}"
        if self.principal.opened is not None:
            opened = bind(self.principal.opened)
            own += f" AND {opened}::integer & {alias}.category & 65535 <> 0"
            own += f" AND {alias}.category & {LABELS} & ~{opened}::integer = 0"
        return f"({own})"


def _limited(condition: str, types: frozenset[str] | None, alias: str, bind: Bind) -> str:
    return condition if types is None else f"({condition} AND {_of_types(types, alias, bind)})"


def _of_types(types: frozenset[str], alias: str, bind: Bind) -> str:
    return f"{alias}.type = ANY({bind(sorted(TYPE_NUMBERS[name] for name in types))}::smallint[])"


def own_keys(principal: Principal) -> list[int]:
    """Keys of the Patient resources that are the principal."""
    return [key_of("Patient", patient) for patient in principal.patients]


def institution_key(id: str) -> int:
    """The key by which a stored version names the Organization that holds it."""
    return key_of("Organization", id)


def visibility(principal: Principal, now: int, verb: str = "r") -> Visibility:
    """What this principal may see, as a predicate; `verb`: of SMART, r to read, s to search, rs for what needs both."""
    everything = principal.role is Role.SYSTEM and principal.institution is None and principal.scopes is None
    if everything and principal.purpose.value not in beyond_care():
        return UNRESTRICTED
    return RoleVisibility(principal, now, verb)


VERBS: Final = {"POST": "c", "PUT": "u", "DELETE": "d"}


def check_write(principal: Principal, type: str, verb: str) -> None:
    """Refuse a write (c, u, d) of a type that the role, or the token, does not have."""
    if type not in rule_of(principal.role).writes or not may(principal, type, verb):
        raise Forbidden(
            f"The role {principal.role.value} may not write {type}.",
            remedy="Sign in with a role that may, or ask the institution's manager.",
        )
    if stops(principal.barred, type):
        check_standing(principal)


def check_standing(principal: Principal) -> None:
    """Refuse a clinical act of somebody whose post or licence has ended, or is not recorded."""
    if principal.barred:
        text, remedy = BARRED[principal.barred]
        raise Forbidden(text, remedy=remedy)


AUTHORS: Final = {
    "Observation": ("performer",),
    "QuestionnaireResponse": ("author", "source"),
    "Communication": ("sender",),
}
"""Who says what a patient may write. A Consent is the patient's by whom it is about."""


def own_words(principal: Principal, resource: dict[str, Any], *, said: bool = False) -> bool:
    """Whether nobody but the patient speaks in a resource; `said`: and it says so."""
    own = {f"Patient/{patient}" for patient in principal.patients}
    authors = authors_of(resource)
    unsaid = said and resource["resourceType"] in AUTHORS and not authors
    return not unsaid and all(author in own for author in authors)


def authors_of(resource: Mapping[str, Any]) -> list[str | None]:
    """References to who says what a resource says, None for one without; none for types that nobody says."""
    return [
        author.get("reference")
        for element in AUTHORS.get(resource["resourceType"], ())
        for author in _listed(resource.get(element, []))
    ]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
