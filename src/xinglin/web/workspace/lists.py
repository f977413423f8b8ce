"""A person's medicines, immunizations and documents."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.ui.i18n import _
from xinglin.ui.parts import Column
from xinglin.web.chart import summary
from xinglin.web.chart.documents import attachment_of, content_of, documents, file_name
from xinglin.web.guards import institutions, signed_in
from xinglin.web.workspace.person import gathered_items, no_page, open_person, own_resource, shown, today_date
from xinglin.web.workspace.rows import immunization_columns, medicine_columns


def routes() -> list[BaseRoute]:
    base = "/desk/people/{patient}"
    return [
        Route(f"{base}/medicines", medicines_page),
        Route(f"{base}/immunizations", immunizations_page),
        Route(f"{base}/documents", documents_page),
        Route(f"{base}/documents/{{document}}", document_page),
    ]


@signed_in(Role.CLINICIAN, Role.PHARMACIST)
async def medicines_page(request: Request) -> Response:
    person = await open_person(request)
    items = await gathered_items(request, person, ("MedicationRequest",))
    current = summary.current_medicines(items, today_date())
    past = [medicine for medicine in summary.medicines(items, today_date()) if not medicine.current]
    return shown(
        request, person, "medicines", "/medicines", columns=medicine_columns(), current_rows=current, past=past[:100]
    )


@signed_in(Role.CLINICIAN)
async def immunizations_page(request: Request) -> Response:
    person = await open_person(request)
    lines = summary.immunizations(await gathered_items(request, person, ("Immunization",)))
    return shown(request, person, "immunizations", "/immunizations", columns=immunization_columns(), lines=lines)


@signed_in(Role.CLINICIAN)
async def documents_page(request: Request) -> Response:
    person = await open_person(request)
    columns = (
        Column("title", _("Document"), "main"),
        Column("kind", _("Kind")),
        Column("author", _("Author")),
        Column("when", _("Date"), "time"),
        Column("institution", _("Institution")),
    )
    found = documents(await gathered_items(request, person, ("DocumentReference",)))
    return shown(request, person, "documents", "/documents", columns=columns, found=found)


@signed_in(Role.CLINICIAN)
async def document_page(request: Request) -> Response:
    """The document's text, made safe; anything else, and the original with `?download`, to be saved as a file."""
    person = await open_person(request)
    reference = await own_resource(
        person, "DocumentReference", request.path_params["document"], institutions(request).named
    )
    found = documents([reference])
    holder = attachment_of(reference.resource)
    if not found:
        raise no_page()
    if found[0].binary:
        holder = parse((await person.records.read("Binary", found[0].binary)).body)
    content = content_of(holder)
    if "download" in request.query_params and content.data:
        name = file_name(found[0].id, content.data)
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(content.data, media_type="application/octet-stream", headers=headers)
    return shown(request, person, "document", "/documents", document=found[0], content=content)
