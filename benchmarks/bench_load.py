"""How fast `xinglin load` stores a county: read, checked, indexed by what the pages search, and on disk.

    make bench, or: python benchmarks/bench_load.py [--people N] [--workers W]

Everything runs on this machine: database, workers and the reader. Reach: 1,500 resources/s on 2 cores.
The people are generated into files first; that is not measured.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import orjson

from xinglin.demo import County, bundles

XINGLIN = Path(sys.executable).parent / "xinglin"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        size = _write(Path(folder) / "county.ndjson", chosen.people)
        print(f"{'form':8} {'resources':>10} {'MB':>6} {'seconds':>8} {'resources/s':>12}")
        for form in ("ndjson", "bundles"):
            report = _load(Path(folder), form, chosen.workers)
            rate = report["resources"] / report["seconds"]
            print(f"{form:8} {report['resources']:>10,} {size:>6.0f} {report['seconds']:>8.1f} {rate:>12,.0f}")


def _write(lines: Path, people: int) -> float:
    """The same county as lines and as bundles; its size in MB as lines."""
    (lines.parent / "bundles").mkdir()
    with lines.open("wb") as out:
        for number, bundle in enumerate(bundles(County(people=people))):
            out.write(bundle.ndjson())
            (lines.parent / "bundles" / f"{number:06}.json").write_bytes(orjson.dumps(bundle.transaction()))
    return lines.stat().st_size / 1e6


def _load(folder: Path, form: str, workers: int) -> dict[str, float]:
    path = folder / "county.ndjson" if form == "ndjson" else folder / "bundles"
    words = ["load", str(path), "--json", "--workers", str(workers), "--home", str(folder / f"home-{form}")]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("XINGLIN_")}
    done = subprocess.run([XINGLIN, *words], capture_output=True, check=True, env=environment)
    report: dict[str, float] = json.loads(done.stdout)
    return report


if __name__ == "__main__":
    main()
