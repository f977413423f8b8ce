"""How the time of a search grows with the record: p50 of one client, from the smallest county to the largest.

    make bench (500 to 2,000 people), or: python benchmarks/bench_growth.py --people 1000 4000 16000

Reach: less than 1.5 times from 1,000 to 16,000 people. A county of 16,000 takes some ten minutes to load:
XINGLIN_BENCH_HOME keeps it.
"""

from __future__ import annotations

import argparse
import asyncio

import bench_search
import driver

import serving

REACH = 1.5


def measured(people: int, seconds: float) -> tuple[int, dict[str, float]]:
    """How many resources there are, and the p50 of each query in milliseconds."""
    with serving.county(people) as settings:
        patients, total = asyncio.run(bench_search.people(settings.database_url, 300))
        bearer, port = serving.token(settings), serving.free_port()
        found = {}
        with serving.server(serving.ours(port, 1), settings, port):
            for name, (addresses, _) in bench_search.queries(patients).items():
                asks = [driver.request("GET", "/fhir" + address, bearer) for address in addresses]
                driver.run(port, asks, clients=2, seconds=1)
                found[name] = driver.run(port, asks, clients=1, seconds=seconds).p50
    return total, found


def main() -> None:
    words = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    words.add_argument("--people", type=int, nargs="+", default=[500, 2000])
    words.add_argument("--seconds", type=float, default=3)
    asked = words.parse_args()
    runs = [measured(people, asked.seconds) for people in asked.people]
    sizes = "".join(f"{people:>10,}" for people in asked.people)
    print(f"{'p50 in ms, one client, people':34}{sizes}    growth")
    print(f"{'resources':34}" + "".join(f"{total:>10,}" for total, _ in runs))
    for name in runs[0][1]:
        times = [found[name] for _, found in runs]
        growth = times[-1] / times[0]
        verdict = "within" if growth < REACH else "over"
        print(f"{name:34}" + "".join(f"{time:>10.2f}" for time in times) + f"  {growth:5.2f}x {verdict} {REACH}x")


if __name__ == "__main__":
    main()
