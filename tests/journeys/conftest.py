"""A county served as `xinglin demo` serves it, and a browser to walk through it.

    def test_x(visit):  page = visit("patient", width=320, lang="en");  page.goto("/me/record")

Nothing here runs on pytest's own event loop: the browser's synchronous interface cannot share a thread with it. What
a test does behind the pages' back (`apart`) runs in a thread of its own.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from browsing import ARGUMENTS, Served, apart, chromium, sign_in
from xinglin.kernel.database import with_database

PEOPLE = 40


@pytest.fixture(scope="session")
def county(postgres: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`xinglin demo` itself, with few people, on a database of this run's own."""
    name = f"journeys_{uuid.uuid4().hex}"
    apart(_execute(postgres, f"CREATE DATABASE {name}"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    base, url = f"http://127.0.0.1:{port}", with_database(postgres, name)
    home = tmp_path_factory.mktemp("county")
    environment = {**os.environ, "XINGLIN_DATABASE_URL": url, "XINGLIN_HOME": str(home)}
    options = ["--people", str(PEOPLE), "--port", str(port), "--workers", "1", "--json"]
    log = (home / "log").open("w+")
    process = subprocess.Popen(
        [Path(sys.executable).parent / "xinglin", "demo", *options], env=environment, stdout=log, stderr=log
    )
    try:
        _wait_for(port, process, home / "log")
        yield Served(base, url)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)
        log.close()
        apart(_execute(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 180
    while time.monotonic() < until:
        assert process.poll() is None, f"the demo ended:\n{log.read_text()[-2000:]}"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise AssertionError(f"the demo did not answer in time:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def browser(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Chromium, closed with the module."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = chromium()
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield launched
        launched.close()


Visit = Callable[..., Any]


@pytest.fixture
def visit(county: Served, browser: Any) -> Iterator[Visit]:
    """`visit(login, width=320, lang="en")`: a page of a fresh browser that has signed in (nobody where login is "")."""
    contexts: list[Any] = []

    def visiting(login: str = "", *, width: int = 1280, lang: str = "zh-Hans", javascript: bool = True) -> Any:
        viewport = {"width": width, "height": 800}
        context = browser.new_context(base_url=county.base, viewport=viewport, java_script_enabled=javascript)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.goto(f"/sign-in?lang={lang}")
        if login:
            sign_in(page, login)
        return page

    yield visiting
    for context in contexts:
        context.close()
