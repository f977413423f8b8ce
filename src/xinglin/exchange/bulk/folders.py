"""The files of a job on disk: below the node's home, readable by its user alone, removed with the job."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from uuid import UUID

from xinglin.kernel.config import Settings

READ_BYTES = 1 << 18


class Folder:
    """The folder of one job. Names of files are ours alone: nothing a caller sends becomes part of a path."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, settings: Settings, kind: str, job: UUID) -> Folder:
        return cls(settings.home / f"{kind}s" / str(job))

    def make(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.parent.chmod(0o700)

    async def put(self, name: str, text: bytes) -> None:
        """A whole file, on disk when this returns."""
        self.make()
        sink = self.append(name, 0)
        try:
            sink.write([text.rstrip(b"\n")])
            await sink.settle()
        finally:
            sink.close()

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def append(self, name: str, size: int) -> Sink:
        """The file, cut to the `size` that is known to be whole: what a process that died wrote beyond is dropped."""
        return Sink(self.path / name, size)


class Sink:
    """A file of lines that grows."""

    def __init__(self, path: Path, size: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.ftruncate(self._file, size)
        os.lseek(self._file, size, os.SEEK_SET)
        self.size = size

    def write(self, lines: Sequence[bytes]) -> None:
        if lines:
            text = b"\n".join(lines)
            left = memoryview(b"%b\n" % text)
            self.size += len(left)
            while left:
                left = left[os.write(self._file, left) :]

    async def settle(self) -> None:
        """Return once all of it is on disk."""
        await asyncio.to_thread(os.fsync, self._file)

    def close(self) -> None:
        os.close(self._file)


async def parts(path: Path, size: int, start: int = 0) -> AsyncIterator[bytes]:
    """`size` bytes of a file, in pieces."""
    with path.open("rb") as file:
        file.seek(start)
        while size and (piece := await asyncio.to_thread(file.read, min(READ_BYTES, size))):
            size -= len(piece)
            yield piece
