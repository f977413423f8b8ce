"""Open in an app: from a person's record at the desk, and from the person's own."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from xinglin.access.oauth import allowing, clients, launching
from xinglin.access.oauth.clients import Client
from xinglin.access.oauth.launching import Launch
from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import Gone, NotFound
from xinglin.ui import forms
from xinglin.ui.formats import person_name
from xinglin.ui.i18n import N_
from xinglin.ui.templating import SECURITY_HEADERS
from xinglin.web.guards import house, page, principal, records, signed_in

PAGE: Final = "web/oauth/templates/open.html"
FHIR_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}")
STAFF: Final = (Role.CLINICIAN, Role.PHARMACIST)


@dataclass(frozen=True)
class Open:
    client: str = forms.text(N_("App"), max_length=100)
    encounter: str = forms.text(N_("Visit"), required=False, default="", max_length=64)


def routes() -> list[BaseRoute]:
    return [
        Route("/desk/people/{patient}/apps", desk_page, methods=["GET", "POST"]),
        Route("/me/apps/open", own_page, methods=["GET", "POST"]),
    ]


@signed_in(*STAFF)
async def desk_page(request: Request) -> Response:
    id = str(request.path_params["patient"])
    return await _page(request, id, f"/desk/people/{id}", principal(request).institution)


@signed_in(Role.PATIENT)
async def own_page(request: Request) -> Response:
    who = principal(request)
    own = who.on_behalf or (who.patients[0] if who.patients else "")
    return await _page(request, own, "/me/apps", None)


async def _page(request: Request, patient: str, back: str, institution: str | None) -> Response:
    """The apps to choose from; a post opens one. The record is read first: who may not see it opens nothing."""
    person = parse((await records(request).read("Patient", patient)).body)
    async with house(request).database.connection() as connection:
        apps = await clients.launchable(connection, institution)
    if request.method == "POST":
        return await _opened(request, patient, apps)
    visit = await _visit(request, patient, request.query_params.get("encounter", ""))
    response = page(
        request,
        PAGE,
        apps=apps,
        back=f"{back}/visits/{visit['id']}" if visit and institution else back,
        action=request.url.path,
        name=person_name(person["name"]),
        visit=visit["id"] if visit else "",
        visited=visit.get("period", {}).get("start", "") if visit else "",
    )
    targets = sorted({origin for app in apps if app.launch_uri and (origin := clients.origin_of(app.launch_uri))})
    policy = SECURITY_HEADERS["content-security-policy"]
    allowed = " ".join(("form-action 'self'", *targets))
    response.headers["content-security-policy"] = policy.replace("form-action 'self'", allowed)
    return response


async def _visit(request: Request, patient: str, encounter: str) -> Any:
    """The visit that the app is opened in, read through the gate and the person's own; None where none is named."""
    if not encounter:
        return None
    found = None
    if FHIR_ID.fullmatch(encounter):
        with suppress(NotFound, Gone):
            found = parse((await records(request).read("Encounter", encounter)).body)
    if found is None or found.get("subject", {}).get("reference") != f"Patient/{patient}":
        raise NotFound("There is no such page.", remedy="Go back, or start from home.")
    return found


async def _opened(request: Request, patient: str, apps: list[Client]) -> Response:
    form = await forms.read(request, Open)
    client = next((app for app in apps if form.value and app.id == form.value.client), None)
    if client is None or form.value is None:
        raise NotFound("There is no such page.", remedy="Go back, or start from home.")
    who, visit = principal(request), await _visit(request, patient, form.value.encounter)
    encounter = str(visit["id"]) if visit else None
    async with house(request).database.transaction() as connection:
        audience = f"{request.app.state.settings.public_base}/fhir"
        address = await launching.begin(connection, client, Launch(who.login, patient, encounter), audience)
        await allowing.note(connection, who, "app-opened", client.id, patient=patient)
    return RedirectResponse(address, 303, SECURITY_HEADERS)
