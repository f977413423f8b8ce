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
    in_order,
    is_chinese,
    is_han,
    latin_spellings,
    names_of,
    readings,
    shape_of,
    sound_of,
    suffix_of,
    without_tones,
)
from xinglin.access.persons.terms import birth_of, phones_of

LONGEST: Final = 100  # characters of a column; what is longer is no name or number, and would take long to compare
MOST: Final = 50  # telephone numbers, and identifiers, of one Patient
SHORTEST_PHONE: Final = 5  # digits; what is shorter is an extension or an emergency number
_HOUSE: Final = re.compile(r"([0-9]+)\s*号?$|^([0-9]+[a-z]?)\b")


@dataclass(frozen=True, slots=True)
class Traits:
    """Texts are folded, "" where nothing is known.

    han_family, han_given: the first name in characters. family, given, middle: the first in Latin letters, otherwise
    the pinyin of the other. shape, sound: the given name as it roughly looks and sounds. tone: its pinyin with tones,
    where it is in characters. borne: others bear the given name, so it is none miswritten. suffix: jr, sr. spelt:
    every spelling of every name in one piece. nicknames: what `given` is short for.
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
    tone: str = ""
    borne: bool = False
    suffix: str = ""
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
        strong = sorted(strong_identifiers(patient))[:MOST]
        sex = patient.get("gender", "")
        texts: dict[str, Any] = {
            **_names(patient),
            **_address(patient),
            "birth": _birth(patient),
            "number": next(map(_text, sorted(national_numbers(patient))), ""),
        }
        kept: dict[str, Any] = {name: v[:LONGEST] if isinstance(v, str) else v for name, v in texts.items()}
        return cls(
            **kept,
            suffix=suffix_of(patient),
            sex=sex if sex in ("male", "female") else "",
            strong=frozenset(map(_text, strong)),
            kinds=frozenset(one.kind for one in strong),
            phones=frozenset([phone for phone in phones_of(patient) if _is_telling(phone)][:MOST]),
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


@dataclass(frozen=True, slots=True)
class _Unnamed:
    """unnamed.json: what stands where a name or a birth date should."""

    unknown: frozenset[str]
    births: frozenset[str]
    latin: frozenset[str]
    latin_form: re.Pattern[str]
    han: re.Pattern[str]
    han_needs: re.Pattern[str]


@cache
def _unnamed() -> _Unnamed:
    data = _data("unnamed")
    form, han, needs = (re.compile(data[name]) for name in ("newborn_latin_form", "newborn_han", "newborn_han_needs"))
    unknown, births, latin = (frozenset(data[name]) for name in ("unknown", "no_birth_date", "newborn_latin"))
    return _Unnamed(unknown, births, latin, form, han, needs)


def _data(name: str) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(files(__package__).joinpath(f"{name}.json").read_bytes())
    return data


@cache
def _known_names() -> frozenset[str]:
    """Given names that several of those bear whom the shipped weights were learnt from."""
    return frozenset(_data("weights")["shares"]["given"])


def _is_borne(family: str, given: str) -> bool:
    """Whether a given name is one, and not another miswritten: it is known, or Chinese in pinyin.

    Of other alphabets we know no names, so each counts: in few letters one more makes another name of it.
    """
    return given in _known_names() or not given.isascii() or is_chinese(family, given)


@cache
def nickname_groups() -> dict[str, frozenset[str]]:
    """A given name -> the full names it may stand for, itself among them where it is one."""
    names: dict[str, list[str]] = _data("nicknames")["names"]
    groups: dict[str, set[str]] = {}
    for full, forms in names.items():
        for form in (full, *forms):
            groups.setdefault(form, set()).add(full)
    return {form: frozenset(fulls) for form, fulls in groups.items()}


def _names(patient: dict[str, Any]) -> dict[str, Any]:
    names = [in_order(name) for name in names_of(patient) if name.whole not in _unnamed().unknown]
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
        "tone": _toned(han) if han and han_given else "",
        "borne": _is_borne(shown["family"], shown["given"]),
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


def _toned(name: Name) -> str:
    return "".join(next(iter(readings(name)), ((), ()))[1])


def _known(word: str) -> str:
    return "" if word in _unnamed().unknown else word


def _birth(patient: dict[str, Any]) -> str:
    birth = birth_of(patient)
    return "" if birth in _unnamed().births else birth


def _is_telling(phone: str) -> bool:
    """Whether somebody can be called there: not 110, not 00000000."""
    return len(phone) >= SHORTEST_PHONE and len(set(phone)) > 1


def _is_newborn(name: Name) -> bool:
    unnamed = _unnamed()
    if name.han:
        return bool(unnamed.han_needs.search(name.whole) and unnamed.han.match(name.whole))
    whole = "".join(name.given)
    words = (whole, *name.given[:1])
    return any(w in unnamed.latin or unnamed.latin_form.match(w) for w in words) or name.given[:2] == ("son", "of")


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
