"""A form post must prove that it comes from our own page.

The token is the session's (`request.state.session.csrf`); before anyone is signed in, a random cookie that the form
repeats (double submit). A browser that says the request came from another site is refused in any case.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from xinglin.kernel.errors import Forbidden
from xinglin.kernel.sparing import warn
from xinglin.ui.i18n import _

log = logging.getLogger(__name__)

FIELD = "_csrf"
COOKIE = "xl_csrf"


def csrf_token(request: Request) -> str:
    session = getattr(request.state, "session", None)
    if session is not None:
        return str(session.csrf)
    kept = request.cookies.get(cookie(request, COOKIE), "")
    if len(kept) >= 32:
        return kept
    if not hasattr(request.state, "new_csrf"):
        request.state.new_csrf = secrets.token_urlsafe(32)
    return str(request.state.new_csrf)


def csrf_field(request: Request) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, csrf_token(request))


def keep_csrf(request: Request, response: Response) -> None:
    """Sends the cookie that a form rendered in this response will be compared with."""
    new = getattr(request.state, "new_csrf", None)
    if new:
        secure = over_tls(request)
        response.set_cookie(cookie(request, COOKIE), new, httponly=True, samesite="strict", secure=secure)


def cookie(request: Request, name: str) -> str:
    """The cookie's name. Over TLS browsers keep `__Host-` for what this very host set, for all its paths (RFC 6265bis
    section 4.1.3.2): another host of the domain cannot plant one.
    """
    return f"__Host-{name}" if over_tls(request) else name


def over_tls(request: Request) -> bool:
    """Whether browsers reach this node by https: as the settings say, since a proxy before it hides the scheme."""
    settings = getattr(request.app.state, "settings", None) if "app" in request.scope else None
    return bool(settings.cookies_secure) if settings is not None else request.url.scheme == "https"


def check_csrf(request: Request, form: Mapping[str, Any]) -> None:
    """Raises Forbidden unless the form carries the token of this session."""
    expected = request.cookies.get(cookie(request, COOKIE), "")
    session = getattr(request.state, "session", None)
    if session is not None:
        expected = str(session.csrf)
    given = form.get(FIELD, "")
    own_site = request.headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")
    matches = isinstance(given, str) and hmac.compare_digest(given.encode(), expected.encode())
    if not (own_site and expected and matches):
        route = getattr(
            request.scope.get("route"), "path", ""
        )  # without what stands in the address: it may name people
        warn(log, f"refused for want of a token, or as another site's: a form for {route}")
        raise Forbidden(
            _("This form has expired or was sent from another site."),
            remedy=_("Open the page again and send the form once more."),
        )
