"""batch: each entry on its own, through the door; and the fork to transaction (http.html#transaction)."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Final

from xinglin.core.rest import outcomes
from xinglin.core.rest.body import json_body
from xinglin.core.rest.bundles import Entry, answer_part, bundle, response_entry
from xinglin.core.rest.entries import PostedBundle, entry_call, numbered, posted_bundle, shows_resources
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.transaction import transaction
from xinglin.core.validation.structure import sparing_suggestions
from xinglin.kernel.breath import without_collecting
from xinglin.kernel.errors import Invalid, TooCostly

WHOLE_SECONDS: Final = 120
MOST_BYTES: Final = 64 << 20
LARGE: Final = 1 << 19  # bytes


async def batch_or_transaction(call: Call) -> Answer:
    call.records  # noqa: B018  refuse a stranger before reading the body
    raw = await json_body(call)
    with without_collecting() if len(raw) >= LARGE else nullcontext():
        return await _carried_out(call, posted_bundle(raw))


async def _carried_out(call: Call, posted: PostedBundle) -> Answer:
    if posted.type == "transaction":
        return await transaction(call, posted)
    if posted.type == "batch":
        return await _batch(call, posted)
    raise Invalid(
        f"A Bundle of type {posted.type[:40]!r} cannot be carried out.",
        code="value",
        expression="Bundle.type",
        remedy="Use batch or transaction.",
    )


async def _batch(call: Call, posted: PostedBundle) -> Answer:
    """Entries in order, each answered as it would be alone; one that fails does not stop the next."""
    entries = []
    until = asyncio.get_running_loop().time() + WHOLE_SECONDS
    size = 0
    with sparing_suggestions():
        async for number in numbered(posted):
            going_on = asyncio.get_running_loop().time() < until and size < MOST_BYTES
            entries.append(await _entry(call, posted, number) if going_on else _late(number))
            size += sum(map(len, entries[-1]))
    return Answer(200, bundle("batch-response", entries), resource_body=False)


def _late(number: int) -> Entry:
    problem = TooCostly(
        f"The batch took {WHOLE_SECONDS} seconds, or its answer {MOST_BYTES >> 20} MiB; this entry was not begun.",
        expression=f"Bundle.entry[{number}]",
        remedy="Send the rest again.",
    )
    return response_entry(answer_part(answer := outcomes.failed(problem), answer.body))


async def _entry(call: Call, posted: PostedBundle, number: int) -> Entry:
    place = f"Bundle.entry[{number}]"
    try:
        entry = entry_call(call, posted, number)
        if entry.call.method == "POST" and not entry.call.segments:
            raise Invalid("A Bundle cannot stand inside a batch.", remedy="Post it on its own.")
        answer = await call.door.answer(entry.call)
    except Exception as error:
        problem = outcomes.problem_of(error)
        answer = outcomes.failed(outcomes.placed(problem, place, "resource") if problem else error)
        return response_entry(answer_part(answer, answer.body))
    asks = entry.call.segments[-1][:1] == "$" or entry.call.segments[-1] == "_search" if entry.call.segments else False
    shown = asks or shows_resources(call.prefer(), entry.call.method)
    return response_entry(answer_part(answer), answer.body if shown else b"", None)
