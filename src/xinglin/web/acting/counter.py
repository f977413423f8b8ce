"""What staff confirm of the person before them: that an account is theirs, that somebody is a child's guardian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import checking, guardians
from xinglin.access.identity.accounts import fold_login
from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import Problem
from xinglin.ui import forms
from xinglin.ui.formats import person_name
from xinglin.ui.i18n import N_, _, language
from xinglin.web.acting.mine import method_words
from xinglin.web.guards import house, page, records, see_other, signed_in
from xinglin.web.problems import sentences

FOLDER: Final = "web/acting/templates/"
RELATIONS: Final = {
    "MTH": N_("Mother"),
    "FTH": N_("Father"),
    "GRPRNT": N_("Grandparent"),
    "GUARD": N_("Another legal guardian"),
}
NOT_THEIRS: Final = N_("Login and code do not belong together, or the code has run out. Ask for a new one.")


def routes() -> list[BaseRoute]:
    base, both = "/desk/people/{patient}", ["GET", "POST"]
    return [
        Route(f"{base}/account", account_page, methods=both),
        Route(f"{base}/account/end", end_account_action, methods=["POST"]),
        Route(f"{base}/guardian", guardian_page, methods=both),
        Route(f"{base}/guardian/end", end_guardian_action, methods=["POST"]),
    ]


@dataclass(frozen=True)
class Checked:
    login: str = forms.text(N_("Login name of the account"), missing=N_("Enter the login name"), max_length=64)
    code: str = forms.text(
        N_("Code on the person's telephone"),
        missing=N_("Enter the code"),
        hint=N_("Eight digits, under “Records elsewhere” in their portal."),
        max_length=20,
    )
    document: str = forms.choice(N_("What you have seen"), checking.DOCUMENTS, missing=N_("Choose what you have seen"))
    seen: bool = forms.flag(
        N_("I have compared the photograph and the particulars with the person and with this record"),
        required=True,
        missing=N_("Compare the document with the person first"),
    )


@signed_in(Role.CLERK, Role.CLINICIAN)
async def account_page(request: Request) -> Response:
    """Identity checked: the account shows, from now on, what this institution holds of the person."""
    stored = await checking.own_patient(records(request), _patient(request))
    form = forms.blank(Checked) if request.method == "GET" else await forms.read(request, Checked)
    if form.value is not None:
        form = await _confirmed(request, stored, form, form.value)
    if form.value is None:
        return await _shown(request, stored, "account.html", form, accounts=await _vouched(request, stored))
    return see_other(f"/desk/people/{stored.id}/account?done=1")


async def _confirmed(request: Request, stored: Any, form: forms.Form[Checked], given: Checked) -> forms.Form[Checked]:
    try:
        await checking.check_identity(records(request), stored.id, fold_login(given.login), given.code, given.document)
    except checking.WrongCode:
        return form.refuse(code=_(NOT_THEIRS))
    except Problem:
        return form.refuse(login=_("This account belongs to a person whose record is not joined with this one."))
    return form


async def _vouched(request: Request, stored: Any) -> list[dict[str, Any]]:
    found = await checking.vouched(records(request), stored)
    return [
        {
            "login": one.login,
            "name": one.name_en if language() == "en" else one.name_zh,
            "how": method_words(one.method),
            "at": one.at,
        }
        for one in found
    ]


async def _shown(request: Request, stored: Any, template: str, form: Any, **context: Any) -> Response:
    return page(
        request,
        f"{FOLDER}{template}",
        current="/desk",
        status=422 if form.errors else 200,
        form=form,
        here=f"/desk/people/{stored.id}",
        name=person_name(parse(stored.body).get("name", ())),
        documents=[(code, method_words(code)) for code in checking.DOCUMENTS],
        done=request.query_params.get("done", ""),
        **context,
    )


@dataclass(frozen=True)
class Ended:
    login: str = forms.text(N_("Login name of the account"), required=False, default="", max_length=64)
    guardianship: int = forms.integer(N_("Guardian"), required=False, default=0, low=0)


@signed_in(Role.CLERK, Role.CLINICIAN)
async def end_account_action(request: Request) -> Response:
    """The institution takes back what it vouched for."""
    form = await forms.read(request, Ended)
    login = fold_login(form.value.login) if form.value else ""
    await checking.take_back(records(request), _patient(request), login)
    return see_other(f"/desk/people/{_patient(request)}/account?done=ended")


def _patient(request: Request) -> str:
    return str(request.path_params["patient"])


# guardians ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Appointed:
    login: str = forms.text(
        N_("Login name of the guardian's account"), missing=N_("Enter the login name"), max_length=64
    )
    code: str = forms.text(
        N_("Code on the guardian's telephone"),
        missing=N_("Enter the code"),
        hint=N_("Eight digits, under “Act for somebody” in their portal."),
        max_length=20,
    )
    relation: str = forms.choice(N_("Who they are to the child"), tuple(RELATIONS), missing=N_("Choose who they are"))
    seen: bool = forms.flag(
        N_("I have seen the guardian's identity card and the household register or birth certificate"),
        required=True,
        missing=N_("Look at the papers first"),
    )


@signed_in(Role.CLERK, Role.CLINICIAN)
async def guardian_page(request: Request) -> Response:
    stored = await checking.own_patient(records(request), _patient(request))
    form = forms.blank(Appointed) if request.method == "GET" else await forms.read(request, Appointed)
    if form.value is not None:
        given = form.value
        try:
            await guardians.appoint(records(request), stored.id, fold_login(given.login), given.code, given.relation)
        except Problem as problem:
            form = form.refuse(code=sentences(problem)[0])
    if form.value is None:
        async with house(request).database.connection() as connection:
            found = await guardians.guardians_of(connection, [stored.id])
        return await _shown(
            request,
            stored,
            "guardian.html",
            form,
            guardians=[one for one in found if one.kind == guardians.CHILD],
            relations=[(code, _(label)) for code, label in RELATIONS.items()],
        )
    return see_other(f"/desk/people/{stored.id}/guardian?done=1")


@signed_in(Role.CLERK, Role.CLINICIAN)
async def end_guardian_action(request: Request) -> Response:
    stored = await checking.own_patient(records(request), _patient(request))
    form = await forms.read(request, Ended)
    await guardians.end(records(request), form.value.guardianship if form.value else 0)
    return see_other(f"/desk/people/{stored.id}/guardian?done=ended")
