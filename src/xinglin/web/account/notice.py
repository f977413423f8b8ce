"""What an account's owner should look at, for the first page that they open."""

from __future__ import annotations

from starlette.requests import Request

from xinglin.access.identity import events
from xinglin.web.guards import house, principal


async def unseen(request: Request) -> int:
    """How many security events of the signed-in account nobody has looked at."""
    async with house(request).database.connection() as connection:
        return await events.unseen(connection, principal(request).login)
