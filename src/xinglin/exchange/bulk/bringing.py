"""What a kick-off of $import brings: NDJSON in the body, or a Parameters resource that lists addresses of it.

POST [base]/$import?custodian=ID    application/fhir+ndjson: one resource a line
POST [base]/$import                 Parameters: input (part: url), inputFormat, custodian
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs

from xinglin.core.rest.body import received
from xinglin.core.rest.exchange import Call, checked_id
from xinglin.core.rest.negotiation import JSON_TYPES, check_content_type
from xinglin.core.rest.parameters import arguments, one, value_of
from xinglin.exchange.bulk.asking import NDJSON
from xinglin.exchange.bulk.fetching import checked, listed
from xinglin.kernel.errors import Invalid

KNOWN: Final = frozenset({"input", "inputFormat", "inputSource", "custodian"})
MOST_INPUTS: Final = 1000
LINES: Final = frozenset({"application/fhir+ndjson", "application/ndjson"})


@dataclass(frozen=True, slots=True)
class Brought:
    """inputs: URLs of files, none where the body was the file. custodian: Organization id, "" for nobody's."""

    inputs: list[str]
    custodian: str


async def import_of(call: Call, hosts: str) -> tuple[bytes | None, Brought]:
    """(text of the body or None, what is brought); `hosts`: those that files may be fetched from."""
    if check_content_type(call.header(b"content-type"), JSON_TYPES | LINES) in LINES:
        custodian = parse_qs(call.query).get("custodian", [""])[-1]
        return await _lines(call), Brought([], checked_id(custodian) if custodian else "")
    found = await arguments(call, KNOWN)
    if one(found, "inputFormat") not in (None, *NDJSON):
        raise Invalid("Only NDJSON is imported.", code="not-supported", expression="inputFormat")
    urls = [_url(value) for value in found.get("input", ())]
    if not 0 < len(urls) <= MOST_INPUTS:
        raise Invalid(f"Name 1 to {MOST_INPUTS} files.", code="required", expression="Parameters.parameter")
    for url in urls:
        checked(url, listed(hosts))
    custodian = one(found, "custodian") or ""
    return None, Brought(urls, checked_id(str(custodian)) if custodian else "")


async def _lines(call: Call) -> bytes:
    text = await received(call)
    if not text.strip():
        raise Invalid("The body is empty.", code="required", remedy="Send one resource a line.")
    return text


def _url(value: Any) -> str:
    """Of `input`: its part `url`, or the value itself."""
    if isinstance(value, list):
        value = next((value_of(part) for part in value if part.get("name") == "url"), None)
    if not isinstance(value, str):
        raise Invalid("An input has no url.", code="required", expression="Parameters.parameter.part")
    return value
