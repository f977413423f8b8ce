"""Who looked at my record: people first, the person's own visits and programs on request; and asking why they did."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access import oversight
from xinglin.access.audit import SUCCESS, AccessEntry
from xinglin.access.oversight import CHALLENGE, JUSTIFIED, LOOKS, REVIEW, Judgement
from xinglin.access.principal import Role
from xinglin.access.records import Records
from xinglin.kernel.errors import Conflict, Forbidden, NotFound
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.ui.parts import AuditLine
from xinglin.ui.preferences import same_page
from xinglin.web.access_lines import Visit, lines, visits
from xinglin.web.guards import institutions, page, principal, records, see_other, signed_in
from xinglin.web.problems import sentences
from xinglin.web.wording import emergency_reason

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
    asked_about = await oversight.judgements(records(request), LOOKS)
    open_to_ask = {one.entry for one in asked_about if one.kind == CHALLENGE}
    return page(
        request,
        "web/templates/portal/access.html",
        current="/me/access",
        lines=[
            _askable(line, visit, open_to_ask, principal(request).login)
            for line, visit in zip(lines(found, known), found, strict=True)
        ],
        answers=[_answer(one) for one in asked_about],
        done=request.query_params.get("done", ""),
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


def _askable(line: AuditLine, visit: Visit, asked: set[int | None], own: str) -> AuditLine:
    """With a link to ask why, at accesses of other people about which the person has not asked yet."""
    others = visit.newest.login != own
    if not others or any(entry.seq in asked for entry in visit.entries):
        return line
    return replace(line, href=f"/me/access/{visit.newest.seq}/ask", link=_("Ask why they looked"))


def _answer(one: Judgement) -> dict[str, Any]:
    """A question of the person, or an emergency, with what the privacy officer says of it."""
    finding = ""
    if one.finding:
        finding = _("The access was justified") if one.finding == JUSTIFIED else _("The access was not justified")
    return {
        "title": _("Emergency access by %(who)s") % {"who": one.who}
        if one.kind == REVIEW
        else _("Your question about %(who)s") % {"who": one.who},
        "words": emergency_reason(f"{one.reason}: {one.words}") if one.kind == REVIEW else one.words,
        "opened": one.opened,
        "due": one.due,
        "finding": finding,
        "justified": one.finding == JUSTIFIED,
        "answer": one.answer,
        "answered": one.answered,
    }


@dataclass(frozen=True)
class Ask:
    words: str = forms.text(
        N_("What do you want to know?"),
        missing=N_("Write what you want to know"),
        hint=N_("For example: I do not know why they looked. The institution's privacy officer answers you."),
        max_length=oversight.LONGEST,
    )


@signed_in(Role.PATIENT)
async def ask_page(request: Request) -> Response:
    """A question about one access."""
    gate, seq = records(request), int(request.path_params["line"])
    found = await gate.audit_trail(count=1, before=seq + 1) if seq < 2**62 else []
    if not found or found[0].seq != seq:
        raise NotFound("There is no such line in your access list.")
    form = forms.blank(Ask) if request.method == "GET" else await forms.read(request, Ask)
    if form.value is not None:
        try:
            await oversight.challenge(gate, seq, form.value.words)
            return see_other("/me/access?done=asked")
        except (Conflict, Forbidden) as problem:
            form = form.refuse(words=" ".join(sentences(problem)))
    return page(
        request,
        "web/templates/portal/ask.html",
        current="/me/access",
        status=422 if form.errors else 200,
        form=form,
        line=lines(visits(found), institutions(request)),
        seq=seq,
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
    return who == "all" or (entry.login.partition("~")[0] != own and entry.role != Role.SYSTEM.value)
