"""What a piece of the record is, for consent: one category, and the sensitive labels it bears, as bits of an integer.

Low 16 bits: exactly one category. High 16 bits: labels (HIV, mental health ...). The tables are data/categories.json;
which codes bring a label is said by ValueSets (sensitive.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

import orjson

from xinglin.access.sensitive import Sets, read

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


_sets: Sets | None = None


def use_sensitive(folder: str) -> None:
    """Label by the installation's own ValueSets ("": those shipped). Raises Invalid where they cannot be used."""
    global _sets
    _sets = read(folder, (row["value_set"] for row in _data()["labels"]))
    _label_bits.cache_clear()


def labelled_by() -> str:
    """What records are labelled by now, to compare with what they were labelled by."""
    return _in_force().fingerprint


def _in_force() -> Sets:
    if _sets is None:
        use_sensitive("")
    assert _sets is not None
    return _sets


@lru_cache(maxsize=1 << 16)
def _label_bits(system: str, code: str) -> int:
    """Bits of the labels whose ValueSets hold a code."""
    holds, bits = _in_force().holds, 0
    for label, row in zip(labels(), _data()["labels"], strict=True):
        bits |= label.bit if holds[row["value_set"]](system, code) else 0
    return bits


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
    return bit | _security_bits(resource) | _coded_bits(resource)


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


def _coded_bits(node: dict[str, Any]) -> int:
    """Labels of the codes in a resource, or in a part of one."""
    bits, elements = 0, _elements()
    for name, value in node.items():
        if name in elements and isinstance(value, dict | list):
            for concept in value if isinstance(value, list) else (value,):
                if isinstance(concept, dict):
                    bits |= _concept_bits(concept) if "coding" in concept else _coded_bits(concept)
    return bits


def _concept_bits(concept: dict[str, Any]) -> int:
    bits = 0
    for coding in concept["coding"]:
        bits |= _label_bits(coding.get("system", ""), coding.get("code", ""))
    return bits


@cache
def _elements() -> frozenset[str]:
    """Elements that are a CodeableConcept, or a part with such elements."""
    return frozenset(_data()["coded"] + _data()["nested"])


def _codings(concepts: Iterable[Any]) -> Iterator[dict[str, Any]]:
    for concept in concepts:
        if isinstance(concept, dict):
            yield from concept.get("coding", ())
