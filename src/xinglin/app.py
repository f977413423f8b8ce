"""The application. A request's journey:

    granian -> Application -> who is asking (Doorkeeper) -> /fhir:  Records -> core.rest.Door -> bytes
                                                         -> pages: Starlette -> xinglin.web

The FHIR door stands beside Starlette, not behind it: a read by id costs what it must, and every answer of the door,
also the last resort, is an OperationOutcome. Pages answer errors with pages.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final
from zoneinfo import ZoneInfo

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request, cookie_parser
from starlette.responses import PlainTextResponse, Response

from xinglin import web
from xinglin.access.identity import Caller, Doorkeeper, cookie_name, cookie_settings
from xinglin.access.identity.pace import Pace
from xinglin.access.parameters import follow
from xinglin.access.records import House, Records
from xinglin.core.rest import outcomes
from xinglin.core.rest.door import SECURITY, Door, deliver
from xinglin.core.rest.exchange import Header
from xinglin.exchange.bulk.operations import OPERATIONS as BULK
from xinglin.exchange.crossreference.operations import OPERATIONS as CROSS_REFERENCE
from xinglin.kernel.config import Settings, load
from xinglin.kernel.errors import NotFound, Problem, TooLarge
from xinglin.ui.assets import static_files
from xinglin.ui.preferences import SpeakingMiddleware
from xinglin.ui.templating import SECURITY_HEADERS
from xinglin.web.oauth import Origins
from xinglin.web.oauth.discovery import security
from xinglin.web.oauth.endpoints import PATHS as ENDPOINTS
from xinglin.web.oauth.origins import OPEN

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

FHIR: Final = "/fhir"
WELL_KNOWN: Final = "/fhir/.well-known/"  # about the door, and so beside it
FORM_BYTES: Final = 1 << 20  # a page's form; records come in by /fhir
NOBODY: Final = Caller()
GARBAGE: Final = 20_000
"""Objects more than before when garbage is looked for: a request makes hundreds, which are gone when it ends."""
CLIENTS: Final = frozenset(f"/oauth/{name}" for name in ("token", "introspect", "revoke", "userinfo", "register"))
"""Where apps prove who they are, by the same header: the endpoints read it themselves, and no session counts."""
_SAFE: Final = frozenset({"GET", "HEAD"})
_PAGE_HEADERS: Final = tuple((name.encode(), value.encode()) for name, value in SECURITY_HEADERS.items())
_CLOSED: Final = tuple(header for header in SECURITY if header[0] != b"cache-control")
"""For what is no page: nothing in it is to be run, shown in a frame, or taken for what it does not say it is."""
_OWN_SITE: Final = (b"same-origin", b"none")


def application() -> Application:
    """What a server process runs; settings come from the environment."""
    built = Application(load())
    gc.collect()
    gc.freeze()  # what a process keeps for life is not looked through again while requests wait
    gc.set_threshold(GARBAGE, 20, 20)
    return built


class Application:
    """The ASGI application of one process.

    `house` may be handed in open (tests); then whoever opened it closes it.
    """

    def __init__(self, settings: Settings, house: House | None = None) -> None:
        self.settings = settings
        self.house = house
        self.doorkeeper: Doorkeeper | None = None
        self.door = Door(
            settings.public_base + FHIR,
            max_body=settings.max_body_mb << 20,
            operations=(*BULK, *CROSS_REFERENCE),
            security=security(settings),
        )
        self.origins = Origins()
        self.pace = Pace(settings.calls_at_once, settings.calls_per_second)
        self.proxies = frozenset(name.strip() for name in settings.proxies.split(",") if name.strip())
        self.pages = Starlette(
            routes=[static_files(), *web.routes()],
            exception_handlers=_exception_handlers(),
            middleware=[Middleware(SpeakingMiddleware)],
            lifespan=self._lifespan,
            max_body_size=FORM_BYTES,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.pages(scope, receive, send)  # the lifespan; nothing else is served
            return
        scope = self._from_proxy(scope)
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is not None and self.house is not None and scope["path"].startswith(OPEN):
            await self.origins(self.house, origin, scope, receive, send, self._served)
        else:
            await self._served(scope, receive, send)

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith(FHIR) and path[5:6] in ("", "/") and not path.startswith(WELL_KNOWN):
            await self._fhir(scope, receive, send)
        else:
            await self._page(scope, receive, send)

    async def _fhir(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["root_path"] = FHIR
        state = scope.setdefault("state", {})
        try:
            caller = await self._recognise(scope)
            state["records"] = self._records(scope, caller)
            if caller.principal is not None:
                self.pace.enter(caller.principal)
        except Exception as error:
            await deliver(outcomes.failed(error), scope["method"], dict(scope["headers"]), send)
            return
        try:
            await self.door(scope, receive, send)
        finally:
            if caller.principal is not None:
                self.pace.leave(caller.principal)

    def _from_proxy(self, scope: Scope) -> Scope:
        """The request as its caller sent it: the last X-Forwarded-For of a trusted proxy is who connected to it.

        Earlier ones are the caller's own words.
        """
        client = scope.get("client")
        if not self.proxies or client is None or client[0] not in self.proxies:
            return scope
        named = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        caller = named[-1].decode("latin-1").rpartition(",")[2].strip() if named else ""
        return {**scope, "client": (caller[:64], 0)} if caller else scope

    def _records(self, scope: Scope, caller: Caller) -> Records | None:
        """The gate for this caller. A session's cookie counts only for what our own pages send: no forged writes."""
        if caller.principal is None or self.house is None:
            return None
        if caller.session is not None and scope["method"] not in _SAFE:
            origin = dict(scope["headers"]).get(b"sec-fetch-site", b"none")
            if origin not in _OWN_SITE:
                return None
        return Records(self.house, caller.principal)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        state["principal"] = state["session"] = None
        state["acting"] = NOBODY.acting
        if scope["path"].startswith("/static/") or scope["path"] in ENDPOINTS:
            await self.pages(scope, receive, _guarded(send, _CLOSED))
            return
        try:
            caller = NOBODY if scope["path"] in CLIENTS else await self._recognise(scope)
            if caller.principal is not None:
                self.pace.enter(caller.principal)
        except Exception as error:
            response = web.problem_page(Request(scope), _problem(error))
            await response(scope, receive, _guarded(send, _PAGE_HEADERS))
            return
        state["principal"], state["session"] = caller.principal, caller.session
        state["acting"] = caller.acting
        clearing = self._cleared_cookie() if caller.forget_cookie else []
        # Starlette raises what it has answered already, for servers that print it; ours has logged it without values
        try:
            with suppress(Exception):
                await self.pages(scope, receive, _guarded(send, _PAGE_HEADERS, clearing))
        finally:
            if caller.principal is not None:
                self.pace.leave(caller.principal)

    def _cleared_cookie(self) -> list[Header]:
        """The header that clears a session cookie which signs nobody in."""
        response = Response()
        secure = self.settings.cookies_secure
        response.delete_cookie(cookie_name(secure), **cookie_settings(secure))
        return [header for header in response.raw_headers if header[0] == b"set-cookie"]

    async def _recognise(self, scope: Scope) -> Caller:
        """Who is asking, by bearer token or session cookie."""
        authorization: str | None = None
        cookies: list[str] = []
        language = ""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value.decode("latin-1")
            elif name == b"cookie":
                cookies.append(value.decode("latin-1"))
            elif name == b"accept-language":
                language = value.decode("latin-1")
        if authorization is None and not cookies:
            return NOBODY
        assert self.doorkeeper is not None, "the lifespan has not started"
        if authorization is not None:  # a token speaks for itself
            return await self.doorkeeper.recognise(authorization, {})
        jar = cookie_parser("; ".join(cookies))
        wanted = "__Host-xl_lang" if self.settings.cookies_secure else "xl_lang"
        language = jar.get(wanted, language) or self.settings.language
        return await self.doorkeeper.recognise(None, jar, language)

    @asynccontextmanager
    async def _lifespan(self, pages: Starlette) -> AsyncIterator[None]:
        own = None
        if self.house is None:
            own = self.house = await House.open(self.settings)
        self.doorkeeper = Doorkeeper(
            self.house.database,
            session_hours=self.settings.session_hours,
            secure=self.settings.cookies_secure,
        )
        pages.state.house = self.house
        pages.state.settings = self.settings
        pages.state.doorkeeper = self.doorkeeper
        pages.state.zone = ZoneInfo(self.settings.zone)
        following = asyncio.create_task(follow(self.house.database))
        try:
            yield
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            await self.doorkeeper.close()
            if own is not None:
                await own.close()


def _guarded(send: Send, always: Sequence[Header], clearing: Sequence[Header] = ()) -> Send:
    """Every answer has the security headers, also one that no template rendered; what is no page, the closed policy.

    `clearing` clears a dead session cookie, unless the answer sets a new one.
    """

    async def guarded(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            present = {name.lower(): value for name, value in headers}
            a_page = present.get(b"content-type", b"text/html").startswith(b"text/html")
            wanted = dict(always) if a_page else dict(always) | dict(_CLOSED)
            headers += [header for header in wanted.items() if header[0] not in present]
            set_already = {value.partition(b"=")[0] for name, value in headers if name.lower() == b"set-cookie"}
            headers += [header for header in clearing if header[1].partition(b"=")[0] not in set_already]
            message = {**message, "headers": headers}
        await send(message)

    return guarded


def _exception_handlers() -> dict[Any, Any]:
    """Every error of a page is a page; the last resort shows a number that finds the log entry."""
    return {Problem: _error_page, HTTPException: _refused_page, Exception: _error_page}


def _problem(error: Exception) -> Problem:
    return outcomes.problem_of(error) or outcomes.Unforeseen.logged(error)


async def _error_page(request: Request, error: Exception) -> Response:
    return web.problem_page(request, _problem(error))


async def _refused_page(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: no such page, a wrong method, a form too large."""
    assert isinstance(error, HTTPException)
    if error.status_code == 413:
        return web.problem_page(request, TooLarge("The form is too large.", remedy="Send less at once."))
    if error.status_code == 404:
        return web.problem_page(request, NotFound("There is no such page.", remedy="Go back, or start from home."))
    return PlainTextResponse(error.detail, error.status_code, error.headers)
