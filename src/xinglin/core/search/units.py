"""Units of quantities as the index holds them: the unit as written, and UCUM's canonical form where there is one."""

from __future__ import annotations

import math
from decimal import Decimal
from functools import lru_cache

from xinglin.core import ucum
from xinglin.core.search.values import CURRENCY, UCUM
from xinglin.core.store.keys import cached_hash64


def unit_hash(system: str, code: str) -> int:
    """The hash of a unit as written; 0 where there is none."""
    return cached_hash64(f"{system}|{code}") if code else 0


def unit_hashes(system: str | None, code: str) -> list[int]:
    """The hashes a query's unit may have been written as: without a system, UCUM, a currency, or plain text."""
    return [unit_hash(known, code) for known in ((system,) if system else ("", UCUM, CURRENCY))]


@lru_cache(maxsize=16384)
def _canonical(value: float, code: str) -> tuple[float, str] | None:
    found = ucum.canonical(Decimal(repr(value)), code)
    return None if found is None else (float(found[0]), found[1])


def canonical_bounds(low: float, high: float, system: str, code: str) -> tuple[int, float, float]:
    """(hash of the canonical unit, low, high); (0, 0, 0) where UCUM knows no conversion."""
    if system not in ("", UCUM) or not code:
        return 0, 0.0, 0.0
    first = _end(low, code)
    last = first if high == low else _end(high, code)
    if first is None or last is None:
        return 0, 0.0, 0.0
    return cached_hash64(f"canonical|{first[1]}"), first[0], last[0]


def _end(value: float, code: str) -> tuple[float, str] | None:
    if math.isinf(value):
        one = _canonical(1.0, code)
        return None if one is None else (value, one[1])
    return _canonical(value, code)
