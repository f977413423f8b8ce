"""Bulk export through the gate, beside COPY of the same bodies through asyncpg: the limit.

    make bench, or: python benchmarks/bench_export.py [--people N] [--rounds R]

Reach: >= 30,000 resources/s, memory of the exporting process below 300 MB.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
from dataclasses import asdict, replace
from pathlib import Path

import asyncpg

import serving
from xinglin.access.house import House
from xinglin.access.identity import tokens
from xinglin.access.principal import Role
from xinglin.core.store.keys import TYPE_NAMES
from xinglin.exchange.bulk import exporting
from xinglin.exchange.bulk.asking import Asked
from xinglin.exchange.bulk.background import handlers
from xinglin.kernel import clock, jobs
from xinglin.kernel.config import Settings

LIMIT = "SELECT body FROM resource WHERE type = {type} AND NOT deleted ORDER BY person, date DESC, key"


async def copied(url: str, folder: Path, types: list[int]) -> tuple[float, int]:
    """Seconds and bytes of COPY of all bodies into files, in the export's order."""
    connection = await asyncpg.connect(url)
    started, size = time.monotonic(), 0
    for number in types:
        path = folder / f"{number}.copy"
        with path.open("wb") as file:
            await connection.copy_from_query(LIMIT.format(type=number), output=file, format="binary")
            file.flush()
            os.fsync(file.fileno())
        size += path.stat().st_size
        path.unlink()
    seconds = time.monotonic() - started
    await connection.close()
    return seconds, size


async def exported(house: House, names: list[str], institution: str | None) -> tuple[float, int]:
    """Seconds and resources of one export, from job to done."""
    _, entry = await tokens.issue(house.database, Role.SYSTEM, 1, institution=institution)
    asked = Asked("system", None, names, None, clock.micros(clock.now()), [], [], None, "bench")
    async with house.database.connection() as connection:
        job = await jobs.submit(connection, exporting.KIND, f"token:{entry.id}", asdict(asked))
    started = time.monotonic()
    await jobs.work(house.database, handlers(house))
    seconds = time.monotonic() - started
    async with house.database.connection() as connection:
        done = await jobs.find(connection, job.id)
    assert done is not None and done.state == jobs.DONE, done
    return seconds, done.progress["count"]


async def measure(settings: Settings, rounds: int) -> None:
    house = await House.open(settings)
    async with house.database.connection() as connection:
        rows = await connection.fetch("SELECT type, count(*) FROM resource WHERE NOT deleted GROUP BY 1 ORDER BY 1")
        holders = "SELECT r.id FROM resource r JOIN (SELECT custodian, count(*) FROM resource GROUP BY 1) c"
        holder = await connection.fetchval(f"{holders} ON r.key = c.custodian ORDER BY c.count DESC LIMIT 1")
    total = sum(row[1] for row in rows)
    best: dict[str, float] = {}
    for _ in range(rounds):
        seconds, size = await copied(settings.database_url, settings.home, [row[0] for row in rows])
        best["copy"] = max(best.get("copy", 0), total / seconds)
        names = [TYPE_NAMES[row[0]] for row in rows]
        for word, institution in (("all", None), ("one institution's", holder)):
            seconds, count = await exported(house, names, institution)
            best[word] = max(best.get(word, 0), count / seconds)
    await house.close()
    print(f"{total:,} resources, {size / 1e6:,.0f} MB")
    print(f"COPY of the bodies (limit)   {best['copy']:>10,.0f} resources/s")
    print(f"export, all                  {best['all']:>10,.0f} resources/s   {best['all'] / best['copy']:.0%}")
    one = best["one institution's"]
    print(f"export, one institution's    {one:>10,.0f} resources/s   {one / best['copy']:.0%}")
    print(f"memory of the process        {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10,.0f} MB")


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--people", type=int, default=300)
    words.add_argument("--rounds", type=int, default=3)
    asked = words.parse_args()
    with serving.county(asked.people) as settings, tempfile.TemporaryDirectory() as home:
        asyncio.run(measure(replace(settings, home=Path(home)), asked.rounds))


if __name__ == "__main__":
    main()
