"""What a clinician wants on one screen: who it is, problems, medicines, allergies, immunizations, last results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from xinglin.ui.parts import PatientFacts
from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.trends import flag_of, latest_of_each
from xinglin.web.chart.words import Resource, categories_of, codes, date_of, first_text, label, value_of

RESIDENT_ID: Final = "urn:oid:2.16.156.10011.1.3"
SUMMARY_TYPES: Final = ("Condition", "MedicationRequest", "AllergyIntolerance", "Immunization")
OVER: Final = frozenset({"resolved", "inactive", "remission"})
NO_KNOWN_ALLERGY: Final = frozenset({"716186003", "409137002"})  # SNOMED CT: no known allergy; no known drug allergy
REFUTED: Final = frozenset({"refuted", "entered-in-error"})


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a summary list. `note` stands behind the text; `institution` says who holds it."""

    text: str
    note: str
    when: str
    institution: str
    flag: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Medicine:
    """A prescription as the patient or the clinician reads it; `until` is the last day it covers, "" if unknown."""

    name: str
    dose: str
    when: str
    until: str
    current: bool
    institution: str
    reason: str
    prescriber: str


def problems(items: Iterable[Dated]) -> list[Line]:
    """Active problems, the same diagnosis of several institutions once, newest first."""
    found: dict[str, Line] = {}
    for item in _of_type(items, "Condition"):
        resource = item.resource
        if codes(resource.get("clinicalStatus")) & OVER or codes(resource.get("verificationStatus")) & REFUTED:
            continue
        name, since = label(resource.get("code")), str(resource.get("onsetDateTime", ""))[:10]
        known = found.get(name)
        if known is None or (since and since < known.note):
            found[name] = Line(name, since, item.when, item.institution_name, id=str(resource.get("id", "")))
    return list(found.values())


def medicines(items: Iterable[Dated], today: date) -> list[Medicine]:
    """Prescriptions, those that still cover today first, then newest first."""
    found = [_medicine(item, today) for item in _of_type(items, "MedicationRequest")]
    return sorted(found, key=lambda medicine: (medicine.current, medicine.when), reverse=True)


def current_medicines(items: Iterable[Dated], today: date) -> list[Medicine]:
    """The newest prescription of each medicine that still covers today."""
    found: dict[str, Medicine] = {}
    for medicine in medicines(items, today):
        if medicine.current:
            found.setdefault(medicine.name, medicine)
    return list(found.values())


def _medicine(item: Dated, today: date) -> Medicine:
    resource = item.resource
    until = _covered_until(resource)
    stopped = resource.get("status") in ("stopped", "cancelled", "entered-in-error", "draft")
    current = not stopped and (until >= today if until else resource.get("status") == "active")
    return Medicine(
        name=medicine_name(resource),
        dose=first_text(resource.get("dosageInstruction", ()), "text"),
        when=item.when,
        until=until.isoformat() if until else "",
        current=current,
        institution=item.institution_name,
        reason="；".join(label(reason) for reason in resource.get("reasonCode", ())),
        prescriber=str(resource.get("requester", {}).get("display", "")),
    )


def medicine_name(resource: Resource) -> str:
    """The medicine in the reader's language, with the wording that was prescribed: only that says form and strength."""
    concept = resource.get("medicationCodeableConcept", {})
    name, prescribed = label(concept), str(concept.get("text", ""))
    if not name:
        return str(resource.get("medicationReference", {}).get("display", ""))
    return f"{name} ({prescribed})" if prescribed and prescribed != name else name


def _covered_until(resource: Resource) -> date | None:
    """The day it was written plus the supply it names."""
    supply = resource.get("dispenseRequest", {}).get("expectedSupplyDuration", {}).get("value")
    written = date_of(resource)[:10]
    if supply is None or len(written) < 10:
        return None
    return date.fromisoformat(written) + timedelta(days=int(supply))


def allergies(items: Iterable[Dated]) -> list[Line]:
    """Allergies and intolerances that stand, the same substance once."""
    found: dict[str, Line] = {}
    for item in _of_type(items, "AllergyIntolerance"):
        resource = item.resource
        if codes(resource.get("clinicalStatus")) & OVER or codes(resource.get("verificationStatus")) & REFUTED:
            continue
        if codes(resource.get("code")) & NO_KNOWN_ALLERGY:
            continue
        manifestations = (m for reaction in resource.get("reaction", ()) for m in reaction.get("manifestation", ()))
        severe = "high" if resource.get("criticality") == "high" else ""
        note = "；".join(label(manifestation) for manifestation in manifestations)
        name = label(resource.get("code"))
        found.setdefault(name, Line(name, note, item.when, item.institution_name, severe))
    return list(found.values())


def no_known_allergy(items: Iterable[Dated]) -> bool:
    return any(codes(item.resource.get("code")) & NO_KNOWN_ALLERGY for item in _of_type(items, "AllergyIntolerance"))


def immunizations(items: Iterable[Dated]) -> list[Line]:
    found = []
    for item in _of_type(items, "Immunization"):
        resource = item.resource
        if resource.get("status") != "completed":
            continue
        dose = next((str(p.get("doseNumberPositiveInt", "")) for p in resource.get("protocolApplied", ())), "")
        found.append(Line(label(resource.get("vaccineCode")), dose, item.when, item.institution_name))
    return found


def last_results(items: Iterable[Dated], category: str) -> list[Line]:
    """The newest value of each code of an observation category, with its flag and reference range."""
    wanted = (item for item in items if category in categories_of(item.resource))
    return [
        Line(
            label(item.resource.get("code")),
            value_of(item.resource),
            item.when,
            item.institution_name,
            flag_of(item.resource),
            str(item.resource.get("id", "")),
        )
        for item in latest_of_each(wanted)
    ]


def patient_facts(patient: Resource, items: Sequence[Dated] = ()) -> PatientFacts:
    """What the banner shows of a Patient, with the allergies of the gathered record."""
    return PatientFacts(
        name=patient.get("name", ""),
        gender=str(patient.get("gender", "unknown")),
        birth_date=str(patient.get("birthDate", "")),
        identifiers=tuple((_identifier_name(i), str(i.get("value", ""))) for i in patient.get("identifier", ())),
        phone=first_text((t for t in patient.get("telecom", ()) if t.get("system") == "phone"), "value"),
        allergies=tuple(line.text for line in allergies(items)),
        no_known_allergy=no_known_allergy(items),
        deceased=patient.get("deceasedDateTime") or bool(patient.get("deceasedBoolean", False)) or "",
    )


def _identifier_name(identifier: Mapping[str, Any]) -> str:
    return label(identifier.get("type")) or str(identifier.get("system", ""))


def _of_type(items: Iterable[Dated], type: str) -> list[Dated]:
    chosen = [item for item in items if item.resource["resourceType"] == type]
    return sorted(chosen, key=lambda item: item.when, reverse=True)
