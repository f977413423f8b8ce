"""The values that components draw. All frozen; every text is already in the reader's language.

A time (`When`) is a FHIR date, dateTime or instant as text, or a Python date or aware datetime.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from xinglin.ui.formats import When

Figure = int | float | str | Decimal
"""A number in the digits it was recorded with: text or Decimal keep 5.60, float does not."""


@dataclass(frozen=True, slots=True)
class NavItem:
    href: str
    label: str
    icon: str = ""
    current: bool = False
    count: int = 0


@dataclass(frozen=True, slots=True)
class Shell:
    """What stands around a page's content. `density` is `phone` (patients) or `desk` (staff)."""

    nav: tuple[NavItem, ...] = ()
    density: str = "phone"
    home: str = "/"
    account: str = ""
    account_note: str = ""
    sign_out: str = ""
    help: str = ""
    switch: tuple[str, str] = ("", "")  # address and words of the way to act as somebody else


@dataclass(frozen=True, slots=True)
class Tile:
    href: str
    label: str
    icon: str
    hint: str = ""
    count: int = 0


@dataclass(frozen=True, slots=True)
class Stat:
    label: str
    value: Figure
    note: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Tab:
    href: str
    label: str
    current: bool = False
    count: int | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column. kind: text, number, time, or main (the row's header, else the first column is)."""

    key: str
    label: str
    kind: str = "text"


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    when: When | None
    title: str
    kind: str = ""
    icon: str = "record"
    institution: str = ""
    detail: str = ""
    href: str = ""
    remark: str = ""  # address where the reader says that it is wrong


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a trend and its reference range, whose ends belong to it."""

    label: str
    unit: str = ""
    low: Figure | None = None
    high: Figure | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """Values at one time, one (or None) per series."""

    when: When
    values: tuple[Figure | None, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class PatientFacts:
    """`deceased` is the day of death, True where only the fact is known, or "". `name` is a HumanName or a list."""

    name: str | Mapping[str, Any] | Sequence[Mapping[str, Any]]
    gender: str = "unknown"
    birth_date: str = ""
    identifiers: tuple[tuple[str, str], ...] = ()
    phone: str = ""
    allergies: tuple[str, ...] = ()
    no_known_allergy: bool = False
    deceased: str | bool = ""


@dataclass(frozen=True, slots=True)
class AuditLine:
    when: When
    who: str
    action: str
    role: str = ""
    institution: str = ""
    what: str = ""
    why: str = ""
    allowed: bool = True
    emergency: bool = False
    href: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class ConsentItem:
    id: str
    label: str
    granted: bool
    hint: str = ""
    until: When | None = None


@dataclass(frozen=True, slots=True)
class CompareRow:
    """`same` is None where one side does not know."""

    label: str
    left: str
    right: str
    same: bool | None


@dataclass(frozen=True, slots=True)
class Section:
    """A table of a record summary, or the sentence that stands where it would be empty."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Mapping[str, Any], ...]
    empty: str
