"""The record on a page to print: who, problems, medicines, allergies, immunizations, latest results."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel import clock
from xinglin.ui.formats import short_day
from xinglin.ui.i18n import _
from xinglin.ui.parts import Column, Section
from xinglin.web.chart import summary
from xinglin.web.chart.gather import gather, gather_type
from xinglin.web.chart.summary import Line, Medicine
from xinglin.web.chart.timeline import Dated
from xinglin.web.guards import institutions, page, principal, records, signed_in
from xinglin.web.wording import listed, today


@signed_in(Role.PATIENT)
async def print_page(request: Request) -> Response:
    gate, known, patients = records(request), institutions(request), principal(request).patients
    found, gathered, observed = await asyncio.gather(
        gate.search("Patient", "_count=100"),
        gather(gate, patients, summary.SUMMARY_TYPES, known.named),
        gather_type(gate, patients, "Observation", known.named, count=300),
    )
    own = {stored.id: parse(stored.body) for stored in found.matches}
    first = next((own[id] for id in patients if id in own), {})
    return page(
        request,
        "web/templates/portal/print.html",
        current="/me",
        patient=summary.patient_facts(first, gathered.items),
        sections=sections(gathered.items, observed.items, date.fromisoformat(today())),
        produced=clock.instant(clock.micros(clock.now())),
        source=listed(known.named(stored.custodian)[1] for stored in found.matches),
    )


def sections(items: Sequence[Dated], observed: Sequence[Dated], now: date) -> tuple[Section, ...]:
    """The sections of a printed summary; the workspace prints the same."""
    return (
        _lines(_("Problems"), summary.problems(items), _("Since"), _("No problems are recorded."), dated=False),
        _medicines(summary.current_medicines(items, now)),
        _lines(_("Allergies"), summary.allergies(items), _("Reaction"), _no_allergies(items)),
        _lines(
            _("Laboratory results"),
            summary.last_results(observed, "laboratory"),
            _("Result"),
            _("No laboratory results are recorded."),
        ),
        _lines(_("Measurements"), summary.last_results(observed, "vital-signs"), _("Result"), _("None are recorded.")),
        _lines(_("Immunizations"), summary.immunizations(items), _("Dose"), _("No immunizations are recorded")),
    )


def _no_allergies(items: Sequence[Dated]) -> str:
    return _("No known allergies") if summary.no_known_allergy(items) else _("No allergies are recorded")


def _lines(title: str, lines: Sequence[Line], note: str, empty: str, *, dated: bool = True) -> Section:
    columns = (
        Column("text", _("What"), "main"),
        Column("note", note),
        *([Column("when", _("Date"), "time")] if dated else []),
        Column("institution", _("Institution")),
    )
    flags = {"high": " ↑", "low": " ↓"}
    rows = tuple(
        {
            "text": line.text,
            "note": line.note + (flags.get(line.flag, "") if title != _("Allergies") else ""),
            "when": short_day(line.when),
            "institution": line.institution,
        }
        for line in lines
    )
    return Section(title, columns, rows, empty)


def _medicines(medicines: Sequence[Medicine]) -> Section:
    columns = (
        Column("name", _("Medicine"), "main"),
        Column("dose", _("How to take it")),
        Column("when", _("Prescribed"), "time"),
        Column("institution", _("Institution")),
    )
    rows = tuple(
        {"name": one.name, "dose": one.dose, "when": short_day(one.when), "institution": one.institution}
        for one in medicines
    )
    return Section(_("Medicines now"), columns, rows, _("No prescription covers today"))
