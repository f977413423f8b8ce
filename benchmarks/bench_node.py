"""What a node needs: the time to start on a database that exists, and the memory of a worker at rest.

    python benchmarks/bench_node.py [--people N] [--rounds R]

Reach: answering < 3 s after the command; proportional memory (PSS) of a worker at rest < 200 MB.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import subprocess
import time
from pathlib import Path

import serving
from xinglin.kernel.config import Settings

REACH_SECONDS, REACH_MEGABYTES = 3.0, 200.0


def family(pid: int) -> list[int]:
    """The process and all below it."""
    below = [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _parent(entry) == pid
    ]  # fmt: skip
    return [pid, *(each for child in below for each in family(child))]


def _parent(entry: Path) -> int:
    with contextlib.suppress(OSError, IndexError, ValueError):
        return int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return -1


def megabytes(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0


def answered(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        connection.sendall(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        return connection.recv(12).endswith(b"200")
    return False


def started(settings: Settings) -> tuple[float, dict[int, float]]:
    """Seconds from the command to the first answer; memory of each process two seconds later."""
    port, begin = serving.free_port(), time.monotonic()
    process = subprocess.Popen(
        serving.ours(port, 2),
        env=serving.environment(settings, port),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not answered(port):
            time.sleep(0.02)
        seconds = time.monotonic() - begin
        time.sleep(2)
        return seconds, {pid: megabytes(pid) for pid in family(process.pid)}
    finally:
        process.terminate()
        process.wait(30)


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--people", type=int, default=300)
    words.add_argument("--rounds", type=int, default=5)
    asked = words.parse_args()
    with serving.county(asked.people) as settings:
        runs = [started(settings) for _ in range(asked.rounds)]
    seconds = statistics.median(seconds for seconds, _ in runs)
    largest = statistics.median(max(memory.values()) for _, memory in runs)
    together = statistics.median(sum(memory.values()) for _, memory in runs)
    print(f"start to the first answer   {seconds:6.2f} s   {seconds / REACH_SECONDS:.0%} of {REACH_SECONDS} s")
    print(
        f"memory of a worker at rest  {largest:6.0f} MB   {largest / REACH_MEGABYTES:.0%} of {REACH_MEGABYTES:.0f} MB"
    )
    print(f"all processes of the node   {together:6.0f} MB   ({len(runs[0][1])} processes, two workers)")


if __name__ == "__main__":
    main()
