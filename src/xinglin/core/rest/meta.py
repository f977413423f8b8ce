"""$meta, $meta-add, $meta-delete: tags, profiles and security labels of a resource (resource-operations.html)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.gate import Write
from xinglin.core.rest.negotiation import version_number
from xinglin.core.rest.parameters import arguments, one, parameters_answer
from xinglin.core.schema import decode
from xinglin.core.store.rows import Stored
from xinglin.kernel.errors import Conflict, Invalid, NotFound, PreconditionFailed, TooCostly

LISTS = ("profile", "security", "tag")
ATTEMPTS = 5
MOST_PAGES = 20
PAGE = 1000
LABELLED = f"_filter={quote('_tag pr true or _profile pr true or _security pr true')}&_count={PAGE}"
Meta = dict[str, Any]


async def meta(call: Call) -> Answer:
    await arguments(call, frozenset())
    found = await _in_use(call) if len(call.segments) < 3 else _meta_of(await _asked_for(call))
    return parameters_answer("return", "valueMeta", found)


async def _in_use(call: Call) -> Meta:
    """All profiles, labels and tags of a type's or of all resources that the caller may see, each once."""
    found: dict[str, dict[Any, Any]] = {name: {} for name in LISTS}
    query = LABELLED
    for _ in range(MOST_PAGES):
        page = await call.records.search(call.type if len(call.segments) > 1 else None, query, strict=True)
        for stored in page.matches:
            own = _meta_of(stored)
            for name in LISTS:
                found[name] |= {_key(one): one for one in own.get(name, []) if _key(one) not in found[name]}
        if page.next is None:
            return {name: list(values.values()) for name, values in found.items() if values}
        query = f"{LABELLED}&_page={quote(page.next, safe='')}"
    raise TooCostly(
        f"More than {MOST_PAGES * PAGE} resources have tags, labels or profiles.",
        remedy="Ask for one resource's, or search by _tag, _security or _profile.",
    )


async def _asked_for(call: Call) -> Stored:
    if len(call.segments) == 3:
        return await call.records.read(call.type, call.id)
    version = version_number(call.segments[3])
    if version is None:
        raise NotFound("There is no such version.")
    return await call.records.vread(call.type, call.id, version)


def _meta_of(stored: Stored) -> Meta:
    return dict(decode.parse(stored.body).get("meta", {}))


async def meta_add(call: Call) -> Answer:
    return await _change(call, added)


async def meta_delete(call: Call) -> Answer:
    return await _change(call, removed)


async def _change(call: Call, change: Any) -> Answer:
    given = one(await arguments(call, frozenset({"meta"})), "meta")
    if not isinstance(given, dict):
        raise Invalid("The parameter `meta` is missing.", code="required", remedy="Send it as valueMeta.")
    for attempt in range(1, ATTEMPTS + 1):
        stored = await call.records.read(call.type, call.id)
        resource = decode.parse(stored.body)
        changed = change(resource.get("meta", {}), given)
        if changed == resource.get("meta", {}):
            break
        write = Write("PUT", call.type, call.id, {**resource, "meta": changed}, stored.version)
        try:
            (outcome,) = await call.records.write([write])
            stored = outcome.stored or stored
            break
        except (PreconditionFailed, Conflict):
            if attempt == ATTEMPTS:
                raise
    return parameters_answer("return", "valueMeta", _meta_of(stored))


def added(meta: Meta, given: Meta) -> Meta:
    """The meta with the given profiles, labels and tags that it did not have."""
    merged = dict(meta)
    for name in LISTS:
        own = list(meta.get(name, []))
        there = set(map(_key, own))
        merged[name] = own + [new for new in given.get(name, []) if _key(new) not in there]
    return {name: value for name, value in merged.items() if value != []}


def removed(meta: Meta, given: Meta) -> Meta:
    """The meta without the given profiles, labels and tags."""
    left = dict(meta)
    for name in LISTS:
        unwanted = {_key(one) for one in given.get(name, [])}
        left[name] = [own for own in meta.get(name, []) if _key(own) not in unwanted]
    return {name: value for name, value in left.items() if value != []}


def _key(value: Any) -> Any:
    """What makes a coding the same: system and code, not its display."""
    return (value.get("system"), value.get("code")) if isinstance(value, dict) else value
