"""Patient/$match among many people: how long until the answer, in the gate, without HTTP.

    python benchmarks/bench_match_online.py 200000

Patients, their keys and nothing else are copied into a fresh embedded database; then people are asked for as desks
ask: by number, by name and birth date, by name and telephone, miswritten.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from chinese_people import desks

from xinglin.access.house import House
from xinglin.access.persons.blocking import blocks_of
from xinglin.access.persons.traits import Traits
from xinglin.access.principal import NODE
from xinglin.access.records import Records
from xinglin.core.store.keys import NO_DATE, TYPE_NUMBERS, key_of
from xinglin.kernel.config import load
from xinglin.kernel.database import Database, migrate, serving
from xinglin.modules import MIGRATIONS

OF_ONE_COUNTY = 50_000
QUESTIONS = 1000


async def fill(house: House, people: int) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = []
    for seed in range(1, people // OF_ONE_COUNTY + 1):
        rows, blocks = [], []
        for id, patient, _, second in desks(OF_ONE_COUNTY, seed=seed):
            patient["id"] = id = f"s{seed}-{id}"
            key = key_of("Patient", id)
            rows.append((key, TYPE_NUMBERS["Patient"], 1, False, key, 0, 0, NO_DATE, NO_DATE, 0, 0, id,
                         orjson.dumps(patient)))  # fmt: skip
            blocks += [(block, key) for block in blocks_of(Traits.of(patient))]
            if second and len(asked) < QUESTIONS * seed * OF_ONE_COUNTY / people:
                asked.append(second)
        async with house.database.connection() as connection:
            await connection.execute("SET statement_timeout = 0")  # a busy disk may take longer than a desk would wait
            await connection.copy_records_to_table("resource", records=rows)
            await connection.copy_records_to_table("person_block", records=blocks)
        print(f"{seed * OF_ONE_COUNTY:,} people", flush=True)
    async with house.database.connection() as connection:
        await connection.execute("SET statement_timeout = 0")
        await connection.execute("VACUUM ANALYZE resource, person_block")
    return asked


async def measure(url: str, settings: Any, people: int) -> None:
    database = await Database.open(url, size=1)
    async with database.connection() as connection:
        await migrate(connection, MIGRATIONS)
    await database.close()
    house = await House.open(settings, url, pool_size=4)
    try:
        asked = await fill(house, people)
        records = Records(house, NODE)
        for patient in asked[:50]:
            await records.match(patient, 10)
        times, found = [], 0
        for patient in asked:
            began = time.perf_counter()
            answer = await records.match(patient, 10)
            times.append((time.perf_counter() - began) * 1000)
            found += bool(answer) and answer[0].stored.id.endswith("-" + patient["id"])
        cuts = statistics.quantiles(times, n=100)
        print(f"{people:,} people, {len(asked)} questions: p50 {cuts[49]:.1f} ms, p95 {cuts[94]:.1f} ms,"
              f" p99 {cuts[98]:.1f} ms; the right one first in {found / len(asked):.1%}")  # fmt: skip
    finally:
        await house.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        settings = replace(load(), home=Path(folder), database_url="")
        with serving(settings) as url:
            asyncio.run(measure(url, settings, int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))


if __name__ == "__main__":
    main()
