"""A person as the clerk sees them: who they are at each institution, and how these records came to be one person."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access import sharing
from xinglin.access.persons import review
from xinglin.core.schema.decode import parse
from xinglin.web.guards import house, institutions, page, principal, records
from xinglin.web.workspace.duplicates import decision_lines
from xinglin.web.workspace.find import columns, person_of

PAGE: Final = "web/templates/workspace/identity.html"


async def identity_page(request: Request) -> Response:
    """`/desk/people/{patient}` for clerks; others see the record's summary there."""
    gate, known, id = records(request), institutions(request), str(request.path_params["patient"])
    linked = [one.patient for one in await sharing.linked(gate, id) if one.visible]
    stored = {one.id: one for one in await gate.visible_of("Patient", linked)}
    people = [person_of(parse(stored[id].body), known.named(stored[id].custodian)[1]) for id in linked if id in stored]
    ledger = await review.entries(house(request), principal(request), id, count=30)
    return page(
        request,
        PAGE,
        current="/desk",
        people=people,
        columns=columns(when=False),
        pairs=[(people[0], other) for other in people[1:]],
        decisions=decision_lines(ledger),
    )
