"""Columns and rows of the tables that several pages of a person share."""

from __future__ import annotations

from urllib.parse import quote

from xinglin.ui.formats import reference_range
from xinglin.ui.i18n import _
from xinglin.ui.parts import Column
from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.trends import code_of, flag_of, numbers, range_of
from xinglin.web.chart.words import label, value_of
from xinglin.web.workspace.person import Person


def problem_columns() -> tuple[Column, ...]:
    return (
        Column("text", _("Problem"), "main"),
        Column("note", _("Since"), "time"),
        Column("institution", _("Institution")),
    )


def result_columns() -> tuple[Column, ...]:
    return (
        Column("name", _("Test"), "main"),
        Column("value", _("Result"), "number"),
        Column("range", _("Reference"), "number"),
        Column("when", _("Date"), "time"),
        Column("institution", _("Institution")),
    )


def medicine_columns() -> tuple[Column, ...]:
    return (
        Column("name", _("Medicine"), "main"),
        Column("dose", _("Dose")),
        Column("when", _("Prescribed"), "time"),
        Column("until", _("Lasts until"), "time"),
        Column("prescriber", _("Prescriber")),
        Column("institution", _("Institution")),
    )


def immunization_columns() -> tuple[Column, ...]:
    return (
        Column("text", _("Vaccine"), "main"),
        Column("note", _("Dose number"), "number"),
        Column("when", _("Date"), "time"),
        Column("institution", _("Institution")),
    )


def result_row(person: Person, item: Dated) -> dict[str, str]:
    resource = item.resource
    low, high = range_of(resource)
    trend = f"/work/people/{person.id}/trends/{quote(code_of(resource), safe='')}"
    return {
        "name": label(resource.get("code")),
        "value": value_of(resource),
        "flag": flag_of(resource),
        "range": reference_range(low, high),
        "when": item.when,
        "institution": item.institution_name,
        "href": trend if numbers(resource) else "",
    }
