"""What two Patients are compared by, and how each field compares. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

from xinglin.access.persons.find import one_typo
from xinglin.access.persons.identifiers import Strong, strong_identifiers
from xinglin.access.persons.spelling import Name, fold_han, latin_spellings, names_of
from xinglin.access.persons.terms import birth_of, phones_of


class Verdict(StrEnum):
    """How a field of two Patients compares. CONFLICT: of identifiers, one agrees and another differs."""

    AGREE = "agree"
    CLOSE = "close"
    PARTIAL = "partial"
    DIFFER = "differ"
    CONFLICT = "conflict"
    ABSENT = "absent"


FIELDS: Final = ("identifier", "name", "birth-date", "sex", "multiple-birth", "phone", "address")
_ORDER: Final = (Verdict.AGREE, Verdict.CLOSE, Verdict.PARTIAL, Verdict.DIFFER)


@dataclass(frozen=True)
class Traits:
    """A Patient as the comparison sees it."""

    identifiers: frozenset[Strong]
    names: tuple[Name, ...]
    birth: str
    sex: str
    twin: int
    phones: frozenset[str]
    address: str

    @classmethod
    def of(cls, patient: dict[str, Any]) -> Traits:
        return cls(
            strong_identifiers(patient),
            names_of(patient),
            birth_of(patient),
            patient.get("gender", ""),
            patient.get("multipleBirthInteger", 0),
            frozenset(phones_of(patient)),
            _address(patient),
        )

    @cached_property
    def spellings(self) -> dict[Name, frozenset[str]]:
        """Each name in Latin letters, in every reading, surname first and last."""
        return {name: _both_ways(name) for name in self.names}


def compare(a: Traits, b: Traits) -> dict[str, Verdict]:
    """The verdict on each of FIELDS; the same whichever comes first."""
    verdicts = (
        compare_identifiers(a.identifiers, b.identifiers),
        _compare_names(a, b),
        compare_births(a.birth, b.birth),
        _equal(*(sex if sex in ("male", "female") else "" for sex in (a.sex, b.sex))),
        _equal(a.twin, b.twin),
        _shared(a.phones, b.phones),
        _equal(a.address, b.address),
    )
    return dict(zip(FIELDS, verdicts, strict=True))


def compare_identifiers(a: frozenset[Strong], b: frozenset[Strong]) -> Verdict:
    """Strong identifiers, each kind for itself: numbers of different kinds say nothing about each other."""
    kinds = {one.kind for one in a} & {one.kind for one in b}
    agreeing = {one.kind for one in a & b}
    if not kinds:
        return Verdict.ABSENT
    if agreeing:
        return Verdict.AGREE if agreeing == kinds else Verdict.CONFLICT
    return Verdict.DIFFER


def compare_births(a: str, b: str) -> Verdict:
    """Birth dates as digits. Close: one is less precise, day and month are swapped, or one digit differs."""
    if not a or not b:
        return Verdict.ABSENT
    if a == b and len(a) == 8:
        return Verdict.AGREE
    if a.startswith(b) or b.startswith(a):
        return Verdict.CLOSE
    if len(a) == len(b) == 8:
        swapped = a[:4] + a[6:] + a[4:6] == b
        one_digit = sum(x != y for x, y in zip(a, b, strict=True)) == 1
        return Verdict.CLOSE if swapped or one_digit else Verdict.DIFFER
    return Verdict.DIFFER


def _compare_names(a: Traits, b: Traits) -> Verdict:
    """The best that any name of one makes with any of the other, but what is written in one script decides first:
    equal pinyin beside different characters is a homophone, not the same name."""
    same_script = [(x, y) for x in a.names for y in b.names if x.han and y.han]
    pairs = same_script or [(x, y) for x in a.names for y in b.names]
    verdicts = [compare_names(x, y, a.spellings[x], b.spellings[y]) for x, y in pairs]
    return min(verdicts, key=_ORDER.index, default=Verdict.ABSENT)


def compare_names(a: Name, b: Name, a_spelt: frozenset[str], b_spelt: frozenset[str]) -> Verdict:
    """Agree: the same name in either script or order. Close: a homophone, a part left out, one letter wrong.
    Partial: the given name alone. A shared surname alone is what families have."""
    if (a.family, a.given) == (b.family, b.given) or a.whole == b.whole:
        return Verdict.AGREE
    if a_spelt & b_spelt:
        return Verdict.CLOSE if a.han and b.han else Verdict.AGREE
    if _left_out(a, b) or _left_out(b, a):
        return Verdict.CLOSE
    if not (a.han and b.han) and any(one_typo(x, y) for x in a_spelt for y in b_spelt if min(len(x), len(y)) > 3):
        return Verdict.CLOSE
    given = "".join(a.given)
    return Verdict.PARTIAL if len(given) > 1 and given == "".join(b.given) else Verdict.DIFFER


def _left_out(short: Name, long: Name) -> bool:
    """Whether one name is the other without a part of the given name, or with half of a double surname."""
    if short.han != long.han or not short.given or not long.given:
        return False
    if short.family != long.family:
        return short.han and short.given == long.given and len(long.family) == 2 and long.family[0] == short.family
    if not short.han:
        return set(short.given) < set(long.given)
    given, whole = "".join(short.given), "".join(long.given)
    return len(given) < len(whole) <= 2 and given in whole


def _both_ways(name: Name) -> frozenset[str]:
    given = "".join(name.given)
    turned = {given + name.family} if not name.han else set()
    return frozenset(latin_spellings(name)) | turned


def _address(patient: dict[str, Any]) -> str:
    """The first home address in one piece, without spaces or marks."""
    for entry in patient.get("address", ()):
        if entry.get("use") not in ("old", "billing"):
            parts = (*entry.get("line", ()), entry.get("district", ""), entry.get("city", ""))
            return re.sub(r"\W", "", fold_han("".join(parts) or entry.get("text", ""))).casefold()
    return ""


def _equal(a: object, b: object) -> Verdict:
    if not a or not b:
        return Verdict.ABSENT
    return Verdict.AGREE if a == b else Verdict.DIFFER


def _shared(a: frozenset[str], b: frozenset[str]) -> Verdict:
    if not a or not b:
        return Verdict.ABSENT
    return Verdict.AGREE if a & b else Verdict.DIFFER
