"""The cookies of what a browser has begun, and the way from a finished step to the next page."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.identity import cookie_name, cookie_settings, entering, events, rules, sign_out
from xinglin.access.identity.entering import Answer, Entered, Step
from xinglin.access.identity.events import Whence
from xinglin.web.guards import house, local_path, see_other

STEPS: Final = {Step.SECOND: "/sign-in/second", Step.CHANGE: "/sign-in/password", Step.ENROL: "/sign-in/enrol"}
_LASTING: Final = {
    entering.KIND: "second_step",
    "recovery": "second_step",
    "enrol": "enrolment",
    "provider": "provider",
    "passkey": "challenge",
    "passkey-new": "challenge",
}


def whence(request: Request) -> Whence:
    """Address and browser, as the list of devices names them."""
    return Whence(request.client.host if request.client else "", request.headers.get("user-agent", ""))


def _name(request: Request, kind: str) -> str:
    name = f"xl_{kind.replace('-', '_')}"
    return f"__Host-{name}" if request.app.state.settings.cookies_secure else name


def ticket(request: Request, kind: str) -> str:
    """The ticket that this browser holds of the kind; "" where it holds none."""
    return request.cookies.get(_name(request, kind), "")


def keep(request: Request, response: Response, kind: str, value: str) -> None:
    """Give the browser its ticket. Lax where it must hold on the way back from a provider's site."""
    settings = cookie_settings(request.app.state.settings.cookies_secure)
    settings["samesite"] = "lax" if kind in ("provider", entering.KIND) else "strict"
    lasting = int(rules.minutes(_LASTING[kind]).total_seconds())
    response.set_cookie(_name(request, kind), value, max_age=lasting, **settings)


def drop(request: Request, response: Response, *kinds: str) -> None:
    for kind in kinds:
        if ticket(request, kind):
            settings = cookie_settings(request.app.state.settings.cookies_secure)
            response.delete_cookie(_name(request, kind), **settings)


async def go_on(request: Request, answer: Answer) -> Response:
    """To the step that is due, or in."""
    if isinstance(answer, Entered):
        return await enter(request, answer)
    response = see_other(STEPS[answer.step])
    keep(request, response, entering.KIND, answer.ticket)
    drop(request, response, "recovery", "provider", "passkey")
    return response


async def enter(request: Request, answer: Entered) -> Response:
    """On with the new session to the page that was asked for, or to what its owner should know, or home."""
    address = local_path(answer.goal)
    if address == "/":
        async with house(request).database.connection() as connection:
            grave = await events.unseen(connection, answer.session.login, events.GRAVE)
        address = "/me/security" if grave else "/"  # staff are led on to theirs
    return await signed(request, see_other(address), answer)


async def signed(request: Request, response: Response, answer: Entered) -> Response:
    """The response with the new session's cookie. Whoever was signed in here before is out."""
    secure = request.app.state.settings.cookies_secure
    earlier = request.cookies.get(cookie_name(secure), "")
    if earlier:
        await sign_out(house(request).database, earlier)
    drop(request, response, entering.KIND, "recovery", "provider", "passkey", "passkey-new", "enrol")
    return renewed(request, response, answer.secret)


def renewed(request: Request, response: Response, secret: str) -> Response:
    """The response with the session's cookie of this secret."""
    secure = request.app.state.settings.cookies_secure
    response.set_cookie(cookie_name(secure), secret, **cookie_settings(secure))
    return response
