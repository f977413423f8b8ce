"""A Patient as the comparison sees it: names in both scripts, birth date, numbers, address in parts. Pure.

The same columns are compared by Python for one pair and by DuckDB for many (comparisons.py).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.persons.identifiers import Strong, national_numbers, strong_identifiers
from xinglin.access.persons.spelling import (
    Name,
    fold_han,
    fold_latin,
    is_han,
    latin_spellings,
    names_of,
    readings,
    shape_of,
    sound_of,
    without_tones,
)
from xinglin.access.persons.terms import birth_of, phones_of

_HOUSE: Final = re.compile(r"([0-9]+)\s*号?$|^([0-9]+[a-z]?)\b")


@dataclass(frozen=True, slots=True)
class Traits:
    """Texts are folded, "" where nothing is known.

    han_family, han_given: the first name in characters. family, given, middle: the first in Latin letters, otherwise
    the pinyin of the other. shape, sound: the given name as it roughly looks and sounds. spelt: every spelling of every
    name in one piece. nicknames: what `given` is short for.
    birth: 4, 6 or 8 digits. number: a national number, also one whose check fails. strong: identifiers that name one
    person, kind:value; kinds: their kinds. twin: order in a multiple birth.
    """

    han_family: str = ""
    han_given: str = ""
    family: str = ""
    given: str = ""
    middle: str = ""
    shape: str = ""
    sound: str = ""
    spelt: frozenset[str] = frozenset()
    nicknames: frozenset[str] = frozenset()
    newborn: bool = False
    birth: str = ""
    sex: str = ""
    strong: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    number: str = ""
    phones: frozenset[str] = frozenset()
    house: str = ""
    street: str = ""
    line: str = ""
    city: str = ""
    postcode: str = ""
    twin: int = 0

    @classmethod
    def of(cls, patient: dict[str, Any]) -> Traits:
        strong = strong_identifiers(patient)
        sex = patient.get("gender", "")
        parts: dict[str, Any] = _address(patient)
        return cls(
            **_names(patient),
            birth=birth_of(patient),
            sex=sex if sex in ("male", "female") else "",
            strong=frozenset(map(_text, strong)),
            kinds=frozenset(one.kind for one in strong),
            number=next(map(_text, sorted(national_numbers(patient))), ""),
            phones=frozenset(phones_of(patient)),
            **parts,
            twin=patient.get("multipleBirthInteger", 0),
        )

    def without(self, dummies: frozenset[str]) -> Traits:
        """The same without some identifiers."""
        if not self.strong & dummies:
            return self
        strong = self.strong - dummies
        kinds = frozenset(one.partition(":")[0] for one in strong)
        return replace(self, strong=strong, kinds=kinds, number="" if self.number in dummies else self.number)


def _text(identifier: Strong) -> str:
    return f"{identifier.kind}:{identifier.value}"


@cache
def _unnamed() -> tuple[frozenset[str], frozenset[str], re.Pattern[str], re.Pattern[str]]:
    data: dict[str, Any] = orjson.loads(files(__package__).joinpath("unnamed.json").read_bytes())
    han, needs = re.compile(data["newborn_han"]), re.compile(data["newborn_han_needs"])
    return frozenset(data["unknown"]), frozenset(data["newborn_latin"]), han, needs


@cache
def nickname_groups() -> dict[str, frozenset[str]]:
    """A given name -> the full names it may stand for, itself among them where it is one."""
    names: dict[str, list[str]] = orjson.loads(files(__package__).joinpath("nicknames.json").read_bytes())["names"]
    groups: dict[str, set[str]] = {}
    for full, forms in names.items():
        for form in (full, *forms):
            groups.setdefault(form, set()).add(full)
    return {form: frozenset(fulls) for form, fulls in groups.items()}


def _names(patient: dict[str, Any]) -> dict[str, Any]:
    names = names_of(patient)
    han = next((name for name in names if name.han), None)
    latin = next((name for name in names if not name.han), None)
    newborn = any(map(_is_newborn, names))
    shown = _latin_of(latin or han, newborn)
    han_given = "" if newborn or not han else _known("".join(han.given))
    return {
        "han_family": _known(han.family) if han else "",
        "han_given": han_given,
        **shown,
        "shape": shape_of(han_given),
        "sound": sound_of(shown["given"]),
        "spelt": frozenset() if newborn else frozenset(text for name in names for text in _both_ways(name)),
        "nicknames": nickname_groups().get(shown["given"], frozenset()),
        "newborn": newborn,
    }


def _latin_of(name: Name | None, newborn: bool) -> dict[str, str]:
    """Family, given and middle name in Latin letters; of a Chinese name in its likeliest reading."""
    if name is None:
        return {"family": "", "given": "", "middle": ""}
    if name.han:
        family, given = next(iter(readings(name)), ((), ()))
        words = ["".join(map(without_tones, given))] if not newborn else []
        return {"family": _known("".join(map(without_tones, family))), "given": "".join(words), "middle": ""}
    words = [] if newborn else [word for word in name.given if _known(word)]
    return {"family": _known(name.family), "given": "".join(words[:1]), "middle": "".join(words[1:])}


def _known(word: str) -> str:
    return "" if word in _unnamed()[0] else word


def _is_newborn(name: Name) -> bool:
    _, latin, han, needs = _unnamed()
    if name.han:
        return bool(needs.search(name.whole) and han.match(name.whole))
    whole = "".join(name.given)
    return whole in latin or any(word in latin for word in name.given[:1]) or name.given[:2] in (("son", "of"),)


def _both_ways(name: Name) -> set[str]:
    given = "".join(name.given)
    turned = {given + name.family} if not name.han else set()
    return {text for text in {*latin_spellings(name), *turned} if text}


def _address(patient: dict[str, Any]) -> dict[str, str]:
    """The first home address in its parts: house number, street or village, a second line, city, postal code."""
    entries = [one for one in patient.get("address", ()) if one.get("use") not in ("old", "billing", "temp")]
    entry = entries[0] if entries else {}
    lines = [text for text in entry.get("line", ()) if text] or ([entry["text"]] if entry.get("text") else [])
    first = _fold(lines[0]) if lines else ""
    found = _HOUSE.search(first)
    house = next((group for group in found.groups() if group), "") if found else ""
    street = (first[: found.start()] + first[found.end() :]) if found else first
    return {
        "house": house,
        "street": _letters(street),
        "line": _letters(_fold("".join(lines[1:]))),
        "city": _letters(_fold(entry.get("district", "") + entry.get("city", ""))),
        "postcode": _letters(_fold(entry.get("postalCode", ""))),
    }


def _fold(text: str) -> str:
    return fold_han(text).casefold() if is_han(text) else " ".join(text.casefold().split())


def _letters(text: str) -> str:
    return text if is_han(text) else fold_latin(text)
