"""The official examples, Synthea's bundles and the validator's cases against structural validation."""

from __future__ import annotations

import gzip
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from xinglin.core.schema import decode
from xinglin.core.validation import structure
from xinglin.kernel.errors import Problem

pytestmark = pytest.mark.shared

# Official examples that break the specification's own rules.
WRONG_EXAMPLES = {
    "ActivityDefinition-blood-tubes-supply": "the narrative is empty (txt-2)",
    "ActivityDefinition-heart-valve-replacement": "the narrative is empty (txt-2)",
    "Questionnaire-zika-virus-exposure-assessment": "the narrative is empty (txt-2)",
    "DeviceMetric-example": "parent points to a DeviceDefinition, and may only to a Device",
    "DeviceUseStatement-example": "reasonReference points to a Procedure, which is not among its targets",
    "ImplementationGuide-fhir": "name and status are required and absent",
    "Questionnaire-qs1": "items lack linkId, which is required",
}


def examples(shared: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(shared / "fhir/hl7.fhir.r4.examples.tgz") as archive:
        for member in archive:
            stream = archive.extractfile(member) if member.name.endswith(".json") else None
            text = stream.read() if stream else b""
            if b'"resourceType"' in text:
                yield Path(member.name).stem, text


def test_official_examples_are_sound_or_known_to_be_wrong(shared: Path) -> None:
    refused = set()
    count = fast = 0
    for name, text in examples(shared):
        count += 1
        fast += decode._is_sound(text, None)
        try:
            decode.check(text)
        except Problem:
            refused.add(name)
    assert count == 442
    assert refused == set(WRONG_EXAMPLES)
    assert fast >= 425, "nearly all are proved sound by the fast pass alone"


def test_official_examples_are_read_and_written_unchanged(shared: Path) -> None:
    for name, text in examples(shared):
        written = decode.encode(decode.parse(text))
        assert json.loads(written, parse_float=str) == json.loads(text, parse_float=str), name


def test_all_synthea_bundles_are_sound(shared: Path) -> None:
    bundles = sorted((shared / "data/synthea").rglob("*.gz"))
    assert len(bundles) == 110
    for path in bundles:
        text = gzip.decompress(path.read_bytes())
        assert decode._is_sound(text, "Bundle"), path.name


@pytest.mark.parametrize("every", [7])
def test_the_slow_pass_accepts_synthea_too(shared: Path, every: int) -> None:
    for path in sorted((shared / "data/synthea").rglob("*.gz"))[::every]:
        assert structure.validate(decode.parse(gzip.decompress(path.read_bytes()))) == (), path.name
