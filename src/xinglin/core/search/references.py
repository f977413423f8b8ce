"""How a written reference is compared: relative to this server where it can be, without its version."""

from __future__ import annotations

from functools import lru_cache

from xinglin.core.schema.definitions import resource_types
from xinglin.core.store.keys import cached_hash64


@lru_cache(maxsize=65536)
def local_reference(text: str, base: str = "") -> str:
    """ "Type/id" where the text means a resource of this server, else the text; "" for what is inside the resource."""
    if text.startswith("#"):
        return ""
    if base and text.startswith(base):
        text = text[len(base) :].lstrip("/")
    if ":" in text:
        return text
    parts = text.split("/")
    if len(parts) >= 4 and parts[2] == "_history":
        parts = parts[:2]
    return "/".join(parts)


@lru_cache(maxsize=65536)
def reference_hashes(target: str) -> tuple[int, ...]:
    """The hashes a reference can be asked by: itself, and a canonical's URL without its version."""
    if not target:
        return ()
    plain = target.partition("|")[0] if "|" in target else target
    return (cached_hash64(target),) if plain == target else (cached_hash64(target), cached_hash64(plain))


@lru_cache(maxsize=1)
def known_types() -> frozenset[str]:
    return frozenset(resource_types())


def typed(target: str) -> tuple[str, str] | None:
    """(type, id) of a relative reference, else None."""
    name, slash, identifier = target.partition("/")
    return (name, identifier) if slash and name in known_types() and "/" not in identifier else None
