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
from xinglin.kernel.errors import Invalid, Problem

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
    if asked.get("profile"):
        raise Invalid(
            "This node does not check profiles yet.",
            code="not-supported",
            remedy="Leave `profile` out: structure is checked.",
        )
    if not raw:
        raise Invalid("There is nothing to check.", code="required", remedy="Send a resource, or Parameters.resource.")
    return Answer(200, findings(raw, call.type), resource_body=False)


def findings(raw: bytes, expected_type: str) -> bytes:
    """An OperationOutcome of what is wrong, or the one that says that nothing is."""
    try:
        decode.check(raw, expected_type=expected_type)
    except Problem as problem:
        return outcomes.operation_outcome(problem.issues)
    return outcomes.all_well("The structure is right.")


async def _what(call: Call) -> tuple[bytes, dict[str, str]]:
    asked = {name: value for name, value in parse_qsl(call.query) if name not in OWN_PARAMETERS}
    if call.method == "GET" or call.headers.get(b"content-length") == b"0":
        return (await call.records.read(call.type, call.id)).body if len(call.segments) == 3 else b"", asked
    raw = await json_body(call)
    envelope = _envelope(raw)
    if envelope is None:
        return raw, asked
    for parameter in envelope.parameter:
        value = parameter.valueCode or parameter.valueUri or parameter.valueCanonical
        if parameter.name == "resource":
            raw = bytes(parameter.resource)
        elif value is not None:
            asked[parameter.name] = value
    return (b"" if raw.startswith(b'{"resourceType":"Parameters"') else raw), asked


def _envelope(raw: bytes) -> _Envelope | None:
    """The Parameters around the resource, or None when the body is the resource itself, or broken JSON."""
    if too_many_values(raw):
        return None
    try:
        envelope = msgspec.json.decode(raw, type=_Envelope)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return envelope if envelope.resourceType == "Parameters" else None
