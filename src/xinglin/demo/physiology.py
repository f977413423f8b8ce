"""How the numbers hang together: formulas with their sources, and tables of growth. No dice here."""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise

MICROMOL_PER_MG = 88.4  # creatinine, umol/L in one mg/dL


def egfr(creatinine: float, age: int, female: bool) -> int:
    """Filtration rate in mL/min/1.73 m2 from creatinine in umol/L (CKD-EPI 2021; Inker, NEJM 2021;385:1737)."""
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    ratio = creatinine / MICROMOL_PER_MG / kappa
    rate: float = 142 * min(ratio, 1.0) ** alpha * max(ratio, 1.0) ** -1.200 * 0.9938**age
    return round(rate * 1.012 if female else rate)


def creatinine(rate: float, age: int, female: bool) -> int:
    """The creatinine in umol/L that `egfr` turns into `rate`: CKD-EPI 2021 solved for creatinine."""
    kappa, alpha = (0.7, -0.241) if female else (0.9, -0.302)
    share = rate / (142 * 0.9938**age * (1.012 if female else 1.0))
    ratio: float = share ** (1 / alpha) if share >= 1 else share ** (1 / -1.200)
    return max(30, round(ratio * kappa * MICROMOL_PER_MG))


def average_glucose(hba1c: float) -> float:
    """Mean glucose in mmol/L that an HbA1c in % stands for (ADAG; Nathan, Diabetes Care 2008;31:1473)."""
    return 1.59 * hba1c - 2.59


# Fasting glucose as a share of the ADAG average: the county's own choice, so that 5.3 % stands by 5.4 mmol/L.
FASTING_SHARE = 0.93


def fasting_glucose(hba1c: float) -> float:
    return FASTING_SHARE * average_glucose(hba1c)


def total_cholesterol(ldl: float, hdl: float, triglycerides: float) -> float:
    """mmol/L; Friedewald (Clin Chem 1972;18:499) solved for the total, valid to triglycerides of 4.5 mmol/L."""
    return ldl + hdl + triglycerides / 2.2


def friedewald(cholesterol: float, hdl: float, triglycerides: float) -> float:
    return round(cholesterol - hdl - triglycerides / 2.2 + 1e-9, 2)


def bmi(weight: float, height: float) -> float:
    """kg/m2 from kg and cm."""
    return round(weight / (height / 100) ** 2, 1)


# Medians by month of age: boys' weight kg, length or height cm, girls' weight, height. To 10 years the WHO standards
# (2006) and reference (2007), from 12 the Chinese curves (Li Hui and others, 2009); rounded.
GROWTH_MONTHS = (0, 1, 2, 3, 4, 6, 9, 12, 18, 24, 36, 48, 60, 72, 84, 96, 108, 120, 144, 168, 192, 216)
GROWTH = {
    ("weight", False): (3.3, 4.5, 5.6, 6.4, 7.0, 7.9, 8.9, 9.6, 10.9, 12.2, 14.3, 16.3, 18.3, 20.5, 22.9, 25.4, 28.1,
                        31.2, 42.5, 53.4, 59.5, 61.4),
    ("height", False): (49.9, 54.7, 58.4, 61.4, 63.9, 67.6, 72.0, 75.7, 82.3, 87.1, 96.1, 103.3, 110.0, 116.0, 121.7,
                        127.3, 132.6, 137.8, 151.9, 165.9, 171.6, 172.7),
    ("weight", True): (3.2, 4.2, 5.1, 5.8, 6.4, 7.3, 8.2, 8.9, 10.2, 11.5, 13.9, 16.1, 18.2, 20.2, 22.4, 25.0, 28.2,
                       31.9, 40.8, 47.8, 50.8, 51.4),
    ("height", True): (49.1, 53.7, 57.1, 59.8, 62.1, 65.7, 70.1, 74.0, 80.7, 85.7, 95.1, 102.7, 109.4, 115.1, 120.8,
                       126.6, 132.5, 138.6, 152.4, 158.6, 160.1, 160.6),
    ("head", False): (34.5, 37.3, 39.1, 40.5, 41.6, 43.3, 45.0, 46.1, 47.4, 48.3, 49.5, 50.2, 50.7),
    ("head", True): (33.9, 36.5, 38.3, 39.5, 40.6, 42.2, 43.8, 44.9, 46.2, 47.2, 48.5, 49.3, 49.9),
}  # fmt: skip
GROWTH_SPREAD = {"weight": 0.10, "height": 0.035, "head": 0.027}  # standard deviation as a share of the median


def grown(what: str, female: bool, months: float, z: float) -> float:
    """The size at an age on the curve `z` standard deviations from the median; a child keeps to its curve."""
    curve = GROWTH[what, female]
    place = min(bisect_right(GROWTH_MONTHS, months), len(curve)) - 1
    median = curve[place]
    if place + 1 < len(curve):
        here, there = GROWTH_MONTHS[place], GROWTH_MONTHS[place + 1]
        median += (curve[place + 1] - median) * (months - here) / (there - here)
    return median * (1 + z * GROWTH_SPREAD[what])


# Adults: Report on nutrition and chronic disease 2020, mean height at 18-44; elders are shorter by 1.2 cm a decade.
ADULT_HEIGHT = {False: (169.7, 5.8), True: (158.0, 5.3)}
SHORTER_PER_DECADE, SHORTER_FROM_AGE = 1.2, 35

# Pregnancy by week: change of haemoglobin g/L, of systolic and diastolic mmHg, weight gained kg (Chinese guideline on
# antenatal care 2018 and standard obstetric physiology: lowest blood about week 30, lowest pressure about week 22).
PREGNANCY = (
    (0, 0, 0, 0, 0.0), (12, -4, -3, -3, 1.0), (20, -11, -6, -7, 4.0), (28, -16, -5, -6, 7.5), (32, -16, -3, -4, 9.5),
    (40, -10, 1, 1, 12.5),
)  # fmt: skip


def pregnant(week: float) -> tuple[float, float, float, float]:
    """Changes of haemoglobin, systolic, diastolic and weight at a week of pregnancy, between the rows of the table."""
    for low, high in pairwise(PREGNANCY):
        if week <= high[0]:
            share = (week - low[0]) / (high[0] - low[0])
            return tuple(a + (b - a) * share for a, b in zip(low[1:], high[1:], strict=True))  # type: ignore[return-value]
    return PREGNANCY[-1][1:]
