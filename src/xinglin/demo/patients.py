"""The Patient that an institution keeps, with a child's mother as RelatedPerson, and consents given at its desk."""

from __future__ import annotations

from xinglin.demo import concepts
from xinglin.demo.chart import Chart, iso
from xinglin.demo.concepts import HL7, Resource, concept
from xinglin.demo.dice import Dice
from xinglin.demo.identity import BASE, CITY, DISTRICT, RESIDENT_ID_SYSTEM, STATE, TOWNS
from xinglin.demo.institutions import BY_PREFIX, representation
from xinglin.demo.names import Name, pinyin
from xinglin.demo.records import Record
from xinglin.demo.roster import Person

CATEGORY_SYSTEM = f"{BASE}/CodeSystem/record-category"
CONSENT_OF_SHARED, CONSENT_OF_OTHERS = 0.25, 0.02  # shares of people known to two institutions, and to one
ADULT_DAYS = 18 * 366
# What people open, in turn: everything, or only these categories of the record.
OPENED: tuple[tuple[str, ...], ...] = ((), ("laboratory", "medications"), ("allergies", "medications", "problems"))
_MEDICAL_RECORD = concept(f"{HL7}/v2-0203", "MR", "Medical record number", "病案号")
_NATIONAL = concept(f"{HL7}/v2-0203", "NI", "National unique individual identifier", "居民身份证号")
_MOTHER = [concept(f"{HL7}/v3-RoleCode", "MTH", "mother", "母亲")]
_PRIVACY = concept(f"{HL7}/consentscope", "patient-privacy", "Privacy Consent", "隐私授权")
_CONSENT = [concept(concepts.LOINC, "59284-0", "Patient Consent", "患者知情同意")]
_TREATMENT = [{"system": f"{HL7}/v3-ActReason", "code": "TREAT", "display": "treatment"}]
_SIGNED_AT = "T10:30:00+08:00"


def human_names(name: Name, latin: bool) -> list[Resource]:
    """The name in Han characters and, where `latin`, in pinyin; a name written only in Latin letters stays alone."""
    names = []
    if not name.family.isascii():
        names.append({"extension": [representation("IDE")], "use": "official", "text": name.text,
                      "family": name.family, "given": [name.given]})  # fmt: skip
    if latin or not names:
        sounds = pinyin(name)
        names.append({"extension": [representation("ABC")], "use": "usual", "text": sounds.text,
                      "family": sounds.family, "given": [sounds.given]})  # fmt: skip
    return names


def _address(person: Person) -> Resource:
    town, _, _ = TOWNS[person.town]
    line = f"{person.village}{person.house}号"
    return {
        "use": "home", "text": f"{STATE}{CITY}{DISTRICT}{town}{line}", "state": STATE, "city": CITY,
        "district": DISTRICT, "line": [f"{town}{line}"], "country": "CN",
    }  # fmt: skip


def patient(person: Person, record: Record) -> Resource:
    """The Patient as the institution wrote it down; a pharmacy keeps a name, a birth date and a phone."""
    institution = BY_PREFIX[record.institution]
    numbers = [{"use": "usual", "type": _MEDICAL_RECORD, "system": institution.number_system, "value": record.number}]
    if record.resident_id:
        number = {"use": "official", "type": _NATIONAL, "system": RESIDENT_ID_SYSTEM, "value": record.resident_id}
        numbers.append(number)
    body: Resource = {
        "resourceType": "Patient", "id": record.patient_id, "identifier": numbers,
        "active": True, "name": human_names(record.name, latin=record.variation != "newborn"),
        "telecom": [{"system": "phone", "value": record.phone, "use": "mobile"}],
        "gender": "female" if person.female else "male", "birthDate": record.birth.isoformat(),
    }  # fmt: skip
    if institution.kind != "pharmacy":
        if person.death:
            body["deceasedDateTime"] = person.death.isoformat()
        body["address"] = [_address(person)]
        if person.twin:
            body["multipleBirthInteger"] = person.twin
    body["managingOrganization"] = {"reference": f"Organization/{institution.id}"}
    return body


def mother_of(chart: Chart, mother: Person) -> None:
    chart.put("RelatedPerson", "k", {
        "active": True, "patient": chart.subject, "relationship": _MOTHER, "name": human_names(mother.name, latin=True),
        "telecom": [{"system": "phone", "value": mother.phone, "use": "mobile"}], "gender": "female",
        "birthDate": mother.birth.isoformat(), "address": [_address(mother)],
    })  # fmt: skip


def consents(charts: list[Chart], person: Person, dice: Dice, today: int) -> None:
    """Some people let another institution see what the first one holds, for a year, all of it or some categories."""
    share = CONSENT_OF_SHARED if len(charts) > 1 else CONSENT_OF_OTHERS
    if person.death or today - person.birth.toordinal() < ADULT_DAYS or not dice.chance(share):
        return
    holder = charts[0]
    other = charts[1].prefix if len(charts) > 1 else ("tc" if holder.prefix == "hx" else "hx")
    holder.put("Consent", "t", consent(holder, other, today - dice.between(20, 300), dice.pick(OPENED)))


def consent(holder: Chart, grantee: str, signed: int, opened: tuple[str, ...]) -> Resource:
    organization = {"reference": f"Organization/{BY_PREFIX[holder.prefix].id}"}
    provision: Resource = {
        "type": "permit", "period": {"start": iso(signed), "end": iso(signed + 365)},
        "actor": [
            {"role": _role("IRCP", "information recipient", "接收方"),
             "reference": {"reference": f"Organization/{BY_PREFIX[grantee].id}"}},
            {"role": _role("CST", "custodian", "保管方"), "reference": organization},
        ],
        "purpose": _TREATMENT,
    }  # fmt: skip
    if opened:
        provision["class"] = [{"system": CATEGORY_SYSTEM, "code": code} for code in opened]
    return {
        "status": "active", "scope": _PRIVACY, "category": _CONSENT, "patient": holder.subject,
        "dateTime": f"{iso(signed)}{_SIGNED_AT}", "performer": [holder.subject], "organization": [organization],
        "policyRule": {"coding": [{"system": concepts.ACT, "code": "OPTIN", "display": "opt-in"}]},
        "provision": provision,
    }  # fmt: skip


def _role(code: str, english: str, chinese: str) -> Resource:
    return concept(f"{HL7}/v3-ParticipationType", code, english, chinese)
