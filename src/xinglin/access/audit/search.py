"""AuditEvents searched: R4's search parameters, compiled to one statement on the log's table.

All of R4's are understood: patient, entity, entity-name, entity-role, entity-type, agent, agent-name, agent-role,
altid, action, outcome, type, subtype, date, policy, site, source, address; `_profile`; and of ours: purpose (the
purpose of use). Tokens take `:not`; a system that is another's finds nothing. Whose data it was is asked of those
events alone that would say so to the reader. `_sort` is by date, newest first unless it says otherwise; that is the
log's own order, which may differ by milliseconds from that of the clocks of several processes.
https://hl7.org/fhir/R4/auditevent.html#search
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from xinglin.access.audit.events import (
    BALP,
    BASIS,
    DCM,
    DISCLOSE,
    ENTITY,
    INTERACTION,
    OWN,
    PROFILE,
    PROFILES,
    PURPOSE,
    REST,
    RESTFUL,
    ROLE,
)
from xinglin.access.audit.lines import ACTIONS
from xinglin.access.audit.reading import ENTRY, AccessEntry, entry_of, scoped
from xinglin.core.search.values import date_range
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.visibility import Arguments, Bind, Visibility
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Invalid, Issue

MOST: Final = 1000  # entries of a page
MOST_VALUES: Final = 100
NEWEST: Final = 2**62
CONTROL: Final = frozenset({"_count", "_page", "_sort", "_total", "_summary", "_format", "_pretty", "_elements"})
SORTS: Final = {"-date": True, "-_lastUpdated": True, "-_id": True, "date": False, "_lastUpdated": False, "_id": False}
_REFERENCE: Final = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+/[A-Za-z0-9.-]{1,64})(?:/_history/\d+)?")
_DATE: Final = re.compile(r"(eq|ne|gt|lt|ge|le|sa|eb|ap)?(\d.*)")


@dataclass(frozen=True, slots=True)
class Reader:
    """Who searches: `bind` gives a value its place in the statement. site: the name of the node."""

    bind: Bind
    site: str
    visible: Visibility

    def __call__(self, value: object) -> str:
        return self.bind(value)

    def knows(self) -> str:
        """SQL that is true of lines whose person `names` gives a name to the reader."""
        if self.visible.unrestricted:
            return "true"
        rule = self.visible.predicate("r", self.bind)
        return f"EXISTS (SELECT 1 FROM resource r WHERE r.key = audit.person AND {rule})"  # noqa: S608


Where = Callable[[Sequence[str], Reader], str]


@dataclass(frozen=True, slots=True)
class Condition:
    """One parameter with its alternatives; `negated`: none of them."""

    name: str
    values: tuple[str, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as understood. `after`: the number of the last entry of the page before."""

    conditions: tuple[Condition, ...]
    count: int = 50
    after: int | None = None
    newest_first: bool = True
    total: bool = False
    counted_only: bool = False
    used: str = ""
    warnings: tuple[Issue, ...] = ()

    @property
    def target(self) -> str:
        """What is logged of the search: the names of its parameters."""
        names = ",".join(dict.fromkeys(one.name for one in self.conditions))
        return f"AuditEvent?{names}" if names else "AuditEvent"


@dataclass(frozen=True, slots=True)
class Page:
    entries: list[AccessEntry]
    total: int | None
    next: str | None


# what each parameter means --------------------------------------------------------------------------------------------


def _any(column: str, kind: str = "text") -> Where:
    return lambda values, bind: f"{column} = ANY({bind(list(values))}::{kind}[])"


def _codes(column: str) -> Where:
    return lambda values, bind: f"{column} = ANY({bind([_code(value) for value in values])}::text[])"


def _coded(where: Where, system_of: str | Callable[[str], str]) -> Where:
    """The same of those values alone whose system, where one is named, is the one that the code has here."""

    def own(value: str) -> bool:
        system, bar, code = value.rpartition("|")
        return not bar or system == (system_of if isinstance(system_of, str) else system_of(code))

    def kept(values: Sequence[str], bind: Reader) -> str:
        sound = [value for value in values if own(value)]
        return where(sound, bind) if sound else "false"

    return kept


def _code(value: str) -> str:
    return value.rpartition("|")[2]


def _patient(values: Sequence[str], bind: Reader) -> str:
    keys = [key_of("Patient", _id_of(value, "Patient")) for value in values]
    return f"(person = ANY({bind(keys)}::bigint[]) AND person <> 0 AND {bind.knows()})"


def _entity(values: Sequence[str], bind: Reader) -> str:
    parts = []
    for value in values:
        reference = bind(_reference(value))
        parts.append(f"(strpos(target, '/') > 0 AND (target = {reference} OR target LIKE {reference} || '/%'))")
        if _reference(value).startswith("Patient/"):
            parts.append(f"(person = {bind(key_of('Patient', _id_of(value, 'Patient')))} AND {bind.knows()})")
    return f"({' OR '.join(parts)})"


def _agent(values: Sequence[str], bind: Reader) -> str:
    """Who asked, for whom, whose the data are, and to which institution they went: all stand among the agents."""
    asked = [_reference(value) for value in values]
    parts = [f"{column} = ANY({bind(asked)}::text[])" for column in ("agent", "behalf")]
    if houses := [one.partition("/")[2] for one in asked if one.startswith("Organization/")]:
        parts.append(f"(disclosed AND institution = ANY({bind(houses)}::text[]))")
        parts.append(f"custodians && {bind([key_of('Organization', id) for id in houses])}::bigint[]")
    return f"({' OR '.join(parts)})"


def _starts(column: str) -> Where:
    def where(values: Sequence[str], bind: Reader) -> str:
        return "(" + " OR ".join(f"starts_with(lower({column}), lower({bind(value)}))" for value in values) + ")"

    return where


def _outcome(values: Sequence[str], bind: Reader) -> str:
    codes = [int(code) for value in values if (code := _code(value)).isascii() and code.isdecimal() and len(code) < 3]
    refused = "" if 0 in codes else "outcome <> 0 AND "  # the condition of the index
    return f"({refused}outcome = ANY({bind(codes)}::smallint[]))"


def _purpose(values: Sequence[str], bind: Reader) -> str:
    codes = [_code(value) for value in values]
    return "purpose = 'BTG'" if codes == ["BTG"] else f"purpose = ANY({bind(codes)}::text[])"


def _kinds(kinds: Mapping[str, str]) -> Where:
    def where(values: Sequence[str], bind: Reader) -> str:
        found = [kinds.get(_code(value), "false") for value in values]
        return "(" + " OR ".join(one.format(knows=bind.knows()) if "{" in one else one for one in found) + ")"

    return where


def _subtype(values: Sequence[str], bind: Reader) -> str:
    codes = [_code(value) for value in values]
    disclosed = " OR disclosed" if "disclose" in codes else ""
    return f"(interaction = ANY({bind(codes)}::text[]){disclosed})"


def _entity_name(values: Sequence[str], bind: Reader) -> str:
    return f"(strpos(target, '/') = 0 AND interaction <> 'search' AND {_starts('target')(values, bind)})"


def _policy(values: Sequence[str], bind: Reader) -> str:
    bases = [value.removeprefix(BASIS) for value in values if value.startswith(BASIS)]
    return f"(basis <> '' AND basis = ANY({bind(bases)}::text[]))"


def _ids(values: Sequence[str], bind: Reader) -> str:
    numbers = [int(value[1:]) for value in values if re.fullmatch(r"a[0-9]{1,18}", value)]
    return f"seq = ANY({bind(numbers)}::bigint[])"


def _profiles(values: Sequence[str], bind: Reader) -> str:
    """As events._profile says it: of successful accesses, each kind with and without a person."""
    parts = [_PROFILED[value] for value in values if value in _PROFILED]
    return f"outcome = 0 AND erased IS NULL AND ({' OR '.join(parts)})" if parts else "false"


def _profiled() -> dict[str, str]:
    found = {f"{PROFILE}PrivacyDisclosure.Source": "disclosed"}
    for action, name in PROFILES.items():
        done = [one for one in ("read", "vread", *RESTFUL_KINDS) if ACTIONS[one] == action]
        kind = " OR ".join(f"interaction = '{one}'" for one in done)
        kept = "" if action == "E" else " AND strpos(target, '/') > 0"
        for whose, person in (("Patient", "<>"), ("", "=")):
            found[f"{PROFILE}{whose}{name}"] = f"(NOT disclosed AND ({kind}){kept} AND person {person} 0)"
    return found


RESTFUL_KINDS: Final = ("search", "create", "update", "delete")
_PROFILED: Final = _profiled()


def _dates(values: Sequence[str], bind: Reader) -> str:
    return "(" + " OR ".join(_date(value, bind) for value in values) + ")"


def _date(value: str, bind: Reader) -> str:
    match = _DATE.fullmatch(value)
    try:
        low, high = date_range(match[2] if match else value)
    except (ValueError, OverflowError) as error:
        raise Invalid(f"{value[:40]!r} is not a date.", code="value", expression="date") from error
    prefix = (match and match[1]) or "eq"
    if prefix == "ap":
        gap = abs(clock.micros(clock.now()) - low) // 10
        low, high = low - gap, high + gap
    low, high = max(low, -(2**63)), min(high, 2**63 - 1)
    if prefix in ("gt", "sa"):
        return f"at >= {bind(high)}"
    if prefix in ("lt", "eb"):
        return f"at < {bind(low)}"
    if prefix == "ge":
        return f"at >= {bind(low)}"
    if prefix == "le":
        return f"at < {bind(high)}"
    return f"{'NOT ' if prefix == 'ne' else ''}(at >= {bind(low)} AND at < {bind(high)})"


def _reference(value: str) -> str:
    match = _REFERENCE.fullmatch(value)
    if match is None or match[1].partition("/")[0] not in TYPE_NUMBERS:
        raise Invalid(f"{value[:80]!r} is not a reference.", code="value", remedy="Say Type/id.")
    return match[1]


def _id_of(value: str, type_name: str) -> str:
    return _reference(value).partition("/")[2] if "/" in value else value


_TYPES: Final = {
    "rest": "(NOT disclosed AND interaction <> 'import')",
    "110106": "disclosed",
    "110107": "(NOT disclosed AND interaction = 'import')",
}
_PERSON: Final = "(person <> 0 AND (outcome = 0 OR {knows}))"
"""Lines whose event has a person among its entities, named or masked (events._entities)."""
_ENTITY_TYPES: Final = {"1": _PERSON, "2": "true", "XrequestId": "true"}
_ENTITY_ROLES: Final = {"1": _PERSON, "24": "interaction = 'search'", "4": "interaction <> 'search'"}
_NOTHING: Final[Where] = lambda values, bind: "false"  # noqa: E731  the log has no such values


def _system_of_type(code: str) -> str:
    return REST["system"] if code == REST["code"] else DCM


def _system_of_kind(code: str) -> str:
    return DISCLOSE["system"] if code == DISCLOSE["code"] else INTERACTION if code in RESTFUL else f"{OWN}/interaction"


def _system_of_entity(code: str) -> str:
    return f"{BALP}/CodeSystem/BasicAuditEntityType" if code == "XrequestId" else ENTITY


TOKENS: Final[dict[str, Where]] = {
    "_id": _ids,
    "action": _coded(
        _codes("CASE WHEN disclosed THEN 'R' ELSE action::text END"), "http://hl7.org/fhir/audit-event-action"
    ),
    "agent-role": _coded(_codes("role"), f"{OWN}/role"),
    "altid": _coded(_codes("login"), ""),
    "entity-role": _coded(_kinds(_ENTITY_ROLES), ROLE),
    "entity-type": _coded(_kinds(_ENTITY_TYPES), _system_of_entity),
    "outcome": _coded(_outcome, "http://hl7.org/fhir/audit-event-outcome"),
    "purpose": _coded(_purpose, PURPOSE),
    "site": _coded(
        lambda values, bind: f"{bind(bind.site)} = ANY({bind([_code(value) for value in values])}::text[])", ""
    ),
    "subtype": _coded(_subtype, _system_of_kind),
    "type": _coded(_kinds(_TYPES), _system_of_type),
}
PARAMETERS: Final[dict[str, Where]] = {
    **TOKENS,
    "_lastUpdated": _dates,
    "_profile": _profiles,
    "address": lambda values, bind: _starts(f"{bind(bind.site)}::text")(values, bind),
    "agent": _agent,
    "agent-name": _starts("name"),
    "date": _dates,
    "entity": _entity,
    "entity-name": _entity_name,
    "patient": _patient,
    "policy": _policy,
    "source": _NOTHING,
}


# parse, compile, run --------------------------------------------------------------------------------------------------


def parse(query: str, *, strict: bool = False) -> Asked:
    """The query understood. Invalid for values that make no sense, and for unknown parameters where `strict`."""
    conditions, used, warnings = [], [], []
    control: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=200):
        known = _condition(name, value)
        if name in CONTROL:
            control[name] = value
        elif known is None:
            text = f"AuditEvent is not searched by {name[:80]!r}."
            if strict:
                raise Invalid(text, code="not-supported", expression=name[:80])
            warnings.append(Issue("not-supported", text, severity="warning"))
            continue
        elif value:
            conditions.append(known)
        used.append((name, value))
    newest_first = _sort(control.get("_sort", ""))
    counted = control.get("_summary") == "count"
    return Asked(
        tuple(conditions),
        _number(control, "_count", 50, MOST),
        _number(control, "_page", 0, NEWEST) or None,
        newest_first,
        counted or _total(control.get("_total", "none")),
        counted or control.get("_count") == "0",
        urlencode(used, safe="|,:/"),
        tuple(warnings),
    )


def _condition(name: str, value: str) -> Condition | None:
    plain, _, modifier = name.partition(":")
    if plain not in PARAMETERS or "\0" in value:
        return None
    values = tuple(part.strip() for part in value.split(",") if part.strip())
    if len(values) > MOST_VALUES:
        raise Invalid(f"{plain} has more than {MOST_VALUES} values.", code="too-costly", expression=plain)
    if modifier == "not" and plain in TOKENS:
        return Condition(plain, values, negated=True)
    if modifier and (plain, modifier) != ("patient", "Patient"):
        return None
    return Condition(plain, values)


def _sort(text: str) -> bool:
    if not text:
        return True
    if text not in SORTS:
        raise Invalid(
            f"The log is not sorted by {text[:40]!r}.", code="not-supported", expression="_sort", remedy="Say -date."
        )
    return SORTS[text]


def _total(text: str) -> bool:
    if text not in ("none", "estimate", "accurate"):
        raise Invalid(f"_total={text[:40]!r} is not known.", code="value", expression="_total")
    return text != "none"


def _number(control: Mapping[str, str], name: str, otherwise: int, most: int) -> int:
    text = control.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise Invalid(f"{name} is {text[:20]!r}, not a number.", code="value", expression=name)
    return max(1, min(int(text), most))


def where(asked: Asked, reader: Reader) -> str:
    """AND ...: the conditions of a search."""
    parts = [(one.negated, PARAMETERS[one.name](one.values, reader)) for one in asked.conditions]
    return "".join(f" AND {'NOT ' if negated else ''}({part})" for negated, part in parts)


async def run(connection: Connection, asked: Asked, scope: Mapping[str, Any], site: str, visible: Visibility) -> Page:
    """A page of the entries that are the reader's to see: `scope` as `entries` takes it; `site`: the node's name."""
    arguments = Arguments()
    condition = scoped(scope.get("persons"), scope.get("institution"), arguments.values)
    condition += where(asked, Reader(arguments.bind, site, visible))
    total = None
    if asked.total:
        total = await connection.fetchval(f"SELECT count(*) FROM audit WHERE {condition}", *arguments.values)  # noqa: S608
    if asked.counted_only:
        return Page([], total, None)
    order, side = ("DESC", "<") if asked.newest_first else ("ASC", ">")
    after = arguments.bind(asked.after if asked.after is not None else NEWEST if asked.newest_first else 0)
    limit = arguments.bind(asked.count + 1)
    sql = f"SELECT {ENTRY} FROM audit WHERE {condition} AND seq {side} {after} ORDER BY seq {order} LIMIT {limit}"  # noqa: S608
    found = [entry_of(row) for row in await connection.fetch(sql, *arguments.values)]
    more = str(found[asked.count - 1].seq) if len(found) > asked.count else None
    return Page(found[: asked.count], total, more)


async def names(
    connection: Connection, entries: Sequence[AccessEntry], visible: Visibility
) -> tuple[dict[int, str], dict[int, str]]:
    """References of the persons that the reader may see, and ids of the custodians, by their keys."""
    arguments = Arguments()
    persons = arguments.bind(sorted({entry.person for entry in entries} - {0}))
    rule = visible.predicate("r", arguments.bind)
    sql = f"SELECT key, id FROM resource r WHERE key = ANY({persons}::bigint[]) AND {rule}"  # noqa: S608
    seen = {row["key"]: f"Patient/{row['id']}" for row in await connection.fetch(sql, *arguments.values)}
    keys = sorted({key for entry in entries for key in entry.custodians})
    rows = await connection.fetch("SELECT key, id FROM resource WHERE key = ANY($1::bigint[])", keys)
    return seen, {row["key"]: row["id"] for row in rows}
