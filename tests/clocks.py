"""A clock that stands until a test moves it (the fixture `time` of conftest)."""

from __future__ import annotations

from datetime import UTC, datetime

START = datetime(2026, 3, 1, 8, tzinfo=UTC)


class Time:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now
