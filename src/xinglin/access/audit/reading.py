"""Lines of the log for pages: newest first, about some persons or by one institution's people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from xinglin.access.principal import Purpose
from xinglin.kernel.database import Connection


@dataclass(frozen=True, slots=True)
class AccessEntry:
    """One line of an access list, as a page shows it: `at` in microseconds, `target` a reference or a type.

    custodians: keys of the Organizations that hold what was shown. disclosed: it left them. erased: its personal data
    was removed.
    """

    seq: int
    event: str
    at: int
    person: int
    institution: str
    login: str
    name: str
    role: str
    purpose: str
    interaction: str
    target: str
    outcome: int
    why: str
    agent: str = ""
    client: str = ""
    behalf: str = ""
    basis: str = ""
    custodians: tuple[int, ...] = ()
    disclosed: bool = False
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a reader of the log looks for: one account, one purpose, only what was refused, only emergencies, only what
    left the institution that holds it, a span of time.

    `since` and `until` in microseconds, `until` exclusive.
    """

    login: str = ""
    refused: bool = False
    emergency: bool = False
    since: int | None = None
    until: int | None = None
    purpose: str = ""
    disclosed: bool = False

    def conditions(self, arguments: list[object]) -> str:
        """AND ... of the statement; values go to the end of its arguments."""
        found = ["outcome <> 0"] if self.refused else []
        found += [f"purpose = '{Purpose.EMERGENCY}'"] if self.emergency else []
        found += ["disclosed"] if self.disclosed else []
        if self.login:  # also through an app: account~grant
            arguments.append(self.login)
            found.append(f"(login = ${len(arguments)} OR starts_with(login, ${len(arguments)} || '~'))")
        compared = (("purpose =", self.purpose), ("at >=", self.since), ("at <", self.until))
        for column, value in compared:
            if value not in ("", None):
                arguments.append(value)
                found.append(f"{column} ${len(arguments)}")
        return "".join(f" AND {one}" for one in found)


ANYTHING: Final = Wanted()

ENTRY: Final = (
    "seq, event::text AS event, at, person, institution, login, name, role, purpose, interaction, target, outcome, why,"
    " agent, client, behalf, basis, custodians, disclosed, erased IS NOT NULL AS erased"
)
"""Columns of an AccessEntry."""


def entry_of(row: Any) -> AccessEntry:
    return AccessEntry(**{**row, "custodians": tuple(row["custodians"])})


async def entries(
    connection: Connection,
    *,
    persons: Sequence[int] | None = None,
    institution: str | None = None,
    before: int | None = None,
    count: int = 50,
    wanted: Wanted = ANYTHING,
) -> list[AccessEntry]:
    """Lines, newest first: about these persons, or by this institution's people, or all."""
    arguments: list[object] = [count, before if before is not None else 2**62]
    condition = scoped(persons, institution, arguments) + wanted.conditions(arguments)
    sql = f"SELECT {ENTRY} FROM audit WHERE seq < $2 AND {condition} ORDER BY seq DESC LIMIT $1"  # noqa: S608
    return [entry_of(row) for row in await connection.fetch(sql, *arguments)]


def scoped(persons: Sequence[int] | None, institution: str | None, arguments: list[object]) -> str:
    """The condition that keeps to what the reader may see; its value goes to the end of the arguments."""
    if persons is not None:
        arguments.append(list(persons))
        return f"person = ANY(${len(arguments)}::bigint[]) AND person <> 0"
    if institution is not None:
        arguments.append(institution)
        return f"institution = ${len(arguments)}"
    return "true"
