"""Files to units: found in folders, unpacked while read, cut into pieces of bounded size.

Memory stays flat however large the input: a line or a document longer than the limit is refused with its place,
and lines travel in groups of bounded size.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import msgspec

from xinglin.exchange.loading.entries import Unit
from xinglin.exchange.loading.report import Refusal
from xinglin.kernel.errors import Invalid

STANDARD_INPUT = "-"
LINES = (".ndjson", ".jsonl")
DOCUMENTS = (".json",)
GROUP_LINES = 400
GROUP_BYTES = 1 << 20
BUFFER = 1 << 18
DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)
BOM = b"\xef\xbb\xbf"


class BufferedStream(Protocol):
    """What is asked of a file, a pipe or a gzip stream within either."""

    def peek(self, size: int, /) -> bytes: ...
    def read(self, size: int, /) -> bytes: ...
    def readline(self, size: int, /) -> bytes: ...
    def tell(self) -> int: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A file to read; `path` is None for standard input. `lines`: its name says one resource a line."""

    name: str
    path: Path | None
    size: int
    lines: bool


def find(paths: Iterable[str]) -> list[Source]:
    """The files named, and those of the folders named: .json, .ndjson, .jsonl, each also .gz, in order of name."""
    found: list[Source] = []
    for given in paths:
        if given == STANDARD_INPUT:
            found.append(Source("standard input", None, 0, False))
        elif Path(given).is_dir():
            found.extend(_of_file(path) for path in sorted(Path(given).rglob("*")) if _is_ours(path))
        elif Path(given).exists():
            found.append(_of_file(Path(given)))
        else:
            raise Invalid(f"{given} does not exist.", remedy="Name a file, a folder, or - for standard input.")
    if not found:
        raise Invalid(
            f"No FHIR file is in {', '.join(paths)}.",
            remedy="Files end in .json, .ndjson or .jsonl, or these with .gz.",
        )
    return found


def _of_file(path: Path) -> Source:
    return Source(str(path), path, path.stat().st_size, _plain_suffix(path) in LINES)


def _is_ours(path: Path) -> bool:
    return _plain_suffix(path) in LINES + DOCUMENTS and path.is_file()


def _plain_suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return Path(name).suffix


class Reader:
    """Reads sources into units, and knows how far it is (`position` of `total` bytes of the files)."""

    def __init__(self, sources: list[Source], custodian: str, limit: int) -> None:
        self.sources = sources
        self.custodian = custodian
        self.limit = limit  # bytes of one line or one document
        self.total = sum(source.size for source in sources)
        self._before = 0
        self._raw: BufferedStream | None = None

    @property
    def position(self) -> int:
        return self._before + (self._raw.tell() if self._raw else 0)

    def __iter__(self) -> Iterator[Unit | Refusal]:
        for source in self.sources:
            try:
                yield from self._read(source)
            except DAMAGED as error:
                yield Refusal(source.name, f"The gzip data is damaged or cut off: {error}. What came before was read.")
            except OSError as error:
                yield Refusal(source.name, f"The file cannot be read: {error.strerror or error}.")
            finally:
                self._close(source)

    def _close(self, source: Source) -> None:
        if self._raw:
            self._raw.close()
        self._raw = None
        self._before += source.size

    def _read(self, source: Source) -> Iterator[Unit | Refusal]:
        stream: BufferedStream = cast(Any, sys.stdin.buffer)
        if source.path is not None:
            stream = self._raw = cast(Any, source.path.open("rb", BUFFER))
        if stream.peek(2)[:2] == b"\x1f\x8b":
            stream = io.BufferedReader(gzip.GzipFile(fileobj=cast(Any, stream)), BUFFER)
        first = stream.readline(self.limit + 1).removeprefix(BOM)
        if not first:
            yield Refusal(source.name, "The file is empty.")
        elif source.lines or len(first) > self.limit or _is_complete(first):
            yield from self._groups(source, stream, first)
        else:
            yield self._document(source, stream, first)

    def _document(self, source: Source, stream: BufferedStream, first: bytes) -> Unit | Refusal:
        text = first + stream.read(self.limit + 1 - len(first))
        if len(text) > self.limit:
            return Refusal(source.name, f"The document is larger than {_mebibytes(self.limit)}. {TOO_LONG_REMEDY}")
        return Unit(source.name, self.custodian, ((None, text),))

    def _groups(self, source: Source, stream: BufferedStream, first: bytes) -> Iterator[Unit | Refusal]:
        """Lines in groups of bounded size; where the data is damaged, what was complete before is handed on first."""
        group: list[tuple[int | None, bytes]] = []
        size = 0
        try:
            for number, line in self._lines(stream, first):
                if line is None:
                    text = f"The line is longer than {_mebibytes(self.limit)}. {TOO_LONG_REMEDY}"
                    yield Refusal(source.name, text, number)
                    continue
                group.append((number, line))
                size += len(line)
                if len(group) >= GROUP_LINES or size >= GROUP_BYTES:
                    yield Unit(source.name, self.custodian, tuple(group))
                    group, size = [], 0
        except DAMAGED:
            if group:
                yield Unit(source.name, self.custodian, tuple(group))
            raise
        if group:
            yield Unit(source.name, self.custodian, tuple(group))

    def _lines(self, stream: BufferedStream, line: bytes) -> Iterator[tuple[int, bytes | None]]:
        """Each line that is not blank with its number; None stands for one that is too long."""
        number = 1
        while line:
            if len(line) > self.limit:
                while line and not line.endswith(b"\n"):
                    line = stream.readline(BUFFER)
                yield number, None
            elif text := line.strip():
                yield number, text
            line = stream.readline(self.limit + 1)
            number += 1


TOO_LONG_REMEDY = "Split it, or raise --max-mb."


def _mebibytes(count: int) -> str:
    return f"{count / (1 << 20):g} MiB"


def _is_complete(line: bytes) -> bool:
    """Whether the line is a whole JSON object: then the source holds one resource a line."""
    if not line.lstrip().startswith(b"{"):
        return False
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except msgspec.DecodeError:
        return False
    return True
