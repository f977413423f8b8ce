"""$validate: the structure of a resource, without storing it (resource-operation-validate.html).

The outcome is 200 whether or not there are findings: they are the answer.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec

from xinglin.core.rest import outcomes
from xinglin.core.rest.body import json_body
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.presentation import OWN_PARAMETERS
from xinglin.core.schema import decode
from xinglin.core.schema.json_text import too_many_values
from xinglin.kernel.errors import Invalid, Issue, Problem

_BASE = "http://hl7.org/fhir/StructureDefinition/"
MODES = ("create", "update", "delete", "profile")


class _Parameter(msgspec.Struct):
    name: str = ""
    resource: msgspec.Raw = msgspec.Raw()
    valueCode: str | None = None
    valueUri: str | None = None
    valueCanonical: str | None = None


class _Envelope(msgspec.Struct):
    resourceType: str = ""
    parameter: list[_Parameter] = []


async def validate(call: Call) -> Answer:
    """Findings on the posted resource; for an instance without a body, on the stored one."""
    raw, asked = await _what(call)
    mode = asked.get("mode")
    if mode is not None and mode not in MODES:
        raise Invalid(f"mode={mode[:40]} is not known.", remedy=f"Use one of {', '.join(MODES)}.")
    if asked.get("profile") not in (None, "", _BASE + call.type):
        raise Invalid(
            "This node does not check profiles yet.",
            code="not-supported",
            remedy="Leave `profile` out: structure is checked.",
        )
    if mode == "delete":
        return Answer(200, await _deletable(call), resource_body=False)
    if not raw:
        raise Invalid("There is nothing to check.", code="required", remedy="Send a resource, or Parameters.resource.")
    found = findings(raw, call.type)
    if found is None and mode in ("create", "update"):
        found = _misplaced(call, mode, raw)
    return Answer(200, found or outcomes.all_well("The structure is right."), resource_body=False)


async def _deletable(call: Call) -> bytes:
    """A deletion needs no body, but something that is there."""
    if len(call.segments) != 3:
        raise Invalid("mode=delete is asked of one resource.", remedy=f"Use {call.type}/[id]/$validate?mode=delete.")
    await call.records.read(call.type, call.id)
    return outcomes.all_well("It may be deleted.")


def _misplaced(call: Call, mode: str, raw: bytes) -> bytes | None:
    """What the address says against the interaction: a creation has no id yet, an update that of its address."""
    if len(call.segments) != 3:
        return None
    if mode == "create":
        text = "A creation goes to the type: this address is of a resource that has an id."
    elif decode.parse(raw).get("id") != call.id:
        text = "The resource's id is not that of the address."
    else:
        return None
    return outcomes.operation_outcome([Issue("business-rule", text, f"{call.type}.id")])


def findings(raw: bytes, expected_type: str) -> bytes | None:
    """An OperationOutcome of what is wrong, None where nothing is."""
    try:
        decode.check(raw, expected_type=expected_type)
    except Problem as problem:
        return outcomes.operation_outcome(problem.issues)
    return None


async def _what(call: Call) -> tuple[bytes, dict[str, str]]:
    asked = {name: value for name, value in parse_qsl(call.query) if name not in OWN_PARAMETERS}
    if call.method == "GET" or call.headers.get(b"content-length") == b"0":
        return (await call.records.read(call.type, call.id)).body if len(call.segments) == 3 else b"", asked
    raw = await json_body(call)
    envelope = _envelope(raw)
    if envelope is None:
        return raw, asked
    raw = b""
    for parameter in envelope.parameter:
        value = parameter.valueCode or parameter.valueUri or parameter.valueCanonical
        if parameter.name == "resource":
            raw = bytes(parameter.resource)
        elif value is not None:
            asked[parameter.name] = value
    return raw, asked


def _envelope(raw: bytes) -> _Envelope | None:
    """The Parameters around the resource, or None when the body is the resource itself, or broken JSON."""
    if too_many_values(raw):
        return None
    try:
        envelope = msgspec.json.decode(raw, type=_Envelope)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return envelope if envelope.resourceType == "Parameters" else None
