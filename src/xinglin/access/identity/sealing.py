"""Secrets that must be read again (of one-time codes), sealed with AES-256-GCM to the account that they belong to.

The key comes from XINGLIN_SECRET_KEY, so that a copy of the database opens nothing; without that setting the node
makes one and keeps it beside the data, which protects single rows and backups of single tables only.
"""

from __future__ import annotations

import secrets
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


async def sealing_key(connection: Connection, settings: Settings) -> bytes:
    """The node's key: as it was given, or its own."""
    given = given_key(settings.secret_key)
    if given:
        return sha256(b"xinglin sealing\0" + given.encode()).digest()
    await connection.execute(
        "INSERT INTO node_secret (name, value) VALUES ('sealing', $1) ON CONFLICT DO NOTHING", secrets.token_bytes(32)
    )
    return bytes(await connection.fetchval("SELECT value FROM node_secret WHERE name = 'sealing'"))


def given_key(setting: str) -> str:
    """The key's text: the setting itself, or of the file that it names; "" for none. Raises Invalid."""
    if not setting:
        return ""
    try:
        text = Path(setting).read_text(encoding="utf-8").strip() if setting.startswith("/") else setting
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"XINGLIN_SECRET_KEY names a file that cannot be read: {setting}.") from error
    if len(text) < _SHORTEST:
        raise Invalid(
            f"XINGLIN_SECRET_KEY has fewer than {_SHORTEST} characters.", remedy="Make one: openssl rand -hex 32"
        )
    return text


def seal(key: bytes, plain: bytes, owner: str) -> bytes:
    nonce = secrets.token_bytes(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, owner.encode())


def unseal(key: bytes, sealed: bytes, owner: str) -> bytes:
    """What was sealed for this owner; Unreadable where it was for another, with another key, or changed."""
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE], sealed[_NONCE:], owner.encode())
    except (InvalidTag, ValueError) as error:
        raise Unreadable(
            "A secret of this account cannot be read with the node's key.",
            remedy="Give XINGLIN_SECRET_KEY its former value, or let the person set up their codes anew.",
        ) from error
