"""Fetching a person's record through the gate: one search for each Patient resource that is the person."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xinglin.access.records import Records
from xinglin.core.rest.gate import Found
from xinglin.core.schema.decode import parse
from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.words import Resource

MOST: Final = 1000
"""Entries of one institution that a page gathers; older ones are reached by a filter on the year."""

Named = Callable[[int], tuple[str, str]]
"""An institution's key -> its Organization id and its name in the reader's language."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Resources with who holds them; `complete` is False where an institution holds more than was gathered."""

    items: list[Dated]
    complete: bool


async def gather(
    records: Records, patients: Sequence[str], types: Iterable[str], named: Named, *, query: str = "", count: int = MOST
) -> Gathered:
    """Resources of the types about a person, newest first at each institution.

    `query` is more of a query string, for parameters that all the types have.
    """
    wanted = f"_type={','.join(types)}&_count={count}" + (f"&{query}" if query else "")
    pages = await asyncio.gather(
        *(records.search(None, wanted, compartment=("Patient", patient)) for patient in patients)
    )
    items = [Dated(parse(stored.body), *named(stored.custodian)) for page in pages for stored in page.matches]
    return Gathered(items, all(page.next is None for page in pages))


async def gather_type(
    records: Records, patients: Sequence[str], type: str, named: Named, *, query: str = "", count: int = MOST
) -> Gathered:
    """The same for one type, whose own search parameters may be used: `category=laboratory&date=ge2024`."""
    wanted = f"_count={count}" + (f"&{query}" if query else "")
    pages: list[Found] = await asyncio.gather(
        *(records.search(type, wanted, compartment=("Patient", patient)) for patient in patients)
    )
    items = [Dated(parse(stored.body), *named(stored.custodian)) for page in pages for stored in page.matches]
    return Gathered(items, all(page.next is None for page in pages))


def resources(items: Iterable[Dated]) -> list[Resource]:
    return [item.resource for item in items]


def newest_first(items: Iterable[Dated]) -> list[Dated]:
    return sorted(items, key=lambda item: item.when, reverse=True)


def parsed(found: Any) -> list[dict[str, Any]]:
    """The matches of a search as JSON."""
    return [parse(stored.body) for stored in found.matches]
