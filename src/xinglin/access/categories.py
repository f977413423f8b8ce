"""What a piece of the record is, for consent: one category, and the sensitive labels it bears, as bits of an integer.

Low 16 bits: exactly one category. High 16 bits: labels (HIV, mental health ...). The tables are data/categories.json.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson

LABEL_SHIFT: Final = 16
CATEGORY_MASK: Final = (1 << LABEL_SHIFT) - 1
OVERSIGHT: Final = 1 << 15
"""Judgements of accesses: for the privacy officer and the person, never for those who are judged or for others."""
OVERSIGHT_SYSTEM: Final = "https://xinglin.example/fhir/CodeSystem/oversight"


@dataclass(frozen=True, slots=True)
class Category:
    """A category, or a sensitive label, with its names on pages."""

    code: str
    bit: int
    zh: str
    en: str


@cache
def _data() -> dict[str, Any]:
    data: dict[str, Any] = orjson.loads(files("xinglin.access").joinpath("data/categories.json").read_bytes())
    return data


@cache
def categories() -> tuple[Category, ...]:
    return tuple(Category(c["code"], 1 << n, c["zh"], c["en"]) for n, c in enumerate(_data()["categories"]))


@cache
def labels() -> tuple[Category, ...]:
    rows = enumerate(_data()["labels"])
    return tuple(Category(c["code"], 1 << (LABEL_SHIFT + n), c["zh"], c["en"]) for n, c in rows)


def category_system() -> str:
    """The CodeSystem of category codes in a Consent's provision.class."""
    return str(_data()["system"])


def security_system() -> str:
    """The CodeSystem of sensitive labels in meta.security and in a Consent's provision.securityLabel."""
    return str(_data()["security_system"])


@cache
def _bits() -> dict[str, int]:
    return {category.code: category.bit for category in categories()}


@cache
def _bit_of_type() -> dict[str, int]:
    return {name: _bits()[code] for code, names in _data()["types"].items() for name in names}


@cache
def _bit_of_observation() -> dict[str, int]:
    return {code: _bits()[category] for category, codes in _data()["observation"].items() for code in codes}


@cache
def _label_of_security() -> dict[str, int]:
    pairs = zip(labels(), _data()["labels"], strict=True)
    return {code: label.bit for label, row in pairs for code in row["security"]}


@cache
def _label_of_icd10() -> tuple[tuple[str, int], ...]:
    pairs = zip(labels(), _data()["labels"], strict=True)
    return tuple((prefix, label.bit) for label, row in pairs for prefix in row["icd10"])


def types_of(category_bits: int) -> frozenset[str]:
    """Resource types that a set of category bits may bring (for messages and previews)."""
    return frozenset(name for name, bit in _bit_of_type().items() if bit & category_bits)


def bits_of_code(system: str | None, code: str) -> int:
    """Bits that a coding of a Consent stands for: a category, a label, or a resource type; 0 for an unknown one."""
    if system == category_system():
        return _bits().get(code, 0)
    if system == security_system():
        return _label_of_security().get(code, 0)
    if system == "http://hl7.org/fhir/resource-types":
        extra = _bits()["laboratory"] | _bits()["documents"] if code in ("Observation", "DiagnosticReport") else 0
        return _bit_of_type().get(code, 0) | extra
    return 0


def classify(resource: dict[str, Any]) -> int:
    """Category bit and label bits of a resource."""
    kind = resource.get("resourceType", "")
    if kind in ("Task", "Communication") and _is_oversight(resource):
        return OVERSIGHT
    bit = _bit_of_type().get(kind, _bits()["other"])
    if kind in ("Observation", "DiagnosticReport"):
        bit = _observation_bit(resource, bit)
    return bit | _security_bits(resource) | _diagnosis_bits(resource, kind)


def _is_oversight(resource: dict[str, Any]) -> bool:
    concepts = [resource["code"]] if isinstance(resource.get("code"), dict) else []
    concepts += resource.get("category", ())
    return any(coding.get("system") == OVERSIGHT_SYSTEM for coding in _codings(concepts))


def _observation_bit(resource: dict[str, Any], otherwise: int) -> int:
    by_code = _bit_of_observation()
    for coding in _codings(resource.get("category", ())):
        bit = by_code.get(coding.get("code", ""))
        if bit:
            return bit
    return otherwise


def _security_bits(resource: dict[str, Any]) -> int:
    security = resource.get("meta", {}).get("security")
    if not security:
        return 0
    by_code, bits = _label_of_security(), 0
    for coding in security:
        bits |= by_code.get(coding.get("code", ""), 0)
    return bits


def _diagnosis_bits(resource: dict[str, Any], kind: str) -> int:
    if kind not in ("Condition", "Encounter", "MedicationRequest", "ServiceRequest", "Procedure"):
        return 0
    code = resource.get("code")
    concepts = [code] if isinstance(code, dict) else []
    bits = 0
    for coding in _codings([*concepts, *resource.get("reasonCode", ())]):
        if coding.get("system") in _data()["icd10_systems"]:
            bits |= _icd10_bits(coding.get("code", ""))
    return bits


@cache
def _icd10_bits(code: str) -> int:
    matching = [(len(prefix), bit) for prefix, bit in _label_of_icd10() if code.startswith(prefix)]
    return max(matching)[1] if matching else 0


def _codings(concepts: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for concept in concepts:
        yield from concept.get("coding", ())
