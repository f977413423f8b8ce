"""An institution's chart of one person, written as FHIR R4: the only place that knows how a resource is laid out.

Resources share the dictionaries of codes, ranges and references; treat what comes out as read-only and serialise it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import cache, lru_cache
from typing import Final

from xinglin.demo import concepts
from xinglin.demo.concepts import CONDITION_CODES, HL7, LABELS, MEASURE_CODES, MEASURES, UCUM, UNITS, Resource, concept
from xinglin.demo.identity import BASE
from xinglin.demo.institutions import BY_PREFIX, Member, clinicians, pharmacists
from xinglin.demo.laboratory import ANALYTES, PANELS, REFERENCE_RANGES, bounds_of
from xinglin.demo.medicines import Medicine
from xinglin.demo.vaccines import VACCINE_CODES, VACCINES

ZONE: Final = "+08:00"
DAYS_TO_RECOVER = 7
PRESCRIPTION_NUMBER = f"{BASE}/NamingSystem/prescription-number"
NARRATIVE_TYPE = concept(concepts.LOINC, "18842-5", "Discharge summary", "出院小结")
CLASSES = {
    "AMB": {"system": concepts.ACT, "code": "AMB", "display": "ambulatory"},
    "IMP": {"system": concepts.ACT, "code": "IMP", "display": "inpatient encounter"},
}
_FLAGS = {
    code: [concept(f"{HL7}/v3-ObservationInterpretation", code, english, chinese)]
    for code, english, chinese in (("L", "Low", "偏低"), ("H", "High", "偏高"), ("N", "Normal", "正常"))
}
_CLINICAL = {
    code: {"coding": [{"system": f"{HL7}/condition-clinical", "code": code}]} for code in ("active", "resolved")
}
_CONFIRMED = {"coding": [{"system": f"{HL7}/condition-ver-status", "code": "confirmed"}]}
_CATEGORIES = {
    "problem": [concept(f"{HL7}/condition-category", "problem-list-item", "Problem List Item", "问题列表")],
    "diagnosis": [concept(f"{HL7}/condition-category", "encounter-diagnosis", "Encounter Diagnosis", "就诊诊断")],
}
_ATTENDS = [concept(f"{HL7}/v3-ParticipationType", "ATND", "attender", "主诊医师")]
_LAB_SERVICE = [concept(f"{HL7}/v2-0074", "LAB", "Laboratory", "检验")]
_IMAGING_SERVICE = [concept(f"{HL7}/v2-0074", "RAD", "Radiology", "影像")]
_ORAL = concept(concepts.SNOMED, "26643006", "Oral route", "口服")


@lru_cache(maxsize=8192)
def iso(ordinal: int) -> str:
    return date.fromordinal(ordinal).isoformat()


@cache
def person_reference(member: Member) -> Resource:
    return {"reference": member.reference, "display": member.name}


@cache
def _performers(member: Member) -> list[Resource]:
    return [person_reference(member)]


@cache
def _organization(prefix: str) -> Resource:
    institution = BY_PREFIX[prefix]
    return {"reference": f"Organization/{institution.id}", "display": institution.name_zh}


@cache
def _location(prefix: str, key: str) -> list[Resource]:
    return [{"location": {"reference": f"Location/{prefix}-{key}"}}]


class Chart:
    """Resources of one person at one institution, in the order in which they came to be."""

    __slots__ = (
        "_conditions",
        "_counts",
        "last_day",
        "patient_id",
        "person",
        "prefix",
        "resources",
        "sensitivity",
        "subject",
    )

    def __init__(self, prefix: str, patient: Resource, person: int, last_day: int) -> None:
        """`last_day` is the ordinal of today, or of the day the person died: nothing is dated later."""
        self.prefix, self.person, self.last_day = prefix, person, last_day
        self.patient_id: str = patient["id"]
        self.subject = {"reference": f"Patient/{self.patient_id}"}
        self.resources: list[Resource] = [patient]
        self.sensitivity: Resource | None = None
        self._counts: dict[str, int] = {}
        self._conditions: dict[str, Resource] = {}

    def put(self, kind: str, letter: str, body: Resource, meta: Resource | None = None) -> Resource:
        """File a resource under the next number of its kind and return a reference to it."""
        identity = self.next_id(letter)
        self._counts[letter] = self._counts.get(letter, 0) + 1
        resource: Resource = {"resourceType": kind, "id": identity}
        if meta or self.sensitivity:
            resource["meta"] = meta or self.sensitivity
        resource.update(body)
        self.resources.append(resource)
        return {"reference": f"{kind}/{identity}"}

    def next_id(self, letter: str) -> str:
        return f"{self.patient_id}-{letter}{self._counts.get(letter, 0) + 1}"

    def visit(self, day: int, minutes: int, specialty: str, reasons: Sequence[str], *, kind: str = "AMB",
              days: int = 0, service: str | None = None) -> Visit:  # fmt: skip
        """An Encounter on the day with ordinal `day`, starting `minutes` after midnight; `days` in hospital."""
        here = clinicians(self.prefix, specialty)
        doctor = here[self.person % len(here)]
        start = f"{iso(day)}T{minutes // 60:02d}:{minutes % 60:02d}:00{ZONE}"
        last = minutes + 25 if not days else 600
        end = f"{iso(day + days)}T{last // 60:02d}:{last % 60:02d}:00{ZONE}"
        reference = self.put("Encounter", "e", {
            "status": "finished", "class": CLASSES[kind],
            "type": [{"text": service or ("住院" if days else "门诊")}],
            "subject": self.subject,
            "participant": [{"type": _ATTENDS, "individual": person_reference(doctor)}],
            "period": {"start": start, "end": end},
            "reasonCode": [CONDITION_CODES[key] for key in reasons],
            "location": _location(self.prefix, "ward" if days else "op"),
            "serviceProvider": _organization(self.prefix),
        })  # fmt: skip
        return Visit(self, reference, doctor, day, start)

    def condition(
        self, key: str, visit: Visit, onset: int | None = None, ended: int | None = None, note: str | None = None
    ) -> Resource:
        """A Condition, once per chart for what lasts (`onset` given), once per visit for what passes."""
        if onset is not None and key in self._conditions:
            return self._conditions[key]
        lasting = onset is not None
        over = ended if lasting else visit.day + DAYS_TO_RECOVER
        resolved = over is not None and over <= self.last_day
        body: Resource = {
            "clinicalStatus": _CLINICAL["resolved" if resolved else "active"],
            "verificationStatus": _CONFIRMED,
            "category": _CATEGORIES["problem" if lasting else "diagnosis"],
            "code": CONDITION_CODES[key], "subject": self.subject, "encounter": visit.reference,
            "onsetDateTime": iso(visit.day if onset is None else onset),
            "recordedDate": visit.when, "recorder": person_reference(visit.doctor),
        }  # fmt: skip
        if resolved and over is not None:
            body["abatementDateTime"] = iso(over)
        if note:
            body["note"] = [{"text": note}]
        reference = self.put("Condition", "c", body, LABELS[key])
        if lasting:
            self._conditions[key] = reference
        return reference

    def allergy(self, row: tuple[str, ...], visit: Visit) -> None:
        system, code, english, chinese, category, reaction, reaction_en, reaction_zh, criticality = row
        self.put("AllergyIntolerance", "a", {
            "clinicalStatus": {"coding": [{"system": f"{HL7}/allergyintolerance-clinical", "code": "active"}]},
            "verificationStatus": {"coding": [{"system": f"{HL7}/allergyintolerance-verification",
                                               "code": "confirmed"}]},
            "type": "allergy", "category": [category], "criticality": criticality,
            "code": concept(system, code, english, chinese), "patient": self.subject, "encounter": visit.reference,
            "recordedDate": visit.when, "recorder": person_reference(visit.doctor),
            "reaction": [{"manifestation": [concept(concepts.SNOMED, reaction, reaction_en, reaction_zh)]}],
        })  # fmt: skip

    def immunization(self, vaccine: str, day: int, number: int, of: int) -> None:
        body: Resource = {
            "status": "completed", "vaccineCode": VACCINE_CODES[vaccine], "patient": self.subject,
            "occurrenceDateTime": iso(day), "primarySource": True,
            "lotNumber": f"{vaccine.upper()}{day % 9973:04d}",
            "performer": [{"actor": _organization(self.prefix)}],
            "protocolApplied": [{
                "targetDisease": [{"coding": [{"system": concepts.SNOMED, "code": VACCINES[vaccine][3],
                                               "display": VACCINES[vaccine][4]}]}],
                "doseNumberPositiveInt": number, "seriesDosesPositiveInt": of,
            }],
        }  # fmt: skip
        self.put("Immunization", "i", body)

    def dispensed(self, medicine: Medicine, prescription: Resource, day: int, days: int) -> None:
        """A MedicationDispense; a prescription of another chart is named by its number, not by a reference."""
        pharmacist = pharmacists(self.prefix)[day % len(pharmacists(self.prefix))]
        body: Resource = {
            "status": "completed", "medicationCodeableConcept": medicine.code, "subject": self.subject,
            "performer": [{"actor": person_reference(pharmacist)}],
            "location": {"reference": f"Location/{self.prefix}-ph"},
            "authorizingPrescription": [prescription],
            "quantity": quantity_dispensed(medicine, days),
            "daysSupply": {"value": days, "unit": "天", "system": UCUM, "code": "d"},
            "whenHandedOver": f"{iso(day)}T16:{day % 60:02d}:00{ZONE}",
            "dosageInstruction": _dosage(medicine),
        }  # fmt: skip
        self.put("MedicationDispense", "d", body)


def prescription_number(identity: str) -> Resource:
    """The identifier printed on a prescription, by which another institution's pharmacy names it."""
    return {"system": PRESCRIPTION_NUMBER, "value": f"RX-{identity}"}


def quantity_dispensed(medicine: Medicine, days: int) -> Resource:
    return {"value": medicine.per_dose * medicine.doses * days, "unit": medicine.unit}


@cache
def _dosage(medicine: Medicine) -> list[Resource]:
    return [{
        "text": medicine.instruction,
        "timing": {"repeat": {"frequency": medicine.doses, "period": 1, "periodUnit": "d"}},
        "route": _ORAL,
        "doseAndRate": [{"doseQuantity": {"value": medicine.per_dose, "unit": medicine.unit}}],
    }]  # fmt: skip


class Visit:
    """An encounter being written up: what was measured, found and prescribed hangs on it."""

    __slots__ = ("chart", "day", "doctor", "reference", "when")

    def __init__(self, chart: Chart, reference: Resource, doctor: Member, day: int, when: str) -> None:
        self.chart, self.reference, self.doctor, self.day, self.when = chart, reference, doctor, day, when

    def _observation(self, category: list[Resource], code: Resource, **value: object) -> Resource:
        chart = self.chart
        return chart.put("Observation", "o", {
            "status": "final", "category": category, "code": code, "subject": chart.subject,
            "encounter": self.reference, "effectiveDateTime": self.when, "performer": _performers(self.doctor), **value,
        })  # fmt: skip

    def measure(self, key: str, value: float, category: list[Resource] = concepts.VITAL_SIGNS) -> None:
        self._observation(category, MEASURE_CODES[key], valueQuantity=_quantity(key, value))

    def pressure(self, systolic: int, diastolic: int) -> None:
        """One Observation for both, as the FHIR vital signs profile asks."""
        self._observation(concepts.VITAL_SIGNS, concepts.BLOOD_PRESSURE, component=[
            {"code": MEASURE_CODES["systolic"], "valueQuantity": _quantity("systolic", systolic)},
            {"code": MEASURE_CODES["diastolic"], "valueQuantity": _quantity("diastolic", diastolic)},
        ])  # fmt: skip

    def answer(self, question: Resource, answer: Resource) -> None:
        self._observation(concepts.SOCIAL, question, valueCodeableConcept=answer)

    def dated(self, question: Resource, day: int) -> None:
        self._observation(concepts.EXAM, question, valueDateTime=iso(day))

    def report(self, panel: str, values: dict[str, float], who: str) -> None:
        """A laboratory DiagnosticReport with one Observation for each value; `who`: male, female or child."""
        code, order = PANELS[panel]
        results = [self._result(key, values[key], who) for key in order if key in values]
        self.chart.put("DiagnosticReport", "r", {
            "status": "final", "category": _LAB_SERVICE, "code": code, "subject": self.chart.subject,
            "encounter": self.reference, "effectiveDateTime": self.when, "issued": self.when,
            "performer": [_organization(self.chart.prefix)], "result": results,
        })  # fmt: skip

    def _result(self, key: str, value: float, who: str) -> Resource:
        analyte = ANALYTES[key]
        low, high = bounds_of(key, who)
        flag = "L" if low is not None and value < low else "H" if high is not None and value > high else "N"
        quantity = {"value": value, "unit": analyte.unit, "system": UCUM, "code": analyte.unit}
        return self._observation(concepts.LABORATORY, analyte.code, issued=self.when, valueQuantity=quantity,
                                 interpretation=_FLAGS[flag], referenceRange=REFERENCE_RANGES[key, who])  # fmt: skip

    def imaging(self, code: Resource, conclusion: str) -> None:
        """A radiologist's report: words, no pictures."""
        readers = clinicians(self.chart.prefix, "radiology")
        self.chart.put("DiagnosticReport", "r", {
            "status": "final", "category": _IMAGING_SERVICE, "code": code, "subject": self.chart.subject,
            "encounter": self.reference, "effectiveDateTime": self.when, "issued": self.when,
            "performer": _performers(readers[self.chart.person % len(readers)]), "conclusion": conclusion,
        })  # fmt: skip

    def prescribe(self, medicine: Medicine, days: int, reason: Resource, running: bool) -> Resource:
        """A MedicationRequest for `days`; `running` while the supply lasts beyond today."""
        number = prescription_number(self.chart.next_id("m"))
        return self.chart.put("MedicationRequest", "m", {
            "identifier": [number],
            "status": "active" if running else "completed", "intent": "order",
            "medicationCodeableConcept": medicine.code, "subject": self.chart.subject, "encounter": self.reference,
            "authoredOn": self.when, "requester": person_reference(self.doctor), "reasonReference": [reason],
            "dosageInstruction": _dosage(medicine),
            "dispenseRequest": {
                "validityPeriod": {"start": iso(self.day), "end": iso(self.day + 2)},
                "quantity": quantity_dispensed(medicine, days),
                "expectedSupplyDuration": {"value": days, "unit": "天", "system": UCUM, "code": "d"},
            },
        })  # fmt: skip

    def discharge_summary(self, html: str, day: int) -> None:
        """A DocumentReference of the day of discharge and its Binary; `html` is in base64, as FHIR asks."""
        chart = self.chart
        binary = chart.put("Binary", "b", {
            "contentType": "text/html; charset=utf-8", "securityContext": chart.subject, "data": html,
        })  # fmt: skip
        chart.put("DocumentReference", "x", {
            "status": "current", "type": NARRATIVE_TYPE, "subject": chart.subject,
            "date": f"{iso(day)}T10:00:00{ZONE}",
            "author": _performers(self.doctor), "custodian": _organization(chart.prefix),
            "content": [{"attachment": {"contentType": "text/html; charset=utf-8", "language": "zh-CN",
                                        "url": binary["reference"], "title": "出院小结"}}],
            "context": {"encounter": [self.reference]},
        })  # fmt: skip


def _quantity(key: str, value: float) -> Resource:
    unit = MEASURES[key][3]
    return {"value": value, "unit": UNITS.get(unit, unit), "system": UCUM, "code": unit}
