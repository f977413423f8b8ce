"""What institutions see of a person: counted by the gate's own predicate, now and as it would be.

What a change would do is found by doing it: in a transaction that is taken back, so the preview and the truth are one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from xinglin.access.categories import Category, categories, labels
from xinglin.access.policy import own_keys, visibility
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.store.keys import TYPE_NUMBERS
from xinglin.core.store.visibility import Arguments
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Forbidden

Counts = Mapping[str, int]
"""Number of resources by code of category, or of sensitive label for what bears one."""
NOT_COUNTED = ("Consent", "AuditEvent")


@dataclass(frozen=True, slots=True)
class Change:
    """What an institution's clinicians see before and after."""

    before: Counts
    after: Counts

    @property
    def gained(self) -> Counts:
        return {code: count - self.before.get(code, 0) for code, count in self.after.items() if
                count > self.before.get(code, 0)}  # fmt: skip

    @property
    def lost(self) -> Counts:
        return Change(self.after, self.before).gained


def named() -> dict[str, Category]:
    """Categories and labels by code."""
    return {entry.code: entry for entry in (*categories(), *labels())}


async def seen_by(records: Records, institutions: Sequence[str]) -> dict[str, Counts]:
    """What the clinicians of each institution see of the person, for treatment."""
    _check(records)
    async with records.house.database.connection() as connection:
        people = own_keys(records.principal)
        return {one: await _count(connection, people, _clinician(one)) for one in institutions}


async def held(records: Records) -> Counts:
    """All that is held of the person."""
    _check(records)
    async with records.house.database.connection() as connection:
        return await _count(connection, own_keys(records.principal), None)


async def change(records: Records, institution: str, writes: Sequence[Write]) -> Change:
    """What these writes of the person would change for an institution. Raises what the writes would raise."""
    _check(records)
    found: list[Counts] = []
    try:
        async with records.house.database.transaction() as connection:
            people = own_keys(records.principal)
            found.append(await _count(connection, people, _clinician(institution)))
            await records.write_within(connection, writes)
            found.append(await _count(connection, people, _clinician(institution)))
            raise _TakenBack
    except _TakenBack:
        return Change(*found)


class _TakenBack(Exception):
    """Ends a transaction that must leave nothing."""


def _check(records: Records) -> None:
    if records.principal.role is not Role.PATIENT:
        raise Forbidden("The person whose record it is asks.")


def _clinician(institution: str) -> Principal:
    return Principal("preview", "", Role.CLINICIAN, Purpose.TREATMENT, institution=institution)


async def _count(connection: Connection, people: Sequence[int], who: Principal | None) -> Counts:
    arguments = Arguments(people, [TYPE_NUMBERS[name] for name in NOT_COUNTED])
    now = clock.micros(clock.now())
    rule = visibility(who, now).predicate("r", arguments.bind) if who else "true"
    rows = await connection.fetch(
        "SELECT r.category, count(*) FROM resource r WHERE r.person = ANY($1::bigint[]) AND NOT r.deleted"  # noqa: S608
        f" AND r.type <> ALL($2::smallint[]) AND {rule} GROUP BY 1",
        *arguments.values,
    )
    counts: Counter[str] = Counter()
    for row in rows:
        sensitive = [label.code for label in labels() if label.bit & row["category"]]
        chosen = sensitive or [entry.code for entry in categories() if entry.bit & row["category"]]
        counts.update(dict.fromkeys(chosen, row["count"]))
    return counts
