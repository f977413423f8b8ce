"""The limits beside which our reads stand: granian alone, and the same SELECT through asyncpg alone.

`/hello` needs no database. `/r/<key>` serves a body by primary key; `/o/<hash>/<person>` a person's newest
twenty by code.
"""

from __future__ import annotations

import os
from typing import Any

import asyncpg

BY_KEY = "SELECT body FROM resource WHERE key = $1"
NEWEST = (
    "SELECT r.body FROM (SELECT key, date FROM token WHERE hash = $1 AND person = $2"
    " ORDER BY date DESC, key LIMIT 20) t JOIN resource r USING (key) ORDER BY t.date DESC, t.key"
)


class Bare:
    def __init__(self) -> None:
        self.pool: Any = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._lifespan(receive, send)
            return
        kind, *rest = scope["path"].strip("/").split("/")
        if kind == "r":
            body = await self.pool.fetchval(BY_KEY, int(rest[0]))
        elif kind == "o":
            rows = await self.pool.fetch(NEWEST, int(rest[0]), int(rest[1]))
            body = b"[" + b",".join(row[0] for row in rows) + b"]"
        else:
            body = b"hello"
        headers = [(b"content-type", b"application/fhir+json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.pool = await asyncpg.create_pool(os.environ["XINGLIN_DATABASE_URL"], min_size=4, max_size=12)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.pool.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def application() -> Bare:
    return Bare()
