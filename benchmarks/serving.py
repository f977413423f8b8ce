"""What benchmarks of the running server share: a database with the demo county in it, servers, a token."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from xinglin.cli.migrate import bring_up_to_date
from xinglin.kernel.config import Settings, load
from xinglin.kernel.database import serving

HERE = Path(__file__).resolve().parent
XINGLIN = [sys.executable, "-c", "from xinglin.cli.main import run; run()"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def county(people: int) -> Iterator[Settings]:
    """Settings of a database that holds a demo county; `XINGLIN_BENCH_HOME` keeps it between runs."""
    kept = os.environ.get("XINGLIN_BENCH_HOME")
    with contextlib.ExitStack() as stack:
        home = Path(kept) / str(people) if kept else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = replace(load({}), home=home)
        url = stack.enter_context(serving(settings))
        settings = replace(settings, database_url=url)
        asyncio.run(bring_up_to_date(url))  # a kept one may be of an older version
        if not (home / "loaded").exists():
            load_county(settings, people)
            (home / "loaded").touch()
        yield settings


def load_county(settings: Settings, people: int) -> None:
    """Generate and load, as `xinglin demo` does, without serving."""
    from xinglin.cli import demo

    wanted = asyncio.run(demo._begin(settings, people, None))
    demo._load(settings, wanted)
    asyncio.run(demo._finish(settings, wanted))


def environment(settings: Settings, port: int) -> dict[str, str]:
    return {**os.environ, "XINGLIN_DATABASE_URL": settings.database_url, "XINGLIN_PORT": str(port)}


def token(settings: Settings, role: str = "system") -> str:
    done = subprocess.run(
        [*XINGLIN, "token", "--role", role, "--hours", "2"],
        env=environment(settings, 1),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()[-1] if done.stdout.split() else ""


@contextlib.contextmanager
def server(command: list[str], settings: Settings, port: int) -> Iterator[int]:
    """A server process that answers on `port` while inside."""
    process = subprocess.Popen(
        command, env=environment(settings, port), cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(20)


def _wait(port: int) -> None:
    for _ in range(300):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            time.sleep(0.5)
            return
        time.sleep(0.1)
    raise SystemExit(f"no server on port {port}")


def bare(port: int, workers: int) -> list[str]:
    granian = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--no-ws"]
    return [*granian, "--workers", str(workers), "--port", str(port), "--log-level", "error", "bare:application"]


def ours(port: int, workers: int) -> list[str]:
    return [*XINGLIN, "serve", "--workers", str(workers), "--port", str(port)]
