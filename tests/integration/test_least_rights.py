"""The node under the rights that docs/how-to/install.md gives it: rows, and nothing else. The SQL is read there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from xinglin.access.audit import heads, tree
from xinglin.access.house import House
from xinglin.access.identity import Doorkeeper, accounts, sign_in
from xinglin.access.persons.linking import catch_up
from xinglin.access.principal import NODE, Role
from xinglin.access.records import Records, Write
from xinglin.cli.migrate import bring_up_to_date
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database

INSTALL = Path(__file__).parents[2] / "docs/how-to/install.md"
FORBIDDEN = (
    "CREATE TABLE mine (x int)",
    "CREATE TEMP TABLE mine AS SELECT * FROM account; ALTER TABLE account ADD mine int",
    "DROP TABLE audit",
    "TRUNCATE audit",
    "ALTER TABLE audit DISABLE TRIGGER ALL",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "COPY account TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
    "CREATE ROLE mine",
    "SET ROLE owner_of_test",
    "INSERT INTO migration (name, checksum) VALUES ('x', 'y'); DROP TABLE migration",
)


async def test_the_node_runs_under_rights_to_rows_alone(postgres: str, quick: None) -> None:
    name, owner, runs = (f"{part}_{uuid4().hex[:12]}" for part in ("rights", "owner", "node"))
    given = re.search(r"```sql\n(.*?)```", INSTALL.read_text("utf-8"), re.DOTALL)
    assert given
    sql = re.sub(r"\bxinglin_owner\b", owner, given[1])
    sql = re.sub(r"\bxinglin\b", runs, sql)
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE ROLE {owner} LOGIN PASSWORD 'x'; CREATE ROLE owner_of_test")
    await admin.execute(f"CREATE DATABASE {name} OWNER {owner} ENCODING 'UTF8' TEMPLATE template0")
    inside = await asyncpg.connect(with_database(postgres, name))
    await inside.execute(sql)
    try:
        assert len(await bring_up_to_date(_as(postgres, owner, name))) > 10
        url = _as(postgres, runs, name)
        assert await bring_up_to_date(url) == [], "all is there, and looking does no harm"
        await _a_day(url)
        await _refused(url)
    finally:
        await inside.close()
        await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await admin.execute(f"DROP ROLE {owner}; DROP ROLE {runs}; DROP ROLE owner_of_test")
        await admin.close()


def _as(postgres: str, role: str, database: str) -> str:
    parts = urlsplit(with_database(postgres, database))
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:...@{host}"))


async def _a_day(url: str) -> None:
    """What a node does: accounts, sessions, records, the log and its tree, links, sweeping."""
    house = await House.open(Settings(database_url=url), url, pool_size=4)
    try:
        patient: dict[str, Any] = {"resourceType": "Patient", "id": "p", "name": [{"text": "王芳"}]}
        await Records(house, NODE).write([Write("PUT", "Patient", "p", patient, keep_id=True)], custodian="qn")
        await accounts.create(house.database, "li", "four words of ours", Role.CLERK, institution="qn")
        await sign_in(house.database, "li", "four words of ours", "10.0.0.1")
        found = await Records(house, NODE).search("Patient", "name=王芳")
        assert [stored.id for stored in found.matches] == ["p"]
        await Records(house, NODE).write([Write("DELETE", "Patient", "p")])
        while await catch_up(house):
            pass
        await tree.catch_up(house.database)
        await heads.sign(house.database, house.settings, every=0)
        await Doorkeeper(house.database).sweep()
    finally:
        await house.close()


async def _refused(url: str) -> None:
    connection = await asyncpg.connect(url)
    for statement in FORBIDDEN:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidParameterValueError)):
            async with connection.transaction():
                await connection.execute(statement)
    await connection.close()
