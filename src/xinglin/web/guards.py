"""Who may open a page: `signed_in` stands above every page that shows more than the sign-in.

    @signed_in(Role.CLINICIAN, Role.PHARMACIST)
    async def chart(request: Request) -> Response:
        found = await records(request).read("Patient", request.path_params["patient"])
        return page(request, "web/templates/workspace/chart.html", current="/desk", ...)

A role that a page is not for sees what it would see if the page did not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from xinglin.access.policy import check_standing
from xinglin.access.principal import Principal, Role
from xinglin.access.records import House, Records
from xinglin.kernel.errors import NotFound
from xinglin.ui.templating import SECURITY_HEADERS, render
from xinglin.web.directory import Directory, directory
from xinglin.web.shells import shell

Page = Callable[[Request], Awaitable[Response]]


def signed_in(*roles: Role) -> Callable[[Page], Page]:
    """A page for these roles; for everybody who signed in where none is named.

    Pages are for sessions: a program's token opens the FHIR door only. Sets `request.state.directory`.
    """

    def guard(endpoint: Page) -> Page:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            if request.state.session is None or request.state.principal is None:
                return _to_sign_in(request)
            request.state.directory = await directory(request)
            if roles and request.state.principal.role not in roles:
                raise NotFound("There is no such page.", remedy="Go back, or start from home.")
            return _out_of_post(request) or await endpoint(request)

        return guarded

    return guard


POSTLESS: Final = ("/desk/acting", "/desk/settings", "/desk/security")
"""Where staff go who have not chosen a post, hold none, or whose licence has ended: their own account."""


def _out_of_post(request: Request) -> Response | None:
    """To the choice of a post, where there are several; a refusal that says what is missing, where there is none."""
    who, path = principal(request), request.url.path
    if who.role is Role.PATIENT or path.startswith(POSTLESS):
        return None
    if request.state.acting.must_choose:
        return see_other("/desk/acting?" + urlencode({"next": path if request.method == "GET" else "/desk"}))
    check_standing(who)
    return None


def _to_sign_in(request: Request) -> Response:
    """To the sign-in, and back here afterwards where the page can simply be opened again."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    address = "/sign-in"
    if request.method in ("GET", "HEAD") and asked != "/":
        address += "?" + urlencode({"next": asked})
    if request.headers.get("hx-request"):  # a redirect would be followed into a fragment of the page
        return Response(status_code=204, headers={**SECURITY_HEADERS, "hx-redirect": "/sign-in"})
    return see_other(address)


def see_other(address: str) -> RedirectResponse:
    """After a post that succeeded: the address to open next."""
    return RedirectResponse(address, 303, dict(SECURITY_HEADERS))


def local_path(address: str, otherwise: str = "/") -> str:
    """The address if it is a path of this site that a browser cannot take for another site's."""
    if not address.startswith("/") or address[1:2] in ("/", "\\") or any(c < " " or c == "\x7f" for c in address):
        return otherwise
    try:
        parts = urlsplit(address)
    except ValueError:
        return otherwise
    if parts.scheme or parts.netloc or parts.path in ("/sign-in", "/sign-out"):
        return otherwise
    return address


def house(request: Request) -> House:
    found: House = request.app.state.house
    return found


def principal(request: Request) -> Principal:
    """Who is signed in; pages behind `signed_in` only."""
    found: Principal = request.state.principal
    return found


def institutions(request: Request) -> Directory:
    """Names of institutions; pages behind `signed_in` only."""
    found: Directory = request.state.directory
    return found


def records(request: Request, *, why: str = "") -> Records:
    """The gate for this request's caller."""
    return Records(house(request), principal(request), why=why)


def page(request: Request, template: str, *, current: str = "", **context: Any) -> HTMLResponse:
    """The page in the frame of the caller's role. `current`: the address in the menu that it belongs to."""
    return render(request, template, shell=shell(request, current), **context)
