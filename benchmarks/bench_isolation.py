"""Small requests beside a transaction of 10,000 entries: what they wait, with it and without it.

A few clients read a patient, search or write two resources, at a steady pace that leaves the machine idle in between;
meanwhile another process sends one large transaction after the other.

    python benchmarks/bench_isolation.py [--people 60] [--entries 10000] [--bundles 3] [--workers 2]
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import multiprocessing
import time
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import uvloop
from driver import request

import serving

CLIENTS = 4  # of each kind
PACE = 0.02  # seconds between an answer and the next request of a client
ALONE = 5.0  # seconds of the run without large transactions


def entry(number: int) -> dict[str, Any]:
    """Patients with seven Observations each."""
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}], "text": "systolic"},
        "subject": {"reference": f"urn:uuid:{number - number % 8}"},
        "effectiveDateTime": "2026-01-01T08:00:00Z",
        "valueQuantity": {"value": 120 + number % 60, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
    }
    if number % 8 == 0:
        resource = {"resourceType": "Patient", "name": [{"family": "王", "given": [f"小{number}"]}]}
    kind = resource["resourceType"]
    return {"fullUrl": f"urn:uuid:{number}", "resource": resource, "request": {"method": "POST", "url": kind}}


def transaction(entries: int) -> bytes:
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry(number) for number in range(entries)]}
    return json.dumps(bundle).encode()


def send_large(port: int, token: str, entries: int, bundles: int) -> None:
    """Another process: its own work is not in the clients' way."""
    body = transaction(entries)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    for _ in range(bundles):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        start = time.perf_counter()
        connection.request("POST", "/fhir", body, headers)
        answer = connection.getresponse()
        answer.read()
        seconds = time.perf_counter() - start
        print(
            f"  {entries:,} entries, {len(body) >> 10:,} KiB: status {answer.status} after {seconds:.1f} s", flush=True
        )
        connection.close()


async def ask(port: int, requests: Iterator[bytes], found: list[float], ended: asyncio.Event) -> None:
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    while not ended.is_set():
        start = time.perf_counter()
        writing.write(next(requests))
        head = await reading.readuntil(b"\r\n\r\n")
        assert head[9:10] == b"2", head
        await reading.readexactly(int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        found.append(time.perf_counter() - start)
        await asyncio.sleep(PACE)
    writing.close()


async def measured(port: int, kinds: dict[str, list[bytes]], while_running: Any) -> dict[str, list[float]]:
    """Latencies of each kind while `while_running` (a coroutine) runs."""
    ended = asyncio.Event()
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    asking = [
        asyncio.create_task(ask(port, cycle(requests[number:] + requests[:number]), found[kind], ended))
        for kind, requests in kinds.items()
        for number in range(CLIENTS)
    ]
    await while_running
    ended.set()
    await asyncio.gather(*asking)
    return found


async def finished(process: multiprocessing.Process) -> None:
    process.start()
    while process.is_alive():  # noqa: ASYNC110  of another process
        await asyncio.sleep(0.05)


def report(name: str, found: dict[str, list[float]]) -> None:
    for kind, latencies in found.items():
        ordered = sorted(latencies)
        p50, p99 = ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100]
        print(
            f"{name:14} {kind:8} {len(ordered):6} requests  p50 {p50 * 1000:7.1f} ms  p99 {p99 * 1000:7.1f} ms"
            f"  worst {ordered[-1] * 1000:7.1f} ms",
            flush=True,
        )


def patients(port: int, token: str) -> list[str]:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/fhir/Patient?_count=50", headers={"Authorization": f"Bearer {token}"})
    return [one["resource"]["id"] for one in json.loads(connection.getresponse().read())["entry"]]


def small(port: int, token: str) -> dict[str, list[bytes]]:
    ids = patients(port, token)
    write = json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [entry(0), entry(1)]}).encode()
    return {
        "read": [request("GET", f"/fhir/Patient/{id}", token) for id in ids],
        "search": [request("GET", f"/fhir/Observation?patient={id}&_sort=-date&_count=20", token) for id in ids],
        "write": [request("POST", "/fhir", token, write)] * CLIENTS,
    }


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--people", type=int, default=60)
    options.add_argument("--entries", type=int, default=10_000)
    options.add_argument("--bundles", type=int, default=3)
    options.add_argument("--workers", type=int, default=2)
    given = options.parse_args()
    port = serving.free_port()
    with serving.county(given.people) as settings:
        token = serving.token(settings)
        with (
            serving.server(serving.ours(port, given.workers), settings, port),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            kinds = small(port, token)
            runner.run(measured(port, kinds, asyncio.sleep(1)))  # warm
            report("alone", runner.run(measured(port, kinds, asyncio.sleep(ALONE))))
            arguments = (port, token, given.entries, given.bundles)
            large = multiprocessing.get_context("spawn").Process(target=send_large, args=arguments)
            report("beside it", runner.run(measured(port, kinds, finished(large))))


if __name__ == "__main__":
    main()
