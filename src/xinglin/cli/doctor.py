"""`xinglin doctor`: look at everything an installation needs, and say what to mend."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.markup import escape

from xinglin.cli import console
from xinglin.cli.serve import Home, Port, require_free_port
from xinglin.kernel import clock
from xinglin.kernel.config import PREFIX, Settings
from xinglin.kernel.database import MINIMUM_VERSION, pending_migrations, serving
from xinglin.kernel.errors import Problem
from xinglin.modules import MIGRATIONS

EXAMPLE = "Example:  xinglin doctor --json"
OLDEST_PYTHON = (3, 11)
NEED = re.compile(r"([\w.-]+)>=([\d.]+)")  # every need of pyproject.toml has this form; extras have more
DISK_BYTES = 2 << 30  # what a county of some thousand people and its history takes
CLOCK_SECONDS = 5.0  # consents and sessions are judged by time: further apart, two machines disagree
MARKS = {"ok": "[green]ok[/]  ", "warn": "[yellow]warn[/]", "fail": "[red]fail[/]"}


@dataclass(frozen=True, slots=True)
class Finding:
    """state: "ok", "warn" (works, but not all of it) or "fail" (mend this first)."""

    name: str
    state: str
    text: str
    remedy: str = ""


def doctor(
    home: Home = None,
    port: Port = None,
    json: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Check this installation and say what to mend. Ends with 1 when something must be mended."""
    findings = list(examine(home, port))
    if json:
        console.answer([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            console.out.print(f"{MARKS[finding.state]}  {finding.name}: {escape(finding.text)}")
            if finding.remedy:
                console.out.print(f"      -> {escape(finding.remedy)}")
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(home: Path | None, port: int | None) -> Iterator[Finding]:
    """Every finding, in the order in which to mend."""
    yield python()
    yield packages()
    try:
        settings = console.settings_with(home=home, port=port)
    except Problem as problem:
        yield Finding("settings", "fail", str(problem))
        return
    yield from unknown_settings()
    yield disk(settings)
    yield from database(settings)
    yield listening(settings)
    yield from browser()


def python() -> Finding:
    found = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("Python", "fail", f"{found} is too old", "Install 3.11 or newer; make PYTHON=python3.12")
    return Finding("Python", "ok", found)


def packages() -> Finding:
    """Whether each package that this one needs is installed, and new enough."""
    needs = [match.groups() for line in requires("xinglin") or [] if (match := NEED.fullmatch(line))]
    wrong = [text for name, oldest in needs if (text := _unmet(name, oldest))]
    if wrong:
        return Finding("packages", "fail", "; ".join(wrong), "Run `make install`.")
    return Finding("packages", "ok", f"{len(needs)} as required")


def _unmet(name: str, oldest: str) -> str:
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is missing"
    return f"{name} {found} is older than {oldest}" if _numbers(found) < _numbers(oldest) else ""


def _numbers(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)]


def unknown_settings() -> Iterator[Finding]:
    """Variables that look like settings and are none: most likely misspelt."""
    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__} | {
        "XINGLIN_DEBUG",
        "XINGLIN_FULL",
        "XINGLIN_SHARED",
    }
    unknown = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    unknown = [name for name in unknown if not name.startswith("XINGLIN_TEST_")]
    if unknown:
        yield Finding("settings", "warn", f"unknown: {', '.join(unknown)}", "See docs/reference/settings.md.")
    else:
        yield Finding("settings", "ok", "as documented")


def disk(settings: Settings) -> Finding:
    folder = next(path for path in (settings.home, *settings.home.parents) if path.exists())
    if not os.access(folder, os.W_OK):
        return Finding("disk", "fail", f"{folder} cannot be written", "Choose another folder with XINGLIN_HOME.")
    free = shutil.disk_usage(folder).free
    text = f"{free / 2**30:.1f} GiB free at {folder}"
    return Finding("disk", "ok", text) if free > DISK_BYTES else Finding("disk", "warn", text, "Make room.")


def database(settings: Settings) -> Iterator[Finding]:
    """The configured server, or the embedded one: in a folder of its own where there is none yet."""
    with tempfile.TemporaryDirectory() as empty:
        fresh = not settings.database_url and not (settings.home / "postgres" / "PG_VERSION").exists()
        tried = replace(settings, home=Path(empty)) if fresh else settings
        try:
            with serving(tried) as url:
                findings = asyncio.run(_database(url))
        except (Problem, OSError, asyncpg.PostgresError, subprocess.SubprocessError, RuntimeError, ValueError) as error:
            where = "XINGLIN_DATABASE_URL" if settings.database_url else f"the embedded server in {settings.home}"
            yield Finding("database", "fail", f"cannot be reached: {error}", f"Check {where} and its log.")
            return
    yield from (finding for finding in findings if not (fresh and finding.name == "tables"))


async def _database(url: str) -> list[Finding]:
    connection = await asyncpg.connect(url, timeout=10)
    try:
        lacking = await pending_migrations(connection, MIGRATIONS)
        apart = abs((await connection.fetchval("SELECT clock_timestamp()") - clock.now()).total_seconds())
        return [_version(connection.get_server_version().major), _tables(lacking), _clock(apart)]
    finally:
        await connection.close()


def _version(major: int) -> Finding:
    if major * 10000 < MINIMUM_VERSION:
        return Finding("database", "fail", f"PostgreSQL {major} is too old", "Use PostgreSQL 15 or newer.")
    return Finding("database", "ok", f"PostgreSQL {major}")


def _tables(lacking: list[str]) -> Finding:
    if lacking:
        return Finding("tables", "warn", f"{len(lacking)} migrations to apply", "Run `xinglin migrate`.")
    return Finding("tables", "ok", "up to date")


def _clock(apart: float) -> Finding:
    """The year, and whether this machine and the database's agree."""
    if datetime.now(UTC).year < 2026:
        return Finding("clock", "fail", f"says {datetime.now(UTC):%Y-%m-%d}", "Set the clock; consents depend on it.")
    if apart > CLOCK_SECONDS:
        return Finding("clock", "fail", f"{apart:.0f} s from the database's", "Run an NTP client on both machines.")
    return Finding("clock", "ok", "agrees with the database's")


def listening(settings: Settings) -> Finding:
    try:
        require_free_port(settings)
    except Problem as problem:
        return Finding("port", "warn", problem.issues[0].text, problem.issues[0].remedy or "")
    return Finding("port", "ok", f"{settings.host}:{settings.port} is free")


def browser() -> Iterator[Finding]:
    """Only the project's own browser tests need these."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        yield Finding("Chromium", "warn", "not found; browser tests are skipped", "On Debian: apt-get install chromium")
        return
    yield Finding("Chromium", "ok", found)
    if not _lists_chinese_fonts():
        yield Finding("fonts", "warn", "no Chinese font", "On Debian: apt-get install fontconfig fonts-noto-cjk")


def _lists_chinese_fonts(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> bool:
    if not shutil.which("fc-list"):
        return False
    return bool(run(["fc-list", ":lang=zh-cn"], capture_output=True, text=True, check=False).stdout.strip())
