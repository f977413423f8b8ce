"""The process log: one format for every process of a node, on standard error, in UTC with its offset.

    2026-05-01T06:30:00.123+00:00 WARNING xinglin.access.identity.pace refused for their number: requests of ...

What is written to it, and what never is: docs/reference/policies.md.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s %(message)s"
SERVER: Final[dict[str, Any]] = {
    "formatters": {name: {"()": "xinglin.kernel.logs.InUtc", "fmt": FORMAT} for name in ("generic", "access")},
    "handlers": {
        name: {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys.stderr"}
        for name in ("console", "access")
    },
}
"""What the web server's own lines are written by (granian's log_dictconfig)."""


class InUtc(logging.Formatter):
    """Moments as ISO 8601 with milliseconds and +00:00, whatever zone the machine is set to."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def configure() -> None:
    """Warnings and what is graver go to standard error; to be called once by each process."""
    handler = logging.StreamHandler()
    handler.setFormatter(InUtc(FORMAT))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
