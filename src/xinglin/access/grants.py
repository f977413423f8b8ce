"""Grants: what the consents of a person say, as rows that every statement reads. Who decides is the most specific.

A grant covers a caller, a moment, a purpose and a resource. Of those that cover all four the greatest rank decides;
among equals the one that says no. `rank` is the one place where the order stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final

from xinglin.access.categories import CATEGORY_MASK
from xinglin.kernel.database import Connection

FOREVER: Final = 2**62
ALWAYS: Final = -(2**62)
ANY_CUSTODIAN: Final = 0
EVERYBODY: Final = 0
HIGH: Final = ~CATEGORY_MASK & 0x7FFF0000
DEEPEST: Final = 1023

ANYONE, INSTITUTION, ROLE, PERSON = range(4)
"""How closely a grant names who it is about: nobody in particular, an institution, a role there, a person."""
CATEGORY, TYPE, LABEL, CODE, RESOURCE = (1 << n for n in range(5))
"""How closely it names the data: flags, so that a sensitive laboratory result is closer than either alone."""


def rank(basis: bool, who: int, what: int, holder: bool, purpose: bool, depth: int) -> int:
    """Specificity, ordered as the tuple of the arguments is: first whether the law opens it (an emergency), then who
    is named, what data, whether its holder is named, whether a purpose is, and how deeply the rule is nested.

    Dates have no place in it: they say when a rule holds, not how much it means.
    """
    return basis << 20 | who << 17 | what << 12 | holder << 11 | purpose << 10 | min(depth, DEEPEST)


@dataclass(frozen=True, slots=True)
class Grant:
    """`grantee` may see (`permit`) or may not see, for the purposes, what `custodian` (0: anyone) holds of the
    categories, between the times.

    grantee: key of an Organization, Practitioner or PractitionerRole; 0 everybody. role, acting: only in this role,
    only for this institution. category: categories covered (low half), and the sensitive labels that what is covered
    may bear (high). bearing: bits that it must bear. types, resources: only these; empty: all. home: a denial that
    binds the institution that holds the data as well.
    """

    grantee: int
    custodian: int
    category: int
    purposes: tuple[str, ...]
    starts: int = ALWAYS
    ends: int = FOREVER
    permit: bool = True
    rank: int = 0
    role: str = ""
    acting: int = 0
    bearing: int = 0
    types: tuple[int, ...] = ()
    resources: tuple[int, ...] = ()
    home: bool = False


_COLUMNS: Final = tuple(field.name for field in fields(Grant))
_INSERT: Final = (
    f"INSERT INTO access_grant (person, source, {', '.join(_COLUMNS)})"  # noqa: S608
    f" VALUES ($1, $2, {', '.join(f'${n}' for n in range(3, len(_COLUMNS) + 3))})"
)


async def store_grants(connection: Connection, source: int, people: Sequence[int], grants: Sequence[Grant]) -> None:
    """Replace the grants of one source, for each of the Patient resources that are the person."""
    await connection.execute("DELETE FROM access_grant WHERE source = $1", source)
    # what is nobody's (person 0) is no person's to open: a Consent without a patient opens nothing
    rows = [(person, source, *_values(grant)) for person in people if person for grant in grants]
    if rows:
        await connection.executemany(_INSERT, rows)


def _values(grant: Grant) -> list[object]:
    values = [getattr(grant, name) for name in _COLUMNS]
    return [(list(value) or None) if isinstance(value, tuple) else value for value in values]


async def linked_people(connection: Connection, person: int) -> list[int]:
    """Keys of all Patient resources that are this person's, by the links of access.persons; at least the one given."""
    rows = await connection.fetch(
        "SELECT other.patient FROM person_link mine JOIN person_link other USING (person) WHERE mine.patient = $1",
        person,
    )
    return sorted({person, *(row["patient"] for row in rows)})
