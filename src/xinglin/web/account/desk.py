"""Staff let somebody in again who stands before them: who, how they were recognised, and a code to hand over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import limits, recovery, rules
from xinglin.access.principal import Role
from xinglin.kernel.errors import NotFound
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _, language
from xinglin.web.account.confirm import freshly
from xinglin.web.account.tickets import whence
from xinglin.web.guards import Page, house, page, principal, signed_in
from xinglin.web.shells import ROLES

FORM: Final = "web/account/templates/give_code.html"
GIVEN: Final = "web/account/templates/given_code.html"
ADDRESS: Final = "/desk/recovery"


@dataclass(frozen=True)
class Handing:
    login: str = forms.text(
        N_("Login name"), missing=N_("Enter the login name of the person before you"), max_length=200
    )
    evidence: str = forms.choice(
        N_("How did you recognise the person?"),
        tuple(one.code for one in rules.evidence()),
        missing=N_("Say how you recognised the person"),
    )


def routes() -> list[BaseRoute]:
    return [Route(ADDRESS, give_page, methods=["GET", "POST"])]


def _for_givers(endpoint: Page) -> Page:
    """Roles that data/sign_in.json lets give codes, and who has just proven who they are."""
    roles = tuple(Role(name) for name in rules.data()["recovery"]["may_give"])
    return signed_in(*roles)(freshly(endpoint))


@_for_givers
async def give_page(request: Request) -> Response:
    if request.method == "GET":
        return _asking(request, forms.blank(Handing))
    form = await forms.read(request, Handing)
    if form.value is None:
        return _asking(request, form)
    await limits.knock(house(request).database, f"recovery:{principal(request).login}")
    try:
        given = await recovery.give(
            house(request), principal(request), form.value.login, form.value.evidence, whence(request)
        )
    except NotFound:
        missing = _("Your institution has no account of this name that you may let in again.")
        return _asking(request, form.refuse(login=missing))
    name = given.name_en if language() == "en" else given.name_zh
    return page(request, GIVEN, current=ADDRESS, given=given, name=name, role=_(ROLES[given.role]))


def _asking(request: Request, form: forms.Form[Handing]) -> Response:
    ways = [(one.code, one.en if language() == "en" else one.zh) for one in rules.evidence()]
    return page(request, FORM, current=ADDRESS, status=422 if form.errors else 200, form=form, ways=ways)
