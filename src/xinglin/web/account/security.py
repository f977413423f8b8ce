"""What guards an account, on one page: passkeys, codes, connected sign-ins, and what has happened to it."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import events, passkeys, providers, recovery, rules, sessions
from xinglin.access.identity import second_factor as factor
from xinglin.access.identity.events import SecurityEvent
from xinglin.kernel.errors import NotFound, Problem
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _, language
from xinglin.ui.templating import render
from xinglin.web.account import passkeys as pages
from xinglin.web.account.authenticator import Pressed
from xinglin.web.account.confirm import address_of, freshly, offered_removal, own_address
from xinglin.web.account.passkeys import Asked
from xinglin.web.account.steps import NewPasskey, added
from xinglin.web.account.tickets import drop, whence
from xinglin.web.account.words import KINDS
from xinglin.web.guards import house, principal, see_other
from xinglin.web.portal.settings import device_of
from xinglin.web.shells import shell

PAGE: Final = "web/account/templates/security.html"
DONE: Final = {
    "passkey": N_("The passkey is added. You can sign in with it from now on."),
    "codes": N_("The authenticator app is set up. Signing in with the password asks for its code from now on."),
    "removed": N_("It is removed."),
    "refused": N_("The code no longer works. Tell your institution what happened, and change your password."),
    "ended": N_("All other devices are signed out."),
    "linked": N_("Connected. You can sign in there from now on."),
}


def routes() -> list[BaseRoute]:
    return [
        route
        for start in ("/me/security", "/desk/security")
        for route in (
            Route(start, security_page),
            Route(f"{start}/passkeys/options", options, methods=["POST"]),
            Route(f"{start}/passkeys", add_action, methods=["POST"]),
            Route(f"{start}/passkeys/{{passkey}}/remove", remove_page, methods=["GET", "POST"]),
            Route(f"{start}/links/{{provider}}/remove", unlink_page, methods=["GET", "POST"]),
            Route(f"{start}/recovery/refuse", refuse_action, methods=["POST"]),
            Route(f"{start}/sessions", end_others_action, methods=["POST"]),
        )
    ]


@own_address
async def security_page(request: Request) -> Response:
    login, address = principal(request).login, address_of(request)
    async with house(request).database.transaction() as connection:
        happened = await events.listed(connection, login)
        await events.mark_seen(connection, login, happened[0].id if happened else 0)
        linked = {one.issuer for one in await providers.links(connection, login)}
        context = {
            "passkeys": await passkeys.of_account(connection, login),
            "factors": await factor.factors(connection, login),
            "announced": await recovery.announced(connection, login),
            "fresh": await sessions.is_fresh(connection, request.state.session.id),
        }
    return render(
        request,
        PAGE,
        shell=shell(request, address.replace("security", "settings")),
        address=address,
        form=forms.blank(NewPasskey),
        offered=pages.offered(request),
        must=rules.must_have_second(principal(request).role, house(request).settings),
        providers=[(one, one.issuer in linked) for one in providers.configured(house(request).settings)],
        provider_name=lambda one: one.label_en if language() == "en" else one.label_zh,
        giver=lambda one: one.name_en if language() == "en" else one.name_zh,
        events=[_shown(event) for event in happened],
        done=_(DONE.get(request.query_params.get("done", ""), "")) if "done" in request.query_params else "",
        failed=pages.said(request.query_params.get("failed", "")),
        **context,
    )


def _shown(event: SecurityEvent) -> dict[str, Any]:
    detail = event.detail if event.kind not in ("signed-in", "new-device", "recovery-given") else ""
    if event.kind == "recovery-given":
        detail = event.detail.partition(":")[0]
    return {
        "at": event.at,
        "what": _(KINDS.get(event.kind, event.kind)),
        "detail": detail,
        "where": " · ".join(part for part in (device_of(event.agent) if event.agent else "", event.address) if part),
        "new": not event.seen,
    }


@freshly
async def options(request: Request) -> Response:
    await forms.read(request, Asked)
    return await pages.registration(request, principal(request).login)


@freshly
async def add_action(request: Request) -> Response:
    form = await forms.read(request, NewPasskey)
    try:
        await added(request, form, principal(request).login)
    except Problem:
        return see_other(f"{address_of(request)}?failed=passkey")
    response = see_other(f"{address_of(request)}?done=passkey")
    drop(request, response, passkeys.REGISTER)
    return response


@freshly
async def remove_page(request: Request) -> Response:
    login, named = principal(request).login, str(request.path_params["passkey"])
    if request.method == "GET":
        async with house(request).database.connection() as connection:
            own = {one.id: one.name for one in await passkeys.of_account(connection, login)}
        if named not in own:
            raise NotFound("There is no such page.", remedy="Go back, or start from home.")
        return offered_removal(request, "passkey", request.url.path, own[named])
    await forms.read(request, Pressed)
    async with house(request).database.transaction() as connection:
        await passkeys.remove(connection, login, named, whence(request))
    return see_other(f"{address_of(request)}?done=removed")


@freshly
async def unlink_page(request: Request) -> Response:
    one = providers.named(house(request).settings, str(request.path_params["provider"]))
    if request.method == "GET":
        label = one.label_en if language() == "en" else one.label_zh
        return offered_removal(request, "link", request.url.path, label)
    await forms.read(request, Pressed)
    async with house(request).database.transaction() as connection:
        await providers.unlink(connection, principal(request).login, one, whence(request))
    return see_other(f"{address_of(request)}?done=removed")


@own_address
async def refuse_action(request: Request) -> Response:
    """Refusing needs no further proof: it can only close a way in."""
    await forms.read(request, Pressed)
    async with house(request).database.transaction() as connection:
        await recovery.refuse(connection, principal(request).login, whence(request))
    return see_other(f"{address_of(request)}?done=refused")


@own_address
async def end_others_action(request: Request) -> Response:
    await forms.read(request, Pressed)
    login = principal(request).login
    async with house(request).database.transaction() as connection:
        if await sessions.end_others(connection, login, request.state.session.id):
            await events.tell(connection, "sessions-ended", login, whence(request))
    return see_other(f"{address_of(request)}?done=ended")
