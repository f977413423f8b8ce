"""Something in the record is wrong: the patient says what, and reads what the institution answers."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access import oversight
from xinglin.access.oversight import CORRECTED, CORRECTION
from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import Conflict, Forbidden
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.web.chart.timeline import detail_of, title_of
from xinglin.web.chart.words import Resource, date_of
from xinglin.web.guards import institutions, page, records, see_other, signed_in
from xinglin.web.problems import sentences


@dataclass(frozen=True)
class Wrong:
    words: str = forms.text(
        N_("What is wrong, and what should it say?"),
        missing=N_("Write what is wrong"),
        hint=N_("The institution that keeps this entry answers you. The earlier version stays in the history."),
        max_length=oversight.LONGEST,
    )


def correction_of(resource: Resource) -> str:
    """The address where a patient says that an entry is wrong."""
    return f"/me/corrections/{resource['resourceType']}/{resource['id']}"


@signed_in(Role.PATIENT)
async def list_page(request: Request) -> Response:
    found = await oversight.judgements(records(request), (CORRECTION,))
    return page(
        request,
        "web/templates/portal/corrections.html",
        current="/me/record",
        found=found,
        corrected=CORRECTED,
        done=request.query_params.get("done", ""),
    )


@signed_in(Role.PATIENT)
async def ask_page(request: Request) -> Response:
    gate = records(request)
    type, id = str(request.path_params["type"]), str(request.path_params["id"])
    stored = await gate.read(type, id)
    resource = parse(stored.body)
    form = forms.blank(Wrong) if request.method == "GET" else await forms.read(request, Wrong)
    if form.value is not None:
        try:
            await oversight.ask_correction(gate, type, id, form.value.words)
            return see_other("/me/corrections?done=asked")
        except (Conflict, Forbidden) as problem:
            form = form.refuse(words=" ".join(sentences(problem)))
    return page(
        request,
        "web/templates/portal/correction.html",
        current="/me/record",
        status=422 if form.errors else 200,
        form=form,
        address=correction_of(resource),
        rows=[
            (_("What"), title_of(resource)),
            (_("Date"), date_of(resource)[:10]),
            (_("It says"), detail_of(resource)),
            (_("Held by"), institutions(request).named(stored.custodian)[1]),
        ],
    )
