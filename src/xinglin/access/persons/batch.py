"""Many records at once: DuckDB weighs every candidate pair, then pairs become partners or groups.

The same weights and rules as for one pair (matching.py), written as SQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from xinglin.access.persons.columns import column_of, levels_sql, run
from xinglin.access.persons.comparisons import COMPARISONS, WEIGHED, Comparison
from xinglin.access.persons.matching import Band, band_of, ruled, threshold
from xinglin.access.persons.weights import Weights


@dataclass(frozen=True, slots=True)
class Weighed:
    """A pair with its weight in bits; `band` after the rules, `rule` the one that decided."""

    a: str
    b: str
    weight: float
    band: Band
    rule: str


def weigh(connection: Any, weights: Weights, *, right: str = "record", least: float | None = None) -> int:
    """A table `weighed` (a, b, weight, level_...) of the pairs that weigh at least so many bits; how many."""
    least = threshold("review") if least is None else least
    _share_tables(connection, weights)
    rare = {one.field: one for one in WEIGHED if one.rarity}
    values = "".join(f", {one.rarity_sql} AS value_{name}" for name, one in rare.items())
    joins = "".join(f" LEFT JOIN share_{name} s_{name} ON s_{name}.v = value_{name}" for name in rare)
    levels = ", ".join(column_of(one.field) for one in COMPARISONS)
    weight = " + ".join([str(weights.prior), *(_bits_sql(weights, one) for one in WEIGHED)])
    # What fits no rule's "band" but weighs too little is gone here; an identifier in common always stays.
    run(
        connection,
        f"CREATE OR REPLACE TABLE weighed AS SELECT a, b, {weight} AS weight, {levels} FROM (SELECT a, b,"  # noqa: S608
        f" {levels_sql()}{values} FROM pair JOIN record l ON l.unique_id = a JOIN {right} r ON r.unique_id = b)"
        f"{joins} WHERE weight >= {least} OR level_identifier < 2",
    )
    return int(run(connection, "SELECT count(*) FROM weighed")[0][0])


def _share_tables(connection: Any, weights: Weights) -> None:
    for one in WEIGHED:
        if one.rarity:
            run(connection, f"CREATE OR REPLACE TABLE share_{one.field} (v VARCHAR PRIMARY KEY, share DOUBLE)")
            rows = list(weights.shares.get(one.field, {}).items())
            if rows:
                connection.executemany(f"INSERT INTO share_{one.field} VALUES (?, ?)", rows)  # noqa: S608


def _bits_sql(weights: Weights, comparison: Comparison) -> str:
    column = column_of(comparison.field)
    bits = weights.level_bits(comparison)
    levels = f"CASE {column} " + " ".join(f"WHEN {n} THEN {value!r}" for n, value in enumerate(bits)) + " END"
    rarest = weights.rarest.get(comparison.field)
    if not comparison.rarity or rarest is None:
        return levels
    cases = []
    for number, level in enumerate(comparison.levels):
        usual = weights.chances.get(comparison.field, {}).get(level.name, (1.0, 1.0))[1]
        if level.name in comparison.rare_at:
            share = f"greatest(coalesce(s_{comparison.field}.share, {rarest!r}), {rarest!r})"
            cases.append(f"WHEN {number} THEN log2({usual!r} / {share})")
    named = f"value_{comparison.field} <> ''"
    return f"{levels} + CASE WHEN {named} THEN CASE {column} {' '.join(cases)} ELSE 0 END ELSE 0 END"


def decided(connection: Any) -> Iterator[Weighed]:
    """Each weighed pair with its band after the rules, the heaviest first."""
    levels = ", ".join(column_of(one.field) for one in COMPARISONS)
    found = connection.execute(f"SELECT a, b, weight, {levels} FROM weighed ORDER BY weight DESC, a, b")  # noqa: S608
    known: dict[tuple[tuple[int, ...], Band], tuple[Band, str]] = {}
    while rows := found.fetchmany(50_000):
        for a, b, weight, *numbers in rows:
            key = (tuple(numbers), band_of(weight))
            if key not in known:
                names = tuple(one.levels[n].name for one, n in zip(COMPARISONS, numbers, strict=True))
                known[key] = ruled(names, key[1])
            yield Weighed(a, b, weight, *known[key])


def partners(pairs: Iterable[Weighed]) -> Iterator[Weighed]:
    """Of pairs between two lists without duplicates, heaviest first, those whose sides are both still free."""
    left: set[str] = set()
    right: set[str] = set()
    for one in pairs:
        if one.a not in left and one.b not in right:
            left.add(one.a)
            right.add(one.b)
            yield one


def groups(pairs: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Records that pairs join, directly or through others: the persons of more than one record."""
    root: dict[str, str] = {}

    def find(x: str) -> str:
        while root.setdefault(x, x) != x:
            root[x] = x = root[root[x]]
        return x

    for a, b in pairs:
        root[find(a)] = find(b)
    members: dict[str, list[str]] = {}
    for x in root:
        members.setdefault(find(x), []).append(x)
    return [sorted(group) for group in members.values()]
