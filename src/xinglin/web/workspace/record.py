"""A person's record on one screen, and on paper.

Pharmacists have the summary and the medicines; the gate gives them no more than those need.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access import sharing
from xinglin.access.principal import Role
from xinglin.core.schema.decode import parse
from xinglin.kernel import clock
from xinglin.web.chart import summary
from xinglin.web.chart.gather import gather_type
from xinglin.web.chart.timeline import Dated, chosen, entries
from xinglin.web.chart.trends import latest_of_each
from xinglin.web.chart.words import categories_of, date_of
from xinglin.web.guards import institutions, principal, signed_in
from xinglin.web.workspace.identity import identity_page
from xinglin.web.workspace.person import Person, gathered_items, open_person, shown, today_date
from xinglin.web.workspace.rows import (
    immunization_columns,
    medicine_columns,
    result_columns,
    result_row,
    telling_first,
)
from xinglin.web.workspace.timeline import href_of

SUMMARY: Final = ("Condition", "MedicationRequest", "Immunization", "Encounter")
ENOUGH: Final = 400  # of the newest observations of one institution: the last value of each common test is among them
SHOWN: Final = 14  # lines of a summary's table of results
VISITS: Final = 6
VITALS: Final = frozenset({"vital-signs", "exam"})


def routes() -> list[BaseRoute]:
    return [
        Route("/desk/people/{patient}", summary_page),
        Route("/desk/people/{patient}/print", print_page),
    ]


# summary --------------------------------------------------------------------------------------------------------------


@signed_in(Role.CLINICIAN, Role.PHARMACIST, Role.CLERK)
async def summary_page(request: Request) -> Response:
    if principal(request).role is Role.CLERK:
        return await identity_page(request)
    person = await open_person(request)
    items, measured, asked = await asyncio.gather(
        gathered_items(request, person, SUMMARY), _measured(request, person), asked_already(person)
    )
    laboratory, vitals = _newest(measured, {"laboratory"}), _newest(measured, VITALS)
    return shown(
        request,
        person,
        "summary",
        "",
        asked=asked,
        done=request.query_params.get("done", ""),
        problems=summary.problems(items),
        medicines=summary.current_medicines(items, today_date()),
        laboratory=[result_row(person, item) for item in laboratory[:SHOWN]],
        vitals=[result_row(person, item) for item in vitals[:SHOWN]],
        visits=entries(_visits(items), lambda resource: href_of(person, resource)),
    )


async def _measured(request: Request, person: Person) -> list[Dated]:
    known = institutions(request).named
    return (await gather_type(person.records, person.patients, "Observation", known, count=ENOUGH)).items


def _newest(items: Iterable[Dated], categories: Iterable[str]) -> list[Dated]:
    wanted = set(categories)
    return telling_first(latest_of_each(item for item in items if categories_of(item.resource) & wanted))


def _visits(items: Iterable[Dated]) -> list[Dated]:
    return chosen([item for item in items if item.resource["resourceType"] == "Encounter"])[:VISITS]


async def asked_already(person: Person) -> dict[str, str]:
    """Institutions that the person has been asked to open and has not answered for: id -> when."""
    if not person.closed:
        return {}
    code = quote(sharing.CONSENT_REQUEST, safe="")
    query = f"patient={','.join(person.patients)}&code={code}&status=requested&_count=20"
    tasks = [parse(stored.body) for stored in (await person.records.search("Task", query)).matches]
    return {str(t.get("focus", {}).get("reference", "")).removeprefix("Organization/"): date_of(t) for t in tasks}


# paper ----------------------------------------------------------------------------------------------------------------


@signed_in(Role.CLINICIAN, Role.PHARMACIST)
async def print_page(request: Request) -> Response:
    """What goes with the person to another institution, on paper."""
    person = await open_person(request)
    items, measured = await asyncio.gather(gathered_items(request, person, SUMMARY), _measured(request, person))
    laboratory, vitals = _newest(measured, {"laboratory"}), _newest(measured, VITALS)
    places = {item.institution_name for item in (*items, *measured) if item.institution_name} or {person.own}
    return shown(
        request,
        person,
        "print",
        "",
        problems=summary.problems(items),
        medicines=summary.current_medicines(items, today_date()),
        allergies=summary.allergies(person.allergies),
        laboratory=[result_row(person, item) for item in laboratory],
        vitals=[result_row(person, item) for item in vitals],
        immunizations=summary.immunizations(items),
        columns=result_columns(),
        medicine_columns=medicine_columns()[:4],
        immunization_columns=immunization_columns(),
        produced=clock.now(),
        places=sorted(places),
    )
