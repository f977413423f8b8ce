"""read and vread: the stored bytes, with the version's headers (http.html#read)."""

from __future__ import annotations

from xinglin.core.rest.exchange import Answer, Call, shortened
from xinglin.core.rest.negotiation import not_modified, version_headers, version_number
from xinglin.core.store.rows import Stored
from xinglin.kernel.errors import NotFound


async def read(call: Call) -> Answer:
    stored = await call.records.read(call.type, call.id)
    return served(call, stored)


async def vread(call: Call) -> Answer:
    version = version_number(call.segments[3])
    if version is None:
        raise NotFound(f"{call.type}/{call.id} has no version {shortened(call.segments[3], 20)}.")
    return served(call, await call.records.vread(call.type, call.id, version))


def served(call: Call, stored: Stored) -> Answer:
    """The resource, or 304 where the caller's copy is still current."""
    headers = call.headers
    if b"if-none-match" in headers or b"if-modified-since" in headers:
        unchanged = not_modified(stored, call.header(b"if-none-match"), call.header(b"if-modified-since"))
        if unchanged is not None:
            return unchanged
    return Answer(200, stored.body, version_headers(stored))
