"""What a clerk does about persons: see doubtful pairs, join, part, and take any of it back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from xinglin.access import audit
from xinglin.access.persons.graph import Pair, pair
from xinglin.access.persons.ledger import PERSONS_LOCK, Act, enter, load_graph, step_of
from xinglin.access.persons.matching import Decision
from xinglin.access.principal import Principal, Role
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict, Forbidden, NotFound, Unprocessable

if TYPE_CHECKING:
    from xinglin.access.house import House

MAY_REVIEW: Final = frozenset({Role.CLERK, Role.SYSTEM})


@dataclass(frozen=True, slots=True)
class Review:
    """A doubtful pair. Patients by id, read them through the gate; `fields`: verdicts, never values."""

    a: str
    b: str
    rule: str
    fields: dict[str, str]
    opened: datetime


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the ledger. `patients`: ids of the records it concerned; `undone`: another entry took it back."""

    entry: int
    at: datetime
    actor: str
    action: str
    why: str
    patients: tuple[str, ...]
    undoes: int | None
    undone: bool


async def bring_up_to_date(connection: Connection, patients: set[int], doubtful: dict[Pair, Decision]) -> None:
    """Open a review for each doubtful pair, and withdraw those of the patients that are doubtful no more."""
    rows = [(a, b, one.rule, orjson.dumps(one.fields).decode()) for (a, b), one in sorted(doubtful.items())]
    await connection.execute(_WITHDRAW, list(patients), [r[0] for r in rows], [r[1] for r in rows], clock.now())
    await open_reviews(connection, doubtful)


async def open_reviews(connection: Connection, doubtful: dict[Pair, Decision]) -> None:
    """Open a review for each pair that no clerk has decided."""
    rows = [(a, b, one.rule, orjson.dumps(one.fields).decode()) for (a, b), one in sorted(doubtful.items())]
    if rows:
        await connection.execute(_OPEN, *map(list, zip(*rows, strict=True)), clock.now())


_WITHDRAW: Final = """
UPDATE person_review r SET closed = $4, outcome = 'withdrawn', actor = 'xinglin'
 WHERE closed IS NULL AND (a = ANY($1::bigint[]) OR b = ANY($1::bigint[]))
   AND NOT EXISTS (SELECT 1 FROM unnest($2::bigint[], $3::bigint[]) AS d(a, b) WHERE d.a = r.a AND d.b = r.b)
"""
# A pair that a clerk has decided stays decided.
_OPEN: Final = """
INSERT INTO person_review AS r (a, b, a_id, b_id, rule, fields, opened)
SELECT d.a, d.b, x.id, y.id, d.rule, d.fields::jsonb, $5
  FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[]) AS d(a, b, rule, fields)
  JOIN resource x ON x.key = d.a JOIN resource y ON y.key = d.b
ON CONFLICT (a, b) DO UPDATE SET rule = excluded.rule, fields = excluded.fields, closed = NULL, outcome = NULL,
       actor = NULL, opened = CASE WHEN r.closed IS NULL THEN r.opened ELSE excluded.opened END
 WHERE r.closed IS NULL OR r.outcome = 'withdrawn'
"""


async def reviews(house: House, principal: Principal, *, count: int = 50, skip: int = 0) -> list[Review]:
    """Doubtful pairs that wait for a clerk, the oldest first."""
    _check(principal)
    rows = await house.database.pool.fetch(
        "SELECT a_id, b_id, rule, fields, opened FROM person_review WHERE closed IS NULL"
        " ORDER BY opened, a, b LIMIT $1 OFFSET $2",
        *(max(1, min(count, 500)), max(0, skip)),
    )
    return [Review(r["a_id"], r["b_id"], r["rule"], orjson.loads(r["fields"]), r["opened"]) for r in rows]


async def waiting(house: House, principal: Principal) -> int:
    """How many pairs wait."""
    _check(principal)
    return int(await house.database.pool.fetchval("SELECT count(*) FROM person_review WHERE closed IS NULL"))


async def join(house: House, principal: Principal, a: str, b: str, why: str = "") -> int:
    """A clerk says that two Patients are one person; the ledger's entry. What barred them is lifted."""
    async with _acting(house, principal) as connection:
        two = await _records(connection, a, b)
        graph = await load_graph(connection, two)
        return await _do(connection, house, principal, Act(graph.joined(*two), principal.login, "join", why), two)


async def part(house: House, principal: Principal, a: str, b: str, why: str = "") -> int:
    """A clerk says that two Patients are different people; the ledger's entry.

    Where they were joined, b leaves the person, alone. They are not linked automatically again.
    """
    async with _acting(house, principal) as connection:
        two = await _records(connection, a, b)
        graph = await load_graph(connection, two)
        step = graph.parted([key_of("Patient", b)], others=[key_of("Patient", a)])
        return await _do(connection, house, principal, Act(step, principal.login, "part", why), two)


async def leave(house: House, principal: Principal, patients: Sequence[str], why: str = "") -> int:
    """These records, which stay together as they are, leave the person they belong to; the ledger's entry."""
    if not patients:
        raise Unprocessable("No record was chosen.", remedy="Choose those that belong to somebody else.")
    async with _acting(house, principal) as connection:
        group = [key_of("Patient", id) for id in patients]
        step = (await load_graph(connection, group)).parted(group)
        return await _do(connection, house, principal, Act(step, principal.login, "part", why), None)


async def undo(house: House, principal: Principal, entry: int, why: str = "") -> int:
    """Take an entry back: the records stand as if it had not been. The new entry's number."""
    async with _acting(house, principal) as connection:
        if await connection.fetchval("SELECT entry FROM person_ledger WHERE undoes = $1", entry):
            raise Conflict(f"Entry {entry} has been taken back already.", remedy="Take that entry back instead.")
        done = await step_of(connection, entry)
        graph = await load_graph(connection, done.records())
        act = Act(graph.in_effect(done.inverse()), principal.login, "undo", why, entry)
        return await _do(connection, house, principal, act, None)


async def entries(house: House, principal: Principal, patient: str | None = None, *, count: int = 50) -> list[Entry]:
    """The ledger, newest first: all of it, or what concerned one Patient."""
    _check(principal)
    key = key_of("Patient", patient) if patient else None
    rows = await house.database.pool.fetch(_ENTRIES, key, max(1, min(count, 500)))
    return [Entry(**{**dict(row), "patients": tuple(row["patients"])}) for row in rows]


_ENTRIES: Final = """
SELECT g.entry, g.at, g.actor, g.action, g.why, g.undoes,
       EXISTS (SELECT 1 FROM person_ledger u WHERE u.undoes = g.entry) AS undone,
       ARRAY(SELECT r.id FROM resource r
              WHERE r.key = ANY(g.edges_added || g.edges_removed || g.bars_added || g.bars_removed)
              ORDER BY r.id) AS patients
  FROM person_ledger g
 WHERE $1::bigint IS NULL OR $1 = ANY(g.edges_added || g.edges_removed || g.bars_added || g.bars_removed)
 ORDER BY g.entry DESC LIMIT $2
"""


@asynccontextmanager
async def _acting(house: House, principal: Principal) -> AsyncIterator[Connection]:
    _check(principal)
    async with house.database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", PERSONS_LOCK)
        yield connection


async def _do(connection: Connection, house: House, principal: Principal, act: Act, two: Pair | None) -> int:
    """Enter the act, settle the reviews it decides, and record the access."""
    [entry] = await enter(connection, house, [act])
    if act.undoes is not None:
        await connection.execute(_REOPEN, act.undoes)
    touched = act.step.records() | set(two or ())
    graph = await load_graph(connection, touched)
    around = {other for record in touched for other in graph.component(record)}
    await connection.execute(_SETTLE, list(around), clock.now(), principal.login, entry)
    persons = tuple(sorted(touched))
    await audit.record(connection, [audit.Access(principal, "update", f"Person ({act.action})", persons, why=act.why)])
    return entry


_REOPEN: Final = """
UPDATE person_review SET closed = NULL, outcome = NULL, actor = NULL, entry = NULL WHERE entry = $1
"""
_SETTLE: Final = """
UPDATE person_review r SET closed = $2, actor = $3, entry = $4, outcome = settled.outcome
  FROM (SELECT q.a, q.b,
               CASE WHEN EXISTS (SELECT 1 FROM person_bar p WHERE p.a = q.a AND p.b = q.b) THEN 'parted'
                    WHEN EXISTS (SELECT 1 FROM person_link x JOIN person_link y USING (person)
                                  WHERE x.patient = q.a AND y.patient = q.b) THEN 'joined' END AS outcome
          FROM person_review q
         WHERE q.closed IS NULL AND (q.a = ANY($1::bigint[]) OR q.b = ANY($1::bigint[]))) settled
 WHERE r.a = settled.a AND r.b = settled.b AND settled.outcome IS NOT NULL
"""


async def _records(connection: Connection, a: str, b: str) -> Pair:
    if a == b:
        raise Unprocessable("Both are the same record.", remedy="Choose two.")
    keys: list[int] = []
    for id in (a, b):
        key: Any = await connection.fetchval(
            "SELECT key FROM resource WHERE key = $1 AND NOT deleted", key_of("Patient", id)
        )
        if key is None:
            raise NotFound(f"There is no Patient/{id}.", remedy="Open the list again.")
        keys.append(int(key))
    return pair(*keys)


def _check(principal: Principal) -> None:
    if principal.role not in MAY_REVIEW:
        raise Forbidden("Joining and parting records is a clerk's work.", remedy="Ask a clerk of your institution.")
