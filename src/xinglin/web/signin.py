"""Sign-in and sign-out, and the way from `/` to each role's home."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import TooManySignIns, cookie_name, cookie_settings, entering, events, sign_out
from xinglin.access.identity.providers import configured
from xinglin.kernel.errors import Unauthenticated
from xinglin.ui import forms
from xinglin.ui.csrf import check_csrf
from xinglin.ui.i18n import N_, _, language
from xinglin.ui.templating import render
from xinglin.web.account.passkeys import offered, said
from xinglin.web.account.tickets import go_on, whence
from xinglin.web.guards import house, local_path, see_other
from xinglin.web.problems import sentences
from xinglin.web.shells import home_of

PAGE = "web/templates/signin/sign_in.html"


@dataclass(frozen=True)
class SignIn:
    login: str = forms.text(N_("Login name"), missing=N_("Enter your login name"), max_length=200)
    password: str = forms.secret(N_("Password"), missing=N_("Enter your password"), max_length=256)
    next: str = forms.text(N_("Next page"), required=False, default="", max_length=2000)


def routes() -> list[BaseRoute]:
    return [
        Route("/", start),
        Route("/sign-in", sign_in_page, methods=["GET", "POST"]),
        Route("/sign-out", sign_out_action, methods=["POST"]),
    ]


async def start(request: Request) -> Response:
    """Everybody's own beginning."""
    principal = request.state.principal if request.state.session else None
    return RedirectResponse(home_of(principal.role) if principal else "/sign-in", 303)


async def sign_in_page(request: Request) -> Response:
    if request.method == "POST":
        return await _enter(request)
    if request.state.session is not None:
        return see_other(local_path(request.query_params.get("next", ""), home_of(request.state.principal.role)))
    form = forms.blank(SignIn, next=local_path(request.query_params.get("next", ""), ""))
    return _page(request, form)


def _page(request: Request, form: forms.Form[SignIn], status: int = 200) -> Response:
    settings = request.app.state.settings
    return render(
        request,
        PAGE,
        status=status,
        form=form,
        ended="signed-out" in request.query_params,
        failed=said(request.query_params.get("failed", "")),
        next=local_path(str(form.sent.get("next", "")), ""),
        passkey=offered(request),
        providers=[(one.name, one.label_en if language() == "en" else one.label_zh) for one in configured(settings)],
    )


async def _enter(request: Request) -> Response:
    form = await forms.read(request, SignIn)
    if form.value is None:
        return _page(request, form, 422)
    given = form.value
    try:
        goal = local_path(given.next, "")
        answer = await entering.with_password(house(request), given.login, given.password, whence(request), goal=goal)
    except Unauthenticated:
        refused = form.refuse(password=_("The login or the password is wrong. Check both and try again."))
        return _page(request, refused, 422)
    except TooManySignIns as problem:
        response = _page(request, form.refuse(password=sentences(problem)[0]), 429)
        response.headers["retry-after"] = str(problem.retry_after)
        return response
    return await go_on(request, answer)


async def sign_out_action(request: Request) -> Response:
    """Ends the session, then clears what the browser keeps of it."""
    async with request.form(max_fields=5, max_files=0) as sent:
        check_csrf(request, sent)
    secure = request.app.state.settings.cookies_secure
    name = cookie_name(secure)
    if request.state.session is not None:
        async with house(request).database.transaction() as connection:
            await events.tell(connection, "signed-out", request.state.session.login, whence(request))
    await sign_out(house(request).database, request.cookies.get(name, ""))
    response = see_other("/sign-in?signed-out")
    response.delete_cookie(name, **cookie_settings(secure))
    response.headers["clear-site-data"] = '"cache"'
    return response
