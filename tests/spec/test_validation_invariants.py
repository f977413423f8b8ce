"""Invariants of the base definitions, each told with its key, its place and its expression."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from xinglin.core import paths
from xinglin.core.validation.invariants import validate

TEXT = {"text": "a"}
OBSERVATION: dict[str, Any] = {"resourceType": "Observation", "status": "final", "code": TEXT}
REQUEST: dict[str, Any] = {
    "resourceType": "MedicationRequest",
    "status": "active",
    "intent": "order",
    "medicationCodeableConcept": TEXT,
    "subject": {"reference": "#p"},
    "contained": [{"resourceType": "Patient", "id": "p"}],
}

BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "per-1": (
        {**OBSERVATION, "effectivePeriod": {"start": "2024-05-02", "end": "2024-05-01"}},
        "Observation.effective.ofType(Period)",
    ),
    "obs-6": ({**OBSERVATION, "valueString": "a", "dataAbsentReason": TEXT}, "Observation"),
    "obs-3": ({**OBSERVATION, "referenceRange": [{"age": {"low": {"value": 1}}}]}, "Observation.referenceRange[0]"),
    "pat-1": ({"resourceType": "Patient", "contact": [{"gender": "male"}]}, "Patient.contact[0]"),
    "qty-3": ({**OBSERVATION, "valueQuantity": {"value": 1, "code": "mg"}}, "Observation.value.ofType(Quantity)"),
    "ext-1": ({**OBSERVATION, "extension": [{"url": "http://a.example"}]}, "Observation.extension[0]"),
    "sqty-1": (
        {**REQUEST, "dispenseRequest": {"quantity": {"value": Decimal(1), "comparator": "<"}}},
        "MedicationRequest.dispenseRequest.quantity",
    ),
    "dom-3": ({**REQUEST, "subject": {"display": "a"}}, "MedicationRequest"),
    "ref-1": ({**OBSERVATION, "subject": {"reference": "#nobody"}}, "Observation.subject"),
    "bdl-7": (
        {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:a", "resource": OBSERVATION}] * 2},
        "Bundle",
    ),
}  # fmt: skip


@pytest.mark.parametrize("key", BROKEN)
def test_a_broken_rule_is_told_with_its_place(key: str) -> None:
    resource, place = BROKEN[key]
    issues = {issue.expression: issue for issue in validate(resource) if f"rule {key}:" in issue.text}
    assert set(issues) == {place}
    assert issues[place].severity == "error" and issues[place].code == "invariant"


def test_kept_rules_are_silent() -> None:
    assert validate(OBSERVATION) == () == validate(REQUEST)
    assert validate({**OBSERVATION, "effectivePeriod": {"start": "2024-05-01", "end": "2024-05-01T10:00:00Z"}}) == (), (
        "what cannot be told from the precision given is not held against anyone"
    )


def test_rules_hold_inside_bundles_and_contained_resources() -> None:
    wrong = {"resourceType": "Patient", "id": "p", "contact": [{"gender": "male"}]}
    bundle = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": {**REQUEST, "contained": [wrong]}}],
    }
    (issue,) = validate(bundle)
    assert issue.expression == "Bundle.entry[0].resource.contained[0].contact[0]"


def test_best_practice_is_told_on_request() -> None:
    told = validate(OBSERVATION, severities="error warning")
    assert {issue.severity for issue in told} == {"warning"} and "dom-6" in told[0].text


def test_a_rule_that_costs_too_much_is_told_and_not_held_against_the_resource() -> None:
    issues = validate(REQUEST, environment=paths.Environment(max_steps=3))
    assert issues and {issue.severity for issue in issues} == {"information"}
