"""`xinglin audit`: the access log as evidence: exported, verified, its heads signed and countersigned, lines erased."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from xinglin.access import audit
from xinglin.access.audit import Access, erasure, evidence, heads, judge, notes, tree, witness
from xinglin.access.bulk import patient_keys
from xinglin.access.grants import linked_people
from xinglin.access.principal import NODE
from xinglin.cli import console
from xinglin.cli.opened import AsJson, on_database
from xinglin.kernel.config import load
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="Prove what was done: export, verify and countersign the access log.")

LONGEST = 1 << 20  # bytes of a head or a request

HeadFile = Annotated[str, typer.Argument(help="File with the head, or - for standard input.")]


@app.command()
def export(file: Annotated[Path, typer.Argument(help="The zip file to write.")], json: AsJson = False) -> None:
    """Write the whole access log with everything that proves it. The file holds personal data: keep it so.

    Example: xinglin audit export log-2026.zip
    """

    async def work(database: Database) -> notes.Head:
        async with database.connection() as connection:
            await audit.record(connection, [Access(NODE, "export", "AuditEvent (whole log)")])
        return await evidence.export(database, load(), file)

    try:
        head = on_database(work)
    except OSError as error:
        raise Invalid(f"{file} cannot be written: {error.strerror}.") from error
    if json:
        console.answer({"entries": head.size, "head": head.text, "file": file})
    else:
        console.out.print(f"Wrote {head.size} entries to {escape(str(file))}.")


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="An export of the access log.")],
    head: Annotated[list[Path] | None, typer.Option(help="A head that was kept outside. May be repeated.")] = None,
    key: Annotated[str, typer.Option(help="The log's key, as you know it from elsewhere.")] = "",
    json: AsJson = False,
) -> None:
    """Say whether an exported log is whole, and which entry is not. Needs nothing but the file.

    Example: xinglin audit verify log-2026.zip --head head-of-march.txt --key "hospital.example/log+1a2b3c4d+AbCd..."
    """
    outside = [notes.read(_text(str(one))) for one in head or ()]
    known = notes.key_of_text(key) if key else None
    found = evidence.read(file)
    verdict = judge.judge(found, outside=outside, key=known)
    if json:
        console.answer({"sound": verdict.sound, "verdict": verdict, "key": found.key.text})
    else:
        _tell(verdict, found.key.text if known is None else "")
    if not verdict.sound:
        raise typer.Exit(1)


def _tell(verdict: judge.Verdict, unchecked: str) -> None:
    for finding in verdict.findings:
        console.err.print(f"[red]{finding.kind}:[/] {escape(finding.text)}.")
    if verdict.sound:
        console.out.print(f"Sound: {verdict.size} entries under {verdict.heads} signed heads.")
        console.out.print(f"{verdict.erased} entries were erased and are accounted for.")
        for name, count in verdict.witnessed.items():
            console.out.print(f"{escape(name)} countersigned {count} of the heads.")
    if unchecked:
        console.warn(f"The key is the export's own; compare it with one you know (--key): {unchecked}")


@app.command()
def head(
    since: Annotated[int | None, typer.Option(help="Ask a witness: with a proof from a head of this size.")] = None,
    accept: Annotated[str, typer.Option(help="Keep what a witness signed under this head (a file, or -).")] = "",
    keys: Annotated[bool, typer.Option("--keys", help="Print this node's keys, as a log and as a witness.")] = False,
) -> None:
    """Sign a head of the log as it is now, and print it. Keep it somewhere else: it binds the log's past.

    Example: xinglin audit head > head.txt
    """

    async def work(database: Database) -> str:
        async with database.connection() as connection:
            if keys:
                return "".join(f"{one.key.text}\n" for one in await heads.signers(connection, load()))
            if accept:
                return f"Kept {await heads.accept(connection, notes.read(_text(accept)))} countersignatures.\n"
        await tree.catch_up(database)
        newest = await heads.sign(database, load())
        if since is None:
            return newest.text
        async with database.connection() as connection:
            proof = await tree.consistency(connection, since, newest.size)
        return witness.Request(since, tuple(proof), newest).text

    typer.echo(on_database(work), nl=False)


@app.command()
def cosign(
    request: HeadFile,
    previous: Annotated[Path | None, typer.Option("--from", help="The head of it that you know already.")] = None,
) -> None:
    """Countersign another log's head, if it begins with the head signed before; a fork is refused.

    Example: xinglin audit head --since 120 | ssh watcher xinglin audit cosign - --from head-120.txt
    """
    asked = witness.read(_text(request))
    shown = notes.read(_text(str(previous))) if previous else None

    async def work(database: Database) -> notes.Signature:
        return await witness.countersign(database, load(), asked, shown)

    typer.echo(asked.head.also(on_database(work)).text, nl=False)


@app.command()
def trust(
    key: Annotated[str, typer.Argument(help="A line of `xinglin audit head --keys` of another node.")],
    anew: Annotated[bool, typer.Option("--anew", help="Forget the head last signed: the log was restored.")] = False,
) -> None:
    """Know another node's key: a log's, to countersign its heads; a witness's, to keep its signatures under ours.

    Example: xinglin audit trust "hospital.example/log+1a2b3c4d+AbCd..."
    """
    known = notes.key_of_text(key)

    async def work(database: Database) -> None:
        async with database.connection() as connection:
            await heads.trust(connection, known, anew=anew)

    on_database(work)
    kind = "log" if known.kind == notes.LOG else "witness"
    typer.echo(f"{known.name} is known as a {kind}.")


@app.command()
def erase(
    patient: Annotated[str, typer.Argument(help="Id of one of the person's Patient resources.")],
    reason: Annotated[str, typer.Option(help="Who asks for it and on what ground; it is logged without the person.")],
    whatever_age: Annotated[
        bool, typer.Option("--whatever-age", help="Also lines that the law wants kept: by order of a court.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Take a person's data out of the access log. Proofs stay valid; the erasure is logged. It cannot be undone.

    Example: xinglin audit erase hx-p17 --reason "request of the person of 3 May, granted by the privacy officer"
    """

    async def work(database: Database) -> erasure.Erased:
        async with database.connection() as connection:
            persons = await linked_people(connection, patient_keys([patient])[0])
        return await erasure.erase(database, NODE, persons, reason, whatever_age=whatever_age)

    done = on_database(work)
    months, law = erasure.retention()
    if json:
        console.answer({"erased": done.lines, "kept": done.kept, "months": months, "law": law})
        return
    console.out.print(f"Erased {done.lines} lines.")
    if done.kept:
        console.out.print(f"{done.kept} lines are younger than {months} months and stay: {escape(law)}.")


def _text(name: str) -> str:
    """A short text from a file or standard input."""
    try:
        data = sys.stdin.buffer.read(LONGEST) if name == "-" else _read(Path(name))
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{name} cannot be read as text.", remedy="Name a file with a head.") from error


def _read(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(LONGEST)
