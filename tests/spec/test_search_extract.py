"""Index rows: what ingest writes beside a resource, and that the walks find what FHIRPath finds."""

from __future__ import annotations

import tarfile
from pathlib import Path

import orjson
import pytest

from xinglin.core import paths as fhirpath
from xinglin.core.schema.definitions import resource_types
from xinglin.core.search.composites import follow
from xinglin.core.search.extract import extract, references
from xinglin.core.search.hashes import MANY, system_row, token_hash
from xinglin.core.search.parameters import HEADLINE_DATES, REGISTRY, element_max_one
from xinglin.core.search.values import date_range
from xinglin.core.store.keys import NO_DATE, key_of, reference_key, system_hash

OBSERVATION = {
    "resourceType": "Observation",
    "id": "o",
    "status": "final",
    "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}, {"system": "urn:x", "code": "8480-6"}]},
    "subject": {"reference": "Patient/1/_history/3"},
    "performer": [{"reference": "Patient/2"}],
    "effectiveDateTime": "2024-02-29",
    "valueQuantity": {"value": 97, "system": "http://unitsofmeasure.org", "code": "mg/dL"},
}


def path_of(type_name: str, code: str, place: int = 0):
    return REGISTRY.of_type(type_name)[code].paths[place]


def test_every_r4_parameter_has_a_path() -> None:
    unindexed = {"_id", "_lastUpdated", "_filter", "_text", "_content"}
    for type_name in resource_types():
        for parameter in REGISTRY.of_type(type_name).values():
            assert parameter.paths or parameter.code in unindexed, parameter.name
            for path in parameter.paths:
                assert path.walks is None or path.walks, parameter.name


def test_parameters_that_say_the_same_share_their_rows() -> None:
    assert path_of("Observation", "patient").hash == path_of("Observation", "subject").hash
    assert path_of("Observation", "combo-code").hash == path_of("Observation", "code").hash
    assert path_of("Observation", "combo-code", 1).hash == path_of("Observation", "component-code").hash


def test_a_headline_date_stands_at_most_once() -> None:
    for type_name, code in HEADLINE_DATES.items():
        assert all(element_max_one(path) and path.headline for path in REGISTRY.of_type(type_name)[code].paths)


def test_the_person_is_the_subject_before_the_performer() -> None:
    assert extract(OBSERVATION).person == key_of("Patient", "1")
    assert extract({**OBSERVATION, "subject": {"reference": "Device/1"}}).person == key_of("Patient", "2")
    assert extract({"resourceType": "Patient", "id": "1"}).person == key_of("Patient", "1")
    assert extract({"resourceType": "Organization", "id": "1"}).person == 0


def test_a_code_under_two_systems_is_one_row_and_a_row_for_each() -> None:
    rows = dict(extract(OBSERVATION).tokens)
    path = path_of("Observation", "code").hash
    assert rows[token_hash(path, "8480-6")] == MANY
    for system in ("http://loinc.org", "urn:x"):
        assert system_row(path, system_hash(system), "8480-6") in rows


def test_dates_references_and_presence() -> None:
    rows = extract(OBSERVATION)
    assert (rows.date, rows.date_end) == date_range("2024-02-29") and rows.moments == []
    assert path_of("Observation", "subject").hash ^ reference_key("Patient/1") in dict(rows.tokens)
    present = {
        p.code for p in REGISTRY.of_type("Observation").values() if p.bit is not None and rows.present >> p.bit & 1
    }
    assert {"patient", "subject", "performer", "code", "combo-code", "date", "code-value-quantity"} <= present
    assert not {"category", "value-date", "component-code"} & present
    assert extract({"resourceType": "Observation", "id": "x"}).date == NO_DATE


def test_quantities_of_one_dimension_meet() -> None:
    def canonical(value: float, code: str) -> set[tuple[object, ...]]:
        quantity = {"value": value, "system": "http://unitsofmeasure.org", "code": code}
        return {row[4:] for row in extract({**OBSERVATION, "valueQuantity": quantity}).quantities}

    assert canonical(97, "mg/dL") == canonical(0.97, "g/L") != canonical(5.4, "mmol/L")


def test_what_cannot_be_read_leaves_no_row() -> None:
    rows = extract({**OBSERVATION, "effectiveDateTime": "yesterday", "valueQuantity": {"unit": "mg"}})
    assert rows.date == NO_DATE and rows.quantities == []


@pytest.mark.shared
def test_walks_find_what_fhirpath_finds(shared: Path) -> None:
    """Every parameter of every type over the specification's own examples."""
    found = compared = 0
    with tarfile.open(shared / "fhir" / "hl7.fhir.r4.examples.tgz") as archive:
        for member in archive:
            handle = archive.extractfile(member) if member.name.endswith(".json") and member.size < 100_000 else None
            resource = orjson.loads(handle.read()) if handle else {}
            if resource.get("resourceType") not in resource_types() or "id" not in resource:
                continue
            extract(resource)
            for parameter in REGISTRY.of_type(resource["resourceType"]).values():
                for path in parameter.paths:
                    if path.walks is None or path.kind == "composite":
                        continue
                    walked = [value for walk in path.walks for value in follow(resource, walk.steps)]
                    expected = fhirpath.search(path.expression)(resource)
                    assert sorted(map(repr, walked)) == sorted(map(repr, expected)), path.expression
                    compared, found = compared + 1, found + bool(walked)
    assert compared > 5000 and found > 1000


def test_references_of_a_path() -> None:
    assert references(OBSERVATION, path_of("Observation", "performer")) == ["Patient/2"]
