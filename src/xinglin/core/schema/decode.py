"""From bytes to a resource that is known to be sound in structure: one typed decode in C, and a slow pass if it balks.

`check` proves the structure of a body that will be stored as it is; `parse` gives its values; `read` does both.
The fast pass may refuse what is right, and then `core.validation.structure` has the last word and names every error;
it never accepts what the slow pass refuses (`docs/decisions/0004-two-passes.md`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import UNSET

from xinglin.core.schema import structs
from xinglin.core.schema.definitions import resource_types
from xinglin.core.schema.json_text import (
    MAX_BYTES,
    MAX_DEPTH,
    encode,
    may_hide_keys,
    may_hold_long_number,
    parse,
    parse_canonical,
    too_deep,
    too_many_values,
)
from xinglin.core.validation import structure
from xinglin.kernel.errors import Unprocessable

__all__ = ["check", "encode", "parse", "read"]

_RESOURCE_TYPES = frozenset(resource_types())
_head = re.compile(rb'\{"resourceType":"([A-Za-z]+)"').match
_empty_object = re.compile(rb"\{\}").search
_write = msgspec.json.Encoder().encode


class _Head(msgspec.Struct):
    resourceType: str


_type_of = msgspec.json.Decoder(_Head).decode


def check(raw: bytes | memoryview, *, expected_type: str | None = None, max_bytes: int = MAX_BYTES) -> None:
    """Return if the text is a resource of sound structure; raise Invalid, TooLarge or Unprocessable with all issues."""
    text = raw if isinstance(raw, bytes) else bytes(raw)
    if len(text) > max_bytes or not _is_sound(text, expected_type):
        _refuse(parse(text, max_bytes=max_bytes), expected_type)


def read(raw: bytes | memoryview, *, expected_type: str | None = None, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Parse and check: the values of a resource of sound structure."""
    text = raw if isinstance(raw, bytes) else bytes(raw)
    resource, canonical = parse_canonical(text, max_bytes)
    if not _is_sound(text, expected_type, canonical):
        _refuse(resource, expected_type)
    return resource


def _refuse(resource: dict[str, Any], expected_type: str | None) -> None:
    """Let the slow pass decide."""
    issues = structure.validate(resource, expected_type=expected_type)
    errors = tuple(issue for issue in issues if issue.severity in ("error", "fatal"))
    if errors:
        raise Unprocessable(issues=errors)


def _is_sound(text: bytes, expected_type: str | None, canonical: bytes | None = None) -> bool:
    """The fast pass: True is certain, False means look again. A canonical text tells that `parse` took the text."""
    parsed = canonical is not None
    if not parsed and (too_many_values(text) or _many_levels(text) or may_hold_long_number(text)):
        return False
    if canonical is not None and _empty_object(canonical):
        return False
    try:
        decoded = _sound_struct(text, parsed)
        return decoded is not None and (expected_type is None or decoded.resourceType == expected_type)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return False


def _many_levels(text: bytes) -> bool:
    """Whether to fear for the depth: a typed decode takes no array in an array, so objects are half of all levels."""
    return text.count(b"{") >= MAX_DEPTH // 2 and too_deep(text)


def _sound_struct(text: bytes, parsed: bool) -> Any:
    """The resource as its struct, its inner resources checked; None or an exception where there is doubt."""
    head = _head(text)
    resource_type = head[1].decode() if head else _type_of(text).resourceType
    if resource_type not in _RESOURCE_TYPES:
        return None
    struct = structs.decoder(resource_type).decode(text)
    if not parsed:
        canonical = _write(struct)
        if may_hide_keys(text, canonical) or _empty_object(canonical):
            return None
    return struct if _inner_sound(resource_type, struct, parsed) else None


def _inner_sound(resource_type: str, struct: Any, parsed: bool) -> bool:
    if resource_type == "Bundle":
        return _entries_sound(struct, parsed)
    if resource_type == "Parameters":
        return all(_sound_struct(bytes(raw), parsed) is not None for raw in _parameter_resources(struct.parameter))
    contained = getattr(struct, "contained", UNSET)
    return contained is UNSET or _contained_sound(contained, parsed)


def _contained_sound(contained: list[msgspec.Raw], parsed: bool) -> bool:
    """Contained resources hold none themselves and have ids that differ."""
    ids = set()
    for raw in contained:
        struct = _sound_struct(bytes(raw), parsed)
        if struct is None or getattr(struct, "contained", UNSET) is not UNSET or struct.id is UNSET:
            return False
        ids.add(struct.id)
    return len(ids) == len(contained)


def _entries_sound(bundle: Any, parsed: bool) -> bool:
    """Each entry's resource is sound; no two entries have the same fullUrl or, without one, the same identity."""
    names: list[object] = []
    for entry in () if bundle.entry is UNSET else bundle.entry:
        outcome = entry.response.outcome if entry.response is not UNSET else UNSET
        if outcome is not UNSET and _sound_struct(bytes(outcome), parsed) is None:
            return False
        struct = _sound_struct(bytes(entry.resource), parsed) if entry.resource is not UNSET else None
        if struct is None and entry.resource is not UNSET:
            return False
        if entry.fullUrl is not UNSET:
            names.append(entry.fullUrl)
        elif struct is not None and struct.id is not UNSET:
            names.append((struct.resourceType, struct.id))
    return len(set(names)) == len(names)


def _parameter_resources(parameters: Any) -> Iterator[msgspec.Raw]:
    for parameter in () if parameters is UNSET else parameters:
        if parameter.resource is not UNSET:
            yield parameter.resource
        yield from _parameter_resources(parameter.part)
