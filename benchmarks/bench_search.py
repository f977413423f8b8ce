"""The searches that a record must answer fast, over HTTP, through the gate, audited.

    python benchmarks/bench_search.py [--people N] [--seconds S] [--clients C]

Limits: p50 <= 10 ms and p99 <= 50 ms for a first page at a million resources; 50 ms for a code across the
population with an accurate total. One client measures the answer's time, 32 the rate.
"""

from __future__ import annotations

import argparse
import asyncio
import random
from typing import Any
from urllib.parse import quote

import asyncpg
import driver
import orjson

import serving
from xinglin.core.store.keys import TYPE_NUMBERS

LOINC = "http://loinc.org|"


async def people(url: str, count: int) -> tuple[list[dict[str, Any]], int]:
    """Some Patient resources, and how many resources there are."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT body FROM resource TABLESAMPLE BERNOULLI (20) WHERE type = $1 AND NOT deleted LIMIT 20000",
        TYPE_NUMBERS["Patient"],
    )
    total = await connection.fetchval("SELECT count(*) FROM resource")
    await connection.close()
    return [orjson.loads(row[0]) for row in random.Random(7).sample(rows, min(count, len(rows)))], total


def queries(patients: list[dict[str, Any]]) -> dict[str, tuple[list[str], float]]:
    """Name -> addresses below /fhir, and the limit of p50 in milliseconds."""
    family = [patient["name"][0]["family"] for patient in patients]
    given = [patient["name"][-1]["given"][0][:3] for patient in patients]
    number = [patient["identifier"][0]["value"] for patient in patients]
    ids = [patient["id"] for patient in patients]
    return {
        "name prefix": ([f"/Patient?name={quoted(name)}&_count=20" for name in family], 10),
        "family and given": ([f"/Patient?name={quoted(a)}&given={b}" for a, b in zip(family, given, strict=True)], 10),
        "identifier": ([f"/Patient?identifier={value}" for value in number], 10),
        "token + date": ([f"/Observation?code={LOINC}85354-9&date=2025-{1 + n % 12:02}" for n in range(60)], 10),
        "chain": ([f"/Observation?patient.identifier={value}&code={LOINC}85354-9" for value in number], 10),
        "_has": ([f"/Patient?identifier={v}&_has:Observation:patient:code={LOINC}4548-4" for v in number], 10),
        "_include": ([f"/MedicationRequest?patient={id}&_include=MedicationRequest:patient" for id in ids], 10),
        "newest 20 of a person": ([f"/Observation?patient={id}&code={LOINC}85354-9&_sort=-date" for id in ids], 10),
        "code, accurate total": ([f"/Observation?code={LOINC}{c}&_total=accurate" for c in ("85354-9", "8867-4")], 50),
    }


def quoted(text: str) -> str:
    return quote(text)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--people", type=int, default=300)
    words.add_argument("--seconds", type=float, default=2)
    words.add_argument("--clients", type=int, default=32)
    asked = words.parse_args()
    with serving.county(asked.people) as settings:
        patients, total = asyncio.run(people(settings.database_url, 300))
        bearer, port = serving.token(settings), serving.free_port()
        print(f"demo county of {asked.people:,} people, {total:,} resources, 2 workers")
        with serving.server(serving.ours(port, 2), settings, port):
            for name, (addresses, limit) in queries(patients).items():
                asks = [driver.request("GET", "/fhir" + address, bearer) for address in addresses]
                driver.run(port, asks, clients=4, seconds=1)
                alone = driver.run(port, asks, clients=1, seconds=asked.seconds)
                many = driver.run(port, asks, clients=asked.clients, seconds=asked.seconds)
                ratio = f"p50 {alone.p50 / limit:5.0%} of the limit of {limit} ms"
                print(alone.line(f"{name}, 1 client"), "", ratio)
                print(many.line(f"{'':{len(name)}}  {asked.clients} clients"))


if __name__ == "__main__":
    main()
