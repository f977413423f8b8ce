"""Everything measured of a person, and one thing over time."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.principal import Role
from xinglin.ui.formats import reference_range
from xinglin.ui.i18n import _, ngettext
from xinglin.ui.parts import Column
from xinglin.web.chart.gather import gather_type
from xinglin.web.chart.trends import Trend, trends
from xinglin.web.chart.words import categories_of
from xinglin.web.guards import institutions, signed_in
from xinglin.web.workspace.person import Person, no_page, open_person, shown
from xinglin.web.workspace.rows import result_columns


def routes() -> list[BaseRoute]:
    base = "/desk/people/{patient}/trends"
    return [Route(base, trends_page), Route(f"{base}/{{code:path}}", trend_page)]


@signed_in(Role.CLINICIAN)
async def trends_page(request: Request) -> Response:
    person = await open_person(request)
    gathered = await gather_type(person.records, person.patients, "Observation", institutions(request).named)
    laboratory = [item for item in gathered.items if "laboratory" in categories_of(item.resource)]
    measured = [item for item in gathered.items if "laboratory" not in categories_of(item.resource)]
    return shown(
        request,
        person,
        "trends",
        "/trends",
        columns=(*result_columns(), Column("count", _("Values"), "number")),
        laboratory=[_trend_row(person, trend) for trend in trends(laboratory)],
        measured=[_trend_row(person, trend) for trend in trends(measured)],
        complete=gathered.complete,
    )


def _trend_row(person: Person, trend: Trend) -> dict[str, Any]:
    first = trend.series[0]
    return {
        "name": trend.title,
        "value": trend.latest,
        "flag": trend.flag,
        "range": reference_range(first.low, first.high) if len(trend.series) == 1 else "",
        "when": trend.when,
        "institution": trend.institution,
        "count": trend.count,
        "href": f"/desk/people/{person.id}/trends/{quote(trend.code, safe='')}",
    }


@signed_in(Role.CLINICIAN)
async def trend_page(request: Request) -> Response:
    person, code = await open_person(request), request.path_params["code"][:100]
    query = f"code={quote(_literal(code), safe='')}"
    known = institutions(request).named
    gathered = await gather_type(person.records, person.patients, "Observation", known, query=query)
    found = next((trend for trend in trends(gathered.items) if trend.code == code), None)
    if found is None:
        raise no_page()
    note = ngettext("%(count)s value", "%(count)s values", found.count) % {"count": found.count}
    return shown(request, person, "trend", "/trends", trend=found, note=note)


def _literal(code: str) -> str:
    """The code as one search value: FHIR's separators stand for themselves."""
    for separator in "\\,|$":
        code = code.replace(separator, "\\" + separator)
    return code
