"""`xinglin load`: FHIR files into the record, in bounded memory, by several workers, with a report."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import asyncpg
import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from xinglin.cli import console
from xinglin.cli.loading.pool import pool
from xinglin.cli.loading.sources import Reader, Unit, find
from xinglin.cli.migrate import bring_up_to_date
from xinglin.exchange.loading.report import Refusal, Report
from xinglin.kernel.config import Settings
from xinglin.kernel.database import serving
from xinglin.kernel.errors import Invalid

EXAMPLE = "Example:  xinglin load exports/ --custodian county-hospital --custodian-name 县人民医院"
DEFAULT_CUSTODIAN = "this-institution"
MAX_MB = 32  # a document takes some fifteen times its size while it is stored: together below 1 GiB
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
PLAIN_SECONDS = 10  # between lines of progress where there is no terminal


def load(
    paths: Annotated[list[str], typer.Argument(help="Files or folders of FHIR JSON; - reads standard input.")],
    custodian: Annotated[
        str, typer.Option(help="Id of the Organization that holds the data; created if there is none.")
    ] = DEFAULT_CUSTODIAN,
    custodian_name: Annotated[str | None, typer.Option(help="Name of that Organization if it is created.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="Worker processes; one per core if unset.")] = None,
    max_mb: Annotated[int, typer.Option(min=1, max=2048, help="Largest line or document, in MiB.")] = MAX_MB,
    home: Annotated[Path | None, typer.Option(help="Folder of the embedded database.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON on standard output.")] = False,
) -> None:
    """Load FHIR bundles (transaction, batch, collection), NDJSON, .gz of these, and folders of them.

    A bundle is stored whole or not at all. Interrupted or repeated, a load ends in the same state.
    """
    if not ID.fullmatch(custodian):
        raise Invalid(f"--custodian {custodian!r} is not a FHIR id.", remedy="Up to 64 letters, digits, - and dots.")
    settings = console.settings_with(home=home)
    reader = Reader(find(paths), custodian, max_mb << 20)
    started = time.monotonic()
    with serving(settings) as url:
        asyncio.run(bring_up_to_date(url))
        here = replace(settings, database_url=url)
        names = {custodian: custodian_name or custodian}
        report = store(here, reader, total=reader.total, names=names, workers=workers, quiet=json)
        asyncio.run(_refresh_statistics(url))
    _conclude(report, time.monotonic() - started, json)


def store(
    settings: Settings,
    units: Iterable[Unit | Refusal],
    *,
    total: int | None,
    names: dict[str, str],
    workers: int | None = None,
    quiet: bool = False,
) -> Report:
    """Run units through workers, showing progress; `total` is the size that their reader's `position` tends to."""
    report = Report()
    count = workers or os.cpu_count() or 1
    try:
        with pool(settings, count, names) as running, _Bar(units, total) as bar:
            for part in running.run(units):
                report.add(part)
                bar.show(report)
                if not quiet:
                    bar.tell(part.refused)
    except KeyboardInterrupt:
        console.err.print(f"{report.resources:,} resources are stored. Run the same command again to go on.")
        raise
    return report


class _Bar:
    """Progress on stderr: a bar on a terminal, a line every few seconds elsewhere."""

    def __init__(self, units: object, total: int | None) -> None:
        self.units = units
        self.total = total
        self.started = self.shown = time.monotonic()
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %" if total else ""),
            TextColumn("{task.fields[resources]:,} resources  {task.fields[rate]:,.0f}/s"),
            TimeRemainingColumn(compact=True),
            console=console.err,
            transient=True,
        )
        self.task = self.progress.add_task("Loading", total=total or None, resources=0, rate=0.0)

    def __enter__(self) -> _Bar:
        if console.err.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if console.err.is_terminal:
            self.progress.stop()

    def show(self, report: Report) -> None:
        now = time.monotonic()
        rate = report.resources / max(now - self.started, 0.001)
        if console.err.is_terminal:
            position = getattr(self.units, "position", 0)
            self.progress.update(self.task, completed=position, resources=report.resources, rate=rate)
        elif now - self.shown >= PLAIN_SECONDS:
            self.shown = now
            console.err.print(f"{report.resources:,} resources, {rate:,.0f}/s")

    def tell(self, refusals: list[Refusal]) -> None:
        for refusal in refusals:
            console.err.print(f"[red]Refused[/] {escape(refusal.sentence())}")


def _conclude(report: Report, seconds: float, json: bool) -> None:
    if json:
        console.answer({**report.as_json(), "seconds": round(seconds, 3)})
    else:
        console.out.print("\n".join(_summary(report, seconds)))
    if report.refused_total:
        raise typer.Exit(1)


def _summary(report: Report, seconds: float) -> Iterator[str]:
    for word in ("created", "updated", "unchanged", "deleted"):
        counts = getattr(report, word)
        if counts:
            parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
            yield f"{word.capitalize()} {counts.total():,}: {parts}"
    yield f"{report.resources:,} resources in {seconds:.1f} s."
    if report.refused_total:
        yield f"Refusals, named above: {report.refused_total:,}."
        yield f"Resources not stored with them: {report.refused_resources:,}."


async def _refresh_statistics(url: str) -> None:
    """Let the database know what it holds now, so that its plans fit."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
