"""Microseconds per resource: parse and check beside orjson.loads and untyped msgspec.

    python benchmarks/bench_decode.py [--rounds N]

Reads Synthea bundles where the public data folder is present (XINGLIN_SHARED or ../shared), else writes Observations
of its own. One core; the least of several rounds.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson

from xinglin.core.schema import decode
from xinglin.core.validation import structure

SHARED = Path(os.environ.get("XINGLIN_SHARED", Path(__file__).resolve().parent.parent.parent / "shared"))
TYPES = ("Observation", "Patient", "Encounter", "Condition", "Claim", "ExplanationOfBenefit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    texts = by_type(synthea() if (SHARED / "data/synthea").is_dir() else own_observations())
    print(f"{'type':22}{'bytes':>7}{'orjson':>9}{'msgspec':>9}{'parse':>9}{'check':>9}{'read':>9}{'slow':>9}  us each")
    for name, sample in texts.items():
        parsed = [decode.parse(text) for text in sample]
        figures = [
            per_item(function, sample, rounds)
            for function in (orjson.loads, msgspec.json.decode, decode.parse, decode.check, decode.read)
        ]
        figures.append(per_item(structure.validate, parsed, max(1, rounds // 5)))
        size = sum(map(len, sample)) // len(sample)
        print(f"{name:22}{size:7}" + "".join(f"{figure:9.1f}" for figure in figures))


def per_item(function: Callable[[Any], object], items: list[Any], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for item in items:
            function(item)
        best = min(best, time.perf_counter() - start)
    return best / len(items) * 1e6


def by_type(resources: Iterator[dict[str, Any]]) -> dict[str, list[bytes]]:
    texts: dict[str, list[bytes]] = {}
    for resource in resources:
        if resource["resourceType"] in TYPES:
            texts.setdefault(resource["resourceType"], []).append(msgspec.json.encode(resource))
    return {name: texts[name][:1000] for name in TYPES if name in texts}


def synthea() -> Iterator[dict[str, Any]]:
    for path in sorted((SHARED / "data/synthea").rglob("*.gz"))[:30]:
        for entry in json.loads(gzip.decompress(path.read_bytes()))["entry"]:
            yield entry["resource"]


def own_observations() -> Iterator[dict[str, Any]]:
    for number in range(1000):
        yield {
            "resourceType": "Observation",
            "id": f"o-{number}",
            "status": "final",
            "category": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/observation-category",
                                      "code": "vital-signs", "display": "Vital Signs"}]}],
            "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6", "display": "Systolic blood pressure"}],
                     "text": "收缩压"},
            "subject": {"reference": f"Patient/p-{number % 50}"},
            "encounter": {"reference": f"Encounter/e-{number % 200}"},
            "effectiveDateTime": f"2024-05-{number % 28 + 1:02}T08:30:00+08:00",
            "issued": f"2024-05-{number % 28 + 1:02}T08:31:00.123+08:00",
            "valueQuantity": {"value": 100 + number % 60, "unit": "mmHg", "system": "http://unitsofmeasure.org",
                              "code": "mm[Hg]"},
        }  # fmt: skip


if __name__ == "__main__":
    main()
