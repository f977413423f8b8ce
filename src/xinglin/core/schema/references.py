"""What type of resource a reference's text points to, as far as its form tells."""

from __future__ import annotations

import re
from collections.abc import Collection

from xinglin.core.schema.definitions import resource_types

# https://hl7.org/fhir/R4/references.html#literal: [base]/Type/id or [base]/Type/id/_history/version
_RESTFUL = re.compile(
    r"(?:(?:https?|ftp)://[^\s?#]*?/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?(?:#.*)?",
    re.DOTALL,
)
_TYPES = frozenset(resource_types())
_CONDITIONAL = re.compile(r"([A-Z][A-Za-z]+)\?.+", re.DOTALL)


def target_type(reference: str) -> str | None:
    """The resource type a literal or conditional reference names; None for `#id`, URNs and other URLs."""
    match = _RESTFUL.fullmatch(reference) or _CONDITIONAL.fullmatch(reference)
    return match[1] if match and match[1] in _TYPES else None


def is_allowed_target(reference: str, targets: Collection[str]) -> bool:
    """Whether a reference may stand where only these types may be pointed to; what names no type may."""
    named = target_type(reference)
    return named is None or named in targets
