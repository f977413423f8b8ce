"""Posts and licences: in which PractitionerRole somebody acts, and whether they may act clinically. Pure.

The record is the state: PractitionerRole says institution, specialty and dates, Practitioner.qualification the licence.
Sources of the rules stand in data/acting.json.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.principal import Role
from xinglin.core.store.keys import key_of

NO_POST: Final = "no-post"
NO_LICENCE: Final = "no-licence"
EXPIRED: Final = "licence-expired"
BARRED: Final[dict[str, tuple[str, str]]] = {
    NO_POST: (
        "You hold no post at this institution at present.",
        "Ask your institution's manager to enter or renew your post.",
    ),
    NO_LICENCE: (
        "No licence to practise is recorded for you.",
        "Ask your institution's manager to record your licence with its validity.",
    ),
    EXPIRED: (
        "Your licence to practise has ended.",
        "Ask your institution's manager to record its renewal.",
    ),
}
"""Why clinical acts, and reading for treatment, are stopped: what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Post:
    """A PractitionerRole that may be acted in today."""

    id: str
    institution: str
    specialty: str
    specialty_text: str
    ends: date | None


@dataclass(frozen=True, slots=True)
class Standing:
    """What somebody acts as. post: None where they hold none; barred: a key of BARRED, or "".

    posts: all that may be chosen; licence, licence_ends: the one that holds longest; warn: it ends within the days
    that data/acting.json says.
    """

    posts: tuple[Post, ...] = ()
    post: Post | None = None
    chosen: bool = False
    barred: str = ""
    licence: str = ""
    licence_ends: date | None = None
    warn: bool = False


@cache
def rules() -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath("data/acting.json").read_bytes())
    return data


def stops(barred: str, type: str) -> bool:
    """Whether what bars somebody stops a write of this type: no licence stops clinical acts, no post all of them."""
    return barred == NO_POST or (barred != "" and type in clinical_acts())


@cache
def clinical_acts() -> frozenset[str]:
    """Resource types that are written with a licence only."""
    return frozenset(rules()["licence"]["acts"])


def standing_of(
    role: Role,
    institution: str | None,
    roles: Sequence[Mapping[str, Any]],
    licences: Sequence[Mapping[str, Any]],
    chosen: str | None,
    today: date,
) -> Standing:
    """What an account's owner acts as today. roles, licences: rows of staff_role and staff_licence of the person.

    chosen: id of the PractitionerRole that the person chose. A choice that has ended is not replaced by another post:
    whoever acted for one institution does not find themselves acting for another.
    """
    posts = tuple(sorted((post for row in roles if (post := _post(role, row, today))), key=lambda one: one.id))
    if chosen is not None:
        post = next((one for one in posts if one.id == chosen), None)
    else:
        post = next((one for one in posts if one.institution == institution), None)
    number, ends, barred = _licence(licences, today)
    if role.value not in rules()["licence"]["roles"]:
        number, ends, barred = "", None, ""
    warn = ends is not None and not barred and (ends - today).days <= rules()["licence"]["warn_days"]
    return Standing(posts, post, chosen is not None, NO_POST if post is None else barred, number, ends, warn)


def _post(role: Role, row: Mapping[str, Any], today: date) -> Post | None:
    """The row as a post, where it is one for this role today and the institution itself says so."""
    codes: Mapping[str, Sequence[str]] = rules()["posts"]["codes"]
    meant = {name for name, listed in codes.items() if set(listed) & set(row["codes"])}
    if not row["active"] or not row["institution"] or (meant and role.value not in meant):
        return None
    if row["custodian"] not in (0, key_of("Organization", row["institution"])):
        return None  # nobody appoints staff of another institution
    starts, ends = first_day(row["starts"]), last_day(row["ends"])
    if starts > today or today > ends:
        return None
    return Post(
        row["id"],
        row["institution"],
        row["specialty"],
        row["specialty_text"],
        None if ends == date.max else ends,
    )


def _licence(rows: Sequence[Mapping[str, Any]], today: date) -> tuple[str, date | None, str]:
    """Number and last day of the licence that holds longest, and what is wrong with it."""
    begun = [(last_day(row["ends"]), row["number"]) for row in rows if first_day(row["starts"]) <= today]
    if not begun:
        return "", None, NO_LICENCE
    ends, number = max(begun)
    return number, None if ends == date.max else ends, EXPIRED if ends < today else ""


def first_day(text: str | None) -> date:
    """The first day of a FHIR date, perhaps partial; without one, the first of all. What is no date never begins."""
    if not text:
        return date.min
    try:
        return date.fromisoformat((text[:10] + "-01-01")[:10] if len(text) <= 7 else text[:10])
    except ValueError:
        return date.max


def last_day(text: str | None) -> date:
    """The last day of a FHIR date, perhaps partial; without one, the last of all. What is no date has ended."""
    if not text:
        return date.max
    try:
        if len(text) == 4:
            return date(int(text), 12, 31)
        if len(text) == 7:
            year, month = int(text[:4]), int(text[5:7])
            return date(year, month, monthrange(year, month)[1])
        return date.fromisoformat(text[:10])
    except ValueError:
        return date.min
