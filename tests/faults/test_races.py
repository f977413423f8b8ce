"""Many clients at once, and processes killed under them: one winner per version, one resource per condition, nothing
acknowledged lost, nothing half there.

XINGLIN_FULL=1 runs the full counts (docs/reference/settings.md); otherwise a few seconds of each.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest
from programs import answers, free_port, run, running

from xinglin.kernel.config import Settings
from xinglin.kernel.database import serving

pytestmark = pytest.mark.fault

FULL = os.environ.get("XINGLIN_FULL") == "1"
WINS = 2000 if FULL else 60  # versions that are fought for
RACES = 1000 if FULL else 12
KILLS = 100 if FULL else 4  # of workers and of PostgreSQL, in turn
BUNDLES = "https://example.org/bundles"
CLIENTS = 64
RACERS = 32


@dataclass(slots=True)
class Node:
    """A node of two workers, and the folder of its PostgreSQL."""

    process: subprocess.Popen[str]
    base: str
    token: str
    home: Path  # of the database

    def client(self) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {self.token}", "content-type": "application/fhir+json"}
        limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
        return httpx.AsyncClient(base_url=self.base, headers=headers, timeout=60, limits=limits)

    def workers(self) -> list[int]:
        """Process ids of those that listen, and of the one that works in the background."""
        listed = subprocess.run(
            ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(self.process.pid)], capture_output=True, text=True
        )
        rows = (line.split(None, 1) for line in listed.stdout.splitlines())
        return [int(number) for number, words in rows if "spawn_main" in words]

    def postmaster(self) -> int:
        return int((self.home / "postgres" / "postmaster.pid").read_text().partition("\n")[0])


@pytest.fixture(scope="module")
async def node() -> AsyncIterator[Node]:
    """Served on a PostgreSQL of the module's own, which is for the node a server like any other.

    `serving` starts it again when a test has killed it. Its folder is not pytest's, which another run of pytest closes
    to other users: root's server runs as another, and would not start again.
    """
    port = free_port()
    with TemporaryDirectory(prefix="xinglin-test-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        settings = Settings(home=home / "database")
        with serving(settings) as url:
            given = {"XINGLIN_DATABASE_URL": url}
            with running(home, "serve", "--port", str(port), "--workers", "2", **given) as process:
                await until(lambda: answers(port))
                token = run(home, "token", "--role", "system", "--hours", "12", **given).stdout.strip()
                yield Node(process, f"http://127.0.0.1:{port}/fhir", token, settings.home)


async def until(done: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not await asyncio.to_thread(done):
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.05)


async def together(*work: Coroutine[Any, Any, Any]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


# If-Match ---------------------------------------------------------------------------------------------------------


async def fight(http: httpx.AsyncClient, number: int, ids: list[str], won: Counter[tuple[str, int]]) -> None:
    """Read a resource and write it on the condition that nobody else did, until enough versions were won."""
    chance = random.Random(number)
    while won.total() < WINS:
        name = chance.choice(ids)
        there = (await http.get(f"/Basic/{name}")).json()
        version = int(there["meta"]["versionId"])
        there["code"]["text"] = f"{number}-{version}"
        answer = await http.put(f"/Basic/{name}", content=json.dumps(there), headers={"if-match": f'W/"{version}"'})
        assert answer.status_code in (200, 409, 412), answer.text
        if answer.status_code == 200:
            assert answer.headers["etag"] == f'W/"{version + 1}"'
            won[name, version + 1] += 1


async def test_if_match_has_one_winner_per_version_and_versions_are_dense(node: Node) -> None:
    won: Counter[tuple[str, int]] = Counter()
    async with node.client() as http:
        new = {"resourceType": "Basic", "code": {"text": "new"}}
        ids = [(await http.post("/Basic", content=json.dumps(new))).json()["id"] for _ in range(4)]
        await together(*(fight(http, number, ids, won) for number in range(CLIENTS)))
        for name in ids:
            newest = int((await http.get(f"/Basic/{name}")).json()["meta"]["versionId"])
            assert {(name, version): 1 for version in range(2, newest + 1)} == {
                place: count for place, count in won.items() if place[0] == name
            }
    assert set(won.values()) == {1}


# If-None-Exist ----------------------------------------------------------------------------------------------------


async def race(http: httpx.AsyncClient, number: int) -> None:
    """All create the same person at once; one does, and all are told which."""
    identifier = {"system": "https://example.org/races", "value": f"race-{number}"}
    body = json.dumps({"resourceType": "Patient", "identifier": [identifier]})
    condition = {"if-none-exist": f"identifier={identifier['system']}|{identifier['value']}"}
    found = await asyncio.gather(*(http.post("/Patient", content=body, headers=condition) for _ in range(RACERS)))
    assert Counter(answer.status_code for answer in found) == {201: 1, 200: RACERS - 1}, [a.text for a in found][:2]
    assert len({answer.headers["location"] for answer in found}) == 1


async def test_if_none_exist_makes_one_resource_however_many_race(node: Node) -> None:
    async with node.client() as http:
        for number in range(RACES):
            await race(http, number)
        total = (await http.get("/Patient", params={"_summary": "count"})).json()["total"]
    assert total == RACES


# kill -9 ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Load:
    """Bundles of three linked resources, posted until told to stop, with what was acknowledged and what was not."""

    ending: bool = False
    sent: int = 0
    newest: int = -1  # the latest sent of those acknowledged
    acknowledged: set[str] = field(default_factory=set)

    async def run(self, node: Node) -> None:
        async with node.client() as http:
            while not self.ending:
                number, name = self.sent, f"bundle-{self.sent}"
                self.sent += 1
                try:
                    answer = await http.post("", content=json.dumps(bundle(name)))
                except httpx.HTTPError:
                    await asyncio.sleep(0.02)
                    continue
                if answer.status_code == 200:
                    self.acknowledged.add(name)
                    self.newest = max(self.newest, number)
                else:
                    assert answer.status_code in (409, 503), answer.text
                    assert answer.status_code == 409 or answer.headers["retry-after"], answer.headers
                    assert answer.json()["resourceType"] == "OperationOutcome"
                    await asyncio.sleep(0.02)


def bundle(name: str) -> dict[str, Any]:
    identifier = [{"system": BUNDLES, "value": name}]
    patient = {"resourceType": "Patient", "identifier": identifier}
    basic = {"resourceType": "Basic", "identifier": identifier, "code": {"text": "part"}}
    about = {**basic, "subject": {"reference": "urn:uuid:patient"}}
    entries = [("urn:uuid:patient", patient), ("urn:uuid:1", about), ("urn:uuid:2", {**about, "code": {"text": "two"}})]
    entry = [
        {"fullUrl": url, "resource": one, "request": {"method": "POST", "url": one["resourceType"]}}
        for url, one in entries
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entry}


async def names(http: httpx.AsyncClient, type: str) -> Counter[str]:
    """How many resources of a type bear each bundle's name."""
    found: Counter[str] = Counter()
    url: str | None = f"{type}?identifier={BUNDLES}|&_count=1000&_elements=identifier"
    while url:
        page = (await http.get(url)).raise_for_status().json()
        found.update(one["resource"]["identifier"][0]["value"] for one in page.get("entry", ()))
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), None)
    return found


async def test_killed_workers_and_databases_lose_nothing_and_leave_nothing_in_part(node: Node) -> None:
    load = Load()
    chance = random.Random(7)
    silence: dict[str, list[float]] = {"a worker": [], "PostgreSQL": []}
    running_loads = [asyncio.create_task(load.run(node)) for _ in range(8)]

    async def acknowledged(more: int) -> None:
        """Wait until what is sent from now on is acknowledged; a client that met a wrong answer says so at once."""
        wanted = load.sent + more
        await until(lambda: load.newest >= wanted or any(one.done() for one in running_loads))
        for one in running_loads:
            if one.done():
                one.result()

    for number in range(KILLS):
        await acknowledged(6)
        await asyncio.sleep(chance.random() * 0.2)
        victim = "PostgreSQL" if number % 2 else "a worker"
        os.kill(node.postmaster() if number % 2 else chance.choice(node.workers()), signal.SIGKILL)
        fell = time.monotonic()
        await acknowledged(0)
        silence[victim].append(time.monotonic() - fell)
    load.ending = True
    await asyncio.gather(*running_loads)
    async with node.client() as http:
        patients, parts = await names(http, "Patient"), await names(http, "Basic")
    slowest = ", ".join(f"{victim} {max(seconds):.1f} s" for victim, seconds in silence.items())
    lost = load.acknowledged - patients.keys()
    print(f"{KILLS} kills, {len(load.acknowledged)} acknowledged of {load.sent}, lost {len(lost)}; silence: {slowest}")
    assert not lost
    assert all(parts[name] == 2 * count for name, count in patients.items()) and parts.keys() == patients.keys()
    assert node.process.poll() is None


async def test_a_node_outlives_workers_that_die_again_and_again(node: Node) -> None:
    """granian alone gives up when the same worker dies twice within 5.5 seconds."""
    killed: set[int] = set()
    while len(killed) < 9:  # those that come back are killed as soon as they are there
        for number in set(node.workers()) - killed:
            os.kill(number, signal.SIGKILL)
            killed.add(number)
        await asyncio.sleep(0.05)
        assert node.process.poll() is None
    async with node.client() as http:
        await until(lambda: answers(int(http.base_url.port or 0)))
        assert (await http.get("/Patient?_count=1")).status_code == 200
