"""The ledger of persons: steps of the graph in the database, and what follows from them in the same transaction.

Whoever changes links holds PERSONS_LOCK: one at a time, on all workers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from xinglin.access.consent import relink
from xinglin.access.identity.proof import end_parted
from xinglin.access.identity.tokens import forget_remembered
from xinglin.access.persons.graph import Graph, Pair, Step
from xinglin.access.principal import NODE
from xinglin.core.rest.gate import Write
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import NotFound

if TYPE_CHECKING:
    from xinglin.access.house import House

PERSONS_LOCK: Final = 7061_1020
BY_RULE, BY_CLERK = "level3", "level4"  # FHIR identity assurance: high, very high


@dataclass(frozen=True, slots=True)
class Act:
    """One line to be written: what is done to the graph, by whom, and why. `undoes`: the entry taken back."""

    step: Step
    actor: str
    action: str  # join, part, undo
    why: str
    undoes: int | None = None


async def load_graph(connection: Connection, records: Iterable[int]) -> Graph:
    """The part of the graph that these records' persons lie in, and the bars of its records."""
    members = await connection.fetch(
        "SELECT k AS patient FROM unnest($1::bigint[]) k UNION"
        " SELECT o.patient FROM person_link m JOIN person_link o USING (person) WHERE m.patient = ANY($1::bigint[])",
        list(set(records)),
    )
    keys = [row["patient"] for row in members]
    edges, bars = [await _pairs(connection, table, keys) for table in ("person_edge", "person_bar")]
    return Graph.of(edges, bars)


async def _pairs(connection: Connection, table: str, keys: list[int]) -> list[Pair]:
    rows = await connection.fetch(
        f"SELECT a, b FROM {table} WHERE a = ANY($1::bigint[])"  # noqa: S608
        f" UNION SELECT a, b FROM {table} WHERE b = ANY($1::bigint[])",
        keys,
    )
    return [(row["a"], row["b"]) for row in rows]


async def enter(connection: Connection, house: House, acts: Sequence[Act]) -> list[int]:
    """Write the acts to the ledger and make them true: edges, bars, links, Person resources, grants.

    The entries' numbers, in order.
    """
    if not acts:
        return []
    numbers = await _append(connection, acts)
    for number, act in zip(numbers, acts, strict=True):
        await _perform(connection, number, act)
    touched = frozenset(record for act in acts for record in act.step.records())
    persons, moved = await _relabel(connection, touched)
    await _publish(connection, house, persons)
    if moved:
        await relink(connection, sorted(moved))
        await end_parted(connection, sorted(moved))
        await forget_remembered(connection)
    return numbers


async def _append(connection: Connection, acts: Sequence[Act]) -> list[int]:
    rows = await connection.fetch(
        "SELECT nextval(pg_get_serial_sequence('person_ledger', 'entry')) AS entry FROM generate_series(1, $1)",
        len(acts),
    )
    numbers = sorted(row["entry"] for row in rows)
    were = await _made_by(connection, frozenset(two for act in acts for two in act.step.edges_removed))
    await connection.executemany(
        "INSERT INTO person_ledger (entry, at, actor, action, why, undoes, edges_added, edges_removed, bars_added,"
        " bars_removed, edges_were) OVERRIDING SYSTEM VALUE VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        [
            (
                *(number, clock.now(), act.actor, act.action, act.why, act.undoes, *map(_flat, _columns(act.step))),
                [were[two] for two in sorted(act.step.edges_removed)],
            )
            for number, act in zip(numbers, acts, strict=True)
        ],
    )
    return numbers


async def _made_by(connection: Connection, edges: frozenset[Pair]) -> dict[Pair, int]:
    """The join that made each of these edges."""
    rows = await connection.fetch(
        "SELECT a, b, ledger FROM person_edge JOIN unnest($1::bigint[], $2::bigint[]) AS n(a, b) USING (a, b)",
        *([two[side] for two in edges] for side in (0, 1)),
    )
    return {(row["a"], row["b"]): row["ledger"] for row in rows}


def _columns(step: Step) -> tuple[frozenset[Pair], ...]:
    return step.edges_added, step.edges_removed, step.bars_added, step.bars_removed


def _flat(pairs: frozenset[Pair]) -> list[int]:
    return [record for two in sorted(pairs) for record in two]


def _unflat(records: Sequence[int]) -> frozenset[Pair]:
    return frozenset(zip(records[::2], records[1::2], strict=True))


async def _perform(connection: Connection, number: int, act: Act) -> None:
    """An edge that is put back keeps the join that made it, and with it who vouches for it."""
    step, was = act.step, await _before(connection, act.undoes)
    await connection.executemany("DELETE FROM person_edge WHERE a = $1 AND b = $2", sorted(step.edges_removed))
    await connection.executemany("DELETE FROM person_bar WHERE a = $1 AND b = $2", sorted(step.bars_removed))
    await connection.executemany(
        "INSERT INTO person_edge VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        [(*two, was.get(two, number)) for two in sorted(step.edges_added)],
    )
    await connection.executemany(
        "INSERT INTO person_bar VALUES ($1, $2) ON CONFLICT DO NOTHING", sorted(step.bars_added)
    )


async def _before(connection: Connection, entry: int | None) -> dict[Pair, int]:
    """The joins that had made the edges which an entry removed."""
    if entry is None:
        return {}
    row = await connection.fetchrow("SELECT edges_removed, edges_were FROM person_ledger WHERE entry = $1", entry)
    return dict(zip(sorted(_unflat(row["edges_removed"])), row["edges_were"], strict=True))


async def _relabel(connection: Connection, touched: frozenset[int]) -> tuple[set[str], set[int]]:
    """Give each component around the touched records its Person; the Persons to write and the records that moved."""
    graph = await load_graph(connection, touched)
    records = touched | {record for two in graph.edges for record in two}
    before = {
        row["patient"]: row["person"]
        for row in await connection.fetch(
            "SELECT patient, person FROM person_link WHERE patient = ANY($1::bigint[])", list(records)
        )
    }
    after = {record: person_of(graph.component(record)) for record in records}
    moved = {record for record in records if before.get(record) != after[record]}
    await connection.execute("DELETE FROM person_link WHERE patient = ANY($1::bigint[])", list(moved))
    rows = [(record, after[record]) for record in sorted(moved) if after[record]]
    await connection.execute(
        "INSERT INTO person_link (patient, patient_id, person) SELECT n.patient, r.id, n.person"
        " FROM unnest($1::bigint[], $2::text[]) AS n(patient, person) JOIN resource r ON r.key = n.patient",
        [row[0] for row in rows],
        [row[1] for row in rows],
    )
    persons = {name for record in touched for name in (before.get(record), after[record]) if name}
    persons |= {name for record in moved for name in (before.get(record), after[record]) if name}
    return persons, moved


def person_of(component: frozenset[int]) -> str | None:
    """The id of the Person of some records: a function of the set, so that parting gives back what joining took.

    A record that stands alone needs no Person.
    """
    return f"person-{min(component) & (2**64 - 1):016x}" if len(component) > 1 else None


async def _publish(connection: Connection, house: House, persons: set[str]) -> None:
    """Write the Person resources as the links now are."""
    from xinglin.access.records import Records  # the gate indexes people, so it imports this package

    if not persons:
        return
    links: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in await connection.fetch(_LINKS, sorted(persons)):
        reference = {"reference": f"Patient/{row['patient_id']}"}
        links[row["person"]].append({"target": reference, "assurance": BY_RULE if row["by_rule"] else BY_CLERK})
    existing = {
        row["id"]
        for row in await connection.fetch(
            "SELECT id FROM resource WHERE key = ANY($1::bigint[]) AND NOT deleted",
            [key_of("Person", id) for id in persons],
        )
    }
    writes = [_person_write(id, links.get(id, []), id in existing) for id in sorted(persons)]
    wanted = [write for write in writes if write is not None]
    if wanted:
        await Records(house, NODE, why="link ledger").write_within(connection, wanted)


_LINKS: Final = """
SELECT l.person, l.patient_id,
       coalesce((SELECT bool_and(g.actor = 'xinglin') FROM person_edge e JOIN person_ledger g ON g.entry = e.ledger
                  WHERE e.a = l.patient OR e.b = l.patient), true) AS by_rule
  FROM person_link l WHERE l.person = ANY($1::text[]) ORDER BY l.person, l.patient_id
"""


def _person_write(id: str, links: list[dict[str, Any]], exists: bool) -> Write | None:
    if not links:
        return Write("DELETE", "Person", id) if exists else None
    return Write("PUT", "Person", id, {"resourceType": "Person", "id": id, "active": True, "link": links})


async def step_of(connection: Connection, entry: int) -> Step:
    """What an entry did."""
    row = await connection.fetchrow(
        "SELECT edges_added, edges_removed, bars_added, bars_removed FROM person_ledger WHERE entry = $1", entry
    )
    if row is None:
        raise NotFound(f"The ledger has no entry {entry}.", remedy="Open the list again.")
    return Step(*(_unflat(column) for column in row))
