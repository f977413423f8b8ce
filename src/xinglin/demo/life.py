"""One person's body over the years: what ails them, their baselines, and how treatment moves the numbers.

Nothing here knows of FHIR; a visit asks for a reading on a day and tells what was prescribed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from math import cos, exp, pi

from xinglin.demo import physiology
from xinglin.demo.dice import Dice
from xinglin.demo.laboratory import ANALYTES, CHILD_USUAL
from xinglin.demo.medicines import (
    DIASTOLIC_TARGET,
    LADDERS,
    LIPID_LAG_DAYS,
    MEDICINES,
    PRESSURE_LAG_DAYS,
    SUGAR_LAG_DAYS,
    SUGAR_TARGET,
    SYSTOLIC_TARGET,
)
from xinglin.demo.roster import DAYS_PER_YEAR, Person

# Share of people of an age (and over) who have the condition; women's share relative to men's. Sources:
# hypertension: China Hypertension Survey 2012-15 (Wang, Circulation 2018); diabetes: Li, BMJ 2020;369:m997, diagnosed
# and not; COPD: Wang, Lancet 2018;391:1706; CKD: Wang, JAMA Intern Med 2023 (kept to stage 3 and over);
# stroke: Wang, Circulation 2017;135:759; depression: Huang, Lancet Psychiatry 2019;6:211; hepatitis B: Polaris 2018.
# Coronary disease, lipids under treatment, alcohol and asthma are round figures of the county's own.
PREVALENCE: dict[str, tuple[tuple[tuple[int, float], ...], float]] = {
    "hypertension": (((25, 0.06), (35, 0.14), (45, 0.32), (60, 0.52), (75, 0.58)), 0.95),
    "diabetes": (((30, 0.04), (40, 0.11), (60, 0.20), (75, 0.22)), 0.95),
    "lipids": (((35, 0.08), (50, 0.18)), 1.0),
    "coronary": (((50, 0.04), (60, 0.09), (75, 0.15)), 0.8),
    "stroke": (((50, 0.02), (60, 0.05), (75, 0.08)), 0.85),
    "copd": (((40, 0.05), (60, 0.16), (70, 0.22)), 0.45),
    "ckd": (((55, 0.03), (65, 0.08), (75, 0.14)), 1.1),
    "depression": (((18, 0.03), (60, 0.04)), 1.6),
    "alcohol": (((30, 0.02),), 0.1),
    "hepatitis-b": (((25, 0.04),), 0.7),
    "asthma": (((4, 0.03), (18, 0.015)), 0.9),
}
SMOKERS = {False: 0.48, True: 0.02}  # adults, China Health Literacy and tobacco survey 2018 (men 50.5, women 2.1 %)
ALLERGIC = 0.09

# Untreated readings, mean and spread; a person keeps their own. mmHg, %, mmol/L, mL/min/1.73 m2.
PRESSURE = {"well": ((116, 7), (74, 5)), "hypertension": ((156, 8), (96, 5))}
PRESSURE_BEFORE_ONSET = (16.0, 4.0)  # lower than at onset, and for each year before it
PRESSURE_CEILING = (134, 86)  # of one who has no hypertension
SUGAR_UNTREATED = (8.3, 0.8)
SUGAR_DRIFT_A_YEAR = 0.08
SUGAR_BEFORE_ONSET = 5.9
LDL_WHEN_TREATED = (4.1, 0.35)
RATE_AT_25, RATE_LOST_A_YEAR, RATE_SPREAD, RATE_LEAST = 116.0, 0.8, 7.0, 67.0
RATE_IN_CKD, RATE_LOST_IN_CKD, RATE_MOST_IN_CKD = (44.0, 4.5), 1.2, 57.0
HAEMOGLOBIN_LOST_IN_CKD = 12.0
BMI_MEAN, BMI_SPREAD, BMI_MORE = (23.6, 2.4, {"diabetes": 1.4, "hypertension": 0.8})
DAILY = {"systolic": 4.0, "diastolic": 3.0, "pulse": 5.0, "weight": 0.5, "sugar": 0.12, "glucose": 0.3, "rate": 1.3}
YOUNG = 26  # below, adults keep the height their growth curve ends at
WINTER_RISE = 3.0  # mmHg that a January reading is above the year's mean
ADHERENCE = (0.75, 1.0)


@dataclass(slots=True)
class Response:
    """A treatment's effect, approaching its aim exponentially with time constant `lag` in days."""

    lag: float
    value: float = 0.0
    goal: float = 0.0
    since: int = 0

    def at(self, day: int) -> float:
        return self.goal + (self.value - self.goal) * exp(-(day - self.since) / self.lag)

    def aim(self, day: int, goal: float) -> None:
        if goal != self.goal:
            self.value, self.goal, self.since = self.at(day), goal, day


def _share(key: str, age: int, female: bool) -> float:
    table, women = PREVALENCE[key]
    share = next((share for from_age, share in reversed(table) if age >= from_age), 0.0)
    return share * women if female else share


class Life:
    """Baselines drawn once, then readings on days (ordinals), which never run backwards between prescriptions."""

    def __init__(self, person: Person, dice: Dice, start: int, end: int) -> None:
        self.person, self.dice, self.start, self.end = person, dice, start, end
        self.birth = person.birth.toordinal()
        self.age = int((end - self.birth) / DAYS_PER_YEAR)
        self.onset = self._illnesses()
        self.smokes = self.age >= 20 and dice.chance(SMOKERS[person.female] * (1.6 if "copd" in self.onset else 1))
        self.pregnancies: list[tuple[int, int]] = []  # (last period, end), filled by the plan
        self._draw_body()
        self._draw_blood()
        self.regimen: dict[str, int] = {}
        self.drugs: dict[str, tuple[str, ...]] = {}
        self.adherence = ADHERENCE[0] + dice.random() * (ADHERENCE[1] - ADHERENCE[0])
        self._systolic, self._diastolic = Response(PRESSURE_LAG_DAYS), Response(PRESSURE_LAG_DAYS)
        self._sugar, self._ldl = Response(SUGAR_LAG_DAYS), Response(LIPID_LAG_DAYS)
        for key, onset in self.onset.items():
            if onset < start and key != "ckd":  # which is told by its numbers at a follow-up, and has no drugs here
                self._settle(key, start)

    def _illnesses(self) -> dict[str, int]:
        dice, person = self.dice, self.person
        onset: dict[str, int] = {}
        for key, (table, _) in PREVALENCE.items():
            if dice.random() < _share(key, self.age, person.female):
                years = dice.random() * min(12.0, self.age - table[0][0] + 0.9)
                onset[key] = self.end - 30 - int(years * DAYS_PER_YEAR)
        if person.hiv:
            onset["hiv"] = self.end - 400 - dice.between(0, 1500)
        for key in ("hypertension", "diabetes", "lipids", "coronary", "copd", "stroke", "ckd", "alcohol"):
            if person.births or person.due:
                onset.pop(key, None)  # a mother's blood pressure belongs to her pregnancy
        return onset

    def _draw_body(self) -> None:
        dice, female = self.dice, self.person.female
        self.height_z, self.weight_z = dice.normal() * 0.8, dice.normal() * 0.8
        mean, spread = physiology.ADULT_HEIGHT[female]
        older = max(0, self.age - physiology.SHORTER_FROM_AGE) / 10
        self.height = round(mean + self.height_z * spread - older * physiology.SHORTER_PER_DECADE, 1)
        if self.age < YOUNG:
            self.height = round(physiology.grown("height", female, physiology.GROWTH_MONTHS[-1], self.height_z), 1)
        index = BMI_MEAN + self.weight_z * BMI_SPREAD + sum(BMI_MORE[k] for k in BMI_MORE if k in self.onset)
        self.weight = index * (self.height / 100) ** 2
        kind = "hypertension" if "hypertension" in self.onset else "well"
        (high, high_spread), (low, low_spread) = PRESSURE[kind]
        both = dice.normal()
        self.systolic = high + both * high_spread + (0.25 * (self.age - 40) if self.age > 40 else 0)
        self.diastolic = low + (0.7 * both + 0.5 * dice.normal()) * low_spread - max(0, self.age - 60) * 0.3
        if kind == "well":
            self.systolic = min(self.systolic, PRESSURE_CEILING[0])
            self.diastolic = min(self.diastolic, PRESSURE_CEILING[1])
        self.pulse = 75 + dice.normal() * 7

    def _draw_blood(self) -> None:
        dice, female = self.dice, self.person.female
        self.levels = {key: a.usual[female] + dice.normal() * a.spread * 0.8 for key, a in ANALYTES.items()}
        if self.age < 13:
            self.levels |= {key: mean + dice.normal() * spread for key, (mean, spread) in CHILD_USUAL.items()}
        if "diabetes" in self.onset:
            self.levels["hba1c"] = SUGAR_UNTREATED[0] + dice.normal() * SUGAR_UNTREATED[1]
            self.levels["triglycerides"] += 0.5
        if self.onset.keys() & {"lipids", "coronary", "stroke"}:
            self.levels["ldl"] = LDL_WHEN_TREATED[0] + dice.normal() * LDL_WHEN_TREATED[1]
        if "ckd" in self.onset:
            self.rate = RATE_IN_CKD[0] + dice.normal() * RATE_IN_CKD[1]
            self.levels["hb"] -= HAEMOGLOBIN_LOST_IN_CKD
            self.levels["albuminuria"] = 90 + dice.random() * 300
        else:
            lost = max(0, self.age - 25) * RATE_LOST_A_YEAR
            self.rate = max(RATE_LEAST, RATE_AT_25 - lost + dice.normal() * RATE_SPREAD)
        if "hepatitis-b" in self.onset:
            self.levels["alt"] += 25

    # What treatment does

    def _settle(self, key: str, day: int) -> None:
        """Treatment known since before the records begin: its effect is already there."""
        self.regimen[key] = self.dice.between(0, min(2, len(LADDERS[key]) - 1))
        self._take(day, {**self.drugs, key: LADDERS[key][self.regimen[key]]})
        for response in (self._systolic, self._diastolic, self._sugar, self._ldl):
            response.value = response.goal

    def begin(self, key: str, day: int) -> None:
        self.regimen[key] = 0
        self._take(day, {**self.drugs, key: LADDERS[key][0]})

    def step_up(self, key: str, day: int) -> None:
        """One rung up the ladder, where there is one."""
        if self.regimen[key] + 1 < len(LADDERS[key]):
            self.regimen[key] += 1
            self._take(day, {**self.drugs, key: LADDERS[key][self.regimen[key]]})

    def _take(self, day: int, drugs: dict[str, tuple[str, ...]]) -> None:
        self.drugs = drugs
        taken = {MEDICINES[name] for names in drugs.values() for name in names}
        kept = self.adherence
        self._systolic.aim(day, kept * sum(m.pressure[0] for m in sorted(taken, key=lambda m: m.key)))
        self._diastolic.aim(day, kept * sum(m.pressure[1] for m in sorted(taken, key=lambda m: m.key)))
        self._sugar.aim(day, kept * sum(m.sugar for m in sorted(taken, key=lambda m: m.key)))
        self._ldl.aim(day, kept * max((m.ldl for m in taken), default=0.0))

    def misses_pressure(self, reading: tuple[int, int]) -> bool:
        return reading[0] >= SYSTOLIC_TARGET or reading[1] >= DIASTOLIC_TARGET

    def misses_sugar(self, hba1c: float) -> bool:
        return hba1c > SUGAR_TARGET

    # What is read on a day

    def years_at(self, day: int) -> int:
        return self.person.age(date.fromordinal(day))

    def week_of_pregnancy(self, day: int) -> float | None:
        for last_period, end in self.pregnancies:
            if last_period < day <= end:
                return (day - last_period) / 7
        return None

    def read_pressure(self, day: int) -> tuple[int, int]:
        noise = self.dice.normal
        winter = WINTER_RISE * cos(2 * pi * (day % 365.25) / 365.25)
        high = self.systolic - self._systolic.at(day) + winter + noise() * DAILY["systolic"]
        low = self.diastolic - self._diastolic.at(day) + winter / 2 + noise() * DAILY["diastolic"]
        if (before := self.onset.get("hypertension", day) - day) > 0:
            less = PRESSURE_BEFORE_ONSET[0] + PRESSURE_BEFORE_ONSET[1] * before / DAYS_PER_YEAR
            high, low = min(high - less, PRESSURE_CEILING[0]), min(low - less / 2, PRESSURE_CEILING[1])
        if week := self.week_of_pregnancy(day):
            change = physiology.pregnant(week)
            high, low = high + change[1], low + change[2]
        low = min(low, high - 25)
        return round(max(88, high)), round(max(48, low))

    def read_pulse(self, day: int) -> int:
        return round(self.pulse + self.dice.normal() * DAILY["pulse"] + (8 if self.week_of_pregnancy(day) else 0))

    def read_weight(self, day: int) -> float:
        weight = self.weight + self.dice.normal() * DAILY["weight"]
        if week := self.week_of_pregnancy(day):
            weight += physiology.pregnant(week)[3]
        return round(weight, 1)

    def read_sugar(self, day: int) -> dict[str, float]:
        """HbA1c and fasting glucose of one morning, the second following from the first by ADAG."""
        noise = self.dice.normal
        hba1c = self.levels["hba1c"] - self._sugar.at(day) + noise() * DAILY["sugar"]
        if "diabetes" in self.onset:
            hba1c += (day - self.end) / DAYS_PER_YEAR * SUGAR_DRIFT_A_YEAR
            hba1c = max(5.6, hba1c) if day >= self.onset["diabetes"] else SUGAR_BEFORE_ONSET + noise() * DAILY["sugar"]
        hba1c = round(hba1c, 1)
        glucose = round(physiology.fasting_glucose(hba1c) + noise() * DAILY["glucose"], 1)
        return {"hba1c": hba1c, "glucose": glucose}

    def read_lipids(self, day: int) -> dict[str, float]:
        noise = self.dice.normal
        ldl = self.levels["ldl"] * (1 - self._ldl.at(day)) + noise() * 0.12
        hdl = round(max(0.7, self.levels["hdl"] + noise() * 0.05), 2)
        triglycerides = round(min(4.2, max(0.4, self.levels["triglycerides"] + noise() * 0.15)), 2)
        cholesterol = round(physiology.total_cholesterol(max(0.8, ldl), hdl, triglycerides), 2)
        return {
            "cholesterol": cholesterol, "triglycerides": triglycerides, "hdl": hdl,
            "ldl": physiology.friedewald(cholesterol, hdl, triglycerides),
        }  # fmt: skip

    def read_renal(self, day: int) -> dict[str, float]:
        """Creatinine from the person's filtration rate, and the rate that the laboratory computes back from it."""
        noise, female, years = self.dice.normal, self.person.female, self.years_at(day)
        lost = RATE_LOST_IN_CKD if "ckd" in self.onset else 0.3
        rate = self.rate + lost * (self.end - day) / DAYS_PER_YEAR + noise() * DAILY["rate"]
        if "ckd" in self.onset:  # found out at a follow-up: before it the rate was not yet low, after it never normal
            rate = min(rate, RATE_MOST_IN_CKD) if "ckd" in self.regimen else max(rate, RATE_LEAST)
        value = physiology.creatinine(rate, years, female)
        short = max(0.0, 60 - rate) / 10
        return {
            "creatinine": value, "egfr": physiology.egfr(value, years, female),
            "urea": round(self.levels["urea"] + short * 1.2 + noise() * 0.4, 1),
            "urate": round(self.levels["urate"] + short * 25 + noise() * 15),
            "potassium": round(self.levels["potassium"] + short * 0.12 + noise() * 0.12, 1),
            "sodium": round(self.levels["sodium"] + noise()),
        }  # fmt: skip

    def read_count(self, day: int, fever: bool = False) -> dict[str, float]:
        """Blood count: haematocrit and red cells follow haemoglobin, so that MCV and MCHC are those of a sample."""
        noise = self.dice.normal
        haemoglobin = self.levels["hb"] + noise() * 2
        if week := self.week_of_pregnancy(day):
            haemoglobin += physiology.pregnant(week)[0]
        hct = round(haemoglobin / 3.33 + noise() * 0.3, 1)
        rbc = round(hct * 10 / (self.levels["mcv"] if self.age >= 13 else 84), 2)
        return {
            "hb": round(haemoglobin), "hct": hct, "rbc": rbc, "mcv": round(hct * 10 / rbc),
            "wbc": round(self.levels["wbc"] + noise() * 0.4 + (4.5 if fever else 0), 1),
            "plt": round(self.levels["plt"] + noise() * 10),
        }  # fmt: skip

    def read_liver(self) -> dict[str, float]:
        noise = self.dice.normal
        alt = max(6.0, self.levels["alt"] + noise() * 3)
        return {"alt": round(alt), "ast": round(max(9.0, 8 + alt * 0.62 + noise() * 2))}

    def grown(self, what: str, day: int) -> float:
        """A child's size on its own curve, in kg or cm."""
        months = (day - self.birth) / (DAYS_PER_YEAR / 12)
        z = self.height_z if what != "weight" else self.weight_z * 0.6 + self.height_z * 0.4
        return round(physiology.grown(what, self.person.female, months, z), 1)
