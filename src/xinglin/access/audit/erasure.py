"""A person's data taken out of the access log, without breaking its proofs.

Erasing a line empties its columns and destroys its salt: the leaf's hash stays in the tree, and without the salt nobody
can find out what it stood for by hashing guesses. What stays is what the institution must answer for and says nothing
of the person: when, by whose institution, what kind of act, with which outcome. One line of the log accounts for each
erasure by number and digest, so that emptying a line on the quiet is found (judge.py).

Lines stay for as long as the law wants them (data/log_retention.json; the right to erasure ends where a law asks to
keep: PIPL art. 47, GDPR art. 17(3)(b)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.audit import tree
from xinglin.access.audit.evidence import ERASE
from xinglin.access.audit.judge import account
from xinglin.access.audit.lines import Access, record
from xinglin.access.principal import Principal
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import Conflict, Invalid

FIND: Final = """
SELECT a.seq, l.leaf FROM audit a LEFT JOIN audit_leaf l USING (seq)
WHERE a.person = ANY($1::bigint[]) AND a.person <> 0 AND a.at < $2 AND a.erased IS NULL ORDER BY l.leaf
"""
EMPTY: Final = """
UPDATE audit SET person = 0, custodians = '{}', login = '', name = '', agent = '', client = '', behalf = '', basis = '',
    role = '', target = '', why = '', erased = $2 WHERE seq = ANY($1::bigint[])
"""
SHRED: Final = "UPDATE audit_leaf SET salt = NULL WHERE leaf = ANY($1::bigint[])"
ACCOUNT: Final = "INSERT INTO audit_erasure (leaf, by) SELECT *, $2 FROM unnest($1::bigint[])"


@dataclass(frozen=True, slots=True)
class Erased:
    """How many lines were emptied, and how many stay because the law wants them still."""

    lines: int
    kept: int


@cache
def retention() -> tuple[int, str]:
    """The longest retention rule: months, and the law that asks for it."""
    rules = orjson.loads(files("xinglin.access").joinpath("data/log_retention.json").read_bytes())["rules"]
    longest = max(rules, key=lambda rule: rule["months"])
    return int(longest["months"]), str(longest["law"])


def erasable_before(now: datetime) -> datetime:
    """Lines older than this need not be kept."""
    months, _ = retention()
    return now - timedelta(days=months * 31)


async def erase(
    database: Database, who: Principal, persons: Sequence[int], reason: str, *, whatever_age: bool = False
) -> Erased:
    """Empty the lines about a person: keys of all Patient resources that are theirs. One transaction.

    `whatever_age`: also lines that the law wants kept, where a court or an authority orders it.
    """
    if len(reason.strip()) < 5:
        raise Invalid("Say in a sentence who asked for it, and on what ground.", code="required", expression="reason")
    await tree.catch_up(database)
    now = clock.now()
    until = clock.micros(now if whatever_age else erasable_before(now))
    async with database.transaction() as connection:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", tree.GROWING)
        await connection.execute("SET LOCAL statement_timeout = 0")
        found = await connection.fetch(FIND, list(persons), until)
        if any(row["leaf"] is None for row in found):
            raise Conflict("Some lines have no place in the tree yet.", remedy="Try again in a minute.")
        if found:
            await _empty(connection, found, who, reason, clock.micros(now))
        kept = await connection.fetchval(
            "SELECT count(*) FROM audit WHERE person = ANY($1::bigint[]) AND person <> 0", list(persons)
        )
    return Erased(len(found), kept)


async def _empty(connection: Connection, found: Sequence[Any], who: Principal, reason: str, now: int) -> None:
    leaves = [row["leaf"] for row in found]
    why = f"{reason.strip()[:500]}; {account(leaves)}"
    await record(connection, [Access(who, ERASE, f"AuditEvent ({len(leaves)} lines)", why=why)])
    by = await connection.fetchval("SELECT currval(pg_get_serial_sequence('audit', 'seq'))")
    await connection.execute("SET LOCAL xinglin.erasing = 'yes'")
    await connection.execute(EMPTY, [row["seq"] for row in found], now)
    await connection.execute("SET LOCAL xinglin.erasing = 'no'")
    await connection.execute(SHRED, leaves)
    await connection.execute(ACCOUNT, leaves, by)
