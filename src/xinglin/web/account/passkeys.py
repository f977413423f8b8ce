"""Passkeys on pages: signing in with one, and the options that a page's script asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import entering, limits, passkeys
from xinglin.access.identity.passkeys import relying_party
from xinglin.kernel.errors import Problem, Unauthenticated
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.ui.templating import SECURITY_HEADERS
from xinglin.web.account.tickets import go_on, keep, ticket, whence
from xinglin.web.guards import house, local_path, see_other

JSON: Final = {**SECURITY_HEADERS, "content-type": "application/json"}


@dataclass(frozen=True)
class Answered:
    """What the browser's passkey answered, as JSON; and the page to open then."""

    credential: str = forms.text(N_("Passkey"), missing=N_("Press the button to use your passkey"), max_length=16384)
    next: str = forms.text(N_("Next page"), required=False, default="", max_length=2000)


@dataclass(frozen=True)
class Asked:
    """Nothing but the token that shows the form to be ours."""


def routes() -> list[BaseRoute]:
    return [
        Route("/sign-in/passkey/options", options, methods=["POST"]),
        Route("/sign-in/passkey", use, methods=["POST"]),
    ]


def offered(request: Request) -> bool:
    """Whether this page's host is the one that passkeys are bound to (never a bare network address)."""
    return request.url.hostname == relying_party(request.app.state.settings).id


async def options(request: Request) -> Response:
    """A challenge for whoever it may be: the browser finds the passkey, and with it the account."""
    await forms.read(request, Asked)
    await limits.knock(house(request).database, whence(request).address)
    return await challenge(request, None)


async def challenge(request: Request, login: str | None) -> Response:
    """The options for using a passkey of this account, with the ticket in a cookie."""
    async with house(request).database.transaction() as connection:
        value, text = await passkeys.begin_use(connection, house(request).settings, login)
    response = Response(text, headers=JSON)
    keep(request, response, passkeys.USE, value)
    return response


async def registration(request: Request, login: str) -> Response:
    """The options for making a passkey."""
    async with house(request).database.transaction() as connection:
        value, text = await passkeys.begin_registration(connection, house(request).settings, login)
    response = Response(text, headers=JSON)
    keep(request, response, passkeys.REGISTER, value)
    return response


async def use(request: Request) -> Response:
    form = await forms.read(request, Answered)
    gate, here = house(request), whence(request)
    try:
        if form.value is None:
            raise Unauthenticated
        await limits.knock(gate.database, here.address)
        held = ticket(request, passkeys.USE)
        login = await passkeys.use(gate.database, gate.settings, held, form.value.credential, here)
        async with gate.database.transaction() as connection:
            goal = local_path(form.value.next, "")
            answer = await entering.arrived(gate, connection, login, list(passkeys.METHODS), here, goal=goal)
    except Problem:
        return see_other("/sign-in?failed=passkey")
    return await go_on(request, answer)


def said(which: str) -> str:
    """What went wrong, of the word that an address carries."""
    return {
        "passkey": _("The passkey was not accepted. Try again, or sign in another way."),
        "provider": _("Signing in there did not work. Try again, or sign in another way."),
        "unlinked": _("No account here belongs to that sign-in. Sign in another way, then connect it under Security."),
        "over": _("This sign-in has taken too long. Please start again."),
    }.get(which, "")
