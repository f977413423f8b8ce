"""`xinglin demo`: a county of invented people, loaded once and served, with a way in for every role.

The county's state is itself a resource, Task/demo-county: who asked for how many people of which seed, and whether
all of them are there. A run that was cut off leaves it in progress, and the next run loads what is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import orjson
import typer
from rich.markup import escape
from rich.table import Table

from xinglin.cli import console
from xinglin.cli.load import store
from xinglin.cli.loading.sources import Unit
from xinglin.cli.migrate import bring_up_to_date
from xinglin.cli.serve import Home, Port, Workers, announce, require_free_port, run, stopping_on_signals
from xinglin.kernel.config import Settings
from xinglin.kernel.database import serving
from xinglin.kernel.errors import Conflict, Problem

EXAMPLE = "Example:  xinglin demo --people 1000 --port 9000 --home ~/xinglin-demo"
PASSWORD = "xinglin-demo"  # noqa: S105  published on purpose: it opens invented records only
MARKER = "demo-county"
BLOCK = 20  # people generated at a time


@dataclass(frozen=True, slots=True)
class Wanted:
    """The county to show; `complete` says that all of it is stored."""

    seed: int
    people: int
    complete: bool


@dataclass(frozen=True, slots=True)
class SignIn:
    login: str
    password: str
    role: str
    name: str
    story: str


def demo(
    people: Annotated[int | None, typer.Option(min=1, max=1_000_000, help="How many people; 300 if unset.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Decides who lives in the county.")] = None,
    port: Port = None,
    workers: Workers = None,
    home: Home = None,
    json: Annotated[bool, typer.Option("--json", help="Once serving, answer address and sign-ins as JSON.")] = False,
) -> None:
    """Serve a demo county: hospitals, people with years of records, and a sign-in for every role.

    The first run generates and loads it; later runs start from what is there. Ctrl-C stops everything.
    """
    settings = console.settings_with(port=port, workers=workers, home=home)
    require_free_port(settings)
    if not settings.public_base.startswith("http://127.0.0.1"):
        console.warn("The demo's passwords are published: let nobody reach it whom you would not let in.")
    with stopping_on_signals(), serving(settings) as url:
        lenient = "optional" if settings.second_factor == "auto" else settings.second_factor
        here = replace(settings, database_url=url, second_factor=lenient)
        asyncio.run(bring_up_to_date(url))
        wanted = asyncio.run(_begin(here, people, seed))
        if not wanted.complete:
            _load(here, wanted)
        sign_ins = asyncio.run(_finish(here, wanted))
        run(here, lambda: _welcome(settings, sign_ins, json))


# the county ----------------------------------------------------------------------------------------------------------


class CountyUnits:
    """The county's bundles as units, the institutions first; `position` counts people."""

    def __init__(self, wanted: Wanted) -> None:
        from xinglin.demo import County

        self.county = County(seed=wanted.seed, people=wanted.people)
        self.position = 0

    def __iter__(self) -> Iterator[Unit]:
        from xinglin.demo import bundles, directory

        yield from (_unit(bundle) for bundle in directory(self.county))
        for start in range(0, self.county.people, BLOCK):
            yield from (_unit(bundle) for bundle in bundles(self.county, start, start + BLOCK))
            self.position = min(start + BLOCK, self.county.people)


def _unit(bundle: Any) -> Unit:
    return Unit("demo county", bundle.custodian, ((None, orjson.dumps(bundle.transaction())),))


def _load(settings: Settings, wanted: Wanted) -> None:
    console.err.print(f"Loading a county of {wanted.people:,} people (once) ...")
    report = store(settings, CountyUnits(wanted), total=wanted.people, names={})
    if report.refused_total:
        raise Problem(f"{report.refused_total} parts of the county were refused, as named above.")
    console.err.print(f"{report.resources:,} resources are stored.")


# its state -----------------------------------------------------------------------------------------------------------


async def _begin(settings: Settings, people: int | None, seed: int | None) -> Wanted:
    """What to show, from what is there and what was asked; writes down that loading begins."""
    from xinglin.access.principal import NODE
    from xinglin.access.records import House, Records
    from xinglin.demo import County

    house = await House.open(settings)
    try:
        found = await _found(Records(house, NODE, why="demo"))
        if found is None:
            await _require_empty(house)
            found = Wanted(County().seed if seed is None else seed, 0, False)
        wanted = _wanted(found, people or max(found.people, 0) or County().people, seed)
        if wanted != found:
            await _mark(Records(house, NODE, why="demo"), wanted)
        return wanted
    finally:
        await house.close()


def _wanted(found: Wanted, people: int, seed: int | None) -> Wanted:
    """A county may grow by people of the same seed; another county needs another place."""
    if people < found.people or (seed is not None and seed != found.seed):
        raise Conflict(
            f"The demo here is the county of seed {found.seed} with {found.people} people.",
            remedy="Leave out --seed and --people, or choose another folder with --home.",
        )
    return Wanted(found.seed, people, found.complete and people == found.people)


async def _found(records: Any) -> Wanted | None:
    from xinglin.kernel.errors import Gone, NotFound

    try:
        task = orjson.loads((await records.read("Task", MARKER)).body)
    except (NotFound, Gone):
        return None
    numbers = {given["type"]["text"]: given["valueInteger"] for given in task["input"]}
    return Wanted(numbers["seed"], numbers["people"], task["status"] == "completed")


async def _mark(records: Any, wanted: Wanted) -> None:
    from xinglin.core.rest.gate import Write

    numbers = {"seed": wanted.seed, "people": wanted.people}
    task = {
        "resourceType": "Task",
        "id": MARKER,
        "status": "completed" if wanted.complete else "in-progress",
        "intent": "order",
        "description": "Load the demo county",
        "input": [{"type": {"text": name}, "valueInteger": number} for name, number in numbers.items()],
    }
    await records.write([Write("PUT", "Task", MARKER, task, keep_id=True)])


async def _require_empty(house: Any) -> None:
    async with house.database.connection() as connection:
        if await connection.fetchval("SELECT EXISTS (SELECT 1 FROM resource)"):
            raise Conflict(
                "This database holds other records; the demo keeps away from them.",
                remedy="Choose another folder with --home, or serve what is here: xinglin serve.",
            )


async def _finish(settings: Settings, wanted: Wanted) -> list[SignIn]:
    """Join the people, make the accounts that are missing, and write down that all is there."""
    from xinglin.access.persons import catch_up
    from xinglin.access.principal import NODE
    from xinglin.access.records import House, Records
    from xinglin.demo import County, accounts

    house = await House.open(settings)
    try:
        while await catch_up(house):
            pass
        people = accounts(County(seed=wanted.seed, people=wanted.people))
        await _make_accounts(house.database, people)
        if not wanted.complete:
            await _mark(Records(house, NODE, why="demo"), replace(wanted, complete=True))
    finally:
        await house.close()
    return [SignIn(one.login, PASSWORD, one.role, f"{one.name_zh} {one.name_en}", one.story) for one in people]


async def _make_accounts(database: Any, people: list[Any]) -> None:
    from xinglin.access.identity import proof
    from xinglin.access.identity.accounts import create, everyone
    from xinglin.access.principal import Role

    there = {account.login for account in await everyone(database)}
    for one in people:
        if one.login in there:
            continue
        kind, _, number = one.reference.partition("/")
        patient = number if kind == "Patient" else None
        await create(
            database,
            one.login,
            PASSWORD,
            Role(one.role),
            name_zh=one.name_zh,
            name_en=one.name_en,
            institution=None if patient else one.organization,
            practitioner=None if patient else number,
            patient=patient,
            published=True,
        )
        if patient:
            async with database.transaction() as connection:
                await proof.confirm(connection, one.login, None, proof.OPERATOR, "operator")


# the welcome ---------------------------------------------------------------------------------------------------------


def _welcome(settings: Settings, sign_ins: list[SignIn], json: bool) -> None:
    if json:
        answer = {"url": settings.public_base, "fhir": f"{settings.public_base}/fhir"}
        console.answer({**answer, "sign_ins": [asdict(one) for one in sign_ins]})
        return
    table = Table("login", "role", "who", "for", box=None, pad_edge=False, header_style="bold")
    for one in sign_ins:
        table.add_row(*(escape(text) for text in (one.login, one.role, one.name, one.story)))
    console.out.print(table)
    console.out.print(f"The password of every login is [bold]{PASSWORD}[/]. It is all invented.")
    announce(settings)
