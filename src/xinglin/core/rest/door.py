"""The door: an ASGI application that takes a request to its interaction and its answer back.

    path -> Call -> routes.find -> who may ask, what may be served -> handler -> Answer -> bytes

Whatever goes wrong becomes an OperationOutcome here; nothing leaves as a traceback.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any, Final

from xinglin.core.rest import outcomes
from xinglin.core.rest.body import Disconnected
from xinglin.core.rest.exchange import Answer, Call, Header, Receive
from xinglin.core.rest.gate import Records
from xinglin.core.rest.negotiation import check_accept
from xinglin.core.rest.presentation import PLAIN, Presentation, indented, presentation
from xinglin.core.rest.routing import Operation, Routes
from xinglin.core.rest.table import INTERACTIONS, OPERATIONS
from xinglin.kernel.errors import Invalid

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Scope = MutableMapping[str, Any]

BEARER: Final = {"cors": False, "description": "A bearer token on every request; `xinglin token` issues one."}
GZIP_FROM: Final = 4096  # bytes; below, packing costs more time than it saves on the way
THREAD_FROM: Final = 65536  # bytes; above, packing would hold up the other requests of this process
SECURITY: Final[tuple[Header, ...]] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
)
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_NO_GZIP: Final = re.compile(rb"gzip\s*;\s*q=0(\.0*)?\s*(,|$)")


class Door:
    """base: the public URL of the FHIR root. max_body: bytes. security: CapabilityStatement.rest.security.

    The application puts a gate (`gate.Records`) at scope["state"]["records"], or None for a stranger.
    """

    def __init__(
        self,
        base: str,
        *,
        max_body: int = 64 << 20,
        operations: Sequence[Operation] = (),
        security: Mapping[str, Any] = BEARER,
    ) -> None:
        self.base = base.rstrip("/")
        self.max_body = max_body
        self.security = security
        self.routes = Routes(INTERACTIONS, (*OPERATIONS, *operations))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            call = _call(self, scope, headers, receive)
            answer = await self.answer(call)
        except Disconnected:
            return
        except Exception as error:
            answer = outcomes.failed(error)
        await deliver(answer, scope["method"], headers, send)

    async def answer(self, call: Call) -> Answer:
        """Answer a call; raises what its interaction raises. A batch sends its entries through here too."""
        shown = presentation(call.query)[0] if call.query else PLAIN
        route = self.routes.find(call)
        if not route.public and call.gate is None:
            call.records  # noqa: B018  raises Unauthenticated
        check_accept(call.headers.get(b"accept"), shown.format, route.media)
        answer = await route.handler(call)
        return answer if shown is PLAIN else _shown(answer, shown)


def _call(door: Door, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive) -> Call:
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root):
        path = path[len(root) :]
    gate: Records | None = scope["state"].get("records")
    return Call(door, scope["method"], split_path(path), query_of(scope["query_string"]), headers, gate, receive)


def query_of(raw: bytes) -> str:
    """The query as text: what a client did not percent-encode, as curl sends 王, is UTF-8."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Invalid("The query is not UTF-8.", code="value", remedy="Percent-encode it as UTF-8.") from None


def split_path(path: str) -> tuple[str, ...]:
    """The segments of a path below the base; a trailing slash is forgiven, an empty segment is not."""
    trimmed = path.removeprefix("/").removesuffix("/")
    segments = tuple(trimmed.split("/")) if trimmed else ()
    if "" in segments:
        raise Invalid("The address has an empty part.", remedy="Write [base]/[type]/[id].")
    return segments


def _shown(answer: Answer, shown: Presentation) -> Answer:
    body = answer.body
    if answer.resource_body:
        if shown.summary == "count" and body:
            raise Invalid("_summary=count is for searches.", remedy="Use _summary=true.")
        body = shown(body)
    if shown.pretty:
        body = indented(body)
    return replace(answer, body=body)


async def deliver(answer: Answer, method: str, asked: Mapping[bytes, bytes], send: Send) -> None:
    """Send an answer; `asked` are the request's headers."""
    body, headers = answer.body, [*SECURITY, *answer.headers]
    if answer.stream is not None:
        headers.append((b"content-type", answer.content_type))
    elif body:
        headers.append((b"content-type", answer.content_type))
        if len(body) >= GZIP_FROM and _takes_gzip(asked.get(b"accept-encoding")):
            body = await asyncio.to_thread(_packed, body) if len(body) >= THREAD_FROM else _packed(body)
            headers += [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    if answer.status not in (204, 304):
        headers.append((b"content-length", b"%d" % (len(body) if answer.stream is None else answer.length)))
    request_id = asked.get(b"x-request-id")
    if request_id and _REQUEST_ID.fullmatch(request_id):
        headers.append((b"x-request-id", request_id))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if answer.stream is not None and method != "HEAD":
        async for part in answer.stream:
            await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def _takes_gzip(accepted: bytes | None) -> bool:
    return accepted is not None and b"gzip" in accepted and not _NO_GZIP.search(accepted)


def _packed(body: bytes) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()
