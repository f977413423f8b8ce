"""The manager's access log: what the institution's people opened, by account, day, refusal and emergency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.audit import AccessEntry, Wanted
from xinglin.access.identity.accounts import everyone
from xinglin.access.principal import Role
from xinglin.kernel import clock
from xinglin.ui.i18n import _, language, zone
from xinglin.ui.parts import AuditLine
from xinglin.ui.preferences import same_page
from xinglin.web.access_lines import Visit, lines, visits
from xinglin.web.guards import house, institutions, page, principal, records, signed_in
from xinglin.web.workspace.institution import tabs

PAGE: Final = "web/templates/workspace/access_log.html"
READ: Final = 200  # lines of the log for one page; accesses that belong together are one entry

NAMED: Final = 3


def routes() -> list[BaseRoute]:
    return [Route("/desk/institution/access", log_page)]


@signed_in(Role.MANAGER)
async def log_page(request: Request) -> Response:
    given = request.query_params
    asked = {name: given.get(name, "")[:80].replace("\0", "") for name in ("login", "outcome", "since", "until")}
    before = given.get("before", "")
    start = int(before) if before.isdecimal() and len(before) < 19 else None
    entries = await records(request).audit_trail(count=READ, before=start, wanted=_wanted(asked))
    users = await everyone(house(request).database, institution=principal(request).institution)
    return page(
        request,
        PAGE,
        current="/desk/institution",
        tabs=tabs("/access"),
        lines=_lines(request, entries),
        asked=asked,
        users=[
            (user.login, f"{user.name_en if language() == 'en' else user.name_zh} ({user.login})") for user in users
        ],
        outcomes=[("refused", _("Refused only")), ("emergency", _("Emergencies only"))],
        newest=same_page(request, before="") if before else "",
        older=same_page(request, before=str(entries[-1].seq)) if len(entries) == READ else "",
    )


def _lines(request: Request, entries: Sequence[AccessEntry]) -> list[AuditLine]:
    """Entries of the log as visits, with the records that an emergency or a change names."""
    found = visits(entries)
    return [
        replace(line, what=_(", ").join(filter(None, (line.what, *_named(visit)))))
        for visit, line in zip(found, lines(found, institutions(request)), strict=True)
    ]


def _named(visit: Visit) -> list[str]:
    """Resources by their references, a few; searches name none."""
    targets = (entry.target for entry in visit.entries)
    return list(dict.fromkeys(target for target in targets if "/" in target))[:NAMED]


def _wanted(asked: dict[str, str]) -> Wanted:
    return Wanted(
        login=asked["login"],
        refused=asked["outcome"] == "refused",
        emergency=asked["outcome"] == "emergency",
        since=_midnight(asked["since"], 0),
        until=_midnight(asked["until"], 1),
    )


def _midnight(text: str, later: int) -> int | None:
    """The beginning of a day in the clinic's zone, or of the one after; None for what is no day."""
    try:
        day = date.fromisoformat(text) + timedelta(days=later)
    except (ValueError, OverflowError):
        return None
    return clock.micros(datetime(day.year, day.month, day.day, tzinfo=zone()))
