"""Whatever the seed, the county's numbers hang together: each law is checked on what was written down."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime
from statistics import mean

from hypothesis import given, settings
from hypothesis import strategies as st

from xinglin.demo import County, bundles, truth
from xinglin.demo.county import population
from xinglin.demo.vaccines import SCHEDULE

FEW = settings(max_examples=6, deadline=None)
seeds = st.integers(min_value=0, max_value=2**40 - 1)
CREATININE, RATE, A1C, FASTING = "14682-9", "98979-8", "4548-4", "14771-0"
TOTAL, TRIGLYCERIDES, HDL, LDL = "14647-2", "14927-8", "14646-4", "39469-2"
HEIGHT, WEIGHT, BMI, HEAD = "8302-2", "29463-7", "39156-5", "9843-4"
HAEMOGLOBIN, RED_CELLS, HAEMATOCRIT, MCV = "718-7", "789-8", "4544-3", "787-2"
BLOOD_PRESSURE = "85354-9"
ANTIHYPERTENSIVES = {"C08CA01", "C09CA03", "C03BA11"}


def told(county: County, start: int = 0, stop: int | None = None):
    for bundle in bundles(county, start, stop):
        yield from bundle.resources


def by_encounter(county: County):
    """Values by LOINC code of each encounter, with its patient and day."""
    found: dict[str, dict[str, float]] = defaultdict(dict)
    whose: dict[str, tuple[str, date]] = {}
    for resource in told(county):
        if resource["resourceType"] == "Observation" and "valueQuantity" in resource:
            encounter = resource["encounter"]["reference"]
            found[encounter][resource["code"]["coding"][0]["code"]] = resource["valueQuantity"]["value"]
            day = datetime.fromisoformat(resource["effectiveDateTime"]).date()
            whose[encounter] = (resource["subject"]["reference"].partition("/")[2], day)
    for encounter, values in found.items():
        yield *whose[encounter], values


@FEW
@given(seeds)
def test_laboratory_agrees_with_itself(seed: int) -> None:
    county = County(seed=seed, people=40)
    patient_of = truth(county)
    people = {person.index: person for person, _ in population(county)}
    for patient, day, values in by_encounter(county):
        person = people[patient_of[patient]]
        if RATE in values:
            assert abs(ckd_epi(values[CREATININE], person.age(day), person.female) - values[RATE]) <= 0.51
        if A1C in values:
            average = 1.59 * values[A1C] - 2.59  # ADAG
            assert abs(values[FASTING] - 0.93 * average) <= 1.0
        if TOTAL in values:
            assert values[TRIGLYCERIDES] <= 4.5
            friedewald = values[TOTAL] - values[HDL] - values[TRIGLYCERIDES] / 2.2
            assert abs(friedewald - values[LDL]) <= 0.0051
        if MCV in values:
            assert abs(values[HAEMATOCRIT] * 10 / values[RED_CELLS] - values[MCV]) <= 0.51
            assert 290 <= values[HAEMOGLOBIN] / values[HAEMATOCRIT] * 100 <= 380  # MCHC g/L
        if BMI in values:
            assert abs(values[WEIGHT] / (values[HEIGHT] / 100) ** 2 - values[BMI]) <= 0.051


def ckd_epi(micromol: float, age: int, female: bool) -> float:
    """CKD-EPI 2021 as its authors print it, in mg/dL and by cases."""
    mg = micromol / 88.4
    if female:
        return 142 * (mg / 0.7) ** (-0.241 if mg <= 0.7 else -1.2) * 0.9938**age * 1.012
    return 142 * (mg / 0.9) ** (-0.302 if mg <= 0.9 else -1.2) * 0.9938**age


@FEW
@given(seeds)
def test_flags_follow_the_ranges(seed: int) -> None:
    for resource in told(County(seed=seed, people=20)):
        if "referenceRange" in resource:
            (bounds,), value = resource["referenceRange"], resource["valueQuantity"]["value"]
            low = "low" in bounds and value < bounds["low"]["value"]
            high = "high" in bounds and value > bounds["high"]["value"]
            expected = "L" if low else "H" if high else "N"
            assert resource["interpretation"][0]["coding"][0]["code"] == expected


@FEW
@given(seeds)
def test_kidney_disease_is_where_the_filtration_is_low(seed: int) -> None:
    diseased, low, measured = set(), set(), set()
    county = County(seed=seed, people=60)
    patient_of = truth(county)
    for resource in told(county):
        code = resource.get("code", {}).get("coding", [{}])[0].get("code")
        if code == "N18.9":
            diseased.add(patient_of[resource["subject"]["reference"][8:]])
        if code == RATE:
            person = patient_of[resource["subject"]["reference"][8:]]
            measured.add(person)
            if resource["valueQuantity"]["value"] < 60:
                low.add(person)
    assert low == diseased & measured


def pressures_and_starts(county: County):
    """Of each person: systolic readings by day, and the day on which treatment began with the readings after it."""
    patient_of = truth(county)
    readings: dict[int, list[tuple[str, float]]] = defaultdict(list)
    treated: dict[int, str] = {}
    for resource in told(county):
        if resource["resourceType"] == "Observation" and resource["code"]["coding"][0]["code"] == BLOOD_PRESSURE:
            person = patient_of[resource["subject"]["reference"][8:]]
            high, low = (part["valueQuantity"]["value"] for part in resource["component"])
            assert 20 <= high - low <= 120 and 80 <= high <= 230
            readings[person].append((resource["effectiveDateTime"], high))
        if resource["resourceType"] == "MedicationRequest":
            code = resource["medicationCodeableConcept"]["coding"][0]["code"]
            person = patient_of[resource["subject"]["reference"][8:]]
            if code in ANTIHYPERTENSIVES:
                treated[person] = min(treated.get(person, "9"), resource["authoredOn"])
    return readings, treated


@settings(max_examples=3, deadline=None)
@given(seeds)
def test_pressure_falls_with_treatment_and_not_without(seed: int) -> None:
    """Those who begin treatment in the years on record: the first reading against those four months later and on."""
    county = County(seed=seed, people=400)
    readings, treated = pressures_and_starts(county)
    falls = []
    for person, start in treated.items():
        before = [value for when, value in readings[person] if when <= start and when[:7] == start[:7]]
        day = date.fromisoformat(start[:10]).toordinal()
        after = [v for when, v in readings[person] if date.fromisoformat(when[:10]).toordinal() > day + 120]
        newly = start[:4] > "2021" and len(after) >= 3
        if before and newly:
            falls.append(mean(before) - mean(after))
    assert len(falls) >= 5
    assert mean(falls) >= 12, "two standard doses take off some 15 mmHg"
    assert sum(fall > 0 for fall in falls) >= 0.9 * len(falls)
    untreated = [mean(v for _, v in values) for person, values in readings.items() if person not in treated]
    assert max(untreated) < 145


@FEW
@given(seeds)
def test_pregnancy_runs_its_course(seed: int) -> None:
    """Due 280 days after the last period; weeks count up; haemoglobin dips in the middle; birth is near the date."""
    county = County(seed=seed, people=80)
    patient_of = truth(county)
    people = {person.index: person for person, _ in population(county)}
    days = {"11778-8": defaultdict(set), "8665-2": defaultdict(set)}
    for resource in told(county):
        code = resource.get("code", {}).get("coding", [{}])[0].get("code")
        if code in days:
            days[code][patient_of[resource["subject"]["reference"][8:]]].add(resource["valueDateTime"])
    for person, dues in days["11778-8"].items():
        assert people[person].female
        expected = {birth.toordinal() for birth in people[person].births}
        if due := people[person].due:
            assert due.isoformat() in dues
        for told_due in dues:
            due_day = date.fromisoformat(told_due)
            is_born = any(-25 <= born - due_day.toordinal() <= 10 for born in expected)
            assert is_born or due_day == people[person].due
    for person, periods in days["8665-2"].items():
        for period in periods:
            start = date.fromisoformat(period).toordinal()
            assert any(date.fromisoformat(due).toordinal() - start == 280 for due in days["11778-8"][person])


def test_haemoglobin_dips_in_pregnancy() -> None:
    county = County(people=800)
    early, late = [], []
    for _, _, values in by_encounter(county):
        if HAEMOGLOBIN in values and "18185-9" in values:
            (early if values["18185-9"] <= 13 else late).append(values[HAEMOGLOBIN])
    assert mean(early) - mean(late) > 7


@FEW
@given(seeds)
def test_children_grow(seed: int) -> None:
    """Height and head never shrink, and weight stays within three and a half deviations of a Chinese child's."""
    county = County(seed=seed, people=60)
    patient_of = truth(county)
    people = {person.index: person for person, _ in population(county)}
    sizes: dict[tuple[int, str], list[tuple[str, float]]] = defaultdict(list)
    for resource in told(county):
        code = resource.get("code", {}).get("coding", [{}])[0].get("code")
        if code in (HEIGHT, WEIGHT, HEAD):
            person = patient_of[resource["subject"]["reference"][8:]]
            if people[person].age(county.today) < 13:
                sizes[person, code].append((resource["effectiveDateTime"], resource["valueQuantity"]["value"]))
    for (_, code), values in sizes.items():
        ordered = [value for _, value in sorted(values)]
        assert ordered == sorted(ordered), f"{code} shrinks: {ordered}"


@FEW
@given(seeds)
def test_children_are_vaccinated_by_the_schedule_of_their_birth(seed: int) -> None:
    county = County(seed=seed, people=60)
    patient_of = truth(county)
    people = {person.index: person for person, _ in population(county)}
    for resource in told(county):
        if resource["resourceType"] != "Immunization":
            continue
        vaccine = resource["vaccineCode"]["coding"][0]["code"]
        if vaccine == "Flu":
            continue
        birth = people[patient_of[resource["patient"]["reference"][8:]]].birth
        dose = resource["protocolApplied"][0]["doseNumberPositiveInt"]
        due = [d for d in SCHEDULE if (d.vaccine, d.number) == (vaccine, dose) and d.born_from <= birth < d.born_before]
        assert len(due) == 1
        day = date.fromisoformat(resource["occurrenceDateTime"])
        months = (day.year - birth.year) * 12 + day.month - birth.month - (day.day < birth.day)
        assert due[0].months <= months <= due[0].months + 1


@FEW
@given(seeds)
def test_nobody_is_given_what_they_must_not_have(seed: int) -> None:
    """Nothing to those allergic to it, nothing beyond twelve weeks, no dispensing without a prescription."""
    county = County(seed=seed, people=60)
    patient_of = truth(county)
    allergic, given_drugs, numbers = set(), set(), set()
    substances = {"764146007": "J01C", "387458008": "B01AC06"}
    dispensed = []
    for resource in told(county):
        kind = resource["resourceType"]
        if kind == "AllergyIntolerance":
            substance = substances.get(resource["code"]["coding"][0]["code"])
            allergic.add((patient_of[resource["patient"]["reference"][8:]], substance))
        if kind == "MedicationRequest":
            assert resource["dispenseRequest"]["expectedSupplyDuration"]["value"] <= 84
            numbers.add(resource["identifier"][0]["value"])
            numbers.add(f"MedicationRequest/{resource['id']}")
            drug = resource["medicationCodeableConcept"]["coding"][0]["code"]
            for substance in substances.values():
                if drug.startswith(substance):
                    given_drugs.add((patient_of[resource["subject"]["reference"][8:]], substance))
        if kind == "MedicationDispense":
            dispensed.append(resource["authorizingPrescription"][0])
    assert not allergic & given_drugs
    for prescription in dispensed:
        named = prescription.get("reference") or prescription["identifier"]["value"]
        assert named in numbers


@FEW
@given(seeds, st.integers(0, 99_999), st.integers(1, 25))
def test_any_range_of_any_county_is_the_same_people(seed: int, start: int, length: int) -> None:
    county = County(seed=seed, people=100_000)
    once = [bundle.ndjson() for bundle in bundles(county, start, start + length)]
    again = [b.ndjson() for n in range(start, min(start + length, 100_000)) for b in bundles(county, n, n + 1)]
    assert once == again
    assert all(not bundle or bundle.startswith(b'{"resourceType":"Patient"') for bundle in once)
