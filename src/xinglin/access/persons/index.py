"""Keeps what people are found and matched by in step with their Patients, in the transaction that writes these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from xinglin.access.persons.blocking import blocks_of
from xinglin.access.persons.terms import Kind, terms_of
from xinglin.access.persons.traits import Traits
from xinglin.core.store.keys import hash64
from xinglin.kernel.database import Connection

FORGIVEN = frozenset({Kind.SPELLING, Kind.PART})
SHORTEST_FORGIVEN = 4  # letters; in shorter words a typo would match everybody

_TERMS = """
INSERT INTO person_term (kind, term, patient)
SELECT * FROM unnest($1::smallint[], $2::text[], $3::bigint[])
"""
_BLOCKS = "INSERT INTO person_block (block, patient) SELECT * FROM unnest($1::bigint[], $2::bigint[])"
_NEW_SPELLINGS = """
SELECT DISTINCT kind, term FROM unnest($1::smallint[], $2::text[], $3::bigint[]) AS n(kind, term, whole)
 WHERE NOT EXISTS (SELECT 1 FROM person_spelling s WHERE s.variant = n.whole AND s.kind = n.kind AND s.term = n.term)
"""
_SPELLINGS = """
INSERT INTO person_spelling (variant, kind, term)
SELECT * FROM unnest($1::bigint[], $2::smallint[], $3::text[])
"""


async def index_patients(connection: Connection, patients: Sequence[tuple[int, int, dict[str, Any] | None]]) -> None:
    """Make the terms and blocking keys of some Patients those of their new versions.

    patients: (key, key of the custodian, resource or None when it is deleted), each key once.
    """
    keys = [key for key, _, _ in patients]
    await connection.execute("DELETE FROM person_term WHERE patient = ANY($1::bigint[])", keys)
    await connection.execute("DELETE FROM person_block WHERE patient = ANY($1::bigint[])", keys)
    blocks = [
        (block, key)
        for key, _, resource in patients
        if resource is not None
        for block in blocks_of(Traits.of(resource))
    ]
    if blocks:
        await connection.execute(_BLOCKS, *map(list, zip(*sorted(blocks), strict=True)))
    rows = sorted(
        (int(kind), term, key)
        for key, _, resource in patients
        if resource is not None
        for kind, term in terms_of(resource)
    )
    if not rows:
        return
    await connection.execute(_TERMS, *map(list, zip(*rows, strict=True)))
    await _remember_spellings(connection, {(kind, term) for kind, term, _ in rows})


def variants(word: str) -> set[str]:
    """The word, and the word with one letter left out: two words within one typo of each other share one of these."""
    return {word, *(word[:place] + word[place + 1 :] for place in range(len(word)))}


async def _remember_spellings(connection: Connection, terms: Iterable[tuple[int, str]]) -> None:
    words = sorted((k, t) for k, t in terms if k in FORGIVEN and t.isascii() and len(t) >= SHORTEST_FORGIVEN)
    if not words:
        return
    kinds, texts = map(list, zip(*words, strict=True))
    new = await connection.fetch(_NEW_SPELLINGS, kinds, texts, [hash64(text) for text in texts])
    rows = [(hash64(variant), row["kind"], row["term"]) for row in new for variant in sorted(variants(row["term"]))]
    if rows:
        await connection.execute(_SPELLINGS, *map(list, zip(*rows, strict=True)))
