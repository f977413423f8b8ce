"""The program as people run it: started as a process, killed as machines kill it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

XINGLIN = Path(sys.executable).parent / "xinglin"
PATIENCE = 120.0  # seconds: a shared machine may be slow; waiting ends as soon as there is an answer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(home: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XINGLIN_")}
    return {**kept, "XINGLIN_HOME": str(home), "PYTHONWARNINGS": "ignore", **more}


def run(home: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The command to its end."""
    return subprocess.run(
        [XINGLIN, *words], env=environment(home, **more), capture_output=True, text=True, timeout=PATIENCE
    )


@contextmanager
def running(home: Path, *words: str, **more: str) -> Iterator[subprocess.Popen[str]]:
    """The command while inside, in a session of its own; whatever is left of it is killed at the end."""
    process = subprocess.Popen(
        [XINGLIN, *words],
        env=environment(home, **more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_hearing_ctrl_c,
    )
    try:
        yield process
    finally:
        stop(process)
        stop_database(home)


def _hearing_ctrl_c() -> None:
    """As from a terminal: a suite that a shell runs in the background would hand on that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def stop(process: subprocess.Popen[str]) -> None:
    """End the process and its children, if they are still there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def postmaster(home: Path) -> int | None:
    """Process id of the embedded PostgreSQL, if it runs."""
    try:
        number = int((home / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        os.kill(number, 0)
    except (OSError, ValueError):
        return None
    return number


def stop_database(home: Path) -> None:
    if number := postmaster(home):
        os.kill(number, signal.SIGINT)
        wait_until(lambda: postmaster(home) is None)


def wait_until(done: object, seconds: float = PATIENCE) -> None:
    assert callable(done)
    until = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/fhir/metadata", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
