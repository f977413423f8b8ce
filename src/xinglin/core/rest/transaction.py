"""transaction: every entry or none, in the order that the specification gives (http.html#trules).

    entries -> calls -> checked writes (DELETE, POST, PUT and PATCH) -> one `write` of the gate -> reads -> answer

References between entries (urn:uuid) and conditional references are resolved by the gate inside its transaction.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from xinglin.core.rest import bundles, outcomes
from xinglin.core.rest.body import resource as body_resource
from xinglin.core.rest.bundles import answer_part, bundle, response_entry, response_part
from xinglin.core.rest.create import if_none_exist
from xinglin.core.rest.entries import Entry, PostedBundle, entry_call, numbered, shows_resources
from xinglin.core.rest.exchange import Answer, Call, Prefer
from xinglin.core.rest.gate import Outcome, Write
from xinglin.core.rest.patch import patch_write
from xinglin.core.rest.writing import condition, expected_version, same_id
from xinglin.kernel.breath import in_slices
from xinglin.kernel.errors import Invalid, Problem

ORDER: Final = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2}
_NUMBER: Final = re.compile(r"^Bundle\.entry\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Planned:
    entry: Entry
    write: Write


async def transaction(call: Call, posted: PostedBundle) -> Answer:
    entries = [entry_call(call, posted, number) async for number in numbered(posted)]
    _refuse_repeated_urls(entries)
    reads = [entry for entry in entries if _is_read(entry)]
    for entry in reads:
        _placed_find(entry)
    planned = await _plan([entry for entry in entries if not _is_read(entry)])
    answers = dict(zip((plan.entry.number for plan in planned), await _written(call, planned), strict=True))
    for entry in reads:
        answers[entry.number] = await _read(entry)
    joined = [answers[number] for number in sorted(answers)]
    return Answer(200, bundle("transaction-response", joined), resource_body=False)


def _is_read(entry: Entry) -> bool:
    return entry.call.method in ("GET", "HEAD") or entry.call.segments[-1:] == ("_search",)


def _placed_find(entry: Entry) -> None:
    """A read that could never be answered fails the transaction before anything is written."""
    try:
        entry.call.door.routes.find(entry.call)
    except Problem as problem:
        raise outcomes.placed(problem, entry.place) from problem


async def _plan(entries: Sequence[Entry]) -> list[Planned]:
    """The writes in processing order; all are checked before the first is carried out."""
    planned = []
    async for entry in in_slices(entries):
        try:
            planned.append(Planned(entry, await _write(entry)))
        except Problem as problem:
            raise outcomes.placed(problem, entry.place, "resource") from problem
    planned.sort(key=lambda plan: ORDER[plan.entry.call.method])
    _refuse_repeated(planned)
    return planned


async def _write(entry: Entry) -> Write:
    call = entry.call
    if not 1 <= len(call.segments) <= 2 or call.segments[-1].startswith(("$", "_")):
        raise Invalid(
            f"{call.method} {'/'.join(call.segments)[:80]} cannot stand in a transaction.",
            code="not-supported",
            remedy="Use create, update, patch, delete, read and search; operations go alone or into a batch.",
        )
    call.door.routes.find(call)
    match call.method, len(call.segments):
        case "POST", 1:
            resource = await body_resource(call, call.type)
            return Write("POST", call.type, resource=resource, condition=if_none_exist(call), full_url=entry.full_url)
        case "PUT", 2:
            resource = same_id(await body_resource(call, call.type), call.id)
            return Write("PUT", call.type, call.id, resource, expected_version(call), full_url=entry.full_url)
        case "PUT", 1:
            resource = await body_resource(call, call.type)
            expected, criteria = expected_version(call), condition(call)
            return Write("PUT", call.type, resource.get("id"), resource, expected, criteria, entry.full_url)
        case "DELETE", 2:
            return Write("DELETE", call.type, call.id, if_match=expected_version(call))
        case "DELETE", 1:
            return Write("DELETE", call.type, condition=condition(call))
        case "PATCH", _:
            return await patch_write(call)
    raise Invalid("POST goes to a type, not to an id.", expression="request.url", remedy="Use PUT to choose an id.")


def _refuse_repeated_urls(entries: Sequence[Entry]) -> None:
    seen: dict[str, int] = {}
    for entry in entries:
        if entry.full_url is None or _is_read(entry):
            continue
        if entry.full_url in seen:
            raise Invalid(
                f"Entries {seen[entry.full_url]} and {entry.number} have the same fullUrl.",
                code="duplicate",
                expression=f"{entry.place}.fullUrl",
                remedy="Give each its own.",
            )
        seen[entry.full_url] = entry.number


def _refuse_repeated(planned: Sequence[Planned]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for plan in planned:
        if plan.write.id is None or plan.write.method == "POST":
            continue
        identity = (plan.write.type, plan.write.id)
        if identity in seen:
            raise Invalid(
                f"{'/'.join(identity)} is written by entries {seen[identity]} and {plan.entry.number}.",
                code="duplicate",
                expression=plan.entry.place,
                remedy="Keep one of them: a transaction touches a resource once.",
            )
        seen[identity] = plan.entry.number


async def _written(call: Call, planned: Sequence[Planned]) -> list[bundles.Entry]:
    if not planned:
        return []
    try:
        results = await call.records.write([plan.write for plan in planned])
    except Problem as problem:
        raise _renumbered(problem, planned) from problem
    pairs = in_slices(zip(planned, results, strict=True))
    return [_answer_entry(call, plan, outcome) async for plan, outcome in pairs]


def _renumbered(problem: Problem, planned: Sequence[Planned]) -> Problem:
    """The gate counts the writes it was given; the caller counts entries."""
    if not any(issue.expression and _NUMBER.match(issue.expression) for issue in problem.issues):
        alone = len(planned) == 1
        return outcomes.placed(problem, planned[0].entry.place, "resource") if alone else problem

    def theirs(match: re.Match[str]) -> str:
        number = int(match[1])
        return planned[number].entry.place if number < len(planned) else match[0]

    issues = []
    for issue in problem.issues:
        expression = _NUMBER.sub(theirs, issue.expression) if issue.expression else None
        issues.append(type(issue)(issue.code, issue.text, expression, issue.severity, issue.remedy))
    return type(problem)(issues=issues)


def _answer_entry(call: Call, plan: Planned, outcome: Outcome) -> bundles.Entry:
    stored = outcome.stored
    if stored is None or stored.deleted:
        return response_entry(response_part(outcome.status, stored))
    prefer: Prefer = call.prefer()
    body = stored.body if shows_resources(prefer, plan.entry.call.method) else b""
    well = outcomes.all_well("Stored.") if prefer.returns == "OperationOutcome" else None
    url = f"{call.door.base}/{stored.reference}"
    return response_entry(response_part(outcome.status, stored, well), body, url)


async def _read(entry: Entry) -> bundles.Entry:
    """A read after the writes. What it does not find is said in its entry: the writes stand already."""
    try:
        answer = await entry.call.door.answer(entry.call)
    except Problem as problem:
        answer = outcomes.failed(outcomes.placed(problem, entry.place))
        return response_entry(answer_part(answer, answer.body))
    return response_entry(answer_part(answer), answer.body)
