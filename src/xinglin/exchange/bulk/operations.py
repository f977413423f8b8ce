"""The $operations of bulk data: kick-off, status and cancel, files.

    GET [base]/$export                      202, Content-Location: the status address
    GET [base]/$export-status?job=ID        202 with X-Progress and Retry-After, then 200 with the manifest
    GET [base]/$export-file?job=ID&name=N   NDJSON
    DELETE [base]/$export-status?job=ID     202: cancelled, and its files are gone
    POST [base]/$import                     the same for what comes in: $import-status, $import-errors

A job is its owner's alone: to everybody else it does not exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Final

import orjson

from xinglin.access.bulk import acting_for, check_may_export, check_may_import, closed_since, importer, note, owner
from xinglin.access.records import Records
from xinglin.core.rest import outcomes
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.parameters import arguments, one
from xinglin.core.rest.routing import Operation
from xinglin.exchange.bulk import exporting, importing, ranges
from xinglin.exchange.bulk.asking import asked_of
from xinglin.exchange.bulk.bringing import import_of
from xinglin.exchange.bulk.folders import Folder, parts
from xinglin.kernel import clock, jobs
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Gone, Issue, NotFound, TooMany

MOST_UNFINISHED: Final = 5  # jobs of one owner
_LINES: Final = frozenset({"application/fhir+ndjson", "application/ndjson"})
_PATIENT: Final = frozenset({"Patient"})
_GROUP: Final = frozenset({"Group"})
_IG: Final = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition/"
_JSON: Final = b"application/json"
NDJSON: Final = b"application/fhir+ndjson"


async def kick_off(call: Call) -> Answer:
    records = gate_of(call)
    async with records.refusals("export", "/".join(call.segments)):
        check_may_export(records.principal)
    asked = await asked_of(call)
    async with records.refusals("export", "/".join(call.segments)):
        acting_for(records.principal, asked.purpose, asked.basis)
    if asked.group is not None:
        await records.read("Group", asked.group)  # missing and forbidden look the same
    async with records.house.database.transaction() as connection:
        await _refuse_too_many(connection, records.principal.login)
        keep = timedelta(hours=records.house.settings.export_hours)
        job = await jobs.submit(connection, exporting.KIND, records.principal.login, asdict(asked), keep=keep)
    await note(records, exporting.target_of(job))
    return accepted(call, "$export-status", job)


def accepted(call: Call, operation: str, job: jobs.Job) -> Answer:
    where = f"{call.door.base}/{operation}?job={job.id}"
    body = outcomes.all_well(f"It is being worked on. Its state is at {where}.")
    return Answer(202, body, ((b"content-location", where.encode()),), resource_body=False)


def gate_of(call: Call) -> Records:
    records = call.records
    assert isinstance(records, Records)
    return records


async def own_job(call: Call, kind: str) -> tuple[jobs.Job, dict[str, Any]]:
    """The caller's job that the address names, and the other parameters."""
    found = await arguments(call, frozenset({"job", "name"}))
    records = gate_of(call)
    stands = owner if kind == exporting.KIND else importer
    async with records.house.database.connection() as connection:
        await stands(connection, records.principal.login)  # a worker may remember a token a moment too long
        job = await jobs.find(connection, str(one(found, "job")))
    gone = job is None or job.state == jobs.CANCELLED or (job.expires and job.expires < clock.now())
    if gone or job is None or job.kind != kind or job.owner != records.principal.login:
        raise NotFound("There is no such job.", remedy="It may have expired; start it again.")
    return job, found


async def status(call: Call) -> Answer:
    job, _ = await own_job(call, exporting.KIND)
    if call.method == "DELETE":
        return await cancelled(call, job)
    if not job.ended:
        return waiting(job, _saying(job))
    if job.state == jobs.FAILED:
        return failed(job)
    await _refuse_closed(call, job)
    return Answer(200, orjson.dumps(_manifest(call, job)), _expiry(job), _JSON, resource_body=False)


async def cancelled(call: Call, job: jobs.Job) -> Answer:
    house = gate_of(call).house
    async with house.database.transaction() as connection:
        await (jobs.remove if job.ended else jobs.cancel)(connection, job.id)
    Folder.of(house.settings, job.kind, job.id).remove()
    return Answer(202, outcomes.all_well("It is cancelled, and its files are removed."), resource_body=False)


def waiting(job: jobs.Job, saying: str) -> Answer:
    seconds = 1 if job.started is None else min(10, 1 + int((clock.now() - job.started).total_seconds()) // 10)
    headers = ((b"x-progress", saying.encode()[:100]), (b"retry-after", b"%d" % seconds))
    return Answer(202, outcomes.all_well(f"Not done yet: {saying}."), headers, resource_body=False)


def failed(job: jobs.Job) -> Answer:
    issue = Issue("exception", job.error, remedy="Start it again.")
    return Answer(500, outcomes.operation_outcome([issue]), resource_body=False)


def _saying(job: jobs.Job) -> str:
    types, number = job.arguments["types"], job.progress.get("type", 0)
    if not job.progress:
        return "waiting to start"
    at = types[number] if number < len(types) else "the end"
    return f"{job.progress['count']:,} resources, now at {at} ({number}/{len(types)} types)"


def _manifest(call: Call, job: jobs.Job) -> dict[str, Any]:
    def listed(kind: str) -> list[dict[str, Any]]:
        return [
            {
                "type": file["type"],
                "url": f"{call.door.base}/$export-file?job={job.id}&name={file['name']}",
                "count": file["count"],
            }
            for file in job.progress.get("files", ())
            if file["kind"] == kind and file["count"]
        ]

    return {
        "transactionTime": clock.instant(job.arguments["at"]),
        "request": job.arguments["request"],
        "requiresAccessToken": True,
        "output": listed(exporting.OUTPUT),
        "deleted": listed(exporting.DELETED),
        "error": [],
    }


async def file(call: Call) -> Answer:
    job, found = await own_job(call, exporting.KIND)
    name = one(found, "name")
    known = [one for one in job.progress.get("files", ()) if one["name"] == name]
    path = Folder.of(gate_of(call).house.settings, job.kind, job.id).path / (known[0]["name"] if known else "-")
    if job.state != jobs.DONE or not known or not path.is_file():
        raise NotFound("There is no such file.", remedy="Take its address from the manifest.")
    await _refuse_closed(call, job)
    await note(gate_of(call), f"{exporting.target_of(job)} {name}")
    length, tag = known[0]["bytes"], f'"{job.id}/{name}"'
    unchanged = call.header(b"if-range") in (None, tag)
    part = ranges.wanted(call.header(b"range"), unchanged, length) if call.method == "GET" else None
    start, end = part or (0, length)
    headers = (*_expiry(job), (b"accept-ranges", b"bytes"), (b"etag", tag.encode()))
    if part is not None:
        said = f"bytes */{length}" if start == end else f"bytes {start}-{end - 1}/{length}"
        headers += ((b"content-range", said.encode()),)
        if start == end:
            beyond = Issue("value", f"The file has {length} bytes.", remedy="You have it whole; ask without Range.")
            return Answer(416, outcomes.operation_outcome([beyond]), headers, resource_body=False)
    stream = _unless_closed(call, job, path, end - start, start)
    status = 200 if part is None else 206
    return Answer(status, b"", headers, NDJSON, resource_body=False, stream=stream, length=end - start)


async def _unless_closed(call: Call, job: jobs.Job, path: Path, length: int, start: int) -> AsyncIterator[bytes]:
    """The file in pieces; none leaves after the acknowledgement of a consent that closes something of it."""
    async for piece in parts(path, length, start):
        await _refuse_closed(call, job)
        yield piece


async def _refuse_closed(call: Call, job: jobs.Job) -> None:
    """What a consent has closed since is not handed out from a file."""
    records = gate_of(call)
    since = clock.micros(job.started or job.created)
    async with records.house.database.connection() as connection:
        principal = acting_for(records.principal, job.arguments.get("purpose", ""), job.arguments.get("basis", ""))
        closed = await closed_since(connection, principal, since, exporting.target_of(job))
    if closed:
        Folder.of(records.house.settings, job.kind, job.id).remove()
        raise Gone("Consent of someone in this export has changed since.", remedy="Start a new export.")


# import -------------------------------------------------------------------------------------------------------------


async def kick_off_import(call: Call) -> Answer:
    records = gate_of(call)
    house, owner_login = records.house, records.principal.login
    async with records.refusals("import", "$import"):
        check_may_import(records.principal)
    text, wanted = await import_of(call, house.settings.import_hosts)
    async with records.refusals("import", "$import"):
        check_may_import(records.principal, wanted.custodian)
    keep = timedelta(hours=house.settings.export_hours)
    async with house.database.transaction() as connection:
        await _refuse_too_many(connection, owner_login)
        job = await jobs.submit(connection, importing.KIND, owner_login, asdict(wanted), keep=keep)
        if text is not None:
            await Folder.of(house.settings, importing.KIND, job.id).put("0.ndjson", text)
    await note(records, f"$import {job.id}", "import")
    return accepted(call, "$import-status", job)


async def import_status(call: Call) -> Answer:
    job, _ = await own_job(call, importing.KIND)
    if call.method == "DELETE":
        return await cancelled(call, job)
    if not job.ended:
        return waiting(job, f"{importing.stored(job.progress):,} resources")
    if job.state == jobs.FAILED:
        return failed(job)
    errors = {"type": "OperationOutcome", "count": job.progress["errors"], "url": f"{call.door.base}/$import-errors"}
    manifest = {
        "transactionTime": clock.instant(clock.micros(job.started or job.created)),
        "request": f"{call.door.base}/$import",
        "requiresAccessToken": True,
        "output": [{"type": name, **words} for name, words in sorted(job.progress["counts"].items())],
        "error": [errors | {"url": f"{errors['url']}?job={job.id}"}] if job.progress["errors"] else [],
    }
    return Answer(200, orjson.dumps(manifest), _expiry(job), _JSON, resource_body=False)


async def import_errors(call: Call) -> Answer:
    job, _ = await own_job(call, importing.KIND)
    path = Folder.of(gate_of(call).house.settings, job.kind, job.id).path / importing.ERRORS
    length = job.progress.get("error_bytes", 0)
    if not length or not path.is_file():
        raise NotFound("There are no errors.")
    return Answer(200, b"", _expiry(job), NDJSON, resource_body=False, stream=parts(path, length), length=length)


async def _refuse_too_many(connection: Connection, login: str) -> None:
    if await jobs.unfinished(connection, login) >= MOST_UNFINISHED:
        raise TooMany(f"{MOST_UNFINISHED} of your jobs are not finished yet.", remedy="Wait, or cancel one.")


def _expiry(job: jobs.Job) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"expires", format_datetime(job.expires, usegmt=True).encode()),) if job.expires else ()


_SYSTEM: Final = frozenset({"system"})
_MANIFEST: Final = frozenset({"application/json"})

OPERATIONS: Final = (
    Operation("export", _SYSTEM, kick_off, "Export all that you may see.", definition=_IG + "export", done=(202,)),
    Operation(
        "export",
        frozenset({"type"}),
        kick_off,
        "Export people's records.",
        _PATIENT,
        _IG + "patient-export",
        done=(202,),
    ),
    Operation(
        "export",
        frozenset({"instance"}),
        kick_off,
        "Export a group's records.",
        _GROUP,
        _IG + "group-export",
        done=(202,),
    ),
    Operation(
        "export-status",
        _SYSTEM,
        status,
        "How far an export is; DELETE ends it.",
        deletes=True,
        media=_MANIFEST,
        done=(200, 202),
    ),
    Operation("export-file", _SYSTEM, file, "A file of an export.", media=_LINES),
    Operation("import", _SYSTEM, kick_off_import, "Start a bulk import.", writes=True, done=(202,)),
    Operation(
        "import-status",
        _SYSTEM,
        import_status,
        "How far an import is; DELETE ends it.",
        deletes=True,
        media=_MANIFEST,
        done=(200, 202),
    ),
    Operation("import-errors", _SYSTEM, import_errors, "What an import refused.", media=_LINES),
)
