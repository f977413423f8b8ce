"""Units into the record through the gate: whole bundles, lines in groups, each refusal with its place."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg

from xinglin.access.principal import NODE
from xinglin.access.records import House, Outcome, Records
from xinglin.core.rest.gate import Write
from xinglin.exchange.loading.entries import Parcel, Refused, Unit, parcels
from xinglin.exchange.loading.report import Refusal, Report, refusal_of
from xinglin.kernel.config import Settings
from xinglin.kernel.database import absence
from xinglin.kernel.errors import Gone, NotFound, Problem

TRIES = 6
STATEMENT_SECONDS = 600  # a bundle of the largest size is one statement; nobody waits at a page for it
ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]\.?(?:resource\.?)?")
CLASHES = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.UniqueViolationError)


class Storing:
    """A way into the record as whoever `records` stand for; a unit's custodian may be empty: nobody's in particular."""

    def __init__(self, records: Records, names: dict[str, str] | None = None) -> None:
        self.records = records
        self.names = names or {}
        self.known: set[str] = set()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, names: dict[str, str]) -> AsyncIterator[Storing]:
        """`settings` name the database; `names` those institutions that may have to be created."""
        house = await House.open(replace(settings, statement_seconds=STATEMENT_SECONDS))
        try:
            yield cls(Records(house, NODE, why="load"), names)
        finally:
            await house.close()

    async def store(self, unit: Unit) -> Report:
        """Store what can be stored of the unit; the rest is in the report."""
        await self._institution(unit.custodian)
        report = Report()
        for parcel in parcels(unit.source, unit.custodian, unit.pieces):
            if isinstance(parcel, Refused):
                report.refuse(parcel.refusals, parcel.resources)
            elif parcel.writes:
                await self._put(parcel, unit, report)
        return report

    async def _institution(self, custodian: str) -> None:
        """The Organization that holds the data: created, with its name alone, where it does not exist yet."""
        if custodian in self.known or custodian not in self.names:
            return
        try:
            await self.records.read("Organization", custodian)
        except (NotFound, Gone):
            name = self.names[custodian]
            resource = {"resourceType": "Organization", "id": custodian, "active": True, "name": name}
            write = Write("PUT", "Organization", custodian, resource, keep_id=True)
            await self._write([write], custodian)
        self.known.add(custodian)

    async def _put(self, parcel: Parcel, unit: Unit, report: Report) -> None:
        try:
            outcomes = await self._write(parcel.writes, unit.custodian)
        except Exception as error:
            if away := absence(error):  # not the unit's fault: it is stored when the load is taken up again
                raise away from error
            # a fault of ours must not end a load of hours: named, and not stored
            fault = Problem(f"Xinglin failed on this: {type(error).__name__}: {error}.")
            await self._apart(parcel, unit, report, error if isinstance(error, Problem) else fault)
        else:
            _count(report, parcel.writes, outcomes)

    async def _apart(self, parcel: Parcel, unit: Unit, report: Report, problem: Problem) -> None:
        """A bundle is refused whole; of single resources, halves are tried until the refused ones stand alone."""
        if parcel.whole or len(parcel.writes) == 1:
            line, entry = parcel.places[0]
            report.refuse(_refusals(problem, unit.source, line, entry), len(parcel.writes))
            return
        middle = len(parcel.writes) // 2
        for part in (slice(0, middle), slice(middle, None)):
            half = Parcel(parcel.writes[part], parcel.places[part], whole=False)
            await self._put(half, unit, report)

    async def _write(self, writes: Sequence[Write], custodian: str) -> list[Outcome]:
        """The gate's write, again where another worker was in the way."""
        for attempt in range(1, TRIES):
            try:
                return await self.records.write(writes, custodian=custodian or None)
            except CLASHES:
                await asyncio.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311
        return await self.records.write(writes, custodian=custodian or None)


def _count(report: Report, writes: Sequence[Write], outcomes: Sequence[Outcome]) -> None:
    for write, outcome in zip(writes, outcomes, strict=True):
        if outcome.status == 201:
            report.created[write.type] += 1
        elif not outcome.changed:
            report.unchanged[write.type] += 1
        else:
            (report.deleted if outcome.status == 204 else report.updated)[write.type] += 1


def _refusals(problem: Problem, source: str, line: int | None, entry: int | None) -> list[Refusal]:
    """The gate names entries of a call as Bundle.entry[n]; in a report the entry is part of the place."""
    found = []
    for issue in problem.issues:
        match = ENTRY.match(issue.expression or "")
        number = int(match[1]) if match and entry is not None else None
        refusal = refusal_of(issue, source, line, number)
        if match:
            refusal = replace(refusal, expression=(issue.expression or "")[match.end() :] or None)
        found.append(refusal)
    return found
