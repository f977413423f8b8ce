"""The import job: files of NDJSON into the record through the gate, as their owner; what is refused is told by line.

A resource with an id comes to be as the line says; without one its id is made from the line, so that the same file
stores nothing twice. What the owner may not write, or what another institution holds, is refused line by line.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from xinglin.access.bulk import importer
from xinglin.access.house import House
from xinglin.access.records import Records
from xinglin.core.rest import outcomes
from xinglin.exchange.bulk.fetching import Fetcher, listed
from xinglin.exchange.bulk.folders import Folder
from xinglin.exchange.loading.entries import Unit
from xinglin.exchange.loading.report import Refusal, Report
from xinglin.exchange.loading.storing import Storing
from xinglin.kernel import jobs
from xinglin.kernel.errors import Issue, Problem
from xinglin.kernel.jobs import Lost, Running

KIND: Final = "import"
ERRORS: Final = "errors.ndjson"
GROUP_LINES: Final = 400
GROUP_BYTES: Final = 1 << 20
LONGEST_LINE: Final = 32 << 20


async def import_files(house: House, running: Running, fetcher: Fetcher | None = None) -> None:
    """Carry an import on to its end. arguments: `inputs`, URLs, none for the one file of the body; `custodian`.

    progress: `input` at work, `offset` and `line` in it, `counts`, `errors` and their `error_bytes`.
    """
    folder = Folder.of(house.settings, KIND, running.job.id)
    beginning = {"input": 0, "offset": 0, "line": 0, "counts": {}, "errors": 0, "error_bytes": 0}
    running.progress = {**beginning, **running.progress}
    inputs: list[str] = running.job.arguments["inputs"]
    folder.make()
    try:
        while running.progress["input"] < max(1, len(inputs)):
            number = running.progress["input"]
            path = folder.path / f"{number}.ndjson"
            if inputs and not path.exists():
                await _fetch(fetcher or Fetcher(listed(house.settings.import_hosts)), inputs[number], path)
            await _store(house, running, folder, path)
            running.progress |= {"input": number + 1, "offset": 0, "line": 0}
            await _save(house, running)
            path.unlink(missing_ok=True)
    except (Problem, Lost):
        async with house.database.connection() as connection:
            left = await jobs.find(connection, running.job.id)
        if left is None or left.state == jobs.CANCELLED:
            folder.remove()
        raise


async def _fetch(fetcher: Fetcher, url: str, path: Path) -> None:
    stopped = threading.Event()
    try:
        await asyncio.to_thread(fetcher.fetch, url, path, stopped)
    finally:
        stopped.set()


async def _store(house: House, running: Running, folder: Folder, path: Path) -> None:
    custodian: str = running.job.arguments["custodian"]
    source = f"input {running.progress['input'] + 1}"
    with path.open("rb") as file:
        file.seek(running.progress["offset"])
        for pieces, line, offset in _groups(file, running.progress["line"]):
            async with house.database.connection() as connection:
                principal = await importer(connection, running.job.owner)
            storing = Storing(Records(house, principal, why="import"))
            report = await storing.store(Unit(source, custodian, tuple(pieces)))
            _tell(running, folder, report)
            running.progress |= {"offset": offset, "line": line}
            await _save(house, running)


async def _save(house: House, running: Running) -> None:
    async with house.database.transaction() as connection:
        await running.save(connection)


def _groups(file: BinaryIO, line: int) -> Iterator[tuple[list[tuple[int | None, bytes]], int, int]]:
    """Lines in groups of bounded size, numbered; the last line's number and where the file stands after it."""
    pieces: list[tuple[int | None, bytes]] = []
    size = 0
    while text := file.readline(LONGEST_LINE + 1):
        if len(text) > LONGEST_LINE:
            raise Problem(f"Line {line + 1} is longer than {LONGEST_LINE >> 20} MiB.", remedy="Leave it out.")
        line += 1
        if text := text.strip():
            pieces.append((line, text))
        size += len(text)
        if len(pieces) >= GROUP_LINES or size >= GROUP_BYTES:
            yield pieces, line, file.tell()
            pieces, size = [], 0
    if pieces:
        yield pieces, line, file.tell()


def _tell(running: Running, folder: Folder, report: Report) -> None:
    counts: dict[str, dict[str, int]] = running.progress["counts"]
    for word in ("created", "updated", "unchanged", "deleted"):
        for name, count in getattr(report, word).items():
            of_type = counts.setdefault(name, {})
            of_type[word] = of_type.get(word, 0) + count
    if report.refused:
        sink = folder.append(ERRORS, running.progress["error_bytes"])
        sink.write([_outcome(refusal) for refusal in report.refused])
        running.progress |= {
            "errors": running.progress["errors"] + len(report.refused),
            "error_bytes": sink.size,
        }
        sink.close()


def _outcome(refusal: Refusal) -> bytes:
    return outcomes.operation_outcome([Issue("processing", f"{refusal.place}: {refusal.text}", refusal.expression)])


def stored(progress: dict[str, Any]) -> int:
    """Resources dealt with so far."""
    return sum(sum(words.values()) for words in progress.get("counts", {}).values())
