"""The access log: what a line costs a read, how fast the tree grows, what a proof costs among ten million leaves.

    make bench, or: python benchmarks/bench_audit.py [--people N] [--seconds S] [--leaves N]

read     audited against the same server with its log switched off, in turns; also processor time    reach: >= 60 %
leaves   hashing lines into leaves, and leaves into the tree                                         reach: >= 300,000/s
proof    inclusion and consistency in a tree of 10 million leaves, from the database                 reach: <= 1 ms
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

import asyncpg
import driver
from bench_reads import sample

import serving
from xinglin.access.audit import merkle, tree
from xinglin.access.audit.tree import leaf_of
from xinglin.cli.migrate import bring_up_to_date
from xinglin.kernel.config import Settings, load
from xinglin.kernel.database import serving as database

BATCH = 1 << 17
TURNS = 3
Command = list[str]


# reads ----------------------------------------------------------------------------------------------------------------


def granian(application: str, port: int, workers: int) -> Command:
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--no-ws", "--log-level", "error"]
    return [*command, "--workers", str(workers), "--port", str(port), application]


def processor_seconds(roots: list[int]) -> float:
    """Processor time so far of these processes and all below them."""
    parents, spent = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(folder.name)] = int(fields[1])
            spent[int(folder.name)] = sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    wanted = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in wanted} - wanted:
        wanted |= more
    return sum(spent.get(pid, 0.0) for pid in wanted)


def measured(application: str, settings: Settings, asks: list[bytes], asked: Any) -> tuple[float, float]:
    """Requests a second, and processor seconds (server and database) for each request."""
    port = serving.free_port()
    postmaster = int((settings.home / "postgres" / "postmaster.pid").read_text().split("\n")[0])
    with serving.server(granian(application, port, asked.workers), settings, port) as pid:
        driver.run(port, asks, clients=asked.clients, seconds=2)
        before = processor_seconds([pid, postmaster])
        report = driver.run(port, asks, clients=asked.clients, seconds=asked.seconds)
        assert not report.wrong
        return report.rate, (processor_seconds([pid, postmaster]) - before) / report.requests


def reads(asked: Any) -> None:
    with serving.county(asked.people) as settings:
        observations, _ = asyncio.run(sample(settings.database_url, 2000))
        bearer = serving.token(settings)
        asks = [driver.request("GET", f"/fhir/Observation/{row['id']}", bearer) for row in observations]
        found: dict[str, list[tuple[float, float]]] = {"unaudited:application": [], "xinglin.app:application": []}
        for _ in range(TURNS):
            for application, figures in found.items():
                figures.append(measured(application, settings, asks, asked))
    without, audited = ([median(column) for column in zip(*rows, strict=True)] for rows in found.values())
    print(f"reads without a log          {without[0]:9,.0f}/s  {without[1] * 1e6:6.0f} us of processor each")
    print(f"reads, audited               {audited[0]:9,.0f}/s  {audited[1] * 1e6:6.0f} us of processor each")
    ratio, effort = audited[0] / without[0], without[1] / audited[1]
    print(f"audited / unaudited          {ratio:9.0%}    {effort:6.0%} by processor (60%)")


# the tree -------------------------------------------------------------------------------------------------------------

LINE = {
    "seq": 1,
    "event": "0b9c3f8e-6d0b-4f43-9d5e-0f3a5c1d2e4f",
    "at": 1_700_000_000_000_000,
    "person": "-8130475513242371325",
    "custodians": ["5130475513242371325"],
    "institution": "hx-hospital",
    "login": "li.ming",
    "name": "李明",
    "agent": "Practitioner/hx-p1",
    "role": "clinician",
    "purpose": "TREAT",
    "action": "R",
    "interaction": "read",
    "target": "Observation/0b9c3f8e",
    "outcome": 0,
}


def leaves() -> None:
    lines = [{**LINE, "seq": number} for number in range(100_000)]
    salt = os.urandom(tree.SALT)
    start = time.process_time()
    hashes = [leaf_of(line, salt) for line in lines]
    middle = time.process_time()
    merkle.grow(0, hashes, {})
    end = time.process_time()
    found = merkle.Accumulator()
    for hashed in hashes:
        found.append(hashed)
    last = time.process_time()
    count = len(lines)
    print(f"lines to leaves              {count / (middle - start):9,.0f}/s")
    print(f"leaves into tiles            {count / (end - middle):9,.0f}/s   (300,000/s)")
    print(f"leaves, compact range        {count / (last - end):9,.0f}/s   (300,000/s)")


async def fill(connection: Any, count: int) -> bytes:
    """A tree of generated leaves in the database; its root."""
    await connection.execute("TRUNCATE audit_tile")
    kept: dict[merkle.Address, bytes] = {}
    size = 0
    while size < count:
        step = min(BATCH, count - size)
        hashes = [sha256(number.to_bytes(8, "big")).digest() for number in range(size, size + step)]
        changed = merkle.grow(size, hashes, kept)
        size += step
        edge = set(merkle.edge(size))
        whole = [(level, tile, row) for (level, tile), row in changed.items() if (level, tile) not in edge]
        await connection.copy_records_to_table("audit_tile", records=whole, columns=["level", "tile", "hashes"])
        kept = {address: (changed | kept if address not in changed else changed)[address] for address in edge}
    rows = [(level, tile, row) for (level, tile), row in kept.items()]
    await connection.copy_records_to_table("audit_tile", records=rows, columns=["level", "tile", "hashes"])
    await connection.execute("UPDATE audit_tree SET size = $1", count)
    await connection.execute("VACUUM ANALYZE audit_tile")
    return await tree.root(connection, count)


async def proofs(url: str, count: int) -> None:
    await bring_up_to_date(url)
    connection = await asyncpg.connect(url)
    root = await fill(connection, count)
    dice = random.Random(3)
    included, consistent = [], []
    for _ in range(3000):
        leaf, old = dice.randrange(count), dice.randrange(1, count)
        start = time.perf_counter()
        proof = await tree.inclusion(connection, leaf, count)
        included.append(time.perf_counter() - start)
        assert merkle.verify_inclusion(proof.hashed, leaf, count, proof.path, root)
        start = time.perf_counter()
        path = await tree.consistency(connection, old, count)
        consistent.append(time.perf_counter() - start)
        if len(consistent) % 100 == 0:
            assert merkle.verify_consistency(old, count, await tree.root(connection, old), root, path)
    await connection.close()
    for name, found in (("inclusion", included), ("consistency", consistent)):
        ordered = sorted(found)
        p50, p99 = ordered[len(ordered) // 2] * 1e3, ordered[len(ordered) * 99 // 100] * 1e3
        print(f"{name:11} in {count:11,} leaves  p50 {p50:5.2f} ms  p99 {p99:5.2f} ms  (1 ms)")


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--people", type=int, default=60)
    words.add_argument("--seconds", type=float, default=4)
    words.add_argument("--clients", type=int, default=32)
    words.add_argument("--workers", type=int, default=2)
    words.add_argument("--leaves", type=int, default=10_000_000)
    words.add_argument("--only", choices=["reads", "leaves", "proofs"])
    asked = words.parse_args()
    if asked.only in (None, "leaves"):
        leaves()
    if asked.only in (None, "proofs"):
        with tempfile.TemporaryDirectory() as home, database(replace(load({}), home=Path(home))) as url:
            asyncio.run(proofs(url, asked.leaves))
    if asked.only in (None, "reads"):
        reads(asked)


if __name__ == "__main__":
    main()
