"""The steps between a right password and a session: the second factor, a password of one's own, setting one up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import wraps
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import TooManySignIns, accounts, begun, entering, events, passkeys, passwords
from xinglin.access.identity import second_factor as factor
from xinglin.access.identity.entering import Entered, Step, Waiting
from xinglin.kernel.errors import Problem, Unauthenticated, Unprocessable
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.ui.templating import render
from xinglin.web.account import authenticator
from xinglin.web.account import passkeys as pages
from xinglin.web.account.passkeys import Answered, Asked
from xinglin.web.account.tickets import STEPS, go_on, signed, ticket, whence
from xinglin.web.guards import house, local_path, see_other
from xinglin.web.problems import sentences

SECOND: Final = "web/account/templates/second.html"
CHANGE: Final = "web/account/templates/own_password.html"
StepPage = Callable[[Request, Waiting], Awaitable[Response]]


@dataclass(frozen=True)
class Code:
    code: str = forms.text(
        N_("Code"),
        missing=N_("Enter the code"),
        hint=N_("The six digits that your app shows now, or one of your recovery codes"),
        max_length=64,
    )


@dataclass(frozen=True)
class OwnPassword:
    new: str = forms.secret(
        N_("New password"),
        missing=N_("Enter a new password"),
        hint=N_("8 characters or more. Several words are easier to remember than signs."),
        max_length=256,
    )
    again: str = forms.secret(N_("New password again"), missing=N_("Enter the new password again"), max_length=256)


@dataclass(frozen=True)
class NewPasskey:
    credential: str = forms.text(N_("Passkey"), missing=N_("Press the button to use your passkey"), max_length=16384)
    name: str = forms.text(
        N_("Name of the passkey"),
        required=False,
        default="",
        max_length=60,
        hint=N_("So that you know it again: my phone, the ward's computer"),
    )


def routes() -> list[BaseRoute]:
    return [
        Route("/sign-in/second", second_page, methods=["GET", "POST"]),
        Route("/sign-in/second/passkey/options", second_options, methods=["POST"]),
        Route("/sign-in/second/passkey", second_passkey, methods=["POST"]),
        Route("/sign-in/password", password_page, methods=["GET", "POST"]),
        Route("/sign-in/enrol", enrol_page, methods=["GET", "POST"]),
        Route("/sign-in/enrol/passkey/options", enrol_options, methods=["POST"]),
        Route("/sign-in/enrol/passkey", enrol_passkey, methods=["POST"]),
    ]


def due(step: Step) -> Callable[[StepPage], Callable[[Request], Awaitable[Response]]]:
    """A page for a sign-in that waits for this very step; others go to the step that is due, or to the start."""

    def guard(endpoint: StepPage) -> Callable[[Request], Awaitable[Response]]:
        @wraps(endpoint)
        async def guarded(request: Request) -> Response:
            found = await entering.waiting(house(request), ticket(request, entering.KIND))
            if found is None or found.step is None:
                return see_other("/sign-in?failed=over" if found is None else "/sign-in")
            if found.step is not step:
                return see_other(STEPS[found.step])
            return await endpoint(request, found)

        return guarded

    return guard


# the second factor ----------------------------------------------------------------------------------------------------


@due(Step.SECOND)
async def second_page(request: Request, found: Waiting) -> Response:
    if request.method == "GET":
        failed = pages.said(request.query_params.get("failed", ""))
        return _second(request, found, forms.blank(Code), failed=failed)
    form = await forms.read(request, Code)
    if form.value is None:
        return _second(request, found, form, 422)
    try:
        method = await factor.check(house(request), found.account.login, form.value.code, whence(request))
        return await _went_on(request, method)
    except TooManySignIns as problem:
        response = _second(request, found, form.refuse(code=sentences(problem)[0]), 429)
        response.headers["retry-after"] = str(problem.retry_after)
        return response
    except Unauthenticated:
        wrong = _("The code is wrong or was used already. Wait for the next one and try again.")
        return _second(request, found, form.refuse(code=wrong), 422)


def _second(
    request: Request, found: Waiting, form: forms.Form[Code], status: int = 200, *, failed: str = ""
) -> Response:
    offered = bool(found.account.passkeys) and pages.offered(request)
    codes = found.account.codes or not offered
    return render(request, SECOND, status=status, form=form, passkey=offered, codes=codes, failed=failed)


async def _went_on(request: Request, method: str = "") -> Response:
    async with house(request).database.transaction() as connection:
        answer = await entering.went_on(
            house(request), connection, ticket(request, entering.KIND), whence(request), method=method
        )
    return await go_on(request, answer)


@due(Step.SECOND)
async def second_options(request: Request, found: Waiting) -> Response:
    await forms.read(request, Asked)
    return await pages.challenge(request, found.account.login)


@due(Step.SECOND)
async def second_passkey(request: Request, found: Waiting) -> Response:
    form = await forms.read(request, Answered)
    gate = house(request)
    held, login = ticket(request, passkeys.USE), found.account.login
    try:
        answer = form.value.credential if form.value else ""
        await passkeys.use(gate.database, gate.settings, held, answer, whence(request), login)
        return await _went_on(request, "hwk")
    except Problem:
        return see_other("/sign-in/second?failed=passkey")


# a password of one's own ----------------------------------------------------------------------------------------------


@due(Step.CHANGE)
async def password_page(request: Request, found: Waiting) -> Response:
    if request.method == "GET":
        return _change(request, forms.blank(OwnPassword))
    form = checked(await forms.read(request, OwnPassword))
    if form.value is None:
        return _change(request, form, 422)
    try:
        return await _changed(request, found.account.login, form.value.new)
    except Unprocessable as problem:
        return _change(request, form.refuse(new=sentences(problem)[0]), 422)


def checked(form: forms.Form[OwnPassword]) -> forms.Form[OwnPassword]:
    if form.value is None:
        return form
    if len(form.value.new) < passwords.SHORTEST:
        count = {"count": passwords.SHORTEST}
        return form.refuse(new=_("The new password must have %(count)s characters or more") % count)
    if form.value.new != form.value.again:
        return form.refuse(again=_("The two new passwords differ"))
    return form


async def _changed(request: Request, login: str, password: str) -> Response:
    """The given password ends, and with it every ticket; this sign-in goes on."""
    gate = house(request)
    async with gate.database.connection() as connection:
        await accounts.check_password(connection, login, password)
        given = await connection.fetchval("SELECT password FROM account WHERE login = $1", login)
    if await passwords.matches(given, password):
        raise Unprocessable("The password is the one that was given.", remedy="Choose one that only you know.")
    encoded = await passwords.hash_password(password)
    async with gate.database.transaction() as connection:
        held = await begun.take(connection, entering.KIND, ticket(request, entering.KIND))
        if held is None:
            raise entering.over()
        await accounts.put_password(connection, login, encoded)
        await events.tell(connection, "password-changed", login, whence(request))
        methods, goal = list(held.data["methods"]), str(held.data["goal"])
        answer = await entering.arrived(gate, connection, login, methods, whence(request), goal=goal)
    return await go_on(request, answer)


def _change(request: Request, form: forms.Form[OwnPassword], status: int = 200) -> Response:
    return render(
        request, CHANGE, status=status, form=form, action="/sign-in/password", title=_("Choose your own password"),
        why=_("Your password was given to you by somebody else. From now on only you should know it."),
    )  # fmt: skip


# setting up a second factor -------------------------------------------------------------------------------------------


@due(Step.ENROL)
async def enrol_page(request: Request, found: Waiting) -> Response:
    """Once the app has shown a code of its own the sign-in is complete; the answer shows the recovery codes."""
    codes, page = await authenticator.set_up(request, found.account.login, "/sign-in/enrol")
    if codes is None:
        return page
    gate, held = house(request), ticket(request, entering.KIND)
    async with gate.database.transaction() as connection:
        answer = await entering.went_on(gate, connection, held, whence(request), method="otp")
    if not isinstance(answer, Entered):
        return await go_on(request, answer)
    return await signed(request, authenticator.shown_once(request, codes, local_path(answer.goal)), answer)


@due(Step.ENROL)
async def enrol_options(request: Request, found: Waiting) -> Response:
    await forms.read(request, Asked)
    return await pages.registration(request, found.account.login)


@due(Step.ENROL)
async def enrol_passkey(request: Request, found: Waiting) -> Response:
    form = await forms.read(request, NewPasskey)
    try:
        await added(request, form, found.account.login)
        return await _went_on(request, "hwk")
    except Problem:
        return see_other("/sign-in/enrol?failed=passkey")


async def added(request: Request, form: forms.Form[NewPasskey], login: str) -> None:
    """Register what the browser made. Raises Problem."""
    if form.value is None:
        raise Unauthenticated
    gate, held = house(request), ticket(request, passkeys.REGISTER)
    name = form.value.name or _("Passkey")
    await passkeys.register(gate.database, gate.settings, held, login, form.value.credential, name, whence(request))
