# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""First pages that ask alike at the same time, by one statement: what a round trip costs is shared.

    SELECT page.*, a.place FROM unnest($1::bigint[], ..) WITH ORDINALITY AS a(p1, .., place)
    CROSS JOIN LATERAL (the statement of one, its arguments taken from `a`) AS page

Only pages of one person's resources come here: they are short, so that nobody waits for a stranger's long search. A
LATERAL subquery with a LIMIT is run row by row, so that each page keeps its order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import asyncpg

from xinglin.core.search.conditions import conjuncts, person_of
from xinglin.core.search.fetching import fetch
from xinglin.core.search.prepared import Driven, Ready, prepared
from xinglin.core.search.query import Query
from xinglin.core.search.scope import ruled
from xinglin.core.search.shapes import taken_apart
from xinglin.core.search.slots import Template
from xinglin.core.store.visibility import Visibility

Wish = tuple[Sequence[Any], Sequence[Any]]
"""The values of a query and those of its asker's rule, as `Ready` has them."""
_ARGUMENT: Final = re.compile(r"\$\d+\b")


def first_page(query: Query, visibility: Visibility) -> Ready | None:
    """The search made ready where it is a first page of one person's resources of one type, and nothing else."""
    if len(query.branches) != 1 or query.page or query.includes or query.counts_only or query.total not in _UNCOUNTED:
        return None
    branch = query.branches[0]
    if person_of([part for condition in branch.conditions for part in conjuncts(condition)]) is None:
        return None  # before anything is compiled: `search` does that
    apart = taken_apart(branch)
    if apart is None:
        return None
    rule, seen = ruled(visibility)
    driven = prepared(apart[0], rule).settled
    return None if driven is None else Ready(driven, (apart[1], seen))


_UNCOUNTED: Final = (None, "none")


async def first_pages(
    connection: asyncpg.Connection, driven: Driven, limit: int, wishes: Sequence[Wish]
) -> list[list[Any]]:
    """The rows of each page, in the order of the wishes, which are of one asker: the newest rule counts for all."""
    template = driven.page(None)
    if len(wishes) > 1 and driven.shared is None:
        driven.shared = await _shared(connection, template)
    if len(wishes) == 1 or not driven.shared:
        return [await fetch(connection, *template.given((*wish, (limit,))), driven.name) for wish in wishes]
    arguments = template.given_many([values for values, _ in wishes], (wishes[-1][1], (limit,)))
    pages: list[list[Any]] = [[] for _ in wishes]
    for row in await fetch(connection, driven.shared, arguments, driven.name):
        pages[row[-1] - 1].append(row)
    return pages


async def _shared(connection: asyncpg.Connection, template: Template) -> str:
    """The statement of many; "" where an argument that differs is a list, which cannot stand in a list."""
    types = (await connection.prepare(template.sql)).get_parameters()
    if any(types[place].kind != "scalar" for place in template.of_query):
        return ""
    arrays = ", ".join(f"${place + 1}::{types[place].name}[]" for place in template.of_query)
    names = {f"${place + 1}": f"p{place + 1}" for place in template.of_query}
    page = _ARGUMENT.sub(lambda found: f"a.{names[found[0]]}" if found[0] in names else found[0], template.sql)
    return (
        f"SELECT page.*, a.place FROM unnest({arrays}) WITH ORDINALITY AS a({', '.join(names.values())}, place)"
        f" CROSS JOIN LATERAL ({page}) AS page"
    )
