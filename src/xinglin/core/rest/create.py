"""create and conditional create (http.html#create)."""

from __future__ import annotations

from xinglin.core.rest.body import resource
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.gate import Write
from xinglin.core.rest.presentation import presentation
from xinglin.core.rest.writing import written
from xinglin.kernel.errors import PreconditionFailed


async def create(call: Call) -> Answer:
    call.records  # noqa: B018  refuse a stranger before reading the body
    wished = await resource(call, call.type)
    return await written(call, Write("POST", call.type, resource=wished, condition=if_none_exist(call)))


def if_none_exist(call: Call) -> str | None:
    """The criteria of If-None-Exist, or of the address, where some clients put them; never dropped.

    In the header they may come with the type and a question mark.
    """
    value = call.header(b"if-none-exist")
    if value is None:
        return presentation(call.query)[1] or None
    criteria = value.rpartition("?")[2]
    if not criteria.strip():
        raise PreconditionFailed("If-None-Exist is empty.", code="required", remedy="Send identifier=system|value.")
    return criteria
