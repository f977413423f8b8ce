"""`Patient/$everything`: how many bytes of bundle a second, page after page, through the gate, audited.

    python benchmarks/bench_everything.py [--people N] [--seconds S]

With the public Synthea records in ../shared (or XINGLIN_SHARED) the record is that of the median Synthea patient, else
that of the demo person with the most. Limit in the same run: the same bodies fetched by asyncpg and joined, nothing
served. Reach: >= 100 MB/s of bundle.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import asyncpg
import driver

import serving
from xinglin.cli.migrate import bring_up_to_date
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.kernel.config import Settings, load
from xinglin.kernel.database import serving as database

REACH = 100.0
SYNTHEA = Path(os.environ.get("XINGLIN_SHARED", Path(__file__).parents[2] / "shared")) / "data" / "synthea"


def load_synthea(settings: Settings) -> None:
    asyncio.run(bring_up_to_date(settings.database_url))
    subprocess.run(
        [*serving.XINGLIN, "load", str(SYNTHEA)],
        env=serving.environment(settings, 1),
        stdout=subprocess.DEVNULL,
        check=True,
    )


async def median_person(url: str) -> tuple[str, int]:
    """The Patient whose record has the median size, and how many bytes its resources are."""
    connection = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT p.id, sum(length(r.body)) AS size FROM resource r JOIN resource p ON p.key = r.person"
        " WHERE p.type = $1 AND NOT r.deleted GROUP BY 1 ORDER BY 2",
        TYPE_NUMBERS["Patient"],
    )
    await connection.close()
    return rows[len(rows) // 2]["id"], rows[len(rows) // 2]["size"]


async def limit(url: str, patient: str, rounds: int) -> float:
    """MB/s of reading the same bodies by person and joining them."""
    connection = await asyncpg.connect(url)
    seconds, size = [], 0
    for _ in range(rounds):
        began = time.perf_counter()
        rows = await connection.fetch(
            "SELECT body FROM resource WHERE person = $1 AND NOT deleted", key_of("Patient", patient)
        )
        size = len(b",".join(row[0] for row in rows))
        seconds.append(time.perf_counter() - began)
    await connection.close()
    return size / statistics.median(seconds) / 1e6


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--seconds", type=float, default=5)
    asked = words.parse_args()
    with tempfile.TemporaryDirectory() as home:
        settings = replace(load({}), home=Path(home))
        with database(settings) as url:
            measure(replace(settings, database_url=url), asked.seconds)


def measure(settings: Settings, seconds: float) -> None:
    load_synthea(settings) if SYNTHEA.is_dir() else serving.load_county(settings, 300)
    patient, size = asyncio.run(median_person(settings.database_url))
    bare = asyncio.run(limit(settings.database_url, patient, 50))
    bearer, port = serving.token(settings), serving.free_port()
    ask = [driver.request("GET", f"/fhir/Patient/{patient}/$everything", bearer)]
    with serving.server(serving.ours(port, 2), settings, port):
        driver.run(port, ask, clients=2, seconds=1)
        alone = driver.run(port, ask, clients=1, seconds=seconds)
        many = driver.run(port, ask, clients=4, seconds=seconds)
    print(f"record of {size / 1e6:.2f} MB; limit: the same bodies fetched and joined {bare:,.0f} MB/s")
    for clients, report in ((1, alone), (4, many)):
        rate = report.received / report.seconds / 1e6
        print(report.line(f"$everything, {clients} clients"), f" {rate:,.0f} MB/s  {rate / REACH:.0%} of {REACH:.0f}")


if __name__ == "__main__":
    main()
