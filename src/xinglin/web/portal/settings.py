"""Settings of whoever signed in: language and view, devices that are signed in, the password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import (
    TooManySignIns,
    accounts,
    cookie_name,
    cookie_settings,
    entering,
    events,
    limits,
    passwords,
    sessions,
)
from xinglin.access.identity.events import Whence
from xinglin.access.identity.passwords import SHORTEST
from xinglin.kernel.errors import Unauthenticated, Unprocessable
from xinglin.ui import forms
from xinglin.ui.i18n import LANGUAGES, N_, _
from xinglin.ui.parts import Column
from xinglin.ui.templating import render
from xinglin.web.guards import house, principal, see_other, signed_in
from xinglin.web.problems import sentences
from xinglin.web.shells import home_of, shell

PAGE: Final = "web/templates/portal/settings.html"


@dataclass(frozen=True)
class NewPassword:
    current: str = forms.secret(N_("Current password"), missing=N_("Enter your current password"), max_length=256)
    new: str = forms.secret(
        N_("New password"),
        missing=N_("Enter a new password"),
        hint=N_("8 characters or more. Several words are easier to remember than signs."),
        max_length=256,
    )
    again: str = forms.secret(N_("New password again"), missing=N_("Enter the new password again"), max_length=256)


@dataclass(frozen=True)
class End:
    """A session to end; all others where none is named."""

    session: str = forms.text(N_("Session"), required=False, default="", max_length=64)


def routes() -> list[BaseRoute]:
    """The same pages under the patient's and the staff's addresses."""
    return [
        route
        for start in ("/me", "/desk")
        for route in (
            Route(f"{start}/settings", settings_page),
            Route(f"{start}/settings/password", password_action, methods=["POST"]),
            Route(f"{start}/settings/sessions", end_action, methods=["POST"]),
        )
    ]


@signed_in()
async def settings_page(request: Request) -> Response:
    return await _page(request, forms.blank(NewPassword))


async def _page(request: Request, form: forms.Form[NewPassword], status: int = 200) -> Response:
    address = _address(request)
    idle = request.app.state.doorkeeper.idle
    return render(
        request,
        PAGE,
        status=status,
        shell=shell(request, address),
        address=address,
        form=form,
        languages=list(LANGUAGES.items()),
        sessions=await sessions.own(house(request).database, principal(request).login, idle=idle),
        columns=(
            Column("device", _("Device"), "main"),
            Column("created", _("Signed in"), "time"),
            Column("seen", _("Last used"), "time"),
            Column("end", ""),
        ),
        device_of=device_of,
        own=request.state.session.id,
        done=request.query_params.get("done", ""),
    )


BROWSERS: Final = (("MicroMessenger", "WeChat"), ("Edg", "Edge"), ("Firefox", "Firefox"), ("Chrome", "Chrome"))
SYSTEMS: Final = ("HarmonyOS", "Android", "iPhone", "iPad", "Windows", "Macintosh", "Linux")


def device_of(agent: str) -> str:
    """Browser and system as far as a User-Agent tells: Chrome · Android."""
    browser = next((name for sign, name in (*BROWSERS, ("Safari", "Safari")) if sign in agent), "")
    system = next((name for name in SYSTEMS if name in agent), "")
    return " · ".join(part for part in (browser, system) if part) or agent[:40] or _("Unknown device")


def _address(request: Request) -> str:
    return f"{home_of(principal(request).role)}/settings"


@signed_in()
async def password_action(request: Request) -> Response:
    """The current password is asked again, under the same brake as a sign-in; other devices are signed out."""
    form = await forms.read(request, NewPassword)
    if form.value is not None:
        form = _checked(form, form.value)
    if form.value is None:
        return await _page(request, form, 422)
    login, here = principal(request).login, _whence(request)
    if not await _may_change(request, login):
        address = f"{home_of(principal(request).role)}/security/confirm"
        return see_other(f"{address}?{urlencode({'next': _address(request)})}")
    attempt = limits.Attempt.of(login, here.address)
    try:
        async with house(request).database.connection() as connection:
            await accounts.check_password(connection, login, form.value.new)
        await entering.check_password(house(request).database, attempt, login, form.value.current, here)
    except Unprocessable as problem:
        return await _page(request, form.refuse(new=sentences(problem)[0]), 422)
    except Unauthenticated:
        return await _page(request, form.refuse(current=_("This is not your current password.")), 422)
    except TooManySignIns as problem:
        return await _page(request, form.refuse(current=sentences(problem)[0]), 429)
    return await _changed(request, attempt, form.value.new)


async def _may_change(request: Request, login: str) -> bool:
    """The password is not enough where the account has more: then all of it was proven within ten minutes."""
    async with house(request).database.connection() as connection:
        account = await entering.standing(connection, login)
        more = account is not None and (account.codes or account.passkeys)
        return not more or await sessions.is_fresh(connection, request.state.session.id)


async def _changed(request: Request, attempt: limits.Attempt, new: str) -> Response:
    """All sessions end; this browser goes on in a new one."""
    login, here, session = principal(request).login, _whence(request), request.state.session
    encoded = await passwords.hash_password(new)
    async with house(request).database.transaction() as connection:
        await limits.forgiven(connection, attempt)
        found = await sessions.proven(connection, session.id)
        await accounts.put_password(connection, login, encoded)
        await events.tell(connection, "password-changed", login, here)
        methods = found[1] if found else ("pwd",)
        secret, _session = await sessions.start(connection, login, principal(request).role, here, methods)
    response = see_other(f"{_address(request)}?done=password")
    secure = request.app.state.settings.cookies_secure
    response.set_cookie(cookie_name(secure), secret, **cookie_settings(secure))
    return response


def _checked(form: forms.Form[NewPassword], wanted: NewPassword) -> forms.Form[NewPassword]:
    if len(wanted.new) < SHORTEST:
        return form.refuse(new=_("The new password must have %(count)s characters or more") % {"count": SHORTEST})
    if wanted.new != wanted.again:
        return form.refuse(again=_("The two new passwords differ"))
    return form


def _whence(request: Request) -> Whence:
    """Address and browser, as the list of devices names them."""
    return Whence(request.client.host if request.client else "", request.headers.get("user-agent", ""))


@signed_in()
async def end_action(request: Request) -> Response:
    """End one session of this account, or all but this one."""
    form = await forms.read(request, End)
    database, login = house(request).database, principal(request).login
    named = form.value.session if form.value else ""
    idle = request.app.state.doorkeeper.idle
    ending = [named] if named else [one.id for one in await sessions.own(database, login, idle=idle)]
    for session_id in ending:
        if session_id != request.state.session.id:
            await sessions.end(database, login, session_id)
    return see_other(f"{_address(request)}?done=ended")
