"""Schemathesis against the OpenAPI description of a running server: nothing is answered that it does not describe.

XINGLIN_FULL=1 asks every operation for ten minutes instead of some for a few seconds (docs/reference/settings.md).
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving import Server

pytest_plugins = ("serving",)

FULL = os.environ.get("XINGLIN_FULL") == "1"
SECONDS = 600 if FULL else 15
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "response_headers_conformance,unsupported_method,allow_header_conformance"
)
SOME = r"^/(Observation|Bundle)?(/|$)|^/[_mo$]|^/Patient/\{id\}|^/Composition/\{id\}/\$|^/AuditEvent"


async def schemathesis(server: Server, folder: Path, *more: str) -> tuple[int, str]:
    """Its exit code and what it says; its files go to `folder`."""
    words = ("run", f"{server.base}/openapi.json", "--checks", CHECKS, "--max-time", str(SECONDS), "--seed", "1")
    chosen = () if FULL else ("--include-path-regex", SOME, "--max-examples", "12")
    process = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).parent / "st", *words, *chosen, "--no-shrink", "--warnings", "off", "--no-color"),
        *("--phases", "examples,coverage,fuzzing", *more),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), SECONDS * 4 + 60)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_every_answer_is_one_that_the_description_names(server: Server, tmp_path: Path) -> None:
    code, said = await schemathesis(server, tmp_path, "--header", f"Authorization: Bearer {server.token}")
    assert code == 0, said[-6000:]


async def test_a_stranger_meets_the_described_refusals_too(server: Server, tmp_path: Path) -> None:
    words = () if FULL else ("--max-examples", "2", "--phases", "coverage", "--max-time", "5")
    code, said = await schemathesis(server, tmp_path, *words)
    assert code == 0, said[-6000:]
