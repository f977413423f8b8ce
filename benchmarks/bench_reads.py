"""Reads through the gate, beside the bare limits measured in the same run.

    make bench, or: python benchmarks/bench_reads.py [--people N] [--seconds S] [--clients C]

read     GET /fhir/Observation/<id>, audited           limit: the same SELECT, asyncpg + granian      reach: >= 60 %
newest   GET /fhir/Observation?patient=&code=&_count=20 limit: the same SELECT, asyncpg + granian     reach: >= 50 %
"""

from __future__ import annotations

import argparse
import asyncio
import random
from statistics import median
from typing import Any

import asyncpg
import driver

import serving
from xinglin.core.search.hashes import token_hash
from xinglin.core.search.parameters import REGISTRY
from xinglin.core.store.keys import TYPE_NUMBERS

CODE = "85354-9"
WARM = 3.0  # seconds before the first turn: a node that has just started still catches up with its log


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


def in_turn(name: str, limit: tuple[int, list[bytes]], ours: tuple[int, list[bytes]], reach: float, asked: Any) -> None:
    """Both, a short run of each in turn, so that a noisy machine is noisy to both; medians."""
    runs: list[tuple[driver.Report, driver.Report]] = []
    for port, asks in (limit, ours):
        driver.run(port, asks, clients=asked.clients, seconds=WARM)
    for _ in range(asked.turns):
        one, other = (
            driver.run(port, asks, clients=asked.clients, seconds=asked.seconds) for port, asks in (limit, ours)
        )
        runs.append((one, other))
    ratio = median(other.rate / one.rate for one, other in runs)
    for label, place in (("limit: the same SELECT, asyncpg + granian", 0), ("through the gate, audited", 1)):
        of = [run[place] for run in runs]
        rate, p50, p99 = (median(getattr(one, figure) for one in of) for figure in ("rate", "p50", "p99"))
        wrong = sum(one.wrong for one in of)
        print(
            f"{name}, {label:42} {rate:7,.0f}/s  p50 {p50:6.2f} ms  p99 {p99:6.2f} ms"
            + (f"  {wrong} wrong" if wrong else "")
        )
    print(f"{name}, ratio {ratio:.0%} (reach {reach:.0%})")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--people", type=int, default=300)
    words.add_argument("--seconds", type=float, default=1.5)
    words.add_argument("--turns", type=int, default=5)
    words.add_argument("--clients", type=int, default=32)
    words.add_argument("--workers", type=int, default=2)
    asked = words.parse_args()
    with serving.county(asked.people) as settings:
        observations, patients = asyncio.run(sample(settings.database_url, 2000))
        hashed = token_hash(REGISTRY.of_type("Observation")["code"].paths[0].hash, CODE)
        bearer, bare, ours = serving.token(settings), serving.free_port(), serving.free_port()
        search = "/fhir/Observation?patient={}&code=http://loinc.org|{}&_sort=-date&_count=20"
        with (
            serving.server(serving.bare(bare, asked.workers), settings, bare),
            serving.server(serving.ours(ours, asked.workers), settings, ours),
        ):
            print(f"demo county of {asked.people} people, {asked.clients} clients, {asked.workers} workers")
            hello = driver.run(bare, [driver.request("GET", "/hello")], clients=asked.clients, seconds=asked.seconds)
            print(hello.line("granian alone, hello"))
            in_turn(
                "read by id",
                (bare, [driver.request("GET", f"/r/{row['key']}") for row in observations]),
                (ours, [driver.request("GET", f"/fhir/Observation/{row['id']}", bearer) for row in observations]),
                0.6,
                asked,
            )
            in_turn(
                "newest 20",
                (bare, [driver.request("GET", f"/o/{hashed}/{row['key']}") for row in patients]),
                (ours, [driver.request("GET", search.format(row["id"], CODE), bearer) for row in patients]),
                0.5,
                asked,
            )


if __name__ == "__main__":
    main()
