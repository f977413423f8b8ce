"""The laboratory: what is measured, in which unit, and the reference interval of Chinese adults.

Intervals: WS/T 404.1-404.6 (enzymes, proteins, electrolytes, urea, creatinine), WS/T 405-2012 (blood count),
Chinese guideline on lipids 2023, Chinese guideline on type 2 diabetes 2020 (HbA1c, fasting glucose). Men, then women.
Children's blood counts: WS/T 779-2021, rounded to one interval for 1 to 12 years.
"""

from __future__ import annotations

from dataclasses import dataclass

from xinglin.demo.concepts import LOINC, UCUM, Resource, concept

Range = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Analyte:
    """One quantity the laboratory reports; `spread` is the standard deviation between healthy people of one sex."""

    key: str
    code: Resource
    unit: str  # UCUM
    decimals: int
    male: Range
    female: Range
    usual: tuple[float, float]  # mean of healthy men and women
    spread: float

    def range_of(self, female: bool) -> Range:
        return self.female if female else self.male


def _analyte(key: str, loinc: str, english: str, chinese: str, unit: str, decimals: int, male: Range,
             female: Range | None, usual: tuple[float, float], spread: float) -> Analyte:  # fmt: skip
    return Analyte(key, concept(LOINC, loinc, english, chinese), unit, decimals, male, female or male, usual, spread)


_S = "in Serum or Plasma"
_LIST = (
    _analyte("hb", "718-7", "Hemoglobin [Mass/volume] in Blood", "血红蛋白", "g/L", 0, (130, 175), (115, 150),
             (152, 132), 8),
    _analyte("rbc", "789-8", "Erythrocytes [#/volume] in Blood by Automated count", "红细胞计数", "10*12/L", 2,
             (4.3, 5.8), (3.8, 5.1), (5.0, 4.45), 0.3),
    _analyte("hct", "4544-3", "Hematocrit [Volume Fraction] of Blood by Automated count", "红细胞压积", "%", 1,
             (40, 50), (35, 45), (45, 40), 2),
    _analyte("mcv", "787-2", "MCV [Entitic mean volume] in Red Blood Cells by Automated count", "平均红细胞体积", "fL",
             1, (82, 100), None, (90, 90), 4),
    _analyte("wbc", "6690-2", "Leukocytes [#/volume] in Blood by Automated count", "白细胞计数", "10*9/L", 1,
             (3.5, 9.5), None, (6.3, 6.0), 1.1),
    _analyte("plt", "777-3", "Platelets [#/volume] in Blood by Automated count", "血小板计数", "10*9/L", 0, (125, 350),
             None, (215, 228), 42),
    _analyte("glucose", "14771-0", f"Fasting glucose [Moles/volume] {_S}", "空腹血糖", "mmol/L", 1, (3.9, 6.1), None,
             (5.1, 5.0), 0.35),
    _analyte("hba1c", "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "糖化血红蛋白", "%", 1, (4.0, 6.0), None,
             (5.35, 5.3), 0.25),
    _analyte("cholesterol", "14647-2", f"Cholesterol [Moles/volume] {_S}", "总胆固醇", "mmol/L", 2, (None, 5.2), None,
             (4.6, 4.6), 0.7),
    _analyte("triglycerides", "14927-8", f"Triglyceride [Moles/volume] {_S}", "甘油三酯", "mmol/L", 2, (None, 1.7),
             None, (1.35, 1.15), 0.3),
    _analyte("hdl", "14646-4", f"Cholesterol in HDL [Moles/volume] {_S}", "高密度脂蛋白胆固醇", "mmol/L", 2,
             (1.0, None), None, (1.25, 1.42), 0.16),
    _analyte("ldl", "39469-2", f"Cholesterol in LDL [Moles/volume] {_S} by calculation", "低密度脂蛋白胆固醇", "mmol/L",
             2, (None, 3.4), None, (2.75, 2.7), 0.5),
    _analyte("creatinine", "14682-9", f"Creatinine [Moles/volume] {_S}", "肌酐", "umol/L", 0, (57, 111), (41, 81),
             (78, 60), 9),
    _analyte("egfr", "98979-8", "Glomerular filtration rate/1.73 sq M.predicted by Creatinine-based formula "
             "(CKD-EPI 2021)", "估算肾小球滤过率", "mL/min/{1.73_m2}", 0, (90, None), None, (100, 100), 10),
    _analyte("urea", "22664-7", f"Urea [Moles/volume] {_S}", "尿素", "mmol/L", 1, (3.1, 8.0), (2.6, 7.5), (5.3, 4.7),
             0.8),
    _analyte("urate", "14933-6", f"Urate [Moles/volume] {_S}", "尿酸", "umol/L", 0, (208, 428), (155, 357), (345, 265),
             48),
    _analyte("potassium", "2823-3", f"Potassium [Moles/volume] {_S}", "钾", "mmol/L", 1, (3.5, 5.3), None, (4.2, 4.1),
             0.25),
    _analyte("sodium", "2951-2", f"Sodium [Moles/volume] {_S}", "钠", "mmol/L", 0, (137, 147), None, (141, 141), 1.8),
    _analyte("alt", "1742-6", f"Alanine aminotransferase [Enzymatic activity/volume] {_S}", "丙氨酸氨基转移酶", "U/L",
             0, (9, 50), (7, 40), (24, 18), 6),
    _analyte("ast", "1920-8", f"Aspartate aminotransferase [Enzymatic activity/volume] {_S}", "天门冬氨酸氨基转移酶",
             "U/L", 0, (15, 40), (13, 35), (23, 20), 4),
    _analyte("albuminuria", "14959-1", "Microalbumin/Creatinine [Mass Ratio] in Urine", "尿微量白蛋白/肌酐", "mg/g", 0,
             (None, 30), None, (9, 10), 4),
    _analyte("hbv-dna", "42595-9", f"Hepatitis B virus DNA [Units/volume] (viral load) {_S} by NAA",
             "乙肝病毒DNA", "[IU]/mL", 0, (None, 20), None, (0, 0), 0),
    _analyte("cd4", "24467-3", "CD3+CD4+ (T4 helper) cells [#/volume] in Blood", "CD4+T淋巴细胞计数", "/uL", 0,
             (550, 1440), None, (850, 880), 120),
    _analyte("hiv-rna", "20447-9", f"HIV 1 RNA [#/volume] (viral load) {_S} by NAA", "HIV-1病毒载量",
             "{copies}/mL", 0, (None, 50), None, (0, 0), 0),
)  # fmt: skip
ANALYTES: dict[str, Analyte] = {analyte.key: analyte for analyte in _LIST}
CHILD_RANGES: dict[str, Range] = {
    "hb": (112, 149), "rbc": (4.0, 5.5), "hct": (34, 43), "wbc": (4.4, 11.9), "plt": (188, 472), "mcv": (76, 92),
}  # fmt: skip
CHILD_USUAL: dict[str, tuple[float, float]] = {
    "hb": (127, 6), "wbc": (8.0, 1.3), "plt": (310, 50),
}  # fmt: skip

# A panel is one DiagnosticReport: LOINC code, English, Chinese, what it holds in order.
PANELS: dict[str, tuple[Resource, tuple[str, ...]]] = {
    "count": (concept(LOINC, "58410-2", "CBC panel - Blood by Automated count", "血常规"),
              ("wbc", "rbc", "hb", "hct", "mcv", "plt")),
    "lipids": (concept(LOINC, "24331-1", "Lipid 1996 panel - Serum or Plasma", "血脂四项"),
               ("cholesterol", "triglycerides", "hdl", "ldl")),
    "renal": (concept(LOINC, "24362-6", "Renal function 2000 panel - Serum or Plasma", "肾功能"),
              ("urea", "creatinine", "egfr", "urate", "potassium", "sodium")),
    "liver": (concept(LOINC, "24325-3", "Hepatic function 2000 panel - Serum or Plasma", "肝功能"), ("alt", "ast")),
    "sugar": (concept(LOINC, "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "血糖与糖化血红蛋白"),
              ("glucose", "hba1c")),
    "urine": (concept(LOINC, "14959-1", "Microalbumin/Creatinine [Mass Ratio] in Urine", "尿微量白蛋白"),
              ("albuminuria",)),
    "hbv": (concept(LOINC, "42595-9", "Hepatitis B virus DNA (viral load)", "乙肝病毒定量"), ("hbv-dna",)),
    "hiv": (concept(LOINC, "20447-9", "HIV 1 RNA (viral load)", "HIV病毒载量与CD4"), ("hiv-rna", "cd4")),
}  # fmt: skip


def _reference_range(analyte: Analyte, bounds: Range) -> list[Resource]:
    low, high = bounds
    entry: Resource = {}
    for side, value in (("low", low), ("high", high)):
        if value is not None:
            entry[side] = {"value": value, "unit": analyte.unit, "system": UCUM, "code": analyte.unit}
    return [entry]


# (analyte, who): the reference range as FHIR writes it, made once
REFERENCE_RANGES: dict[tuple[str, str], list[Resource]] = {
    **{(a.key, "male"): _reference_range(a, a.male) for a in _LIST},
    **{(a.key, "female"): _reference_range(a, a.female) for a in _LIST},
    **{(key, "child"): _reference_range(ANALYTES[key], bounds) for key, bounds in CHILD_RANGES.items()},
}


def bounds_of(key: str, who: str) -> Range:
    if who == "child":
        return CHILD_RANGES[key]
    return ANALYTES[key].range_of(who == "female")
