"""`xinglin serve`: database, tables, workers, background work; and all of it down again, whatever ends it."""

from __future__ import annotations

import asyncio
import errno
import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from xinglin.access.identity import providers, sealing
from xinglin.cli import console, processes
from xinglin.cli.migrate import bring_up_to_date
from xinglin.kernel import logs
from xinglin.kernel.config import Settings
from xinglin.kernel.database import serving
from xinglin.kernel.errors import Conflict, Invalid, Problem

EXAMPLE = "Example:  XINGLIN_DATABASE_URL=postgresql://xinglin@db/xinglin xinglin serve --host 0.0.0.0 --workers 4"
READY_SECONDS = 60.0
BETWEEN_LOOKS = 1.0  # at the process of the background work
KILL_SECONDS = 10  # a worker that has not ended by then is killed

Port = Annotated[int | None, typer.Option(help="Port of pages and API; 8080 if unset.")]
Host = Annotated[str | None, typer.Option(help="Address to listen on; 127.0.0.1 if unset.")]
Home = Annotated[Path | None, typer.Option(help="Folder of the embedded database.")]
Workers = Annotated[int | None, typer.Option(min=1, max=256, help="Server processes; 2 if unset.")]


def serve(host: Host = None, port: Port = None, workers: Workers = None, home: Home = None) -> None:
    """Serve pages and the FHIR API (at /fhir) until Ctrl-C.

    Starts the embedded PostgreSQL unless XINGLIN_DATABASE_URL names a server, and brings its tables up to date.
    """
    settings = console.settings_with(host=host, port=port, workers=workers, home=home)
    require_free_port(settings)
    with stopping_on_signals(), serving(settings) as url:
        asyncio.run(bring_up_to_date(url))
        run(replace(settings, database_url=url), lambda: announce(settings))


def announce(settings: Settings) -> None:
    console.out.print(
        f"Serving at [bold]{escape(settings.public_base)}[/]  (FHIR: {escape(settings.public_base)}/fhir)"
    )
    console.out.print("Ctrl-C stops it.")


def require_free_port(settings: Settings) -> None:
    """Refuse before anything is started when the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
            probe.listen()
        except OSError as error:
            raise _unusable(settings, error) from error


def _unusable(settings: Settings, error: OSError) -> Problem:
    if error.errno == errno.EADDRINUSE:
        return Conflict(
            f"Port {settings.port} of {settings.host} is in use by another program.",
            remedy=f"Stop it, or choose another port: --port {settings.port % 65535 + 1}.",
        )
    if error.errno == errno.EACCES:
        return Invalid(f"Port {settings.port} is reserved for the administrator.", remedy="Choose one above 1023.")
    return Invalid(f"{settings.host}:{settings.port} cannot be listened on: {error.strerror or error}.")


@contextmanager
def stopping_on_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end the program as Ctrl-C does: in order."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = {one: signal.signal(one, stop) for one in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def run(settings: Settings, when_ready: Callable[[], None]) -> None:
    """Serve until a signal; `when_ready` is called once the first page has been answered."""
    providers.configured(settings)  # what is wrong with either is said before anything is served
    sealing.given_keys(settings.secret_key)
    os.environ.update(console.environment_of(settings, settings.database_url))
    multiprocessing.set_start_method("spawn", force=True)  # forked workers would hold the database folder's lock
    server = _server(settings)
    stopped = threading.Event()

    def ready() -> None:
        server.served.set()
        when_ready()

    follower = threading.Thread(target=_when_ready, args=(settings, ready, stopped))
    follower.start()
    try:
        with _woken_by_signals(server):
            server.serve()
    finally:
        stopped.set()
        follower.join()
    if not server.interrupt_signal:
        raise Problem("A server process ended unexpectedly.", remedy="Its reason is above; `xinglin doctor` may help.")
    console.err.print("Stopped.")


@contextmanager
def _woken_by_signals(server: Any) -> Iterator[None]:
    """Stop the server also when the system hands the signal to another thread than the one that waits."""
    reading, writing = socket.socketpair()
    writing.setblocking(False)
    before = signal.set_wakeup_fd(writing.fileno(), warn_on_full_buffer=False)
    ends = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}

    def watch() -> None:
        while caught := reading.recv(1):
            if caught[0] in ends:
                server.signal_handler_interrupt()

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        writing.close()
        watcher.join()
        reading.close()


def _server(settings: Settings) -> Any:
    from granian.constants import Interfaces

    from xinglin.cli.enduring import Enduring

    logging.getLogger("_granian").setLevel(logging.WARNING)
    server = Enduring(
        "xinglin.cli.processes:application",
        factory=True,
        interface=Interfaces.ASGI,
        address=settings.host,
        port=settings.port,
        workers=settings.workers,
        websockets=False,
        log_level="warning",  # type: ignore[arg-type]
        log_dictconfig=logs.SERVER,
        workers_kill_timeout=KILL_SECONDS,
        respawn_failed_workers=True,
    )
    # granian reloads on a closed terminal; here that means: stop
    server.on_startup(lambda: signal.signal(signal.SIGHUP, server.signal_handler_interrupt) and None)
    return server


def _when_ready(settings: Settings, say: Callable[[], None], stopped: threading.Event) -> None:
    """Once pages are answered: say so, and do the background work in a process of its own until told to stop."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "") else settings.host  # noqa: S104
    address = f"http://[{host}]:{settings.port}/" if ":" in host else f"http://{host}:{settings.port}/"
    until = time.monotonic() + READY_SECONDS
    while not stopped.wait(0.05) and not _answers(address):
        if time.monotonic() > until:
            console.warn(f"Nothing answers at {address} yet.")
            break
    if stopped.is_set():
        return
    say()
    helper = _helper()
    while not stopped.wait(BETWEEN_LOOKS):
        if not helper.is_alive():  # killed: the web workers are brought back by granian, this one by us
            helper = _helper()
    helper.terminate()
    helper.join()


def _helper() -> multiprocessing.Process:
    helper = multiprocessing.Process(target=processes.background, daemon=True, name="xinglin-background")
    helper.start()
    return helper


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):  # noqa: S310
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
