"""Fixtures that serve the application: `fhir`, a client in this process; `server`, the program in its own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from xinglin.access.house import House
from xinglin.access.identity import tokens
from xinglin.access.principal import Role
from xinglin.app import Application
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database

FHIR_JSON = {"content-type": "application/fhir+json"}


class Client:
    """Asks, and holds every answer to what all answers must keep: no 500, errors as OperationOutcome."""

    base = "http://127.0.0.1:8080/fhir"

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        content = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        if content is not None and "content-type" not in given:
            given |= FHIR_JSON
        answer = await self.http.request(
            method, f"{self.base}/{path}" if path else self.base, content=content, headers=given
        )
        check_answer(answer)
        return answer


def check_answer(answer: httpx.Response) -> None:
    assert answer.status_code != 500, answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        outcome = answer.json()
        assert outcome["resourceType"] == "OperationOutcome"
        for issue in outcome["issue"]:
            assert issue["severity"] in ("fatal", "error", "warning", "information")
            assert issue["code"] and issue["diagnostics"]
        assert "Traceback" not in answer.text


@asynccontextmanager
async def _client(house: House) -> AsyncIterator[Client]:
    token, _ = await tokens.issue(house.database, Role.SYSTEM, 1)
    app = Application(Settings(max_body_mb=2), house)
    async with app.pages.router.lifespan_context(app.pages):
        transport = httpx.ASGITransport(app, raise_app_exceptions=True)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, headers={"authorization": f"Bearer {token}"}) as http:
            yield Client(http)


@pytest.fixture
async def fhir(house: House) -> AsyncIterator[Client]:
    """A client with a program's token, on the whole application and a database of its own."""
    async with _client(house) as client:
        yield client


@pytest.fixture(scope="module")
async def still(postgres: str, template: str) -> AsyncIterator[Client]:
    """The same for tests of one module that store nothing, or always the same: they share a database."""
    name = f"still_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    house = await House.open(Settings(), with_database(postgres, name), pool_size=4)
    async with _client(house) as client:
        yield client
    await house.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@dataclass(frozen=True, slots=True)
class Server:
    base: str
    token: str
    port: int


@pytest.fixture
async def server(house: House, database_url: str, tmp_path: Path) -> AsyncIterator[Server]:
    """The program as it is served: granian in a process of its own, on a free port."""
    token, _ = await tokens.issue(house.database, Role.SYSTEM, 1)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        **os.environ,
        "XINGLIN_DATABASE_URL": database_url,
        "XINGLIN_PORT": str(port),
        "XINGLIN_MAX_BODY_MB": "2",
        "XINGLIN_HOME": str(tmp_path),
    }
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        *command, "--log-level", "warning", "xinglin.app:application", env=environment
    )
    try:
        await _answering(f"http://127.0.0.1:{port}/fhir/metadata", process)
        yield Server(f"http://127.0.0.1:{port}/fhir", token, port)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await asyncio.wait_for(process.wait(), 15)


async def _answering(url: str, process: asyncio.subprocess.Process) -> None:
    until = time.monotonic() + 20
    async with httpx.AsyncClient() as http:
        while time.monotonic() < until:
            assert process.returncode is None, "the server ended"
            try:
                if (await http.get(url)).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    raise AssertionError("the server did not answer in time")
