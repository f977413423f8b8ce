"""The workspace: what staff open at `/desk`. One file for each task of theirs; each has `routes()`."""

from __future__ import annotations

from starlette.routing import BaseRoute

from xinglin.web.workspace import (
    access_log,
    duplicates,
    find,
    institution,
    lists,
    opening,
    privacy,
    record,
    results,
    timeline,
    users,
)


def routes() -> list[BaseRoute]:
    families = (find, opening, record, timeline, results, lists, duplicates, institution, users, access_log, privacy)
    return [route for family in families for route in family.routes()]
