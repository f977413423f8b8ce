"""Back in with a code that staff handed over: login and code, then a new password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import TooManySignIns, recovery
from xinglin.kernel.errors import Unauthenticated, Unprocessable
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.ui.templating import render
from xinglin.web.account.steps import CHANGE, OwnPassword, checked
from xinglin.web.account.tickets import go_on, keep, ticket, whence
from xinglin.web.guards import house, see_other
from xinglin.web.problems import sentences

PAGE: Final = "web/account/templates/recover.html"
_CHOOSE: Final = "/sign-in/recover/password"


@dataclass(frozen=True)
class Back:
    login: str = forms.text(N_("Login name"), missing=N_("Enter your login name"), max_length=200)
    code: str = forms.text(
        N_("Code from your institution"),
        missing=N_("Enter the code"),
        hint=N_("Four groups of four letters, as handed over to you"),
        max_length=64,
    )


def routes() -> list[BaseRoute]:
    return [
        Route("/sign-in/recover", recover_page, methods=["GET", "POST"]),
        Route(_CHOOSE, password_page, methods=["GET", "POST"]),
    ]


async def recover_page(request: Request) -> Response:
    if request.method == "GET":
        return render(request, PAGE, form=forms.blank(Back))
    form = await forms.read(request, Back)
    if form.value is None:
        return render(request, PAGE, status=422, form=form)
    try:
        value = await recovery.begin(house(request), form.value.login, form.value.code, whence(request))
    except TooManySignIns as problem:
        response: Response = render(request, PAGE, status=429, form=form.refuse(code=sentences(problem)[0]))
        response.headers["retry-after"] = str(problem.retry_after)
        return response
    except Unauthenticated:
        wrong = _("The login or the code is wrong, or the code does not work at this time. Check both and try again.")
        return render(request, PAGE, status=422, form=form.refuse(code=wrong))
    response = see_other(_CHOOSE)
    keep(request, response, recovery.KIND, value)
    return response


async def password_page(request: Request) -> Response:
    held = ticket(request, recovery.KIND)
    async with house(request).database.connection() as connection:
        if await recovery.waiting(connection, held) is None:
            return see_other("/sign-in?failed=over")
    if request.method == "GET":
        return _choosing(request, forms.blank(OwnPassword))
    form = checked(await forms.read(request, OwnPassword))
    if form.value is None:
        return _choosing(request, form, 422)
    try:
        answer = await recovery.finish(house(request), held, form.value.new, whence(request))
    except Unprocessable as problem:
        return _choosing(request, form.refuse(new=sentences(problem)[0]), 422)
    except Unauthenticated:
        return see_other("/sign-in?failed=over")
    return await go_on(request, answer)


def _choosing(request: Request, form: forms.Form[OwnPassword], status: int = 200) -> Response:
    return render(
        request, CHANGE, status=status, form=form, action=_CHOOSE, title=_("Choose a new password"),
        why=_("All devices are signed out, and passkeys, codes and connected sign-ins of this account end."),
    )  # fmt: skip
