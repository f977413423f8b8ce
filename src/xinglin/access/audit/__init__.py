"""What was done: one line for each access and person, written before the answer leaves.

A write's lines are in the write's own transaction. A read's lines go through `AuditWriter`: readers that wait at the
same time share one transaction and one flush, and none is answered before its own line is on disk.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from xinglin.access.principal import Principal, Purpose
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Problem

log = logging.getLogger(__name__)

SUCCESS: Final = 0
REFUSED: Final = 4
FAILED: Final = 8
ACTIONS: Final = {
    "create": "C",
    "read": "R",
    "vread": "R",
    "history": "R",
    "search": "E",
    "update": "U",
    "delete": "D",
}
GROUP: Final = 2000

COLUMNS: Final = {
    "event": "uuid",
    "at": "bigint",
    "person": "bigint",
    "institution": "text",
    "custodians": "text",
    "login": "text",
    "name": "text",
    "role": "text",
    "purpose": "text",
    "action": "text",
    "interaction": "text",
    "target": "text",
    "outcome": "smallint",
    "why": "text",
}
"""Columns of a line, with the type of the array that each is sent as, in the order of `Access.lines`."""
INSERT: Final = (
    f"INSERT INTO audit ({', '.join(COLUMNS)})"  # noqa: S608
    " SELECT event, at, person, institution, string_to_array(custodians, ' '), login, name, role, purpose,"
    ' action::"char", interaction, target, outcome, why'
    f" FROM unnest({', '.join(f'${n}::{type}[]' for n, type in enumerate(COLUMNS.values(), 1))})"
    f" AS n({', '.join(COLUMNS)})"
)


class AuditUnavailable(Problem):
    status = 503
    default_code = "transient"


@dataclass(frozen=True, slots=True)
class Access:
    """One access: who, what, whose. `persons` are keys of Patients whose data it touched, `target` names no values."""

    principal: Principal
    interaction: str
    target: str
    persons: tuple[int, ...] = ()
    outcome: int = SUCCESS
    why: str = ""
    custodians: tuple[str, ...] = ()

    def lines(self) -> list[tuple[Any, ...]]:
        """Rows of the audit table; an access that touched nobody's data in particular is one line with person 0."""
        event, at = uuid.uuid4(), clock.micros(clock.now())
        who = self.principal
        action = ACTIONS.get(self.interaction, "E")
        rest = (who.login, who.name, who.role.value, who.purpose.value, action, self.interaction, self.target)
        head = (who.institution or "", " ".join(self.custodians))
        return [(event, at, person, *head, *rest, self.outcome, self.why) for person in self.persons or (0,)]


async def record(connection: Connection, accesses: Sequence[Access]) -> None:
    """Write the lines in the transaction that `connection` is in."""
    await _insert(connection, [line for access in accesses for line in access.lines()])


async def _insert(connection: Connection, lines: Sequence[tuple[Any, ...]]) -> None:
    await connection.execute(INSERT, *(list(column) for column in zip(*lines, strict=True)))


def _withhold(group: Sequence[tuple[Access, asyncio.Future[None]]]) -> None:
    refusal = AuditUnavailable("The access log cannot be written, so nothing is shown.", remedy="Try again.")
    for _, future in group:
        if not future.done():
            future.set_exception(refusal)


class AuditWriter:
    """Groups the lines of concurrent readers into one transaction after another."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Access, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def write(self, access: Access) -> None:
        """Return when the access is durably recorded; raise where it cannot be, and then nothing may be disclosed."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((access, future))
        self._arrived.set()
        await future

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        _withhold(self._waiting)

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
                await self._write_group(group)

    async def _write_group(self, group: list[tuple[Access, asyncio.Future[None]]]) -> None:
        try:
            async with self._database.connection() as connection:
                await record(connection, [access for access, _ in group])
        except Exception:
            log.exception("audit lines could not be written; %d answers are withheld", len(group))
            _withhold(group)
            return
        for _, future in group:
            if not future.done():
                future.set_result(None)


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One line of an access list, as a page shows it: `at` in microseconds, `target` a reference or a type."""

    seq: int
    event: str
    at: int
    person: int
    institution: str
    login: str
    name: str
    role: str
    purpose: str
    interaction: str
    target: str
    outcome: int
    why: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader of the log looks for: one account, only what was refused, only emergencies, a span of time.

    `since` and `until` in microseconds, `until` exclusive.
    """

    login: str = ""
    refused: bool = False
    emergency: bool = False
    since: int | None = None
    until: int | None = None

    def conditions(self, arguments: list[object]) -> str:
        """AND ... of the statement; values go to the end of its arguments."""
        found = ["outcome <> 0"] if self.refused else []
        found += [f"purpose = '{Purpose.EMERGENCY}'"] if self.emergency else []
        for column, value in (("login =", self.login), ("at >=", self.since), ("at <", self.until)):
            if value not in ("", None):
                arguments.append(value)
                found.append(f"{column} ${len(arguments)}")
        return "".join(f" AND {one}" for one in found)


ANYTHING: Final = Wanted()

_COLUMNS = "seq, event::text, at, person, institution, login, name, role, purpose, interaction, target, outcome, why"


async def entries(
    connection: Connection,
    *,
    persons: Sequence[int] | None = None,
    institution: str | None = None,
    before: int | None = None,
    count: int = 50,
    wanted: Wanted = ANYTHING,
) -> list[AccessEntry]:
    """Lines, newest first: about these persons, or by this institution's people, or all."""
    arguments: list[object] = [count, before if before is not None else 2**62]
    condition = "true"
    if persons is not None:
        arguments.append(list(persons))
        condition = "person = ANY($3::bigint[]) AND person <> 0"
    elif institution is not None:
        arguments.append(institution)
        condition = "institution = $3"
    condition += wanted.conditions(arguments)
    sql = f"SELECT {_COLUMNS} FROM audit WHERE seq < $2 AND {condition} ORDER BY seq DESC LIMIT $1"  # noqa: S608
    return [AccessEntry(*row) for row in await connection.fetch(sql, *arguments)]


def audit_event(entry: AccessEntry, patient: str | None) -> dict[str, Any]:
    """The line as a FHIR R4 AuditEvent in the manner of IHE BALP; `patient`: the person's reference, if known."""
    action = ACTIONS.get(entry.interaction, "E")
    entities = [{"what": {"reference": entry.target}}] if "/" in entry.target else [{"name": entry.target}]
    if patient:
        role = {
            "system": "http://terminology.hl7.org/CodeSystem/object-role",
            "code": "1",
            "display": "Patient",
        }
        entities.append({"what": {"reference": patient}, "role": role})  # type: ignore[dict-item]
    agent: dict[str, Any] = {
        "who": {"identifier": {"value": entry.login}, "display": entry.name},
        "role": [{"text": entry.role}],
        "requestor": True,
    }
    if entry.institution:
        agent["location"] = {"display": entry.institution}
    return {
        "resourceType": "AuditEvent",
        "id": f"a{entry.seq}",
        "type": {"system": "http://terminology.hl7.org/CodeSystem/audit-event-type", "code": "rest"},
        "subtype": [{"system": "http://hl7.org/fhir/restful-interaction", "code": entry.interaction}],
        "action": action,
        "recorded": clock.instant(entry.at),
        "outcome": str(entry.outcome),
        **({"outcomeDesc": entry.why} if entry.why else {}),
        "purposeOfEvent": [
            {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-ActReason", "code": entry.purpose}]}
        ],
        "agent": [agent],
        "source": {"observer": {"display": "Xinglin"}},
        "entity": entities,
    }
