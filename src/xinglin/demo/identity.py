"""Numbers and places that look real and can belong to nobody. The reasons are told in docs/reference/demo-county.md.

* Resident IDs begin with 29: GB/T 2260 numbers the provinces of the North-East 21, 22 and 23 and has never given 24-29.
* Mobile numbers begin with 154, the one block of 15x that the numbering plan has given to no operator; landlines
  with area code 0300, below the first code in use of its series (0310).
* Province, prefecture, county, towns and villages are invented.
"""

from __future__ import annotations

from datetime import date

RESIDENT_ID_SYSTEM = "urn:oid:2.16.156.10011.1.3"  # identifier of the resident ID in WS/T 500 shared documents
BASE = "https://xinglin.example/fhir"
ID_PROVINCE = "29"
MOBILE_PREFIX = "154"
AREA_CODE = "0300"
STATE, CITY, DISTRICT = "榆江省", "杏州市", "杏林县"

_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"
_IDS_PER_PREFIX = 500
_COUNTIES = 28
# One multiplier per place that hands out numbers, none sharing a factor with the modulus: each is a shuffle, so
# numbers never repeat within a place and never betray that two places mean the same person.
_SHUFFLE = 1_000_000
_MULTIPLIERS = {"hx": 1, "tc": 611_953, "qn": 741_457, "jj": 350_377, "xh": 867_371}

TOWNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("董奉街道", "hx", ("杏坛社区", "虎守社区", "橘香社区", "仁术社区")),
    ("青囊镇", "qn", ("当归村", "茯苓村", "紫苏村", "白芷村", "连翘村", "远志村")),
    ("橘井镇", "jj", ("丹参村", "半夏村", "忍冬村", "杜仲村", "甘草村", "桔梗村")),
)


def check_character(seventeen: str) -> str:
    """The 18th character of a resident ID (GB 11643-1999, ISO 7064 MOD 11-2)."""
    return _CHECKS[sum(int(d) * w for d, w in zip(seventeen, _WEIGHTS, strict=True)) % 11]


def resident_id(index: int, birth: date, female: bool, seed: int) -> str:
    """A valid number, unique by `index` whatever the birth date: 500 order numbers a sex under each invented county."""
    group, place = divmod(index, _IDS_PER_PREFIX)
    group_city, group_county = divmod(group, _COUNTIES)
    order = (place * 167 + seed) % _IDS_PER_PREFIX * 2 + (not female)
    stem = f"{ID_PROVINCE}{group_city + 1:02d}{group_county + 21:02d}{birth:%Y%m%d}{order:03d}"
    return stem + check_character(stem)


def mistyped(number: str) -> str:
    """The number with two neighbouring digits of the birth date swapped: the check character no longer agrees."""
    for place in range(13, 6, -1):
        if number[place] != number[place - 1]:
            return f"{number[: place - 1]}{number[place]}{number[place - 1]}{number[place + 1 :]}"
    return f"{number[:16]}{(int(number[16]) + 2) % 10}{number[17]}"


def mobile(number: int) -> str:
    """A mobile number in the reserved block; unique for numbers below 100 million."""
    return f"{MOBILE_PREFIX}{number * 61_803_399 % 100_000_000:08d}"


def local_number(prefix: str, index: int, seed: int) -> int:
    """The number under which an institution files person `index`: below one million, unique within the institution."""
    return (index * _MULTIPLIERS[prefix] + (seed % 1000 * 7 if prefix != "hx" else 0)) % _SHUFFLE
