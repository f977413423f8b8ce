"""patch and conditional patch, by JSON Patch, FHIRPath Patch or JSON Merge Patch (http.html#patch, RFC 7396).

The current version is read through the gate, changed, checked, and written back on the condition that it is still
current; without an If-Match of the caller's the change is tried again on what somebody else wrote meanwhile.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any, Final

import jsonpatch
import jsonpointer

from xinglin.core.rest import fhirpath_patch
from xinglin.core.rest.body import json_body
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.gate import Write
from xinglin.core.rest.negotiation import JSON_TYPES, UnsupportedMediaType, if_match
from xinglin.core.rest.writing import answered, condition
from xinglin.core.schema import decode
from xinglin.core.store.rows import Stored
from xinglin.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed, TooLarge, Unprocessable

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
PATCH_TYPES: Final = JSON_TYPES | {JSON_PATCH, MERGE_PATCH}
ATTEMPTS: Final = 5
MOST_OPERATIONS: Final = 1000
MOST_NODES: Final = 200_000  # values in a patched resource: a few `copy` operations could double it without end

Resource = dict[str, Any]
Change = Callable[[Resource], Resource]


async def patch(call: Call) -> Answer:
    call.id  # noqa: B018  refuse a bad id before reading the body
    return await _patched(call)


async def conditional_patch(call: Call) -> Answer:
    condition(call)
    return await _patched(call)


async def _patched(call: Call) -> Answer:
    call.records  # noqa: B018  refuse a stranger before reading the body
    change = await _change(call)
    for attempt in range(1, ATTEMPTS + 1):
        write = await _write(call, change)
        try:
            (outcome,) = await call.records.write([write])
            return answered(call, outcome)
        except (PreconditionFailed, Conflict):
            if attempt == ATTEMPTS or call.headers.get(b"if-match") is not None:
                raise
    raise AssertionError("unreachable")


async def patch_write(call: Call) -> Write:
    """The write that an entry of a transaction stands for."""
    return await _write(call, await _change(call))


async def _write(call: Call, change: Change) -> Write:
    stored = await _target(call)
    expected = if_match(call.header(b"if-match"))
    if expected is not None and not expected.fits(stored.version):
        raise PreconditionFailed(
            f"The current version is {stored.version}, not {expected}.", remedy="Read it again and repeat the change."
        )
    patched = change(decode.parse(stored.body))
    _check_unmoved(patched, stored)
    decode.check(decode.encode(patched), expected_type=stored.type)
    return Write("PUT", stored.type, stored.id, patched, stored.version)


async def _target(call: Call) -> Stored:
    if len(call.segments) == 2:
        return await call.records.read(call.type, call.id)
    found = await call.records.search(call.type, condition(call) + "&_count=2", strict=True)
    if not found.matches:
        raise NotFound("No resource matches the criteria.", remedy="Create it first.")
    if len(found.matches) > 1:
        raise PreconditionFailed(
            "More than one resource matches the criteria.", code="multiple-matches", remedy="Narrow them."
        )
    return found.matches[0]


async def _change(call: Call) -> Change:
    """The change that the body asks for, by its content type; in a Bundle a Binary carries a JSON Patch."""
    raw = await json_body(call, PATCH_TYPES)
    content_type = (call.header(b"content-type") or "").partition(";")[0].strip().lower()
    if call.resource is None and content_type == JSON_PATCH:
        return json_patch(_operations(raw))
    wished = decode.parse(raw)
    if call.resource is None and (content_type == MERGE_PATCH or "resourceType" not in wished):
        return lambda resource: _merged(resource, wished)  # some clients name a merge patch application/json
    decode.check(raw)
    if wished["resourceType"] == "Parameters":
        return fhirpath_patch.changes(wished)
    if call.resource is not None and wished["resourceType"] == "Binary":
        return json_patch(_operations(_binary_data(wished)))
    raise UnsupportedMediaType(
        f"A {wished['resourceType']} is no patch.", remedy=f"Send Parameters (FHIRPath Patch), or {JSON_PATCH}."
    )


def _binary_data(binary: Resource) -> bytes:
    if binary.get("contentType", "").partition(";")[0].strip() != JSON_PATCH:
        raise UnsupportedMediaType("The Binary is no JSON Patch.", remedy=f"Its contentType must be {JSON_PATCH}.")
    try:
        return base64.b64decode(binary.get("data", ""), validate=False)
    except (binascii.Error, ValueError) as error:
        raise Invalid("Binary.data is not base64.", expression="Binary.data") from error


def _operations(raw: bytes) -> list[Any]:
    """The operations, read with the same care as a resource: bounded, exact, no repeated keys."""
    parsed = decode.parse(b'{"patch":' + raw + b"}")
    operations = parsed["patch"]
    if len(parsed) != 1 or not isinstance(operations, list):
        raise Invalid("A JSON Patch is a list of operations.", code="structure", remedy="See RFC 6902.")
    if len(operations) > MOST_OPERATIONS:
        raise TooLarge(f"The patch has more than {MOST_OPERATIONS} operations.", remedy="Send it in parts.")
    return operations


def _merged(target: Any, patch: Resource) -> Resource:
    """RFC 7396: null takes away, objects are merged, anything else replaces."""
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value) if isinstance(value, dict) else value
    return merged


def json_patch(operations: list[Any]) -> Change:
    """RFC 6902. Operations are applied one by one, so that an error names its number and a copy its cost."""

    def change(resource: Resource) -> Resource:
        patched: Any = resource
        for number, operation in enumerate(operations):
            patched = _apply(patched, operation, number)
        if not isinstance(patched, dict):
            raise Unprocessable("The patch leaves no resource.", remedy="Do not replace the whole document by a value.")
        return patched

    return change


def _apply(document: Any, operation: Any, number: int) -> Any:
    try:
        patched = jsonpatch.JsonPatch([operation]).apply(document, in_place=True)
    except jsonpatch.JsonPatchTestFailed as error:
        raise Unprocessable(f"The test of operation {number} fails.", code="conflict") from error
    except jsonpatch.InvalidJsonPatch as error:
        raise Invalid(f"Operation {number} of the patch is wrong: {error}.", remedy="See RFC 6902.") from error
    except (jsonpatch.JsonPatchException, jsonpointer.JsonPointerException) as error:
        raise Unprocessable(f"Operation {number} cannot be applied: {error}.", code="processing") from error
    except (TypeError, KeyError, IndexError, ValueError, AttributeError, RecursionError) as error:
        raise Invalid(f"Operation {number} of the patch cannot be understood.", remedy="See RFC 6902.") from error
    if (
        isinstance(operation, dict)
        and operation.get("op") == "copy"
        and fhirpath_patch.size_of(patched, MOST_NODES) > MOST_NODES
    ):
        raise TooLarge(f"Operation {number} makes the resource too large.")
    return patched


def _check_unmoved(patched: Resource, stored: Stored) -> None:
    if patched.get("resourceType") != stored.type or patched.get("id") != stored.id:
        raise Unprocessable(
            "A patch may not change what resource it is.", expression=f"{stored.type}.id", remedy="Leave type and id."
        )
