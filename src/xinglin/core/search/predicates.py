# ruff: noqa: S608 - every value is bound; the text of a statement comes from this package alone
"""SQL over the columns of one index row: what a value means for a hash, a range or a text.

Each function takes `bind`, which adds an argument and returns its `$n`; alternatives of one parameter come as lists.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xinglin.core.search.hashes import MANY
from xinglin.core.search.query import DateValue, NumberValue
from xinglin.core.search.scope import Scope
from xinglin.core.search.slots import later
from xinglin.core.search.units import canonical_bounds, unit_hashes
from xinglin.core.search.values import FOREVER, LONG_AGO, fold, prefix_end
from xinglin.core.store.keys import NO_DATE
from xinglin.core.store.visibility import Bind


@dataclass(frozen=True, slots=True)
class TokenRow:
    """Rows of `token` that satisfy one alternative: a hash, and where it matters the system's number; `apart` is the
    row that tells the system of a code that stands under several."""

    hash: int
    system: int | None = None
    apart: int = 0


def token_where(k: str, rows: Sequence[TokenRow], scope: Scope) -> str:
    """True of a token row that satisfies any of the alternatives."""
    if len(rows) == 1:
        return _one_token(k, rows[0], scope)
    hashes = scope.bind([row.hash for row in rows])
    found = f"{k}.hash = ANY({hashes}::bigint[])"
    if all(row.system is None for row in rows):
        return found
    u, m = scope.row("u"), scope.row("m")
    systems = scope.bind([row.system for row in rows])
    apart = scope.bind([row.apart for row in rows])
    return (
        f"{found} AND EXISTS (SELECT FROM unnest({hashes}::bigint[], {systems}::integer[], {apart}::bigint[])"
        f" AS {u}(hash, system, apart) WHERE {u}.hash = {k}.hash AND ({u}.system IS NULL OR {u}.system = {k}.system"
        f" OR ({k}.system = {MANY} AND {_same_row(m, k, f'{u}.apart')})))"
    )


def _one_token(k: str, row: TokenRow, scope: Scope) -> str:
    found = f"{k}.hash = {scope.bind(row.hash)}"
    if row.system is None:
        return found
    several = _same_row(scope.row("m"), k, scope.bind(row.apart))
    return f"{found} AND ({k}.system = {scope.bind(row.system)} OR ({k}.system = {MANY} AND {several}))"


def _same_row(m: str, k: str, hashed: str) -> str:
    return f"(SELECT true FROM token {m} WHERE {m}.hash = {hashed} AND {at(m, k)} LIMIT 1)"


def at(k: str, r: str) -> str:
    """The full key by which a resource finds its row of a hash."""
    return f"{k}.person = {r}.person AND {k}.date = {r}.date AND {k}.key = {r}.key"


def paths_where(alias: str, paths: Sequence[int], bind: Bind) -> str:
    if len(paths) == 1:
        return f"{alias}.path = {bind(paths[0])}"
    return f"{alias}.path = ANY({bind(list(paths))}::bigint[])"


def date_where(low: str, high: str, value: DateValue, bind: Bind, now: int) -> str:
    """True of [low, high) as the prefix says. https://hl7.org/fhir/R4/search.html#prefix"""
    if value.prefix == "ap":
        start, end = widened(value, now)
        return f"{high} > {bind(start)} AND {low} < {bind(end)} AND {low} > {NO_DATE}"
    a, b = bind(value.low), bind(value.high)
    return {
        "eq": f"{low} >= {a} AND {low} < {b} AND {high} <= {b}",
        "ne": f"({low} < {a} OR {high} > {b}) AND {low} > {NO_DATE}",
        "gt": f"{high} > {b} AND {a}::bigint IS NOT NULL",
        "lt": f"{low} < {a} AND {low} > {NO_DATE} AND {b}::bigint IS NOT NULL",
        "ge": f"{high} > {a} AND ({high} > {b} OR {low} >= {a})",
        "le": f"{low} < {b} AND {low} > {NO_DATE} AND ({low} < {a} OR {high} <= {b})",
        "sa": f"{low} >= {b} AND {a}::bigint IS NOT NULL",
        "eb": f"{high} <= {a} AND {low} > {NO_DATE} AND {b}::bigint IS NOT NULL",
        "po": f"{high} > {a} AND {low} < {b} AND {low} > {NO_DATE}",
    }[value.prefix]


def starts_where(start: str, values: Sequence[DateValue], bind: Bind, now: int) -> str:
    """What `date_where` says of the start alone; "true" where that is nothing."""
    if any(value.prefix in ("gt", "ge", "ne") for value in values):
        return "true"
    return "(" + " OR ".join(_start_where(start, value, bind, now) for value in values) + ")"


def _start_where(start: str, value: DateValue, bind: Bind, now: int) -> str:
    if value.prefix == "eq":
        return f"({start} >= {bind(value.low)} AND {start} < {bind(value.high)})"
    if value.prefix == "sa":
        return f"{start} >= {bind(value.high)}"
    if value.prefix == "lt":
        return f"{start} < {bind(value.low)}"
    if value.prefix == "eb":
        return f"{start} <= {bind(value.low)}"
    if value.prefix in ("le", "po"):
        return f"{start} < {bind(value.high)}"
    return f"{start} < {bind(widened(value, now)[1])}"


def widened(value: DateValue, now: int) -> tuple[int, int]:
    """The range of `ap`: a tenth of the time between now and the date on either side."""
    slack = abs(now - (value.low + value.high) // 2) // 10
    return max(LONG_AGO, value.low - slack), min(FOREVER, value.high + slack)


def number_where(low: str, high: str, value: float, ends: tuple[float, float], prefix: str, bind: Bind) -> str:
    """True of [low, high] as the prefix says; `ends` is what the written precision allows."""
    if prefix == "ap":
        slack = abs(value) / 10
        return f"{high} >= {bind(value - slack)} AND {low} <= {bind(value + slack)}"
    if prefix in ("eq", "ne"):
        start, end = bind(ends[0]), bind(ends[1])
        inside = f"{low} >= {start} AND {low} < {end} AND {high} < {end}"
        return inside if prefix == "eq" else f"({low} < {start} OR {high} >= {end})"
    operator = {"gt": (high, ">"), "ge": (high, ">="), "lt": (low, "<"), "le": (low, "<="), "sa": (low, ">")}
    column, sign = operator.get(prefix, (high, "<"))
    return f"{column} {sign} {bind(value)}"


def quantity_wheres(q: str, value: NumberValue, bind: Bind) -> list[str]:
    """The ways a row of `quantity` may satisfy a value: in canonical units, or where UCUM does not know the unit, in
    the unit written."""

    def written() -> str:
        return number_where(f"{q}.low", f"{q}.high", value.value, (value.low, value.high), value.prefix, bind)

    if value.code is None:
        return [written()]
    unit, point, _ = canonical_bounds(value.value, value.value, value.system or "", value.code)
    if not unit:
        units = unit_hashes(value.system or None, value.code)
        return [f"{q}.unit = ANY({bind(units)}::bigint[]) AND {written()}"]
    _, low, high = canonical_bounds(value.low, value.high, value.system or "", value.code)
    ranged = number_where(f"{q}.canonical_low", f"{q}.canonical_high", point, (low, high), value.prefix, bind)
    return [f"{q}.canonical = {bind(unit)} AND {q}.canonical <> 0 AND {ranged}"]


def string_where(s: str, text: str, modifier: str | None, bind: Bind) -> str:
    """True of a row of `string`: its folded value starts with the text, or as the modifier says."""
    folded = later(fold, text)
    if modifier == "exact":
        return f"{s}.value = {bind(folded)} AND {s}.exact = {bind(text)}"
    if not folded:
        return "false"
    if modifier == "equals":
        return f"{s}.value = {bind(folded)}"
    if modifier in ("contains", "ends"):
        return f"{s}.value LIKE {bind(later(_within if modifier == 'contains' else _ending, folded))}"
    return prefix_where(f"{s}.value", folded, bind)


def prefix_where(column: str, prefix: str, bind: Bind) -> str:
    end = later(prefix_end, prefix)
    below = f" AND {column} < {bind(end)}" if end is not None else ""
    return f"{column} >= {bind(prefix)}{below}"


def _within(text: str) -> str:
    return f"%{_literal(text)}%"


def _ending(text: str) -> str:
    return f"%{_literal(text)}"


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def uri_where(s: str, text: str, modifier: str | None, bind: Bind) -> str:
    """True of a row of `string` that holds a URI: the same, below it by whole segments, or above it."""
    if modifier == "above":
        return f"{s}.value = ANY({bind(uris_above(text))}::text[])"
    if modifier == "below":
        stem = text.rstrip("/")
        inside = prefix_where(f"{s}.value", stem + "/", bind)
        return f"({s}.value = ANY({bind([text, stem])}::text[]) OR ({inside}))"
    return f"{s}.value = {bind(text)}"


def uris_above(text: str) -> list[str]:
    """The URI and all that contain it, by whole segments."""
    found, at_slash = [text], len(text)
    while (at_slash := text.rfind("/", 0, at_slash)) > 0 and not text[:at_slash].endswith(":/"):
        if not text[:at_slash].endswith(":"):
            found += [text[:at_slash], text[: at_slash + 1]]
    return list(dict.fromkeys(found))
