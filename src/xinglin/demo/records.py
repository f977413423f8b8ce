"""What each institution wrote down about a person: its own number, and a name that is not always spelt right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from xinglin.demo.dice import Dice, weighted
from xinglin.demo.identity import TOWNS, local_number, mistyped
from xinglin.demo.institutions import BY_PREFIX
from xinglin.demo.names import Name, abbreviated, homophone, pinyin, traditional
from xinglin.demo.roster import BLOCK, Person, block_of_people

PRIMARY = weighted([("hx", 46.0), ("town", 34.0), ("tc", 20.0)])
DUPLICATES_PER_BLOCK = (3, 4)  # of twenty people, besides those whom the pharmacy knows too: 45 of 300 at least
PHARMACY_CUSTOMERS_PER_BLOCK = 2
# How a second institution's record differs from the person. The deck is dealt in turn, block after block, so that even
# a small county has every kind; what a name cannot be turned into (no homophone known) stays as it is. Every fourth
# block has, besides, someone whose day and month of birth are swapped.
VARIATIONS = (
    "same",
    "homophone",
    "no-id",
    "same",
    "traditional",
    "pinyin",
    "same",
    "old-phone",
    "same",
    "homophone",
    "abbreviated",
    "same",
    "no-id",
    "traditional",
    "same",
    "mistyped-id",
    "same",
    "pinyin",
    "homophone",
    "same",
    "abbreviated",
    "same",
    "no-id",
    "same",
    "traditional",
)


@dataclass(frozen=True, slots=True)
class Record:
    """One institution's Patient for one person. `variation` says how it was spelt; `other-id` is a decoy."""

    person: int
    institution: str  # prefix
    patient_id: str
    number: str
    name: Name
    birth: date
    resident_id: str | None
    phone: str
    variation: str


def _spelling(kind: str) -> Callable[[Name], Name | None] | None:
    return {
        "homophone": homophone, "traditional": traditional, "pinyin": pinyin, "abbreviated": abbreviated,
    }.get(kind)  # fmt: skip


def _record(person: Person, prefix: str, seed: int, variation: str, other: str | None = None) -> Record:
    number = local_number(prefix, person.index, seed)
    name, birth, identifier, phone = person.name, person.birth, person.resident_id, person.phone
    if spelling := _spelling(variation):
        changed = spelling(name)
        name, variation = (changed, variation) if changed else (name, "same")
    if variation == "day-month":
        birth = birth.replace(month=birth.day, day=birth.month)
    if variation == "old-phone":
        phone = person.old_phone
    written: str | None = identifier
    if variation in ("no-id", "pinyin", "abbreviated") or prefix == "xh":
        written = None
    elif variation == "mistyped-id":
        written = mistyped(identifier)
    elif variation == "other-id":
        written = other
    return Record(person.index, prefix, f"{prefix}-p{number:06d}", f"{prefix.upper()}{number:08d}", name, birth,
                  written, phone, variation)  # fmt: skip


def _primary(dice: Dice, person: Person, today: date) -> str:
    """Births, pregnancies and infectious disease go to the county hospital, small children to their town's centre."""
    if person.births or person.due or person.hiv or (today - person.birth).days < 60:
        return "hx"
    town = TOWNS[person.town][1]
    if person.age(today) < 7:
        return town
    chosen = dice.weighted(PRIMARY)
    return town if chosen == "town" else chosen


def _second(dice: Dice, person: Person, primary: str) -> str:
    town = TOWNS[person.town][1]
    choices = [p for p in ("hx", "tc", town, town) if p != primary]
    return dice.pick(choices)


def _can_be_swapped(person: Person, today: date) -> bool:
    """Day and month make another date the other way round; a child would then be seen before it was born."""
    return person.birth.day <= 12 and person.birth.day != person.birth.month and person.age(today) >= 18


@lru_cache(maxsize=32)
def block_of_records(seed: int, today: date, years: int, block: int) -> tuple[tuple[Record, ...], ...]:
    """For each person of the block the records that institutions hold, the first being where they mostly go."""
    people = block_of_people(seed, today, years, block)
    dice = Dice(2, seed, block)
    places = sorted(range(BLOCK), key=lambda _: dice.random())
    grown = [p for p in places if people[p].age(today) >= 1]
    duplicated = set(grown[: dice.pick(DUPLICATES_PER_BLOCK)])
    swapped = next((p for p in grown if _can_be_swapped(people[p], today)), None) if block % 4 == 1 else None
    if swapped is not None:
        duplicated.add(swapped)
    customers = set(grown[2 : 2 + PHARMACY_CUSTOMERS_PER_BLOCK])
    decoy = max(duplicated - {swapped}) if block % 3 == 2 else None
    result = []
    dealt = block * DUPLICATES_PER_BLOCK[0] + seed
    for place, person in enumerate(people):
        primary = _primary(dice, person, today)
        records = [_first(person, primary, people, today, seed)]
        if place in duplicated:
            second = _second(dice, person, primary)
            if place == decoy:
                stranger = next(p for p in people if p.household != person.household)
                records.append(_record(person, second, seed, "other-id", stranger.resident_id))
            else:
                kind = "day-month" if place == swapped else VARIATIONS[dealt % len(VARIATIONS)]
                dealt += place != swapped
                records.append(_record(person, second, seed, kind))
        if place in customers:
            records.append(_record(person, "xh", seed, "same"))
        result.append(tuple(records))
    return tuple(result)


def _first(person: Person, prefix: str, people: tuple[Person, ...], today: date, seed: int) -> Record:
    """The record where a person mostly goes is right, save for newborns, who have no name and no ID yet."""
    if (today - person.birth).days >= 60 or person.mother is None:
        return _record(person, prefix, seed, "same")
    mother = people[person.mother % BLOCK]
    suffix = ("之女" if person.female else "之子") + (str(person.twin) if person.twin else "")
    plain = _record(person, prefix, seed, "no-id")
    return Record(plain.person, prefix, plain.patient_id, plain.number, Name(mother.name.family, mother.name.given
                  + suffix), person.birth, None, person.phone, "newborn")  # fmt: skip


def institution_of(record: Record) -> str:
    """The custodian: the Organization id of the institution that keeps the record."""
    return BY_PREFIX[record.institution].id
