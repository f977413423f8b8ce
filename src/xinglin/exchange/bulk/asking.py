"""What a kick-off of $export asks for, as values: refused in whole, with its remedy, before a job is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from xinglin.access.bulk import filter_of
from xinglin.core.rest.exchange import Call, checked_id
from xinglin.core.rest.history import moment_range
from xinglin.core.rest.parameters import Arguments, arguments, one
from xinglin.core.rest.presentation import presentation
from xinglin.core.rest.routing import TYPES, in_compartment, known_type
from xinglin.kernel import clock
from xinglin.kernel.errors import Invalid

PARAMETERS: Final = frozenset(
    {"_outputFormat", "_since", "_type", "_typeFilter", "_elements", "patient", "_purpose", "_legalBasis"}
)
NDJSON: Final = frozenset({"application/fhir+ndjson", "application/ndjson", "ndjson"})
NOT_EXPORTED: Final = frozenset({"AuditEvent"})  # the access log is no part of the record
MANY_PEOPLES: Final = frozenset({"Group"})  # names others than the person it counts for: no part of one person's data
MOST_FILTERS: Final = 50
MOST_PATIENTS: Final = 10_000
_NEXT_FILTER: Final = re.compile(r",(?=[A-Z][A-Za-z]+\?)")


@dataclass(frozen=True, slots=True)
class Asked:
    """level: "system", "patient" or "group". since and at in microseconds. filters: `Type?query`, checked.

    elements: as given, `Type.name` or `name`. patients: ids, None for all. request: the kick-off's address.
    purpose: v3 ActReason that the export is for ("": the token's own); basis: of data/legal_bases.json.
    """

    level: str
    group: str | None
    types: list[str]
    since: int | None
    at: int
    filters: list[str]
    elements: list[str]
    patients: list[str] | None
    request: str
    purpose: str = ""
    basis: str = ""


async def asked_of(call: Call) -> Asked:
    level, group = _level(call)
    found = await arguments(call, PARAMETERS, lenient=call.prefer().lenient)
    wanted = one(found, "_outputFormat")
    if wanted is not None and _text(wanted).replace(" ", "+") not in NDJSON:  # a bare + of an address is a space
        raise Invalid("Only NDJSON is exported.", code="not-supported", expression="_outputFormat")
    filters = _filters(found)
    types = _types(found, level, filters)
    since = one(found, "_since")
    return Asked(
        level=level,
        group=group,
        types=types,
        since=None if since is None else moment_range(_text(since), "_since")[0],
        at=clock.micros(clock.now()),
        filters=filters,
        elements=_elements(call, found),
        patients=_patients(found, level),
        purpose=_text(one(found, "_purpose") or ""),
        basis=_text(one(found, "_legalBasis") or ""),
        request=f"{call.door.base}/{'/'.join(call.segments)}" + (f"?{call.query}" if call.query else ""),
    )


def _level(call: Call) -> tuple[str, str | None]:
    match call.segments[:-1]:
        case ():
            return "system", None
        case ("Patient",):
            return "patient", None
        case _:
            return "group", call.id


def _types(found: Arguments, level: str, filters: Sequence[str]) -> list[str]:
    """The types in order; without _type all, or those of the Patient compartment."""
    listed = _listed(found, "_type")
    refused = NOT_EXPORTED if level == "system" else NOT_EXPORTED | MANY_PEOPLES
    for name in listed:
        if known_type(name) in refused:
            raise Invalid(f"{name} is not exported here.", code="not-supported", expression="_type")
    if not listed:
        listed = sorted(TYPES) if level == "system" else list(in_compartment("Patient"))
    outside = {text.partition("?")[0] for text in filters} - set(listed)
    if outside:
        raise Invalid(
            f"_typeFilter names {', '.join(sorted(outside))}, which _type leaves out.", expression="_typeFilter"
        )
    return [name for name in dict.fromkeys(listed) if name not in refused]


def _filters(found: Arguments) -> list[str]:
    texts = [text for value in found.get("_typeFilter", ()) for text in _NEXT_FILTER.split(_text(value))]
    if len(texts) > MOST_FILTERS:
        raise Invalid(f"More than {MOST_FILTERS} filters.", code="too-costly", expression="_typeFilter")
    for text in texts:
        filter_of(text)
    return texts


def _elements(call: Call, found: Arguments) -> list[str]:
    """From the address they arrive as a matter of presentation, from a body as a parameter."""
    names = [*presentation(call.query)[0].elements, *_listed(found, "_elements")]
    for name in names:
        type_name, dot, _ = name.partition(".")
        if dot:
            known_type(type_name)
    return names


def _patients(found: Arguments, level: str) -> list[str] | None:
    given = found.get("patient")
    if given is None:
        return None
    if level == "system":
        raise Invalid("patient is for exports of Patient and of Group.", expression="patient")
    if len(given) > MOST_PATIENTS:
        raise Invalid(f"More than {MOST_PATIENTS} patients.", code="too-costly", expression="patient")
    return [checked_id(_reference(value).removeprefix("Patient/")) for value in given]


def _reference(value: Any) -> str:
    return _text(value.get("reference", "") if isinstance(value, dict) else value)


def _listed(found: Arguments, name: str) -> list[str]:
    parts = [part.strip() for value in found.get(name, ()) for part in _text(value).split(",")]
    return [part for part in parts if part]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Invalid("A parameter is not text.", code="value")
    return value
