"""Five institutions and the people who work there. A row of `STAFF` is one Practitioner and one PractitionerRole."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from xinglin.demo.identity import AREA_CODE, BASE, CITY, DISTRICT, STATE


@dataclass(frozen=True, slots=True)
class Institution:
    """`id` is the Organization's id, which is also the custodian of all that the institution holds."""

    id: str
    prefix: str
    name_zh: str
    name_en: str
    level: str
    street: str
    number_system: str
    kind: str


def _institution(prefix: str, id: str, zh: str, en: str, level: str, street: str, kind: str) -> Institution:
    return Institution(id, prefix, zh, en, level, street, f"{BASE}/NamingSystem/{prefix}-patient-number", kind)


INSTITUTIONS: tuple[Institution, ...] = (
    _institution("hx", "hx-hospital", "杏林县人民医院", "Xinglin County People's Hospital", "二级甲等",
                 "董奉街道虎守路1号", "hospital"),
    _institution("tc", "tc-hospital", "杏林县中医院", "Xinglin County Traditional Medicine Hospital", "二级甲等",
                 "董奉街道本草路28号", "hospital"),
    _institution("qn", "qn-centre", "青囊镇中心卫生院", "Qingnang Township Health Centre", "一级甲等",
                 "青囊镇当归街6号", "centre"),
    _institution("jj", "jj-centre", "橘井镇卫生院", "Jujing Township Health Centre", "一级乙等",
                 "橘井镇丹参街9号", "centre"),
    _institution("xh", "xh-pharmacy", "悬壶大药房", "Xuanhu Community Pharmacy", "零售药店",
                 "董奉街道杏坛路15号", "pharmacy"),
)  # fmt: skip
BY_PREFIX = {institution.prefix: institution for institution in INSTITUTIONS}

# key: (SNOMED CT code, short English display, Chinese)
SPECIALTIES: dict[str, tuple[str, str, str]] = {
    "internal": ("419192003", "Internal medicine", "内科"),
    "cardiology": ("394579002", "Cardiology", "心血管内科"),
    "endocrinology": ("394583002", "Endocrinology", "内分泌科"),
    "neurology": ("394591006", "Neurology", "神经内科"),
    "respiratory": ("418112009", "Pulmonary medicine", "呼吸内科"),
    "nephrology": ("394589003", "Nephrology", "肾内科"),
    "paediatrics": ("394537008", "Pediatric specialty", "儿科"),
    "obstetrics": ("394585009", "Obstetrics and gynecology", "妇产科"),
    "infection": ("394807007", "Infectious diseases", "感染科"),
    "psychiatry": ("394587001", "Psychiatry", "精神科"),
    "radiology": ("394914008", "Radiology", "放射科"),
    "general": ("394814009", "General practice", "全科医疗科"),
}
TCM_SPECIALTY = ("tcm", "Traditional Chinese medicine", "中医科")
# key: (code, English, Chinese); the last two are our own codes, FHIR having none
ROLES: dict[str, tuple[str, str, str]] = {
    "clinician": ("doctor", "Doctor", "医师"),
    "nurse": ("nurse", "Nurse", "护士"),
    "pharmacist": ("pharmacist", "Pharmacist", "药师"),
    "clerk": ("registration-clerk", "Registration clerk", "挂号登记员"),
    "manager": ("quality-manager", "Quality manager", "质控管理员"),
}


@dataclass(frozen=True, slots=True)
class Member:
    """One who works at an institution. `until` is the last year of a role that has ended, or None."""

    id: str
    prefix: str
    role: str
    specialty: str | None
    family: str
    given: str
    pinyin: str
    female: bool
    born: int
    licensed: int
    until: int | None

    @property
    def name(self) -> str:
        return self.family + self.given

    @property
    def reference(self) -> str:
        return f"Practitioner/{self.id}"


# institution, role, specialty, surname given, pinyin, sex, born, licensed since, role ended
_STAFF = """
hx clinician internal      沈 志远 Shen_Zhiyuan m 1972 1997
hx clinician internal      唐 晓燕 Tang_Xiaoyan f 1984 2009
hx clinician cardiology    陆 国华 Lu_Guohua m 1968 1993
hx clinician cardiology    解 文静 Xie_Wenjing f 1981 2007
hx clinician endocrinology 方 丽娟 Fang_Lijuan f 1975 2000
hx clinician neurology     秦 海波 Qin_Haibo m 1977 2002
hx clinician respiratory   江 永强 Jiang_Yongqiang m 1979 2004
hx clinician nephrology    范 建平 Fan_Jianping m 1973 1999
hx clinician paediatrics   白 雪梅 Bai_Xuemei f 1982 2007
hx clinician paediatrics   曾 凡 Zeng_Fan m 1990 2016
hx clinician obstetrics    苏 婉清 Su_Wanqing f 1976 2001
hx clinician obstetrics    丁 秀兰 Ding_Xiulan f 1969 1994
hx clinician infection     石 明亮 Shi_Mingliang m 1974 1999
hx clinician psychiatry    姚 静 Yao_Jing f 1980 2006
hx clinician radiology     贾 振宇 Jia_Zhenyu m 1978 2003
hx clinician radiology     谭 敏 Tan_Min f 1986 2012
hx clinician general       任 佳 Ren_Jia f 1997 2025
hx pharmacist -            崔 红霞 Cui_Hongxia f 1978 2003
hx pharmacist -            熊 斌 Xiong_Bin m 1987 2012
hx nurse -                 孟 婷婷 Meng_Tingting f 1993 2016
hx nurse -                 侯 艳玲 Hou_Yanling f 1985 2008
hx clerk -                 廖 欣悦 Liao_Xinyue f 1996 2019
hx manager -               傅 正明 Fu_Zhengming m 1970 1994
tc clinician tcm           顾 本草 Gu_Bencao m 1958 1983
tc clinician tcm           华 济生 Hua_Jisheng m 1974 1999
tc clinician tcm           尉迟 若兰 Yuchi_Ruolan f 1983 2009
tc clinician internal      汪 建华 Wang_Jianhua m 1971 1996
tc clinician cardiology    钟 伟 Zhong_Wei m 1980 2006
tc clinician neurology     邱 慧敏 Qiu_Huimin f 1979 2005
tc clinician paediatrics   乐 思雨 Yue_Siyu f 1988 2014
tc clinician radiology     夏 天明 Xia_Tianming m 1984 2010
tc clinician endocrinology 陆 国强 Lu_Guoqiang m 1966 1991 2023
tc pharmacist -            段 金枝 Duan_Jinzhi f 1972 1998
tc nurse -                 雷 晓玲 Lei_Xiaoling f 1990 2013
tc clerk -                 尹 文博 Yin_Wenbo m 1995 2018
tc manager -               薛 丽萍 Xue_Liping f 1973 1998
qn clinician general       郝 建军 Hao_Jianjun m 1969 1995
qn clinician general       单 春梅 Shan_Chunmei f 1985 2011
qn clinician tcm           盖 长青 Ge_Changqing m 1976 2003
qn pharmacist -            龙 凤英 Long_Fengying f 1980 2006
qn nurse -                 覃 小红 Qin_Xiaohong f 1991 2014
qn clerk -                 万 佳怡 Wan_Jiayi f 1998 2021
jj clinician general       史 学文 Shi_Xuewen m 1974 2000
jj clinician general       毛 雅琴 Mao_Yaqin f 1987 2013
jj clinician tcm           朴 正浩 Piao_Zhenghao m 1982 2008
jj pharmacist -            常 志刚 Chang_Zhigang m 1977 2004
jj nurse -                 仇 丽 Qiu_Li f 1989 2012
jj clerk -                 武 俊杰 Wu_Junjie m 1994 2018
xh pharmacist -            葛 慧芳 Ge_Huifang f 1981 2007
xh pharmacist -            戴 鹏飞 Dai_Pengfei m 1989 2015
xh clerk -                 蓝 心怡 Lan_Xinyi f 1997 2020
"""


def _members() -> tuple[Member, ...]:
    counts: dict[str, int] = {}
    members = []
    for row in _STAFF.strip().splitlines():
        prefix, role, specialty, family, given, latin, sex, born, licensed, *until = row.split()
        counts[prefix] = counts.get(prefix, 0) + 1
        members.append(
            Member(f"{prefix}-s{counts[prefix]:02d}", prefix, role, None if specialty == "-" else specialty, family,
                   given, latin.replace("_", " "), sex == "f", int(born), int(licensed),
                   int(until[0]) if until else None)
        )  # fmt: skip
    return tuple(members)


STAFF: tuple[Member, ...] = _members()


@cache
def clinicians(prefix: str, specialty: str) -> tuple[Member, ...]:
    """Those who see patients for a specialty at an institution; general or internal physicians where it has none."""
    here = [m for m in STAFF if m.prefix == prefix and m.role == "clinician" and m.until is None]
    for wanted in (specialty, "general", "internal", "tcm"):
        if found := tuple(m for m in here if m.specialty == wanted):
            return found
    raise LookupError(f"{prefix} has no physician")


@cache
def pharmacists(prefix: str) -> tuple[Member, ...]:
    return tuple(m for m in STAFF if m.prefix == prefix and m.role == "pharmacist")


@cache
def nurses(prefix: str) -> tuple[Member, ...]:
    return tuple(m for m in STAFF if m.prefix == prefix and m.role == "nurse")


def _place(institution: Institution) -> dict[str, object]:
    return {
        "use": "work", "text": f"{STATE}{CITY}{DISTRICT}{institution.street}", "state": STATE, "city": CITY,
        "district": DISTRICT, "line": [institution.street], "country": "CN",
    }  # fmt: skip


def _phone(number: int) -> dict[str, str]:
    return {"system": "phone", "use": "work", "value": f"{AREA_CODE}-{number:07d}"}


def _organization(institution: Institution, number: int) -> dict[str, object]:
    kind = ("prov", "Healthcare Provider") if institution.kind != "pharmacy" else ("bus", "Non-Healthcare Business")
    return {
        "resourceType": "Organization", "id": institution.id,
        "identifier": [{"system": f"{BASE}/NamingSystem/institution", "value": institution.id}],
        "active": True,
        "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/organization-type", "code": kind[0],
                              "display": kind[1]}], "text": institution.level}],
        "name": institution.name_zh, "alias": [institution.name_en],
        "telecom": [_phone(2_000_000 + number * 1111)], "address": [_place(institution)],
    }  # fmt: skip


# key: (English, Chinese, v3-RoleCode)
LOCATIONS: dict[str, tuple[str, str, str]] = {
    "op": ("Outpatient clinic", "门诊", "OF"),
    "ward": ("Inpatient ward", "住院部", "HU"),
    "ph": ("Pharmacy", "药房", "PHARM"),
}


def _locations(institution: Institution) -> list[dict[str, object]]:
    keys = ("ph",) if institution.kind == "pharmacy" else ("op", "ward", "ph")
    return [
        {
            "resourceType": "Location", "id": f"{institution.prefix}-{key}", "status": "active",
            "name": f"{institution.name_zh}{LOCATIONS[key][1]}",
            "alias": [f"{institution.name_en}, {LOCATIONS[key][0]}"], "mode": "instance",
            "type": [{"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode",
                                  "code": LOCATIONS[key][2]}], "text": LOCATIONS[key][1]}],
            "managingOrganization": {"reference": f"Organization/{institution.id}"},
        }
        for key in keys
    ]  # fmt: skip


def specialty_concept(key: str) -> dict[str, object]:
    if key == "tcm":
        code, english, chinese = TCM_SPECIALTY
        system = f"{BASE}/CodeSystem/specialty"
    else:
        code, english, chinese = SPECIALTIES[key]
        system = "http://snomed.info/sct"
    return {"coding": [{"system": system, "code": code, "display": english}], "text": chinese}


def _services(institution: Institution) -> list[dict[str, object]]:
    offered = sorted({m.specialty for m in STAFF if m.prefix == institution.prefix and m.specialty and not m.until})
    return [
        {
            "resourceType": "HealthcareService", "id": f"{institution.prefix}-{key}", "active": True,
            "providedBy": {"reference": f"Organization/{institution.id}"}, "specialty": [specialty_concept(key)],
            "location": [{"reference": f"Location/{institution.prefix}-op"}],
            "name": f"{institution.name_zh}{specialty_concept(key)['text']}",
        }
        for key in offered
    ]  # fmt: skip


def _practitioner(member: Member, number: int) -> dict[str, object]:
    latin = member.pinyin.split()
    body: dict[str, object] = {
        "resourceType": "Practitioner", "id": member.id,
        "identifier": [{"system": f"{BASE}/NamingSystem/{member.prefix}-staff-number", "value": f"{number:04d}"}],
        "active": member.until is None,
        "name": [
            {"extension": [representation("IDE")], "use": "official", "text": member.name, "family": member.family,
             "given": [member.given]},
            {"extension": [representation("ABC")], "use": "usual", "text": member.pinyin, "family": latin[0],
             "given": [latin[1]]},
        ],
        "gender": "female" if member.female else "male",
        "birthDate": f"{member.born}-{number % 12 + 1:02d}-{number % 28 + 1:02d}",
    }  # fmt: skip
    if member.role in ("clinician", "nurse", "pharmacist"):
        body["qualification"] = [_licence(member, number)]
    return body


def _licence(member: Member, number: int) -> dict[str, object]:
    """Fifteen figures as on a physician's certificate; the area part is the invented county, so it is nobody's."""
    ends = f"{member.until}-12-31" if member.until else "2031-12-31"
    return {
        "identifier": [{"system": f"{BASE}/NamingSystem/licence", "value": f"110290121{number:06d}"}],
        "code": {"text": f"{ROLES[member.role][2]}执业证书"},
        "period": {"start": f"{member.licensed}-07-01", "end": ends},
        "issuer": {"display": f"{DISTRICT}卫生健康局"},
    }


def _role(member: Member) -> dict[str, object]:
    institution = BY_PREFIX[member.prefix]
    code, english, chinese = ROLES[member.role]
    ours = member.role in ("clerk", "manager")
    system = f"{BASE}/CodeSystem/role" if ours else "http://terminology.hl7.org/CodeSystem/practitioner-role"
    period = {"start": f"{member.licensed + (0 if member.role == 'clinician' else 1)}-07-01"}
    if member.until:
        period["end"] = f"{member.until}-12-31"
    body: dict[str, object] = {
        "resourceType": "PractitionerRole", "id": f"{member.id}-r", "active": member.until is None, "period": period,
        "practitioner": {"reference": member.reference, "display": member.name},
        "organization": {"reference": f"Organization/{institution.id}", "display": institution.name_zh},
        "code": [{"coding": [{"system": system, "code": code}], "text": f"{chinese} {english}"}],
    }  # fmt: skip
    if member.specialty:
        body["specialty"] = [specialty_concept(member.specialty)]
        if member.until is None:
            body["healthcareService"] = [{"reference": f"HealthcareService/{member.prefix}-{member.specialty}"}]
    return body


def representation(code: str) -> dict[str, str]:
    """IDE for a name in Han characters, ABC for one in Latin letters."""
    return {"url": "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation", "valueCode": code}


def directory_of(institution: Institution) -> list[dict[str, object]]:
    """What an institution says of itself and its people; references point backwards only."""
    numbered = [(n, m) for n, m in enumerate(STAFF, 1) if m.prefix == institution.prefix]
    return [
        _organization(institution, INSTITUTIONS.index(institution)),
        *_locations(institution),
        *_services(institution),
        *(_practitioner(m, n) for n, m in numbered),
        *(_role(m) for _, m in numbered),
    ]
