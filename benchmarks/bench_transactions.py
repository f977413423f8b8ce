"""Small transactions: an Encounter and an Observation that refers to it, all or nothing, audited, durable.

    python benchmarks/bench_transactions.py [--people N] [--seconds S] [--clients C]

Limit in the same run: the same two bodies inserted into two plain tables, one committed transaction each, by asyncpg
alone in one process. Reach: >= 800/s at 32 clients. Blaze, with 8 clients on 24 threads: 848/s (published).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from itertools import count

import asyncpg
import driver
import orjson
from bench_reads import sample
from bench_workloads import resource

import serving

REACH = 800


def bundle(patient: str) -> bytes:
    visit = resource("Encounter", {"Patient": f"Patient/{patient}"})
    for element in ("participant", "location", "serviceProvider"):
        del visit[element]
    seen = resource("Observation", {"Patient": f"Patient/{patient}", "Encounter": "urn:uuid:" + VISIT})
    entries = [
        {"fullUrl": f"urn:uuid:{url}", "resource": body, "request": {"method": "POST", "url": body["resourceType"]}}
        for url, body in ((VISIT, visit), (SEEN, seen))
    ]
    return orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})


VISIT = "0b8f2f1e-6a0e-4c4e-9a6e-5a9f5b0f3c11"
SEEN = "5d1a4d52-02f3-4d8b-8b0a-3e1c7c7e7f22"


async def limit(url: str, body: bytes, clients: int, seconds: float) -> float:
    """Transactions/s of two inserts of half the body each."""
    pool = await asyncpg.create_pool(url, min_size=clients, max_size=clients)
    await pool.execute("DROP TABLE IF EXISTS bench_a; DROP TABLE IF EXISTS bench_b")
    await pool.execute("CREATE TABLE bench_a (key bigint PRIMARY KEY, body bytea)")
    await pool.execute("CREATE TABLE bench_b (key bigint PRIMARY KEY, body bytea)")
    keys, half, end = count(), body[: len(body) // 2], time.perf_counter() + seconds
    done = 0

    async def client() -> None:
        nonlocal done
        while time.perf_counter() < end:
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("INSERT INTO bench_a VALUES ($1, $2)", next(keys), half)
                await connection.execute("INSERT INTO bench_b VALUES ($1, $2)", next(keys), half)
            done += 1

    await asyncio.gather(*(client() for _ in range(clients)))
    await pool.execute("DROP TABLE bench_a; DROP TABLE bench_b")
    await pool.close()
    return done / seconds


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--people", type=int, default=300)
    words.add_argument("--seconds", type=float, default=8)
    words.add_argument("--clients", type=int, default=32)
    asked = words.parse_args()
    with serving.county(asked.people) as settings:
        _, patients = asyncio.run(sample(settings.database_url, 300))
        bare = asyncio.run(limit(settings.database_url, bundle("x" * 36), asked.clients, asked.seconds / 2))
        bearer, port = serving.token(settings), serving.free_port()
        asks = [driver.request("POST", "/fhir", bearer, bundle(row["id"])) for row in patients]
        random.Random(3).shuffle(asks)
        with serving.server(serving.ours(port, 2), settings, port):
            driver.run(port, asks, clients=asked.clients, seconds=2)
            report = driver.run(port, asks, clients=asked.clients, seconds=asked.seconds)
    print(f"limit: two plain inserts, asyncpg alone, {asked.clients} connections {bare:9,.0f}/s")
    print(report.line(f"transactions of 2, {asked.clients} clients"), f" {report.rate / REACH:.0%} of {REACH}/s")
    print(f"ratio to the limit {report.rate / bare:.0%}")


if __name__ == "__main__":
    main()
