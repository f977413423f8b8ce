"""Guessing passwords is made slow: after some free tries, each failure doubles the wait.

Counted in the database, so that all workers count together, and before the password is looked at, so that a hundred
tries sent at once are not a hundred tries for free. Three subjects are counted for a password (LIMITS). The
account-wide one caps low and does not apply where the account has signed in from before: strangers cannot lock its
owner out. An attempt refused for its time is not counted: who waits as told gets in.

The code of a second step has six digits, and whoever tries it knows the password already: it is counted by account
alone, with long waits.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import TooMany


@dataclass(frozen=True, slots=True)
class Limit:
    """free: failures before any wait. first, cap: seconds of the first and of the longest wait."""

    free: int
    first: int
    cap: int


log = logging.getLogger(__name__)

LIMITS: Final = {
    "pair": Limit(free=5, first=2, cap=900),  # one account from one address
    "account": Limit(free=20, first=2, cap=60),  # one account from anywhere: many addresses working together
    "address": Limit(free=50, first=2, cap=900),  # one address at any account; a hospital may share one
    "code": Limit(free=5, first=30, cap=3600),  # six digits, three of them right: a day's guessing finds one in 10,000
}
DOOR_EVERY: Final = timedelta(seconds=0.5)  # what one address may begin for long; a hospital may share one
DOOR_AT_ONCE: Final = 200
FORGET: Final = timedelta(hours=24)  # failures older than this no longer count
KNOWN_FOR: Final = timedelta(days=30)  # an address stays an account's own this long after a sign-in


class TooManySignIns(TooMany):
    """retry_after: seconds, for the header Retry-After."""

    def __init__(self, retry_after: int) -> None:
        self.retry_after = retry_after
        waiting = f"{retry_after} seconds" if retry_after < 120 else f"{-(-retry_after // 60)} minutes"
        super().__init__(f"Too many sign-ins have failed. Please wait {waiting}.", remedy="Then try again.")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one sign-in is counted under: hashes, so that a password typed as login is not kept."""

    pair: bytes
    account: bytes
    address: bytes

    @classmethod
    def of(cls, login: str, address: str) -> Attempt:
        return cls(_subject("pair", login, address), _subject("account", login), _subject("address", address))


def _subject(*parts: str) -> bytes:
    return sha256("\0".join(parts).encode("utf-8", "surrogatepass")).digest()


def wait_after(limit: Limit, failures: int) -> int:
    """Seconds to wait after so many failures."""
    over = failures - limit.free
    return 0 if over <= 0 else min(limit.cap, limit.first * 2 ** min(over - 1, 30))


_COUNT = """
INSERT INTO sign_in_failure AS f (subject, failures, last, until) VALUES ($1, 1, $2, $2)
ON CONFLICT (subject) DO UPDATE
   SET failures = CASE WHEN f.last < $3 THEN 1 ELSE f.failures + 1 END, last = $2
RETURNING failures, until, known
"""


async def enter(database: Database, attempt: Attempt) -> None:
    """Count the attempt as a failure in advance, or raise TooManySignIns; `succeeded` takes it back."""
    now = clock.now()
    async with database.transaction() as connection:
        pair = await _count(connection, "pair", attempt.pair, now)
        own_address = pair["known"] is not None and pair["known"] > now - KNOWN_FOR
        if not own_address:
            await _count(connection, "account", attempt.account, now)
        await _count(connection, "address", attempt.address, now)


async def _count(connection: Connection, kind: str, subject: bytes, now: datetime) -> Any:
    row = await connection.fetchrow(_COUNT, subject, now, now - FORGET)
    if row["until"] > now:
        raise TooManySignIns(int((row["until"] - now).total_seconds()) + 1)  # rolls the count back
    seconds = wait_after(LIMITS[kind], row["failures"])
    if seconds:
        log.warning("after %s failed sign-ins one %s waits %s s", row["failures"], kind, seconds)
    until = now + timedelta(seconds=seconds)
    await connection.execute("UPDATE sign_in_failure SET until = $2 WHERE subject = $1", subject, until)
    return row


async def enter_code(database: Database, login: str) -> None:
    """The same for a second step's code; `code_was_right` takes it back."""
    async with database.transaction() as connection:
        await _count(connection, "code", _subject("code", login), clock.now())


async def code_was_right(connection: Connection, login: str) -> None:
    await connection.execute("DELETE FROM sign_in_failure WHERE subject = $1", _subject("code", login))


_KNOCK = """
INSERT INTO sign_in_failure AS f (subject, failures, last, until)
VALUES ($1, 0, $2::timestamptz, $2::timestamptz + $3::interval)
ON CONFLICT (subject) DO UPDATE SET last = $2::timestamptz, until = greatest(f.until, $2::timestamptz) + $3::interval
RETURNING until
"""


async def knock(database: Database, address: str) -> None:
    """Let an address begin what costs us a row, so many at once and then so many in a second (a leaking bucket:
    `until` is when all that was begun has leaked away). Raises TooManySignIns.
    """
    now = clock.now()
    async with database.transaction() as connection:
        until = await connection.fetchval(_KNOCK, _subject("door", address), now, DOOR_EVERY)
        over = until - now - DOOR_EVERY * DOOR_AT_ONCE
        if over > timedelta(0):
            raise TooManySignIns(int(over.total_seconds()) + 1)  # rolls the count back


async def forgiven(connection: Connection, attempt: Attempt) -> None:
    """The password was right but more is asked: the attempt counts for nothing, and proves no address to be known."""
    await connection.execute(
        "UPDATE sign_in_failure SET failures = greatest(failures - 1, 0), until = $2 WHERE subject = ANY($1::bytea[])",
        *([attempt.pair, attempt.account, attempt.address], clock.now()),
    )


async def succeeded(connection: Connection, attempt: Attempt) -> None:
    """The password was right: the account starts afresh; the address is only forgiven this one attempt."""
    now = clock.now()
    await connection.execute(
        "UPDATE sign_in_failure SET failures = 0, until = $2, known = $2 WHERE subject = $1", attempt.pair, now
    )
    await connection.execute("DELETE FROM sign_in_failure WHERE subject = $1", attempt.account)
    await connection.execute(
        "UPDATE sign_in_failure SET failures = greatest(failures - 1, 0), until = $2 WHERE subject = $1",
        *(attempt.address, now),
    )


async def sweep(connection: Connection) -> None:
    """Forget what no longer counts."""
    now = clock.now()
    await connection.execute(
        "DELETE FROM sign_in_failure WHERE last < $1 AND (known IS NULL OR known < $2)", now - FORGET, now - KNOWN_FOR
    )
