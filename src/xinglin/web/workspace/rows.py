"""Columns and rows of the tables that several pages of a person share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from xinglin.ui.formats import reference_range
from xinglin.ui.i18n import _
from xinglin.ui.parts import Column
from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.trends import code_of, flag_of, numbers, range_of
from xinglin.web.chart.words import label, value_of
from xinglin.web.workspace.person import Person

FIRST: Final = ("85354-9", "8867-4", "9279-1", "8310-5", "59408-5", "2708-6", "29463-7", "8302-2", "39156-5")
"""LOINC codes of vital signs as a ward charts them: pressure, pulse, breath, temperature, oxygen, build."""


def telling_first(items: Iterable[Dated]) -> list[Dated]:
    """Results of the newest day first; of a day, vital signs in their order, then what is out of its range."""

    def rank(item: Dated) -> tuple[int, bool]:
        code = code_of(item.resource)
        return (FIRST.index(code) if code in FIRST else len(FIRST), not flag_of(item.resource))

    return sorted(sorted(items, key=rank), key=lambda item: item.when[:10], reverse=True)


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
    trend = f"/desk/people/{person.id}/trends/{quote(code_of(resource), safe='')}"
    return {
        "name": label(resource.get("code")),
        "value": value_of(resource),
        "flag": flag_of(resource),
        "range": reference_range(low, high),
        "when": item.when,
        "institution": item.institution_name,
        "href": trend if numbers(resource) else "",
    }
