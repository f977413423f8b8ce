"""kill -9, at the worst moment: what was acknowledged is there, nothing is there in part, the next run goes on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import orjson
import pytest
from programs import PATIENCE, answers, free_port, is_free, postmaster, run, running, stop, wait_until

from xinglin.demo import County, bundles
from xinglin.kernel.config import Settings
from xinglin.kernel.database import serving

pytestmark = pytest.mark.fault

PEOPLE = 60
Key = tuple[str, str]


@pytest.fixture(scope="module")
def county(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, set[Key]]]:
    """A folder of transaction bundles, and what each holds."""
    folder = tmp_path_factory.mktemp("county")
    content = {}
    for number, bundle in enumerate(bundles(County(people=PEOPLE))):
        name = f"{number:04}.json"
        (folder / name).write_bytes(orjson.dumps(bundle.transaction(), option=orjson.OPT_INDENT_2))
        content[name] = {(one["resourceType"], one["id"]) for one in bundle.resources}
    return folder, content


def stored(home: Path) -> set[Key]:
    """What the record holds now, read past every program of ours."""

    async def read(url: str) -> list[asyncpg.Record]:
        connection = await asyncpg.connect(url)
        try:
            if await connection.fetchval("SELECT to_regclass('resource')") is None:
                return []
            return await connection.fetch("SELECT convert_from(body, 'UTF8')::jsonb AS body FROM resource")
        finally:
            await connection.close()

    with serving(Settings(home=home)) as url:
        rows = [json.loads(row["body"]) for row in asyncio.run(read(url))]
    return {(row["resourceType"], row["id"]) for row in rows}


def waiting_for(home: Path, resources: int) -> Iterator[bool]:
    """Whether so many resources are stored, asked again and again while the load goes on."""

    async def count(url: str) -> int:
        connection = await asyncpg.connect(url)
        try:
            there = await connection.fetchval("SELECT to_regclass('resource')")
            return await connection.fetchval("SELECT count(*) FROM resource") if there else 0
        finally:
            await connection.close()

    url = f"postgresql://postgres@/postgres?host={home / 'postgres'}"
    while True:
        try:
            yield asyncio.run(count(url)) >= resources
        except (OSError, asyncpg.PostgresError):
            yield False


def test_a_killed_load_leaves_whole_bundles_and_the_next_run_ends_as_if_nothing_had_been(
    tmp_path: Path, county: tuple[Path, dict[str, set[Key]]]
) -> None:
    folder, content = county
    words = ("load", str(folder), "--custodian", "h1", "--workers", "2")
    enough = waiting_for(tmp_path, 500)
    with running(tmp_path, *words) as process:
        wait_until(lambda: next(enough) or process.poll() is not None)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        there = stored(tmp_path)
        halves = [name for name, keys in content.items() if keys & there and not keys <= there]
        assert halves == [] and there
        again = run(tmp_path, *words, "--json")
    assert again.returncode == 0, again.stderr
    everything = set().union(*content.values())
    assert stored(tmp_path) == everything | {("Organization", "h1")}


def test_ctrl_c_ends_a_load_in_order(tmp_path: Path, county: tuple[Path, dict[str, set[Key]]]) -> None:
    enough = waiting_for(tmp_path, 300)
    with running(tmp_path, "load", str(county[0]), "--workers", "2") as process:
        wait_until(lambda: next(enough) or process.poll() is not None)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, said
    assert "Run the same command again" in said and "Traceback" not in said
    assert postmaster(tmp_path) is None


def test_a_load_whose_postgresql_is_killed_says_so_and_can_be_repeated(
    tmp_path: Path, county: tuple[Path, dict[str, set[Key]]]
) -> None:
    folder, content = county
    words = ("load", str(folder), "--custodian", "h1", "--workers", "2")
    enough = waiting_for(tmp_path, 500)
    with running(tmp_path, *words) as process:
        wait_until(lambda: next(enough) or process.poll() is not None)
        number = postmaster(tmp_path)
        assert number
        os.kill(number, signal.SIGKILL)
        said, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1 and "Traceback" not in said and "atabase" in said, said
        there = stored(tmp_path)
        assert [name for name, keys in content.items() if keys & there and not keys <= there] == []
        assert run(tmp_path, *words).returncode == 0
    assert stored(tmp_path) == set().union(*content.values()) | {("Organization", "h1")}


class Client(threading.Thread):
    """Creates patients over HTTP, one after the other, and keeps the ids that the server acknowledged."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(daemon=True)
        self.base = f"http://127.0.0.1:{port}/fhir"
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
        self.acknowledged: set[Key] = set()
        self.ending = False

    def run(self) -> None:
        with httpx.Client(headers=self.headers, timeout=10) as client:
            while not self.ending:
                try:
                    answer = client.post(f"{self.base}/Patient", json={"resourceType": "Patient"})
                except httpx.HTTPError:
                    time.sleep(0.05)
                    continue
                if answer.status_code == 201:
                    self.acknowledged.add(("Patient", answer.headers["Location"].split("/Patient/")[1].split("/")[0]))


def clients(home: Path, port: int) -> list[Client]:
    token = run(home, "token", "--role", "system", "--hours", "1").stdout.strip()
    assert token
    started = [Client(port, token) for _ in range(3)]
    for client in started:
        client.start()
    return started


def acknowledged(started: list[Client]) -> set[Key]:
    return set().union(*(client.acknowledged for client in started))


def test_a_killed_server_loses_nothing_it_acknowledged_and_frees_its_port(tmp_path: Path) -> None:
    port = free_port()
    words = ("serve", "--port", str(port), "--workers", "2")
    with running(tmp_path, *words) as process:
        wait_until(lambda: answers(port))
        started = clients(tmp_path, port)
        wait_until(lambda: len(acknowledged(started)) > 50)
        os.kill(process.pid, signal.SIGKILL)  # the parent alone: its workers must not stay behind
        for client in started:
            client.ending = True
        wait_until(lambda: is_free(port), 30)
        for client in started:
            client.join()
        assert acknowledged(started) <= stored(tmp_path)
        stop(process)
        with running(tmp_path, *words):
            wait_until(lambda: answers(port))


def test_a_killed_postgresql_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    port = free_port()
    with running(tmp_path, "serve", "--port", str(port), "--workers", "2"):
        wait_until(lambda: answers(port))
        started = clients(tmp_path, port)
        wait_until(lambda: len(acknowledged(started)) > 50)
        number = postmaster(tmp_path)
        assert number
        os.kill(number, signal.SIGKILL)
        time.sleep(1)
        for client in started:
            client.ending = True
            client.join()
    assert acknowledged(started) <= stored(tmp_path)


def test_a_demo_that_was_killed_while_loading_is_taken_up_again(tmp_path: Path) -> None:
    port = free_port()
    words = ("demo", "--people", "40", "--port", str(port), "--home", str(tmp_path))
    enough = waiting_for(tmp_path, 300)
    with running(tmp_path, *words) as process:
        wait_until(lambda: next(enough) or process.poll() is not None)
        os.kill(process.pid, signal.SIGKILL)
    with running(tmp_path, *words, "--json") as process:
        wait_until(lambda: answers(port))
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, said
    assert postmaster(tmp_path) is None
    there = stored(tmp_path)
    assert ("Task", "demo-county") in there
    for bundle in bundles(County(people=40)):
        assert {(one["resourceType"], one["id"]) for one in bundle.resources} <= there
