"""From a Patient to the terms that people are found by. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from xinglin.access.persons.identifiers import fold_identifier, strong_identifiers
from xinglin.access.persons.spelling import (
    Name,
    names_of,
    readings,
    without_tones,
)

Term = tuple["Kind", str]
LONGEST = 64  # characters of a term


class Kind(IntEnum):
    """What a term is; the numbers are stored."""

    HAN = 1  # 王小明, simplified
    SPELLING = 2  # wangxiaoming, xiaomingwang; smithjohn, johnsmith
    TONE = 3  # wa2ngxia3omi2ng
    INITIALS = 4  # wxm
    PART = 5  # 小明, xiaoming, a middle name
    IDENTIFIER = 6  # letters and digits
    PHONE = 7  # digits, without the country's 86
    BIRTH = 8  # 19800503, 198005, 1980
    BLOCK = 9  # i:kind:value of an identifier that names one person


def terms_of(patient: dict[str, Any]) -> frozenset[Term]:
    """All terms of a Patient."""
    names = names_of(patient)
    found: set[Term] = set()
    for name in names:
        found.update(_name_terms(name))
    found.update((Kind.IDENTIFIER, fold_identifier(entry.get("value", ""))) for entry in patient.get("identifier", ()))
    found.update((Kind.PHONE, phone) for phone in phones_of(patient))
    found.add((Kind.BIRTH, birth_of(patient)))
    found.update((Kind.BLOCK, f"i:{one.kind}:{one.value}") for one in strong_identifiers(patient))
    return frozenset((kind, text[:LONGEST] if kind is not Kind.BLOCK else text) for kind, text in found if text)


def phones_of(patient: dict[str, Any]) -> tuple[str, ...]:
    """Telephone numbers as digits, each once."""
    entries = (t for t in patient.get("telecom", ()) if t.get("system") in ("phone", "sms", "fax"))
    return tuple(dict.fromkeys(digits for entry in entries if (digits := fold_phone(entry.get("value", "")))))


def fold_phone(text: str) -> str:
    """Digits alone; the 86 or 0086 of China goes."""
    digits = re.sub(r"[^0-9]", "", text)
    return re.sub(r"^(?:00)?86(?=1[0-9]{10}$)", "", digits)


def birth_of(patient: dict[str, Any]) -> str:
    """The birth date as digits, as precise as it is known."""
    return str(patient.get("birthDate", "")).replace("-", "")


def _name_terms(name: Name) -> Iterator[Term]:
    if name.han:
        yield from _han_terms(name)
    else:
        yield from _latin_terms(name)


def _han_terms(name: Name) -> Iterator[Term]:
    yield Kind.HAN, name.whole
    yield Kind.PART, "".join(name.given)
    for family, given in readings(name):
        first, rest = without_tones("".join(family)), without_tones("".join(given))
        yield Kind.TONE, "".join(family + given)
        yield Kind.SPELLING, first + rest
        yield Kind.SPELLING, rest + first
        yield Kind.PART, rest
        yield Kind.INITIALS, "".join(syllable[:1] for syllable in family + given)


def _latin_terms(name: Name) -> Iterator[Term]:
    given = "".join(name.given)
    yield Kind.SPELLING, name.family + given
    yield Kind.SPELLING, given + name.family
    if len(name.given) > 1:
        yield Kind.SPELLING, name.given[0] + name.family
        yield Kind.SPELLING, name.family + name.given[0]
        yield from ((Kind.PART, word) for word in name.given[1:])
    if name.given:
        yield Kind.PART, given
        yield Kind.INITIALS, "".join(word[0] for word in (*name.given, name.family))
        yield Kind.INITIALS, "".join(word[0] for word in (name.family, *name.given))
