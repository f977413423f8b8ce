"""Which other sites' pages may call us (CORS): those of registered apps, with a token and never with our cookies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any, Final

from xinglin.access.house import House
from xinglin.access.oauth import clients

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEPT: Final = 2.0  # seconds that the list of origins is trusted
OPEN: Final = (
    "/fhir",
    "/.well-known/",
    "/oauth/token",
    "/oauth/revoke",
    "/oauth/introspect",
    "/oauth/userinfo",
    "/oauth/jwks",
    "/oauth/style.json",
)
_PREFLIGHT: Final = (
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, accept, prefer, if-match, if-none-match, if-none-exist, if-modified-since,"
        b" x-request-id",
    ),
    (b"access-control-max-age", b"600"),
)
_EXPOSED: Final = (b"access-control-expose-headers", b"location, content-location, etag, last-modified, x-request-id")


class Origins:
    """Answers for whom a browser asks. One for each process."""

    def __init__(self) -> None:
        self._known: frozenset[str] = frozenset()
        self._until = 0.0

    async def __call__(self, house: House, origin: bytes, scope: Scope, receive: Receive, send: Send, app: App) -> None:
        """The app's answer, with the headers that let a registered origin read it; to a preflight our own."""
        allowed = await self._allows(house, origin)
        headers = [(b"vary", b"Origin")]
        if allowed:
            headers += [(b"access-control-allow-origin", origin), _EXPOSED]
        asked = {name for name, _ in scope["headers"]}
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in asked:
            headers += _PREFLIGHT if allowed else ()
            status = 204 if allowed else 403
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return

        async def labelled(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *headers]}
            await send(message)

        await app(scope, receive, labelled)

    async def _allows(self, house: House, origin: bytes) -> bool:
        if monotonic() >= self._until:
            async with house.database.connection() as connection:
                self._known = await clients.origins(connection)
            self._until = monotonic() + KEPT
        return origin.decode("latin-1") in self._known
