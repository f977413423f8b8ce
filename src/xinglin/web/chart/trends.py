"""Observations of one code over time, as the trend chart and its table draw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from xinglin.ui.formats import flagged, unit_text
from xinglin.ui.parts import Point, Series
from xinglin.web.chart.timeline import Dated
from xinglin.web.chart.words import Resource, label, value_of

Quantity = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Trend:
    """All numeric values of one code, oldest first. `latest` is worded; `flag` is "high", "low" or ""."""

    code: str
    title: str
    series: tuple[Series, ...]
    points: tuple[Point, ...]
    latest: str
    when: str
    flag: str
    institution: str

    @property
    def count(self) -> int:
        return len(self.points)


def code_of(observation: Resource) -> str:
    """The code that groups a trend: LOINC where there is one, else the first coding, else the text."""
    codings: Sequence[Mapping[str, Any]] = observation.get("code", {}).get("coding", ())
    loinc = next((c["code"] for c in codings if c.get("system") == "http://loinc.org" and "code" in c), None)
    first = next((c["code"] for c in codings if "code" in c), None)
    return str(loinc or first or observation.get("code", {}).get("text", ""))


def trends(items: Iterable[Dated]) -> list[Trend]:
    """Every code that has a number, the most recently measured first."""
    by_code: dict[str, list[Dated]] = {}
    for item in items:
        if numbers(item.resource):
            by_code.setdefault(code_of(item.resource), []).append(item)
    found = [_trend(code, sorted(group, key=lambda item: item.when)) for code, group in by_code.items()]
    return sorted(found, key=lambda trend: trend.when, reverse=True)


def numbers(observation: Resource) -> list[Resource]:
    """The parts of an observation that carry a number: itself, or its components."""
    parts = [observation, *observation.get("component", ())]
    return [part for part in parts if "value" in part.get("valueQuantity", {})]


def _trend(code: str, group: Sequence[Dated]) -> Trend:
    """Points in the unit of the newest value: a value in another unit is left to the record's own page."""
    newest = group[-1]
    parts = {code_of(part): part for part in numbers(newest.resource)}
    points = [point for item in group if (point := _point(item, parts)) is not None]
    return Trend(
        code=code,
        title=label(newest.resource["code"]),
        series=tuple(_series(part) for part in parts.values()),
        points=tuple(points),
        latest=value_of(newest.resource),
        when=newest.when,
        flag=flag_of(newest.resource),
        institution=newest.institution_name,
    )


def _series(part: Resource) -> Series:
    low, high = range_of(part)
    return Series(label(part["code"]), unit_text(str(part["valueQuantity"].get("unit", ""))), low, high)


def _point(item: Dated, wanted: Mapping[str, Resource]) -> Point | None:
    own = {code_of(part): part["valueQuantity"] for part in numbers(item.resource)}
    values = tuple(_in_unit(own.get(code), part["valueQuantity"]) for code, part in wanted.items())
    if not item.when or all(value is None for value in values):
        return None
    return Point(item.when, values, item.institution_name)


def _in_unit(value: Quantity | None, like: Quantity) -> Decimal | None:
    if value is None or (value.get("code") or value.get("unit")) != (like.get("code") or like.get("unit")):
        return None
    return Decimal(str(value["value"]))


def range_of(part: Resource) -> tuple[Decimal | None, Decimal | None]:
    """The first reference range's ends."""
    for given in part.get("referenceRange", ()):
        low, high = given.get("low", {}).get("value"), given.get("high", {}).get("value")
        if low is not None or high is not None:
            return (
                None if low is None else Decimal(str(low)),
                None if high is None else Decimal(str(high)),
            )
    return None, None


_INTERPRETATIONS = {"H": "high", "HH": "high", "HU": "high", "L": "low", "LL": "low", "LU": "low", "N": "", "A": "high"}


def flag_of(observation: Resource) -> str:
    """`high`, `low` or "": what the laboratory said, else what the reference range says."""
    for interpretation in observation.get("interpretation", ()):
        for coding in interpretation.get("coding", ()):
            if coding.get("code") in _INTERPRETATIONS:
                return _INTERPRETATIONS[coding["code"]]
    for part in numbers(observation):
        low, high = range_of(part)
        flag = flagged(part["valueQuantity"]["value"], low, high)
        if flag:
            return flag
    return ""


def latest_of_each(items: Iterable[Dated]) -> list[Dated]:
    """The newest observation of each code, newest first."""
    newest: dict[str, Dated] = {}
    for item in sorted(items, key=lambda item: item.when):
        newest[code_of(item.resource)] = item
    return sorted(newest.values(), key=lambda item: item.when, reverse=True)
