"""Identifiers that name one person in a country, and whether one is well formed.

Our own, since the common library refuses residence permits (prefixes 81 to 83) and accepts NHS numbers that cannot be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

_WEIGHTS: Final = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS: Final = "10X98765432"
_RESIDENT: Final = re.compile(r"[1-9][0-9]{16}[0-9X]", re.ASCII)


def fold_identifier(value: str) -> str:
    """Letters and digits, in capitals and of one width: how identifiers are compared."""
    return "".join(c for c in unicodedata.normalize("NFKC", value).upper() if c.isalnum())


def is_resident_id(value: str) -> bool:
    """A Chinese resident ID or residence permit, GB 11643-1999: check character right, birth date one that exists."""
    if not _RESIDENT.fullmatch(value) or resident_birth(value) is None:
        return False
    return _CHECKS[sum(int(digit) * weight for digit, weight in zip(value, _WEIGHTS, strict=False)) % 11] == value[17]


def resident_birth(value: str) -> date | None:
    """The birth date that a resident ID states, or None where there is no such day."""
    try:
        return date(int(value[6:10]), int(value[10:12]), int(value[12:14]))
    except ValueError:
        return None


def resident_gender(value: str) -> str:
    """FHIR administrative gender that a valid resident ID states: an odd 17th digit is male."""
    return "male" if int(value[16]) % 2 else "female"


def is_nhs_number(value: str) -> bool:
    """An NHS number of England: ten digits, the last a check digit (mod 11); ten equal digits are never issued."""
    if not re.fullmatch(r"[0-9]{10}", value, re.ASCII) or len(set(value)) == 1:
        return False
    if value in ("9876543210", "0123456789"):
        return False
    check = 11 - sum(int(digit) * weight for digit, weight in zip(value, range(10, 1, -1), strict=False)) % 11
    return check % 11 == int(value[9]) and check != 10


_CHECKED: Final = {"resident-id": is_resident_id, "nhs-number": is_nhs_number}


@dataclass(frozen=True, slots=True, order=True)
class Strong:
    """An identifier that a person has alone: `kind` of strong_identifiers.json, `value` folded."""

    kind: str
    value: str


@cache
def _kinds() -> list[dict[str, Any]]:
    kinds: list[dict[str, Any]] = orjson.loads(files(__package__).joinpath("strong_identifiers.json").read_bytes())[
        "kinds"
    ]
    return kinds


def strong_identifiers(patient: dict[str, Any]) -> frozenset[Strong]:
    """The identifiers of a Patient that name one person; badly formed, old and temporary ones do not count."""
    return frozenset(strong for entry in patient.get("identifier", ()) for strong in _strong(entry))


def _strong(entry: dict[str, Any]) -> Iterator[Strong]:
    value = fold_identifier(entry.get("value", ""))
    if not value or entry.get("use") in ("old", "temp"):
        return
    system = entry.get("system", "")
    for kind in _kinds():
        if not _is_of(kind, entry):
            continue
        check = _CHECKED.get(kind["check"])
        if (check(value) if check else re.fullmatch(kind["form"], value)) and len(set(value)) > 2:
            yield Strong(kind["kind"], f"{system}|{value}" if kind["scoped"] else value)
            return


def national_numbers(patient: dict[str, Any]) -> frozenset[Strong]:
    """Identifiers of the kinds that name one person, also those whose check fails: for telling a mistyped one."""
    return frozenset(
        Strong(kind["kind"], value)
        for entry in patient.get("identifier", ())
        if (value := fold_identifier(entry.get("value", ""))) and entry.get("use") not in ("old", "temp")
        for kind in _kinds()
        if _is_of(kind, entry)
    )


def _is_of(kind: dict[str, Any], entry: dict[str, Any]) -> bool:
    if "type" not in entry:
        return entry.get("system", "") in kind["systems"]
    codes = {coding.get("code") for coding in entry.get("type", {}).get("coding", ())}
    return entry.get("system", "") in kind["systems"] or bool(codes & set(kind["types"]))
