"""Reads through the gate, beside the bare limits measured in the same run.

    make bench, or: python benchmarks/bench_reads.py [--people N] [--seconds S] [--clients C]

read     GET /fhir/Observation/<id>, audited           limit: the same SELECT, asyncpg + granian      reach: >= 60 %
newest   GET /fhir/Observation?patient=&code=&_count=20 limit: the same SELECT, asyncpg + granian     reach: >= 50 %
"""

from __future__ import annotations

import argparse
import asyncio
import random
from typing import Any

import asyncpg
import driver

import serving
from xinglin.core.search.hashes import token_hash
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.store.keys import TYPE_NUMBERS

CODE = "85354-9"


async def sample(url: str, count: int) -> tuple[list[Any], list[Any]]:
    """Keys and ids of observations; persons with their Patient ids."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT key, id, person FROM resource WHERE type = $1 AND NOT deleted AND person <> 0 LIMIT 200000",
        TYPE_NUMBERS["Observation"],
    )
    patients = await connection.fetch(
        "SELECT key, id FROM resource WHERE type = $1 AND NOT deleted LIMIT 20000", TYPE_NUMBERS["Patient"]
    )
    await connection.close()
    dice = random.Random(7)
    return dice.sample(rows, min(count, len(rows))), dice.sample(patients, min(count, len(patients)))


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--people", type=int, default=300)
    words.add_argument("--seconds", type=float, default=5)
    words.add_argument("--clients", type=int, default=32)
    words.add_argument("--workers", type=int, default=2)
    asked = words.parse_args()
    with serving.county(asked.people) as settings:
        observations, patients = asyncio.run(sample(settings.database_url, 2000))
        path = REGISTRY.of_type("Observation")["code"].paths[0]
        hashed = token_hash(path.hash, CODE)
        run = {"clients": asked.clients, "seconds": asked.seconds}
        port = serving.free_port()
        with serving.server(serving.bare(port, asked.workers), settings, port):
            hello = driver.run(port, [driver.request("GET", "/hello")], **run)
            bare_read = driver.run(port, [driver.request("GET", f"/r/{row['key']}") for row in observations], **run)
            newest = [driver.request("GET", f"/o/{hashed}/{row['key']}") for row in patients]
            bare_newest = driver.run(port, newest, **run)
        bearer = serving.token(settings)
        port = serving.free_port()
        with serving.server(serving.ours(port, asked.workers), settings, port):
            reads = [driver.request("GET", f"/fhir/Observation/{row['id']}", bearer) for row in observations]
            driver.run(port, reads, clients=asked.clients, seconds=2)
            read = driver.run(port, reads, **run)
            search = "/fhir/Observation?patient={}&code=http://loinc.org|{}&_sort=-date&_count=20"
            asks = [driver.request("GET", search.format(row["id"], CODE), bearer) for row in patients]
            driver.run(port, asks, clients=asked.clients, seconds=2)
            found = driver.run(port, asks, **run)
    print(f"demo county of {asked.people} people, {asked.clients} clients, {asked.workers} workers")
    print(hello.line("granian alone, hello"))
    print(bare_read.line("limit: SELECT by key, asyncpg + granian"))
    print(read.line("read by id, through the gate, audited"), f" ratio {read.rate / bare_read.rate:.0%} (reach 60%)")
    print(bare_newest.line("limit: one person's newest 20 by code"))
    print(found.line("the same search, through the gate, audited"), f" ratio {found.rate / bare_newest.rate:.0%} (50%)")


if __name__ == "__main__":
    main()
