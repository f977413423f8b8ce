"""Coded words of the county: what is measured, what is found, and the labels of what is sensitive.

Codes are LOINC, SNOMED CT (code and short display), ICD-10 (WHO) and our own code systems for what these lack.
Displays are the code system's English; `text` is what is said in Chinese.
"""

from __future__ import annotations

from typing import Any

from xinglin.demo.identity import BASE

Resource = dict[str, Any]

LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
ICD10 = "http://hl7.org/fhir/sid/icd-10"
ATC = "http://www.whocc.no/atc"
CVX = "http://hl7.org/fhir/sid/cvx"
UCUM = "http://unitsofmeasure.org"
ACT = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
HL7 = "http://terminology.hl7.org/CodeSystem"


def concept(system: str, code: str, english: str, chinese: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": english}], "text": chinese}


def _category(code: str, english: str, chinese: str, system: str = f"{HL7}/observation-category") -> list[Resource]:
    return [concept(system, code, english, chinese)]


VITAL_SIGNS = _category("vital-signs", "Vital Signs", "生命体征")
LABORATORY = _category("laboratory", "Laboratory", "检验")
SOCIAL = _category("social-history", "Social History", "生活史")
SURVEY = _category("survey", "Survey", "量表")
EXAM = _category("exam", "Exam", "体格检查")
IMAGING = _category("imaging", "Imaging", "影像")

# key: (LOINC, English, Chinese, UCUM unit, decimals)
MEASURES: dict[str, tuple[str, str, str, str, int]] = {
    "systolic": ("8480-6", "Systolic blood pressure", "收缩压", "mm[Hg]", 0),
    "diastolic": ("8462-4", "Diastolic blood pressure", "舒张压", "mm[Hg]", 0),
    "pulse": ("8867-4", "Heart rate", "心率", "/min", 0),
    "breaths": ("9279-1", "Respiratory rate", "呼吸频率", "/min", 0),
    "temperature": ("8310-5", "Body temperature", "体温", "Cel", 1),
    "saturation": ("2708-6", "Oxygen saturation in Arterial blood", "血氧饱和度", "%", 0),
    "height": ("8302-2", "Body height", "身高", "cm", 1),
    "weight": ("29463-7", "Body weight", "体重", "kg", 1),
    "bmi": ("39156-5", "Body mass index (BMI) [Ratio]", "体质指数", "kg/m2", 1),
    "head": ("9843-4", "Head Occipital-frontal circumference", "头围", "cm", 1),
    "fundus": ("11881-0", "Uterus Fundal height Tape measure", "宫高", "cm", 0),
    "fetal-heart": ("55283-6", "Fetal Heart rate", "胎心率", "/min", 0),
    "gestation": ("18185-9", "Gestational age", "孕周", "wk", 0),
    "fev1-share": ("19926-5", "FEV1/FVC", "一秒率", "%", 0),
    "phq9": (
        "44261-6",
        "Patient Health Questionnaire 9 item (PHQ-9) total score [Reported]",
        "PHQ-9总分",
        "{score}",
        0,
    ),
}
UNITS = {"mm[Hg]": "mmHg", "/min": "次/分", "Cel": "℃", "kg/m2": "kg/m²", "wk": "周", "{score}": "分"}
BLOOD_PRESSURE = concept(LOINC, "85354-9", "Blood pressure panel with all children optional", "血压")
SMOKING = concept(LOINC, "72166-2", "Tobacco smoking status", "吸烟状况")
SMOKES = concept(SNOMED, "449868002", "Smokes tobacco daily", "每日吸烟")
NEVER_SMOKED = concept(SNOMED, "266919005", "Never smoked tobacco", "从不吸烟")
DUE_DATE = concept(LOINC, "11778-8", "Delivery date Estimated", "预产期")
LAST_PERIOD = concept(LOINC, "8665-2", "Last menstrual period start date", "末次月经")

# key: (ICD-10, SNOMED CT, English, Chinese, sensitivity label of v3-ActCode or None)
CONDITIONS: dict[str, tuple[str, str, str, str, str | None]] = {
    "hypertension": ("I10", "59621000", "Essential hypertension", "原发性高血压", None),
    "diabetes": ("E11.9", "44054006", "Type 2 diabetes mellitus", "2型糖尿病", None),
    "copd": ("J44.9", "13645005", "Chronic obstructive pulmonary disease", "慢性阻塞性肺疾病", None),
    "ckd": ("N18.9", "709044004", "Chronic kidney disease", "慢性肾脏病", None),
    "stroke": ("I69.3", "230690007", "Cerebrovascular accident", "脑梗死后遗症", None),
    "coronary": ("I25.1", "53741008", "Coronary arteriosclerosis", "冠状动脉粥样硬化性心脏病", None),
    "lipids": ("E78.5", "55822004", "Hyperlipidemia", "高脂血症", None),
    "depression": ("F32.9", "35489007", "Depressive disorder", "抑郁障碍", "PSY"),
    "alcohol": ("F10.2", "7200002", "Alcoholism", "酒精依赖", "SUD"),
    "hepatitis-b": ("B18.1", "61977001", "Chronic type B viral hepatitis", "慢性乙型病毒性肝炎", None),
    "hiv": ("B24", "86406008", "Human immunodeficiency virus infection", "人类免疫缺陷病毒感染", "HIV"),
    "asthma": ("J45.9", "195967001", "Asthma", "支气管哮喘", None),
    "pregnancy": ("Z34.9", "77386006", "Pregnancy", "妊娠", None),
    "delivery": ("O80.9", "48782003", "Delivery normal", "正常分娩", None),
    "cold": ("J06.9", "54150009", "Upper respiratory infection", "急性上呼吸道感染", None),
    "bronchitis": ("J20.9", "10509002", "Acute bronchitis", "急性支气管炎", None),
    "gastroenteritis": ("A09", "25374005", "Gastroenteritis", "急性胃肠炎", None),
    "gastritis": ("K29.7", "4556007", "Gastritis", "胃炎", None),
    "back-pain": ("M54.5", "279039007", "Low back pain", "腰痛", None),
    "cystitis": ("N30.9", "38822007", "Cystitis", "膀胱炎", None),
    "eczema": ("L30.9", "43116000", "Eczema", "湿疹", None),
    "knee": ("M17.9", "239873007", "Osteoarthritis of knee", "膝骨关节炎", None),
    "insomnia": ("G47.0", "193462001", "Insomnia", "失眠", None),
    "otitis": ("H66.9", "65363002", "Otitis media", "中耳炎", None),
    "pneumonia": ("J18.9", "233604007", "Pneumonia", "肺炎", None),
    "check-up": ("Z00.0", "410620009", "Well adult/child visit", "健康检查", None),
}


def condition_concept(key: str) -> Resource:
    icd, snomed, english, chinese, _ = CONDITIONS[key]
    return {
        "coding": [
            {"system": ICD10, "code": icd, "display": english},
            {"system": SNOMED, "code": snomed, "display": english},
        ],
        "text": chinese,
    }


CONDITION_CODES = {key: condition_concept(key) for key in CONDITIONS}
MEASURE_CODES = {key: concept(LOINC, *row[:3]) for key, row in MEASURES.items()}


def label(code: str | None) -> Resource | None:
    """`meta` with a sensitivity label, which the gate reads; None for what is not sensitive."""
    display = {
        "PSY": "psychiatry disorder information sensitivity",
        "SUD": "substance use disorder information sensitivity",
        "HIV": "HIV/AIDS information sensitivity",
    }
    return {"security": [{"system": ACT, "code": code, "display": display[code]}]} if code else None


LABELS = {key: label(row[4]) for key, row in CONDITIONS.items()}

# Allergy substances: (system, code, English, Chinese, category, reaction SNOMED, English, Chinese, criticality)
ALLERGIES: tuple[tuple[str, ...], ...] = (
    (SNOMED, "764146007", "Penicillin", "青霉素", "medication", "126485001", "Urticaria", "荨麻疹", "high"),
    (SNOMED, "764146007", "Penicillin", "青霉素", "medication", "39579001", "Anaphylaxis", "过敏性休克", "high"),
    (SNOMED, "256259004", "Pollen", "花粉", "environment", "70076002", "Rhinitis", "鼻炎", "low"),
    (SNOMED, "387458008", "Aspirin", "阿司匹林", "medication", "126485001", "Urticaria", "荨麻疹", "low"),
    (SNOMED, "227037002", "Fish", "鱼类", "food", "126485001", "Urticaria", "荨麻疹", "low"),
    (SNOMED, "227037002", "Fish", "海鱼", "food", "271807003", "Eruption of skin", "皮疹", "low"),
)

# Syndromes a traditional-medicine physician adds: our own code, English, Chinese.
SYNDROMES: dict[str, tuple[str, str, str]] = {
    "cold": ("wind-cold", "Wind-cold fettering the exterior", "风寒束表证"),
    "bronchitis": ("phlegm-heat", "Phlegm-heat congesting the lung", "痰热壅肺证"),
    "gastritis": ("spleen-cold", "Deficiency cold of the spleen and stomach", "脾胃虚寒证"),
    "back-pain": ("kidney-yang", "Kidney yang deficiency", "肾阳虚证"),
    "knee": ("wind-damp", "Wind-cold-damp impediment", "风寒湿痹证"),
    "insomnia": ("heart-spleen", "Deficiency of both heart and spleen", "心脾两虚证"),
}
SYNDROME_CODES = {key: concept(f"{BASE}/CodeSystem/syndrome", *row) for key, row in SYNDROMES.items()}
