"""The patient's copy of all that is held of them: a FHIR file for programs, a PDF to read."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.principal import Role
from xinglin.exchange.portability.copying import Copy, copy_of
from xinglin.exchange.portability.paper import paper
from xinglin.ui.templating import SECURITY_HEADERS
from xinglin.web.guards import page, principal, records, signed_in


@signed_in(Role.PATIENT)
async def copy_page(request: Request) -> Response:
    return page(request, "web/templates/portal/copy.html", current="/me/record")


@signed_in(Role.PATIENT)
async def copy_fhir(request: Request) -> Response:
    _, bundle = await _copy(request)
    return _download(bundle, "application/fhir+json", "xinglin-record.json")


@signed_in(Role.PATIENT)
async def copy_paper(request: Request) -> Response:
    copy, bundle = await _copy(request)
    printed = await asyncio.to_thread(paper, copy, bundle)
    return _download(printed, "application/pdf", "xinglin-record.pdf")


async def _copy(request: Request) -> tuple[Copy, bytes]:
    copy = await copy_of(records(request, why="copy for the person"), principal(request).patients)
    return copy, copy.bundle(f"{request.app.state.settings.public_base}/fhir")


def _download(content: bytes, media_type: str, name: str) -> Response:
    headers = {**SECURITY_HEADERS, "content-disposition": f'attachment; filename="{name}"'}
    return Response(content, media_type=media_type, headers=headers)
