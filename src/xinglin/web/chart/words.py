"""Words of the record in the reader's language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from xinglin.ui.formats import label, quantity

Resource = Mapping[str, Any]

__all__ = ["Resource", "categories_of", "codes", "date_of", "first_text", "label", "value_of"]


def codes(value: Mapping[str, Any] | None) -> set[str]:
    return {coding.get("code", "") for coding in (value or {}).get("coding", ())}


def categories_of(resource: Resource) -> set[str]:
    """Codes of `category`, whether it is one concept, several, or plain codes."""
    given = resource.get("category", ())
    given = given if isinstance(given, list) else [given]
    return {code for item in given for code in (codes(item) if isinstance(item, Mapping) else {item})}


def date_of(resource: Resource) -> str:
    """When it happened, as FHIR wrote it: the date a clinician would order by; "" where none is known."""
    for name in _DATES:
        value = resource.get(name)
        if isinstance(value, str):
            return value
        if isinstance(value, Mapping) and value.get("start"):
            return str(value["start"])
    return ""


_DATES = (
    "effectiveDateTime", "effectivePeriod", "effectiveInstant", "occurrenceDateTime", "performedDateTime",
    "performedPeriod", "period", "authoredOn", "whenHandedOver", "onsetDateTime", "recordedDate", "started", "date",
    "issued", "sent", "created", "dateTime", "birthDate",
)  # fmt: skip


def value_of(observation: Resource) -> str:
    """The value of an Observation or component as a reader sees it."""
    if "valueQuantity" in observation:
        return quantity(observation["valueQuantity"])
    if "valueCodeableConcept" in observation:
        return label(observation["valueCodeableConcept"])
    for name in ("valueString", "valueInteger", "valueDateTime", "valueBoolean"):
        if name in observation:
            return str(observation[name])
    parts = [value_of(component) for component in observation.get("component", ())]
    return " / ".join(part for part in parts if part)


def first_text(items: Iterable[Mapping[str, Any]], name: str) -> str:
    return next((str(item[name]) for item in items if item.get(name)), "")
