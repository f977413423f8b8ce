"""What consent costs: the same statements without rules, and as a clinician whose rules stand on every row.

    python benchmarks/bench_consent.py [--rows 1000000] [--people 20000] [--rounds 300]

Rows of one type at two institutions; one person in ten has opened the other institution's record, one in a hundred
denies a clinician by name, one in five refuses secondary use. Reach: one person p99 <= 1.3x, broad count <= 2x.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from xinglin.access.policy import visibility
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.cli.migrate import bring_up_to_date
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.visibility import UNRESTRICTED, Arguments, Visibility
from xinglin.kernel import clock
from xinglin.kernel.config import load
from xinglin.kernel.database import Database, serving

A, B, DOCTOR = key_of("Organization", "A"), key_of("Organization", "B"), key_of("Practitioner", "p")
OBSERVATION = TYPE_NUMBERS["Observation"]
CLINICIAN = Principal("x", "x", Role.CLINICIAN, Purpose.TREATMENT, "A", "p")
ONE = (
    "SELECT r.key FROM resource r WHERE r.type = $1 AND r.person = $2 AND NOT r.deleted AND {rule}"
    " ORDER BY r.date DESC, r.key LIMIT 20"
)
BROAD = "SELECT count(*) FROM resource r WHERE r.type = $1 AND NOT r.deleted AND {rule}"
FILL = """
INSERT INTO resource
    (key, type, version, deleted, person, custodian, category, date, date_end, updated, present, id, body)
SELECT n, $1, 1, false, 1 + n % $2, CASE WHEN n % $2 % 2 = 0 THEN $4::bigint ELSE $5::bigint END,
       8, n, n + 1, n, 0, n::text, '{}'
FROM generate_series(1, $3::bigint) n
"""
GRANT = """
INSERT INTO access_grant (person, grantee, custodian, category, purposes, starts, ends, source, permit, rank, home)
SELECT n, $2, $3, 2147483647, $4::text[], -4611686018427387904, 4611686018427387904, n, $5, $6, $7
FROM generate_series(1, $1::bigint) n WHERE n % $8 = $9
"""


async def fill(connection: Any, rows: int, people: int) -> None:
    await connection.execute(FILL, OBSERVATION, people, rows, A, B)
    await connection.execute(GRANT, people, A, B, ["TREAT"], True, 1 << 17, False, 10, 1)
    await connection.execute(GRANT, people, DOCTOR, A, ["TREAT"], False, 3 << 17, True, 100, 2)
    await connection.execute(GRANT, people, 0, 0, ["HRESCH", "PUBHLTH"], False, 1 << 10, True, 5, 0)
    await connection.execute("VACUUM ANALYZE resource, access_grant")


async def timed(connection: Any, sql: str, visible: Visibility, first: list[list[Any]]) -> list[float]:
    spent = []
    for values in first:
        arguments = Arguments(*values)
        text = sql.format(rule=visible.predicate("r", arguments.bind))
        begin = time.perf_counter()
        await connection.fetch(text, *arguments.values)
        spent.append((time.perf_counter() - begin) * 1000)
    return sorted(spent)


async def measure(url: str, rows: int, people: int, rounds: int) -> None:
    await bring_up_to_date(url)
    database = await Database.open(url, size=1, statement_seconds=600)
    async with database.connection() as connection:
        await fill(connection, rows, people)
        now, chance = clock.micros(clock.now()), random.Random(7)
        rules = {
            "unrestricted": UNRESTRICTED,
            "treatment": visibility(CLINICIAN, now),
            "research": visibility(replace(CLINICIAN, purpose=Purpose.RESEARCH), now),
        }
        persons = [[OBSERVATION, chance.randint(1, people)] for _ in range(rounds)]
        for _ in range(2):  # the first warms what is read
            one = {name: await timed(connection, ONE, visible, persons) for name, visible in rules.items()}
            every = [[OBSERVATION]] * 7
            broad = {name: await timed(connection, BROAD, visible, every) for name, visible in rules.items()}
        for name in rules:
            base, p99 = one["unrestricted"][int(rounds * 0.99)], one[name][int(rounds * 0.99)]
            count, whole = statistics.median(broad[name]), statistics.median(broad["unrestricted"])
            print(
                f"{name:13} one person p50 {one[name][rounds // 2]:.2f} ms, p99 {p99:.2f} ms ({p99 / base:.2f}x);"
                f" count of all {count:.0f} ms ({count / whole:.2f}x)"
            )
    await database.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=300)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serving(replace(load({}), home=Path(folder))) as url:
        asyncio.run(measure(url, asked.rows, asked.people, asked.rounds))


if __name__ == "__main__":
    main()
