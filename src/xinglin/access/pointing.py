"""References between the resources of one call: rewritten to where their targets go, and how to take that back.

bundle.html#references: a reference may be the fullUrl of an entry, or relative to the address of the server that the
referring entry comes from; links in narratives and `uri` elements point to entries as well.
"""

from __future__ import annotations

import re
from typing import Any, Final

_FULL_URL: Final = re.compile(r"(https?://.+)/[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_LINK: Final = re.compile(r"""(\b(?:href|src)\s*=\s*["'])([^"'<>]+)(?=["'])""")
_NODES: Final = frozenset({dict, list})
_URI_ELEMENTS: Final = frozenset({"url", "uri", "valueUri", "valueUrl", "valueUuid", "valueOid"})

Rewritten = tuple[dict[str, Any], str, str]
"""An element of a resource, by its node and name, and what stood there as it came."""


def base_of(full_url: str) -> str:
    """The server's address in a full URL `http://server/base/Type/id`; "" where it is none."""
    match = _FULL_URL.fullmatch(full_url)
    return match[1] if match else ""


def below_bases(targets: dict[str, str]) -> dict[str, dict[str, str]]:
    """What a relative reference means to an entry of each server's address (bundle.html#references)."""
    found: dict[str, dict[str, str]] = {}
    for url, target in targets.items():
        if base := base_of(url):
            found.setdefault(base, {})[url.removeprefix(base + "/")] = target
    return found


def collect(resource: dict[str, Any], targets: dict[str, str], rewritten: list[Rewritten]) -> list[dict[str, Any]]:
    """Rewrite what points to an entry of the same call; gather what holds a reference that still needs an answer."""
    unresolved: list[dict[str, Any]] = []
    waiting: list[Any] = [resource]
    while waiting:  # every element of everything that is stored passes here: a loop, and exact types
        node = waiting.pop()
        if type(node) is list:
            waiting += [item for item in node if type(item) in _NODES]
            continue
        for name, value in node.items():
            kind = type(value)
            if kind in _NODES:
                waiting.append(value)
            elif kind is not str:
                continue
            elif name == "reference":
                if value in targets:
                    rewritten.append((node, name, value))
                    node[name] = targets[value]
                elif value.startswith("urn:") or "?" in value:
                    unresolved.append(node)
            elif name in _URI_ELEMENTS and value in targets:
                rewritten.append((node, name, value))
                node[name] = targets[value]
            elif name == "div" and targets:
                rewritten.append((node, name, value))
                node[name] = _LINK.sub(lambda link: link[1] + targets.get(link[2], link[2]), value)
    return unresolved


def place_of(node: Any, wanted: dict[str, Any], place: str) -> str | None:
    """Where in the resource a part of it stands, as FHIRPath."""
    if node is wanted:
        return place
    if isinstance(node, dict):
        below = [(f"{place}.{name}", value) for name, value in node.items()]
    elif isinstance(node, list):
        below = [(f"{place}[{number}]", value) for number, value in enumerate(node)]
    else:
        return None
    return next((found for where, value in below if (found := place_of(value, wanted, where))), None)
