"""The one clock: everything that asks for the time asks here, so that tests may hold it still."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_source: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731


def now() -> datetime:
    """The time now, in UTC, to the microsecond."""
    return _source()


def micros(moment: datetime) -> int:
    """Microseconds since 1970, the unit of every time the store keeps."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def from_micros(count: int) -> datetime:
    return EPOCH + timedelta(microseconds=count)


def instant(count: int) -> str:
    """FHIR instant of microseconds since 1970, to the millisecond."""
    return from_micros(count).isoformat(timespec="milliseconds")[:-6] + "Z"


def set_source(source: Callable[[], datetime] | None) -> None:
    """Replace the clock in a test; None puts the real one back."""
    global _source
    _source = source or (lambda: datetime.now(UTC))
