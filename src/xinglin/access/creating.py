"""Small creations that one caller asks for at the same time, in one transaction: they share its round trips and flush.

Each is all or nothing for itself. Whatever can refuse one is asked before anything is stored, and told to that one
alone; where the transaction fails as a whole, each is made in one of its own (`Records.write`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg

from xinglin.access import audit
from xinglin.access.audit import Access
from xinglin.access.parameters import stay_fresh
from xinglin.access.principal import Principal
from xinglin.access.topics import hold_topics
from xinglin.access.writing import Judged, Outcome, Writing
from xinglin.core.rest.gate import Write
from xinglin.core.search.extract import extract
from xinglin.core.store import write as store
from xinglin.core.store.rows import Change, Stored
from xinglin.core.store.visibility import Visibility
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Problem

SMALL: Final = 10
"""Resources of one call: more are a transaction of their own, so that nobody waits for them."""

FOLLOWED: Final = frozenset(
    {"Patient", "Practitioner", "PractitionerRole", "RelatedPerson", "Consent", "ValueSet", "SearchParameter"}
)
"""Types of which a write is followed by more than its own rows (projections.py)."""

Told = Callable[[Sequence[Write], Sequence[Change], Sequence[Outcome]], Access]


@dataclass(frozen=True, slots=True)
class Creation:
    """What one call creates, and how its line of the log is told."""

    writes: Sequence[Write]
    told: Told


class _Asks(Exception):
    """It has a reference that must be searched for: that belongs into a transaction of its own."""


def shareable(principal: Principal, writes: Sequence[Write]) -> bool:
    """Whether writes are a few plain creations under ids of ours that nothing else must follow in their transaction.

    The scopes of a token are asked after a change (`Writing`), when it is too late to refuse one of many.
    """
    return (
        len(writes) <= SMALL
        and principal.scopes is None
        and all(
            one.method == "POST" and one.condition is None and not one.keep_id and one.type not in FOLLOWED
            for one in writes
        )
    )


async def create_together(
    database: Database, principal: Principal, visible: Visibility, wishes: Sequence[Creation]
) -> list[list[Outcome] | Problem | None]:
    """For each its outcomes, or what is wrong with it; None where it must be tried alone."""
    begun: list[Writing] = []
    try:
        async with database.transaction() as connection:
            await stay_fresh(connection)
            now, topics = clock.micros(clock.now()), await hold_topics(connection)
            begun += [Writing(connection, principal, visible, _search, extract, None, now, topics) for _ in wishes]
            judged = [await _judged(one, wish.writes) for one, wish in zip(begun, wishes, strict=True)]
            return await _store(connection, wishes, judged, now)
    except (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError):
        for one in begun:
            one.undo()
        return [None] * len(wishes)


async def _judged(writing: Writing, writes: Sequence[Write]) -> Judged | Problem | None:
    try:
        return await writing.judged(writes)
    except Problem as problem:
        return problem
    except _Asks:
        writing.undo()
        return None


async def _store(
    connection: Connection, wishes: Sequence[Creation], judged: Sequence[Judged | Problem | None], now: int
) -> list[list[Outcome] | Problem | None]:
    """Store what may be stored, with a line of the log for each call."""
    changes = [list(one.changes.values()) if isinstance(one, Judged) else [] for one in judged]
    every = [change for some in changes for change in some]
    stored = iter(await store.commit(connection, every, now) if every else ())
    answers: list[list[Outcome] | Problem | None] = []
    lines: list[Access] = []
    for wish, one, own in zip(wishes, judged, changes, strict=True):
        if not isinstance(one, Judged):
            answers.append(one)
            continue
        outcomes = one.settled([next(stored) for _ in own])
        lines.append(wish.told(wish.writes, own, outcomes))
        answers.append(outcomes)
    if lines:
        await audit.record(connection, lines)
    return answers


async def _search(connection: Connection, type: str, query: str) -> list[Stored]:
    raise _Asks
