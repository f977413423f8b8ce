"""Resources a second of the demo county, on one core: the dictionaries alone, and serialised as NDJSON.

    python benchmarks/bench_generate.py [--people N] [--write FILE]

`--write` also writes what was generated, for a load by other means ("-" is standard output).
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

from xinglin.demo import County, bundles


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1000, help="how many people (default: 1000)")
    parser.add_argument("--write", metavar="FILE", help="write NDJSON to a file, or - for standard output")
    arguments = parser.parse_args()
    county = County(people=arguments.people)
    if arguments.write:
        write(county, arguments.write)
        return
    resources, seconds = dictionaries(county)
    print(f"dictionaries  {resources:>9,} resources  {resources / seconds:>9,.0f} a second")
    size, seconds = serialised(county)
    print(f"NDJSON        {size:>9,} bytes      {resources / seconds:>9,.0f} a second")
    print(f"memory        {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>9,.0f} MiB at most")


def dictionaries(county: County) -> tuple[int, float]:
    start = time.process_time()
    resources = sum(len(bundle.resources) for bundle in bundles(county))
    return resources, time.process_time() - start


def serialised(county: County) -> tuple[int, float]:
    start = time.process_time()
    size = sum(len(bundle.ndjson()) for bundle in bundles(county))
    return size, time.process_time() - start


def write(county: County, name: str) -> None:
    with sys.stdout.buffer if name == "-" else Path(name).open("wb") as target:
        for bundle in bundles(county):
            target.write(bundle.ndjson())


if __name__ == "__main__":
    main()
