"""Two ways to what another institution holds: ask the person, or, in an emergency, open it and answer for that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access import emergencies, sharing
from xinglin.access.emergencies import EMERGENCY_REASONS
from xinglin.access.principal import Role
from xinglin.kernel.errors import Invalid, NotFound
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _, language
from xinglin.web.guards import institutions, page, records, see_other, signed_in
from xinglin.web.problems import sentences
from xinglin.web.workspace.person import Person, frame, open_person

CONSENT: Final = "web/templates/workspace/consent.html"
EMERGENCY: Final = "web/templates/workspace/emergency.html"
CONFIRM: Final = "web/templates/workspace/emergency_confirm.html"


def routes() -> list[BaseRoute]:
    both = ["GET", "POST"]
    return [
        Route("/desk/people/{patient}/consent", ask_page, methods=both),
        Route("/desk/people/{patient}/emergency", emergency_page, methods=both),
    ]


@dataclass(frozen=True)
class Ask:
    institution: str = forms.text(N_("Institution"), missing=N_("Choose whose records you ask for"))
    message: str = forms.text(
        N_("Message to the person"),
        hint=N_("Say in plain words what you need it for. The person reads this."),
        required=False,
        default="",
        max_length=500,
    )


@signed_in(Role.CLINICIAN)
async def ask_page(request: Request) -> Response:
    person = await open_person(request)
    form = forms.blank(Ask) if request.method == "GET" else await forms.read(request, Ask)
    closed = {one.institution for one in person.closed}
    if form.value is not None and form.value.institution not in closed:
        form = form.refuse(institution=_("Choose one of the institutions"))
    if form.value is None:
        options = [(id, institutions(request).name(id)) for id in sorted(closed)]
        if len(options) == 1:
            form = forms.Form(form.shape, {**form.sent, "institution": options[0][0]}, form.errors)
        status = 200 if request.method == "GET" else 422
        return page(
            request, CONSENT, current="/desk", status=status, form=form, options=options, **frame(request, person, "")
        )
    await sharing.ask(person.records, person.patients[0], form.value.institution, form.value.message)
    return see_other(f"/desk/people/{person.id}?done=asked")


# emergency ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Emergency:
    reason: str = forms.choice(N_("Reason"), tuple(EMERGENCY_REASONS), missing=N_("Choose the reason"))
    words: str = forms.text(
        N_("What happened"),
        missing=N_("Say in a sentence what happened"),
        hint=N_("One sentence. The person and the institution's privacy officer read it."),
        max_length=300,
    )
    confirmed: bool = forms.flag(N_("Confirmed"))


@signed_in(Role.CLINICIAN)
async def emergency_page(request: Request) -> Response:
    """Reason and words, then a page that says what will happen, then it happens. Also for a person of whom nothing is
    open yet (found by the emergency look-up): then the page names nobody."""
    person = await _person_if_open(request)
    form = forms.blank(Emergency) if request.method == "GET" else await forms.read(request, Emergency)
    if form.value is None:
        return _asked(request, person, form)
    if not form.value.confirmed:
        given = {"reason": form.value.reason, "words": form.value.words, "confirmed": "1"}
        return _framed(request, person, CONFIRM, given=given, reason=_reasons()[form.value.reason])
    try:
        await emergencies.break_glass(records(request), _patient(request), form.value.reason, form.value.words)
    except Invalid as problem:
        return _asked(request, person, form.refuse(words=sentences(problem)[0]))
    return see_other(f"/desk/people/{_patient(request)}")


def _asked(request: Request, person: Person | None, form: Any) -> Response:
    status = 422 if form.errors else 200
    return _framed(request, person, EMERGENCY, status=status, form=form, options=list(_reasons().items()))


def _framed(request: Request, person: Person | None, template: str, **context: Any) -> Response:
    around = frame(request, person, "") if person else {"person": None}
    here = f"/desk/people/{_patient(request)}"
    return page(request, template, current="/desk", here=here, known=person is not None, **around, **context)


async def _person_if_open(request: Request) -> Person | None:
    try:
        return await open_person(request)
    except NotFound:
        return None


def _patient(request: Request) -> str:
    return str(request.path_params["patient"])


def _reasons() -> dict[str, str]:
    """The reasons in the reader's language."""
    return {code: en if language() == "en" else zh for code, (zh, en) in EMERGENCY_REASONS.items()}
