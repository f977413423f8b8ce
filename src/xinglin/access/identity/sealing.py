"""Secrets that must be read again (of one-time codes, of ID-token keys), sealed with AES-256-GCM to their owner.

The key comes from XINGLIN_SECRET_KEY, so that a copy of the database opens nothing; without that setting the node
makes one and keeps it beside the data, which protects single rows and backups of single tables only.

A key is changed by giving the new one before the old (two lines of the file): what is new is sealed with the first,
all can be read, and `renew` seals the rest anew, after which the old one may go. A sealed text begins with the number
of its form and four bytes that tell its key, so that another cipher is another number.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from xinglin.kernel.config import Settings
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Invalid, Problem

_NONCE: Final = 12  # bytes; NIST SP 800-38D section 5.2.1.1
_SHORTEST: Final = 32  # characters of a given key


class Unreadable(Problem):
    """Sealed with another key, or changed."""

    status = 503
    default_code = "exception"


async def sealing_keys(connection: Connection, settings: Settings) -> tuple[bytes, ...]:
    """The node's keys, the one that seals first: those that were given, then its own, where it has made one."""
    given = tuple(sha256(b"xinglin sealing\0" + text.encode()).digest() for text in given_keys(settings.secret_key))
    if not given:
        await connection.execute(
            "INSERT INTO node_secret (name, value) VALUES ('sealing', $1) ON CONFLICT DO NOTHING",
            secrets.token_bytes(32),
        )
    own = await connection.fetchval("SELECT value FROM node_secret WHERE name = 'sealing'")
    return (*given, bytes(own)) if own is not None else given


def given_keys(setting: str) -> tuple[str, ...]:
    """The keys' texts: the setting itself, or the lines of the file that it names; none. Raises Invalid."""
    if not setting:
        return ()
    try:
        text = Path(setting).read_text(encoding="utf-8") if setting.startswith("/") else setting
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"XINGLIN_SECRET_KEY names a file that cannot be read: {setting}.") from error
    keys = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not keys or min(map(len, keys)) < _SHORTEST:
        raise Invalid(
            f"XINGLIN_SECRET_KEY has a key of fewer than {_SHORTEST} characters.",
            remedy="Make one: openssl rand -hex 32",
        )
    return keys


def seal(keys: Sequence[bytes], plain: bytes, owner: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return _mark(keys[0]) + nonce + AESGCM(keys[0]).encrypt(nonce, plain, owner.encode())


def unseal(keys: Sequence[bytes], sealed: bytes, owner: str) -> bytes:
    """What was sealed for this owner; Unreadable where it was for another, with another key, or changed."""
    for key in keys:
        text = sealed.removeprefix(_mark(key))  # what was sealed before there were marks has none
        with suppress(InvalidTag, ValueError):
            return AESGCM(key).decrypt(text[:_NONCE], text[_NONCE:], owner.encode())
    raise Unreadable(
        "A secret of this account cannot be read with the node's key.",
        remedy="Give XINGLIN_SECRET_KEY its former value as well, or let the person set up their codes anew.",
    )


def _mark(key: bytes) -> bytes:
    """AES-256-GCM's number here, and four bytes of the key's hash."""
    return b"\x01" + sha256(b"xinglin mark\0" + key).digest()[:4]


SEALED: Final = (("authenticator", "login", "secret"), ("oauth_key", "kid", "private"))
"""Tables of what is sealed: table, column of the owner, column of the secret."""


async def renew(connection: Connection, settings: Settings) -> int:
    """Seal with the first key what another one sealed; how many were. What no key opens is left as it is."""
    keys, done = await sealing_keys(connection, settings), 0
    for table, owner, secret in SEALED:
        rows = await connection.fetch(
            f"SELECT {owner} AS owner, {secret} AS secret FROM {table}"  # noqa: S608  names of ours
            f" WHERE substring({secret} FROM 1 FOR 5) <> $1 FOR UPDATE",
            _mark(keys[0]),
        )
        for row in rows:
            with suppress(Unreadable):
                sealed = seal(keys, unseal(keys, bytes(row["secret"]), row["owner"]), row["owner"])
                sql = f"UPDATE {table} SET {secret} = $2 WHERE {owner} = $1"  # noqa: S608
                await connection.execute(sql, row["owner"], sealed)
                done += 1
    return done
