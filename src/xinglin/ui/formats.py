"""FHIR values as a person reads them, in the language and zone of `i18n.speaking`. All are Jinja filters.

Dates without a time never shift by a zone; instants are shown in the clinic's zone. Numbers keep the digits
they were recorded with: 5.60 stays 5.60, since its precision is clinical information.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from itertools import groupby
from typing import Any

from xinglin.ui import i18n
from xinglin.ui.i18n import _, ngettext

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_HAN = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_PARTIAL = re.compile(r"(\d{4})(?:-(\d\d))?(?:-(\d\d))?$")
_TRANSLATION = "http://hl7.org/fhir/StructureDefinition/translation"
NARROW_SPACE = "\u202f"

When = str | date | datetime


def instant(value: When) -> datetime | None:
    """The moment in the clinic's zone, or None where the value names only a day, month or year."""
    if isinstance(value, str):
        if "T" not in value:
            return None
        try:
            value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return aware.astimezone(i18n.zone())


def day(value: When | None) -> str:
    """1 May 2024 · 2024年5月1日; May 2024 where only the month is known; what cannot be read is shown as it is."""
    if value is None:
        return ""
    moment = instant(value)
    text = moment.date().isoformat() if moment else str(value)
    match = _PARTIAL.match(text)
    return _spoken(*match.groups()) if match else text


def _spoken(year: str, month: str | None, day_: str | None) -> str:
    if i18n.language() == "en":
        parts = [str(int(day_)) if day_ else "", _MONTHS[(int(month) - 1) % 12] if month else "", year]
        return " ".join(part for part in parts if part)
    return f"{year}年" + (f"{int(month)}月" if month else "") + (f"{int(day_)}日" if day_ else "")


def short_day(value: When | None) -> str:
    """2024-05-01, for tables."""
    if value is None:
        return ""
    moment = instant(value)
    return moment.date().isoformat() if moment else str(value)


def moment(value: When | None) -> str:
    """1 May 2024, 14:30 · 2024年5月1日 14:30, in the clinic's zone; only the day where no time is known."""
    if value is None:
        return ""
    at = instant(value)
    if at is None:
        return day(value)
    return f"{day(value)}{', ' if i18n.language() == 'en' else ' '}{at:%H:%M}"


def short_moment(value: When | None) -> str:
    """2024-05-01 14:30, for tables."""
    if value is None:
        return ""
    at = instant(value)
    return f"{at:%Y-%m-%d %H:%M}" if at else short_day(value)


def machine_time(value: When | None) -> str:
    """The `datetime` attribute of a <time>."""
    return value.isoformat() if isinstance(value, date) else (value or "")


def number(value: str | int | float | Decimal | None, digits: int | None = None) -> str:
    """Thousands grouped, the recorded digits kept; `digits` rounds to that many decimals."""
    if value is None or value == "":
        return ""
    try:
        exact = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    if not exact.is_finite():
        return str(value)
    text = f"{exact:,f}" if digits is None else f"{exact:,.{digits}f}"
    return text.replace("-", "\u2212")


_POWER = re.compile(r"^10[*^](-?\d{1,3})")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def unit_text(unit: str) -> str:
    """A unit as it is read: UCUM's 10*9/L is ×10⁹/L, lest its digits be taken for the value's; a body's surface too."""
    return _POWER.sub(lambda power: "×10" + power[1].translate(_RAISED), unit).replace("{1.73_m2}", "1.73 m²")


def quantity(value: Mapping[str, Any] | None) -> str:
    """A FHIR Quantity: < 0.05 mmol/L. A percent sign stands without a space."""
    if not value:
        return ""
    unit = unit_text(str(value.get("unit") or value.get("code") or ""))
    space = "" if unit in ("", "%") else NARROW_SPACE
    sign = {"<": "<", "<=": "≤", ">": ">", ">=": "≥"}.get(str(value.get("comparator", "")), "")
    figure = number(value.get("value"))
    return f"{sign}{NARROW_SPACE if sign else ''}{figure}{space if figure else ''}{unit}"


def reference_range(low: Any = None, high: Any = None) -> str:
    """3.9-6.1, ≤ 140, ≥ 60 or nothing, from numbers or Quantities."""
    bounds = [number(bound.get("value") if isinstance(bound, Mapping) else bound) for bound in (low, high)]
    if all(bounds):
        return f"{bounds[0]}\u2013{bounds[1]}"
    if bounds[1]:
        return f"≤{NARROW_SPACE}{bounds[1]}"
    return f"≥{NARROW_SPACE}{bounds[0]}" if bounds[0] else ""


def flagged(value: Any, low: Any = None, high: Any = None) -> str:
    """`high`, `low` or "" of a number against its reference range; the range's own ends are within."""
    try:
        exact = Decimal(str(value))
        if low is not None and exact < Decimal(str(low)):
            return "low"
        return "high" if high is not None and exact > Decimal(str(high)) else ""
    except InvalidOperation:
        return ""


def is_han(text: str) -> bool:
    return bool(_HAN.search(text))


def person_name(value: str | Mapping[str, Any] | Sequence[Mapping[str, Any]] | None) -> str:
    """A FHIR HumanName or list of them. Han names stand without spaces (王秀英).

    An English page adds the Latin name of the record beside it, where there is one; none is made up.
    """
    if isinstance(value, str):
        return _without_han_spaces(value)
    names = [value] if isinstance(value, Mapping) else [name for name in value or () if name]
    names = [name for name in names if name.get("use") != "old"] or list(names)
    shown = [text for text in (_one_name(name) for name in names) if text]
    han = next((text for text in shown if is_han(text)), "")
    latin = next((text for text in shown if not is_han(text)), "")
    if han and latin and i18n.language() == "en":
        return f"{han} {latin}"
    return han or latin or _("No name recorded")


def _one_name(name: Mapping[str, Any]) -> str:
    family, given = str(name.get("family") or ""), [str(part) for part in name.get("given") or ()]
    if is_han(family + "".join(given)):
        return family + "".join(given)
    return " ".join([*given, family]).strip() or _without_han_spaces(str(name.get("text") or ""))


def _without_han_spaces(text: str) -> str:
    return re.sub(r"\s+", "", text) if is_han(text) and not re.search(r"[A-Za-z]", text) else text


def age(birth: str | date | None, on: str | date | None = None) -> str:
    """Age as paediatrics counts: days to 28 days, months and days to a year, years and months to six, then years.

    `on` is the day of reckoning (death, visit); today in the clinic's zone without it.
    """
    text = short_day(birth)
    match = _PARTIAL.match(text)
    if not match:
        return ""
    end = date.fromisoformat(short_day(on)[:10]) if on and len(short_day(on)) >= 10 else _today()
    if not match.group(3):
        return _("about %(years)s") % {"years": _years(max(0, end.year - int(match.group(1))))}
    start = date.fromisoformat(text[:10])
    return _exact_age(start, end) if start <= end else ""


def _exact_age(start: date, end: date) -> str:
    months = (end.year - start.year) * 12 + end.month - start.month - (end.day < start.day)
    if (end - start).days < 28:
        return _days((end - start).days)
    if months < 12:
        spare = (end - _months_later(start, months)).days
        return _joined(_months(months) if months else "", _days(spare) if spare else "")
    years, rest = divmod(months, 12)
    return _joined(_years(years), _months(rest) if years < 6 and rest else "")


def _months_later(start: date, months: int) -> date:
    year, month = divmod(start.month - 1 + months, 12)
    for last in (start.day, 30, 29, 28):
        try:
            return date(start.year + year, month + 1, min(start.day, last))
        except ValueError:
            continue
    return start


def _today() -> date:
    return datetime.now(i18n.zone()).date()


def _joined(*parts: str) -> str:
    return (" " if i18n.language() == "en" else "").join(part for part in parts if part)


def _years(n: int) -> str:
    return ngettext("%(num)d year", "%(num)d years", n) % {"num": n}


def _months(n: int) -> str:
    return ngettext("%(num)d month", "%(num)d months", n) % {"num": n}


def _days(n: int) -> str:
    return ngettext("%(num)d day", "%(num)d days", n) % {"num": n}


def gender(code: str | None) -> str:
    names = {"male": _("Male"), "female": _("Female"), "other": _("Other sex"), "unknown": _("Sex unknown")}
    return names.get(code or "unknown", str(code))


def concept(value: Mapping[str, Any] | None) -> str:
    """A CodeableConcept or Coding in the reader's language: a translation it carries, else text, display, code."""
    if not value:
        return ""
    codings = list(value.get("coding") or ()) or ([value] if "coding" not in value else [])
    for holder, element in [(value, "_text"), *((coding, "_display") for coding in codings)]:
        translated = _translated(holder.get(element))
        if translated:
            return translated
    first = [value.get("text"), *(c.get("display") for c in codings), *(c.get("code") for c in codings)]
    return next((str(text) for text in first if text), "")


def label(value: Mapping[str, Any] | None) -> str:
    """A CodeableConcept or Coding: a translation, else a wording in the page's language, else what there is."""
    if not value:
        return ""
    found = concept(value)
    if i18n.language() == "en" and is_han(found):
        displays = (coding.get("display", "") for coding in (*value.get("coding", ()), value))
        return next((text for text in displays if text and not is_han(text)), found)
    return found


def _translated(element: Any) -> str:
    """The `content` of the translation extension for the page's language (zh matches zh-Hans and zh-CN)."""
    for extension in (element or {}).get("extension", ()) if isinstance(element, Mapping) else ():
        if extension.get("url") != _TRANSLATION:
            continue
        parts = {part.get("url"): part for part in extension.get("extension", ())}
        language = str(parts.get("lang", {}).get("valueCode", "")).lower()
        if language[:2] == i18n.language()[:2]:
            content = parts.get("content", {})
            return str(content.get("valueString") or content.get("valueMarkdown") or "")
    return ""


def by_year(entries: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Entries grouped under the year of their `when`, in the order given; "" where none is known."""
    return [(year, list(group)) for year, group in groupby(entries, lambda one: short_day(one.when)[:4])]


def masked(value: str | None) -> str:
    """An identifier or phone number of which only the ends are shown: 110***********1234."""
    text = value or ""
    if len(text) < 8:
        return "*" * len(text)
    return text[:3] + "*" * (len(text) - 7) + text[-4:]


FILTERS: dict[str, Callable[..., Any]] = {
    "day": day,
    "short_day": short_day,
    "moment": moment,
    "short_moment": short_moment,
    "machine_time": machine_time,
    "number": number,
    "quantity": quantity,
    "reference_range": reference_range,
    "person_name": person_name,
    "age": age,
    "gender": gender,
    "concept": concept,
    "masked": masked,
    "by_year": by_year,
}
