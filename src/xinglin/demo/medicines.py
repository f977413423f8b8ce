"""What is prescribed: the formulary, the ladders by which treatment is stepped up, and what each step does.

Sources of the effects, all per standard daily dose:
* blood pressure: Law, Wald, Morris, Jordan, BMJ 2003;326:1427 (one standard dose lowers 9.1/5.5 mmHg, half 7.1/4.4,
  twice 10.9/6.5; drugs of different classes add up; full effect within about four weeks);
* LDL cholesterol: Law, Wald, Rudnicka, BMJ 2003;326:1423 (atorvastatin 10, 20, 40 mg: 37, 43, 49 %);
* HbA1c: ADA/EASD consensus on glucose-lowering, usual ranges (metformin 1-1.5, sulfonylurea 1-1.5, SGLT2 0.5-1).
"""

from __future__ import annotations

from dataclasses import dataclass

from xinglin.demo.concepts import ATC, Resource, concept
from xinglin.demo.identity import BASE

HALF, STANDARD, DOUBLE = (7.1, 4.4), (9.1, 5.5), (10.9, 6.5)
PRESSURE_LAG_DAYS = 14.0  # time constant: about 86 % of the effect after four weeks
SUGAR_LAG_DAYS = 45.0  # HbA1c follows glucose with the life of the red cell
LIPID_LAG_DAYS = 21.0


@dataclass(frozen=True, slots=True, eq=False)  # one object a product: compared and cached by identity
class Medicine:
    """One product as prescribed: `per_day` units by mouth, each of `strength`."""

    key: str
    code: Resource
    strength: str
    unit: str  # what is counted: 片, 粒, 袋
    per_dose: float
    doses: int
    pressure: tuple[float, float] = (0.0, 0.0)  # mmHg that the daily dose takes off systolic and diastolic
    sugar: float = 0.0  # HbA1c percentage points taken off
    ldl: float = 0.0  # share of LDL taken off

    @property
    def instruction(self) -> str:
        return f"每次{self.per_dose:g}{self.unit}，每日{self.doses}次，口服"


def _medicine(key: str, atc: str | None, english: str, chinese: str, strength: str, unit: str, per_dose: float,
              doses: int, **effects: object) -> Medicine:  # fmt: skip
    system, code = (ATC, atc) if atc else (f"{BASE}/CodeSystem/medicine", key)
    return Medicine(key, concept(system, code, english, f"{chinese} {strength}"), strength, unit, per_dose, doses,
                    **effects)  # type: ignore[arg-type]  # fmt: skip


_LIST = (
    _medicine("amlodipine-half", "C08CA01", "amlodipine", "苯磺酸氨氯地平片", "5mg", "片", 0.5, 1, pressure=HALF),
    _medicine("amlodipine", "C08CA01", "amlodipine", "苯磺酸氨氯地平片", "5mg", "片", 1, 1, pressure=STANDARD),
    _medicine("amlodipine-double", "C08CA01", "amlodipine", "苯磺酸氨氯地平片", "5mg", "片", 2, 1, pressure=DOUBLE),
    _medicine("valsartan", "C09CA03", "valsartan", "缬沙坦胶囊", "80mg", "粒", 1, 1, pressure=STANDARD),
    _medicine("valsartan-double", "C09CA03", "valsartan", "缬沙坦胶囊", "80mg", "粒", 2, 1, pressure=DOUBLE),
    _medicine("indapamide", "C03BA11", "indapamide", "吲达帕胺片", "2.5mg", "片", 1, 1, pressure=STANDARD),
    _medicine("metoprolol", "C07AB02", "metoprolol", "酒石酸美托洛尔片", "25mg", "片", 1, 2, pressure=HALF),
    _medicine("metformin", "A10BA02", "metformin", "盐酸二甲双胍片", "0.5g", "片", 1, 2, sugar=1.0),
    _medicine("metformin-double", "A10BA02", "metformin", "盐酸二甲双胍片", "0.5g", "片", 2, 2, sugar=1.4),
    _medicine("gliclazide", "A10BB09", "gliclazide", "格列齐特缓释片", "30mg", "片", 2, 1, sugar=1.1),
    _medicine("dapagliflozin", "A10BK01", "dapagliflozin", "达格列净片", "10mg", "片", 1, 1, sugar=0.7),
    _medicine("atorvastatin", "C10AA05", "atorvastatin", "阿托伐他汀钙片", "20mg", "片", 1, 1, ldl=0.43),
    _medicine("aspirin", "B01AC06", "acetylsalicylic acid", "阿司匹林肠溶片", "100mg", "片", 1, 1),
    _medicine("clopidogrel", "B01AC04", "clopidogrel", "硫酸氢氯吡格雷片", "75mg", "片", 1, 1),
    _medicine("tiotropium", "R03BB04", "tiotropium bromide", "噻托溴铵粉吸入剂", "18ug", "粒", 1, 1),
    _medicine("salbutamol", "R03AC02", "salbutamol", "沙丁胺醇吸入气雾剂", "100ug", "揿", 2, 2),
    _medicine("budesonide", "R03BA02", "budesonide", "布地奈德吸入粉雾剂", "100ug", "吸", 1, 2),
    _medicine("sertraline", "N06AB06", "sertraline", "盐酸舍曲林片", "50mg", "片", 1, 1),
    _medicine("entecavir", "J05AF10", "entecavir", "恩替卡韦分散片", "0.5mg", "片", 1, 1),
    _medicine("antiretroviral", "J05AR11", "lamivudine, tenofovir disoproxil and efavirenz",
              "拉米夫定/替诺福韦/依非韦伦片", "300/300/400mg", "片", 1, 1),
    _medicine("iron", "B03AA07", "ferrous sulfate", "硫酸亚铁片", "0.3g", "片", 1, 2),
    _medicine("folate", "B03BB01", "folic acid", "叶酸片", "0.4mg", "片", 1, 1),
    _medicine("thiamine", "A11DA01", "thiamine (vit B1)", "维生素B1片", "10mg", "片", 1, 3),
    _medicine("amoxicillin", "J01CA04", "amoxicillin", "阿莫西林胶囊", "0.5g", "粒", 1, 3),
    _medicine("azithromycin", "J01FA10", "azithromycin", "阿奇霉素片", "0.25g", "片", 2, 1),
    _medicine("levofloxacin", "J01MA12", "levofloxacin", "左氧氟沙星片", "0.5g", "片", 1, 1),
    _medicine("paracetamol", "N02BE01", "paracetamol", "对乙酰氨基酚片", "0.5g", "片", 1, 3),
    _medicine("paracetamol-child", "N02BE01", "paracetamol", "对乙酰氨基酚混悬液", "32mg/mL", "mL", 5, 3),
    _medicine("amoxicillin-child", "J01CA04", "amoxicillin", "阿莫西林颗粒", "0.125g", "袋", 1, 3),
    _medicine("ambroxol", "R05CB06", "ambroxol", "盐酸氨溴索片", "30mg", "片", 1, 3),
    _medicine("smectite", "A07BC05", "diosmectite", "蒙脱石散", "3g", "袋", 1, 3),
    _medicine("omeprazole", "A02BC01", "omeprazole", "奥美拉唑肠溶胶囊", "20mg", "粒", 1, 1),
    _medicine("celecoxib", "M01AH01", "celecoxib", "塞来昔布胶囊", "0.2g", "粒", 1, 1),
    _medicine("loratadine", "R06AX13", "loratadine", "氯雷他定片", "10mg", "片", 1, 1),
    _medicine("loratadine-child", "R06AX13", "loratadine", "氯雷他定糖浆", "1mg/mL", "mL", 5, 1),
    _medicine("ambroxol-child", "R05CB06", "ambroxol", "氨溴索口服溶液", "6mg/mL", "mL", 2.5, 2),
    _medicine("azithromycin-child", "J01FA10", "azithromycin", "阿奇霉素干混悬剂", "0.1g", "袋", 1, 1),
    _medicine("xinglin-cold", None, "Ganmao Qingre granules", "感冒清热颗粒", "12g", "袋", 1, 2),
    _medicine("xinglin-stomach", None, "Xiangsha Yangwei pills", "香砂养胃丸", "9g", "丸", 1, 2),
    _medicine("xinglin-joints", None, "Duhuo Jisheng decoction", "独活寄生汤", "1剂", "剂", 1, 1),
    _medicine("xinglin-sleep", None, "Guipi pills", "归脾丸", "9g", "丸", 1, 2),
    _medicine("xinglin-stroke", "B01AX", "Naoxintong capsules", "脑心通胶囊", "0.4g", "粒", 3, 3),
)  # fmt: skip
MEDICINES: dict[str, Medicine] = {medicine.key: medicine for medicine in _LIST}

# A ladder is climbed one rung at a time when the target is missed; a rung is the whole regimen for that condition.
LADDERS: dict[str, tuple[tuple[str, ...], ...]] = {
    "hypertension": (
        ("amlodipine-half",), ("amlodipine",), ("amlodipine", "valsartan"), ("amlodipine", "valsartan-double"),
        ("amlodipine-double", "valsartan-double", "indapamide"),
    ),
    "diabetes": (
        ("metformin",), ("metformin-double",), ("metformin-double", "gliclazide"),
        ("metformin-double", "gliclazide", "dapagliflozin"),
    ),
    "lipids": (("atorvastatin",),),
    "coronary": (("aspirin", "atorvastatin", "metoprolol"),),
    "stroke": (("aspirin", "atorvastatin"),),
    "copd": (("tiotropium",),),
    "asthma": (("budesonide",),),
    "depression": (("sertraline",),),
    "alcohol": (("thiamine",),),
    "hepatitis-b": (("entecavir",),),
    "hiv": (("antiretroviral",),),
    "ckd": ((),),
}  # fmt: skip
SYSTOLIC_TARGET, DIASTOLIC_TARGET = 140, 90  # Chinese guideline 2024, clinic readings
SUGAR_TARGET = 7.0  # HbA1c %, Chinese guideline on type 2 diabetes 2020
LONG_SUPPLY_DAYS = 84  # a long-term prescription covers 12 weeks at most (2021 rules on long-term prescriptions)

# Acute conditions: what is given, for how many days; at the traditional-medicine hospital the second list.
ACUTE: dict[str, tuple[tuple[str, ...], tuple[str, ...], int]] = {
    "cold": (("paracetamol", "loratadine"), ("xinglin-cold",), 3),
    "bronchitis": (("amoxicillin", "ambroxol"), ("xinglin-cold", "ambroxol"), 5),
    "gastroenteritis": (("smectite",), ("smectite",), 3),
    "gastritis": (("omeprazole",), ("xinglin-stomach",), 7),
    "back-pain": (("celecoxib",), ("xinglin-joints",), 7),
    "cystitis": (("levofloxacin",), ("levofloxacin",), 3),
    "eczema": (("loratadine",), ("loratadine",), 7),
    "knee": (("celecoxib",), ("xinglin-joints",), 7),
    "insomnia": (("xinglin-sleep",), ("xinglin-sleep",), 7),
    "otitis": (("amoxicillin-child",), ("amoxicillin-child",), 7),
    "pneumonia": (("azithromycin", "ambroxol"), ("azithromycin", "ambroxol"), 6),
}
# What is given instead to those allergic to a substance (its SNOMED CT code).
PENICILLIN, ASPIRIN = "764146007", "387458008"
SUBSTITUTES: dict[tuple[str, str], str] = {
    (PENICILLIN, "amoxicillin"): "azithromycin",
    (PENICILLIN, "amoxicillin-child"): "azithromycin-child",
    (ASPIRIN, "aspirin"): "clopidogrel",
    (ASPIRIN, "celecoxib"): "paracetamol",
}
# Not given in pregnancy (product information): quinolones, coxibs, and the decoctions whose herbs are not known safe.
NOT_IN_PREGNANCY = ("levofloxacin", "celecoxib", "xinglin-joints")
FOR_CHILDREN = {
    name: f"{name}-child" for name in ("paracetamol", "amoxicillin", "azithromycin", "loratadine", "ambroxol")
}
