"""Signing in at an outside provider, and connecting an account with one."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import openid, providers
from xinglin.kernel.errors import Problem
from xinglin.ui import forms
from xinglin.ui.i18n import N_, language
from xinglin.ui.templating import render
from xinglin.web.account.authenticator import Pressed
from xinglin.web.account.confirm import address_of, freshly
from xinglin.web.account.tickets import drop, go_on, keep, ticket, whence
from xinglin.web.guards import house, local_path, page, principal, see_other

log = logging.getLogger(__name__)
LEAVING: Final = "web/account/templates/leaving.html"
GOING: Final = "web/account/templates/going.html"


def routes() -> list[BaseRoute]:
    links = [
        Route(f"{start}/security/links/{{provider}}", connect_action, methods=["POST"]) for start in ("/me", "/desk")
    ]
    return [
        Route("/sign-in/with/{provider}", visit, methods=["POST"]),
        Route("/sign-in/with/{provider}/return", back),
        *links,
    ]


@dataclass(frozen=True)
class Visit:
    next: str = forms.text(N_("Next page"), required=False, default="", max_length=2000)


async def visit(request: Request) -> Response:
    """Only by a form of ours: another site's link begins no sign-in here. The page leads on by itself, since a form's
    answer may not lead to another site.
    """
    one = providers.named(house(request).settings, str(request.path_params["provider"]))
    form = await forms.read(request, Visit)
    goal = local_path(form.value.next, "") if form.value else ""
    try:
        found = await openid.begin(house(request), one, whence(request), goal=goal)
    except openid.Unreachable:
        return see_other("/sign-in?failed=provider")
    response = render(request, GOING, name=_label(one), onward=found.address)
    response.headers["referrer-policy"] = "no-referrer"
    keep(request, response, openid.KIND, found.ticket)
    return response


def _label(one: providers.Provider) -> str:
    return one.label_en if language() == "en" else one.label_zh


@freshly
async def connect_action(request: Request) -> Response:
    """A page with the link to go there: a form's answer may not lead to another site (form-action of our policy)."""
    await forms.read(request, Pressed)
    gate, address = house(request), address_of(request)
    one = providers.named(gate.settings, str(request.path_params["provider"]))
    try:
        found = await openid.begin(gate, one, whence(request), goal=address, login=principal(request).login)
    except openid.Unreachable:
        return see_other(f"{address}?failed=provider")
    response = page(request, LEAVING, current=address, name=_label(one), onward=found.address, back=address)
    keep(request, response, openid.KIND, found.ticket)
    return response


async def back(request: Request) -> Response:
    """The provider sends the browser here, with a code for us and its state."""
    one = providers.named(house(request).settings, str(request.path_params["provider"]))
    gate, here, held = house(request), whence(request), ticket(request, openid.KIND)
    signed_in = request.state.principal.login if request.state.session else None
    try:
        found = await openid.returned(gate, one, held, request.query_params)
        if found.login is not None:
            await openid.connect(gate, one, found, signed_in or "", here)
            response = see_other(f"{local_path(found.goal)}?done=linked")
        else:
            response = await go_on(request, await openid.sign_in(gate, one, found, here))
    except openid.Unknown:
        response = see_other("/sign-in?failed=unlinked")
    except Problem as problem:
        log.warning("a sign-in at the provider %s was refused: %s", one.name, problem)
        response = see_other(f"{address_of(request) if signed_in else '/sign-in'}?failed=provider")
    drop(request, response, openid.KIND)
    return response
