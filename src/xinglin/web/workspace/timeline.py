"""A person's record by date; one visit, one report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.principal import Role
from xinglin.ui.i18n import _
from xinglin.web.chart.gather import gather
from xinglin.web.chart.timeline import KINDS, TYPES, Dated, chosen, entries, kind_of
from xinglin.web.chart.trends import latest_of_each
from xinglin.web.chart.words import Resource, label
from xinglin.web.guards import institutions, signed_in
from xinglin.web.reading import page_of, results_of
from xinglin.web.workspace.person import Person, open_person, own_resource, shown
from xinglin.web.workspace.rows import result_columns, result_row, telling_first

OF_A_VISIT: Final = ("Condition", "Procedure", "DiagnosticReport", "MedicationRequest", "Observation")
PAGES: Final = {"Encounter": "visits", "DiagnosticReport": "reports", "DocumentReference": "documents"}


def routes() -> list[BaseRoute]:
    base = "/desk/people/{patient}"
    return [
        Route(f"{base}/timeline", timeline_page),
        Route(f"{base}/visits/{{visit}}", visit_page),
        Route(f"{base}/reports/{{report}}", report_page),
    ]


@signed_in(Role.CLINICIAN)
async def timeline_page(request: Request) -> Response:
    person = await open_person(request)
    gathered = await gather(person.records, person.patients, TYPES, institutions(request).named)
    asked = {name: request.query_params.get(name, "")[:80] for name in ("kind", "institution", "year")}
    part = page_of(request, chosen(gathered.items, **asked))
    return shown(
        request,
        person,
        "timeline",
        "/timeline",
        entries=entries(part.items, lambda resource: href_of(person, resource)),
        shown=part,
        asked=asked,
        options=_options(gathered.items),
        complete=gathered.complete,
    )


def _options(items: Sequence[Dated]) -> dict[str, list[tuple[str, str]]]:
    """What each filter can be: only what the record has."""
    kinds, places = {item.kind.code for item in items}, {item.institution: item.institution_name for item in items}
    return {
        "kind": [(kind.code, _(kind.name)) for kind in KINDS if kind.code in kinds],
        "institution": sorted(((id, name) for id, name in places.items() if id), key=lambda place: place[1]),
        "year": [(year, year) for year in sorted({item.year for item in items if item.year}, reverse=True)],
    }


def href_of(person: Person, resource: Resource) -> str:
    folder = PAGES.get(resource["resourceType"])
    return f"/desk/people/{person.id}/{folder}/{resource['id']}" if folder else ""


@signed_in(Role.CLINICIAN)
async def visit_page(request: Request) -> Response:
    """One visit with all that was found, measured and prescribed in it."""
    person = await open_person(request)
    visit = await own_resource(person, "Encounter", request.path_params["visit"], institutions(request).named)
    patient = str(visit.resource["subject"]["reference"]).removeprefix("Patient/")
    found = await gather(
        person.records,
        [patient],
        OF_A_VISIT,
        institutions(request).named,
        query=f"encounter=Encounter/{visit.resource['id']}",
    )
    observations = [item for item in found.items if item.resource["resourceType"] == "Observation"]
    rest = [item for item in found.items if item.resource["resourceType"] != "Observation"]
    return shown(
        request,
        person,
        "visit",
        "/timeline",
        visit=entries([visit])[0],
        visit_id=visit.resource["id"],
        visit_of=patient,
        who=_participants(visit.resource),
        entries=entries(chosen(rest), lambda resource: href_of(person, resource)),
        columns=result_columns()[:3],
        results=[result_row(person, item) for item in telling_first(latest_of_each(observations))],
    )


def _participants(encounter: Resource) -> str:
    names = (p.get("individual", {}).get("display", "") for p in encounter.get("participant", ()))
    return _(", ").join(name for name in names if name)


@signed_in(Role.CLINICIAN)
async def report_page(request: Request) -> Response:
    person = await open_person(request)
    report = await own_resource(person, "DiagnosticReport", request.path_params["report"], institutions(request).named)
    results = await results_of(person.records, report.resource)
    held = (report.institution, report.institution_name)
    return shown(
        request,
        person,
        "report",
        "/timeline",
        title=label(report.resource.get("code")) or _(kind_of(report.resource).name),
        report=report,
        conclusion=str(report.resource.get("conclusion", "")),
        columns=result_columns()[:3],
        results=[result_row(person, Dated(result, *held)) for result in results],
    )
