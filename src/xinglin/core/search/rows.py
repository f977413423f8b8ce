"""The index rows of one resource as they gather, and the functions that turn one found value into rows.

Each function made here is a leaf of the walk in `extract`: it takes a value at the end of a path and adds its rows.
This is the hot path of ingest: everything that does not depend on the value is worked out when the leaf is made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from xinglin.core.search.hashes import (
    LONGEST_PREFIX,
    MANY,
    any_of_system,
    identifier_hash,
    of_type_hash,
    prefix_hash,
    system_row,
    text_path,
    token_hash,
)
from xinglin.core.search.references import local_reference, reference_hashes
from xinglin.core.search.units import canonical_bounds, unit_hash
from xinglin.core.search.values import fold, moment_range, number_bounds, quantity_bounds, unit_of
from xinglin.core.store.keys import NO_DATE, cached_hash64, reference_key, system_hash
from xinglin.kernel.errors import TooLarge

MOST_ROWS: Final = 50_000  # index rows of one resource
Quantity = tuple[int, int, float, float, int, float, float]


class IndexRows:
    """What the store writes beside one resource; the tables of `0001_store.sql` explain each column.

    `tokens` holds one row a hash: a code that stands under several systems at the same path has system MANY and a
    row of its own for each system.
    """

    __slots__ = ("by_hash", "date", "date_end", "moments", "person", "present", "quantities", "rank", "strings")

    def __init__(self) -> None:
        self.person = 0
        self.rank = 99  # of the path that gave the person: the lowest wins
        self.date = NO_DATE
        self.date_end = NO_DATE
        self.present = 0
        self.by_hash: dict[int, int] = {}
        self.strings: list[tuple[int, str, str]] = []
        self.moments: list[tuple[int, int, int]] = []
        self.quantities: list[Quantity] = []

    def refuse_too_many(self) -> None:
        """Raise TooLarge where one resource would take the room of thousands; pairs of a composite multiply."""
        if len(self.by_hash) + len(self.strings) + len(self.moments) + len(self.quantities) > MOST_ROWS:
            raise TooLarge(f"More than {MOST_ROWS} values of the resource are searched for.", remedy="Split it.")

    @property
    def tokens(self) -> list[tuple[int, int]]:
        """(hash, system) of each token row."""
        return list(self.by_hash.items())


Leaf = Callable[[Any, IndexRows], None]


def add_token(rows: IndexRows, path: int, code: str, system: str | None) -> None:
    """One coding at a path."""
    hashed, number = token_hash(path, code), system_hash(system)
    known = rows.by_hash.setdefault(hashed, number)
    if known != number:
        if known != MANY:
            rows.by_hash[system_row(path, known, code)] = 0
            rows.by_hash[hashed] = MANY
        rows.by_hash[system_row(path, number, code)] = 0


def codings(value: Any, fhir_type: str, systems: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """(code, system) of whatever a token parameter may find."""
    if fhir_type == "CodeableConcept":
        found = value.get("coding") or ()
        return [(c["code"], c.get("system")) for c in found if c.get("code")]
    if fhir_type == "Coding":
        return [(value["code"], value.get("system"))] if value.get("code") else []
    if fhir_type == "Identifier":
        return [(value["value"], value.get("system"))] if value.get("value") else []
    if fhir_type == "ContactPoint":
        return [(value["value"], None)] if value.get("value") else []
    if fhir_type == "Extension":
        return _extension_codings(value)
    if isinstance(value, bool):
        return [("true" if value else "false", BOOLEANS)]
    if isinstance(value, dict | list) or value is None:
        return []
    code = str(value)
    return [(code, systems.get(code))]


BOOLEANS: Final = "http://terminology.hl7.org/CodeSystem/special-values"


def _extension_codings(value: Any) -> list[tuple[str, str | None]]:
    for name, found in value.items():
        if name.startswith("value"):
            return codings(found, name[5:] if isinstance(found, dict) else name[5:].lower(), {})
    return []


def texts(value: Any, fhir_type: str) -> list[str]:
    """What `:text` looks at: a concept's text and displays, an identifier's type."""
    if fhir_type == "CodeableConcept":
        found = [value.get("text"), *(coding.get("display") for coding in value.get("coding") or ())]
    elif fhir_type == "Coding":
        found = [value.get("display")]
    elif fhir_type == "Identifier":
        found = [(value.get("type") or {}).get("text")]
    else:
        return []
    return [text for text in dict.fromkeys(found) if text]


def token_leaf(path: int, fhir_type: str, mask: int, systems: Mapping[str, str], with_text: bool) -> Leaf:
    """Codes, codings, identifiers: a token row each, with their texts where `:text` is to find them."""
    text_hash = text_path(path)

    def leaf(value: Any, rows: IndexRows) -> None:
        rows.present |= mask
        for code, system in codings(value, fhir_type, systems):
            add_token(rows, path, code, system)
        if with_text:
            for folded in dict.fromkeys([fold(text) for text in texts(value, fhir_type)]):
                rows.strings.append((text_hash, folded, ""))

    def concept(value: Any, rows: IndexRows) -> None:
        rows.present |= mask
        folded: str | None = None
        for coding in value.get("coding") or ():
            if code := coding.get("code"):
                add_token(rows, path, code, coding.get("system"))
            if with_text and (display := coding.get("display")) and (form := fold(display)) != folded:
                folded = form
                rows.strings.append((text_hash, form, ""))
        if with_text and (text := value.get("text")) and (form := fold(text)) != folded:
            rows.strings.append((text_hash, form, ""))

    def identifier(value: Any, rows: IndexRows) -> None:
        leaf(value, rows)
        if system := value.get("system"):
            rows.by_hash[any_of_system(path, system)] = 0
        for coding in (value.get("type") or {}).get("coding") or ():
            if coding.get("code") and value.get("value"):
                hashed = of_type_hash(path, coding.get("system") or "", coding["code"], value["value"])
                rows.by_hash[hashed] = 0

    if fhir_type == "CodeableConcept":
        return concept
    return identifier if fhir_type == "Identifier" else leaf


def reference_leaf(
    path: int, fhir_type: str, mask: int, restricted: Mapping[str, int], rank: int | None, base: str
) -> Leaf:
    """References: a row for each text they may be asked by, the person they make, and logical identifiers.

    `restricted` maps a type to the presence bits of parameters that count only references to that type; `rank` is
    the path's place among those that name the person, None where it is none of them.
    """

    def leaf(value: Any, rows: IndexRows) -> None:
        if fhir_type == "Reference":
            written = value.get("reference")
            if identifier := value.get("identifier"):
                rows.present |= mask
                if number := identifier.get("value"):
                    hashed = identifier_hash(path, number)
                    rows.by_hash[hashed] = system_hash(identifier.get("system"))
        else:
            written = _written(value)
        if not written:
            return
        rows.present |= mask
        target = local_reference(written, base)
        for hashed in reference_hashes(target):
            rows.by_hash[path ^ hashed] = 0
        if restricted:
            rows.present |= restricted.get(target.partition("/")[0], 0)
        if rank is not None and rank < rows.rank and target.startswith("Patient/"):
            rows.rank, rows.person = rank, cached_hash64(target)

    return leaf


def _written(value: Any) -> str | None:
    if isinstance(value, dict):  # a resource inside a Bundle stands for the reference to it
        found = value.get("resourceType"), value.get("id")
        return f"{found[0]}/{found[1]}" if all(found) else None
    return value if isinstance(value, str) else None


def string_leaf(path: int, fhir_type: str, mask: int, prefixed: bool = False) -> Leaf:
    """Texts, names and addresses: a row for each part, folded and as written; `prefixed`: tokens of its beginnings."""

    def leaf(value: Any, rows: IndexRows) -> None:
        for text in string_parts(value, fhir_type):
            rows.present |= mask
            folded = fold(text)
            rows.strings.append((path, folded, text))
            if prefixed:
                for end in range(1, min(len(folded), LONGEST_PREFIX) + 1):
                    rows.by_hash[prefix_hash(path, folded[:end])] = 0

    return leaf


def string_parts(value: Any, fhir_type: str) -> list[str]:
    """The texts that a string parameter finds in a value."""
    if isinstance(value, str):
        return [value]
    if fhir_type == "HumanName":
        return _name_parts(value)
    if fhir_type == "Address":
        single = ("text", "city", "district", "state", "country", "postalCode")
        found = [*(value.get("line") or ()), *(value.get(name) for name in single)]
        return [text for text in dict.fromkeys(found) if text]
    if fhir_type == "CodeableConcept":
        return texts(value, fhir_type)
    if fhir_type == "Extension":
        return [found for name, found in value.items() if name.startswith("value") and isinstance(found, str)]
    return []


def _name_parts(name: Mapping[str, Any]) -> list[str]:
    given, family = [text for text in name.get("given") or () if text], name.get("family") or ""
    whole = name.get("text")
    if not whole:
        latin = (family + "".join(given)).isascii()
        whole = " ".join([*given, family]) if latin else family + "".join(given)
    found = [whole, family, *given, *(name.get("prefix") or ()), *(name.get("suffix") or ())]
    return [text for text in dict.fromkeys(found) if text]


def uri_leaf(path: int, fhir_type: str, mask: int) -> Leaf:
    """URIs, compared as written."""

    def leaf(value: Any, rows: IndexRows) -> None:
        if isinstance(value, str):
            rows.present |= mask
            rows.strings.append((path, value[:MAX_URI], ""))

    return leaf


MAX_URI: Final = 800


def moment_leaf(path: int, fhir_type: str, mask: int, headline: bool) -> Leaf:
    """Dates and periods; the headline date stands in the resource's own columns."""

    def leaf(value: Any, rows: IndexRows) -> None:
        found = moment_range(value, fhir_type)
        if found is None:
            return
        rows.present |= mask
        if headline:
            rows.date, rows.date_end = found
        else:
            rows.moments.append((path, *found))

    return leaf


def number_leaf(path: int, fhir_type: str, mask: int) -> Leaf:
    """Numbers without a unit."""

    def leaf(value: Any, rows: IndexRows) -> None:
        bounds = quantity_bounds(value, "Range") if fhir_type == "Range" else number_bounds(value)
        if bounds is not None:
            rows.present |= mask
            rows.quantities.append((path, 0, *bounds, 0, 0.0, 0.0))

    return leaf


def quantity_leaf(path: int, fhir_type: str, mask: int) -> Leaf:
    """Quantities, as written and in canonical units."""

    def leaf(value: Any, rows: IndexRows) -> None:
        if (found := quantity_row(value, fhir_type)) is not None:
            rows.present |= mask
            rows.quantities.append((path, *found))

    return leaf


def quantity_row(value: Any, fhir_type: str) -> tuple[int, float, float, int, float, float] | None:
    """(unit, low, high, canonical, canonical low, canonical high) of a quantity."""
    if not isinstance(value, dict):
        bounds = number_bounds(value)
        return None if bounds is None else (0, *bounds, 0, 0.0, 0.0)
    bounds = quantity_bounds(value, fhir_type)
    if bounds is None:
        return None
    system, code = unit_of(value, fhir_type)
    return (unit_hash(system, code), *bounds, *canonical_bounds(*bounds, system, code))


def canonical_leaf() -> Leaf:
    """The row by which a canonical reference finds a conformance resource: the hash of its URL."""

    def leaf(value: Any, rows: IndexRows) -> None:
        if isinstance(value, str):
            hashed = reference_key(value)
            rows.moments.append((CANONICAL, hashed, hashed))

    return leaf


CANONICAL: Final = cached_hash64("canonical url|row")
