"""The beginnings of names are indexed for what was stored before they were: PostgreSQL computes what ingest does."""

from __future__ import annotations

from importlib.resources import files

import asyncpg

from xinglin.core.search.extract import extract
from xinglin.core.search.hashes import prefix_hash
from xinglin.core.search.parameters import NAMES, REGISTRY
from xinglin.core.store.keys import TYPE_NUMBERS, key_of

NAMED = [
    ("王小明", "王", ["小明"]),
    ("Zoë O'Brien-Łuczak von", "O'Brien-Łuczak", ["Zoë", "Ω"]),
    ("𠮷野家", "𠮷野", ["家"]),
]


async def test_the_migration_gives_the_rows_of_ingest(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    expected: set[tuple[int, int]] = set()
    try:
        for number, (whole, family, given) in enumerate(NAMED):
            for name in ("Patient", "Person", "Practitioner", "RelatedPerson"):
                human = {"text": whole, "family": family, "given": given}
                resource = {"resourceType": name, "id": f"n{number}", "name": [human]}
                rows, key = extract(resource), key_of(name, f"n{number}")
                head = (key, TYPE_NUMBERS[name], 1, rows.person, 0, 1, rows.date, rows.date_end, 1, 0, f"n{number}")
                await connection.execute(
                    "INSERT INTO resource (key, type, version, person, custodian, category, date, date_end, updated,"
                    " present, id, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '{}')",
                    *head,
                )
                await connection.executemany(
                    "INSERT INTO string (path, value, exact, key, person) VALUES ($1, $2, $3, $4, $5)",
                    [(*row, key, rows.person) for row in rows.strings],
                )
                paths = {path.hash: path for p in REGISTRY.of_type(name).values() for path in p.paths if path.prefixed}
                beginnings = {
                    prefix_hash(path, value[:end])
                    for path, value, _ in rows.strings
                    if path in paths
                    for end in range(1, 9)
                }
                assert beginnings <= {hashed for hashed, _ in rows.tokens}
                expected |= {(hashed, key) for hashed in beginnings}
        await connection.execute(files("xinglin.core.store").joinpath("migrations/0003_names.sql").read_text())
        found = await connection.fetch("SELECT hash, key FROM token")
        assert {tuple(row) for row in found} == expected
        assert len(found) == len(expected)
    finally:
        await connection.close()


def test_the_migration_names_every_path() -> None:
    text = files("xinglin.core.store").joinpath("migrations/0003_names.sql").read_text()
    for name in ("Patient", "Person", "Practitioner", "RelatedPerson"):
        prefixed = [path for p in REGISTRY.of_type(name).values() for path in p.paths if path.prefixed]
        assert prefixed
        assert {path.expression for path in prefixed} <= NAMES
        assert all(str(path.hash) in text for path in prefixed)
