"""update, update as create, conditional update (http.html#update)."""

from __future__ import annotations

from dataclasses import replace

from xinglin.core.rest.body import resource
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.gate import Write
from xinglin.core.rest.writing import condition, expected_version, same_id, written


async def update(call: Call) -> Answer:
    write = Write("PUT", call.type, call.id, if_match=expected_version(call))
    call.records  # noqa: B018  refuse a stranger before reading the body
    wished = same_id(await resource(call, call.type), call.id)
    return await written(call, replace(write, resource=wished))


async def conditional_update(call: Call) -> Answer:
    criteria, expected = condition(call), expected_version(call)
    call.records  # noqa: B018  refuse a stranger before reading the body
    wished = await resource(call, call.type)
    return await written(call, Write("PUT", call.type, wished.get("id"), wished, expected, criteria))
