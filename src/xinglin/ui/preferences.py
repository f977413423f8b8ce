"""How this person wants pages: language and view (standard or elder), by link, then cookie, then browser.

`SpeakingMiddleware` makes the language and the clinic's zone hold for the whole request, so that `_` and the
formatters also serve a page's own Python.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from xinglin.ui import i18n
from xinglin.ui.csrf import cookie, over_tls

VIEWS = ("standard", "elder")
YEAR = 365 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Preferences:
    lang: str
    view: str
    chosen: tuple[tuple[str, str], ...] = ()
    """(cookie without prefix, value) pairs that this very request asked for and the response must keep."""

    @property
    def elder(self) -> bool:
        return self.view == "elder"


def preferences(request: Request) -> Preferences:
    asked_lang, asked_view = request.query_params.get("lang"), request.query_params.get("view")
    chosen = []
    if asked_lang in i18n.LANGUAGES:
        chosen.append(("xl_lang", asked_lang))
    if asked_view in VIEWS:
        chosen.append(("xl_view", asked_view))
    asked = dict(chosen)
    lang = asked.get("xl_lang") or request.cookies.get(cookie(request, "xl_lang"), "")
    if lang not in i18n.LANGUAGES:
        lang = i18n.negotiate(request.headers.get("accept-language", ""))
    view = asked.get("xl_view") or request.cookies.get(cookie(request, "xl_view"), "")
    return Preferences(lang, view if view in VIEWS else "standard", tuple(chosen))


def remember(request: Request, response: Response, wanted: Preferences) -> None:
    secure = over_tls(request)
    for name, value in wanted.chosen:
        response.set_cookie(cookie(request, name), value, max_age=YEAR, httponly=True, samesite="lax", secure=secure)


def same_page(request: Request, **changed: str) -> str:
    """This page's address with some query parameters changed; an empty value drops the parameter."""
    kept = [(key, value) for key, value in parse_qsl(request.url.query) if key not in changed]
    query = urlencode(kept + [(key, value) for key, value in changed.items() if value])
    return f"{request.url.path}?{query}" if query else request.url.path


def clinic_zone(request: Request) -> ZoneInfo:
    """The zone that times are shown in: `app.state.zone`, China's where the application sets none."""
    zone = getattr(request.app.state, "zone", None) if "app" in request.scope else None
    return zone if isinstance(zone, ZoneInfo) else i18n.DEFAULT_ZONE


class SpeakingMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        with i18n.speaking(preferences(request).lang, clinic_zone(request)):
            await self.app(scope, receive, send)
