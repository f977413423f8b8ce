"""R4's own search-parameter expressions over Synthea resources: the engine of core/paths beside fhirpathpy.

    python benchmarks/bench_paths.py [--resources 400] [--peer 60]

Both run in this process, one after the other, on the same parsed JSON, every expression that applies to a resource's
type. fhirpathpy is given compiled expressions, and a smaller sample, as it needs its time; figures are per resource.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from xinglin.core import paths
from xinglin.core.schema.definitions import search_parameters

SHARED = Path(os.environ.get("XINGLIN_SHARED", Path(__file__).resolve().parents[2] / "shared"))

REFUSED = {"evaluations": 0}
"""What fhirpathpy answered with an exception, which costs it less than an answer."""


def main() -> None:
    arguments = _arguments()
    resources = list(_sample(arguments.resources))
    expressions = {one["resourceType"]: _expressions(one["resourceType"]) for one in resources}
    ours = {
        name: [paths.search(expression).for_type(name).typed for expression in found]
        for name, found in expressions.items()
    }
    own = _timed(resources, ours, rounds=5)
    observations = [one for one in resources if one["resourceType"] == "Observation"]
    alone = _timed(observations, ours, rounds=20)
    peer_resources = resources[: arguments.peer]
    theirs = {name: [_peer(expression) for expression in found] for name, found in expressions.items()}
    own_same = _timed(peer_resources, ours, rounds=3)
    peer = _timed(peer_resources, theirs, rounds=3)
    print(f"resources {len(resources)}, expressions for Observation {len(expressions['Observation'])}")
    print(f"xinglin     all types    {own * 1e6:10.1f} us a resource")
    print(f"xinglin     Observation  {alone * 1e6:10.1f} us a resource")
    print(f"xinglin     peer sample  {own_same * 1e6:10.1f} us a resource")
    print(f"fhirpathpy  peer sample  {peer * 1e6:10.1f} us a resource: {peer / own_same:.0f} times as long")
    print(f"fhirpathpy  refused {REFUSED['evaluations'] / 3:.0f} evaluations of the sample")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resources", type=int, default=4000)
    parser.add_argument("--peer", type=int, default=60)
    return parser.parse_args()


def _sample(count: int) -> Iterator[dict[str, Any]]:
    """Resources of all types in their natural mix, the same ones every time."""
    files = sorted((SHARED / "data" / "synthea").glob("*.json.gz"))
    chosen = random.Random(7)
    found: list[dict[str, Any]] = []
    for file in chosen.sample(files, min(8, len(files))):
        bundle = orjson.loads(gzip.decompress(file.read_bytes()))
        found += [entry["resource"] for entry in bundle["entry"]]
    yield from chosen.sample(found, min(count, len(found)))


def _expressions(type_name: str) -> list[str]:
    found = {
        one.expression
        for one in search_parameters()
        if one.expression and {type_name, "Resource", "DomainResource"} & set(one.bases)
    }
    return sorted(found)


def _peer(expression: str) -> Callable[[Any], Any]:
    """fhirpathpy knows no `resolve()`: where an expression asks for it, its share is left out."""
    import fhirpathpy
    from fhirpathpy.models import models

    plain = expression.replace(".where(resolve() is Patient)", "")
    compiled = fhirpathpy.compile(plain, models["r4"])

    def run(resource: Any) -> Any:
        try:
            return compiled(resource)
        except Exception:
            REFUSED["evaluations"] += 1
            return None

    return run


def _timed(resources: list[Any], compiled: dict[str, list[Callable[[Any], Any]]], rounds: int) -> float:
    """The best round's seconds per resource."""
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for resource in resources:
            for run in compiled[resource["resourceType"]]:
                run(resource)
        best = min(best, (time.perf_counter() - start) / len(resources))
    return best


if __name__ == "__main__":
    main()
