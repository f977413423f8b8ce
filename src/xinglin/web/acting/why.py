"""What can this principal do, and why: a page for managers and privacy officers, computed by the rules themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.explaining import Answer, Reason, explain
from xinglin.access.identity.accounts import fold_login
from xinglin.access.posts import BARRED
from xinglin.access.principal import Role
from xinglin.kernel.errors import Problem
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _, language
from xinglin.ui.parts import Column
from xinglin.web.guards import page, records, signed_in
from xinglin.web.problems import sentences
from xinglin.web.wording import purpose

PAGE: Final = "web/acting/templates/why.html"
VERBS: Final = {
    "r": N_("Read"),
    "s": N_("Find by searching"),
    "c": N_("Create"),
    "u": N_("Update"),
    "d": N_("Delete"),
}
RULES: Final = {
    "post": N_("Holds a post today"),
    "licence": N_("Holds a licence that is in force"),
    "proof": N_("Has proven to be the person of these records"),
    "role": N_("The role reads this kind of resource"),
    "purpose": N_("The role may ask for this purpose"),
    "directory": N_("It is an entry of the directory, which all may read"),
    "own": N_("It is the person's own"),
    "custody": N_("Their institution holds it"),
    "open-at-home": N_("The person has not closed it at that institution"),
    "consent": N_("A consent or an emergency opens it"),
    "scope": N_("The token's scopes cover it"),
    "write": N_("The role may write this kind of resource"),
    "writes-own": N_("Only what the own institution holds is changed"),
}


@dataclass(frozen=True)
class Asked:
    login: str = forms.text(N_("Login name"), missing=N_("Enter the login name"), max_length=64)
    reference: str = forms.text(
        N_("Resource"),
        missing=N_("Enter the resource"),
        hint=N_("Type and id, such as Observation/123; for a person Patient/123."),
        max_length=120,
    )
    verb: str = forms.choice(N_("What they want to do"), tuple(VERBS), default="r")


def routes() -> list[BaseRoute]:
    return [Route("/desk/institution/policy", why_page, methods=["GET", "POST"])]


@signed_in(Role.MANAGER, Role.PRIVACY)
async def why_page(request: Request) -> Response:
    """Asked by a post, so that no id of a record stands in an address."""
    form = forms.blank(Asked, verb="r") if request.method == "GET" else await forms.read(request, Asked)
    answer: Answer | None = None
    if form.value is not None:
        try:
            answer = await explain(
                records(request), fold_login(form.value.login), form.value.reference, form.value.verb
            )
        except Problem as problem:
            place = "reference" if problem.status == 400 else "login"
            form = form.refuse(**{place: sentences(problem)[0]})
    return page(
        request,
        PAGE,
        current="/desk/institution/policy",
        status=422 if form.errors else 200,
        form=form,
        verbs=[(verb, _(label)) for verb, label in VERBS.items()],
        answer=answer,
        columns=(Column("rule", _("Rule"), "main"), Column("holds", _("Answer")), Column("detail", _("Rests on"))),
        reasons=[_row(one) for one in answer.reasons] if answer else [],
    )


def _row(reason: Reason) -> dict[str, object]:
    return {"rule": _(RULES[reason.rule]), "holds": reason.holds, "detail": _detail(reason)}


def _detail(reason: Reason) -> str:
    if reason.rule == "purpose":
        return purpose(reason.detail)
    if reason.rule == "licence":
        return _(BARRED[reason.detail][0]) if reason.detail in BARRED else ""
    if reason.rule == "role":
        return reason.detail if language() == "en" else ""
    return reason.detail
