"""Writing up an occasion: which readings are taken, what is ordered and prescribed, in the order of a real visit."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable

from xinglin.demo import concepts, physiology
from xinglin.demo.chart import Chart, Visit, iso, prescription_number
from xinglin.demo.concepts import CONDITIONS, LABELS, LOINC, SYNDROME_CODES, Resource, concept
from xinglin.demo.dice import Dice
from xinglin.demo.life import Life
from xinglin.demo.medicines import (
    ACUTE,
    FOR_CHILDREN,
    LONG_SUPPLY_DAYS,
    MEDICINES,
    NOT_IN_PREGNANCY,
    SUBSTITUTES,
)
from xinglin.demo.plan import CLINICS, PREGNANCY_DAYS, ULTRASOUND_WEEKS, Occasion

OPENS, LASTS = 8 * 60, 8 * 60  # minutes after midnight, and the length of a clinic's day
DISPENSED_ELSEWHERE = 0.5  # share of prescriptions taken to the pharmacy by those who are its customers
ACUTE_FEVER, FEVERISH = (38.3, 0.5), ("cold", "bronchitis", "otitis", "pneumonia", "gastroenteritis")
PHQ9_AT_FIRST, PHQ9_LATER = 16, 6  # moderately severe at first; remission is under 5 (Kroenke 2001)
ULTRASOUND = concept(LOINC, "11525-3", "US Pelvis Fetus for pregnancy", "产科超声")
CHEST_FILM = concept(LOINC, "36643-5", "XR Chest 2 Views", "胸部X线摄影")
CARDIOGRAM = concept(LOINC, "11524-6", "EKG study", "心电图")
SPECIALTY_OF = {"chronic": "general", **{name: specialty for name, _, specialty in CLINICS}}
HOSPITAL_SPECIALTY = {
    "hypertension": "cardiology", "diabetes": "endocrinology", "coronary": "cardiology", "stroke": "neurology",
    "ckd": "nephrology", "lipids": "cardiology",
}  # fmt: skip


class Story:
    """One person's visits at all their institutions, written into their charts one after the other."""

    def __init__(self, life: Life, dice: Dice, charts: list[Chart], pharmacy: Chart | None, today: int) -> None:
        self.life, self.dice, self.charts, self.pharmacy, self.today = life, dice, charts, pharmacy, today
        self.allergy: tuple[str, ...] | None = None
        self.allergy_told = False
        self.who = "child" if life.age < 13 else "female" if life.person.female else "male"
        self.found: set[str] = set()  # conditions that the visit being written up is the first to know of

    def write(self, occasion: Occasion, chart: Chart) -> None:
        KINDS.get(occasion.kind, Story.follow_up)(self, occasion, chart)
        chart.sensitivity = None

    def begins(self, occasion: Occasion, chart: Chart, specialty: str, reasons: list[str], **kind: object) -> Visit:
        """Open a visit at a time of the clinic's day; what is sensitive about its first reason marks all of it."""
        chart.sensitivity = LABELS[reasons[0]]
        minutes = OPENS + self.dice.between(0, LASTS)
        visit = chart.visit(occasion.day, minutes, specialty, reasons, **kind)  # type: ignore[arg-type]
        if self.allergy and not self.allergy_told and chart.sensitivity is None:
            chart.allergy(self.allergy, visit)
            self.allergy_told = True
        return visit

    def prescribe(self, visit: Visit, name: str, days: int, reason: Resource) -> None:
        """Prescribe and dispense, here or at the pharmacy; a supply that lasts beyond today is still active."""
        if self.allergy:
            name = SUBSTITUTES.get((self.allergy[1], name), name)
        medicine = MEDICINES[name]
        running = visit.day + days >= self.today and self.life.person.death is None
        request = visit.prescribe(medicine, days, reason, running)
        elsewhere = self.pharmacy is not None and self.dice.chance(DISPENSED_ELSEWHERE)
        chart = self.pharmacy if elsewhere and self.pharmacy else visit.chart
        if chart is not visit.chart:
            number = prescription_number(request["reference"].partition("/")[2])
            request = {"type": "MedicationRequest", "identifier": number}
        chart.sensitivity = visit.chart.sensitivity
        chart.dispensed(medicine, request, visit.day, days)
        if chart is not visit.chart:
            chart.sensitivity = None

    # Kinds of visit

    def follow_up(self, occasion: Occasion, chart: Chart) -> None:
        """A clinic for lasting conditions: measure, step the treatment up when the target is missed, prescribe."""
        life = self.life
        keys = next(keys for name, keys, _ in CLINICS if name == occasion.kind)
        present = [key for key in keys if key in life.onset and life.onset[key] <= occasion.day]
        specialty = SPECIALTY_OF[occasion.kind]
        if occasion.kind == "chronic" and chart.prefix in ("hx", "tc"):
            specialty = HOSPITAL_SPECIALTY[present[0]]
        visit = self.begins(occasion, chart, specialty, present, service="慢病随访")
        self.found = {key for key in present if key not in life.regimen}
        conditions = {key: chart.condition(key, visit, life.onset[key]) for key in present}
        for key in present:
            if key in self.found:
                life.begin(key, occasion.day)
        CLINIC_WORK[occasion.kind](self, visit, present, occasion.number)
        given: set[str] = set()
        for key in present:
            for name in life.drugs[key]:
                if name not in given:
                    given.add(name)
                    self.prescribe(visit, name, LONG_SUPPLY_DAYS, conditions[key])

    def chronic(self, visit: Visit, present: list[str], number: int) -> None:
        life, day = self.life, visit.day
        reading = life.read_pressure(day)
        visit.pressure(*reading)
        visit.measure("pulse", life.read_pulse(day))
        if number % 2 == 0:
            self._weigh(visit)
        if "diabetes" in present and number % 2 == 0:
            sugar = life.read_sugar(day)
            visit.report("sugar", sugar, self.who)
            if life.misses_sugar(sugar["hba1c"]):
                life.step_up("diabetes", day)
        if number % 4 == 0:
            visit.report("lipids", life.read_lipids(day), self.who)
            visit.report("renal", life.read_renal(day), self.who)
        elif "ckd" in present and (number % 2 == 0 or "ckd" in self.found):
            visit.report("renal", life.read_renal(day), self.who)
        if number % 4 == 0 and ("diabetes" in present or "ckd" in present):
            level = life.levels["albuminuria"] * (0.9 + 0.2 * self.dice.random())
            visit.report("urine", {"albuminuria": round(level)}, self.who)
        if "hypertension" in present and number and life.misses_pressure(reading):
            life.step_up("hypertension", day)

    def lung(self, visit: Visit, present: list[str], number: int) -> None:
        visit.measure("breaths", 18 + self.dice.between(0, 4))
        visit.measure("saturation", (94 if "copd" in present else 97) + self.dice.between(-1, 2))
        if number % 4 == 0 and "copd" in present:
            visit.measure("fev1-share", 58 + self.dice.between(-6, 8), concepts.EXAM)

    def mind(self, visit: Visit, present: list[str], number: int) -> None:
        score = max(PHQ9_LATER - 2, PHQ9_AT_FIRST - 4 * number) + self.dice.between(-2, 2)
        visit.measure("phq9", score, concepts.SURVEY)

    def alcohol(self, visit: Visit, present: list[str], number: int) -> None:
        visit.report("liver", {"alt": 62 - min(number, 5) * 4, "ast": 78 - min(number, 5) * 6}, self.who)

    def liver(self, visit: Visit, present: list[str], number: int) -> None:
        if number % 2 == 0:
            visit.report("liver", self.life.read_liver(), self.who)
            copies = 45_000 // 30 ** min(number, 4) if number < 4 else 0
            visit.report("hbv", {"hbv-dna": copies}, self.who)

    def hiv(self, visit: Visit, present: list[str], number: int) -> None:
        """CD4 cells recover and the virus falls below what can be counted within half a year of treatment."""
        copies = 62_000 if number == 0 else 900 if number == 1 else 0
        cells = 310 + min(number, 8) * 35 + self.dice.between(-15, 15)
        visit.report("hiv", {"hiv-rna": copies, "cd4": cells}, self.who)

    def _weigh(self, visit: Visit) -> None:
        life = self.life
        weight, height = life.read_weight(visit.day), life.height
        if life.years_at(visit.day) < 18:
            weight, height = life.grown("weight", visit.day), life.grown("height", visit.day)
        visit.measure("height", height)
        visit.measure("weight", weight)
        visit.measure("bmi", physiology.bmi(weight, height))

    def acute(self, occasion: Occasion, chart: Chart) -> None:
        reason, dice = occasion.reason, self.dice
        child = occasion.day - self.life.birth < 14 * 365
        specialty = "paediatrics" if child else "tcm" if chart.prefix == "tc" else "internal"
        visit = self.begins(occasion, chart, specialty, [reason])
        mean, spread = ACUTE_FEVER if reason in FEVERISH else (36.6, 0.15)
        visit.measure("temperature", round(mean + dice.normal() * spread, 1))
        if not child:
            visit.pressure(*self.life.read_pressure(visit.day))
        syndrome = SYNDROME_CODES.get(reason) if specialty == "tcm" else None
        condition = chart.condition(reason, visit, note=f"中医证候：{syndrome['text']}" if syndrome else None)
        if reason == "bronchitis":
            visit.report("count", self.life.read_count(visit.day, fever=True), self.who)
        western, traditional, days = ACUTE[reason]
        self._treat(visit, traditional if specialty == "tcm" else western, days, condition, child)

    def _treat(self, visit: Visit, names: tuple[str, ...], days: int, condition: Resource, child: bool) -> None:
        expecting = self.life.week_of_pregnancy(visit.day) is not None
        for name in names:
            if expecting and name in NOT_IN_PREGNANCY:
                continue
            self.prescribe(visit, FOR_CHILDREN.get(name, name) if child else name, days, condition)

    def check_up(self, occasion: Occasion, chart: Chart) -> None:
        life, day = self.life, occasion.day
        visit = self.begins(occasion, chart, "general", ["check-up"], service="健康体检")
        self._weigh(visit)
        if life.years_at(day) < 18:  # the adult equations and intervals below do not hold for the young
            return
        visit.pressure(*life.read_pressure(day))
        visit.measure("pulse", life.read_pulse(day))
        visit.answer(concepts.SMOKING, concepts.SMOKES if life.smokes else concepts.NEVER_SMOKED)
        visit.report("count", life.read_count(day), self.who)
        visit.report("liver", life.read_liver(), self.who)
        visit.report("sugar", life.read_sugar(day), self.who)
        visit.report("lipids", life.read_lipids(day), self.who)
        visit.report("renal", life.read_renal(day), self.who)
        visit.imaging(CARDIOGRAM, "窦性心律，未见明显异常。")

    def growth(self, occasion: Occasion, chart: Chart) -> None:
        life, day = self.life, occasion.day
        visit = self.begins(occasion, chart, "paediatrics", ["check-up"], service="儿童健康检查")
        weight, height = life.grown("weight", day), life.grown("height", day)
        visit.measure("height", height)
        visit.measure("weight", weight)
        if occasion.number >= 24:
            visit.measure("bmi", physiology.bmi(weight, height))
        else:
            visit.measure("head", life.grown("head", day))
        if occasion.number in (8, 18, 30, 48):
            visit.report("count", life.read_count(day), self.who)

    def birth(self, occasion: Occasion, chart: Chart) -> None:
        visit = self.begins(occasion, chart, "paediatrics", ["check-up"], service="新生儿检查")
        for key in ("weight", "height", "head"):
            visit.measure(key, self.life.grown(key, occasion.day))

    def antenatal(self, occasion: Occasion, chart: Chart) -> None:
        life, day, week = self.life, occasion.day, occasion.number
        last_period, end = next(p for p in life.pregnancies if p[0] < day <= p[1])
        visit = self.begins(occasion, chart, "obstetrics", ["pregnancy"], service="产前检查")
        ended = end if end < self.today else None
        pregnancy = chart.condition("pregnancy", visit, last_period, ended)
        visit.dated(concepts.DUE_DATE, last_period + PREGNANCY_DAYS)
        if week == 11:
            visit.dated(concepts.LAST_PERIOD, last_period)
        visit.measure("gestation", (day - last_period) // 7, concepts.EXAM)
        visit.pressure(*life.read_pressure(day))
        visit.measure("weight", life.read_weight(day))
        if week >= 16:
            visit.measure("fetal-heart", 142 + round(self.dice.normal() * 5), concepts.EXAM)
        if week >= 20:
            visit.measure("fundus", (day - last_period) // 7 - 2 + self.dice.between(-1, 1), concepts.EXAM)
        if week in ULTRASOUND_WEEKS:
            visit.imaging(ULTRASOUND, f"宫内孕，孕{(day - last_period) // 7}周，胎儿大小与孕周相符。")
        if week in (11, 24, 32, 36):
            count = life.read_count(day)
            visit.report("count", count, self.who)
            if count["hb"] < 110:  # anaemia of pregnancy, WHO
                self.prescribe(visit, "iron", 28, pregnancy)
        if week == 11:
            self.prescribe(visit, "folate", 28, pregnancy)

    def delivery(self, occasion: Occasion, chart: Chart) -> None:
        days = min(3, self.today - occasion.day)
        visit = self.begins(occasion, chart, "obstetrics", ["delivery"], kind="IMP", days=days, service="住院分娩")
        chart.condition("delivery", visit)
        visit.pressure(*self.life.read_pressure(occasion.day))
        self._summary(visit, "delivery", days)

    def admission(self, occasion: Occasion, chart: Chart) -> None:
        life, reason = self.life, occasion.reason
        days = min(6 if reason == "pneumonia" else 10, life.end - occasion.day)
        child = occasion.day - life.birth < 14 * 365
        specialty = "paediatrics" if child else "neurology" if reason == "stroke" else "respiratory"
        visit = self.begins(occasion, chart, specialty, [reason], kind="IMP", days=days)
        condition = chart.condition(reason, visit, life.onset.get(reason))
        if not child:
            visit.pressure(*life.read_pressure(visit.day))
        visit.measure("temperature", 36.7 if reason == "stroke" else round(38.6 + self.dice.normal() * 0.3, 1))
        visit.measure("saturation", 93 + self.dice.between(0, 4))
        visit.report("count", life.read_count(visit.day, fever=reason == "pneumonia"), self.who)
        if reason == "pneumonia":
            visit.imaging(CHEST_FILM, "右下肺斑片状阴影，考虑肺炎。")
            self._treat(visit, ACUTE[reason][0], ACUTE[reason][2], condition, child)
        self._summary(visit, reason, days)

    def _summary(self, visit: Visit, reason: str, days: int) -> None:
        name = CONDITIONS[reason][3]
        text = (
            f'<!DOCTYPE html><html lang="zh-CN"><head><meta charset="utf-8"><title>出院小结</title></head><body>'
            f"<h1>出院小结</h1><p>入院日期：{iso(visit.day)}；出院日期：{iso(visit.day + days)}</p>"
            f"<p>出院诊断：{name}</p><p>诊疗经过：入院后完善检查，予对症治疗，病情好转，准予出院。</p>"
            f"<p>医嘱：注意休息，一周后门诊复查。</p><p>医师：{visit.doctor.name}</p></body></html>"
        )
        visit.discharge_summary(b64encode(text.encode()).decode(), visit.day + days)


KINDS: dict[str, Callable[[Story, Occasion, Chart], None]] = {
    "acute": Story.acute, "check-up": Story.check_up, "growth": Story.growth, "birth": Story.birth,
    "antenatal": Story.antenatal, "delivery": Story.delivery, "admission": Story.admission,
}  # fmt: skip
CLINIC_WORK: dict[str, Callable[[Story, Visit, list[str], int], None]] = {
    "chronic": Story.chronic, "lung": Story.lung, "mind": Story.mind, "alcohol": Story.alcohol, "liver": Story.liver,
    "hiv": Story.hiv,
}  # fmt: skip
