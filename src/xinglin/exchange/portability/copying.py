"""The copy: every resource of the person, what it refers to, and the access list.

What the asker may not see is not in it: the copy is made by the same searches that any reader uses, and each of them
stands in the access list itself.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from xinglin.access.audit import AccessEntry, audit_event
from xinglin.access.records import Records, Stored
from xinglin.core.schema.decode import encode, parse
from xinglin.kernel import clock

PAGE: Final = 1000
AT_ONCE: Final = 100
REFERENCE: Final = re.compile(rb'"reference":"([A-Z][A-Za-z]{1,40})/([A-Za-z0-9.-]{1,64})"')


@dataclass(frozen=True, slots=True)
class Copy:
    """All of one person's data.

    taken: microseconds since 1970. beyond: what the record refers to (practitioners, medicines, places).
    institutions: id and name of each that holds something.
    """

    taken: int
    record: list[Stored]
    beyond: list[Stored]
    institutions: dict[str, str]
    accesses: list[AccessEntry]

    def bundle(self, base: str) -> bytes:
        """A Bundle of type collection (R4); `base`: the address of the FHIR service, for fullUrl."""
        events = [(f"AuditEvent/a{entry.seq}", encode(audit_event(entry, None))) for entry in self.accesses]
        parts = [(stored.reference, stored.body) for stored in (*self.record, *self.beyond)] + events
        head = b'{"resourceType":"Bundle","type":"collection","timestamp":"%b","entry":['
        entries = b",".join(
            b'{"fullUrl":"%b/%b","resource":%b}' % (base.encode(), reference.encode(), body)
            for reference, body in parts
        )
        return head % clock.instant(self.taken).encode() + entries + b"]}"


async def copy_of(records: Records, patients: Sequence[str]) -> Copy:
    """The copy of the Patient resources that are one person. NotFound where one of them is not to be seen."""
    taken = clock.micros(clock.now())
    record: dict[str, Stored] = {}
    for patient in patients:
        found = await records.read("Patient", patient)
        record[found.reference] = found
        async for stored in _compartment(records, patient):
            record[stored.reference] = stored
    beyond = [stored async for stored in _referred(records, record)]
    institutions = {stored.id: str(parse(stored.body).get("name", "")) for stored in await _organizations(records)}
    accesses = [entry for patient in patients async for entry in _accesses(records, patient)]
    known = {entry.seq: entry for entry in accesses}  # one line may be about two of the person's records
    lines = [known[seq] for seq in sorted(known)]
    return Copy(taken, list(record.values()), beyond, institutions, lines)


async def _compartment(records: Records, patient: str) -> AsyncIterator[Stored]:
    """What is about the patient, page after page; AuditEvents come from the access list instead."""
    page: str | None = ""
    while page is not None:
        following = f"&_page={quote(page, safe='')}" if page else ""
        found = await records.search(None, f"_total=none&_count={PAGE}{following}", compartment=("Patient", patient))
        for stored in found.matches:
            yield stored
        page = found.next


async def _referred(records: Records, record: dict[str, Stored]) -> AsyncIterator[Stored]:
    """What the record points to and does not hold: who treated, where, with what; the content of documents."""
    wanted: dict[str, set[str]] = {}
    for stored in record.values():
        for type, id in REFERENCE.findall(stored.body):
            if f"{type.decode()}/{id.decode()}" not in record:
                wanted.setdefault(type.decode(), set()).add(id.decode())
    for stored in record.values():
        for id in re.findall(rb'"url":"Binary/([A-Za-z0-9.-]{1,64})"', stored.body):
            wanted.setdefault("Binary", set()).add(id.decode())
    for type, ids in sorted(wanted.items()):
        named = sorted(ids)
        for start in range(0, len(named), AT_ONCE):
            for stored in await records.visible_of(type, named[start : start + AT_ONCE]):
                if stored.reference not in record:
                    yield stored


async def _organizations(records: Records) -> list[Stored]:
    return (await records.search("Organization", f"_total=none&_count={PAGE}")).matches


async def _accesses(records: Records, patient: str) -> AsyncIterator[AccessEntry]:
    """Who looked, the newest first."""
    before: int | None = None
    while True:
        lines = await records.audit_trail(patient=patient, count=PAGE, before=before)
        for line in lines:
            yield line
        if len(lines) < PAGE:
            return
        before = lines[-1].seq
