"""`xinglin persons`: which records are one person, for the operator: train weights, match, explain, whole batches."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from xinglin.access.house import House
from xinglin.access.persons import batch, columns, linking, models, training
from xinglin.access.persons.traits import Traits
from xinglin.access.persons.weights import Weights
from xinglin.access.principal import NODE
from xinglin.access.records import Records
from xinglin.cli import console
from xinglin.cli.opened import AsJson, on_house
from xinglin.kernel import clock
from xinglin.kernel.errors import Invalid

app = typer.Typer(no_args_is_help=True, help="Which records are one person: train weights, match, explain, batches.")
SMALL = 100_000  # records up to which a batch compares by more keys


@app.command()
def train(
    name: Annotated[str, typer.Option(help="What the weights are to be called; the moment if unset.")] = "",
    adopt: Annotated[bool, typer.Option("--adopt", help="Judge by them from now on.")] = False,
    json: AsJson = False,
) -> None:
    """Learn weights from this node's own Patients; nobody has to say who is who.

    Example: xinglin persons train --name spring
    """

    async def work(house: House) -> tuple[Weights, int | None]:
        connection = columns.connect()
        count = await _load(house, connection)
        weights = training.train(
            connection, name or f"{clock.now():%Y%m%d-%H%M%S}", f"{count:,} Patients of this node", progress=_say
        )
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
    return await linking.propose(house)


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
        patient: Any = orjson.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} is no JSON that can be read.", remedy="Give a file with one Patient.") from error
    if not isinstance(patient, dict) or patient.get("resourceType") != "Patient":
        raise Invalid(f"{file} holds no Patient.", remedy="Give a file with one Patient.")
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

    async def work(house: House) -> Any:
        records = Records(house, NODE, why="persons explain")
        left, right = [Traits.of(orjson.loads((await records.read("Patient", id)).body)) for id in (a, b)]
        async with house.database.connection() as connection:
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

    async def work(house: House) -> int:
        connection = columns.connect()
        await _load(house, connection)
        _say(f"{columns.pair_up(connection):,} candidates")
        async with house.database.connection() as tables:
            weights = (await models.in_force(tables)).weights
        batch.weigh(connection, weights)
        with to.open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file)
            lines.writerow(("a", "b", "bits", "band", "rule"))
            count = 0
            for one in batch.decided(connection):
                lines.writerow((one.a, one.b, f"{one.weight:.2f}", one.band, one.rule))
                count += 1
        return count

    count = on_house(work)
    console.answer({"pairs": count, "file": str(to)}) if json else console.out.print(f"{count:,} pairs in {to}.")


@app.command()
def index() -> None:
    """Make anew what people are found and matched by; after an upgrade that says so. Judges nobody.

    Example: xinglin persons index
    """
    console.out.print(f"{on_house(lambda house: linking.index_again(house)):,} Patients.")


async def _load(house: House, connection: Any) -> int:
    records = [one async for one in linking.everybody(house)]
    _say(f"{len(records):,} records")
    return columns.load(connection, records, wide=len(records) <= SMALL)


def _say(text: str) -> None:
    console.err.print(text)
