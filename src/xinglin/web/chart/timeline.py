"""A person's record as one line of time, across institutions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from xinglin.ui.i18n import N_, _
from xinglin.ui.parts import TimelineEntry
from xinglin.web.chart.words import Resource, categories_of, date_of, first_text, label, value_of

TYPES: Final = (
    "Encounter", "Condition", "DiagnosticReport", "Procedure", "MedicationRequest", "Immunization",
    "AllergyIntolerance", "DocumentReference", "ImagingStudy", "ServiceRequest", "CarePlan", "EpisodeOfCare",
)  # fmt: skip
"""What the timeline shows. Single observations stand in their reports and trends."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entry: its code in addresses, name, icon and the types it gathers."""

    code: str
    name: str
    icon: str
    types: frozenset[str]


KINDS: Final = (
    Kind("visits", N_("Visit"), "stethoscope", frozenset({"Encounter", "EpisodeOfCare", "CarePlan", "ServiceRequest"})),
    Kind("problems", N_("Diagnosis or procedure"), "record", frozenset({"Condition", "Procedure"})),
    Kind("laboratory", N_("Laboratory"), "flask", frozenset({"DiagnosticReport"})),
    Kind("medications", N_("Medicine"), "pill", frozenset({"MedicationRequest"})),
    Kind("immunizations", N_("Immunization"), "syringe", frozenset({"Immunization"})),
    Kind("allergies", N_("Allergy"), "allergy", frozenset({"AllergyIntolerance"})),
    Kind("documents", N_("Document or image"), "document", frozenset({"DocumentReference", "ImagingStudy"})),
)


@dataclass(frozen=True, slots=True)
class Dated:
    """A resource with what a page filters by: the institution that holds it and the kind it is."""

    resource: Resource
    institution: str
    institution_name: str

    @property
    def when(self) -> str:
        return date_of(self.resource)

    @property
    def year(self) -> str:
        return self.when[:4]

    @property
    def kind(self) -> Kind:
        return kind_of(self.resource)


def kind_of(resource: Resource) -> Kind:
    if resource["resourceType"] == "DiagnosticReport" and categories_of(resource) & {"RAD", "imaging"}:
        return KINDS[-1]
    return next((kind for kind in KINDS if resource["resourceType"] in kind.types), KINDS[0])


def chosen(items: Iterable[Dated], *, kind: str = "", institution: str = "", year: str = "") -> list[Dated]:
    """Those that pass the filters, newest first; an empty filter lets all pass."""
    passing = (
        item
        for item in items
        if (not kind or item.kind.code == kind)
        and (not institution or item.institution == institution)
        and (not year or item.year == year)
    )
    return sorted(passing, key=lambda item: item.when, reverse=True)


Address = Callable[[Resource], str]


def nowhere(resource: Resource) -> str:
    return ""


def entries(items: Sequence[Dated], href: Address = nowhere, remark: Address = nowhere) -> list[TimelineEntry]:
    """What the timeline component draws, in the order given. `remark`: where the reader says that it is wrong."""
    return [_entry(item, href(item.resource), remark(item.resource)) for item in items]


def _entry(item: Dated, href: str, remark: str) -> TimelineEntry:
    kind = item.kind
    return TimelineEntry(
        when=item.when or None,
        title=title_of(item.resource),
        kind=_(kind.name),
        icon=kind.icon,
        institution=item.institution_name,
        detail=detail_of(item.resource),
        href=href,
        remark=remark,
    )


def title_of(resource: Resource) -> str:
    """What it is, in a few words."""
    type = resource.get("type")
    named = type if isinstance(type, dict) else next(iter(type or ()), None)
    concept = resource.get("code") or resource.get("vaccineCode") or resource.get("medicationCodeableConcept") or named
    if isinstance(concept, dict) and label(concept):
        return label(concept)
    return str(resource.get("description") or resource.get("title") or _(kind_of(resource).name))


def detail_of(resource: Resource) -> str:
    """The line below the title: reasons, dose, conclusion, lot."""
    if resource["resourceType"] == "Encounter":
        return "；".join(label(reason) for reason in resource.get("reasonCode", ()))
    if resource["resourceType"] == "Immunization":
        dose = next((p.get("doseNumberPositiveInt") for p in resource.get("protocolApplied", ())), None)
        return _("Dose {number}").format(number=dose) if dose else ""
    if resource["resourceType"] == "AllergyIntolerance":
        reactions = (m for reaction in resource.get("reaction", ()) for m in reaction.get("manifestation", ()))
        return "；".join(label(manifestation) for manifestation in reactions)
    if resource["resourceType"] == "MedicationRequest":
        return first_text(resource.get("dosageInstruction", ()), "text")
    return str(resource.get("conclusion") or value_of(resource) or "")
