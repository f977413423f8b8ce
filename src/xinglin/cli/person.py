"""`xinglin person`: the rights of a person to what is held of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer

from xinglin.access import sharing
from xinglin.access.house import House
from xinglin.access.principal import NODE
from xinglin.access.records import Records
from xinglin.access.rights import erasing
from xinglin.access.rights.erasing import Plan
from xinglin.access.rights.retention import Held
from xinglin.cli import console
from xinglin.cli.opened import AsJson, on_house
from xinglin.exchange.portability.copying import Copy, copy_of
from xinglin.exchange.portability.paper import paper
from xinglin.kernel import clock
from xinglin.kernel.config import load
from xinglin.kernel.errors import Conflict, Invalid
from xinglin.ui.i18n import LANGUAGES, speaking

app = typer.Typer(no_args_is_help=True, help="What is held of a person: a copy for them, erasure where the law allows.")
T = TypeVar("T")

Patient = Annotated[str, typer.Argument(help="Id of one of the person's Patient resources.")]


@app.command()
def export(
    patient: Patient,
    to: Annotated[Path, typer.Option(help="Folder for the two files; made where it is missing.")],
    language: Annotated[str, typer.Option(help="Language of the paper: zh-Hans or en.")] = "zh-Hans",
    alone: Annotated[bool, typer.Option("--alone", help="Only this Patient, not those linked to it.")] = False,
    json: AsJson = False,
) -> None:
    """Write all that is held of a person: a FHIR Bundle, and a PDF to read.

    The copy is for the person: it holds what every institution of this node keeps, and who looked at it. It is in the
    access list like any other reading. Existing files are not overwritten.

    Example: xinglin person export p-17 --to copies/ --language en
    """
    if language not in LANGUAGES:
        raise Invalid(f"There is no language {language!r}.", remedy=f"Say one of {', '.join(LANGUAGES)}.")
    targets = [to / f"{patient}.{ending}" for ending in ("json", "pdf")]
    for target in targets:
        if target.exists():
            raise Conflict(f"{target} exists.", remedy="Move it away, or choose another folder.")

    async def work(house: House) -> tuple[Copy, bytes]:
        records = Records(house, NODE, why="copy for the person")
        everyone = [patient] if alone else [each.patient for each in await sharing.linked(records, patient)]
        copy = await copy_of(records, everyone)
        return copy, copy.bundle(f"{house.settings.public_base}/fhir")

    copy, bundle = on_house(work)
    with speaking(language, ZoneInfo(load().zone)):
        printed = paper(copy, bundle)
    to.mkdir(parents=True, exist_ok=True)
    for target, content in zip(targets, (bundle, printed), strict=True):
        _write_private(target, content)
    counts = {"entries": len(copy.record) + len(copy.beyond), "accesses": len(copy.accesses)}
    if json:
        console.answer({**counts, "files": [str(target) for target in targets]})
        return
    console.out.print(f"{counts['entries']} resources and {counts['accesses']} lines of the access list:")
    for target in targets:
        console.out.print(f"  {target}", markup=False)


@app.command()
def erase(
    patient: Patient,
    why: Annotated[str, typer.Option(help="Who asked, and when: it stands in the access list.")] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Erase; without it, the plan is shown.")] = False,
    json: AsJson = False,
) -> None:
    """Erase what no law keeps any longer of a Patient's record, as the institution of that Patient holds it.

    What a law keeps stays, with the day until which it is kept. Erased means every version; backups keep theirs until
    they are overwritten.

    Example: xinglin person erase p-17 --why "letter of 3 May" --yes
    """
    if yes and not why.strip():
        raise Invalid("An erasure needs a reason.", remedy='Say --why "who asked, and when".')

    async def work(house: House) -> Plan:
        if yes:
            return await erasing.erase(Records(house, NODE, why=why.strip()), patient)
        async with house.database.connection() as connection:
            return await erasing.plan(connection, patient)

    decided = on_house(work)
    if json:
        console.answer({"patient": patient, "erased": yes, "goes": _rows(decided.goes), "stays": _rows(decided.stays)})
        return
    for verb, rows in (("Erased" if yes else "May go", decided.goes), ("Kept", decided.stays)):
        for (rule, until), count in Counter((each.rule, each.until) for each in rows).items():
            day = f", until {clock.from_micros(until):%Y-%m-%d}" if until else ""
            console.out.print(f"{verb}: {count} ({rule.what}{day}; {rule.source})", markup=False)
    if not yes and decided.goes:
        console.out.print("Nothing was changed. --yes erases what may go.")


def _rows(rows: list[Held]) -> list[dict[str, str]]:
    return [
        {"reference": each.reference, "rule": each.rule.id, "until": clock.instant(each.until) if each.until else ""}
        for each in rows
    ]


def _write_private(target: Path, content: bytes) -> None:
    """Whole or not at all, and readable by its owner only: it is a whole health record."""
    beside = target.with_name(target.name + ".part")
    beside.touch(mode=0o600)
    beside.write_bytes(content)
    beside.rename(target)
