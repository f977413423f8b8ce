"""What can this principal do, and why: the same rules that decide, asked one by one.

Each read rule is a part of the predicate that policy.RoleVisibility puts into every statement, run by itself on the
one row; the answer is the whole predicate's. Writes are judged by policy.check_write and the custody that
access.writing keeps. Who asks learns of a row that their own institution does not hold only where its people may see
it anyway: hidden and missing look the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from xinglin.access import audit
from xinglin.access.decisions import closed_at_home, named, opened_elsewhere
from xinglin.access.identity.recognise import standing
from xinglin.access.policy import (
    RoleVisibility,
    check_write,
    directory_types,
    institution_key,
    rule_of,
    visibility,
)
from xinglin.access.principal import Principal, Role
from xinglin.access.records import Records
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.visibility import Arguments, Bind
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Forbidden, Invalid, NotFound, Problem

MAY_ASK: Final = frozenset({Role.MANAGER, Role.PRIVACY})
VERBS: Final = {"r": "read", "s": "search", "c": "create", "u": "update", "d": "delete"}
Part = Callable[[str, Bind], str]


@dataclass(frozen=True, slots=True)
class Reason:
    """One rule and whether it lets the principal. rule: a name that pages put into words; detail: what it rests on.

    holds: None where the rule was not asked, since what it is about is not to be told.
    """

    rule: str
    holds: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether, and why. known: whether the asker may be told of the row at all."""

    principal: Principal
    allowed: bool
    known: bool
    reasons: tuple[Reason, ...]


async def explain(records: Records, login: str, reference: str, verb: str) -> Answer:
    """Whether an account of the asker's institution may do a thing, rule by rule; itself recorded.

    reference: Type/id. Raises Forbidden, Invalid, and NotFound for an account that is not of the institution.
    """
    asker = records.principal
    type, _, id = reference.partition("/")
    if asker.role not in MAY_ASK or not asker.institution or asker.barred:
        raise Forbidden("Rules are tested by the institution's manager and its privacy officer.")
    if type not in TYPE_NUMBERS or not id or "/" in id or verb not in VERBS:
        raise Invalid("Give a resource as Type/id.", code="value", expression="reference")
    async with records.house.database.connection() as connection:
        subject = await _subject(connection, asker, login)
        answer = await _answer(connection, asker, subject, type, id, verb)
    why = f"{login} {VERBS[verb]} {reference}: {'yes' if answer.allowed else 'no'}"
    await records.house.audit.write(audit.Access(asker, "policy-test", reference, (), why=why))
    return answer


async def _subject(connection: Connection, asker: Principal, login: str) -> Principal:
    """The account as it stands now: of staff of the institution, or of a patient whose own record it holds."""
    subject = await standing(connection, login)
    if subject is not None and subject.role is Role.PATIENT and subject.patients:
        holder = await connection.fetchval(
            "SELECT custodian FROM resource WHERE key = $1", key_of("Patient", subject.patients[0])
        )
        if holder == institution_key(asker.institution or ""):
            return subject
    elif subject is not None and subject.institution == asker.institution:
        return subject
    raise NotFound("Your institution has no such account that may sign in.", remedy="Check the login.")


async def _answer(
    connection: Connection, asker: Principal, subject: Principal, type: str, id: str, verb: str
) -> Answer:
    key = key_of(type, id)
    sees = await _holds(connection, key, visibility(subject, clock.micros(clock.now()), "r").predicate)
    row = await connection.fetchrow("SELECT custodian, deleted FROM resource WHERE key = $1", key)
    ours = row is not None and row["custodian"] == institution_key(asker.institution or "")
    told = ours or (sees and subject.role is not Role.PATIENT)  # where a patient is known besides is not the asker's
    known = row is not None and not row["deleted"] and told
    reasons = list(_standing_reasons(subject))
    reasons += await _reading(connection, subject, type, key, known)
    allowed = sees and known
    if verb == "s":
        seen = visibility(subject, clock.micros(clock.now()), "s").predicate
        allowed = allowed and await _holds(connection, key, seen)
    if verb in "cud":
        writing = list(_writing(subject, type, verb, known, ours))
        reasons += writing
        allowed = all(one.holds for one in writing) and (allowed or verb == "c")
    return Answer(subject, allowed, known, tuple(reasons))


def _standing_reasons(subject: Principal) -> Iterator[Reason]:
    if subject.role is Role.PATIENT:
        yield Reason("proof", True, f"Patient/{subject.patients[0]}")
        return
    post = f"PractitionerRole/{subject.practitioner_role}" if subject.practitioner_role else ""
    yield Reason("post", subject.barred != "no-post", post)
    if subject.role in (Role.CLINICIAN, Role.PHARMACIST):
        yield Reason("licence", not subject.barred.startswith(("no-licence", "licence-")), subject.barred)


async def _reading(connection: Connection, subject: Principal, type: str, key: int, known: bool) -> list[Reason]:
    """The parts of the predicate, each alone."""
    rule, now = rule_of(subject.role), clock.micros(clock.now())
    parts = RoleVisibility(subject, now)
    found = [
        Reason("role", rule.reads is None or type in rule.reads | rule.region | directory_types(), rule.reason),
        Reason("purpose", subject.purpose.value in rule.purposes, subject.purpose.value),
    ]
    asked: list[tuple[str, Part]] = [("directory", parts._directory)]
    if subject.role is Role.PATIENT:
        asked.append(("own", parts._own))
    elif subject.institution:
        asked += [
            ("custody", lambda alias, bind: f"{alias}.custodian = {bind(parts._institution)}"),
            ("open-at-home", lambda alias, bind: f"NOT {closed_at_home(subject, now, alias, bind)}"),
            ("consent", lambda alias, bind: opened_elsewhere(subject, now, alias, bind)),
        ]
    if subject.scopes is not None:
        asked.append(("scope", lambda alias, bind: f"true {parts.scopes(alias, bind)}"))
    for name, part in asked:
        holds = await _holds(connection, key, part) if known else None
        detail = await _sources(connection, subject, key, now) if name == "consent" and holds else ""
        found.append(Reason(name, holds, detail))
    return found


def _writing(subject: Principal, type: str, verb: str, known: bool, ours: bool) -> Iterator[Reason]:
    try:
        check_write(subject, type, verb)
    except Problem as problem:
        yield Reason("write", False, problem.issues[0].text)
    else:
        yield Reason("write", True, type)
    if verb != "c":
        yield Reason("writes-own", ours if known else None, subject.institution or "")


async def _holds(connection: Connection, key: int, part: Part) -> bool:
    arguments = Arguments(key)
    rule = part("r", arguments.bind)
    sql = f"SELECT EXISTS (SELECT 1 FROM resource r WHERE r.key = $1 AND NOT r.deleted AND ({rule}))"  # noqa: S608
    return bool(await connection.fetchval(sql, *arguments.values))


async def _sources(connection: Connection, subject: Principal, key: int, now: int) -> str:
    """The Consents, or the emergency, that open the row."""
    rows = await connection.fetch(
        "SELECT DISTINCT coalesce('Consent/' || c.id, 'emergency') AS source FROM access_grant g"
        " JOIN resource r ON r.key = $1 AND g.person = r.person LEFT JOIN resource c ON c.key = g.source"
        " WHERE g.grantee = ANY($2::bigint[]) AND g.starts <= $3 AND g.ends > $3 AND g.permit"
        " AND g.custodian IN (r.custodian, 0) ORDER BY 1",
        *(key, [*named(subject), 0], now),
    )
    return ", ".join(row["source"] for row in rows)
