"""What a Reference says of its target without fetching it, and where a target inside the resource is found."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import model


def target_type(reference: str) -> str | None:
    """`Patient` of `Patient/1`, `http://host/fhir/Patient/1/_history/2` or `Patient?identifier=x`; else None."""
    head = reference.split("/", 1)[0].split("?", 1)[0]
    if model.is_resource(head):
        return head
    segments = reference.split("?", 1)[0].split("/")
    if "_history" in segments:
        segments = segments[: segments.index("_history")]
    if len(segments) >= 2 and model.is_resource(segments[-2]):
        return segments[-2]
    return segments[-1] if len(segments) >= 2 and "?" in reference and model.is_resource(segments[-1]) else None


def contained(reference: str, root: Any) -> dict[str, Any] | None:
    """The target of `#id` among the resource's contained ones; `#` alone is the resource itself."""
    if not isinstance(root, dict):
        return None
    if reference == "#":
        return root
    resources = root.get("contained")
    for resource in resources if isinstance(resources, list) else ():
        if isinstance(resource, dict) and f"#{resource.get('id')}" == reference:
            return resource
    return None


def in_bundle(reference: str, root: Any) -> dict[str, Any] | None:
    """The entry of a Bundle whose fullUrl is, or ends in, the reference."""
    if not isinstance(root, dict) or root.get("resourceType") != "Bundle":
        return None
    for entry in root.get("entry") or ():
        url = entry.get("fullUrl") if isinstance(entry, dict) else None
        if isinstance(url, str) and (url == reference or url.endswith(f"/{reference}")):
            resource = entry.get("resource")
            return resource if isinstance(resource, dict) else None
    return None


def is_type(
    reference: dict[str, Any], type_name: str, root: Any, resolver: Callable[[str], dict[str, Any] | None] | None
) -> bool:
    """Whether a Reference points to a resource of the type: by its text, its `type`, or by fetching it."""
    text = reference.get("reference")
    if isinstance(text, str):
        if text.startswith("#"):
            inside = contained(text, root)
            return inside is not None and model.is_kind_of(str(inside.get("resourceType")), type_name)
        named = None if text.startswith("urn:") else target_type(text)
        if named is not None:
            return model.is_kind_of(named, type_name)
        target = in_bundle(text, root) or (resolver(text) if resolver else None)
        if target is not None:
            return model.is_kind_of(str(target.get("resourceType")), type_name)
    declared = reference.get("type")
    return isinstance(declared, str) and model.is_kind_of(declared.rpartition("/")[2], type_name)


def key(reference: str) -> str | None:
    """`Patient/1` of any literal reference to it, relative or absolute, with or without a version; else None."""
    segments = reference.split("/_history/", 1)[0].split("/")
    if len(segments) < 2 or not model.is_resource(segments[-2]) or not segments[-1] or "?" in reference:
        return None
    return f"{segments[-2]}/{segments[-1]}"
