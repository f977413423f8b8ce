"""A small HTTP load driver: N keep-alive connections on one event loop, each asking again when it is answered.

A connection follows a script, a generator that yields requests and is sent the answers: a list of requests repeated
(`run`), or a conversation in which later requests depend on earlier answers (`converse`). It parses no more of an
answer than it must, so that on two cores it leaves the server its share.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from itertools import cycle


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    head: bytes
    body: bytes


Script = Generator[bytes, Answer, None]


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


@dataclass(slots=True)
class _Tally:
    latencies: list[float] = field(default_factory=list)
    wrong: int = 0
    received: int = 0

    def note(self, latency: float, answer: Answer) -> None:
        self.latencies.append(latency)
        self.received += len(answer.head) + len(answer.body)
        self.wrong += not 200 <= answer.status < 300

    def report(self, seconds: float) -> Report:
        ordered, n = sorted(self.latencies), len(self.latencies)
        p50, p99 = ordered[n // 2], ordered[min(n - 1, n * 99 // 100)]
        return Report(n, seconds, p50 * 1000, p99 * 1000, self.wrong, self.received)


class _Connection(asyncio.Protocol):
    def __init__(self, script: Script, tally: _Tally) -> None:
        self._script, self._tally = script, tally
        self._buffer = bytearray()
        self._head = b""
        self._need = -1
        self._started = 0.0
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._ask(None)

    def _ask(self, answer: Answer | None) -> None:
        try:
            request = self._script.send(answer)  # type: ignore[arg-type]
        except StopIteration:
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
            self._head = bytes(self._buffer[:end])
            self._need = end + 4 + _length(self._head)
        if len(self._buffer) >= self._need:
            body = bytes(self._buffer[len(self._head) + 4 : self._need])
            answer = Answer(int(self._head[9:12]), self._head, body)
            self._tally.note(time.perf_counter() - self._started, answer)
            del self._buffer[: self._need]
            self._need = -1
            self._ask(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)


def _length(head: bytes) -> int:
    lower = head.lower()
    place = lower.find(b"content-length:")
    if place < 0 and b"transfer-encoding" in lower:
        raise SystemExit("the driver reads answers of a stated length only")
    return int(lower[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0


def request(method: str, path: str, token: str = "", body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    """One HTTP/1.1 request as bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", "Accept: application/fhir+json"]
    if token:
        lines.append(f"Authorization: Bearer {token}")
    if body or method in ("POST", "PUT"):
        lines += ["Content-Type: application/fhir+json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def _converse(port: int, scripts: list[Script]) -> Report:
    tally = _Tally()
    start = time.perf_counter()
    loop = asyncio.get_running_loop()
    pairs = [
        await loop.create_connection(lambda script=script: _Connection(script, tally), "127.0.0.1", port)  # type: ignore[misc]
        for script in scripts
    ]
    await asyncio.gather(*(protocol.closed for _, protocol in pairs))
    return tally.report(time.perf_counter() - start)


def converse(port: int, conversation: Callable[[], Script], *, clients: int = 32, seconds: float = 5.0) -> Report:
    """Each of the clients holds one conversation after another until `seconds` are over; the last is ended."""
    import uvloop

    end = time.perf_counter() + seconds

    def script() -> Script:
        while time.perf_counter() < end:
            yield from conversation()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_converse(port, [script() for _ in range(clients)]))


def run(port: int, requests: list[bytes] | Iterator[bytes], *, clients: int = 32, seconds: float = 5.0) -> Report:
    """Ask for `seconds` with `clients` connections; a list of requests is repeated in turn."""
    asks = cycle(requests) if isinstance(requests, list) else requests

    def ask() -> Script:
        yield next(asks)

    return converse(port, ask, clients=clients, seconds=seconds)
