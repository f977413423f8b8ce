"""Apps that a person allowed: what each may do, and its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.oauth import allowing, clients
from xinglin.access.oauth.allowing import Allowed
from xinglin.access.principal import Role
from xinglin.kernel.errors import NotFound
from xinglin.ui import forms
from xinglin.ui.i18n import N_
from xinglin.web.guards import house, page, principal, see_other, signed_in
from xinglin.web.oauth.words import sentence
from xinglin.web.shells import home_of

PAGE: Final = "web/oauth/templates/allowed.html"


@dataclass(frozen=True)
class End:
    grant: str = forms.text(N_("App"), max_length=64)


def routes() -> list[BaseRoute]:
    """The same pages under the patient's and the staff's addresses."""
    return [
        route
        for start in ("/me", "/desk")
        for route in (Route(f"{start}/apps", list_page), Route(f"{start}/apps/end", end_action, methods=["POST"]))
    ]


@signed_in()
async def list_page(request: Request) -> Response:
    who = principal(request)
    async with house(request).database.connection() as connection:
        found = await allowing.of_person(connection, who.login)
        offers = await clients.launchable(connection, None) if who.role is Role.PATIENT else []
    return page(
        request,
        PAGE,
        base=f"{home_of(who.role)}/apps",
        home=f"{home_of(who.role)}/settings",
        apps=[(one, _sentences(one)) for one in found],
        done=request.query_params.get("done") == "ended",
        offers=bool(offers),
    )


def _sentences(one: Allowed) -> list[str]:
    return list(dict.fromkeys(sentence(text) for text in one.scopes if text not in allowing.LAUNCHED))


@signed_in()
async def end_action(request: Request) -> Response:
    form = await forms.read(request, End)
    if form.value is None:
        raise NotFound("There is no such page.", remedy="Go back, or start from home.")
    who = principal(request)
    async with house(request).database.transaction() as connection:
        await allowing.end(connection, who, form.value.grant)
    return see_other(f"{home_of(who.role)}/apps?done=ended")
