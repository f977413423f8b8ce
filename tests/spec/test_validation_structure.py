"""What the slow pass says: the place as FHIRPath, what is wrong, what is allowed. One row is one rule."""

from __future__ import annotations

import time
from copy import deepcopy
from typing import Any

import pytest

from xinglin.core.schema import decode, narrative
from xinglin.core.validation.structure import MAX_ISSUES, validate
from xinglin.kernel.errors import Unprocessable

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "p1",
    "gender": "female",
    "birthDate": "1959-03-02",
    "contact": [{"name": {"family": "陈", "given": ["桂", "英"]}}],
    "contained": [{"resourceType": "Organization", "id": "o1", "name": "县人民医院"}],
    "managingOrganization": {"reference": "#o1"},
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]},
    "subject": {"reference": "Patient/p1"},
    "effectiveDateTime": "2024-05-31T08:30:00+08:00",
    "valueQuantity": {"value": 128, "unit": "mmHg"},
}
CONDITION: dict[str, Any] = {"resourceType": "Condition", "subject": {"reference": "Patient/p1"}}
BUNDLE: dict[str, Any] = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": {**PATIENT}}]}


def changed(resource: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with top-level elements replaced; None removes."""
    body = {**deepcopy(resource), **changes}
    return {name: value for name, value in body.items() if value is not None}


# resource, code, expression, words of the sentence
WRONG: dict[str, tuple[Any, str, str | None, str]] = {
    "no type": ({"id": "1"}, "required", None, "resourceType"),
    "unknown type": ({"resourceType": "Pateint"}, "structure", "resourceType", "Did you mean 'Patient'?"),
    "abstract type": ({"resourceType": "DomainResource"}, "structure", "resourceType", "not an R4 resource type"),
    "unknown element": (changed(PATIENT, birthdate="2000"), "structure", "Patient", "Did you mean 'birthDate'?"),
    "element of another version": (
        changed(CONDITION, context={"reference": "Encounter/1"}), "structure", "Condition", "context",
    ),
    "choice without its type": (changed(OBSERVATION, value=1), "structure", "Observation", "no element 'value'"),
    "wrong kind": (changed(PATIENT, gender=1), "value", "Patient.gender", "must be text"),
    "object for a primitive": (changed(PATIENT, gender={"a": 1}), "structure", "Patient.gender", "not an object"),
    "primitive for an object": (
        changed(PATIENT, maritalStatus="M"), "structure", "Patient.maritalStatus", "CodeableConcept",
    ),
    "single for an array": (changed(PATIENT, name={"family": "a"}), "structure", "Patient.name", "must be an array"),
    "array for a single": (changed(PATIENT, gender=["male"]), "structure", "Patient.gender", "single value"),
    "empty array": (changed(PATIENT, name=[]), "structure", "Patient.name", "empty array"),
    "empty object": (changed(PATIENT, name=[{}]), "structure", "Patient.name[0]", "empty object"),
    "empty text": (changed(PATIENT, language=""), "value", "Patient.language", "empty text"),
    "null in an object": ({**PATIENT, "gender": None}, "structure", "Patient.gender", "null"),
    "null in an array": (
        changed(PATIENT, contact=[{"name": {"given": ["a", None]}}]),
        "structure", "Patient.contact[0].name.given[1]", "null",
    ),
    "missing element": (changed(OBSERVATION, status=None), "required", "Observation.status", "needs 'status'"),
    "missing choice": (
        {"resourceType": "MedicationRequest", "status": "active", "intent": "order",
         "subject": {"reference": "Patient/1"}},
        "required", "MedicationRequest.medication", "medicationCodeableConcept, medicationReference",
    ),
    "two choices": (changed(OBSERVATION, valueString="a"), "structure", "Observation.value", "only one of"),
    "type a choice lacks": (
        changed(OBSERVATION, valueAddress={"city": "a"}), "structure", "Observation", "valueAddress",
    ),
    "sibling of an object": (changed(PATIENT, _name=[{"id": "a"}]), "structure", "Patient", "_name"),
    "sibling of an id": (changed(PATIENT, _id={"id": "a"}), "structure", "Patient", "_id"),
    "date that is none": (changed(PATIENT, birthDate="2023-02-29"), "value", "Patient.birthDate", "not a valid date"),
    "date time without zone": (
        changed(OBSERVATION, effectiveDateTime="2024-05-31T08:30:00"),
        "value", "Observation.effective.ofType(dateTime)", "zone",
    ),
    "number as text": (
        changed(OBSERVATION, valueQuantity={"value": "1"}),
        "value", "Observation.value.ofType(Quantity).value", "must be a number",
    ),
    "fraction as integer": (
        changed(OBSERVATION, valueQuantity=None, valueInteger=True),
        "value", "Observation.value.ofType(integer)", "whole",
    ),
    "id with a path": (changed(PATIENT, id="../etc"), "value", "Patient.id", "letters, digits"),
    "URI with whitespace": (
        changed(PATIENT, implicitRules="a b"), "value", "Patient.implicitRules", "without whitespace",
    ),
    "code outside its value set": (
        changed(PATIENT, gender="femal"), "code-invalid", "Patient.gender", "Did you mean 'female'?",
    ),
    "code like no other": (
        changed(PATIENT, gender="女"), "code-invalid", "Patient.gender", "one of male, female, other, unknown",
    ),
    "concept outside its value set": (
        changed(CONDITION, clinicalStatus={"text": "active"}),
        "code-invalid", "Condition.clinicalStatus", "required value set",
    ),
    "reference to another type": (
        changed(OBSERVATION, subject={"reference": "Medication/1"}),
        "structure", "Observation.subject.reference", "Patient, Group",
    ),
    "reference of another type": (
        changed(OBSERVATION, subject={"type": "Medication", "display": "a"}),
        "structure", "Observation.subject.type", "Patient, Group",
    ),
    "script in a narrative": (
        changed(PATIENT, text={"status": "generated", "div": DIV.format("<script>a()</script>")}),
        "invariant", "Patient.text.div", "<script>",
    ),
    "contained in contained": (
        changed(PATIENT, contained=[{**PATIENT, "managingOrganization": {"display": "a"}}]),
        "structure", "Patient.contained[0].contained", "must not contain",
    ),
    "contained without id": (
        changed(PATIENT, contained=[{"resourceType": "Basic", "code": {"text": "a"}}]),
        "required", "Patient.contained[0].id", "id",
    ),
    "contained twice": (
        changed(PATIENT, contained=PATIENT["contained"] * 2), "duplicate", "Patient.contained[1].id", "'o1'",
    ),
    "entry twice": (
        changed(BUNDLE, entry=BUNDLE["entry"] * 2), "duplicate", "Bundle.entry[1]", "same resource as entry[0]",
    ),
    "inside a Bundle": (
        changed(BUNDLE, entry=[{"resource": changed(PATIENT, gender="x")}]),
        "code-invalid", "Bundle.entry[0].resource.gender", "gender",
    ),
    "inside Parameters": (
        {"resourceType": "Parameters", "parameter": [
            {"name": "a", "part": [{"name": "b", "resource": {"resourceType": "P"}}]}
        ]},
        "structure", "Parameters.parameter[0].part[0].resource.resourceType", "'P' is not",
    ),
    "not an object": ([1], "structure", None, "an array"),
}  # fmt: skip


@pytest.mark.parametrize("sound", [PATIENT, OBSERVATION, CONDITION, BUNDLE], ids=lambda body: body["resourceType"])
def test_the_examples_are_sound(sound: dict[str, Any]) -> None:
    assert validate(sound) == ()
    assert decode._is_sound(decode.encode(sound), sound["resourceType"])


@pytest.mark.parametrize("name", WRONG)
def test_one_wrong_thing_is_one_issue_with_its_place(name: str) -> None:
    resource, code, expression, words = WRONG[name]
    (issue,) = validate(resource)
    assert (issue.code, issue.expression) == (code, expression)
    assert words in issue.sentence()
    if isinstance(resource, dict):
        with pytest.raises(Unprocessable) as refusal:
            decode.check(decode.encode(resource))
        assert refusal.value.issues == (issue,)


def test_all_errors_are_gathered_and_their_number_is_bounded() -> None:
    many = changed(PATIENT, gender=1, birthDate="x", name=[{"use": "y"}])
    assert {i.expression for i in validate(many)} == {"Patient.gender", "Patient.birthDate", "Patient.name[0].use"}
    assert len(validate(changed(PATIENT, name=[{}] * 5_000))) == MAX_ISSUES


def test_much_that_is_wrong_costs_little() -> None:
    start = time.process_time()
    assert len(validate({**PATIENT, **{f"gendr{n}": n for n in range(100_000)}})) == MAX_ISSUES
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "resource",
    [
        changed(
            PATIENT, birthDate=None, _birthDate={"extension": [{"url": "http://a.example", "valueCode": "unknown"}]}
        ),
        changed(PATIENT, name=[{"given": ["a", None], "_given": [None, {"id": "x"}]}]),
        changed(PATIENT, name=[{"given": ["a", "b"], "_given": [{"id": "x"}]}]),
        changed(OBSERVATION, status=None, _status={"extension": [{"url": "http://a.example", "valueCode": "unknown"}]}),
        changed(PATIENT, deceasedDateTime="2024-02-29", _deceasedDateTime={"id": "a"}),
        changed(OBSERVATION, subject={"reference": "urn:oid:1.2.3"}),
        changed(OBSERVATION, subject={"reference": "Patient?identifier=a|1"}),
        changed(BUNDLE, type="history", entry=[{"resource": {**PATIENT, "meta": {"versionId": v}}} for v in "12"]),
    ],
)
def test_rare_and_right(resource: dict[str, Any]) -> None:
    assert validate(resource) == ()
    decode.check(decode.encode(resource))


@pytest.mark.parametrize(
    ("content", "allowed"),
    [
        ("text", True),
        ('<a href="https://a.example/b?c=d&amp;e">x</a>', True),
        ('<table class="grid"><tr><td colspan="2" style="color: red">1&nbsp;&#38;</td></tr></table>', True),
        ('<img src="data:image/png;base64,AAAA" alt=""/>', True),
        ("<!-- note --><b>x</b>", True),
        (" ", False),
        ("<br/>", False),
        ("<b>x", False),
        ("<script>x</script>", False),
        ("<iframe src='https://a.example'/>", False),
        ("<object data='a'/>", False),
        ("<form action='a'><input/></form>", False),
        ('<p onclick="x()">x</p>', False),
        ('<a href="javascript:x()">x</a>', False),
        ('<a href=" java&#115;cript:x()">x</a>', False),
        ('<a href="java&#10;script:x()">x</a>', False),
        ('<a href="data:text/html,x">x</a>', False),
        ('<p style="width: expression(x())">x</p>', False),
        ("<?php x ?>x", False),
        ('<svg xmlns="http://www.w3.org/2000/svg">x</svg>', False),
    ],
)  # fmt: skip
def test_narratives(content: str, allowed: bool) -> None:
    assert (narrative.problem(DIV.format(content)) is None) is allowed
    if not allowed:
        assert not narrative.is_plain(DIV.format(content))


@pytest.mark.parametrize(
    "div", ["<p>x</p>", "<div>x</div>", '<!DOCTYPE div [<!ENTITY a "b">]>' + DIV.format("&a;"), "x"]
)
def test_a_narrative_is_one_xhtml_div(div: str) -> None:
    assert narrative.problem(div) is not None and not narrative.is_plain(div)
