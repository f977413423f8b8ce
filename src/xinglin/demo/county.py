"""The demo county from beginning to end: people, their institutions' charts, one bundle for each, the same every time.

County -> roster (who lives there) -> records (who knows them, how spelt) -> life (their body) -> plan (when they
are seen) -> visits (what is written up) -> DemoBundle
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import orjson

from xinglin.demo import patients
from xinglin.demo.chart import Chart
from xinglin.demo.concepts import ALLERGIES, Resource
from xinglin.demo.dice import Dice
from xinglin.demo.identity import BASE, TOWNS
from xinglin.demo.institutions import BY_PREFIX, INSTITUTIONS, directory_of
from xinglin.demo.life import ALLERGIC, Life
from xinglin.demo.plan import Occasion, occasions
from xinglin.demo.records import Record, block_of_records
from xinglin.demo.roster import BLOCK, DAYS_PER_YEAR, Person, block_of_people
from xinglin.demo.vaccines import (
    INFLUENZA_FROM_AGE,
    INFLUENZA_MONTH,
    INFLUENZA_SHARE,
    SCHEDULE,
    due,
)
from xinglin.demo.visits import Story
from xinglin.kernel.errors import Invalid

TODAY = date(2026, 11, 1)
MOST_PEOPLE, MOST_YEARS = 1_000_000, 20  # a million is where local numbers would repeat
SEEN_ELSEWHERE = 0.35  # share of visits of those known to two institutions that fall to the second
VACCINATED = 0.96
CHILDHOOD_YEARS = 15


@dataclass(frozen=True, slots=True)
class County:
    """A county: `seed` decides everything, `people` only how many of its inhabitants are told, up to 100,000 and more.

    `today` is the last day on record and `years` how far back the records reach.
    """

    seed: int = 7
    people: int = 300
    today: date = TODAY
    years: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.people <= MOST_PEOPLE:
            raise Invalid(f"A demo county has 1 to {MOST_PEOPLE:,} people, not {self.people:,}.", code="value")
        if not 1 <= self.years <= MOST_YEARS:
            raise Invalid(
                f"A demo county's records reach back 1 to {MOST_YEARS} years, not {self.years}.", code="value"
            )


@dataclass(frozen=True, slots=True)
class DemoBundle:
    """One transaction: what institution `custodian` (an Organization id) holds of one person, or of itself.

    References point to resources of the same bundle or of the directory, so bundles load in any order after it.
    Resources share parts with one another: read them, serialise them, change nothing.
    """

    custodian: str
    resources: list[Resource]

    def transaction(self) -> Resource:
        """A FHIR transaction Bundle that puts each resource under its own id: loading twice changes nothing."""
        return {
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": f"{BASE}/{r['resourceType']}/{r['id']}",
                    "resource": r,
                    "request": {"method": "PUT", "url": f"{r['resourceType']}/{r['id']}"},
                }
                for r in self.resources
            ],
        }

    def ndjson(self) -> bytes:
        """The resources one a line."""
        return b"".join(orjson.dumps(r, option=orjson.OPT_APPEND_NEWLINE) for r in self.resources)


def directory(county: County) -> list[DemoBundle]:
    """What is loaded first: each institution with its places, services, people and their roles; the same for all."""
    return [DemoBundle(institution.id, directory_of(institution)) for institution in INSTITUTIONS]


def bundles(county: County, start: int = 0, stop: int | None = None) -> Iterator[DemoBundle]:
    """The bundles of people `start` up to but not including `stop` (default: all), person after person.

    Workers may share a county by ranges; a range of whole blocks of 20 wastes nothing.
    """
    for index in range(start, min(county.people, county.people if stop is None else stop)):
        yield from _bundles_of(county, index)


def truth(county: County) -> dict[str, int]:
    """Which person each Patient id really is: for tests of matching, never for the matcher."""
    return {record.patient_id: record.person for _, records in population(county) for record in records}


def population(county: County) -> Iterator[tuple[Person, tuple[Record, ...]]]:
    """Everybody as they are, with what the institutions wrote down."""
    for index in range(county.people):
        block, place = divmod(index, BLOCK)
        yield (
            block_of_people(county.seed, county.today, county.years, block)[place],
            block_of_records(county.seed, county.today, county.years, block)[place],
        )


def _bundles_of(county: County, index: int) -> Iterator[DemoBundle]:
    block, place = divmod(index, BLOCK)
    people = block_of_people(county.seed, county.today, county.years, block)
    records = block_of_records(county.seed, county.today, county.years, block)[place]
    charts, _ = charts_of(county, people, people[place], records)
    for chart in charts:
        yield DemoBundle(BY_PREFIX[chart.prefix].id, chart.resources)


def charts_of(
    county: County, people: tuple[Person, ...], person: Person, records: tuple[Record, ...]
) -> tuple[list[Chart], Life]:
    """Live through the years of one person and return the charts that came of it, one a record, and the life itself."""
    dice = Dice(3, county.seed, person.index)
    today = county.today.toordinal()
    start = today - int(county.years * DAYS_PER_YEAR)
    end = person.death.toordinal() if person.death else today
    charts = [Chart(r.institution, patients.patient(person, r), person.index, end) for r in records]
    clinical = [chart for chart in charts if chart.prefix != "xh"]
    pharmacy = next((chart for chart in charts if chart.prefix == "xh"), None)
    if person.mother is not None and person.age(county.today) < 18:
        for chart in clinical:
            patients.mother_of(chart, people[person.mother % BLOCK])
    life = Life(person, dice, start, end)
    planned = occasions(person, life, dice, county.today, at_least=len(clinical))
    story = Story(life, dice, clinical, pharmacy, today)
    story.allergy = dice.pick(ALLERGIES) if dice.chance(ALLERGIC) else None
    for occasion, chart in zip(planned, _places(planned, clinical, dice), strict=True):
        story.write(occasion, chart)
    _vaccinate(life, clinical, dice, person, end)
    patients.consents(clinical, person, dice, today)
    return charts, life


def _places(planned: list[Occasion], charts: list[Chart], dice: Dice) -> list[Chart]:
    """Where each visit takes place: an institution that keeps a record has seen the person at least once."""
    if len(charts) == 1:
        return charts * len(planned)
    places = [charts[1] if dice.chance(SEEN_ELSEWHERE) else charts[0] for _ in planned]
    for chart, place in ((charts[1], -2), (charts[0], -1)):
        if chart not in places:
            places[place] = chart
    return places


def _vaccinate(life: Life, charts: list[Chart], dice: Dice, person: Person, end: int) -> None:
    """Children by the national schedule at their town's centre, many elders against influenza every autumn."""
    centre = TOWNS[person.town][1]
    chart = next((c for c in charts if c.prefix == centre), charts[0])
    if life.age < CHILDHOOD_YEARS:
        for dose in SCHEDULE:
            day = due(person.birth, dose.months).toordinal() + dice.between(3, 15) if dose.months else life.birth
            offered = dose.born_from <= person.birth < dose.born_before and (person.female or not dose.girls)
            if offered and day <= end and dice.chance(VACCINATED):
                chart.immunization(dose.vaccine, day, dose.number, dose.of)
    elif life.age >= INFLUENZA_FROM_AGE:
        for year in range(date.fromordinal(life.start).year, date.fromordinal(end).year + 1):
            day = date(year, INFLUENZA_MONTH, 8).toordinal() + dice.between(0, 40)
            if life.start <= day <= end and life.years_at(day) >= INFLUENZA_FROM_AGE and dice.chance(INFLUENZA_SHARE):
                chart.immunization("Flu", day, 1, 1)
