"""The gate's verbs for bulk export: a stretch of a type as its owner may see it now, and the check at each download.

A stretch is read, audited (one line for each person it shows) and noted in the job's progress in one transaction. The
rules are those of the owner at that moment: a consent withdrawn while an export runs stops the rest of it, and the
files that were written before are given out no more (`closed_since`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from xinglin.access import audit
from xinglin.access.audit import Access
from xinglin.access.identity.recognise import standing
from xinglin.access.policy import rule_of, visibility
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.access.purposes import beyond_care, legal_bases, legal_basis
from xinglin.access.records import Records
from xinglin.access.scopes import scoped_types
from xinglin.core.schema.decode import parse as parse_resource
from xinglin.core.search.parse import RESULT_PARAMETERS, parse
from xinglin.core.search.query import TypeQuery
from xinglin.core.search.querystring import pairs
from xinglin.core.search.walking import Extent, Place, removed, walk
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.read import newest
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Forbidden, Invalid, NotFound, Unauthenticated

STRETCH: Final = 20_000  # resources
STRETCH_BYTES: Final = 48 << 20
STATEMENT: Final = "10min"  # of one stretch: nobody waits at a page for it
CLOSED: Final = """
WITH said AS (
    SELECT person FROM resource WHERE type = $3 AND updated >= $1
    UNION
    SELECT person FROM access_grant WHERE ends BETWEEN $1 AND $2 OR (NOT permit AND starts BETWEEN $1 AND $2)
), changed AS (
    SELECT person FROM said
    UNION  -- a consent reaches every Patient that is the person
    SELECT other.patient FROM said JOIN person_link mine ON mine.patient = said.person
           JOIN person_link other ON other.person = mine.person
)
SELECT EXISTS (SELECT 1 FROM changed c JOIN audit a ON a.person = c.person WHERE c.person <> 0 AND a.target = $4)
"""

Take = Callable[[Sequence[bytes]], None]


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was read: `place` to go on from, None at the end of the type; `count` resources given to `take`."""

    place: Place | None
    count: int


@dataclass(frozen=True, slots=True)
class Removed:
    """References of deleted resources, and where to go on."""

    references: list[str]
    place: tuple[int, int] | None


def check_may_export(principal: Principal) -> None:
    """Programs of the operator, and persons for a copy of their own record (PIPL art. 45)."""
    if principal.role not in (Role.SYSTEM, Role.PATIENT):
        raise Forbidden(
            f"The role {principal.role.value} does not export in bulk.",
            remedy="Use a program's token: xinglin token --role system.",
        )


def check_may_import(principal: Principal, custodian: str = "") -> None:
    """Programs of the operator; one that is limited to an institution brings in that institution's data alone."""
    if principal.role is not Role.SYSTEM:
        raise Forbidden(
            f"The role {principal.role.value} does not import in bulk.",
            remedy="Use a program's token: xinglin token --role system.",
        )
    if custodian and principal.institution not in (None, custodian):
        raise Forbidden(f"This token writes for {principal.institution} alone.", remedy="Leave custodian out.")


def filter_of(text: str) -> TypeQuery:
    """`Observation?code=...` of _typeFilter, understood strictly; Invalid names what is wrong with it."""
    type_name, question, query = text.partition("?")
    if type_name not in TYPE_NUMBERS or not question:
        raise Invalid("A _typeFilter is Type?parameters.", code="value", expression="_typeFilter")
    for name, _ in pairs(query):
        if name.partition(":")[0] in RESULT_PARAMETERS:
            raise Invalid(f"{name} does not filter.", code="not-supported", expression="_typeFilter")
    return parse(query, type_name).branches[0]


async def members(connection: Connection, principal: Principal, group: str) -> tuple[int, ...]:
    """Keys of the Patients that are active members of a Group now. NotFound where the Group may not be seen."""
    found = await newest(connection, "Group", group, visibility(principal, clock.micros(clock.now())))
    if found is None or found.deleted:
        raise NotFound(f"There is no Group/{group}.", remedy="Check the id.")
    listed = parse_resource(found.body).get("member", ())
    references = [member["entity"].get("reference", "") for member in listed if not member.get("inactive")]
    return patient_keys([one.removeprefix("Patient/") for one in references if one.startswith("Patient/")])


async def owner(connection: Connection, login: str) -> Principal:
    """Who asked for the export, as they stand now. Raises Unauthenticated or Forbidden once they no longer may."""
    principal = await standing(connection, login)
    if principal is None:
        raise Unauthenticated("The account or token that asked for this is no longer valid.")
    check_may_export(principal)
    return principal


def acting_for(principal: Principal, purpose: str, basis: str) -> Principal:
    """The principal of an export for a purpose of its own, on a legal basis where one is named. Raises Forbidden for a
    purpose that the role may not claim, Invalid for a basis that is none."""
    if not purpose and not basis:
        return principal
    wanted = purpose or principal.purpose.value
    if wanted not in rule_of(principal.role).purposes:
        raise Forbidden(f"The role {principal.role.value} does not act for the purpose {wanted[:20]}.")
    if basis:
        legal_basis(basis, principal.role, wanted)
    return replace(principal, purpose=Purpose(wanted), basis=basis)


def _ground(principal: Principal) -> str:
    """The legal basis as the access log tells it: its code and article."""
    found = legal_bases().get(principal.basis)
    return f"{found.code}: {found.article}" if found else ""


async def importer(connection: Connection, login: str) -> Principal:
    """Who asked for the import, as they stand now. Raises Unauthenticated or Forbidden once they no longer may."""
    principal = await standing(connection, login)
    if principal is None:
        raise Unauthenticated("The account or token that asked for this is no longer valid.")
    check_may_import(principal)
    return principal


async def read_stretch(
    connection: Connection, principal: Principal, extent: Extent, after: Place | None, target: str, take: Take
) -> Stretch:
    """Give the next stretch of the extent to `take`, a few megabytes at a time, and record whose data it showed."""
    if not _readable(principal, extent.type):
        return Stretch(None, 0)
    await connection.execute(f"SET LOCAL statement_timeout = '{STATEMENT}'")
    now = clock.micros(clock.now())
    persons: set[int] = set()
    seen = count = size = 0
    last: Any = None
    async for rows in walk(connection, extent, visibility(principal, now, "rs"), now, after, STRETCH):
        bodies = [body for row in rows if (body := row[3])]
        persons.update([row[0] for row in rows])
        take(bodies)
        seen, count, last = seen + len(rows), count + len(bodies), rows[-1]
        size += sum(map(len, bodies))
        if size >= STRETCH_BYTES:
            break
    await _record(connection, principal, persons, target)
    ended = seen < STRETCH and size < STRETCH_BYTES
    return Stretch(None if ended else (last[0], last[1], last[2]), count)


async def read_removed(
    connection: Connection, principal: Principal, extent: Extent, after: tuple[int, int] | None, target: str
) -> Removed:
    """What was deleted since, that the principal might see."""
    if not _readable(principal, extent.type):
        return Removed([], None)
    now = clock.micros(clock.now())
    rows = await removed(connection, extent, visibility(principal, now, "rs"), after, STRETCH)
    await _record(connection, principal, {row[3] for row in rows}, target)
    place = (rows[-1][0], rows[-1][1]) if len(rows) == STRETCH else None
    return Removed([f"{extent.type}/{row[2]}" for row in rows], place)


def _readable(principal: Principal, type_name: str) -> bool:
    """A token needs both of SMART's verbs to export a type: s for the statements, r for what they give."""
    types = scoped_types(principal, "r")
    return types is None or type_name in types


async def _record(connection: Connection, principal: Principal, persons: set[int], target: str) -> None:
    shown = tuple(sorted(persons - {0}))
    if shown:
        await audit.record(connection, [Access(principal, "export", target, shown, why=_ground(principal))])


async def note(records: Records, target: str, interaction: str = "export") -> None:
    """Record that an export or import was asked for, or a file of it fetched; durable before it returns."""
    await records.house.audit.write(Access(records.principal, interaction, target, why=records.why))


async def closed_since(connection: Connection, principal: Principal, since: int, target: str) -> bool:
    """Whether consent changed, since that time, for anybody whose data the export showed.

    Only where consent decides what the principal sees; persons, and the operator's own programs for the node's running,
    see without.
    """
    beyond = principal.purpose.value in beyond_care()
    if principal.role is Role.PATIENT or (principal.institution is None and not beyond):
        return False
    now = clock.micros(clock.now())
    return bool(await connection.fetchval(CLOSED, since, now, TYPE_NUMBERS["Consent"], target))


def patient_keys(ids: Sequence[str]) -> tuple[int, ...]:
    """Keys of Patient resources, for `Extent.persons`."""
    return tuple(sorted(key_of("Patient", id) for id in ids))
