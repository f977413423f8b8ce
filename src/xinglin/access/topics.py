"""Topics: codes that a Consent speaks of, as bits of `resource.category`, so that a statement needs no terminology.

A ValueSet of this node (or a single code) becomes a topic when the first Consent names it. From then on each version
that is written bears the bits of the topics whose codes stand anywhere in it; what the people of the Consent have
already, superseded versions too, is marked in the transaction that stores the Consent. A lock keeps writers from
writing by an older table meanwhile.

There are as many topics as bits (ten); one that no consent in force rests on makes room for the next. Its bit stays on
what bore it, which harms nobody: no grant asks for it, and whoever makes one marks the person's resources anew.

A ValueSet that is not stored here, or whose codes cannot be listed (filters, whole code systems), makes no topic; then
the permit that names it opens nothing, and the denial closes all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from xinglin.access.categories import classify
from xinglin.access.provisions import TOPIC_BITS, topic_names
from xinglin.core.schema.decode import parse
from xinglin.core.search.execute import search
from xinglin.core.search.parse import parse as parse_query
from xinglin.core.store.visibility import UNRESTRICTED
from xinglin.kernel import clock
from xinglin.kernel.database import Connection

LOCK: Final = 80001
MOST_CODES: Final = 5000
DEEPEST: Final = 5  # value sets within value sets


@dataclass(frozen=True, slots=True)
class Topics:
    """What the table says: bit by code (system|code)."""

    number: int
    bits: Mapping[str, int]

    def of(self, resource: Mapping[str, Any]) -> int:
        """Bits of the topics whose codes stand in the resource."""
        if not self.bits:
            return 0
        found = 0
        for coding in _codings(resource):
            found |= self.bits.get(coding, 0)
        return found


NONE: Final = Topics(-1, {})
_known = NONE


async def hold_topics(connection: Connection) -> Topics:
    """The topics, which do not change until this transaction ends."""
    global _known
    number = await connection.fetchval("SELECT consent_topics_held()")
    if _known.number != number:
        _known = await _read(connection, number)
    return _known


async def _read(connection: Connection, number: int) -> Topics:
    bits: dict[str, int] = {}
    for row in await connection.fetch("SELECT bit, codes FROM consent_topic"):
        for code in row["codes"]:
            bits[code] = bits.get(code, 0) | row["bit"]
    return Topics(number, bits)


async def keep_topics(connection: Connection, consent: Mapping[str, Any], people: Sequence[int]) -> dict[str, int]:
    """The bit of each name that the Consent speaks of, with the people's resources marked; names without are left."""
    names = sorted(set(_named(consent.get("provision", {}))))
    if not names:
        return {}
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    rows = await connection.fetch("SELECT name, bit FROM consent_topic")
    known = {row["name"]: row["bit"] for row in rows}
    for name in names:
        if name not in known:
            codes = await _codes(connection, name)
            bit = await _free_bit(connection, known, names) if codes else None
            if bit and codes:
                await connection.execute("INSERT INTO consent_topic VALUES ($1, $2, $3)", name, bit, codes)
                known[name] = bit
    await _changed(connection, people)
    return {name: known[name] for name in names if name in known}


async def _free_bit(connection: Connection, known: dict[str, int], wanted: Sequence[str]) -> int | None:
    """A bit that is nobody's; else that of a topic on which nothing rests any longer, which is forgotten."""
    free = next((bit for bit in TOPIC_BITS if bit not in known.values()), None)
    if free is not None:
        return free
    row = await connection.fetchrow(
        "DELETE FROM consent_topic WHERE name = (SELECT t.name FROM consent_topic t WHERE t.name <> ALL($1::text[])"
        " AND NOT EXISTS (SELECT 1 FROM access_grant g WHERE g.bearing & t.bit <> 0 AND g.ends > $2)"
        " ORDER BY t.name LIMIT 1) RETURNING name, bit",
        *(list(wanted), clock.micros(clock.now())),
    )
    if row is None:
        return None
    del known[row["name"]]
    return int(row["bit"])


async def value_set_changed(connection: Connection, value_set: Mapping[str, Any]) -> None:
    """Mark anew what consents by this ValueSet are about, where there are any."""
    name = str(value_set.get("url", ""))
    await connection.execute("SELECT pg_advisory_xact_lock_shared($1)", LOCK)
    bit = await connection.fetchval("SELECT bit FROM consent_topic WHERE name = $1", name)
    if bit is None:
        return
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
    codes = await _codes(connection, name)
    await connection.execute("UPDATE consent_topic SET codes = $2 WHERE name = $1", name, codes or [])
    people = await connection.fetch("SELECT DISTINCT person FROM access_grant WHERE bearing & $1 <> 0", bit)
    await _changed(connection, [row["person"] for row in people])


async def _changed(connection: Connection, people: Sequence[int]) -> None:
    number = await connection.fetchval("SELECT nextval('consent_topic_change')")
    await _mark(connection, await _read(connection, number), people)


async def _mark(connection: Connection, topics: Topics, people: Sequence[int]) -> None:
    for table in ("resource", "history"):
        rows = await connection.fetch(
            f"SELECT key, version, category, body FROM {table}"  # noqa: S608
            " WHERE person = ANY($1::bigint[]) AND length(body) > 0",
            list(people),
        )
        changed = []
        for row in rows:
            body = parse(row["body"])
            category = classify(body) | topics.of(body)
            if category != row["category"]:
                changed.append((row["key"], row["version"], category))
        await connection.executemany(
            f"UPDATE {table} SET category = $3 WHERE key = $1 AND version = $2",  # noqa: S608
            changed,
        )


def _named(provision: Mapping[str, Any]) -> Iterator[str]:
    yield from topic_names(provision)
    for nested in provision.get("provision", ()):
        yield from _named(nested)


def _codings(node: Any) -> Iterator[str]:
    """system|code of every coding in a resource."""
    if isinstance(node, dict):
        if "code" in node and isinstance(node["code"], str):
            yield f"{node.get('system', '')}|{node['code']}"
        for value in node.values():
            if isinstance(value, dict | list):
                yield from _codings(value)
    elif isinstance(node, list):
        for item in node:
            yield from _codings(item)


async def _codes(connection: Connection, name: str, depth: int = 0) -> list[str] | None:
    """system|code of a ValueSet, or the code itself; None where they cannot be listed."""
    if "|" in name:
        return [name]
    now = clock.micros(clock.now())
    found = await search(connection, parse_query(f"url={quote(name, safe='')}", "ValueSet"), UNRESTRICTED, now=now)
    value_set = next((parse(stored.body) for stored in found.matches), None)
    if value_set is None or depth > DEEPEST:
        return None
    codes = await _listed(connection, value_set, depth)
    return sorted(codes) if codes and len(codes) <= MOST_CODES else None


async def _listed(connection: Connection, value_set: Mapping[str, Any], depth: int) -> set[str] | None:
    compose = value_set.get("compose")
    if compose is None:
        return {
            f"{one.get('system', '')}|{one['code']}"
            for one in value_set.get("expansion", {}).get("contains", ())
            if "code" in one
        }
    included: set[str] = set()
    for part in compose.get("include", ()):
        codes = await _part(connection, part, depth)
        if codes is None:
            return None
        included |= codes
    for part in compose.get("exclude", ()):
        included -= await _part(connection, part, depth) or set()
    return included


async def _part(connection: Connection, part: Mapping[str, Any], depth: int) -> set[str] | None:
    """Codes of an include: those it lists, and all of the value sets it names."""
    if "filter" in part or not (part.get("concept") or part.get("valueSet")):
        return None
    codes = {f"{part.get('system', '')}|{concept['code']}" for concept in part.get("concept", ())}
    for url in part.get("valueSet", ()):
        inner = await _codes(connection, str(url).partition("|")[0], depth + 1)
        if inner is None:
            return None
        codes = codes & set(inner) if codes else set(inner)
    return codes
