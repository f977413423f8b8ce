"""Finding a person: one box that answers as one types, the people met lately, and the emergency look-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access import emergencies
from xinglin.access.persons.find import Match
from xinglin.access.principal import Role
from xinglin.access.records import Found, Stored
from xinglin.core.schema.decode import parse
from xinglin.kernel import clock
from xinglin.kernel.errors import Invalid
from xinglin.ui import forms
from xinglin.ui.formats import masked, person_name
from xinglin.ui.i18n import N_, _, ngettext
from xinglin.ui.parts import Column
from xinglin.web.chart.summary import RESIDENT_ID
from xinglin.web.chart.words import Resource, date_of, first_text
from xinglin.web.directory import Directory
from xinglin.web.guards import institutions, page, principal, records, see_other, signed_in
from xinglin.web.problems import sentences

PAGE: Final = "web/templates/workspace/find.html"
LOCATE: Final = "web/templates/workspace/locate.html"
MOST: Final = 20  # people in a list of results: who is not among them is found by typing more
LATELY: Final = timedelta(days=90)  # of a clinician's own visits
PRESCRIBED: Final = timedelta(days=30)  # of a whole institution's prescriptions, which are many
RECENT: Final = 10


@dataclass(frozen=True, slots=True)
class Person:
    """One line of a list of people. `id`: the Patient to open; `places`: institutions whose record was found."""

    id: str
    name: str
    gender: str
    birth_date: str
    number: str
    phone: str
    places: tuple[str, ...]
    when: str = ""


def routes() -> list[BaseRoute]:
    return [Route("/desk", find), Route("/desk/locate", locate, methods=["GET", "POST"])]


@signed_in(Role.CLINICIAN, Role.PHARMACIST, Role.CLERK, Role.MANAGER, Role.PRIVACY)
async def find(request: Request) -> Response:
    if principal(request).role is Role.MANAGER:
        return see_other("/desk/institution")
    if principal(request).role is Role.PRIVACY:
        return see_other("/desk/privacy")
    asked = request.query_params.get("q", "").strip()[:200]
    found = people_found(await records(request).find(asked, MOST), institutions(request)) if asked else []
    return page(
        request,
        PAGE,
        current="/desk",
        block="found" if request.headers.get("hx-request") else None,
        asked=asked,
        found=found,
        announce=_announced(asked, len(found)),
        columns=columns(when=not asked),
        recent=[] if asked else await _recent(request),
        recent_title=RECENT_TITLES.get(principal(request).role, ""),
    )


def columns(*, when: bool) -> tuple[Column, ...]:
    """Of a table of people; `when` says when each was last met."""
    shown = (
        Column("name", _("Name"), "main"),
        Column("gender", _("Sex")),
        Column("birth_date", _("Born"), "time"),
        Column("number", _("Number"), "time"),
        Column("phone", _("Phone"), "time"),
        Column("places", _("Held by")),
    )
    return (*shown, Column("when", _("Last met"), "time")) if when else shown


def _announced(asked: str, count: int) -> str:
    if not asked:
        return ""
    if not count:
        return _("Nobody found")
    return ngettext("%(count)s person found", "%(count)s people found", count) % {"count": count}


def people_found(matches: Sequence[Match], known: Directory) -> list[Person]:
    """The people of the matches, best first; linked records are one line that opens the best of them."""
    people: dict[str, Person] = {}
    for match in matches:
        one = person_of(parse(match.stored.body), known.named(match.stored.custodian)[1])
        first = people.setdefault(match.person or match.stored.id, one)
        if first is not one and one.places[0] not in first.places:
            people[match.person] = replace(first, places=first.places + one.places)
    return list(people.values())


def person_of(patient: Resource, place: str, when: str = "") -> Person:
    """A Patient as a list shows it: numbers masked, since a list shows many."""
    return Person(
        id=str(patient["id"]),
        name=person_name(patient.get("name", ())),
        gender=str(patient.get("gender", "unknown")),
        birth_date=str(patient.get("birthDate", "")),
        number=masked(_number(patient)),
        phone=masked(first_text((t for t in patient.get("telecom", ()) if t.get("system") == "phone"), "value")),
        places=(place,),
        when=when,
    )


def _number(patient: Resource) -> str:
    given = [i for i in patient.get("identifier", ()) if i.get("value")]
    chosen: Resource = next((i for i in given if i.get("system") == RESIDENT_ID), next(iter(given), {}))
    return str(chosen.get("value", ""))


# people met lately ---------------------------------------------------------------------------------------------------

RECENT_TITLES: Final = {Role.CLINICIAN: N_("Seen by you lately"), Role.PHARMACIST: N_("Latest prescriptions")}


async def _recent(request: Request) -> list[Person]:
    """Whom a clinician saw, or for whom a prescription was written, in the last weeks."""
    who = principal(request)
    since = (clock.now() - (LATELY if who.role is Role.CLINICIAN else PRESCRIBED)).date().isoformat()
    if who.role is Role.CLINICIAN and who.practitioner:
        query = f"participant=Practitioner/{who.practitioner}&date=ge{since}&_sort=-date&_include=Encounter:subject"
        return _met(await records(request).search("Encounter", f"{query}&_count=30"), institutions(request))
    if who.role is Role.PHARMACIST:
        query = f"authoredon=ge{since}&_sort=-authoredon&_include=MedicationRequest:subject"
        return _met(await records(request).search("MedicationRequest", f"{query}&_count=30"), institutions(request))
    return []


def _met(found: Found, known: Directory) -> list[Person]:
    """The people of some events, newest first, each once."""
    patients: dict[str, Stored] = {stored.reference: stored for stored in found.included}
    newest: dict[str, str] = {}
    for event in (parse(stored.body) for stored in found.matches):
        newest.setdefault(str(event.get("subject", {}).get("reference", "")), date_of(event))
    shown = [(patients[who], when) for who, when in newest.items() if who in patients]
    return [person_of(parse(stored.body), known.named(stored.custodian)[1], when) for stored, when in shown[:RECENT]]


# beyond the institution, in an emergency ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Locate:
    identifier: str = forms.text(
        N_("Identity number"),
        missing=N_("Enter the identity number"),
        hint=N_("Resident ID or another number on a card, in full"),
        max_length=60,
    )
    birth_date: Any = forms.day(N_("Born"), missing=N_("Enter the birth date"))


@signed_in(Role.CLINICIAN)
async def locate(request: Request) -> Response:
    """Whether the county holds a record of somebody with this very number and birth date. Posted, so that no log or
    history keeps the number."""
    if request.method == "GET":
        return page(request, LOCATE, current="/desk/locate", form=forms.blank(Locate), found=None)
    form = await forms.read(request, Locate)
    if form.value is None:
        return page(request, LOCATE, current="/desk/locate", status=422, form=form, found=None)
    try:
        ids = await emergencies.locate(records(request), form.value.identifier, form.value.birth_date.isoformat())
    except Invalid as problem:
        refused = form.refuse(identifier=sentences(problem)[0])
        return page(request, LOCATE, current="/desk/locate", status=422, form=refused, found=None)
    open_already = {stored.id for stored in await records(request).visible_of("Patient", ids)}
    found = [(id, id in open_already) for id in ids]
    return page(request, LOCATE, current="/desk/locate", form=form, found=found)
