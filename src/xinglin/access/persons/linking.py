"""Linking as a consumer of the change feed: which Patients, new or changed, are the same person.

A window of the feed, what it leads to, and the cursor are one transaction; one runner at a time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import asyncpg
import orjson

from xinglin.access.persons import models, review
from xinglin.access.persons.blocking import MOST_SHARING, identifier_block
from xinglin.access.persons.graph import Graph, Pair, Step, pair
from xinglin.access.persons.index import index_patients
from xinglin.access.persons.ledger import PERSONS_LOCK, Act, enter, load_graph
from xinglin.access.persons.matching import BY_WEIGHT, Band, Decision, Matcher
from xinglin.access.persons.traits import Traits
from xinglin.access.principal import NODE
from xinglin.core.store.keys import TYPE_NUMBERS
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict

if TYPE_CHECKING:
    from xinglin.access.house import House

WINDOW: Final = 2000  # versions read in one transaction
FIRST: Final = -(2**63)  # below every key
PARTED_BEFORE: Final = "parted-before"
THROUGH_ANOTHER: Final = "through-another"  # a third record would make one person of two that the rules keep apart
NO_LONGER: Final = "weights-no-longer"  # they were joined by other weights
NOW_LINKED: Final = "weights-now"  # these weights would join them

_WINDOW: Final = """
SELECT txid, seq, key, type FROM feed
 WHERE (txid, seq) > ((SELECT txid FROM person_cursor), (SELECT seq FROM person_cursor))
   AND txid < pg_snapshot_xmin(pg_current_snapshot())
 ORDER BY txid, seq LIMIT $1
"""
_PATIENTS: Final = """
SELECT key, custodian, body FROM resource WHERE type = $1 AND key > $2 AND NOT deleted ORDER BY key LIMIT $3
"""
_LACKING: Final = """
SELECT EXISTS (SELECT 1 FROM resource WHERE type = $1 AND NOT deleted)
   AND NOT EXISTS (SELECT 1 FROM person_block)
"""
_CANDIDATES: Final = """
SELECT DISTINCT one, other
  FROM (SELECT m.patient AS one, unnest(o.others) AS other
          FROM person_block m CROSS JOIN LATERAL (
               SELECT array_agg(s.patient) AS others
                 FROM (SELECT b.patient FROM person_block b WHERE b.block = m.block LIMIT $2 + 1) s) o
         WHERE m.patient = ANY($1::bigint[]) AND cardinality(o.others) BETWEEN 2 AND $2) pairs
 WHERE one <> other
"""
_EDGES: Final = """
SELECT e.a, e.b, g.actor FROM person_edge e JOIN person_ledger g ON g.entry = e.ledger
 WHERE e.a = ANY($1::bigint[]) OR e.b = ANY($1::bigint[])
"""


async def catch_up(house: House, matcher: Matcher | None = None) -> int:
    """Link what a window of the change feed brought; the number of versions read, 0 when there is nothing new."""
    try:
        async with house.database.transaction() as connection:
            if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", PERSONS_LOCK):
                return 0
            return await _window(connection, house, matcher or await models.in_force(connection))
    except (asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError, asyncpg.QueryCanceledError) as error:
        raise Conflict("Linking met other work on the same records.", remedy="It is tried again.") from error


async def _window(connection: Connection, house: House, matcher: Matcher) -> int:
    rows = await connection.fetch(_WINDOW, WINDOW)
    if not rows:
        return 0
    patients = {row["key"] for row in rows if row["type"] == TYPE_NUMBERS["Patient"]}
    if patients:
        await _link(connection, house, patients, matcher)
    last = rows[-1]
    await connection.execute("UPDATE person_cursor SET txid = $1, seq = $2", last["txid"], last["seq"])
    return len(rows)


async def start_again(house: House) -> None:
    """Make every term anew, and let `catch_up` judge every Patient again: after a change of rules or spellings."""
    async with house.database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", PERSONS_LOCK)
        await connection.execute("DELETE FROM person_spelling")
        last = FIRST
        while rows := await connection.fetch(_PATIENTS, TYPE_NUMBERS["Patient"], last, WINDOW):
            last = await _index(connection, rows)
        await connection.execute("UPDATE person_cursor SET txid = '0', seq = 0")


def _nothing(count: int, last: int) -> None:
    pass


async def index_again(house: House, after: int = FIRST, progress: Callable[[int, int], None] = _nothing) -> int:
    """Make the terms and blocking keys of every Patient anew, judging nobody; how many. May be run again.

    Each window is written for good: whoever was stopped goes on `after` the key that `progress` told last.
    """
    count, last = 0, after
    while True:
        async with house.database.transaction() as connection:
            rows = await connection.fetch(_PATIENTS, TYPE_NUMBERS["Patient"], last, WINDOW)
            if not rows:
                return count
            last = await _index(connection, rows)
        count += len(rows)
        progress(count, last)


async def complete_index(house: House) -> bool:
    """Give Patients of a version before blocking keys what they are matched by. True, when all have them."""
    async with house.database.connection() as connection:
        lacking = await connection.fetchval(_LACKING, TYPE_NUMBERS["Patient"])
    if lacking:
        await index_again(house)
    return True


async def _index(connection: Connection, rows: Sequence[asyncpg.Record]) -> int:
    await index_patients(connection, [(row["key"], row["custodian"], orjson.loads(row["body"])) for row in rows])
    return int(rows[-1]["key"])


async def how_many(house: House) -> int:
    """Patients of this node."""
    return int(await house.database.pool.fetchval(_COUNT, TYPE_NUMBERS["Patient"]))


_COUNT: Final = "SELECT count(*) FROM resource WHERE type = $1 AND NOT deleted"


async def everybody(house: House) -> AsyncIterator[tuple[str, Traits]]:
    """The traits of every Patient by its id, for training and batches on this node: nothing of it is shown."""
    last = FIRST
    while True:
        async with house.database.connection() as connection:
            rows = await connection.fetch(_NAMED, TYPE_NUMBERS["Patient"], last, WINDOW)
        if not rows:
            return
        last = rows[-1]["key"]
        for row in rows:
            yield row["id"], Traits.of(orjson.loads(row["body"]))


_NAMED: Final = """
SELECT key, id, body FROM resource WHERE type = $1 AND key > $2 AND NOT deleted ORDER BY key LIMIT $3
"""


async def propose(house: House, progress: Callable[[int, int], None] = _nothing) -> int:
    """Put to a clerk each link of ours that the weights in force would not make: how many. Nothing is parted.

    What they would link anew is put to a clerk as well, where two records are not one person yet.
    """
    asked = seen = 0
    last = FIRST
    while True:
        async with house.database.transaction() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", PERSONS_LOCK)
            rows = await connection.fetch(_KEYS, TYPE_NUMBERS["Patient"], last, WINDOW)
            if not rows:
                return asked
            last = rows[-1]["key"]
            asked += await _propose(connection, {row["key"] for row in rows})
        seen += len(rows)
        progress(seen, last)


_KEYS: Final = "SELECT key FROM resource WHERE type = $1 AND key > $2 AND NOT deleted ORDER BY key LIMIT $3"


async def _propose(connection: Connection, patients: set[int]) -> int:
    decisions = await _decisions(connection, patients, await models.in_force(connection))
    edges = await connection.fetch(_EDGES, list(patients))
    ours = {(row["a"], row["b"]) for row in edges if row["actor"] == NODE.login and row["a"] in patients}
    graph = await load_graph(connection, {record for two in (*decisions, *ours) for record in two})
    found: dict[Pair, Decision] = {}
    for two in ours:
        one = decisions.get(two)
        if one is None or one.band is not Band.LINKED:
            found[two] = Decision(Band.REVIEW, NO_LONGER, one.fields if one else {})
    for two, one in decisions.items():
        new = two[1] not in graph.component(two[0]) and two not in graph.bars
        if one.band is Band.LINKED and two[0] in patients and new:
            found[two] = Decision(Band.REVIEW, NOW_LINKED, one.fields)
    await review.open_reviews(connection, found)
    return len(found)


@dataclass(frozen=True, slots=True)
class Plan:
    """What follows from the decisions: acts for the ledger, and the pairs that a clerk should see."""

    acts: list[Act]
    doubtful: dict[Pair, Decision]


async def _link(connection: Connection, house: House, patients: set[int], matcher: Matcher) -> None:
    decisions = await _decisions(connection, patients, matcher)
    edges = await connection.fetch(_EDGES, list(patients))
    automatic = {(row["a"], row["b"]) for row in edges if row["actor"] == NODE.login}
    gone = await _deleted(connection, patients)
    lost = {(row["a"], row["b"]) for row in edges if row["a"] in gone or row["b"] in gone}
    touched = {record for two in decisions for record in two} | {record for two in lost | automatic for record in two}
    graph = await load_graph(connection, touched)
    traits = await _traits(connection, sorted({other for record in touched for other in graph.component(record)}))
    traits = await without_dummies(connection, traits)

    def strangers(a: int, b: int) -> bool:
        return a in traits and b in traits and kept_apart(matcher(traits[a], traits[b]))

    plan = plan_links(graph, decisions, automatic, lost, strangers)
    await enter(connection, house, plan.acts)
    await review.bring_up_to_date(connection, patients, plan.doubtful)


def kept_apart(decision: Decision) -> bool:
    """Whether a rule says that these are two people; who merely has little in common may be one through a third."""
    return decision.band is Band.APART and not decision.rule.startswith(BY_WEIGHT)


def plan_links(
    graph: Graph,
    decisions: dict[Pair, Decision],
    automatic: Iterable[Pair],
    lost: set[Pair],
    strangers: Callable[[int, int], bool],
) -> Plan:
    """Change the graph as the decisions say; what a clerk joined or parted stands. Pure but for `graph`.

    The likeliest links come first. One that would bring together two records of whom the rules say that they are
    two people, as twins through a record that fits both, waits for a clerk.
    """
    acts, doubtful = [], {two: one for two, one in decisions.items() if one.band is Band.REVIEW}
    linked = {two: one for two, one in decisions.items() if one.band is Band.LINKED}
    loosened = _loosened(graph, decisions, set(automatic))
    for two in sorted(lost | (set(automatic) - set(linked)) | loosened):
        acts.append(_act(graph, Step(edges_removed=frozenset({two})), "part", "the records no longer support it"))
    for two, decision in sorted(linked.items(), key=lambda one: (-one[1].weight, one[0])):
        if two in graph.bars or two in graph.edges:
            continue
        if graph.bars_between(*two):
            doubtful[two] = Decision(Band.REVIEW, PARTED_BEFORE, decision.fields)
            continue
        if any(strangers(*others) for others in graph.between(*two)):
            doubtful[two] = Decision(Band.REVIEW, THROUGH_ANOTHER, decision.fields)
            continue
        acts.append(_act(graph, graph.joined(*two), "join", decision.rule))
    settled = {two for two in doubtful if two in graph.bars or two[1] in graph.component(two[0])}
    return Plan(acts, {two: one for two, one in doubtful.items() if two not in settled})


def _loosened(graph: Graph, decisions: dict[Pair, Decision], ours: set[Pair]) -> set[Pair]:
    """Our edges of persons that hold two whom the rules keep apart by now, as a number has come to one of them.

    The heaviest of these edges are made again. Where a clerk's edges hold the two together, all stay as they are.
    """
    found: set[Pair] = set()
    for a, b in (two for two, one in decisions.items() if kept_apart(one)):
        person = graph.component(a)
        if b in person:
            cut = {two for two in ours if two[0] in person}
            rest = Graph.of(two for two in graph.edges if two[0] in person and two not in cut)
            found |= cut if b not in rest.component(a) else set()
    return found


def _act(graph: Graph, step: Step, action: str, why: str) -> Act:
    graph.apply(step)
    return Act(step, NODE.login, action, why)


async def _decisions(connection: Connection, patients: set[int], matcher: Matcher) -> dict[Pair, Decision]:
    """What becomes of each pair that shares a trait, one of the pair being new or changed."""
    rows = await connection.fetch(_CANDIDATES, list(patients), MOST_SHARING)
    pairs = {pair(row["one"], row["other"]) for row in rows}
    traits = await without_dummies(connection, await _traits(connection, sorted({r for two in pairs for r in two})))
    return {(a, b): matcher(traits[a], traits[b]) for a, b in pairs if a in traits and b in traits}


_DUMMIES: Final = """
SELECT block FROM unnest($1::bigint[]) AS k(block)
 WHERE (SELECT count(*) FROM (SELECT 1 FROM person_block b WHERE b.block = k.block LIMIT $2 + 1) many) > $2
"""


async def without_dummies(connection: Connection, traits: dict[int, Traits]) -> dict[int, Traits]:
    """The same without identifiers that more records hold than one person has: such a number is nobody's."""
    blocks = {identifier_block(one): one for found in traits.values() for one in found.strong}
    rows = await connection.fetch(_DUMMIES, list(blocks), MOST_SHARING)
    dummies = frozenset(blocks[row["block"]] for row in rows)
    return {key: found.without(dummies) for key, found in traits.items()} if dummies else traits


async def _traits(connection: Connection, records: Sequence[int]) -> dict[int, Traits]:
    rows = await connection.fetch(
        "SELECT key, body FROM resource WHERE key = ANY($1::bigint[]) AND NOT deleted", list(records)
    )
    return {row["key"]: Traits.of(orjson.loads(row["body"])) for row in rows}


async def _deleted(connection: Connection, patients: set[int]) -> set[int]:
    rows = await connection.fetch("SELECT key FROM resource WHERE key = ANY($1::bigint[]) AND deleted", list(patients))
    return {row["key"] for row in rows}
