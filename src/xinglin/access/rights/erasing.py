"""Erasure: what the law no longer keeps is deleted through the gate, and every version of it with it.

What remains of a resource is that it was deleted (its type and id answer 410), so that nobody brings it back by
mistake. The access list stays, since it is the proof of what was done; `xinglin audit erase` removes what it says of a
person after its own period.
"""

from __future__ import annotations

from dataclasses import dataclass

from xinglin.access import audit
from xinglin.access.audit import Access
from xinglin.access.records import Records, Write
from xinglin.access.rights.retention import Held, held
from xinglin.core.schema.decode import parse
from xinglin.core.store import erase as store
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict, NotFound

INTERACTION = "erase"


@dataclass(frozen=True, slots=True)
class Plan:
    """What of one Patient's record at the institution that holds it goes, and what a rule keeps."""

    patient: str
    goes: list[Held]
    stays: list[Held]

    @property
    def whole(self) -> bool:
        """Nothing is kept: the Patient resource goes as well."""
        return not self.stays


async def plan(connection: Connection, patient: str) -> Plan:
    """NotFound where there is no such Patient."""
    record = [(stored, parse(stored.body)) for stored in await store.record_of(connection, key_of("Patient", patient))]
    if not record:
        raise NotFound(f"There is no Patient/{patient}.", remedy="Check the id.")
    now = clock.micros(clock.now())
    goes: list[Held] = []
    stays: list[Held] = []
    for each in held(record, patient):
        (goes if each.may_go(now) else stays).append(each)
    return Plan(patient, goes, stays)


async def erase(records: Records, patient: str) -> Plan:
    """Erase what may go, all of it or nothing. Conflict where the law keeps everything."""
    async with records.house.database.transaction() as connection:
        decided = await plan(connection, patient)
        if not decided.goes:
            raise Conflict(
                f"Nothing of Patient/{patient} may be erased yet: {decided.stays[0].rule.source}.",
                remedy="`xinglin person erase` without --yes lists what is kept until when.",
            )
        pairs = [each.reference.split("/") for each in decided.goes]
        # references lead from the record to the person: the person goes last
        pairs.sort(key=lambda pair: pair[0] == "Patient")
        await records.write_within(connection, [Write("DELETE", type, id) for type, id in pairs])
        await store.purge(connection, [key_of(type, id) for type, id in pairs])
        access = Access(
            records.principal, INTERACTION, f"Patient/{patient}", (key_of("Patient", patient),), why=records.why
        )
        await audit.record(connection, [access])
        if decided.whole:
            await connection.execute("UPDATE account SET active = false WHERE patient = $1", patient)
            await connection.execute(
                "DELETE FROM session WHERE login IN (SELECT login FROM account WHERE patient = $1)", patient
            )
    return decided
