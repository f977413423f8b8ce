"""The patient's record by date, across institutions; a laboratory report; a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import NotFound
from xinglin.ui.formats import reference_range
from xinglin.ui.i18n import _
from xinglin.ui.parts import Column
from xinglin.web.chart.documents import attachment_of, content_of, file_name
from xinglin.web.chart.gather import gather
from xinglin.web.chart.timeline import KINDS, TYPES, Dated, chosen, entries, kind_of
from xinglin.web.chart.trends import code_of, flag_of, range_of
from xinglin.web.chart.words import Resource, date_of, label, value_of
from xinglin.web.guards import institutions, page, principal, records, signed_in
from xinglin.web.portal.corrections import correction_of
from xinglin.web.reading import page_of, results_of

ALL: Final = "all"
"""The filter that lets everything pass: a value of its own, since a browser does not send an empty choice."""
Option = tuple[str, str]


@signed_in(Role.PATIENT)
async def timeline_page(request: Request) -> Response:
    known = institutions(request)
    gathered = await gather(records(request), principal(request).patients, TYPES, known.named)
    asked = {name: request.query_params.get(name, ALL)[:80] for name in ("kind", "institution", "year")}
    found = chosen(gathered.items, **{name: "" if value == ALL else value for name, value in asked.items()})
    shown = page_of(request, found)
    return page(
        request,
        "web/templates/portal/record.html",
        current="/me/record",
        entries=entries(shown.items, _href, correction_of),
        shown=shown,
        asked=asked,
        options=_options(gathered.items),
        complete=gathered.complete,
    )


def _options(items: Sequence[Dated]) -> Mapping[str, list[Option]]:
    """What each filter can be: only what the record has."""
    kinds = {item.kind.code for item in items}
    places = {item.institution: item.institution_name for item in items if item.institution}
    years = sorted({item.year for item in items if item.year}, reverse=True)
    return {
        "kind": [(ALL, _("All kinds")), *((kind.code, _(kind.name)) for kind in KINDS if kind.code in kinds)],
        "institution": [(ALL, _("All institutions")), *sorted(places.items(), key=lambda place: place[1])],
        "year": [(ALL, _("All years")), *((year, year) for year in years)],
    }


def _href(resource: Resource) -> str:
    pages = {"DiagnosticReport": "/me/reports/", "DocumentReference": "/me/documents/"}
    start = pages.get(resource["resourceType"])
    return f"{start}{resource['id']}" if start else ""


# a report -------------------------------------------------------------------------------------------------------


@signed_in(Role.PATIENT)
async def report_page(request: Request) -> Response:
    gate, known = records(request), institutions(request)
    stored = await gate.read("DiagnosticReport", request.path_params["report"])
    report = parse(stored.body)
    results = await results_of(gate, report)
    return page(
        request,
        "web/templates/portal/report.html",
        current="/me/record",
        title=label(report.get("code")) or _(kind_of(report).name),
        when=date_of(report),
        institution=known.named(stored.custodian)[1],
        conclusion=str(report.get("conclusion", "")),
        columns=result_columns(),
        rows=[result_row(result) for result in results],
    )


def result_columns() -> tuple[Column, ...]:
    return (
        Column("name", _("Test"), "main"),
        Column("value", _("Result"), "number"),
        Column("range", _("Reference"), "number"),
    )


def result_row(result: Resource) -> dict[str, str]:
    low, high = range_of(result)
    trend = f"/me/trends/{code_of(result)}" if "valueQuantity" in result else ""
    return {
        "name": label(result.get("code")),
        "value": value_of(result),
        "flag": flag_of(result),
        "range": reference_range(low, high),
        "href": trend,
    }


# a document -----------------------------------------------------------------------------------------------------


@signed_in(Role.PATIENT)
async def document_page(request: Request) -> Response:
    """The document's text, made safe; any other content as a download (`?download`)."""
    gate, known = records(request), institutions(request)
    stored = await gate.read("DocumentReference", request.path_params["document"])
    document = parse(stored.body)
    attachment = attachment_of(document)
    url = str(attachment.get("url", ""))
    holder = attachment
    if url.startswith("Binary/"):
        holder = parse((await gate.read("Binary", url.removeprefix("Binary/"))).body)
    content = content_of(holder)
    if "download" in request.query_params:
        if not content.data:
            raise NotFound("There is no such page.", remedy="Go back, or start from home.")
        name = file_name(str(document["id"]), content.data)
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(content.data, media_type="application/octet-stream", headers=headers)
    return page(
        request,
        "web/templates/portal/document.html",
        current="/me/record",
        title=str(attachment.get("title") or label(document.get("type")) or _("Document")),
        when=date_of(document),
        institution=known.named(stored.custodian)[1],
        content=content,
    )
