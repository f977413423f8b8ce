"""Who lives in the county. People come in blocks of twenty, each block built from its own dice: person i is the same
however many people are asked for and whichever worker asks, and households and decoys never cross a block.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import lru_cache

from xinglin.demo.dice import Dice, weighted
from xinglin.demo.identity import TOWNS, mobile, resident_id
from xinglin.demo.names import SURNAMES, Name, given_name

BLOCK = 20
DAYS_PER_YEAR = 365.25

# Share of adults by five-year band: seventh national census (2020), moved a little to a county that the young leave.
ADULT_BANDS = weighted([
    (20, 4.6), (25, 5.7), (30, 8.0), (35, 6.8), (40, 6.5), (45, 8.2), (50, 9.0), (55, 7.6), (60, 5.7), (65, 5.6),
    (70, 3.8), (75, 2.4), (80, 1.6), (85, 1.2),
])  # fmt: skip
CHILDREN_OF_A_COUPLE = weighted([(0, 17.0), (1, 40.0), (2, 37.0), (3, 6.0)])
# Yearly probability of dying from an age on, both sexes, rounded from the census life table of 2020.
MORTALITY = ((0, 0.0004), (40, 0.0015), (60, 0.008), (70, 0.021), (80, 0.065), (90, 0.16))
SHARE_CURRENTLY_PREGNANT = 0.06
SHARE_TWINS = 0.02
DAYS_TO_GO = (5, 195)  # of a pregnancy that goes on today: far enough along to have been seen once


@dataclass(frozen=True, slots=True)
class Person:
    """One inhabitant as they truly are; what an institution wrote down is a `records.Record`."""

    index: int
    household: int
    female: bool
    birth: date
    name: Name
    resident_id: str
    phone: str
    old_phone: str
    town: int
    village: str
    house: int
    death: date | None = None
    mother: int | None = None
    births: tuple[date, ...] = ()  # days on which this woman gave birth, in order; twins count once
    due: date | None = None  # expected day of delivery of a pregnancy that goes on today
    hiv: bool = False
    twin: int = 0  # 1 or 2 for a twin

    def age(self, on: date) -> int:
        """Whole years lived on a day."""
        return on.year - self.birth.year - ((on.month, on.day) < (self.birth.month, self.birth.day))


@dataclass(slots=True)
class _Draft:
    """One inhabitant while the household is being put together."""

    household: int
    female: bool
    birth: date
    family: str
    given: str
    mother: int | None = None
    due: date | None = None
    twin: int = 0


def _born(dice: Dice, today: date, years: float) -> date:
    """A birth date about `years` ago, on any day of that year."""
    return today - timedelta(days=int((years + dice.random()) * DAYS_PER_YEAR) + 1)


def _adult(dice: Dice, today: date, household: int, female: bool, years: int, family: str | None = None) -> _Draft:
    birth = _born(dice, today, years)
    surname = family or dice.weighted(SURNAMES)
    return _Draft(household, female, birth, surname, given_name(dice, female, birth.year))


def _child(dice: Dice, household: int, birth: date, family: str, mother: int) -> _Draft:
    female = dice.chance(0.48)
    return _Draft(household, female, birth, family, given_name(dice, female, birth.year), mother)


def _single(dice: Dice, today: date, household: int) -> list[_Draft]:
    years = dice.weighted(ADULT_BANDS) + dice.between(0, 4)
    return [_adult(dice, today, household, dice.chance(0.5), years)]


def _family(dice: Dice, today: date, household: int, first: int, newborn: bool, twins: bool) -> list[_Draft]:
    """A young couple, their children, sometimes a grandmother. `first` is the wife's place in the block."""
    years = dice.between(26, 36) if newborn or twins else dice.between(24, 44)
    wife = _adult(dice, today, household, True, years)
    husband = _adult(dice, today, household, False, years + dice.between(0, 4))
    people = [wife, husband]
    for birth in _births(dice, today, wife.birth, newborn, twins):
        child = _child(dice, household, birth, husband.family, first)
        people.append(child)
        if (twins and len(people) == 3) or dice.chance(SHARE_TWINS):
            child.twin = 1
            second = _child(dice, household, birth, husband.family, first)
            while second.given == child.given:
                second.given = given_name(dice, second.female, birth.year)
            second.twin = 2
            people.append(second)
    if dice.chance(0.2):
        people.append(_adult(dice, today, household, True, years + dice.between(23, 30)))
    return people


def _births(dice: Dice, today: date, mother: date, newborn: bool, twins: bool) -> list[date]:
    """Days of birth of a woman's children, at least 18 months apart, she being 20 or older."""
    if newborn:
        days = [today - timedelta(days=dice.between(3, 50))]
    elif twins:
        days = [today - timedelta(days=dice.between(800, 2600))]
    else:
        days = []
    earliest = mother + timedelta(days=int(21 * DAYS_PER_YEAR))
    for _ in range(dice.weighted(CHILDREN_OF_A_COUPLE) - len(days)):
        span = (today - earliest).days
        if span < 30:
            break
        day = earliest + timedelta(days=int(dice.random() * span))
        if all(abs((day - other).days) > 550 for other in days):
            days.append(day)
    return sorted(days)


def _older(dice: Dice, today: date, household: int) -> list[_Draft]:
    """A couple past child-bearing; sometimes with a grown son or daughter at home."""
    years = max(45, dice.weighted(ADULT_BANDS)) + dice.between(0, 4)
    husband = _adult(dice, today, household, False, years)
    people = [_adult(dice, today, household, True, max(44, years - dice.between(0, 4))), husband]
    if years < 62 and dice.chance(0.3):
        people.append(_adult(dice, today, household, dice.chance(0.4), years - dice.between(25, 30), husband.family))
    return people


def _drafts(dice: Dice, today: date, block: int) -> list[_Draft]:
    people = _single(dice, today, 0) + _single(dice, today, 1)
    people += _family(dice, today, 2, 2, newborn=block % 4 == 2, twins=block % 5 == 1)
    household = 3
    while len(people) < BLOCK:
        roll = dice.random()
        if roll < 0.38:
            people += _family(dice, today, household, len(people), newborn=False, twins=False)
        elif roll < 0.78:
            people += _older(dice, today, household)
        else:
            people += _single(dice, today, household)
        household += 1
    return people[:BLOCK]


def _expecting(dice: Dice, drafts: list[_Draft], block: int, today: date) -> None:
    """Some women of 20 to 40 whose youngest is over a year old are pregnant today; one in every odd block surely."""
    sure = block % 2 == 1
    for place, draft in enumerate(drafts):
        years = (today - draft.birth).days / DAYS_PER_YEAR
        youngest = max((d.birth for d in drafts if d.mother == place), default=date.min)
        able = draft.female and 20 <= years < 41 and (today - youngest).days > 500
        if able and (sure or dice.chance(SHARE_CURRENTLY_PREGNANT)):
            draft.due, sure = today + timedelta(days=dice.between(*DAYS_TO_GO)), False


def _death(dice: Dice, birth: date, today: date, years: int) -> date | None:
    """The day a person died within the years on record, or None for the living."""
    for year in range(years, 0, -1):
        start = today - timedelta(days=int(year * DAYS_PER_YEAR))
        age = (start - birth).days / DAYS_PER_YEAR
        share = next((p for from_age, p in reversed(MORTALITY) if age >= from_age), 0.0)
        if age > 40 and dice.chance(share):
            return start + timedelta(days=dice.between(30, 360))
    return None


@lru_cache(maxsize=32)
def block_of_people(seed: int, today: date, years: int, block: int) -> tuple[Person, ...]:
    """The twenty people of a block; the same whatever else is asked for."""
    dice = Dice(1, seed, block)
    drafts = _drafts(dice, today, block)
    _expecting(dice, drafts, block, today)
    homes: dict[int, tuple[int, str, int, int]] = {}
    people = []
    for place, draft in enumerate(drafts):
        index = block * BLOCK + place
        if draft.household not in homes:
            town = dice.between(0, len(TOWNS) - 1)
            homes[draft.household] = (town, dice.pick(TOWNS[town][2]), dice.between(1, 180), index)
        town, village, house, head = homes[draft.household]
        births = tuple(sorted({d.birth for d in drafts if d.mother == place}))
        mother = None if draft.mother is None else block * BLOCK + draft.mother
        carries = block % 7 == 3 and place == 1
        own_phone = (today - draft.birth).days > 18 * DAYS_PER_YEAR and dice.chance(0.6)
        people.append(
            Person(
                index=index, household=head, female=draft.female, birth=draft.birth,
                name=Name(draft.family, draft.given),
                resident_id=resident_id(index, draft.birth, draft.female, seed),
                phone=mobile(2 * (index if own_phone else head)), old_phone=mobile(2 * index + 1),
                town=town, village=village, house=house,
                death=None if births or draft.due else _death(dice, draft.birth, today, years),
                mother=mother, births=births, due=draft.due, hiv=carries, twin=draft.twin,
            )
        )  # fmt: skip
    return _with_decoys(tuple(people), block, seed)


def _with_decoys(people: tuple[Person, ...], block: int, seed: int) -> tuple[Person, ...]:
    """Different people who look alike: by turns of blocks two namesakes born on one day, or strangers with one phone.

    The third kind, an ID typed on another's record, is made in `records`.
    """
    first, second = people[0], people[1]
    if block % 3 == 0:
        number = resident_id(second.index, first.birth, first.female, seed)
        twin_name = replace(
            second, name=first.name, birth=first.birth, female=first.female, resident_id=number, death=None, due=None
        )
        return (first, twin_name, *people[2:])
    if block % 3 == 1:
        return (first, replace(second, phone=first.phone), *people[2:])
    return people
