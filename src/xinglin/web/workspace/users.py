"""The manager's users: who may sign in for the institution, and as what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import accounts, events, leaving
from xinglin.access.identity.accounts import Account
from xinglin.access.identity.second_factor import new_code
from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import Conflict, NotFound, Unprocessable
from xinglin.ui import forms
from xinglin.ui.formats import person_name
from xinglin.ui.i18n import N_, _, language
from xinglin.ui.parts import Column
from xinglin.web.account.confirm import freshly
from xinglin.web.guards import house, page, principal, records, see_other, signed_in
from xinglin.web.problems import sentences
from xinglin.web.shells import ROLES
from xinglin.web.workspace.institution import tabs

LIST: Final = "web/templates/workspace/users.html"
ADD: Final = "web/templates/workspace/user_add.html"
SECRET: Final = "web/templates/workspace/user_password.html"  # noqa: S105  a template's path
CONFIRM: Final = "web/templates/workspace/user_confirm.html"
STAFF: Final = (Role.CLINICIAN, Role.PHARMACIST, Role.CLERK, Role.MANAGER, Role.PRIVACY)
DONE: Final = {
    "disabled": N_("The user can no longer sign in"),
    "enabled": N_("The user can sign in again"),
    "left": N_("The user has left: signed out, and their posts have ended"),
}


def routes() -> list[BaseRoute]:
    base = "/desk/institution/users"
    return [
        Route(base, list_page),
        Route(f"{base}/add", add_page, methods=["GET", "POST"]),
        Route(f"{base}/{{login}}/{{act}}", act_page, methods=["GET", "POST"]),
    ]


@signed_in(Role.MANAGER)
async def list_page(request: Request) -> Response:
    found = await accounts.everyone(house(request).database, institution=principal(request).institution)
    done = DONE.get(request.query_params.get("done", ""), "")
    return page(
        request,
        LIST,
        current="/desk/institution",
        tabs=tabs("/users"),
        columns=_columns(),
        users=[_row(account, principal(request).login) for account in found],
        done=_(done) if done else "",
    )


def _columns() -> tuple[Column, ...]:
    return (
        Column("name", _("Name"), "main"),
        Column("login", _("Login name")),
        Column("role", _("Role")),
        Column("created", _("Since"), "time"),
        Column("state", _("State")),
        Column("acts", _("Actions")),
    )


def _row(account: Account, own: str) -> dict[str, Any]:
    return {
        "login": account.login,
        "name": account.name_en if language() == "en" else account.name_zh,
        "role": _(ROLES[account.role]),
        "created": account.created,
        "active": account.active,
        "own": account.login == own,
    }


# adding ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Add:
    login: str = forms.text(
        N_("Login name"),
        missing=N_("Enter a login name"),
        hint=N_("2 to 64 letters, digits, dots or hyphens"),
        max_length=64,
    )
    role: str = forms.choice(N_("Role"), tuple(role.value for role in STAFF), missing=N_("Choose a role"))
    name_zh: str = forms.text(N_("Name in Chinese"), missing=N_("Enter the name"), max_length=60)
    name_en: str = forms.text(N_("Name in English"), required=False, default="", max_length=60)
    practitioner: str = forms.text(
        N_("Entry in the staff directory"),
        required=False,
        default="",
        max_length=80,
        hint=N_("Clinicians need one: what they record bears this name."),
    )


@signed_in(Role.MANAGER)
@freshly
async def add_page(request: Request) -> Response:
    form = forms.blank(Add) if request.method == "GET" else await forms.read(request, Add)
    staff = await _staff(request)
    form = _checked(form, dict(staff))
    if form.value is None:
        return _adding(request, form, staff)
    password, given = new_code(), form.value
    try:
        made = await accounts.create(
            house(request).database,
            given.login,
            password,
            Role(given.role),
            name_zh=given.name_zh,
            name_en=given.name_en,
            institution=principal(request).institution,
            practitioner=given.practitioner or None,
            given=True,
        )
    except Conflict:
        return _adding(request, form.refuse(login=_("This login name is taken. Choose another.")), staff)
    except Unprocessable as problem:
        return _adding(request, form.refuse(login=sentences(problem)[0]), staff)
    return _shown_once(request, made, password, _("The user has been added"))


def _checked(form: forms.Form[Add], staff: dict[str, str]) -> forms.Form[Add]:
    """What only the directory knows: the entry exists, and whoever treats has one."""
    if form.value is None:
        return form
    if form.value.practitioner and form.value.practitioner not in staff:
        return form.refuse(practitioner=_("Choose one of the entries"))
    if form.value.role == Role.CLINICIAN and not form.value.practitioner:
        return form.refuse(practitioner=_("Choose the clinician's entry in the directory"))
    return form


def _adding(request: Request, form: forms.Form[Add], staff: list[tuple[str, str]]) -> Response:
    return page(
        request,
        ADD,
        current="/desk/institution",
        status=422 if form.errors else 200,
        form=form,
        staff=staff,
        roles=[(role.value, _(ROLES[role])) for role in STAFF],
    )


async def _staff(request: Request) -> list[tuple[str, str]]:
    """Practitioners who work at the institution, by name."""
    query = f"organization=Organization/{principal(request).institution}&_include=PractitionerRole:practitioner"
    found = await records(request).search("PractitionerRole", f"{query}&_count=1000")
    people = [parse(stored.body) for stored in found.included]
    return sorted(
        ((one["id"], f"{person_name(one.get('name', ()))} ({one['id']})") for one in people), key=lambda p: p[1]
    )


def _shown_once(request: Request, account: Account, password: str, title: str) -> Response:
    """The answer to the post itself, since a password must not stand in an address; the page is never stored."""
    return page(request, SECRET, current="/desk/institution", title=title, user=_row(account, ""), password=password)


# enabling, disabling, a new password ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Confirmed:
    """Nothing but the press of the button."""


@signed_in(Role.MANAGER)
@freshly
async def act_page(request: Request) -> Response:
    """A page that says what will happen, and the doing."""
    account, act = await _own_user(request), str(request.path_params["act"])
    if act not in ("disable", "enable", "password", "leave") or account.login == principal(request).login:
        raise _missing()  # one's own password is changed under Settings, by who knows it
    if request.method == "GET":
        return page(request, CONFIRM, current="/desk/institution", act=act, user=_row(account, ""))
    await forms.read(request, Confirmed)
    if act == "leave":
        await leaving.leave(records(request), account)
        return see_other("/desk/institution/users?done=left")
    if act != "password":
        await accounts.set_active(house(request).database, account.login, act == "enable")
        return see_other(f"/desk/institution/users?done={act}d")
    password = new_code()
    await accounts.set_password(house(request).database, account.login, password, given=True)
    async with house(request).database.transaction() as connection:
        await events.tell(connection, "password-given", account.login, by=principal(request))
    return _shown_once(request, account, password, _("The user has a new password"))


async def _own_user(request: Request) -> Account:
    """An account of the manager's own institution; another's is not found."""
    try:
        account = await accounts.get(house(request).database, str(request.path_params["login"]))
    except NotFound:
        raise _missing() from None
    if account.institution != principal(request).institution:
        raise _missing()
    return account


def _missing() -> NotFound:
    return NotFound("There is no such page.", remedy="Go back, or start from home.")
