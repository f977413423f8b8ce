"""Whether somebody would guess a password: what everybody chooses, words of the house, and what is known of a person.

The lists and shapes are data (data/passwords.json, data/common_passwords.md). Case, width and the usual figures for
letters (pa55w0rd) hide nothing. Pure: what the words of an account are, its caller knows (accounts.words_of).
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from collections.abc import Iterable, Iterator
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.persons.spelling import fold_han, is_han, names_of, readings

_FIGURES: Final = tuple(str.maketrans("@013457$!", f"ao{one}eastsi") for one in "il")  # what stands for a letter
_APART: Final = re.compile(r"[\W_]+")
_SHORTEST_WORD: Final = 3  # Latin letters; of Han two are a word


class Why(StrEnum):
    """How a password would be found."""

    COMMON = "common"
    OWN = "own"
    SHAPE = "shape"


@cache
def _data() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath("data/passwords.json").read_bytes())
    return found


@cache
def common() -> frozenset[str]:
    """The passwords that are tried first, folded; 1.5 MB, read when somebody first chooses one."""
    packed = files("xinglin.access").joinpath("data/common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().split("\n"))


@cache
def _shapes() -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(shape["pattern"]) for shape in _data()["shapes"])


@cache
def _rows() -> tuple[str, ...]:
    return tuple(way for row in _data()["rows"]["of"] for way in (row, row[::-1]))


def fold(text: str) -> str:
    """As passwords are compared: one width, one case."""
    return unicodedata.normalize("NFKC", text).casefold().strip()


def guessable(password: str, words: Iterable[str] = ()) -> Why | None:
    """How it would be guessed; None where nothing here says so. words: the account's own (`words_of_name`)."""
    own = sorted({*map(fold, words), *_data()["house"]["words"]}, key=len, reverse=True)
    folded = fold(password)
    for text in dict.fromkeys((folded, *(folded.translate(figures) for figures in _FIGURES))):
        if text in common() or _APART.sub("", text) in common():
            return Why.COMMON
        if _has_shape(text):
            return Why.SHAPE
        left = _without(text, own)
        if left != text and (len(_APART.sub("", left)) < _data()["left"]["characters"] or _has_shape(left)):
            return Why.OWN
    return None


def _has_shape(text: str) -> bool:
    bare = _APART.sub("", text)
    if any(bare in row for row in _rows()):
        return True
    return any(shape.fullmatch(text) or shape.fullmatch(bare) for shape in _shapes())


def _without(text: str, words: Iterable[str]) -> str:
    for word in words:
        if len(word) >= (2 if is_han(word) else _SHORTEST_WORD):
            text = text.replace(word, "")
    return text


def words_of_name(name: str) -> Iterator[str]:
    """A name as it may stand in a password: whole, in its parts, in pinyin both ways round, by its initials."""
    yield from (part for part in _APART.split(fold(name)) if part)
    yield _APART.sub("", fold(name))
    if is_han(name):
        yield from _words_of_han(name)
    else:
        parts = [part for part in _APART.split(fold(name)) if part]
        yield "".join(reversed(parts))
        yield "".join(part[0] for part in parts)


def _words_of_han(name: str) -> Iterator[str]:
    yield fold_han(name)
    for found in names_of({"name": [{"text": name[:60]}]}):
        yield "".join(found.given)
        for family, given in readings(found)[:2]:
            surname, rest = _plain(family), _plain(given)
            yield from ("".join((*surname, *rest)), "".join((*rest, *surname)), "".join(rest))
            yield "".join(syllable[0] for syllable in (*surname, *rest))
            yield "".join((*surname, *(syllable[0] for syllable in rest)))


def _plain(syllables: Iterable[str]) -> list[str]:
    """Without tones; ü as keyboards write it."""
    return [plain for syllable in syllables if (plain := re.sub(r"\d", "", syllable))]
