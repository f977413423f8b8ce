"""Setting up an authenticator app: the QR code, the proof that the app has it, and the recovery codes, shown once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import segno
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import events
from xinglin.access.identity import second_factor as factor
from xinglin.kernel.errors import Unauthenticated
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.ui.templating import render
from xinglin.web.account import passkeys as pages
from xinglin.web.account.confirm import address_of, freshly, offered_removal
from xinglin.web.account.tickets import keep, ticket, whence
from xinglin.web.guards import house, principal, see_other
from xinglin.web.shells import shell

PAGE: Final = "web/account/templates/authenticator.html"
CODES: Final = "web/account/templates/recovery_codes.html"


@dataclass(frozen=True)
class FirstCode:
    code: str = forms.text(
        N_("Code"), missing=N_("Enter the code"), hint=N_("The six digits that the app shows now"), max_length=64
    )


@dataclass(frozen=True)
class Pressed:
    """Nothing but the press of the button."""


def routes() -> list[BaseRoute]:
    return [
        route
        for start in ("/me/security", "/desk/security")
        for route in (
            Route(f"{start}/codes", codes_page, methods=["GET", "POST"]),
            Route(f"{start}/codes/remove", remove_page, methods=["GET", "POST"]),
            Route(f"{start}/recovery-codes", recovery_codes_action, methods=["POST"]),
        )
    ]


async def set_up(request: Request, login: str, action: str) -> tuple[list[str] | None, Response]:
    """The recovery codes once the app's first code was right; else None and the page to show."""
    if request.method == "GET":
        return None, await _begin(request, login, action)
    form, here = await forms.read(request, FirstCode), whence(request)
    if form.value is None:
        return None, await _page(request, login, action, ticket(request, factor.ENROL), form)
    try:
        codes = await factor.confirm(house(request), ticket(request, factor.ENROL), login, form.value.code, here)
    except Unauthenticated:
        return None, see_other(action)
    if codes is None:
        wrong = _("This code is wrong. Enter the one that the app shows now; check that its clock is right.")
        return None, await _page(request, login, action, ticket(request, factor.ENROL), form.refuse(code=wrong))
    return codes, Response()


async def _begin(request: Request, login: str, action: str) -> Response:
    """A reload shows the same QR code: a second one would make the first useless."""
    held = ticket(request, factor.ENROL)
    async with house(request).database.transaction() as connection:
        if await factor.enrolment(house(request), connection, held, login) is None:
            held = await factor.begin_enrolment(house(request), connection, login)
    response = await _page(request, login, action, held, forms.blank(FirstCode))
    keep(request, response, factor.ENROL, held)
    return response


async def _page(request: Request, login: str, action: str, held: str, form: forms.Form[FirstCode]) -> Response:
    async with house(request).database.connection() as connection:
        found = await factor.enrolment(house(request), connection, held, login)
    if found is None:
        return see_other(action)
    signing_in = action.startswith("/sign-in")
    return render(
        request,
        PAGE,
        status=422 if form.errors else 200,
        shell=None if signing_in else shell(request, f"{action.rpartition('/')[0]}"),
        form=form,
        action=action,
        back="" if signing_in else address_of(request),
        enrolment=found,
        picture=segno.make(found.address, error="m").svg_data_uri(scale=5, border=3),
        passkey=signing_in and pages.offered(request),
        failed=pages.said(request.query_params.get("failed", "")) if signing_in else "",
    )


def shown_once(request: Request, codes: list[str], onward: str) -> Response:
    """The answer to the post itself, since codes must not stand in an address; the page is never stored."""
    return render(request, CODES, codes=codes, onward=onward, shell=shell(request))


@freshly
async def codes_page(request: Request) -> Response:
    codes, page = await set_up(request, principal(request).login, f"{address_of(request)}/codes")
    return page if codes is None else shown_once(request, codes, f"{address_of(request)}?done=codes")


@freshly
async def remove_page(request: Request) -> Response:
    if request.method == "GET":
        return offered_removal(request, "codes", f"{address_of(request)}/codes/remove")
    await forms.read(request, Pressed)
    async with house(request).database.transaction() as connection:
        await factor.remove(connection, principal(request).login, whence(request))
    return see_other(f"{address_of(request)}?done=removed")


@freshly
async def recovery_codes_action(request: Request) -> Response:
    """New recovery codes for who has an app; the earlier ones end."""
    await forms.read(request, Pressed)
    login = principal(request).login
    async with house(request).database.transaction() as connection:
        if (await factor.factors(connection, login)).since is None:
            return see_other(address_of(request))
        codes = await factor.make_recovery_codes(connection, login)
        await events.tell(connection, "recovery-codes-made", login, whence(request))
    return shown_once(request, codes, address_of(request))
