"""The patient's first page: what needs attention, the latest results, and the way to everything else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.categories import categories
from xinglin.access.principal import Role
from xinglin.access.sharing import permit
from xinglin.core.schema.decode import parse
from xinglin.ui import forms
from xinglin.ui.csrf import check_csrf
from xinglin.ui.i18n import N_, _
from xinglin.ui.parts import Tile
from xinglin.web.account.notice import unseen
from xinglin.web.chart.gather import gather_type
from xinglin.web.chart.summary import Line, last_results
from xinglin.web.guards import institutions, page, principal, records, see_other, signed_in
from xinglin.web.portal import notices
from xinglin.web.wording import category_names, today

PAGE: Final = "web/templates/portal/home.html"
RESULTS: Final = 5
ANSWER_DAYS: Final = 90
"""How long a request that is allowed with one press stays open."""
USUAL: Final = tuple(one for one in categories() if one.code not in ("billing", "other"))
"""What one press opens: what treatment needs, no bills; never a sensitive label."""


@dataclass(frozen=True)
class Answer:
    answer: str = forms.choice(N_("Answer"), ("allow", "decline"))


@signed_in(Role.PATIENT)
async def home(request: Request) -> Response:
    gate, known = records(request), institutions(request)
    waiting, observations = await asyncio.gather(
        notices.waiting(gate, known),
        gather_type(
            gate, principal(request).patients, "Observation", known.named, query="category=laboratory", count=40
        ),
    )
    return page(
        request,
        PAGE,
        current="/me",
        waiting=waiting,
        unseen=await unseen(request),
        directory=known,
        usual=category_names(USUAL),
        until=_until().isoformat(),
        results=_noticed(last_results(observations.items, "laboratory")),
        tiles=_tiles(),
        done=request.query_params.get("done", ""),
    )


def _tiles() -> list[Tile]:
    return [
        Tile("/me/record", _("My record"), "record", _("Everything, by date")),
        Tile("/me/trends", _("Results over time"), "chart", _("Charts of laboratory values and measurements")),
        Tile("/me/medicines", _("Medicines"), "pill"),
        Tile("/me/allergies", _("Allergies"), "allergy"),
        Tile("/me/immunizations", _("Immunizations"), "syringe"),
        Tile("/me/sharing", _("Who may see my record"), "shield"),
        Tile("/me/access", _("Who looked at my record"), "eye"),
        Tile("/me/print", _("Summary to print"), "print"),
        Tile("/me/elsewhere", _("Records elsewhere"), "hospital", _("See what other institutions hold of you")),
        Tile("/me/acting", _("Act for somebody"), "person"),
        Tile("/me/settings", _("Settings"), "settings"),
    ]


def _noticed(lines: Sequence[Line]) -> list[Line]:
    """The newest results, those outside their reference range first."""
    return sorted(lines, key=lambda line: (line.when[:10], bool(line.flag)), reverse=True)[:RESULTS]


def _until() -> date:
    return date.fromisoformat(today()) + timedelta(days=ANSWER_DAYS)


@signed_in(Role.PATIENT)
async def notice_seen(request: Request) -> Response:
    """The person has seen an emergency notice; it stays in the access list."""
    async with request.form(max_fields=5, max_files=0) as sent:
        check_csrf(request, sent)
    gate = records(request)
    stored = await gate.read("Communication", request.path_params["notice"])
    subject = str(parse(stored.body).get("subject", {}).get("reference", "")).removeprefix("Patient/")
    await gate.write([notices.answer_of(stored.reference, subject, "seen")])
    return see_other("/me?done=seen")


@signed_in(Role.PATIENT)
async def answer_request(request: Request) -> Response:
    """One press: allow what treatment needs for a while, or decline."""
    form = await forms.read(request, Answer)
    if form.value is None:
        return see_other("/me")
    gate = records(request)
    asked = await notices.request_of(gate, institutions(request), request.path_params["task"])
    answer = notices.answer_of(f"Task/{asked.id}", asked.patient, form.value.answer)
    if form.value.answer == "allow":
        codes, holder, asker = [category.code for category in USUAL], asked.custodian, asked.grantee
        await permit(gate, custodian=holder, grantee=asker, category_codes=codes, until=_until(), answering=[answer])
    else:
        await gate.write([answer])
    return see_other("/me?done=allowed" if form.value.answer == "allow" else "/me?done=declined")
