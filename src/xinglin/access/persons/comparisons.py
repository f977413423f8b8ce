"""How the fields of two Patients compare: levels, each said twice, for Python and for DuckDB.

The first level that holds is the field's. Both forms see the columns of Traits; tests hold them to each other.
The last level of a field holds when no other does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from xinglin.access.persons.distance import jaro_winkler, within
from xinglin.access.persons.traits import Traits
from xinglin.kernel import clock

Holds = Callable[[Traits, Traits], bool]


class Verdict(StrEnum):
    """What a level means to a reader."""

    AGREE = "agree"
    CLOSE = "close"
    PARTIAL = "partial"
    DIFFER = "differ"
    CONFLICT = "conflict"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Level:
    """`holds` and `sql` say the same, symmetric in the two records, which are `l` and `r`."""

    name: str
    verdict: Verdict
    holds: Holds
    sql: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field with its levels. `rarity`: the level at which a rare value weighs more, and how to tell the value."""

    field: str
    levels: tuple[Level, ...]
    rarity: Callable[[Traits, Traits], str] | None = None
    rarity_sql: str = "NULL"
    rare_at: tuple[str, ...] = ()

    def level(self, a: Traits, b: Traits) -> int:
        number = 0
        while not self.levels[number].holds(a, b):
            number += 1
        return number

    def level_sql(self) -> str:
        """An expression for the level's number."""
        return "CASE " + " ".join(f"WHEN {one.sql} THEN {n}" for n, one in enumerate(self.levels)) + " END"


def _absent(*columns: str) -> Level:
    """One side has none of these columns."""
    sides = (" AND ".join(f"{side}.{column} = ''" for column in columns) for side in "lr")
    return Level(
        "absent",
        Verdict.ABSENT,
        lambda a, b: not any(getattr(a, c) for c in columns) or not any(getattr(b, c) for c in columns),
        " OR ".join(f"({side})" for side in sides),
    )


def _same(name: str, column: str, verdict: Verdict = Verdict.AGREE) -> Level:
    return Level(
        name,
        verdict,
        lambda a, b: getattr(a, column) != "" and getattr(a, column) == getattr(b, column),
        f"(l.{column} <> '' AND l.{column} = r.{column})",
    )


def _typo(column: str, most: int, name: str = "typo", verdict: Verdict = Verdict.CLOSE) -> Level:
    """So many slips apart, in words long enough for that to say something."""
    return Level(
        name,
        verdict,
        lambda a, b: (
            min(len(getattr(a, column)), len(getattr(b, column))) > most
            and within(getattr(a, column), getattr(b, column), most)
        ),
        f"(least(length(l.{column}), length(r.{column})) > {most}"
        f" AND abs(length(l.{column}) - length(r.{column})) <= {most}"
        f" AND damerau_levenshtein(l.{column}, r.{column}) <= {most})",
    )


def _alike(column: str, least: float, name: str, verdict: Verdict) -> Level:
    return Level(
        name,
        verdict,
        lambda a, b: (
            bool(getattr(a, column) and getattr(b, column))
            and jaro_winkler(getattr(a, column), getattr(b, column)) >= least
        ),
        f"(l.{column} <> '' AND r.{column} <> '' AND jaro_winkler_similarity(l.{column}, r.{column}) >= {least})",
    )


def _else(verdict: Verdict = Verdict.DIFFER) -> Level:
    return Level("differs", verdict, lambda a, b: True, "TRUE")


def _shared(column: str) -> tuple[Level, ...]:
    """A set of numbers of which one in common is enough."""
    return (
        Level(
            "absent",
            Verdict.ABSENT,
            lambda a, b: not getattr(a, column) or not getattr(b, column),
            f"(len(l.{column}) = 0 OR len(r.{column}) = 0)",
        ),
        Level(
            "same",
            Verdict.AGREE,
            lambda a, b: bool(getattr(a, column) & getattr(b, column)),
            f"list_has_any(l.{column}, r.{column})",
        ),
        _else(),
    )


# names ----------------------------------------------------------------------------------------------------------------


def _swapped(a: Traits, b: Traits) -> bool:
    return bool(a.family and a.given) and a.family == b.given and a.given == b.family and a.family != a.given


_SWAPPED: Final = Level(
    "swapped",
    Verdict.AGREE,
    _swapped,
    "(l.family <> '' AND l.given <> '' AND l.family = r.given AND l.given = r.family AND l.family <> l.given)",
)


def _both_han(a: Traits, b: Traits) -> bool:
    return bool(a.han_given and b.han_given)


def _one_in_other(column: str) -> Holds:
    def holds(a: Traits, b: Traits) -> bool:
        x, y = sorted((getattr(a, column), getattr(b, column)), key=len)
        return bool(x) and x != y and (y.startswith(x) or y.endswith(x))

    return holds


def _one_in_other_sql(column: str) -> str:
    return (
        f"(l.{column} <> '' AND r.{column} <> '' AND l.{column} <> r.{column}"
        f" AND (starts_with(l.{column}, r.{column}) OR ends_with(l.{column}, r.{column})"
        f" OR starts_with(r.{column}, l.{column}) OR ends_with(r.{column}, l.{column})))"
    )


def _part(column: str) -> Level:
    return Level("part", Verdict.CLOSE, _one_in_other(column), _one_in_other_sql(column))


def _one_character(a: Traits, b: Traits) -> bool:
    return bool(set(a.han_given) & set(b.han_given))


def _latin_part(a: Traits, b: Traits) -> bool:
    return min(len(a.family), len(b.family)) > 2 and _one_in_other("family")(a, b)


def _initial(a: Traits, b: Traits) -> bool:
    return min(len(a.given), len(b.given)) == 1 and a.given[:1] == b.given[:1]


def _by_middle_name(a: Traits, b: Traits) -> bool:
    """One is known by what is the other's middle name, or stands there with its initial alone."""
    for x, y in ((a, b), (b, a)):
        if x.given and not x.middle and y.middle and x.given in (y.middle, y.middle[:1]):
            return True
    return False


def _in_latin(level: Level, pinyin: int) -> Level:
    """The level for Latin letters. Two names in characters are not compared by letters: 妍 and 涵 are one letter apart,
    and two children; and the pinyin of one must have more than so many letters."""

    def holds(a: Traits, b: Traits) -> bool:
        long = min(len(a.given), len(b.given)) > pinyin or not (a.han_given or b.han_given)
        return long and not _both_han(a, b) and level.holds(a, b)

    sql = (
        f"(NOT (l.han_given <> '' AND r.han_given <> '') AND (least(length(l.given), length(r.given)) > {pinyin}"
        f" OR l.han_given = '' AND r.han_given = '') AND {level.sql})"
    )
    return Level(level.name, level.verdict, holds, sql)


_BY_MIDDLE_NAME: Final = Level(
    "middle-name",
    Verdict.PARTIAL,
    _by_middle_name,
    "(l.given <> '' AND l.middle = '' AND r.middle <> '' AND (l.given = r.middle OR l.given = r.middle[1:1])"
    " OR r.given <> '' AND r.middle = '' AND l.middle <> '' AND (r.given = l.middle OR r.given = l.middle[1:1]))",
)


FAMILY: Final = Comparison(
    "family",
    (
        _absent("family"),
        _same("same-characters", "han_family"),
        _same("same", "family"),
        _SWAPPED,
        _part("han_family"),
        _typo("family", 1),
        Level(
            "part-of-double",
            Verdict.CLOSE,
            _latin_part,
            "(least(length(l.family), length(r.family)) > 2 AND " + _one_in_other_sql("family") + ")",
        ),
        _typo("family", 2, "two-slips"),
        _alike("family", 0.9, "alike", Verdict.CLOSE),
        _alike("family", 0.8, "distant", Verdict.DIFFER),
        _else(),
    ),
    lambda a, b: a.han_family if a.han_family and a.han_family == b.han_family else a.family,
    "CASE WHEN l.han_family <> '' AND l.han_family = r.han_family THEN l.han_family ELSE l.family END",
    ("same-characters", "same"),
)
GIVEN: Final = Comparison(
    "given",
    (
        _absent("given"),
        _same("same-characters", "han_given"),
        Level(
            "sounds-the-same",
            Verdict.CLOSE,
            lambda a, b: _both_han(a, b) and a.given == b.given,
            "(l.han_given <> '' AND r.han_given <> '' AND l.given = r.given)",
        ),
        _same("same", "given"),
        Level(
            "same-in-another-reading",
            Verdict.AGREE,
            lambda a, b: not _both_han(a, b) and bool(a.spelt & b.spelt),
            "(NOT (l.han_given <> '' AND r.han_given <> '') AND list_has_any(l.spelt, r.spelt))",
        ),
        _SWAPPED,
        _same("looks-alike", "shape", Verdict.CLOSE),
        Level(
            "sounds-alike",
            Verdict.CLOSE,
            lambda a, b: bool(a.han_given or b.han_given) and a.sound != "" and a.sound == b.sound,
            "((l.han_given <> '' OR r.han_given <> '') AND l.sound <> '' AND l.sound = r.sound)",
        ),
        _part("han_given"),
        Level(
            "one-character",
            Verdict.PARTIAL,
            _one_character,
            "list_has_any(string_split(l.han_given, ''), string_split(r.han_given, ''))"
            " AND l.han_given <> '' AND r.han_given <> ''",
        ),
        Level(
            "nickname",
            Verdict.CLOSE,
            lambda a, b: bool(a.nicknames & b.nicknames),
            "list_has_any(l.nicknames, r.nicknames)",
        ),
        Level(
            "initial",
            Verdict.CLOSE,
            _initial,
            "(least(length(l.given), length(r.given)) = 1 AND l.given[1:1] = r.given[1:1])",
        ),
        _BY_MIDDLE_NAME,
        _in_latin(_typo("given", 1), 4),
        _in_latin(_typo("given", 2, "two-slips"), 8),
        _in_latin(_alike("given", 0.9, "alike", Verdict.CLOSE), 8),
        _alike("given", 0.8, "distant", Verdict.DIFFER),
        _else(),
    ),
    lambda a, b: a.han_given if a.han_given and a.han_given == b.han_given else a.given,
    "CASE WHEN l.han_given <> '' AND l.han_given = r.han_given THEN l.han_given ELSE l.given END",
    ("same-characters", "same"),
)
MIDDLE: Final = Comparison(
    "middle",
    (
        _absent("middle"),
        _same("same", "middle"),
        Level("initial", Verdict.CLOSE, lambda a, b: a.middle[:1] == b.middle[:1], "(l.middle[1:1] = r.middle[1:1])"),
        _else(),
    ),
)

# birth, sex, numbers --------------------------------------------------------------------------------------------------


def _turned(a: Traits, b: Traits) -> bool:
    return len(a.birth) == len(b.birth) == 8 and a.birth[:4] + a.birth[6:] + a.birth[4:6] == b.birth


def _year_off(a: Traits, b: Traits) -> bool:
    return len(a.birth) == len(b.birth) == 8 and a.birth[4:] == b.birth[4:]


def _conflict(a: Traits, b: Traits) -> bool:
    agreeing = {one.partition(":")[0] for one in a.strong & b.strong}
    return bool(agreeing) and len(agreeing) < len(a.kinds & b.kinds)


def _mistyped(a: Traits, b: Traits) -> bool:
    """One or two digits apart. Where both pass their check they are two people's: twins' numbers follow each other."""
    if a.number in a.strong and b.number in b.strong:
        return False
    return a.number != b.number and min(len(a.number), len(b.number)) > 2 and within(a.number, b.number, 2)


_FULL: Final = "length(l.birth) = 8 AND length(r.birth) = 8"
BIRTH: Final = Comparison(
    "birth-date",
    (
        _absent("birth"),
        Level("same", Verdict.AGREE, lambda a, b: len(a.birth) == 8 and a.birth == b.birth,
              "(length(l.birth) = 8 AND l.birth = r.birth)"),
        Level("less-precise", Verdict.CLOSE, lambda a, b: a.birth.startswith(b.birth) or b.birth.startswith(a.birth),
              "(starts_with(l.birth, r.birth) OR starts_with(r.birth, l.birth))"),
        Level("day-and-month-swapped", Verdict.CLOSE, _turned,
              f"({_FULL} AND l.birth[1:4] || l.birth[7:8] || l.birth[5:6] = r.birth)"),
        _typo("birth", 1, "one-digit"),
        Level("year", Verdict.PARTIAL, _year_off, f"({_FULL} AND l.birth[5:8] = r.birth[5:8])"),
        _typo("birth", 2, "two-digits", Verdict.PARTIAL),
        Level("same-year", Verdict.DIFFER, lambda a, b: a.birth[:4] == b.birth[:4], "(l.birth[1:4] = r.birth[1:4])"),
        _else(),
    ),
)  # fmt: skip
SEX: Final = Comparison("sex", (_absent("sex"), _same("same", "sex"), _else()))
IDENTIFIER: Final = Comparison(
    "identifier",
    (
        Level("conflict", Verdict.CONFLICT, _conflict,
              "(list_has_any(l.strong, r.strong) AND len(list_distinct(list_transform(list_intersect(l.strong,"
              " r.strong), lambda x: split_part(x, ':', 1)))) < len(list_intersect(l.kinds, r.kinds)))"),
        Level("same", Verdict.AGREE, lambda a, b: bool(a.strong & b.strong), "list_has_any(l.strong, r.strong)"),
        Level("mistyped", Verdict.CLOSE, _mistyped,
              "(NOT (list_contains(l.strong, l.number) AND list_contains(r.strong, r.number))"
              " AND l.number <> r.number AND least(length(l.number), length(r.number)) > 2"
              " AND abs(length(l.number) - length(r.number)) <= 2 AND damerau_levenshtein(l.number, r.number) <= 2)"),
        Level("absent", Verdict.ABSENT, lambda a, b: not a.kinds & b.kinds, "NOT list_has_any(l.kinds, r.kinds)"),
        _else(),
    ),
)  # fmt: skip
PHONE: Final = Comparison("phone", _shared("phones"))

# address: how many of its parts agree, so that what goes together is not counted over and over ------------------------

_CROSSED: Final = {"street": "line", "line": "street"}


def _part_agrees(a: Traits, b: Traits, part: str) -> bool:
    """The same, but for a slip in a longer text; a second line may stand first."""
    x, y = getattr(a, part), getattr(b, part)
    if x and y and (x == y or (part != "house" and min(len(x), len(y)) > 3 and within(x, y, 1))):
        return True
    return part in _CROSSED and bool(x) and x == getattr(b, _CROSSED[part])


def _part_agrees_sql(part: str) -> str:
    x, y = f"l.{part}", f"r.{part}"
    near = f" OR least(length({x}), length({y})) > 3 AND abs(length({x}) - length({y})) <= 1"
    near += f" AND damerau_levenshtein({x}, {y}) <= 1"
    both = f"({x} <> '' AND {y} <> '' AND ({x} = {y}{'' if part == 'house' else near}))"
    crossed = f" OR ({x} <> '' AND {x} = r.{_CROSSED[part]})" if part in _CROSSED else ""
    return f"CASE WHEN {both}{crossed} THEN 1 ELSE 0 END"


def _at_least(count: int, parts: tuple[str, ...], name: str, verdict: Verdict) -> Level:
    agreeing = " + ".join(map(_part_agrees_sql, parts))
    return Level(
        name,
        verdict,
        lambda a, b: sum(_part_agrees(a, b, part) for part in parts) >= count,
        f"({agreeing} >= {count})",
    )


_STREET: Final = ("house", "street", "line")
_PLACE: Final = ("city", "postcode")
ADDRESS: Final = Comparison(
    "address",
    (
        _absent(*_STREET),
        _at_least(3, _STREET, "three-parts", Verdict.AGREE),
        _at_least(2, _STREET, "two-parts", Verdict.AGREE),
        _at_least(1, _STREET, "one-part", Verdict.PARTIAL),
        _else(),
    ),
)
PLACE: Final = Comparison(
    "place",
    (
        _absent(*_PLACE),
        _at_least(2, _PLACE, "both", Verdict.AGREE),
        _at_least(1, _PLACE, "one-of-two", Verdict.PARTIAL),
        _else(),
    ),
)
TWIN: Final = Comparison(
    "multiple-birth",
    (
        Level("absent", Verdict.ABSENT, lambda a, b: not a.twin or not b.twin, "(l.twin = 0 OR r.twin = 0)"),
        Level("same", Verdict.AGREE, lambda a, b: a.twin == b.twin, "l.twin = r.twin"),
        _else(),
    ),
)
NEWBORN: Final = Comparison(
    "newborn",
    (
        Level("named", Verdict.ABSENT, lambda a, b: not (a.newborn or b.newborn), "NOT (l.newborn OR r.newborn)"),
        Level("unnamed", Verdict.PARTIAL, lambda a, b: True, "TRUE"),
    ),
)

# for the rules: what no weight may decide ---------------------------------------------------------------------------

GENERATION_YEARS: Final = 12  # fewer lie between no parent and child
OLDEST: Final = 130  # years; who is older, or not born yet, is miswritten and says nothing of a generation


def _year(birth: str) -> int | None:
    """The year of birth, where somebody can have been born in it."""
    year, now = birth[:4], clock.now().year
    return int(year) if year.isascii() and year.isdecimal() and now - OLDEST <= int(year) <= now else None


def _years_apart(a: Traits, b: Traits) -> int | None:
    first, second = _year(a.birth), _year(b.birth)
    return None if first is None or second is None else abs(first - second)


def _no_generation(a: Traits, b: Traits) -> bool:
    return _years_apart(a, b) is None and not (a.suffix and b.suffix)


def _one_generation(a: Traits, b: Traits) -> bool:
    return (_years_apart(a, b) or 0) < GENERATION_YEARS and not (a.suffix and b.suffix and a.suffix != b.suffix)


_YEAR: Final = (
    "CASE WHEN TRY_CAST({side}.birth[1:4] AS INTEGER) BETWEEN year(today()) - " + str(OLDEST) + " AND year(today())"
    " THEN TRY_CAST({side}.birth[1:4] AS INTEGER) END"
)
_YEARS: Final = f"abs({_YEAR.format(side='l')} - {_YEAR.format(side='r')})"
GENERATION: Final = Comparison(
    "generation",
    (
        Level("absent", Verdict.ABSENT, _no_generation,
              f"({_YEARS} IS NULL AND (l.suffix = '' OR r.suffix = ''))"),
        Level("same", Verdict.AGREE, _one_generation,
              f"(coalesce({_YEARS}, 0) < {GENERATION_YEARS}"
              " AND (l.suffix = '' OR r.suffix = '' OR l.suffix = r.suffix))"),
        _else(),
    ),
)  # fmt: skip


def _two_numbers(a: Traits, b: Traits) -> bool:
    """Both have a number of one kind: not the same, nor mistyped."""
    kinds = {one.number.partition(":")[0] for one in (a, b)}
    return (
        bool(a.number and b.number) and len(kinds) == 1 and a.number != b.number and not within(a.number, b.number, 2)
    )


NUMBER: Final = Comparison(
    "number",
    (
        Level("absent", Verdict.ABSENT, lambda a, b: not _two_numbers(a, b),
              "(l.number = '' OR r.number = '' OR split_part(l.number, ':', 1) <> split_part(r.number, ':', 1)"
              " OR l.number = r.number OR abs(length(l.number) - length(r.number)) <= 2"
              " AND damerau_levenshtein(l.number, r.number) <= 2)"),
        _else(),
    ),
)  # fmt: skip
TONE: Final = Comparison(
    "tone",
    (
        Level("absent", Verdict.ABSENT, lambda a, b: not a.tone or not b.tone, "(l.tone = '' OR r.tone = '')"),
        _same("same", "tone"),
        _else(),
    ),
)
BORNE: Final = Comparison(
    "borne-names",
    (
        Level("absent", Verdict.ABSENT, lambda a, b: not (a.borne and b.borne and a.given != b.given),
              "NOT (l.borne AND r.borne AND l.given <> r.given)"),
        Level("two-names", Verdict.PARTIAL, lambda a, b: True, "TRUE"),
    ),
)  # fmt: skip

WEIGHED: Final = (IDENTIFIER, FAMILY, GIVEN, MIDDLE, BIRTH, SEX, PHONE, ADDRESS, PLACE)
"""The fields that add to the weight."""
COMPARISONS: Final = (*WEIGHED, TWIN, NEWBORN, GENERATION, NUMBER, TONE, BORNE)
FIELDS: Final = tuple(one.field for one in COMPARISONS)


def compare(a: Traits, b: Traits) -> dict[str, Level]:
    """The level of each of FIELDS; the same whichever comes first."""
    return {one.field: one.levels[one.level(a, b)] for one in COMPARISONS}
