"""The access log as people read it: many lines of one visit to a record become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from xinglin.access.audit import SUCCESS, AccessEntry
from xinglin.access.principal import Role
from xinglin.kernel import clock
from xinglin.ui.i18n import _
from xinglin.ui.parts import AuditLine
from xinglin.web.directory import Directory
from xinglin.web.shells import ROLES
from xinglin.web.wording import emergency_reason, interaction, kind_of_target, listed, purpose

TOGETHER: Final = 10 * 60 * 1_000_000
"""Accesses of one caller this close together, in microseconds, are one visit to the record."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Accesses of one caller with one outcome, newest first."""

    entries: tuple[AccessEntry, ...]

    @property
    def newest(self) -> AccessEntry:
        return self.entries[0]


def visits(entries: Iterable[AccessEntry]) -> list[Visit]:
    """Entries, newest first, gathered into visits; an emergency stands by itself."""
    open_visits: dict[tuple[object, ...], list[AccessEntry]] = {}
    found: list[list[AccessEntry]] = []
    for entry in entries:
        group = (entry.login, entry.purpose, entry.outcome, entry.interaction == "break-glass")
        current = open_visits.get(group)
        if current is None or current[-1].at - entry.at > TOGETHER:
            current = open_visits[group] = []
            found.append(current)
        current.append(entry)
    return [Visit(tuple(group)) for group in found]


def lines(found: Sequence[Visit], directory: Directory) -> list[AuditLine]:
    """What the audit component draws."""
    return [_line(visit, directory) for visit in found]


def _line(visit: Visit, directory: Directory) -> AuditLine:
    newest = visit.newest
    emergency = newest.interaction == "break-glass"
    done = listed(dict.fromkeys(interaction(entry.interaction) for entry in visit.entries))
    return AuditLine(
        when=clock.instant(newest.at),
        who=newest.name,
        action=done,
        role=_role(newest),
        institution=directory.name(newest.institution),
        what="" if emergency else listed(dict.fromkeys(filter(None, map(_kind, visit.entries)))),
        why=emergency_reason(newest.why) if emergency else purpose(newest.purpose),
        allowed=newest.outcome == SUCCESS,
        emergency=emergency or newest.purpose == "BTG",
    )


def _kind(entry: AccessEntry) -> str:
    return kind_of_target(entry.target)


def _role(entry: AccessEntry) -> str:
    """What somebody was to the person; whoever acted for them is no patient of their own."""
    if entry.behalf:
        return _("On behalf of the person")
    return _(ROLES[Role(entry.role)]) if entry.role in set(Role) else entry.role
