"""The person whose pages are open: their records at all institutions, what of them is open to the asker, and how."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from xinglin.access import emergencies, sharing
from xinglin.access.principal import Purpose, Role
from xinglin.access.records import Records
from xinglin.access.sharing import Elsewhere
from xinglin.core.schema.decode import parse
from xinglin.kernel.errors import NotFound
from xinglin.ui.formats import masked
from xinglin.ui.i18n import _, zone
from xinglin.ui.parts import PatientFacts, Tab
from xinglin.web.chart.gather import gather, gather_type
from xinglin.web.chart.summary import RESIDENT_ID, patient_facts
from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.words import Resource
from xinglin.web.guards import house, institutions, page, principal
from xinglin.web.wording import category_names, today

FOLDER: Final = "web/templates/workspace/"
MOST_IDENTIFIERS: Final = 2


@dataclass(frozen=True, slots=True)
class Person:
    """`id`: the Patient of the address. `patients`: ids that may be seen, the asker's own institution's first.

    `until`: the end of the asker's emergency access, if it is open. `own`: the asker's institution's name.
    """

    id: str
    records: Records
    patients: tuple[str, ...]
    patient: Resource
    allergies: tuple[Dated, ...]
    elsewhere: tuple[Elsewhere, ...]
    until: datetime | None
    own: str

    @property
    def facts(self) -> PatientFacts:
        """The banner: numbers masked, the resident ID before the institution's own."""
        facts = patient_facts(self.patient, self.allergies)
        resident = [i.get("value") for i in self.patient.get("identifier", ()) if i.get("system") == RESIDENT_ID]
        first = sorted(facts.identifiers, key=lambda pair: pair[1] not in resident)[:MOST_IDENTIFIERS]
        return replace(facts, identifiers=tuple((name, masked(n)) for name, n in first), phone=masked(facts.phone))

    @property
    def closed(self) -> tuple[Elsewhere, ...]:
        return tuple(one for one in self.elsewhere if not one.permitted)

    @property
    def opened(self) -> tuple[Elsewhere, ...]:
        return tuple(one for one in self.elsewhere if one.permitted)


async def open_person(request: Request) -> Person:
    """The person of the address, NotFound where the asker may see no record of theirs.

    While an emergency access is open everything is read for that purpose, and the access log says so.
    """
    who, id = principal(request), str(request.path_params["patient"])
    until = await emergencies.emergency_until(Records(house(request), who), id)
    gate = Records(house(request), who.for_purpose(Purpose.EMERGENCY) if until else who)
    linked = await sharing.linked(gate, id)
    own_first = sorted((one for one in linked if one.visible), key=lambda one: one.custodian != who.institution)
    patients = tuple(one.patient for one in own_first)
    found, allergies, elsewhere = await asyncio.gather(
        gate.visible_of("Patient", patients),
        gather_type(gate, patients, "AllergyIntolerance", institutions(request).named, count=50),
        sharing.elsewhere(gate, id, linked),
    )
    bodies = {stored.id: stored.body for stored in found}
    return Person(
        id=id,
        records=gate,
        patients=patients,
        patient=parse(bodies[patients[0]]),
        allergies=tuple(allergies.items),
        elsewhere=tuple(elsewhere),
        until=until,
        own=institutions(request).name(who.institution),
    )


def frame(request: Request, person: Person, current: str) -> dict[str, Any]:
    """What every page of a person shows around its own content; `current`: the tab it belongs to."""
    return {
        "person": person,
        "facts": person.facts,
        "tabs": tabs(principal(request).role, person.id, current),
        "elsewhere": [_place(request, one) for one in person.elsewhere],
        "until_time": f"{person.until.astimezone(zone()):%H:%M}" if person.until else "",
        "may_ask": principal(request).role is Role.CLINICIAN,
    }


def _place(request: Request, one: Elsewhere) -> dict[str, str]:
    """An institution that holds more, and what of it is open, in words."""
    opened = category_names(one.opened) if one.opened else ""
    return {"institution": one.institution, "name": institutions(request).name(one.institution), "opened": opened}


def tabs(role: Role, patient: str, current: str) -> Sequence[Tab]:
    shown = [("", _("Summary")), ("/medicines", _("Medicines"))]
    if role is Role.CLINICIAN:
        shown = [
            ("", _("Summary")),
            ("/timeline", _("Timeline")),
            ("/trends", _("Results")),
            ("/medicines", _("Medicines")),
            ("/immunizations", _("Immunizations")),
            ("/documents", _("Documents")),
        ]
    return [Tab(f"/desk/people/{patient}{path}", label, path == current) for path, label in shown]


def shown(request: Request, person: Person, template: str, tab: str, **context: Any) -> Response:
    return page(request, f"{FOLDER}{template}.html", current="/desk", **frame(request, person, tab), **context)


# reading --------------------------------------------------------------------------------------------------------------


async def gathered_items(request: Request, person: Person, types: Iterable[str]) -> list[Dated]:
    return (await gather(person.records, person.patients, types, institutions(request).named)).items


async def own_resource(person: Person, type: str, id: str, named: Any) -> Dated:
    """A resource of this very person: another's id in the address is not found."""
    stored = await person.records.read(type, id)
    resource = parse(stored.body)
    subject = (resource.get("subject") or resource.get("patient") or {}).get("reference", "")
    if str(subject).removeprefix("Patient/") not in person.patients:
        raise no_page()
    return Dated(resource, *named(stored.custodian))


def today_date() -> date:
    return date.fromisoformat(today())


def no_page() -> NotFound:
    return NotFound("There is no such page.", remedy="Go back, or start from home.")
