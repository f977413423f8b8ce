"""Who changes what guards an account has proven who they are within ten minutes: `freshly` stands above such pages."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import TooManySignIns, confirming, entering, passkeys, rules, sessions
from xinglin.kernel.errors import Problem, Unauthenticated
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.ui.templating import render
from xinglin.web.account import passkeys as pages
from xinglin.web.account.passkeys import Answered, Asked
from xinglin.web.account.tickets import drop, renewed, ticket, whence
from xinglin.web.guards import Page, house, local_path, principal, see_other, signed_in
from xinglin.web.problems import sentences
from xinglin.web.shells import home_of, shell

PAGE: Final = "web/account/templates/confirm.html"
REMOVAL: Final = "web/account/templates/removal.html"


@dataclass(frozen=True)
class Confirmation:
    password: str = forms.secret(N_("Password"), missing=N_("Enter your password"), max_length=256)
    code: str = forms.text(
        N_("Code"), required=False, default="", max_length=64, hint=N_("The six digits that your app shows now")
    )
    next: str = forms.text(N_("Next page"), required=False, default="", max_length=2000)


def routes() -> list[BaseRoute]:
    return [
        route
        for start in ("/me/security", "/desk/security")
        for route in (
            Route(f"{start}/confirm", confirm_page, methods=["GET", "POST"]),
            Route(f"{start}/confirm/passkey/options", options, methods=["POST"]),
            Route(f"{start}/confirm/passkey", by_passkey, methods=["POST"]),
        )
    ]


def address_of(request: Request) -> str:
    """The security page of whoever is signed in."""
    return f"{home_of(principal(request).role)}/security"


def own_address(endpoint: Page) -> Page:
    """The same pages stand under the patient's and the staff's addresses; each opens their own only."""

    @wraps(endpoint)
    async def checked(request: Request) -> Response:
        if not request.url.path.startswith(home_of(principal(request).role) + "/"):
            return see_other(address_of(request))
        return await endpoint(request)

    return signed_in()(checked)


def freshly(endpoint: Page) -> Page:
    """A page for who has just proven who they are; others do so first and come back (a post is pressed again)."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        async with house(request).database.connection() as connection:
            fresh = await sessions.is_fresh(connection, request.state.session.id)
        if fresh:
            return await endpoint(request)
        opens = "GET" in (request.scope["route"].methods or ())
        goal = request.url.path if opens else address_of(request)
        return see_other(f"{address_of(request)}/confirm?{urlencode({'next': goal})}")

    return own_address(guarded)


def offered_removal(request: Request, what: str, action: str, name: str = "") -> Response:
    """A page that says what removing it means."""
    address = address_of(request)
    return render(request, REMOVAL, shell=shell(request, address), what=what, action=action, name=name, back=address)


@own_address
async def confirm_page(request: Request) -> Response:
    if request.method == "GET":
        form = forms.blank(Confirmation, next=local_path(request.query_params.get("next", ""), ""))
        return await _page(request, form, failed=pages.said(request.query_params.get("failed", "")))
    form = await forms.read(request, Confirmation)
    if form.value is None:
        return await _page(request, form, 422)
    given = form.value
    try:
        session, here = request.state.session, whence(request)
        secret = await confirming.by_password(house(request), session, given.password, given.code, here)
    except TooManySignIns as problem:
        return await _page(request, form.refuse(password=sentences(problem)[0]), 429)
    except Unauthenticated:
        wrong = _("The password or the code is wrong. Check both and try again.")
        return await _page(request, form.refuse(password=wrong), 422)
    return renewed(request, see_other(local_path(given.next, address_of(request))), secret)


async def _page(request: Request, form: forms.Form[Confirmation], status: int = 200, *, failed: str = "") -> Response:
    address = address_of(request)
    async with house(request).database.connection() as connection:
        account = await entering.standing(connection, principal(request).login)
    assert account is not None, "who is signed in has an account"
    passkey = bool(account.passkeys) and pages.offered(request)
    must = rules.must_have_second(account.role, house(request).settings)
    return render(
        request,
        PAGE,
        status=status,
        shell=shell(request, address),
        form=form,
        action=f"{address}/confirm",
        back=address,
        passkey=passkey,
        codes=account.codes,
        by_password=account.codes or not (must and account.passkeys),
        failed=failed,
    )


@own_address
async def options(request: Request) -> Response:
    await forms.read(request, Asked)
    return await pages.challenge(request, principal(request).login)


@own_address
async def by_passkey(request: Request) -> Response:
    form = await forms.read(request, Answered)
    address = address_of(request)
    try:
        if form.value is None:
            raise Unauthenticated
        held = ticket(request, passkeys.USE)
        session, answer = request.state.session, form.value.credential
        secret = await confirming.by_passkey(house(request), session, held, answer, whence(request))
    except Problem:
        return see_other(f"{address}/confirm?failed=passkey")
    response = renewed(request, see_other(local_path(form.value.next, address)), secret)
    drop(request, response, passkeys.USE)
    return response
