"""The manager's first page: what the institution holds, counted, and the institutions of the county."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access import sharing
from xinglin.access.identity.accounts import everyone
from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel import clock
from xinglin.ui.i18n import N_, _
from xinglin.ui.parts import Column, Stat, Tab
from xinglin.web.chart.words import first_text, label
from xinglin.web.guards import house, institutions, page, principal, records, signed_in

PAGE: Final = "web/templates/workspace/institution.html"
LARGEST: Final = 200  # institutions shown; a county has dozens
TYPES: Final = {
    "Patient": N_("People registered"),
    "Encounter": N_("Visits"),
    "Condition": N_("Diagnoses"),
    "Observation": N_("Measurements and results"),
    "DiagnosticReport": N_("Reports"),
    "MedicationRequest": N_("Prescriptions"),
    "MedicationDispense": N_("Medicines handed out"),
    "Immunization": N_("Vaccinations"),
    "AllergyIntolerance": N_("Allergies"),
    "Procedure": N_("Procedures"),
    "ServiceRequest": N_("Orders"),
    "DocumentReference": N_("Documents"),
    "Binary": N_("Files"),
    "ImagingStudy": N_("Imaging studies"),
    "Consent": N_("Consents"),
    "RelatedPerson": N_("Relatives"),
    "Task": N_("Tasks"),
    "Communication": N_("Messages"),
    "Practitioner": N_("Staff"),
    "PractitionerRole": N_("Posts of staff"),
    "Organization": N_("Institutions"),
    "Location": N_("Places"),
    "HealthcareService": N_("Services"),
    "CarePlan": N_("Care plans"),
    "EpisodeOfCare": N_("Episodes of care"),
}
"""Types in words; a type that is not here is shown by its FHIR name."""
COUNTED_FOR: Final = timedelta(minutes=10)
FIRST: Final = ("Patient", "Encounter", "Observation", "MedicationRequest", "DocumentReference")


def routes() -> list[BaseRoute]:
    return [Route("/desk/institution", overview)]


def tabs(current: str) -> list[Tab]:
    """Of the manager's pages."""
    shown = (("", _("Overview")), ("/users", _("Users")), ("/apps", _("Apps")), ("/access", _("Access log")))
    return [Tab(f"/desk/institution{path}", name, path == current) for path, name in shown]


@signed_in(Role.MANAGER)
async def overview(request: Request) -> Response:
    who, known = principal(request), institutions(request)
    counted, accounts, found = await asyncio.gather(
        _counted(request),
        everyone(house(request).database, institution=who.institution),
        records(request).search("Organization", f"_sort=name&_count={LARGEST}"),
    )
    numbers = dict(counted.counts)
    active = sum(account.active for account in accounts)
    return page(
        request,
        PAGE,
        current="/desk/institution",
        tabs=tabs(""),
        title=known.name(who.institution),
        counted_at=counted.at,
        stats=[
            *(Stat(_(TYPES[type]), numbers.get(type, 0)) for type in FIRST),
            Stat(_("Users who may sign in"), active, href="/desk/institution/users"),
        ],
        count_columns=(
            Column("name", _("Kind"), "main"),
            Column("type", _("FHIR type")),
            Column("count", _("Number"), "number"),
        ),
        counts=sorted((_count(type, count) for type, count in counted.counts), key=lambda row: -row["count"]),
        institution_columns=_columns(),
        institutions=[_institution(parse(stored.body), known.name(stored.id)) for stored in found.matches],
    )


@dataclass(frozen=True, slots=True)
class Counted:
    """Resources of each type at one moment. Counting reads every row of the institution, so it is done now and then."""

    at: datetime
    counts: list[tuple[str, int]]


async def _counted(request: Request) -> Counted:
    """The institution's counts, at most COUNTED_FOR old in this process."""
    kept: dict[str | None, Counted] = getattr(request.app.state, "counted", {})
    request.app.state.counted = kept
    institution = principal(request).institution
    known = kept.get(institution)
    if known is None or clock.now() - known.at > COUNTED_FOR:
        known = kept[institution] = Counted(clock.now(), await sharing.count_by_type(records(request)))
    return known


def _count(type: str, count: int) -> dict[str, Any]:
    return {"name": _(TYPES[type]) if type in TYPES else type, "type": type, "count": count}


def _columns() -> tuple[Column, ...]:
    return (
        Column("name", _("Institution"), "main"),
        Column("level", _("Kind")),
        Column("phone", _("Phone"), "time"),
        Column("address", _("Address")),
    )


def _institution(organization: dict[str, Any], name: str) -> dict[str, str]:
    return {
        "name": name,
        "level": label(next(iter(organization.get("type", ())), None)),
        "phone": first_text(organization.get("telecom", ()), "value"),
        "address": first_text(organization.get("address", ()), "text"),
    }
