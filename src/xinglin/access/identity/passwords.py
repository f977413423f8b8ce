"""Passwords: argon2id, hashed in a thread so that other requests go on meanwhile."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterable
from functools import cache
from typing import Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from xinglin.access.identity.guessable import Why, guessable
from xinglin.kernel.errors import Unprocessable

SHORTEST: Final = 8  # NIST SP 800-63B section 3.1.1
LONGEST: Final = 256  # characters; hashing an endless one would be a way to tire the node

# RFC 9106's memory is twice ours; OWASP's second recommendation, which a clinic's laptop bears too: 19 MiB, 2 passes.
_HASHER: Final = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE: Final = 2  # hashes per process: bounds memory and leaves a core for everybody else
WHY: Final = {
    Why.COMMON: "This password is one of those that are tried first.",
    Why.OWN: "This password is made of your login, your name, your institution or words of the trade.",
    Why.SHAPE: "This password is a date, a number of a person, a row of keys or a repetition.",
}
_turns: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}


def check_new(password: str, words: Iterable[str] = ()) -> None:
    """Refuse a password that is too short, too long, or easily guessed of whom these words belong to. Takes 1 ms."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise Unprocessable(
            f"The password has {len(password)} characters.", remedy=f"Choose one of {SHORTEST} to {LONGEST} characters."
        )
    found = guessable(password, words)
    if found is not None:
        raise Unprocessable(WHY[found], remedy="Choose several words that only you connect.")


async def hash_password(password: str) -> str:
    """The encoded argon2id hash, with its salt and parameters."""
    async with _turn():
        return await asyncio.to_thread(_HASHER.hash, password)


async def matches(encoded: str | None, password: str) -> bool:
    """Whether the password is the one that was hashed. Without a hash the same work is done, for the same time."""
    async with _turn():
        right = await asyncio.to_thread(_verify, encoded or _nobody(), password[: LONGEST + 1])
    return right and encoded is not None


def is_outdated(encoded: str) -> bool:
    """Whether the hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(encoded)


def _verify(encoded: str, password: str) -> bool:
    try:
        return _HASHER.verify(encoded, password)
    except (VerificationError, InvalidHashError):
        return False


@cache
def _nobody() -> str:
    return _HASHER.hash(secrets.token_urlsafe(32))


def _turn() -> asyncio.Semaphore:
    loop = asyncio.get_running_loop()
    if loop not in _turns:
        _turns.clear()  # a loop that has ended keeps nothing
        _turns[loop] = asyncio.Semaphore(_AT_ONCE)
    return _turns[loop]
