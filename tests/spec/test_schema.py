"""The compiled definitions say what the official R4 package says."""

from __future__ import annotations

import pytest

from xinglin.core.schema.definitions import (
    compartment,
    resource_types,
    search_parameters,
    type_def,
    type_names,
    value_set_codes,
)
from xinglin.core.schema.references import is_allowed_target, target_type


def test_the_146_resource_types() -> None:
    types = resource_types()
    assert len(types) == 146
    assert {"Patient", "Observation", "Bundle", "Parameters", "Binary"} <= set(types)
    assert not {"Resource", "DomainResource"} & set(types)


def test_every_type_an_element_names_has_a_definition() -> None:
    for name in type_names():
        definition = type_def(name)
        assert definition is not None
        for element in definition.elements.values():
            assert all(type_def(code) for code in element.types), element.path


def test_an_element_says_its_types_cardinality_and_binding() -> None:
    observation = type_def("Observation")
    assert observation is not None and observation.base == "DomainResource" and observation.kind == "resource"
    status = observation.elements["status"]
    assert (status.min, status.max, status.types) == (1, 1, ("code",))
    assert status.binding == ("required", "http://hl7.org/fhir/ValueSet/observation-status")
    assert status.modifier and status.summary
    assert list(observation.elements)[:3] == ["id", "meta", "implicitRules"]
    assert observation.elements["subject"].targets == ("Patient", "Group", "Device", "Location")
    assert observation.elements["focus"].targets == (), "any resource may be in focus"


def test_choices_backbones_and_content_references() -> None:
    component = type_def("Observation.component")
    assert component is not None and component.kind == "backbone"
    value = component.elements["value"]
    assert value.choice and "Quantity" in value.types
    assert component.element("valueQuantity") is value
    assert component.element("value") is None, "the JSON property names the type"
    assert component.elements["referenceRange"].types == ("Observation.referenceRange",)
    part = type_def("Parameters.parameter")
    assert part is not None and part.elements["part"].types == ("Parameters.parameter",)


def test_invariants_stand_where_they_are_evaluated() -> None:
    contact, patient = type_def("Patient.contact"), type_def("Patient")
    assert contact is not None and patient is not None
    assert "pat-1" in {key for key, _, _ in contact.constraints}
    assert "dom-2" in {key for key, _, _ in patient.constraints}
    assert "pat-1" not in {key for key, _, _ in patient.constraints}


def test_search_parameters_with_components() -> None:
    parameters = {parameter.url: parameter for parameter in search_parameters()}
    assert len(parameters) == 1400
    composite = parameters["http://hl7.org/fhir/SearchParameter/Observation-code-value-concept"]
    assert composite.bases == ("Observation",) and composite.type == "composite"
    assert composite.components[1] == (
        "http://hl7.org/fhir/SearchParameter/Observation-value-concept",
        "value.as(CodeableConcept)",
    )


def test_the_patient_compartment() -> None:
    assert compartment("Patient")["Observation"] == ("subject", "performer")
    assert "Location" not in compartment("Patient")
    assert compartment("Nobody") == {}


def test_codes_of_required_value_sets() -> None:
    genders = value_set_codes("http://hl7.org/fhir/ValueSet/administrative-gender|4.0.1")
    assert genders is not None and {code for _, code in genders} == {"male", "female", "other", "unknown"}
    assert value_set_codes("http://hl7.org/fhir/ValueSet/mimetypes") is None, "media types cannot be listed"
    assert value_set_codes("http://hl7.org/fhir/ValueSet/ucum-units") is None, "UCUM is a grammar"


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("Patient/1", "Patient"),
        ("Patient/1/_history/2", "Patient"),
        ("https://a.example/fhir/Patient/1", "Patient"),
        ("Patient?identifier=a|b", "Patient"),
        ("urn:uuid:c757873d-ec9a-4326-a141-556f43239520", None),
        ("#p", None),
        ("https://a.example/whatever", None),
        ("Nothing/1", None),
    ],
)
def test_what_a_reference_points_to(reference: str, expected: str | None) -> None:
    assert target_type(reference) == expected
    assert is_allowed_target(reference, {"Group"}) is (expected is None)
