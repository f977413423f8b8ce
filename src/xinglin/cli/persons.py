"""`xinglin persons`: which records are one person, for the operator: train weights, match, explain, whole batches."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, TextIO

import orjson
import typer

from xinglin.access.house import House
from xinglin.access.persons import batch, columns, linking, models, training
from xinglin.access.persons.match import TELLING
from xinglin.access.persons.traits import Traits
from xinglin.access.persons.weights import Weights
from xinglin.access.principal import NODE
from xinglin.access.records import Records
from xinglin.cli import console
from xinglin.cli.opened import AsJson, on_house
from xinglin.core.schema import decode
from xinglin.kernel import clock
from xinglin.kernel.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="Which records are one person: train weights, match, explain, batches.")
SMALL = 100_000  # records up to which a batch compares by more keys
PROGRESS = 20_000  # records between two lines of progress
VERSION = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


@app.command()
def train(
    name: Annotated[str, typer.Option(help="What the weights are to be called; the moment if unset.")] = "",
    adopt: Annotated[bool, typer.Option("--adopt", help="Judge by them from now on.")] = False,
    json: AsJson = False,
) -> None:
    """Learn weights from this node's own Patients; nobody has to say who is who.

    Example: xinglin persons train --name spring
    """

    version = name or f"{clock.now():%Y%m%d-%H%M%S}"
    if not VERSION.fullmatch(version):
        raise Invalid(f"--name {version!r} is no name for weights.", remedy="Up to 64 letters, digits, - _ and dots.")

    async def work(house: House) -> tuple[Weights, int | None]:
        connection = columns.connect()
        async with house.database.connection() as tables:
            await models.must_be_new(tables, version)
        count = await _load(house, connection)
        weights = training.train(connection, version, f"{count:,} Patients of this node", progress=_say)
        async with house.database.transaction() as tables:
            await models.keep(tables, weights)
        return weights, await _adopt(house, weights.version) if adopt else None

    weights, asked = on_house(work)
    if json:
        console.answer({"version": weights.version, "prior": weights.prior, "adopted": adopt, "reviews": asked})
        return
    console.out.print(f"Weights {weights.version}, learnt from {weights.trained['records']:,} records.")
    _told(asked) if adopt else console.out.print(f"To judge by them: xinglin persons adopt {weights.version}")


@app.command()
def adopt(version: Annotated[str, typer.Argument(help="A set of weights.")]) -> None:
    """Judge by other weights. What is linked stays; where they would say otherwise, a clerk is asked.

    Example: xinglin persons adopt spring
    """
    _told(on_house(lambda house: _adopt(house, version)))


async def _adopt(house: House, version: str) -> int:
    async with house.database.transaction() as connection:
        await models.adopt(connection, version)
    return await linking.propose(house, lambda count, last: _every(PROGRESS, count, "records judged"))


def _told(asked: int | None) -> None:
    console.out.print(f"They judge from now on. No link was changed; {asked} pairs wait for a clerk.")


@app.command()
def match(
    file: Annotated[Path, typer.Argument(help="A Patient as JSON.")],
    count: Annotated[int, typer.Option(min=1, max=50, help="How many at most.")] = 10,
    json: AsJson = False,
) -> None:
    """Who may be meant by a Patient: ids, grades and chances.

    Example: xinglin persons match newcomer.json
    """
    try:
        text = file.read_bytes()
    except OSError as error:
        raise Invalid(f"{file} cannot be read.", remedy="Give a file with one Patient.") from error
    patient = decode.read(text, expected_type="Patient")
    if not any(patient.get(field) for field in TELLING):
        raise Invalid("The Patient says nothing to match by.", remedy=f"Give one of {', '.join(TELLING)}.")
    found = on_house(lambda house: Records(house, NODE, why="persons match").match(patient, count))
    rows = [{"id": one.stored.id, "grade": one.grade, "score": one.score} for one in found]
    if json:
        console.answer(rows)
        return
    for row in rows:
        console.out.print(f"{row['grade']:9} {row['score']:.4f}  Patient/{row['id']}")
    if not rows:
        console.out.print("Nobody.")


@app.command()
def explain(
    a: Annotated[str, typer.Argument(help="Id of a Patient.")],
    b: Annotated[str, typer.Argument(help="Id of another.")],
    json: AsJson = False,
) -> None:
    """What each field says about two Patients being one person, in bits; never what stands in it.

    Example: xinglin persons explain hx-p000017 qn-p000342
    """
    if a == b:
        raise Invalid("Both are the same record.", remedy="Give the ids of two.")

    async def work(house: House) -> Any:
        records = Records(house, NODE, why="persons explain")
        bodies = [(await records.read("Patient", id)).body for id in (a, b)]
        traits = {number: Traits.of(orjson.loads(body)) for number, body in enumerate(bodies)}
        async with house.database.connection() as connection:
            left, right = (await linking.without_dummies(connection, traits)).values()
            return (await models.in_force(connection))(left, right)

    decision = on_house(work)
    parts = [{"field": one.field, "level": one.level.name, "bits": round(one.weight, 2)} for one in decision.parts]
    if json:
        whole = {"band": decision.band, "rule": decision.rule, "bits": round(decision.weight, 2)}
        console.answer({**whole, "parts": parts})
        return
    for part in parts:
        console.out.print(f"{part['field']:15} {part['level']:24} {part['bits']:+7.2f}")
    console.out.print(f"{'all together':15} {decision.rule:24} {decision.weight:+7.2f}  {decision.band}")


@app.command("batch")
def whole_batch(
    to: Annotated[Path, typer.Option(help="File for the pairs, as CSV: a, b, bits, band, rule.")],
    json: AsJson = False,
) -> None:
    """Weigh all of the node's Patients against each other at once, and write the pairs; nothing is linked.

    Example: xinglin persons batch --to pairs.csv
    """
    part = to.with_name(to.name + ".part")  # a run that is cut off leaves no file that looks whole

    async def work(house: House) -> int:
        with part.open("w", newline="", encoding="utf-8") as file:
            connection = columns.connect()
            await _load(house, connection)
            _say(f"{columns.pair_up(connection):,} candidates")
            async with house.database.connection() as tables:
                weights = (await models.in_force(tables)).weights
            _say(f"{batch.weigh(connection, weights):,} pairs weighed")
            return _write(file, batch.decided(connection))

    try:
        if to.is_dir():
            raise Invalid(f"{to} is a folder.", remedy="Give a file: --to pairs.csv")
        count = on_house(work)
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    console.answer({"pairs": count, "file": str(to)}) if json else console.out.print(f"{count:,} pairs in {to}.")


def _write(file: TextIO, pairs: Iterable[batch.Weighed]) -> int:
    count, lines = 0, csv.writer(file)
    lines.writerow(("a", "b", "bits", "band", "rule"))
    for one in pairs:
        lines.writerow((one.a, one.b, f"{one.weight:.2f}", one.band, one.rule))
        count += 1
    return count


@app.command()
def index(
    after: Annotated[int, typer.Option(help="Go on where a run that was stopped said so.")] = linking.FIRST,
) -> None:
    """Make anew what people are found and matched by; after an upgrade that says so. Judges nobody.

    Example: xinglin persons index
    """

    def told(count: int, last: int) -> None:
        _every(PROGRESS, count, f"Patients; to go on from here: xinglin persons index --after={last}")

    console.out.print(f"{on_house(lambda house: linking.index_again(house, after, told)):,} Patients.")


async def _load(house: House, connection: Any) -> int:
    total, count = await linking.how_many(house), 0
    _say(f"{total:,} records")
    with columns.loading(connection, wide=total <= SMALL) as add:
        async for id, traits in linking.everybody(house):
            add(id, traits)
            count += 1
            _every(PROGRESS, count, f"of {total:,} read")
    return count


def _every(step: int, count: int, what: str) -> None:
    if count % step == 0:
        _say(f"{count:,} {what}")


def _say(text: str) -> None:
    console.err.print(text)
