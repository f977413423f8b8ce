"""The privacy officer: emergency accesses to be judged, questions of persons to be answered, the access log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access import oversight
from xinglin.access.audit import Wanted
from xinglin.access.oversight import (
    CHALLENGE,
    CORRECTED,
    CORRECTION,
    JUSTIFIED,
    NOT_JUSTIFIED,
    REFUSED,
    REVIEW,
    Judgement,
)
from xinglin.access.principal import Role
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _, ngettext
from xinglin.ui.parts import Column
from xinglin.ui.preferences import same_page
from xinglin.web.access_lines import lines, visits
from xinglin.web.guards import institutions, page, principal, records, see_other, signed_in
from xinglin.web.wording import emergency_reason

QUEUE: Final = "web/templates/workspace/privacy.html"
CASE: Final = "web/templates/workspace/privacy_case.html"
LOG: Final = "web/templates/workspace/privacy_log.html"
READ: Final = 200
AROUND: Final = 3600 * 1_000_000  # microseconds of the log shown about a case: the hour that an emergency lasts
FINDINGS: Final = {
    JUSTIFIED: N_("Justified"),
    NOT_JUSTIFIED: N_("Not justified"),
    CORRECTED: N_("Corrected"),
    REFUSED: N_("Correction refused"),
}
KINDS: Final = {
    REVIEW: N_("Emergency access"),
    CHALLENGE: N_("Question of a person"),
    CORRECTION: N_("Correction asked for"),
}


def routes() -> list[BaseRoute]:
    return [
        Route("/desk/privacy", queue_page),
        Route("/desk/privacy/log", log_page),
        Route("/desk/privacy/{task}", case_page, methods=["GET", "POST"]),
    ]


@dataclass(frozen=True)
class Finding:
    finding: str = forms.choice(N_("Finding"), tuple(FINDINGS), missing=N_("Say what you found"))
    words: str = forms.text(
        N_("Your answer"),
        missing=N_("Say in a few words why"),
        hint=N_("The person reads it."),
        max_length=oversight.LONGEST,
    )
    version: int = forms.integer(N_("Version"), low=1)


@signed_in(Role.PRIVACY)
async def queue_page(request: Request) -> Response:
    found = await oversight.judgements(records(request))
    waiting, judged = [one for one in found if not one.finding], [one for one in found if one.finding]
    overdue = sum(one.overdue for one in waiting)
    return page(
        request,
        QUEUE,
        current="/desk/privacy",
        columns=_columns(),
        waiting=[_row(one) for one in waiting],
        judged=[_row(one) for one in judged],
        overdue=ngettext("%(num)d is overdue", "%(num)d are overdue", overdue) if overdue else "",
        done=request.query_params.get("done", ""),
    )


def _columns() -> tuple[Column, ...]:
    return (
        Column("kind", _("What"), "main"),
        Column("who", _("Who looked")),
        Column("why", _("In their words")),
        Column("opened", _("Opened"), "time"),
        Column("due", _("Due"), "time"),
        Column("finding", _("Finding")),
    )


def kind_of(one: Judgement) -> str:
    """What is judged, in words."""
    return _(KINDS[one.kind])


def words_of(one: Judgement) -> str:
    """What the clinician, or the person, wrote, with the coded reason."""
    return emergency_reason(f"{one.reason}: {one.words}") if one.kind == REVIEW else one.words


def _row(one: Judgement) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": kind_of(one),
        "who": one.who,
        "why": words_of(one),
        "opened": one.opened,
        "due": one.due,
        "overdue": one.overdue,
        "finding": _(FINDINGS[one.finding]) if one.finding in FINDINGS else "",
    }


@signed_in(Role.PRIVACY)
async def case_page(request: Request) -> Response:
    """One case with what the log says about it; the finding, once."""
    gate = records(request)
    case = await oversight.judgement(gate, str(request.path_params["task"]))
    if request.method == "GET":
        form = forms.blank(Finding, version=case.version)
    else:
        form = await forms.read(request, Finding)
        if form.value is not None:
            await oversight.judge(gate, case.id, form.value.version, form.value.finding, form.value.words)
            return see_other("/desk/privacy?done=judged")
    return page(
        request,
        CASE,
        current="/desk/privacy",
        status=422 if form.errors else 200,
        form=form,
        case=case,
        kind=kind_of(case),
        words=words_of(case),
        finding=_(FINDINGS[case.finding]) if case.finding in FINDINGS else "",
        findings=[(code, _(FINDINGS[code])) for code in oversight.FINDINGS[case.kind]],
        lines=lines(visits(await _around(request, case)), institutions(request)),
    )


async def _around(request: Request, case: Judgement) -> list[Any]:
    """What the same account opened of the same person about that time, as far as the institution's log tells."""
    if case.kind == CORRECTION:
        return []
    gate = records(request)
    if case.entry is not None:
        found = await gate.audit_trail(count=1, before=case.entry + 1)
        begin = found[0].at - AROUND if found else 0
    else:
        begin = oversight.micros_of(case.opened) - AROUND // 60
    wanted = Wanted(login=case.login, since=begin, until=begin + 2 * AROUND)
    return [
        entry for entry in await gate.audit_trail(count=READ, wanted=wanted) if oversight.concerns(entry.person, case)
    ]


@signed_in(Role.PRIVACY)
async def log_page(request: Request) -> Response:
    """What the institution's people opened, newest first."""
    before = request.query_params.get("before", "")
    start = int(before) if before.isdecimal() and len(before) < 19 else None
    asked = request.query_params.get("show", "all")[:20]
    wanted = Wanted(refused=asked == "refused", emergency=asked == "emergency")
    entries = await records(request).audit_trail(count=READ, before=start, wanted=wanted)
    return page(
        request,
        LOG,
        current="/desk/privacy/log",
        institution=institutions(request).name(principal(request).institution),
        lines=lines(visits(entries), institutions(request)),
        asked=asked,
        shows=[
            ("all", _("Everything")),
            ("refused", _("Refused only")),
            ("emergency", _("Emergencies only")),
        ],
        newest=same_page(request, before="") if before else "",
        older=same_page(request, before=str(entries[-1].seq)) if len(entries) == READ else "",
    )
