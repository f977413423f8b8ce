"""Finding people by one box: names in any spelling, identifiers, telephone numbers, birth dates, and these together.

What is typed is read into wants, each a list of ranges of terms with a score (lower is better). All wants must be
met. One statement answers; nobody is found whom the caller may not see.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xinglin.access.persons.identifiers import fold_identifier
from xinglin.access.persons.index import SHORTEST_FORGIVEN, variants
from xinglin.access.persons.spelling import Name as PersonName
from xinglin.access.persons.spelling import (
    fold_han,
    fold_latin,
    has_tone,
    is_han,
    latin_spellings,
    split_han,
    tone_behind_vowel,
)
from xinglin.access.persons.terms import LONGEST, Kind, fold_phone
from xinglin.core.store.keys import TYPE_NUMBERS, hash64
from xinglin.core.store.rows import Stored
from xinglin.core.store.visibility import Arguments, Visibility
from xinglin.kernel.database import Connection

MOST: Final = 50
_LAST: Final = "\U0010ffff"  # sorts behind every character in the C collation
WHOLE, PART, BEGINNING, SOUND, TYPO = range(5)
"""Scores: all of a term; all of a part of the name; how it begins; the same sound; one letter wrong."""

_WORD: Final = re.compile(r"[^\s,;，；、]+")
_DATE: Final = re.compile(r"(?<!\d)([12]\d{3})\s*[-/.年]\s*(\d{1,2})(?:\s*[-/.月]\s*(\d{1,2}))?\s*[日月]?(?!\d)")
_YEAR: Final = re.compile(r"(?<!\d)([12]\d{3})年")


@dataclass(frozen=True, slots=True)
class Range:
    """Terms of a kind from low to high, both included."""

    kind: Kind
    low: str
    high: str
    score: int


@dataclass(frozen=True, slots=True)
class Match:
    """Somebody found. `score`: WHOLE to TYPO. `person`: whom linked records share, "" where one stands alone."""

    stored: Stored
    score: int
    person: str = ""


Want = tuple[Range, ...]


async def find(connection: Connection, text: str, visible: Visibility, *, limit: int = 20) -> list[Match]:
    """Patients that what was typed may mean, the best first; empty where it says too little."""
    limit = max(1, min(limit, MOST))
    wants = read(text)
    if not wants:
        return []
    wants = [await _forgiving(connection, want) for want in wants]
    found = await _found(connection, wants, visible, limit)
    words = [] if found else _words_apart(text)
    return await _found(connection, words, visible, limit) if words else found


def read(text: str) -> list[Want]:
    """What is wanted, the most telling first. Pure."""
    text = unicodedata.normalize("NFKC", text)[:200]
    births, rest = _dates(text)
    words = _WORD.findall(rest)
    if words and all(re.fullmatch(r"[\d+()\-]+", word) for word in words):
        words = ["".join(words)]  # a telephone number written with gaps
    han = fold_han("".join(c for word in words for c in word if is_han(c)))
    latin = [part for word in words if (part := _latin_part(word))]
    wants = [*births, *(_number(word) for word in words if _is_number(word))]
    if han:
        wants.append(tuple(_han(han)))
    if latin:
        wants.append(tuple(_latin(latin)))
    return sorted((want for want in wants if want), key=lambda want: _breadth(want))


def _breadth(want: Want) -> int:
    """Roughly how many people a want may mean: the statement starts from the fewest."""
    kind, length = want[0].kind, len(want[0].low)
    if kind in (Kind.IDENTIFIER, Kind.BIRTH):
        return 0 if length >= 8 else 1 if length >= 6 else 3
    return 2 if length >= (2 if kind is Kind.HAN else 8) else 4


def _dates(text: str) -> tuple[list[Want], str]:
    births: list[Want] = []
    for year, month, day in _DATE.findall(text):
        digits = f"{year}{int(month):02d}" + (f"{int(day):02d}" if day else "")
        births.append((_range(Kind.BIRTH, digits, WHOLE, beginning=True),))
    text = _DATE.sub(" ", text)
    births += [(_range(Kind.BIRTH, year, BEGINNING, beginning=True),) for year in _YEAR.findall(text)]
    return births, _YEAR.sub(" ", text)


def _is_number(word: str) -> bool:
    """A word with a digit that is not pinyin with tones."""
    return any(c.isdigit() for c in word) and not is_han(word) and not has_tone(word)


def _number(word: str) -> Want:
    """An identifier, a telephone number or a birth date without marks between."""
    folded, phone = fold_identifier(word), fold_phone(word)
    if len(folded) < 3:
        return ()
    ranges = [*_both(Kind.IDENTIFIER, folded)]
    if phone and not re.search("[A-Za-z]", word):
        ranges += _both(Kind.PHONE, phone)
    if folded.isdigit() and len(folded) in (4, 6, 8) and folded[0] in "12":
        ranges.append(_range(Kind.BIRTH, folded, WHOLE, beginning=True))
    return tuple(ranges)


def _latin_part(word: str) -> str:
    """The letters of a word that are part of a name, "" where there are none."""
    if _is_number(word):
        return ""
    return "".join(c for c in word if not is_han(c))


def _han(folded: str) -> Iterator[Range]:
    yield from _both(Kind.HAN, folded)
    yield from _both(Kind.PART, folded, whole=PART)
    name = PersonName(*_family_and_given(folded), True)
    for spelling in latin_spellings(name):
        yield _range(Kind.SPELLING, spelling, SOUND)


def _family_and_given(folded: str) -> tuple[str, tuple[str, ...]]:
    family, given = split_han(folded)
    return family, (given,) if given else ()


def _latin(words: Sequence[str]) -> Iterator[Range]:
    joined = "".join(words)
    if has_tone(" ".join(words)):
        yield from _both(Kind.TONE, tone_behind_vowel(joined))
        joined = re.sub("[1-5]", "", joined)
        toneless = PART
    else:
        toneless = WHOLE
    folded = fold_latin(joined)
    if folded:
        yield from _both(Kind.SPELLING, folded, whole=toneless)
        yield from _both(Kind.PART, folded, whole=PART)
        if len(folded) <= 5 and toneless is WHOLE:
            yield from _both(Kind.INITIALS, folded)
        if any(c.isdigit() for word in words for c in word):
            yield from _both(Kind.IDENTIFIER, fold_identifier("".join(words)))


def _both(kind: Kind, text: str, *, whole: int = WHOLE) -> Iterator[Range]:
    yield _range(kind, text, whole)
    yield _range(kind, text, BEGINNING, beginning=True)


def _range(kind: Kind, text: str, score: int, *, beginning: bool = False) -> Range:
    text = text.replace("\0", "")[:LONGEST]
    return Range(kind, text, text + _LAST if beginning else text, score)


def _words_apart(text: str) -> list[Want]:
    """Each Latin word on its own, for names with something in between: a second chance when nothing was found."""
    words = [folded for word in _WORD.findall(text) if len(folded := fold_latin(word)) > 1 and not is_han(word)]
    if len(words) < 2:
        return []
    numbers = [want for word in words if any(c.isdigit() for c in word) and (want := _number(word))]
    names = [word for word in words if not any(c.isdigit() for c in word)]
    return numbers + [
        (_range(Kind.SPELLING, word, BEGINNING, beginning=True), _range(Kind.PART, word, PART)) for word in names
    ]


_NEAR: Final = """
SELECT DISTINCT kind, term FROM person_spelling WHERE variant = ANY($1::bigint[])
"""


async def _forgiving(connection: Connection, want: Want) -> Want:
    """The want with the spellings that are one typo away."""
    typed = {one.low for one in want if one.kind is Kind.SPELLING and one.low == one.high and one.score != SOUND}
    words = [word for word in typed if word.isascii() and len(word) >= SHORTEST_FORGIVEN]
    if not words:
        return want
    rows = await connection.fetch(_NEAR, [hash64(variant) for word in words for variant in variants(word)])
    near = [(Kind(row["kind"]), row["term"]) for row in rows if any(one_typo(word, row["term"]) for word in words)]
    return want + tuple(_range(kind, term, TYPO) for kind, term in near)


def one_typo(a: str, b: str) -> bool:
    """Whether one letter added, left out or changed, or two neighbours swapped, make one word of the other."""
    if a == b or abs(len(a) - len(b)) > 1:
        return False
    start = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
    rest_a, rest_b = a[start:], b[start:]
    if len(a) != len(b):
        longer, shorter = (rest_a, rest_b) if len(a) > len(b) else (rest_b, rest_a)
        return longer[1:] == shorter
    swapped = len(rest_a) > 1 and rest_a[:2] == rest_b[1::-1] and rest_a[2:] == rest_b[2:]
    return rest_a[1:] == rest_b[1:] or swapped


async def _found(connection: Connection, wants: Sequence[Want], visible: Visibility, limit: int) -> list[Match]:
    arguments = Arguments(TYPE_NUMBERS["Patient"], limit)
    rows = await connection.fetch(_statement(wants, visible, arguments), *arguments.values)
    return [Match(_stored(row), row["score"], row["whose"] or "") for row in rows]


def _stored(row: Any) -> Stored:
    return Stored(
        "Patient", row["id"], row["version"], row["updated"], row["body"], False, row["person"], row["custodian"]
    )


def _statement(wants: Sequence[Want], visible: Visibility, arguments: Arguments) -> str:
    """From the terms of the first want, those people who may be seen and meet the others, as many as are asked for.

    The limit inside stops reading a broad range ("w") once enough people are found who may be seen.
    """
    first, *others = wants
    more = "".join(_also(other, arguments) for other in others)
    return f"""
SELECT r.id, r.version, r.updated, r.body, r.person, r.custodian, hit.score, link.person AS whose
  FROM (SELECT inner_hit.patient, min(w.score) AS score
          FROM {_ranges(first, arguments)} AS w(kind, low, high, score)
         CROSS JOIN LATERAL (
               SELECT t.patient FROM person_term t JOIN resource r ON r.key = t.patient
                WHERE t.kind = w.kind AND t.term BETWEEN w.low AND w.high{more}
                  AND r.type = $1 AND NOT r.deleted AND {visible.predicate("r", arguments.bind)}
                ORDER BY t.term, t.patient LIMIT $2) inner_hit
         GROUP BY inner_hit.patient) hit
  JOIN resource r ON r.key = hit.patient
  LEFT JOIN person_link link ON link.patient = hit.patient
 ORDER BY hit.score, r.id LIMIT $2
"""  # noqa: S608


def _also(want: Want, arguments: Arguments) -> str:
    ranges = _ranges(want, arguments)
    return (
        f" AND EXISTS (SELECT 1 FROM person_term o JOIN {ranges} AS v(kind, low, high, score)"  # noqa: S608
        " ON o.kind = v.kind AND o.term BETWEEN v.low AND v.high WHERE o.patient = t.patient)"
    )


def _ranges(want: Want, arguments: Arguments) -> str:
    kinds, lows, highs, scores = zip(*((int(one.kind), one.low, one.high, one.score) for one in want), strict=True)
    bound = (arguments.bind(list(column)) for column in (kinds, lows, highs, scores))
    types = ("smallint[]", "text[]", "text[]", "integer[]")
    casts = ", ".join(f"{name}::{type}" for name, type in zip(bound, types, strict=True))
    return f"unnest({casts})"
