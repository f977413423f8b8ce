"""When a person is seen, and why: the years on record laid out as a list of occasions before any is written up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from xinglin.demo.dice import Dice, weighted
from xinglin.demo.life import Life
from xinglin.demo.medicines import LONG_SUPPLY_DAYS
from xinglin.demo.roster import DAYS_PER_YEAR, Person

# Conditions followed up together, the specialty that does it, and the name of the visit.
CLINICS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("chronic", ("hypertension", "diabetes", "lipids", "coronary", "stroke", "ckd"), "general"),
    ("lung", ("copd", "asthma"), "respiratory"),
    ("mind", ("depression",), "psychiatry"),
    ("alcohol", ("alcohol",), "psychiatry"),
    ("liver", ("hepatitis-b",), "infection"),
    ("hiv", ("hiv",), "infection"),
)
MISSED_SHARE, LATE_DAYS = 0.12, 9

# Passing illnesses: visits a year by age, and what they are for. Round, near the National Health Services Survey.
ACUTE_A_YEAR = ((0, 1.8), (6, 0.9), (15, 0.5), (45, 0.8), (65, 1.1))
REASONS = {
    "child": weighted([("cold", 50), ("gastroenteritis", 16), ("otitis", 12), ("bronchitis", 14), ("eczema", 8)]),
    "adult": weighted([
        ("cold", 34), ("gastritis", 12), ("back-pain", 13), ("gastroenteritis", 10), ("eczema", 7), ("bronchitis", 10),
        ("cystitis", 7), ("insomnia", 7),
    ]),
    "elder": weighted([
        ("cold", 24), ("knee", 20), ("back-pain", 14), ("gastritis", 12), ("bronchitis", 12), ("insomnia", 12),
        ("cystitis", 6),
    ]),
}  # fmt: skip
ADMISSIONS_A_YEAR = ((0, 0.03), (6, 0.008), (18, 0.012), (60, 0.05), (75, 0.10))
CHECK_UP_FROM_AGE, CHECK_UP_SHARE, WORKERS_CHECKED = 65, 0.7, 0.12  # a yearly check of elders is a basic public service
CHILD_CHECKS = (1, 3, 6, 8, 12, 18, 24, 30, 36, 48, 60, 72)  # months; Basic public health services, 3rd edition 2017
ANTENATAL_WEEKS = (11, 16, 20, 24, 28, 32, 36, 38)  # Chinese guideline on antenatal care 2018
ULTRASOUND_WEEKS = (11, 24, 32)
PREGNANCY_DAYS = 280


@dataclass(frozen=True, slots=True)
class Occasion:
    """One visit to come: its day (ordinal), what kind, and what it is about."""

    day: int
    kind: str
    reason: str = ""
    number: int = 0  # the how-manieth of its series


def _rate(table: tuple[tuple[int, float], ...], age: float) -> float:
    return next((rate for from_age, rate in reversed(table) if age >= from_age), 0.0)


def _group(age: float) -> str:
    return "child" if age < 18 else "adult" if age < 60 else "elder"


def occasions(person: Person, life: Life, dice: Dice, today: date, at_least: int = 1) -> list[Occasion]:
    """Every visit between the start of the records and the person's death or today, in order of time."""
    found = [*_pregnancies(person, life, dice, today), *_follow_ups(life, dice), *_passing(life, dice)]
    found += [*_child_checks(life), *_check_ups(life, dice)]
    found = [o for o in found if max(life.birth, life.start) <= o.day <= life.end]
    while len(found) < at_least:
        found.append(Occasion(max(life.birth, life.end - dice.between(20, 400)), "check-up", "check-up"))
    return sorted(found, key=lambda o: (o.day, o.kind, o.number))


def _follow_ups(life: Life, dice: Dice) -> list[Occasion]:
    result = []
    for name, keys, _ in CLINICS:
        onsets = [life.onset[key] for key in keys if key in life.onset]
        if not onsets:
            continue
        first = min(onsets)
        day = first if first >= life.start else min(life.end, life.start + dice.between(0, 80))
        number = 0
        while day <= life.end:
            if number == 0 or not dice.chance(MISSED_SHARE):
                result.append(Occasion(day, name, name, number))
                number += 1
            day += LONG_SUPPLY_DAYS + dice.between(-LATE_DAYS, LATE_DAYS)
    return result


def _passing(life: Life, dice: Dice) -> list[Occasion]:
    result = []
    day = max(life.start, life.birth + 30)
    while day < life.end:
        age = (day - life.birth) / DAYS_PER_YEAR
        span = min(365, life.end - day)
        if dice.chance(_rate(ADMISSIONS_A_YEAR, age) * span / 365):
            result.append(Occasion(day + dice.between(0, span), "admission", "pneumonia"))
        wanted = _rate(ACUTE_A_YEAR, age) * span / 365
        while wanted > 0:
            if dice.chance(wanted):
                reason = dice.weighted(REASONS[_group(age)])
                result.append(Occasion(day + dice.between(0, span), "acute", reason))
            wanted -= 1
        day += 365
    stroke = life.onset.get("stroke", 0)
    if stroke >= life.start:
        result.append(Occasion(stroke, "admission", "stroke"))
    return result


def _child_checks(life: Life) -> list[Occasion]:
    month = DAYS_PER_YEAR / 12
    born = [Occasion(life.birth, "birth", "check-up")] if life.birth >= life.start else []
    return born + [Occasion(life.birth + int(m * month) + 2, "growth", "check-up", m) for m in CHILD_CHECKS]


def _check_ups(life: Life, dice: Dice) -> list[Occasion]:
    result = []
    for day in range(life.start, life.end, 365):
        age = (day - life.birth) / DAYS_PER_YEAR
        share = CHECK_UP_SHARE if age >= CHECK_UP_FROM_AGE else WORKERS_CHECKED if age >= 22 else 0.0
        if dice.chance(share):
            result.append(Occasion(day + dice.between(0, 364), "check-up", "check-up"))
    return result


def _pregnancies(person: Person, life: Life, dice: Dice, today: date) -> list[Occasion]:
    """Antenatal visits and deliveries; a birth falls within days of the date that was expected."""
    courses = []
    for birth in person.births:
        born = birth.toordinal()
        due = born + max(-7, min(18, round(dice.normal() * 6)))
        courses.append((due - PREGNANCY_DAYS, born, True))
    if person.due:
        courses.append((person.due.toordinal() - PREGNANCY_DAYS, life.end, False))
    result = []
    for last_period, end, delivered in courses:
        if last_period + 60 < life.start:
            continue
        life.pregnancies.append((last_period, end))
        for week in ANTENATAL_WEEKS:
            day = last_period + week * 7 + dice.between(0, 5)
            if day < end:
                result.append(Occasion(day, "antenatal", "pregnancy", week))
        if delivered:
            result.append(Occasion(end, "delivery", "delivery"))
    return result
