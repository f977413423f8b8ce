"""The manager's access log: what the institution's people opened, by account, purpose, day, refusal and emergency; on a
page as visits, as a table (CSV) line by line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from io import StringIO
from typing import Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.audit import SUCCESS, AccessEntry, Wanted
from xinglin.access.identity.accounts import everyone
from xinglin.access.principal import Role
from xinglin.kernel import clock
from xinglin.ui.i18n import N_, _, language, zone
from xinglin.ui.parts import AuditLine
from xinglin.ui.preferences import same_page
from xinglin.web.access_lines import Visit, lines, visits
from xinglin.web.guards import house, institutions, page, principal, records, signed_in
from xinglin.web.shells import ROLES
from xinglin.web.wording import PURPOSES, emergency_reason, interaction, purpose
from xinglin.web.workspace.institution import tabs

COLUMNS: Final = (
    N_("Entry"),
    N_("Time"),
    N_("Name"),
    N_("User"),
    N_("Role"),
    N_("What was done"),
    N_("With what"),
    N_("Purpose"),
    N_("Outcome"),
    N_("Reason"),
    N_("Held by"),
)
PAGE: Final = "web/templates/workspace/access_log.html"
READ: Final = 200  # lines of the log for one page; accesses that belong together are one entry

NAMED: Final = 3


FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
LINES: Final = 50_000  # of one table, at most
TOGETHER: Final = 1000  # lines read at once for a table


def routes() -> list[BaseRoute]:
    return [Route("/desk/institution/access", log_page), Route("/desk/institution/access.csv", table)]


@signed_in(Role.MANAGER)
async def log_page(request: Request) -> Response:
    given = request.query_params
    asked = _asked(request)
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
        outcomes=[
            ("refused", _("Refused only")),
            ("emergency", _("Emergencies only")),
            ("disclosed", _("What other institutions hold")),
        ],
        purposes=[(code, _(words)) for code, words in PURPOSES.items()],
        table="/desk/institution/access.csv?" + urlencode({name: value for name, value in asked.items() if value}),
        newest=same_page(request, before="") if before else "",
        older=same_page(request, before=str(entries[-1].seq)) if len(entries) == READ else "",
    )


def _asked(request: Request) -> dict[str, str]:
    """The filters of the page, as texts."""
    names = ("login", "purpose", "outcome", "since", "until")
    return {name: request.query_params.get(name, "")[:80].replace("\0", "") for name in names}


@signed_in(Role.MANAGER)
async def table(request: Request) -> Response:
    """Every line that passes the filters, the newest first, as a table that spreadsheets open without running it."""
    text = StringIO()
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow([_(name) for name in COLUMNS])
    before = None
    for _round in range(LINES // TOGETHER):
        entries = await records(request).audit_trail(count=TOGETHER, before=before, wanted=_wanted(_asked(request)))
        rows.writerows([inert(cell) for cell in _row(request, entry)] for entry in entries)
        if len(entries) < TOGETHER:
            break
        before = entries[-1].seq
    headers = {"content-disposition": 'attachment; filename="access.csv"', "cache-control": "no-store"}
    body = "\ufeff" + text.getvalue()  # spreadsheets take a file without the mark for their own encoding
    return Response(body, media_type="text/csv; charset=utf-8", headers=headers)


def inert(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula (case 81): such a beginning is quoted."""
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA) else cell


def _row(request: Request, entry: AccessEntry) -> list[str]:
    known = institutions(request)
    return [
        f"a{entry.seq}",
        clock.from_micros(entry.at).astimezone(zone()).isoformat(sep=" ", timespec="seconds"),
        entry.name,
        entry.login,
        _(ROLES[Role(entry.role)]) if entry.role in set(Role) else entry.role,
        interaction(entry.interaction),
        entry.target,
        purpose(entry.purpose),
        _("Allowed") if entry.outcome == SUCCESS else _("Refused"),
        emergency_reason(entry.why),
        ", ".join(known.named(key)[1] or str(key) for key in entry.custodians),
    ]


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
        disclosed=asked["outcome"] == "disclosed",
        purpose=asked["purpose"],
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
