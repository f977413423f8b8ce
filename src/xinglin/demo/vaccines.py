"""China's national immunization schedule, dated.

Sources: National immunization programme, schedule and notes (2021 edition, National Health Commission); change of the
pertussis vaccine from 2025-01-01 (children born from then on: 2, 4, 6, 18 months and 6 years, and no DT at 6 years);
HPV for girls of 13 from 2025-11-10.
Vaccines carry the county's own code and, where CVX has the same product, that too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from xinglin.demo.concepts import CVX, Resource
from xinglin.demo.identity import BASE

# key: (CVX code or None, English, Chinese, disease SNOMED, English)
VACCINES: dict[str, tuple[str | None, str, str, str, str]] = {
    "HepB": ("08", "Hepatitis B vaccine", "乙肝疫苗", "66071002", "Type B viral hepatitis"),
    "BCG": ("19", "BCG vaccine", "卡介苗", "56717001", "Tuberculosis"),
    "IPV": ("10", "Inactivated poliovirus vaccine", "脊灰灭活疫苗", "398102009", "Acute poliomyelitis"),
    "bOPV": ("178", "Bivalent oral poliovirus vaccine", "脊灰减毒活疫苗", "398102009", "Acute poliomyelitis"),
    "DTaP": ("20", "Diphtheria, tetanus, acellular pertussis vaccine", "百白破疫苗", "27836007", "Pertussis"),
    "DT": ("28", "Diphtheria and tetanus vaccine", "白破疫苗", "397430003", "Diphtheria"),
    "MMR": ("03", "Measles, mumps, rubella vaccine", "麻腮风疫苗", "14189004", "Measles"),
    "JE-L": (None, "Live attenuated Japanese encephalitis vaccine", "乙脑减毒活疫苗", "52947006",
             "Japanese encephalitis"),
    "MPSV-A": (None, "Group A meningococcal polysaccharide vaccine", "A群流脑多糖疫苗", "23511006",
               "Meningococcal infectious disease"),
    "MPSV-AC": (None, "Group A and C meningococcal polysaccharide vaccine", "A群C群流脑多糖疫苗", "23511006",
                "Meningococcal infectious disease"),
    "HepA-L": (None, "Live attenuated hepatitis A vaccine", "甲肝减毒活疫苗", "40468003", "Viral hepatitis, type A"),
    "HPV2": ("118", "Bivalent human papillomavirus vaccine", "双价HPV疫苗", "240532009",
             "Human papillomavirus infection"),
    "Flu": ("141", "Seasonal influenza vaccine", "流感疫苗", "6142004", "Influenza"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Dose:
    """A dose due at an age in whole months, for children born from `born_from` until before `born_before`."""

    vaccine: str
    number: int
    of: int
    months: int
    born_from: date = date.min
    born_before: date = date.max
    girls: bool = False


CHANGE = date(2025, 1, 1)
HPV_BORN_FROM = date(2012, 11, 10)  # girls who turn 13 once the vaccine is in the programme, from 2025-11-10
INFLUENZA_FROM_AGE, INFLUENZA_SHARE, INFLUENZA_MONTH = 60, 0.45, 10


def _doses(
    vaccine: str, *months: int, born_from: date = date.min, born_before: date = date.max, girls: bool = False
) -> list[Dose]:
    return [Dose(vaccine, n, len(months), month, born_from, born_before, girls) for n, month in enumerate(months, 1)]


SCHEDULE: tuple[Dose, ...] = tuple(
    sorted(
        [
            *_doses("HepB", 0, 1, 6), *_doses("BCG", 0), *_doses("IPV", 2, 3), *_doses("bOPV", 4, 48),
            *_doses("DTaP", 3, 4, 5, 18, born_before=CHANGE), *_doses("DT", 72, born_before=CHANGE),
            *_doses("DTaP", 2, 4, 6, 18, 72, born_from=CHANGE),
            *_doses("MMR", 8, 18), *_doses("JE-L", 8, 24), *_doses("MPSV-A", 6, 9), *_doses("MPSV-AC", 36, 72),
            *_doses("HepA-L", 18), *_doses("HPV2", 156, 162, born_from=HPV_BORN_FROM, girls=True),
        ],
        key=lambda dose: dose.months,
    )
)  # fmt: skip


def due(birth: date, months: int) -> date:
    """The day a child has completed so many months."""
    year, month = divmod(birth.month - 1 + months, 12)
    return date(birth.year + year, month + 1, min(birth.day, 28))


def _vaccine(key: str) -> Resource:
    cvx, english, chinese, _, _ = VACCINES[key]
    coding = [{"system": f"{BASE}/CodeSystem/vaccine", "code": key, "display": english}]
    if cvx:
        coding.append({"system": CVX, "code": cvx})
    return {"coding": coding, "text": chinese}


VACCINE_CODES = {key: _vaccine(key) for key in VACCINES}
