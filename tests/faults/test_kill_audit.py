"""kill -9 at the access log: no answer without its line, and no tree that forks."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

import asyncpg
import httpx
import pytest
from programs import answers, environment, free_port, run, running, wait_until

from xinglin.access import audit
from xinglin.access.audit import Access, evidence, heads, judge, tree
from xinglin.access.house import House
from xinglin.access.principal import NODE
from xinglin.kernel.config import Settings
from xinglin.kernel.database import serving

pytestmark = pytest.mark.fault

PATIENTS = 6000  # more than are read before the server is killed, on a fast machine too
READERS = 6
KILLS = 8
SEQUENCER = """
import asyncio
from dataclasses import replace
from xinglin.access.house import House
from xinglin.cli import processes
from xinglin.kernel.config import load

async def go():
    processes.BETWEEN_ROUNDS = 0.002
    await processes.sequence(await House.open(replace(load(), audit_head_seconds=0)))

asyncio.run(go())
"""


class Reader(threading.Thread):
    """Reads each of its patients once, and keeps those whose answer arrived whole."""

    def __init__(self, port: int, token: str, ids: list[str]) -> None:
        super().__init__(daemon=True)
        self.base, self.ids = f"http://127.0.0.1:{port}/fhir", ids
        self.headers = {"Authorization": f"Bearer {token}"}
        self.shown: list[str] = []

    def run(self) -> None:
        with httpx.Client(headers=self.headers, timeout=20) as client:
            for id in self.ids:
                try:
                    answer = client.get(f"{self.base}/Patient/{id}")
                except httpx.HTTPError:
                    return
                if answer.status_code == 200 and answer.json()["id"] == id:
                    self.shown.append(id)


def lines(home: Path) -> set[str]:
    """Patients whose reading is in the log, read past every program of ours."""

    async def read(url: str) -> set[str]:
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch("SELECT target FROM audit WHERE interaction = 'read' AND outcome = 0")
            return {row["target"].removeprefix("Patient/") for row in rows}
        finally:
            await connection.close()

    with serving(Settings(home=home)) as url:
        return asyncio.run(read(url))


def test_a_killed_server_has_shown_nothing_that_is_not_in_the_log(tmp_path: Path) -> None:
    port = free_port()
    dice = random.Random(os.getpid())
    with running(tmp_path, "serve", "--port", str(port), "--workers", "2") as process:
        wait_until(lambda: answers(port))
        token = run(tmp_path, "token", "--role", "system", "--hours", "1").stdout.strip()
        base = {"base_url": f"http://127.0.0.1:{port}/fhir", "headers": {"Authorization": f"Bearer {token}"}}
        ids = [f"p{number}" for number in range(PATIENTS)]
        entries = [
            {"resource": {"resourceType": "Patient", "id": id}, "request": {"method": "PUT", "url": f"Patient/{id}"}}
            for id in ids
        ]
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        kind = {"Content-Type": "application/fhir+json"}
        assert httpx.post(base["base_url"], json=bundle, headers={**base["headers"], **kind}, timeout=60).is_success
        readers = [Reader(port, token, ids[number::READERS]) for number in range(READERS)]
        for reader in readers:
            reader.start()
        wait_until(lambda: sum(len(reader.shown) for reader in readers) > dice.randrange(50, PATIENTS // 2))
        os.killpg(process.pid, signal.SIGKILL)
        for reader in readers:
            reader.join()
        shown = {id for reader in readers for id in reader.shown}
        assert 50 < len(shown) < PATIENTS
        assert shown - lines(tmp_path) == set()


async def test_a_sequencer_that_is_killed_again_and_again_makes_one_tree(
    house: House, database_url: str, tmp_path: Path
) -> None:
    dice = random.Random(os.getpid())
    settings = environment(tmp_path, XINGLIN_DATABASE_URL=database_url)
    kept, written = [], 0
    for _ in range(KILLS):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", SEQUENCER, env=settings)
        until = time.monotonic() + 1.5 + dice.random()
        while time.monotonic() < until:
            count = dice.randrange(1, 400)
            async with house.database.connection() as connection:
                await audit.record(connection, [Access(NODE, "read", "Observation/x")] * count)
            written += count
            await asyncio.sleep(0.01)
        process.kill()
        await process.wait()
        kept.append(await heads.sign(house.database, house.settings))
    await tree.catch_up(house.database)
    whole = await heads.sign(house.database, house.settings)
    assert whole.size == written and len({head.size for head in kept}) > 1
    await evidence.export(house.database, house.settings, tmp_path / "log.zip")
    verdict = judge.judge(evidence.read(tmp_path / "log.zip"), outside=kept)
    assert verdict.sound and verdict.size == written, verdict.findings
