"""Who looked at my record: people first; the person's own visits and programs on request."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.audit import SUCCESS, AccessEntry
from xinglin.access.principal import Role
from xinglin.access.records import Records
from xinglin.ui.i18n import _
from xinglin.ui.preferences import same_page
from xinglin.web.access_lines import lines, visits
from xinglin.web.guards import institutions, page, records, signed_in

READ: Final = 1000  # log lines read at a time
READS: Final = 3  # times, at most, for one page
PER_PAGE: Final = 30


@signed_in(Role.PATIENT)
async def access_page(request: Request) -> Response:
    asked = {
        "who": request.query_params.get("who", "others")[:20],
        "institution": request.query_params.get("institution", "all")[:80],
    }
    before = request.query_params.get("before", "")
    start = int(before) if before.isdecimal() and len(before) < 19 else None
    entries, older = await _chosen(records(request), start, asked["who"], asked["institution"])
    found = visits(entries)
    if len(found) > PER_PAGE:
        found, older = found[:PER_PAGE], found[PER_PAGE].newest.seq + 1
    known = institutions(request)
    return page(
        request,
        "web/templates/portal/access.html",
        current="/me/access",
        lines=lines(found, known),
        asked=asked,
        who=[
            ("others", _("Other people")),
            ("all", _("Everybody, myself and programs too")),
            ("refused", _("Refused only")),
            ("emergency", _("Emergencies only")),
        ],
        places=[("all", _("All institutions")), *((one.id, one.name) for one in known.institutions.values())],
        newest=same_page(request, before="") if before else "",
        older=same_page(request, before=str(older)) if older else "",
    )


async def _chosen(
    gate: Records, before: int | None, who: str, institution: str
) -> tuple[list[AccessEntry], int | None]:
    """Enough of the log's lines that pass the filters, and where older ones begin (None at the end)."""
    own = gate.principal.login
    found: list[AccessEntry] = []
    for _attempt in range(READS):
        entries = await gate.audit_trail(count=READ, before=before)
        found += [entry for entry in entries if passes(entry, own, who, institution)]
        before = entries[-1].seq if len(entries) == READ else None
        if before is None or len(visits(found)) > PER_PAGE:
            break
    return found, before


def passes(entry: AccessEntry, own: str, who: str, institution: str) -> bool:
    """Whether the filters let a line through. Without one: other people, whether they were allowed or not."""
    if institution != "all" and entry.institution != institution:
        return False
    if who == "refused":
        return entry.outcome != SUCCESS
    if who == "emergency":
        return entry.purpose == "BTG"
    return who == "all" or (entry.login != own and entry.role != Role.SYSTEM.value)
