"""What the gate answers with beside single versions: pages."""

from __future__ import annotations

from dataclasses import dataclass

from xinglin.core.store.rows import Stored
from xinglin.kernel.errors import Issue, NotFound


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search: only what the principal may see, also in `total`. `query` is the query as understood."""

    matches: list[Stored]
    included: list[Stored]
    total: int | None
    next: str | None
    warnings: list[Issue]
    query: str


@dataclass(frozen=True, slots=True)
class History:
    """A page of versions, newest first; `next` is the cursor of the page after."""

    rows: list[Stored]
    next: str | None
    total: int | None = None


def missing(type: str, id: str) -> NotFound:
    return NotFound(f"There is no {type}/{id}.", remedy="Check the id.")
