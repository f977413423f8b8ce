"""Results over time: one line for each thing that was measured, and its chart."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.principal import Role
from xinglin.kernel.errors import NotFound
from xinglin.ui.i18n import _, ngettext
from xinglin.ui.parts import Column, Tab
from xinglin.web.chart.gather import gather_type
from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.trends import Trend, trends
from xinglin.web.chart.words import categories_of
from xinglin.web.guards import institutions, page, principal, records, signed_in


@signed_in(Role.PATIENT)
async def overview(request: Request) -> Response:
    """Everything measured, the most recent first; laboratory results and measurements apart."""
    known = institutions(request)
    gathered = await gather_type(records(request), principal(request).patients, "Observation", known.named)
    kind = "vitals" if request.query_params.get("kind") == "vitals" else "laboratory"
    laboratory = [item for item in gathered.items if _is_laboratory(item)]
    measured = [item for item in gathered.items if not _is_laboratory(item)]
    found = {"laboratory": trends(laboratory), "vitals": trends(measured)}
    return page(
        request,
        "web/templates/portal/trends.html",
        current="/me/trends",
        tabs=[
            Tab("/me/trends", _("Laboratory"), kind == "laboratory", len(found["laboratory"])),
            Tab("/me/trends?kind=vitals", _("Measurements"), kind == "vitals", len(found["vitals"])),
        ],
        columns=_columns(),
        rows=[_row(trend) for trend in found[kind]],
        complete=gathered.complete,
    )


def _is_laboratory(item: Dated) -> bool:
    return "laboratory" in categories_of(item.resource)


def _columns() -> tuple[Column, ...]:
    return (
        Column("title", _("What"), "main"),
        Column("latest", _("Latest"), "number"),
        Column("when", _("Date"), "time"),
        Column("count", _("Values"), "number"),
    )


def _row(trend: Trend) -> dict[str, object]:
    return {
        "title": trend.title,
        "href": f"/me/trends/{quote(trend.code, safe='')}",
        "latest": trend.latest,
        "flag": trend.flag,
        "when": trend.when,
        "count": trend.count,
    }


@signed_in(Role.PATIENT)
async def one(request: Request) -> Response:
    """One code's chart and table."""
    code, known = request.path_params["code"][:100], institutions(request)
    query = f"code={quote(_escaped(code), safe='')}"
    gathered = await gather_type(records(request), principal(request).patients, "Observation", known.named, query=query)
    found = next((trend for trend in trends(gathered.items) if trend.code == code), None)
    if found is None:
        raise NotFound("There is no such page.", remedy="Go back, or start from home.")
    count = ngettext("%(count)s value", "%(count)s values", found.count) % {"count": found.count}
    back = "/me/trends" if _is_laboratory(gathered.items[0]) else "/me/trends?kind=vitals"
    return page(request, "web/templates/portal/trend.html", current="/me/trends", trend=found, count=count, back=back)


def _escaped(code: str) -> str:
    """The code as one search value: FHIR's separators stand for themselves."""
    for separator in "\\,|$":
        code = code.replace(separator, "\\" + separator)
    return code
