"""The lines of the log: what an access leaves behind, how it is stored, and the bytes that a leaf hashes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any, Final, Protocol, TypedDict

import orjson
from asyncpg.pgproto.pgproto import UUID

from xinglin.access.principal import Principal
from xinglin.core.store.keys import cached_hash64
from xinglin.kernel import clock
from xinglin.kernel.database import Connection

SUCCESS: Final = 0
REFUSED: Final = 4
FAILED: Final = 8
ACTIONS: Final = {
    "create": "C",
    "read": "R",
    "vread": "R",
    "history": "R",
    "export": "R",
    "import": "C",
    "search": "E",
    "update": "U",
    "delete": "D",
}

COLUMNS: Final = (
    "event",
    "at",
    "person",
    "custodians",
    "disclosed",
    "institution",
    "login",
    "name",
    "agent",
    "client",
    "behalf",
    "basis",
    "role",
    "purpose",
    "action",
    "interaction",
    "target",
    "outcome",
    "why",
)
"""Columns of a line in the order of `Access.lines` and of the type `audit_line`, as an array of which lines are sent:
one argument for each column costs more than all that stands in them."""
_AS_STORED: Final = {"action": 'action::"char"'}
INSERT: Final = (
    f"INSERT INTO audit ({', '.join(COLUMNS)})"  # noqa: S608
    f" SELECT {', '.join(_AS_STORED.get(name, name) for name in COLUMNS)} FROM unnest($1::audit_line[])"
)


@dataclass(frozen=True, slots=True)
class Access:
    """One access: who, what, whose.

    persons: keys of Patients whose data it touched. target: names no values.
    custodians: for each person, or for the one line of nobody's data, keys of the Organizations that hold what it
    touched; empty where that is not known.
    """

    principal: Principal
    interaction: str
    target: str
    persons: tuple[int, ...] = ()
    outcome: int = SUCCESS
    why: str = ""
    custodians: tuple[tuple[int, ...], ...] = ()

    def lines(self) -> list[tuple[Any, ...]]:
        """Rows of the audit table; an access that touched nobody's data in particular is one line with person 0."""
        event, at, done = _event(), clock.micros(clock.now()), self.interaction
        rest = (*_asker(self.principal), ACTIONS.get(done, "E"), done, self.target, self.outcome, self.why)
        persons = self.persons or (0,)
        held = self.custodians or ((),) * len(persons)
        return [
            (event, at, person, keys, self._disclosed(person, keys), *rest)
            for person, keys in zip(persons, held, strict=True)
        ]

    def _disclosed(self, person: int, custodians: tuple[int, ...]) -> bool:
        """Whether somebody's data left the institution that holds it: exported, or shown to another institution's."""
        if not person or self.outcome:
            return False
        own = self.principal.institution
        if self.interaction == "export":
            return True
        return bool(own and custodians) and cached_hash64(f"Organization/{own}") not in custodians


_chance: Final = Random(os.urandom(32))  # noqa: S311  a number for an access need not be hard to guess


_VERSION: Final = 0xF << 76 | 0x3 << 62
_RANDOM: Final = 0x4 << 76 | 0x2 << 62
"""RFC 9562, version 4."""


def _event() -> UUID:
    """A number that lines of one access share, without a system call for each."""
    bits = _chance.getrandbits(128) & ~_VERSION | _RANDOM
    return UUID(bits.to_bytes(16, "big"))


@lru_cache(maxsize=1024)
def _asker(who: Principal) -> tuple[str, ...]:
    """The columns of a line that say who asked, from `institution` to `purpose`."""
    behalf = f"Patient/{who.on_behalf}" if who.on_behalf else ""
    acting = (who.institution or "", who.login, who.name, agent(who), who.client, behalf)
    return (*acting, who.basis, who.role.value, who.purpose.value)


def agent(who: Principal) -> str:
    """The resource that a principal is, as a reference; empty for programs."""
    if who.practitioner:
        return f"Practitioner/{who.practitioner}"
    return f"Patient/{who.patients[0]}" if who.patients and not who.on_behalf else ""


class Shown(TypedDict, total=False):
    """Arguments of `Access`."""

    persons: tuple[int, ...]
    custodians: tuple[tuple[int, ...], ...]


class Held(Protocol):
    """A version, or a change: whose it is, and which institution holds it."""

    @property
    def person(self) -> int: ...
    @property
    def custodian(self) -> int: ...


def shown(versions: Sequence[Held]) -> Shown:
    """`persons` and `custodians` of an Access that touched these versions."""
    if len(versions) == 1:
        [only] = versions
        return {"persons": (only.person,), "custodians": ((only.custodian,) if only.custodian else (),)}
    if not versions:
        return {}
    held: dict[int, set[int]] = {}
    for version in versions:
        held.setdefault(version.person, set()).add(version.custodian)
    if len(held) > 1:
        held.pop(0, None)  # nobody's data beside somebody's
    persons = sorted(held)
    return {
        "persons": tuple(persons),
        "custodians": tuple(tuple(sorted(held[person] - {0})) for person in persons),
    }


async def record(connection: Connection, accesses: Sequence[Access]) -> None:
    """Write the lines in the transaction that `connection` is in."""
    lines = [line for access in accesses for line in access.lines()]
    await connection.execute(INSERT, lines)


HASHED: Final = ("seq", *COLUMNS)
"""Columns of a line that its leaf hashes; those without a value are left out, so that new ones may come."""


def canonical(line: Mapping[str, Any]) -> bytes:
    """The bytes of a line that a leaf hashes: JSON, keys in order, no spaces, UTF-8 (RFC 8785 for what stands here).

    `line`: columns by name; 64-bit keys as texts, since JSON's readers round them. Empty values are left out.
    """
    return orjson.dumps({name: value for name, value in line.items() if value not in ("", None, [])}, option=_SORTED)


_SORTED: Final = orjson.OPT_SORT_KEYS


def content(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of the audit table as the line that is hashed and exported."""
    line = {name: row[name] for name in HASHED}
    action = line["action"]
    return {
        **line,
        "disclosed": line["disclosed"] or "",
        "event": str(line["event"]),
        "person": str(line["person"]) if line["person"] else "",
        "custodians": [str(key) for key in line["custodians"] or ()],
        "action": action.decode() if isinstance(action, bytes) else action,
    }
