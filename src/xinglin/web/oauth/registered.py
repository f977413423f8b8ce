"""The manager's apps: which may ask people of the institution for access, and for what at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.oauth import allowing, clients
from xinglin.access.oauth.clients import ACTIVE, DISABLED, KINDS, Client, Registration
from xinglin.access.principal import Role
from xinglin.kernel.errors import NotFound, Unprocessable
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.ui.parts import Column
from xinglin.web.guards import house, page, principal, see_other, signed_in
from xinglin.web.oauth.words import sentence
from xinglin.web.workspace.institution import tabs

LIST: Final = "web/oauth/templates/registered.html"
ONE: Final = "web/oauth/templates/registered_one.html"
ADD: Final = "web/oauth/templates/register.html"
SECRET: Final = "web/oauth/templates/secret.html"  # noqa: S105  a template's path
BASE: Final = "/desk/institution/apps"
STATES: Final = {"waiting": N_("Waits for approval"), "active": N_("Approved"), "disabled": N_("Disabled")}
KIND_NAMES: Final = {
    "public": N_("No secret: it runs in the browser or on a phone"),
    "secret": N_("A secret: it runs on a server"),
    "key": N_("A key of its own"),
}
DONE: Final = {
    "active": N_("The app is approved."),
    "disabled": N_("The app is disabled; its tokens have ended."),
    "limited": N_("The app is limited. What was allowed beyond that has ended."),
}
ACTS: Final = ("approve", "disable", "limit", "secret")


def routes() -> list[BaseRoute]:
    return [
        Route(BASE, list_page),
        Route(f"{BASE}/add", add_page, methods=["GET", "POST"]),
        Route(f"{BASE}/{{client}}", one_page),
        Route(f"{BASE}/{{client}}/{{act}}", act_page, methods=["POST"]),
    ]


@signed_in(Role.MANAGER)
async def list_page(request: Request) -> Response:
    async with house(request).database.connection() as connection:
        found = await clients.listed(connection, principal(request).institution)
    done = DONE.get(request.query_params.get("done", ""), "")
    return page(
        request,
        LIST,
        current="/desk/institution",
        tabs=tabs("/apps"),
        columns=(
            Column("name", _("Name"), "main"),
            Column("where", _("Address")),
            Column("created", _("Since"), "time"),
            Column("state", _("State")),
        ),
        apps=[_row(client, principal(request).institution) for client in found],
        done=_(done) if done else "",
    )


def _row(client: Client, own: str | None) -> dict[str, Any]:
    uri = client.redirect_uris[0] if client.redirect_uris else client.jwks_uri or ""
    return {
        "id": client.id,
        "name": client.name,
        "where": clients.origin_of(uri) or uri.partition(":")[0],
        "created": client.created,
        "state": client.state,
        "said": _(STATES[client.state]),
        "opens": client.institution == own or client.state == clients.WAITING,
    }


# one ------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    scopes: str = forms.text(N_("Scopes"), missing=N_("Give at least one scope"), max_length=8000)


@signed_in(Role.MANAGER)
async def one_page(request: Request) -> Response:
    client = await _client(request)
    return _one(request, client, forms.blank(Limits, scopes=" ".join(client.scopes)))


def _one(request: Request, client: Client, form: forms.Form[Limits], status: int = 200) -> Response:
    return page(
        request,
        ONE,
        current="/desk/institution",
        status=status,
        app=client,
        state=_(STATES[client.state]),
        kind=_(KIND_NAMES[client.kind]),
        base=f"{BASE}/{client.id}",
        sentences=list(dict.fromkeys(sentence(text) for text in client.scopes if text not in allowing.LAUNCHED)),
        own=client.institution == principal(request).institution,
        form=form,
    )


@dataclass(frozen=True)
class Confirmed:
    """Nothing but the press of the button."""


@signed_in(Role.MANAGER)
async def act_page(request: Request) -> Response:
    client, act = await _client(request), str(request.path_params["act"])
    if act not in ACTS or (client.institution is None and act != "approve"):
        raise _missing()
    if act == "limit":
        return await _limit(request, client)
    await forms.read(request, Confirmed)
    state = {"approve": ACTIVE, "disable": DISABLED}.get(act, client.state)
    async with house(request).database.transaction() as connection:
        await allowing.note(connection, principal(request), f"app-{act}", client.id)
        if act == "secret":
            secret = await clients.rotate_secret(connection, client.id)
        else:
            await clients.set_state(connection, client.id, state, principal(request).institution)
    if act == "secret":
        return page(request, SECRET, current="/desk/institution", app=client, secret=secret, back=f"{BASE}/{client.id}")
    return see_other(f"{BASE}?done={state}")


async def _limit(request: Request, client: Client) -> Response:
    form = await forms.read(request, Limits)
    if form.value is None:
        return _one(request, client, form, 422)
    try:
        async with house(request).database.transaction() as connection:
            await clients.limit(connection, client.id, form.value.scopes.split())
            await allowing.note(connection, principal(request), "app-limit", client.id, form.value.scopes)
    except Unprocessable as problem:
        return _one(request, client, form.refuse(scopes=_wrong(problem)), 422)
    return see_other(f"{BASE}?done=limited")


async def _client(request: Request) -> Client:
    """An app of the manager's own institution, or one that waits and is nobody's yet; another's is not found."""
    try:
        async with house(request).database.connection() as connection:
            client = await clients.get(connection, str(request.path_params["client"]))
    except NotFound:
        raise _missing() from None
    nobodys = client.institution is None and not client.backend and client.state == clients.WAITING
    if client.institution != principal(request).institution and not nobodys:
        raise _missing()
    return client


def _missing() -> NotFound:
    return NotFound("There is no such page.", remedy="Go back, or start from home.")


# adding ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Add:
    name: str = forms.text(N_("Name"), missing=N_("Enter the app's name"), max_length=80)
    kind: str = forms.choice(
        N_("How it proves who it is"), ("public", "secret"), missing=N_("Choose how it proves who it is")
    )
    redirect_uri: str = forms.text(
        N_("Redirect address"),
        missing=N_("Enter the redirect address"),
        max_length=500,
        hint=N_("As the app gives it, in full"),
    )
    launch_uri: str = forms.text(
        N_("Launch address"), required=False, default="", max_length=500, hint=N_("To open the app from a record")
    )
    scopes: str = forms.text(
        N_("Scopes"),
        missing=N_("Give at least one scope"),
        max_length=8000,
        hint=N_("What it may be allowed at most, for example: openid launch/patient patient/Observation.rs"),
    )


@signed_in(Role.MANAGER)
async def add_page(request: Request) -> Response:
    form = forms.blank(Add) if request.method == "GET" else await forms.read(request, Add)
    if form.value is None:
        return _adding(request, form)
    given, who = form.value, principal(request)
    wanted = Registration(
        given.name,
        given.kind,
        tuple(given.scopes.split()),
        (given.redirect_uri,),
        given.launch_uri or None,
        institution=who.institution,
    )
    try:
        client, secret = await clients.register(house(request).database, wanted, by=who.login)
    except Unprocessable as problem:
        place = {"redirect_uris": "redirect_uri", "launch_uri": "launch_uri", "scope": "scopes"}
        return _adding(request, form.refuse(**{place.get(problem.issues[0].expression or "", "name"): _wrong(problem)}))
    async with house(request).database.transaction() as connection:
        await allowing.note(connection, who, "app-registered", client.id)
    return page(
        request, SECRET, current="/desk/institution", app=client, secret=secret or "", back=f"{BASE}/{client.id}"
    )


WRONG: Final = {
    "redirect_uris": N_("A redirect address begins with https:// (or http:// on this machine) and has no fragment."),
    "launch_uri": N_("A launch address begins with https:// (or http:// on this machine)."),
    "scope": N_("One of these is no scope that an app can have."),
    "client_name": N_("A name has 1 to 80 characters."),
}


def _wrong(problem: Unprocessable) -> str:
    place = problem.issues[0].expression or ""
    return _(WRONG[place]) if place in WRONG else _("This is not in the right form.")


def _adding(request: Request, form: forms.Form[Add]) -> Response:
    return page(
        request,
        ADD,
        current="/desk/institution",
        status=422 if form.errors else 200,
        form=form,
        base=BASE,
        kinds=[(kind, _(KIND_NAMES[kind])) for kind in KINDS[:2]],
    )
