"""What makes a record sensitive: ValueSets as data, shipped and of an installation's own."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from xinglin.access.categories import classify, labelled_by, labels, use_sensitive
from xinglin.kernel.errors import Invalid

URL = "https://xinglin.example/fhir/ValueSet/sensitive-hiv"
ICD10, ICD10_CM, LOINC = "http://hl7.org/fhir/sid/icd-10", "http://hl7.org/fhir/sid/icd-10-cm", "http://loinc.org"
SNOMED = "http://snomed.info/sct"
LABEL = {label.code: label.bit for label in labels()}


@pytest.fixture(autouse=True)
def shipped_again() -> Iterator[None]:
    yield
    use_sensitive("")


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def labels_of(resource: dict[str, Any]) -> set[str]:
    return {code for code, bit in LABEL.items() if bit & classify(resource)}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *[(code, {"HIV"}) for code in ("B20", "B24.9", "Z21", "R75", "Z11.4")],
        *[(code, {"PSY"}) for code in ("F00.1", "F32.900", "F99", "X61", "X84.9", "Z91.5")],
        *[(code, {"SEX"}) for code in ("A53.9", "O04.5", "N97", "Z30.1", "T74.2")],
        *[(code, {"SUD"}) for code in ("F10.2", "F19.1", "Z71.5")],
        ("F02.4", {"HIV", "PSY"}),  # dementia in HIV disease
        *[(code, set()) for code in ("F17.2", "J45", "O80", "X59", "X85", "B25", "Z34", "", "XB20")],
    ],
)
def test_blocks_of_icd10_bring_their_labels(code: str, expected: set[str]) -> None:
    for system in (ICD10, ICD10_CM):
        assert labels_of({"resourceType": "Condition", "code": concept(system, code)}) == expected
    assert not labels_of({"resourceType": "Condition", "code": concept("urn:other", code)})


VIRAL_LOAD = concept(LOINC, "10351-5")


@pytest.mark.parametrize(
    "resource",
    [
        {"resourceType": "Observation", "code": VIRAL_LOAD},
        {"resourceType": "Observation", "code": concept(LOINC, "1"), "component": [{"code": VIRAL_LOAD}]},
        {"resourceType": "Observation", "code": {}, "valueCodeableConcept": concept(ICD10, "B20")},
        {"resourceType": "DiagnosticReport", "code": {"coding": [{}, *VIRAL_LOAD["coding"]]}},
        {"resourceType": "Encounter", "reasonCode": [concept("urn:x", "1"), concept(ICD10, "B20")]},
        {"resourceType": "Claim", "diagnosis": [{"diagnosisCodeableConcept": concept(ICD10, "B20")}]},
        {"resourceType": "FamilyMemberHistory", "condition": [{"code": concept(ICD10, "B20")}]},
        {"resourceType": "CarePlan", "activity": [{"detail": {"code": concept(ICD10, "B20")}}]},
        {"resourceType": "Flag", "contained": [{"resourceType": "Condition", "code": concept(ICD10, "B20")}]},
    ],
)  # fmt: skip
def test_a_code_is_found_wherever_a_record_says_what_it_is_about(resource: dict[str, Any]) -> None:
    assert labels_of(resource) == {"HIV"}


@pytest.mark.parametrize("odd", [None, 5, "B20", [5], {"coding": [{}]}, [{"coding": []}], {"text": "B20"}])
def test_what_has_no_codes_has_no_labels(odd: Any) -> None:
    assert not labels_of({"resourceType": "Condition", "code": odd, "component": odd})


def own(folder: Path, **compose: Any) -> str:
    body = {"resourceType": "ValueSet", "url": URL, "version": "county", "compose": compose}
    (folder / "own.json").write_text(json.dumps(body))
    return str(folder)


def test_an_installation_extends_a_set(tmp_path: Path) -> None:
    before = labelled_by()
    local = {"system": "urn:lab", "concept": [{"code": "HIV-AB"}]}
    without = {"system": ICD10, "concept": [{"code": "Z11.4"}]}
    use_sensitive(own(tmp_path, include=[{"valueSet": [f"{URL}|1"]}, local], exclude=[without]))
    assert labelled_by() != before
    about = {code: labels_of({"resourceType": "Condition", "code": concept(ICD10, code)}) for code in ("B20", "Z11.4")}
    assert about == {"B20": {"HIV"}, "Z11.4": set()}
    assert labels_of({"resourceType": "Observation", "code": concept("urn:lab", "HIV-AB")}) == {"HIV"}
    assert labels_of({"resourceType": "Condition", "code": concept(ICD10, "F32")}) == {"PSY"}


def test_an_installation_replaces_a_set(tmp_path: Path) -> None:
    use_sensitive(
        own(tmp_path, include=[{"system": ICD10, "filter": [{"property": "code", "op": "in", "value": "Q1,Q2"}]}])
    )
    found = {
        code: labels_of({"resourceType": "Condition", "code": concept(ICD10, code)}) for code in ("Q1", "Q3", "B20")
    }
    assert found == {"Q1": {"HIV"}, "Q3": set(), "B20": set()}


@pytest.mark.parametrize(
    ("compose", "told"),
    [
        ({}, "no compose.include"),
        ({"include": [{"concept": [{"code": "a"}]}]}, "neither system nor valueSet"),
        ({"include": [{"system": SNOMED, "filter": [{"property": "concept", "op": "is-a", "value": "1"}]}]}, "is-a"),
        ({"include": [{"system": SNOMED, "filter": [{"property": "code", "op": "regex", "value": "("}]}]}, "regular"),
        ({"include": [{"valueSet": ["http://nowhere"]}]}, "no ValueSet http://nowhere"),
        ({"include": [{"valueSet": [URL]}]}, "takes itself in"),
    ],
)
def test_a_set_that_cannot_be_decided_is_refused_by_name(tmp_path: Path, compose: dict[str, Any], told: str) -> None:
    before = labelled_by()
    with pytest.raises(Invalid, match="XINGLIN_SENSITIVE") as refused:
        use_sensitive(own(tmp_path, **compose))
    assert told in str(refused.value)
    assert labelled_by() == before


def test_what_is_no_folder_of_value_sets_is_refused(tmp_path: Path) -> None:
    for text in ("{", "[]", '{"resourceType": "Patient", "url": "u"}', '{"resourceType": "ValueSet"}'):
        (tmp_path / "one.json").write_text(text)
        with pytest.raises(Invalid, match=r"one\.json"):
            use_sensitive(str(tmp_path))
    with pytest.raises(Invalid, match="no folder"):
        use_sensitive(str(tmp_path / "nowhere"))


@pytest.mark.shared
def test_every_code_that_is_listed_is_one_that_public_data_show(shared: Path) -> None:
    """Codes are not invented: each stands in the FHIR definitions, the validator's cases or Synthea's records."""
    left = {
        one["code"].encode()
        for value_set in files("xinglin.access").joinpath("data/sensitive").iterdir()
        for part in json.loads(value_set.read_text())["compose"]["include"]
        for one in part.get("concept", ())
    }
    assert len(left) > 150
    for text in public(shared):
        left -= set(re.findall(rb'"code"\s*:\s*"([^"]+)"', text))
    assert not left


def public(shared: Path) -> Iterator[bytes]:
    for package in sorted((shared / "fhir").glob("*.tgz")):
        with gzip.open(package) as file:
            yield file.read()
    for case in sorted((shared / "conformance" / "validator").rglob("*.json")):
        yield case.read_bytes()
    for bundle in sorted((shared / "data" / "synthea").rglob("*.gz")):
        yield gzip.decompress(bundle.read_bytes())
