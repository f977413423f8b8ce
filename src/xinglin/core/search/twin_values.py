"""The twin's reading of single values: what a written value means for one (value, FHIR type) pair, spelled out."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from xinglin.core import ucum
from xinglin.core.search.query import DateValue, NumberValue, TokenValue, TypedIdentifier
from xinglin.core.search.references import local_reference
from xinglin.core.search.values import CURRENCY, UCUM, fold, moment_range, quantity_bounds, unit_of

Typed = tuple[Any, str]
BOOLEANS = "http://terminology.hl7.org/CodeSystem/special-values"


def coded(item: Typed, systems: Mapping[str, str]) -> list[tuple[str, str]]:
    """(system, code) of a value, system "" where it has none."""
    value, kind = item
    if kind == "CodeableConcept":
        found = [(c.get("system") or "", c.get("code")) for c in value.get("coding") or ()]
    elif kind == "Coding":
        found = [(value.get("system") or "", value.get("code"))]
    elif kind == "Identifier":
        found = [(value.get("system") or "", value.get("value"))]
    elif kind == "ContactPoint":
        found = [("", value.get("value"))]
    elif kind == "Extension":
        inner = next(((v, k[5:]) for k, v in value.items() if k.startswith("value")), None)
        return coded((inner[0], inner[1] if isinstance(inner[0], dict) else "string"), {}) if inner else []
    elif isinstance(value, bool):
        found = [(BOOLEANS, str(value).lower())]
    else:
        found = [(systems.get(str(value), ""), str(value))]
    return [(system, code) for system, code in found if code]


def token_holds(item: Typed, wanted: TokenValue, systems: Mapping[str, str]) -> bool:
    if wanted.code is None:
        if item[1] == "Identifier":
            return bool(item[0].get("system") == wanted.system)
        if item[1] == "CodeableConcept":
            return any(c.get("system") == wanted.system for c in item[0].get("coding") or ())
        if item[1] == "Coding":
            return bool(item[0].get("system") == wanted.system)
        return any(system == wanted.system for system, _ in coded(item, systems)) and isinstance(item[0], str)
    return any(code == wanted.code and wanted.system in (None, system) for system, code in coded(item, systems))


def typed_identifier(item: Typed, wanted: TypedIdentifier) -> bool:
    value, kind = item
    types = (value.get("type") or {}).get("coding") or () if kind == "Identifier" else ()
    return any(
        (t.get("system") or "", t.get("code"), value.get("value")) == (wanted.system, wanted.code, wanted.value)
        for t in types
    )


def display_texts(item: Typed) -> list[str]:
    value, kind = item
    if kind == "CodeableConcept":
        return [t for t in [value.get("text"), *(c.get("display") for c in value.get("coding") or ())] if t]
    if kind == "Coding":
        return [value["display"]] if value.get("display") else []
    if kind == "Identifier":
        text = (value.get("type") or {}).get("text")
        return [text] if text else []
    return []


def name_texts(item: Typed) -> list[str]:
    """The texts of a string, a name, an address, or a concept."""
    value, kind = item
    if isinstance(value, str):
        return [value]
    if kind == "HumanName":
        given, family = value.get("given") or [], value.get("family") or ""
        joined = " ".join([*given, family]) if (family + "".join(given)).isascii() else family + "".join(given)
        parts = [
            value.get("text") or joined,
            family,
            *given,
            *(value.get("prefix") or []),
            *(value.get("suffix") or []),
        ]
        return [part for part in parts if part]
    if kind == "Address":
        names = ("text", "city", "district", "state", "country", "postalCode")
        return [part for part in [*(value.get("line") or []), *(value.get(name) for name in names)] if part]
    if kind == "Extension":
        return [v for k, v in value.items() if k.startswith("value") and isinstance(v, str)]
    return display_texts(item)


def text_holds(text: str, wanted: str, modifier: str | None) -> bool:
    if modifier == "exact":
        return text == wanted
    have, want = fold(text), fold(wanted)
    if not want:
        return False
    return {"contains": want in have, "equals": have == want, "ends": have.endswith(want)}.get(
        modifier or "", have.startswith(want)
    )


def uri_holds(item: Typed, wanted: str, modifier: str | None) -> bool:
    have = item[0]
    if modifier == "below":
        stem = wanted.rstrip("/")
        return have in (wanted, stem) or have.startswith(stem + "/")
    if modifier == "above":
        stem = have.rstrip("/")
        return bool(wanted == have or (len(stem) > wanted.find("//") + 2 and wanted.startswith(stem + "/")))
    return bool(have == wanted)


def written(item: Typed) -> list[str]:
    """The text of a reference, a canonical, or the name of a resource that stands in place."""
    value, kind = item
    if isinstance(value, str):
        return [value]
    if kind == "Reference":
        return [value["reference"]] if value.get("reference") else []
    return [f"{value['resourceType']}/{value['id']}"] if value.get("resourceType") and value.get("id") else []


def refers_at_all(item: Typed) -> bool:
    return bool(written(item)) or (isinstance(item[0], dict) and bool(item[0].get("identifier")))


def same_reference(text: str, target: str) -> bool:
    local = local_reference(text)
    return bool(local) and target in (local, local.partition("|")[0])


def logical_identifier(item: Typed, wanted: TokenValue) -> bool:
    found = item[0].get("identifier") if isinstance(item[0], dict) else None
    return bool(found) and token_holds((found, "Identifier"), wanted, {}) and wanted.code is not None


def moments(item: Typed) -> tuple[int, int] | None:
    return moment_range(*item)


def date_holds(have: tuple[int, int], wanted: DateValue, now: int) -> bool:
    """https://hl7.org/fhir/R4/search.html#prefix, line by line."""
    low, high = have
    inside = wanted.low <= low and high <= wanted.high
    slack = abs(now - (wanted.low + wanted.high) // 2) // 10
    return {
        "eq": inside and low < wanted.high,
        "ne": not inside,
        "gt": high > wanted.high,
        "lt": low < wanted.low,
        "ge": high > wanted.low and (high > wanted.high or inside),
        "le": low < wanted.high and (low < wanted.low or inside),
        "sa": low >= wanted.high,
        "eb": high <= wanted.low,
        "ap": high > wanted.low - slack and low < wanted.high + slack,
        "po": high > wanted.low and low < wanted.high,
    }[wanted.prefix]


def bounds(item: Typed) -> tuple[float, float] | None:
    value, kind = item
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float | Decimal):
        return float(value), float(value)
    return quantity_bounds(value, kind)


def number_holds(item: Typed, wanted: NumberValue) -> bool:
    have = bounds(item)
    if have is None:
        return False
    if wanted.code is None:
        return in_range(have, wanted.value, (wanted.low, wanted.high), wanted.prefix)
    system, code = unit_of(*item) if isinstance(item[0], dict) else ("", "")
    systems = (wanted.system,) if wanted.system else ("", UCUM, CURRENCY)
    ends = wanted.low, wanted.high
    if code == wanted.code and system in systems and in_range(have, wanted.value, ends, wanted.prefix):
        return True
    if not code or system not in ("", UCUM) or wanted.system not in ("", UCUM):
        return False
    if not ucum.comparable(code, wanted.code):
        return False
    low, high = converted(have[0], code), converted(have[1], code)
    ends = converted(wanted.low, wanted.code), converted(wanted.high, wanted.code)
    return in_range((low, high), converted(wanted.value, wanted.code), ends, wanted.prefix)


def converted(value: float, code: str) -> float:
    if value in (float("inf"), float("-inf")):
        return value
    found = ucum.canonical(Decimal(repr(value)), code)
    assert found is not None
    return float(found[0])


def in_range(have: tuple[float, float], value: float, ends: tuple[float, float], prefix: str) -> bool:
    low, high = have
    inside = ends[0] <= low and high < ends[1] and low < ends[1]
    slack = abs(value) / 10
    return {
        "eq": inside,
        "ne": not (ends[0] <= low and high < ends[1]),
        "gt": high > value,
        "lt": low < value,
        "ge": high >= value,
        "le": low <= value,
        "sa": low > value,
        "eb": high < value,
        "ap": high >= value - slack and low <= value + slack,
    }[prefix]


def sort_keys(item: Typed, kind: str) -> list[Any]:
    """What a value is ordered by."""
    if kind == "string":
        return [fold(text).encode() for text in name_texts(item)]
    if kind == "uri":
        return [item[0].encode()]
    if kind == "date":
        found = moments(item)
        return [found[0]] if found else []
    if kind in ("number", "quantity"):
        have = bounds(item)
        if have is None:
            return []
        system, code = unit_of(*item) if isinstance(item[0], dict) else ("", "")
        known = code and system in ("", UCUM) and ucum.comparable(code, code)
        return [converted(have[0], code) if known else have[0]]
    if kind == "reference":
        return [text.encode() for text in written(item)]
    if isinstance(item[0], bool):
        return [str(item[0]).lower().encode()]
    return [code.encode() for _, code in coded(item, {})]
