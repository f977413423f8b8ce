"""The hashes that open token rows: one function for each kind of row, used by ingest and by queries alike."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from typing import Final

from xinglin.core.store.keys import hash64

MANY: Final = 2
"""`token.system` of a code that stands under several systems at one path: each then has a `system_row`."""


@lru_cache(maxsize=65536)
def token_hash(path: int, code: str) -> int:
    """The row of a code at a path; its system stands beside it."""
    return hash64(f"{path}|{code}")


def system_row(path: int, system: int, code: str) -> int:
    """The row of a code under one of several systems; `system` is the 32-bit hash."""
    return hash64(f"{path}|\0{system}|{code}")


def any_of_system(path: int, system: str) -> int:
    """The row that an identifier of a system leaves whatever its value."""
    return hash64(f"{path}|\0system|{system}")


def of_type_hash(path: int, system: str, code: str, value: str) -> int:
    """The row of an identifier with its type, for `:of-type`."""
    return hash64(f"{path}|\0type|{system}|{code}|{value}")


def identifier_hash(path: int, value: str) -> int:
    """The row of a reference's logical identifier, for `:identifier`; its system stands beside it."""
    return hash64(f"{path}|\0identifier|{value}")


LONGEST_PREFIX: Final = 8
"""Characters of a name's folded text up to which every beginning has a row: what people type to find somebody."""


@lru_cache(maxsize=65536)
def prefix_hash(path: int, text: str) -> int:
    """The row of whatever starts with a folded text; a hash that PostgreSQL can compute too (0003_names.sql)."""
    digest = sha256(f"{path}|{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


@lru_cache(maxsize=4096)
def text_path(path: int) -> int:
    """The path of the texts of a token path, for `:text`."""
    return hash64(f"{path}|text")


@lru_cache(maxsize=65536)
def composite_path(path: int, code: str) -> int:
    """The path of a composite's later components below a first component's code."""
    return hash64(f"{path}|{code}")


@lru_cache(maxsize=65536)
def composite_system_path(path: int, system: int, code: str) -> int:
    """The same, below a code of one system (its 32-bit hash; 0: none)."""
    return hash64(f"{path}|{system}|{code}")
