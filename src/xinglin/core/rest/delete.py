"""delete and conditional delete of a single match (http.html#delete)."""

from __future__ import annotations

from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.gate import Write
from xinglin.core.rest.writing import condition, expected_version, written


async def delete(call: Call) -> Answer:
    return await written(call, Write("DELETE", call.type, call.id, if_match=expected_version(call)))


async def conditional_delete(call: Call) -> Answer:
    return await written(call, Write("DELETE", call.type, if_match=expected_version(call), condition=condition(call)))
