"""Weights learnt from records of which nobody has said who is who: expectation maximisation, by Splink on DuckDB.

How often levels are seen in different people (u) comes from random pairs; how often in one person (m) from pairs of
equal birth dates, for all but the birth date, and of equal names, for all but the name. Rare values are counted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from importlib.metadata import version as version_of
from math import log2
from typing import Any, Final

from xinglin.access.persons.columns import run
from xinglin.access.persons.comparisons import WEIGHED, Comparison
from xinglin.access.persons.weights import Weights
from xinglin.kernel import clock
from xinglin.kernel.errors import Unprocessable

FEWEST: Final = 1000  # records
RANDOM_PAIRS: Final = 1_000_000
SESSION_PAIRS: Final = 1_000_000
SEED: Final = 20260101
LEAST_M: Final = 1e-4  # a level at which one person's two records were never seen is not impossible
SHARES_KEPT: Final = 3000  # commonest values of a field
SEEN_ENOUGH: Final = 2  # records that a value's share is counted from; rarer ones all weigh alike
SESSIONS: Final = (("birth-date",), ("family", "given"))
_COLUMNS: Final = {"birth-date": "birth"}
RAREST: Final = 1e-5  # share below which a value weighs no more: a family shares its rare name
Progress = Callable[[str], None]


def train(connection: Any, version: str, on: str, *, right: str = "", progress: Progress = print) -> Weights:
    """Learn from the table `record`; with `right`, from pairs between the two. `on`: what the records are, in words."""
    tables = tuple(name for name in ("record", right) if name)
    counts = [int(run(connection, f"SELECT count(*) FROM {name}")[0][0]) for name in tables]  # noqa: S608
    if min(counts) < FEWEST:
        raise Unprocessable(f"{min(counts)} records are too few to learn from.", remedy=f"Train on {FEWEST} or more.")
    linker = _linker(connection, tables)
    progress("How often do different people agree?")
    linker.training.estimate_u_using_random_sampling(max_pairs=RANDOM_PAIRS, seed=SEED)
    matches: list[float] = []
    for fields in SESSIONS:
        progress(f"How do records of one {' and '.join(fields)} compare?")
        matches.append(_session(connection, linker, tables, fields))
    chances = {
        one.field: _chances(one, comparison)
        for one, comparison in zip(WEIGHED, linker._settings_obj.core_model_settings.comparisons, strict=True)
    }
    found = [_expected(connection, tables, chances, *of) for of in zip(SESSIONS, matches, strict=True)]
    pairs = counts[0] * counts[1] if right else counts[0] * (counts[0] - 1) / 2
    prior = max(sum(found) / len(found), 1.0) / pairs
    chances = {field: _cleaned(levels, prior) for field, levels in chances.items()}
    shares = {one.field: _shares(connection, tables, one) for one in WEIGHED if one.rarity}
    return Weights(
        version,
        {
            "how": "expectation maximisation, unsupervised",
            "tool": f"splink {version_of('splink')} on duckdb {version_of('duckdb')}",
            "on": on,
            "records": sum(counts),
            "when": clock.now().date().isoformat(),
        },
        log2(prior),
        chances,
        {name: values for name, (values, _) in shares.items()},
        {name: rarest for name, (_, rarest) in shares.items()},
    )


def _linker(connection: Any, tables: tuple[str, ...]) -> Any:
    from splink import Linker, SettingsCreator
    from splink.backends.duckdb import DuckDBAPI

    logging.getLogger("splink").setLevel(logging.ERROR)
    settings = SettingsCreator(
        link_type="link_only" if len(tables) > 1 else "dedupe_only",
        comparisons=[_comparison(one) for one in WEIGHED],
        blocking_rules_to_generate_predictions=[],
        max_iterations=100,
    )
    api = DuckDBAPI(connection)
    linker = Linker([api.register(name) for name in tables], settings, log_level="ERROR", validate_settings=False)
    logging.getLogger("splink").setLevel(logging.ERROR)
    return linker


def _comparison(comparison: Comparison) -> dict[str, Any]:
    levels = [
        {
            "sql_condition": "ELSE" if level is comparison.levels[-1] else _as_splink(level.sql),
            "label_for_charts": level.name,
            "is_null_level": level.name == "absent",
        }
        for level in comparison.levels
    ]
    return {"output_column_name": comparison.field.replace("-", "_"), "comparison_levels": levels}


def _as_splink(sql: str) -> str:
    """Splink writes `given_l` for our `l.given`."""
    return re.sub(r"\b([lr])\.(\w+)", r"\2_\1", sql)


def _session(connection: Any, linker: Any, tables: tuple[str, ...], fields: tuple[str, ...]) -> float:
    """One session of expectation maximisation; how many pairs of one person agree in these fields."""
    columns = [_COLUMNS.get(field, field) for field in fields]
    rule = " AND ".join(f"l.{column} = r.{column} AND l.{column} <> ''" for column in columns)
    pairs = f"SELECT count(*) FROM {tables[0]} l JOIN {tables[-1]} r ON {rule}"  # noqa: S608
    if len(tables) == 1:
        pairs += " AND l.unique_id < r.unique_id"
    count = int(run(connection, pairs)[0][0])
    if count == 0:
        raise Unprocessable(
            f"No two records agree in {' and '.join(fields)}.", remedy="Train on records that hold some people twice."
        )
    session = linker.training.estimate_parameters_using_expectation_maximisation(rule, max_pairs=SESSION_PAIRS)
    return count * float(session.core_model_settings.probability_two_random_records_match)


def _chances(comparison: Comparison, trained: Any) -> dict[str, tuple[float, float]]:
    """m and u of each level that was seen in either."""
    found = {}
    for level, settled in zip(comparison.levels, trained.comparison_levels, strict=True):
        learnt = settled.as_dict()
        m, u = learnt.get("m_probability"), learnt.get("u_probability")
        if level.name != "absent" and (m is not None or u is not None):
            found[level.name] = (max(m or 0.0, LEAST_M), max(u or 0.0, 1 / RANDOM_PAIRS))
    return found


def _cleaned(levels: dict[str, tuple[float, float]], prior: float) -> dict[str, tuple[float, float]]:
    """Among random pairs of a small set some are of one person: taken out of u."""
    return {name: (m, max(u - prior * m, 1 / RANDOM_PAIRS)) for name, (m, u) in levels.items()}


def _expected(
    connection: Any, tables: tuple[str, ...], chances: dict[str, Any], fields: tuple[str, ...], matches: float
) -> float:
    """How many pairs of one person there are in all, from how many agree in some fields."""
    share = 1.0
    for field in fields:
        comparison = next(one for one in WEIGHED if one.field == field)
        levels = comparison.rare_at or ("same",)
        share *= sum(chances[field].get(level, (0.0, 0.0))[0] for level in levels)
        for table in (tables[0], tables[-1]):
            column = _COLUMNS.get(field, field)
            share *= float(run(connection, f"SELECT avg(({column} <> '')::int) FROM {table}")[0][0])  # noqa: S608
    return matches / max(share, 0.01)


def _shares(connection: Any, tables: tuple[str, ...], comparison: Comparison) -> tuple[dict[str, float], float]:
    """The shares of a field's common values in either script, and the share that a rare one is taken to have."""
    columns = (comparison.field, f"han_{comparison.field}")
    records = " UNION ALL ".join(f"SELECT {column} AS v FROM {name}" for name in tables for column in columns)  # noqa: S608
    total = sum(int(run(connection, f"SELECT count(*) FROM {name}")[0][0]) for name in tables)  # noqa: S608
    rows = run(
        connection,
        f"SELECT v, count(*) AS n FROM ({records}) WHERE v <> '' GROUP BY v HAVING n > {SEEN_ENOUGH}"  # noqa: S608
        f" ORDER BY n DESC, v LIMIT {SHARES_KEPT}",
    )
    return {v: float(f"{n / total:.3g}") for v, n in rows}, max(SEEN_ENOUGH / total, RAREST)
