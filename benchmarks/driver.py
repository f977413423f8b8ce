"""A small HTTP load driver: N keep-alive connections on one event loop, each asking again when it is answered.

It parses no more of an answer than it must (status and length), so that on two cores it leaves the server its share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle


@dataclass(frozen=True, slots=True)
class Report:
    """What a run showed. Latencies in milliseconds; `wrong` counts answers other than 2xx."""

    requests: int
    seconds: float
    p50: float
    p99: float
    wrong: int
    received: int

    @property
    def rate(self) -> float:
        return self.requests / self.seconds

    def line(self, name: str) -> str:
        wrong = f"  {self.wrong} wrong" if self.wrong else ""
        return f"{name:44} {self.rate:9,.0f}/s  p50 {self.p50:7.2f} ms  p99 {self.p99:7.2f} ms{wrong}"


class _Connection(asyncio.Protocol):
    def __init__(self, ask: Callable[[], bytes | None], done: Callable[[float, int, int], None]) -> None:
        self._ask, self._done = ask, done
        self._buffer = bytearray()
        self._need = -1
        self._started = 0.0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._next()

    def _next(self) -> None:
        request = self._ask()
        if request is None:
            self._transport.close()
            return
        self._started = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._need < 0:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            place = head.find(b"content-length:")
            length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
            self._status = int(head[9:12])
            self._need = end + 4 + length
        if len(self._buffer) >= self._need:
            self._done(time.perf_counter() - self._started, self._status, self._need)
            del self._buffer[: self._need]
            self._need = -1
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def request(method: str, path: str, token: str = "", body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    """One HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Accept: application/fhir+json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body or method in ("POST", "PUT"):
        lines += ["Content-Type: application/fhir+json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def _run(port: int, asks: Iterator[bytes], clients: int, seconds: float) -> Report:
    latencies: list[float] = []
    wrong = received = 0
    start = time.perf_counter()
    end = start + seconds

    def ask() -> bytes | None:
        return next(asks) if time.perf_counter() < end else None

    def done(latency: float, status: int, size: int) -> None:
        nonlocal wrong, received
        latencies.append(latency)
        received += size
        wrong += not 200 <= status < 300

    loop = asyncio.get_running_loop()
    pairs = [await loop.create_connection(lambda: _Connection(ask, done), "127.0.0.1", port) for _ in range(clients)]
    await asyncio.gather(*(protocol.closed for _, protocol in pairs))
    took = time.perf_counter() - start
    latencies.sort()
    n = len(latencies)
    return Report(n, took, latencies[n // 2] * 1000, latencies[min(n - 1, n * 99 // 100)] * 1000, wrong, received)


def run(port: int, requests: list[bytes] | Iterator[bytes], *, clients: int = 32, seconds: float = 5.0) -> Report:
    """Ask for `seconds` with `clients` connections; a list of requests is repeated in turn."""
    import uvloop

    asks = cycle(requests) if isinstance(requests, list) else requests
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(port, asks, clients, seconds))
