"""The portal's pages on acting for others, and on records at other institutions that the account does not show yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access import audit
from xinglin.access.categories import categories
from xinglin.access.identity import acting, guardians, proof
from xinglin.access.identity.accounts import fold_login
from xinglin.access.policy import own_keys
from xinglin.access.principal import Role
from xinglin.kernel.errors import Problem
from xinglin.ui import forms
from xinglin.ui.csrf import check_csrf
from xinglin.ui.i18n import N_, _, language
from xinglin.web.guards import house, institutions, page, principal, records, see_other, signed_in
from xinglin.web.problems import sentences
from xinglin.web.wording import category_name

FOLDER: Final = "web/acting/templates/"
DONE: Final = {
    "asked": N_("They can now act for you."),
    "ended": N_("They can no longer act for you."),
    "given-back": N_("You no longer act for this person."),
    "proof-ended": N_("That record is no longer shown here."),
}
METHODS: Final = {
    "resident-card": N_("Resident identity card"),
    "household-book": N_("Household register"),
    "passport": N_("Passport"),
    "other-document": N_("Another official document with a photograph"),
    "operator": N_("Checked by the operator of this service"),
    "openid": N_("Proven by an outside sign-in"),
}


def method_words(code: str) -> str:
    """How somebody's identity was proven."""
    return _(METHODS.get(code, code))


def routes() -> list[BaseRoute]:
    return [
        Route("/me/acting", overview),
        Route("/me/acting/choose", choose_action, methods=["POST"]),
        Route("/me/acting/end", end_action, methods=["POST"]),
        Route("/me/acting/ask", ask_page, methods=["GET", "POST"]),
        Route("/me/acting/code", code_action, methods=["POST"]),
        Route("/me/elsewhere", elsewhere_page),
        Route("/me/elsewhere/end", end_proof_action, methods=["POST"]),
    ]


@dataclass(frozen=True)
class Chosen:
    """A guardianship by its number; none: oneself."""

    guardianship: int = forms.integer(N_("Person"), required=False, default=0, low=0)


@signed_in(Role.PATIENT)
async def overview(request: Request) -> Response:
    who = principal(request)
    async with house(request).database.connection() as connection:
        wards = await guardians.wards(connection, who.login)
        mine = await guardians.guardians_of(connection, who.patients)
    return page(
        request,
        f"{FOLDER}overview.html",
        current="/me",
        wards=wards,
        guardians=[_guardian(one) for one in mine if one.login != who.login],
        acting=request.state.acting.ward,
        own=who.on_behalf is None,
        done=_done(request),
    )


def _guardian(one: guardians.Guardian) -> dict[str, Any]:
    name = one.name_en if language() == "en" else one.name_zh
    return {"id": one.id, "name": name, "login": one.login, "kind": one.kind, "until": one.until}


def _done(request: Request) -> str:
    said = DONE.get(request.query_params.get("done", ""), "")
    return _(said) if said else ""


@signed_in(Role.PATIENT)
async def choose_action(request: Request) -> Response:
    form = await forms.read(request, Chosen)
    wanted = (form.value.guardianship if form.value else 0) or None
    async with house(request).database.transaction() as connection:
        await acting.choose_ward(connection, request.state.session.id, principal(request).login, wanted)
    return see_other("/me")


@signed_in(Role.PATIENT)
async def end_action(request: Request) -> Response:
    """End that somebody acts for oneself, or give back that one acts for somebody."""
    form = await forms.read(request, Chosen)
    number = form.value.guardianship if form.value else 0
    async with house(request).database.connection() as connection:
        mine = {one.id for one in await guardians.wards(connection, principal(request).login)}
    await guardians.end(records(request), number)
    return see_other("/me/acting?done=" + ("given-back" if number in mine else "ended"))


# letting somebody act for oneself -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ask:
    login: str = forms.text(N_("Their login name"), missing=N_("Enter their login name"), max_length=64)
    code: str = forms.text(
        N_("Their code"),
        missing=N_("Enter the code that they see"),
        hint=N_("Eight digits. They open “Act for somebody” in their own account and choose “Show my code”."),
        max_length=20,
    )
    categories: tuple[str, ...] = forms.choices(
        N_("What they may read"),
        [category.code for category in categories()],
        missing=N_("Choose at least one part of the record"),
        hint=N_("They read; they change nothing. Sensitive records stay closed."),
    )
    until: date | None = forms.day(N_("Last day"), missing=N_("Enter the last day"))


@signed_in(Role.PATIENT)
async def ask_page(request: Request) -> Response:
    form = forms.blank(Ask) if request.method == "GET" else await forms.read(request, Ask)
    if form.value is None:
        return _asking(request, form)
    given = form.value
    bits = sum(one.bit for one in categories() if one.code in given.categories)
    try:
        assert given.until is not None
        await guardians.ask(records(request), fold_login(given.login), given.code, bits, given.until)
    except Problem as problem:
        place = "until" if any("until" in (issue.expression or "") for issue in problem.issues) else "code"
        return _asking(request, form.refuse(**{place: sentences(problem)[0]}))
    return see_other("/me/acting?done=asked")


def _asking(request: Request, form: forms.Form[Ask]) -> Response:
    return page(
        request,
        f"{FOLDER}ask.html",
        current="/me",
        status=422 if form.errors else 200,
        form=form,
        categories=[(one.code, category_name(one)) for one in categories()],
    )


# codes and proofs -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Use:
    use: str = forms.choice(N_("What for"), ("identity", "guardian"))


@signed_in(Role.PATIENT)
async def code_action(request: Request) -> Response:
    """The answer to the post itself shows the code: it must not stand in an address."""
    form = await forms.read(request, Use)
    if form.value is None:
        return see_other("/me/acting")
    async with house(request).database.transaction() as connection:
        code = await proof.make_code(connection, principal(request).login, form.value.use)
    return page(
        request,
        f"{FOLDER}code.html",
        current="/me",
        use=form.value.use,
        code=f"{code[:4]} {code[4:]}",
        login=principal(request).login,
        minutes=proof.CODE_MINUTES,
    )


@signed_in(Role.PATIENT)
async def elsewhere_page(request: Request) -> Response:
    """What is shown of other institutions and who vouched for it, and what seems to be there besides."""
    who, known = principal(request), institutions(request)
    if who.on_behalf is not None:
        return see_other("/me/acting")
    async with house(request).database.connection() as connection:
        proofs = await proof.standing_proofs(connection, who.login)
        more = await proof.seem_elsewhere(connection, who.login, who.patients[0])
    shown = [
        {
            "institution": one.institution or "",
            "name": known.name(one.institution) if one.institution else _("Every institution"),
            "how": method_words(one.method),
            "at": one.at,
            "ends": one.institution is not None,
        }
        for one in proofs
    ]
    return page(
        request,
        f"{FOLDER}elsewhere.html",
        current="/me",
        proofs=shown,
        more=[known.name(id) for id in more],
        done=_done(request),
    )


@signed_in(Role.PATIENT)
async def end_proof_action(request: Request) -> Response:
    """The owner no longer wants an institution's records in this account."""
    async with request.form(max_fields=5, max_files=0) as sent:
        check_csrf(request, sent)
        institution = str(sent.get("institution", ""))
    who = principal(request)
    async with house(request).database.transaction() as connection:
        if institution and await proof.end(connection, who.login, institution, by=who.login):
            line = audit.Access(who, "proof-ended", f"Organization/{institution}", tuple(own_keys(who)))
            await audit.record(connection, [line])
    return see_other("/me/elsewhere?done=proof-ended")
