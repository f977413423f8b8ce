"""The 64-bit keys of the store: stable hashes, so that rows can refer to what is not loaded yet.

BLAKE2b with an 8-byte digest: a second id with a given key costs 2^64 tries, and the one place where a chance
collision could matter, creating a resource, checks the id beside the key and refuses.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Final

from xinglin.core.schema.definitions import resource_types

NO_DATE: Final = -(2**63)
"""The headline date of a resource that has none: last in the default order."""

TYPE_NUMBERS: Final[dict[str, int]] = {name: number for number, name in enumerate(sorted(resource_types()), 1)}
TYPE_NAMES: Final[dict[int, str]] = {number: name for name, number in TYPE_NUMBERS.items()}


def hash64(text: str) -> int:
    """Signed 64-bit hash of a text, as PostgreSQL's bigint."""
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big", signed=True)


@lru_cache(maxsize=65536)
def cached_hash64(text: str) -> int:
    """`hash64` for texts that recur: codes, systems, paths."""
    return hash64(text)


def key_of(resource_type: str, resource_id: str) -> int:
    """The key of a resource: the hash of its relative reference."""
    return hash64(f"{resource_type}/{resource_id}")


def reference_key(reference: str) -> int:
    """The key of a relative reference such as "Patient/123" (no version, no base)."""
    return hash64(reference)


@lru_cache(maxsize=4096)
def system_hash(system: str | None) -> int:
    """Signed 32-bit hash of a code system's URI; 0 where there is none."""
    if not system:
        return 0
    digest = blake2b(system.encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "big", signed=True) or 1
