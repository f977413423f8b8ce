"""Records as DuckDB sees them: the columns of Traits in a table, and the pairs that blocking brings together.

DuckDB and Splink come with the extra `matching`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from os import getpid
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any, Final

import orjson

from xinglin.access.persons.blocking import MOST_SHARING, blocks_of
from xinglin.access.persons.comparisons import COMPARISONS
from xinglin.access.persons.traits import Traits
from xinglin.kernel.errors import Unprocessable

TYPES: Final = {
    "unique_id": "VARCHAR",
    "han_family": "VARCHAR",
    "han_given": "VARCHAR",
    "family": "VARCHAR",
    "given": "VARCHAR",
    "middle": "VARCHAR",
    "shape": "VARCHAR",
    "sound": "VARCHAR",
    "tone": "VARCHAR",
    "borne": "BOOLEAN",
    "suffix": "VARCHAR",
    "spelt": "VARCHAR[]",
    "nicknames": "VARCHAR[]",
    "newborn": "BOOLEAN",
    "birth": "VARCHAR",
    "sex": "VARCHAR",
    "strong": "VARCHAR[]",
    "kinds": "VARCHAR[]",
    "number": "VARCHAR",
    "phones": "VARCHAR[]",
    "house": "VARCHAR",
    "street": "VARCHAR",
    "line": "VARCHAR",
    "city": "VARCHAR",
    "postcode": "VARCHAR",
    "twin": "INTEGER",
    "blocks": "BIGINT[]",
}


def connect(memory: str = "2GiB", threads: int = 2) -> Any:
    """A DuckDB in memory that beyond `memory` spills to the folder for temporary files, not to where one stands."""
    try:
        import duckdb
    except ImportError as error:
        raise Unprocessable(
            "Training and batches need DuckDB and Splink.", remedy="Install them: pip install 'xinglin[matching]'."
        ) from error
    connection = duckdb.connect()
    folder = str(Path(gettempdir()) / f"xinglin-persons-{getpid()}").replace("'", "''")
    run(
        connection,
        f"SET memory_limit = '{memory}'; SET threads = {threads}; SET preserve_insertion_order = false;"
        f" SET temp_directory = '{folder}'",
    )
    return connection


def run(connection: Any, statement: str) -> list[tuple[Any, ...]]:
    """All rows of a statement."""
    rows: list[tuple[Any, ...]] = connection.execute(statement).fetchall()
    return rows


def load(connection: Any, records: Iterable[tuple[str, Traits]], table: str = "record", *, wide: bool = False) -> int:
    """A table of the records, by their ids; how many. wide: with more blocking keys, for up to 100,000 records."""
    count = 0
    with loading(connection, table, wide=wide) as add:
        for id, traits in records:
            add(id, traits)
            count += 1
    return count


@contextmanager
def loading(connection: Any, table: str = "record", *, wide: bool = False) -> Iterator[Callable[[str, Traits], None]]:
    """Takes one record after another, in bounded memory; at the end they are a table."""
    with TemporaryDirectory() as folder:
        lines = Path(folder) / "records.ndjson"
        with lines.open("wb") as file:

            def add(id: str, traits: Traits) -> None:
                file.write(orjson.dumps(row_of(id, traits, wide)) + b"\n")

            yield add
        columns = ", ".join(f"{name}: '{type}'" for name, type in TYPES.items())
        source = f"read_json('{lines}', format = 'newline_delimited', columns = {{{columns}}})"
        run(connection, f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM {source}")  # noqa: S608


def row_of(id: str, traits: Traits, wide: bool = False) -> dict[str, Any]:
    row = {name: getattr(traits, name, None) for name in TYPES}
    lists = {name: sorted(value) for name, value in row.items() if isinstance(value, frozenset)}
    return {**row, **lists, "unique_id": id, "blocks": list(blocks_of(traits, wide=wide))}


def pair_up(connection: Any, most: int = MOST_SHARING, *, left: str = "record", right: str = "") -> int:
    """A table `pair` (a, b) of those that share a key, of one table or between two; how many."""
    run(connection, f"CREATE OR REPLACE TEMP TABLE l_key AS SELECT unique_id id, unnest(blocks) k FROM {left}")  # noqa: S608
    source, among = ("l_key", "x.id < y.id") if not right else ("r_key", "true")
    if right:
        run(connection, f"CREATE OR REPLACE TEMP TABLE r_key AS SELECT unique_id id, unnest(blocks) k FROM {right}")  # noqa: S608
    everybody = "l_key" if not right else "(FROM l_key UNION ALL FROM r_key)"
    run(
        connection,
        f"CREATE OR REPLACE TEMP TABLE shared AS SELECT k FROM {everybody}"  # noqa: S608
        f" GROUP BY k HAVING count(*) BETWEEN 2 AND {most};"
        " CREATE OR REPLACE TABLE pair AS SELECT DISTINCT x.id a, y.id b FROM shared"
        f" JOIN l_key x USING (k) JOIN {source} y USING (k) WHERE {among}",
    )
    return int(run(connection, "SELECT count(*) FROM pair")[0][0])


def levels_sql() -> str:
    """The level of each field of two records `l` and `r`, in columns named after it."""
    return ", ".join(f"({one.level_sql()}) AS {column_of(one.field)}" for one in COMPARISONS)


def column_of(field: str) -> str:
    return "level_" + field.replace("-", "_")
