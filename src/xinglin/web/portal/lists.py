"""Medicines, allergies, immunizations: what holds today first."""

from __future__ import annotations

from datetime import date
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.principal import Role
from xinglin.ui.i18n import _
from xinglin.ui.parts import Column
from xinglin.web.chart import summary
from xinglin.web.chart.gather import Gathered, gather_type
from xinglin.web.guards import institutions, page, principal, records, signed_in
from xinglin.web.wording import today

PAST: Final = 100
"""Ended prescriptions shown; the timeline has all."""


async def _gathered(request: Request, type: str) -> Gathered:
    return await gather_type(records(request), principal(request).patients, type, institutions(request).named)


@signed_in(Role.PATIENT)
async def medicines_page(request: Request) -> Response:
    gathered = await _gathered(request, "MedicationRequest")
    now = date.fromisoformat(today())
    found = summary.medicines(gathered.items, now)
    return page(
        request,
        "web/templates/portal/medicines.html",
        current="/me",
        columns=medicine_columns(),
        current_rows=summary.current_medicines(gathered.items, now),
        past_rows=[medicine for medicine in found if not medicine.current][:PAST],
    )


def medicine_columns() -> tuple[Column, ...]:
    return (
        Column("name", _("Medicine"), "main"),
        Column("dose", _("How to take it")),
        Column("when", _("Prescribed"), "time"),
        Column("until", _("Lasts until"), "time"),
        Column("institution", _("Institution")),
    )


@signed_in(Role.PATIENT)
async def allergies_page(request: Request) -> Response:
    gathered = await _gathered(request, "AllergyIntolerance")
    return page(
        request,
        "web/templates/portal/allergies.html",
        current="/me",
        lines=summary.allergies(gathered.items),
        none_known=summary.no_known_allergy(gathered.items),
        columns=(
            Column("text", _("Substance"), "main"),
            Column("note", _("Reaction")),
            Column("when", _("Recorded"), "time"),
            Column("institution", _("Institution")),
        ),
    )


@signed_in(Role.PATIENT)
async def immunizations_page(request: Request) -> Response:
    gathered = await _gathered(request, "Immunization")
    return page(
        request,
        "web/templates/portal/immunizations.html",
        current="/me",
        lines=summary.immunizations(gathered.items),
        columns=(
            Column("text", _("Vaccine"), "main"),
            Column("note", _("Dose"), "number"),
            Column("when", _("Date"), "time"),
            Column("institution", _("Institution")),
        ),
    )
