"""What create, update, patch and delete share: one Write through the gate, and its answer as Prefer asks."""

from __future__ import annotations

from typing import Any

from xinglin.core.rest import outcomes
from xinglin.core.rest.exchange import Answer, Call, Header
from xinglin.core.rest.gate import Expected, Outcome, Write
from xinglin.core.rest.negotiation import if_match, version_headers
from xinglin.core.rest.presentation import presentation
from xinglin.kernel.errors import Invalid, PreconditionFailed, Problem


async def written(call: Call, write: Write) -> Answer:
    """Carry out one write and answer it."""
    try:
        (outcome,) = await call.records.write([write])
    except Problem as problem:
        raise outcomes.alone(problem) from problem
    return answered(call, outcome)


def answered(call: Call, outcome: Outcome) -> Answer:
    stored = outcome.stored
    if stored is None or stored.deleted:
        headers: tuple[Header, ...] = version_headers(stored) if stored else ()
        if call.prefer().returns == "OperationOutcome":
            return Answer(200, outcomes.all_well("Deleted."), headers)
        return Answer(204, b"", headers)
    location = f"{call.door.base}/{stored.reference}/_history/{stored.version}".encode()
    headers = (*version_headers(stored), (b"location", location))
    match call.prefer().returns:
        case "minimal":
            return Answer(outcome.status, b"", headers)
        case "OperationOutcome":
            return Answer(outcome.status, outcomes.all_well(f"Stored as version {stored.version}."), headers)
    return Answer(outcome.status, stored.body, headers)


def expected_version(call: Call) -> Expected | None:
    return if_match(call.header(b"if-match"), call.header(b"if-none-match"))


def condition(call: Call) -> str:
    """The criteria of a conditional interaction; without any it would touch everything (http.html#cond-update)."""
    _, criteria = presentation(call.query)
    if not criteria:
        raise PreconditionFailed(
            "A conditional interaction needs search criteria.",
            code="required",
            remedy=f"Use {call.type}?identifier=...",
        )
    return criteria


def same_id(resource: dict[str, Any], resource_id: str) -> dict[str, Any]:
    """The resource, when it has the id of its address (http.html#update)."""
    given = resource.get("id")
    if given != resource_id:
        told = "The resource has no id." if given is None else "The resource's id is not that of the address."
        raise Invalid(told, expression=f"{resource['resourceType']}.id", remedy="Send the same id in both places.")
    return resource
