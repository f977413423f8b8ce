"""Composition/$document: a document Bundle of a composition and all that it refers to.

The references that are followed are those of composition-operation-document.html: the composition's own, and those
of what they lead to, as far as the gate shows it.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable, Iterator
from typing import Any, Final

from xinglin.core.rest.bundles import plain_entry
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.gate import Write
from xinglin.core.rest.parameters import Arguments, arguments, one
from xinglin.core.schema import decode
from xinglin.core.schema.definitions import resource_types
from xinglin.core.store.rows import Stored
from xinglin.kernel import clock
from xinglin.kernel.errors import Forbidden, Invalid, TooCostly

MOST: Final = 2000
DEPTH: Final = 3  # section -> report -> observation -> performer lies within
_TYPES: Final = frozenset(resource_types())
_RELATIVE: Final = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9.-]{1,64})")


async def document(call: Call) -> Answer:
    asked = await arguments(call, frozenset({"persist", "graph"}))
    composition = await call.records.read(call.type, call.id)
    gathered = {composition.reference: composition}
    wanted = set(_references(decode.parse(composition.body)))
    for _ in range(DEPTH):
        new = await call.records.several(sorted(wanted - gathered.keys()))
        gathered.update((stored.reference, stored) for stored in new)
        if len(gathered) > MOST:
            raise TooCostly(f"The document would hold more than {MOST} resources.", remedy="Split the composition.")
        wanted = {reference for stored in new for reference in _references(decode.parse(stored.body))}
    body = _bundle(call.door.base, gathered.values())
    if _wished(asked, "persist") and not all(call.records.keeps(stored) for stored in gathered.values()):
        raise Forbidden(
            "The document holds what others keep and have opened; a copy would stay when they close it.",
            remedy="Ask for it without persist: it is made anew each time.",
        )
    if _wished(asked, "persist"):
        await call.records.write([Write("POST", "Bundle", resource=decode.read(body), keep_id=True)])
    return Answer(200, body)


def _wished(asked: Arguments, name: str) -> bool:
    value = one(asked, name)
    if value not in (None, True, False, "true", "false"):
        raise Invalid(f"{name} is not true or false.", code="value")
    return value in (True, "true")


def _references(node: Any) -> Iterator[str]:
    """Relative references anywhere in a resource."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "reference" and isinstance(value, str):
                match = _RELATIVE.match(value)
                if match and match[1] in _TYPES:
                    yield match[0]
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _bundle(base: str, resources: Iterable[Stored]) -> bytes:
    """bdl-9 and bdl-10 ask a document for an identifier and a timestamp."""
    name = str(uuid.uuid4())
    now = clock.instant(clock.micros(clock.now()))
    head = (
        f'{{"resourceType":"Bundle","id":"{name}","identifier":{{"system":"urn:ietf:rfc:3986","value":"urn:uuid:{name}"}},'
        f'"type":"document","timestamp":"{now}","entry":['
    )
    return head.encode() + b",".join(b"".join(plain_entry(base, stored)) for stored in resources) + b"]}"
