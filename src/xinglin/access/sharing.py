"""What is held elsewhere, and who opens it: the verbs behind the consent pages and the emergency button.

Everything that lasts is a FHIR resource: a Consent (permit, withdraw), a Task (a clinician asks for consent), a
Communication (the person is told of an emergency access). Grants are their projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

from xinglin.access import audit
from xinglin.access.categories import CATEGORY_MASK, Category, categories, labels
from xinglin.access.consent import ANY_CUSTODIAN, LABELS, Grant, linked_people, provision, store_grants
from xinglin.access.policy import own_keys
from xinglin.access.principal import NODE, Purpose, Role
from xinglin.access.records import Records
from xinglin.core.rest.gate import Write
from xinglin.core.schema.decode import parse
from xinglin.core.store.keys import TYPE_NUMBERS, hash64, key_of
from xinglin.core.store.rows import Stored
from xinglin.kernel import clock
from xinglin.kernel.errors import Forbidden, Invalid, NotFound

EMERGENCY_HOURS: Final = 1
CONSENT_REQUEST: Final = "https://xinglin.example/fhir/CodeSystem/task|consent-request"
EMERGENCY_NOTICE: Final = "https://xinglin.example/fhir/CodeSystem/notice|emergency-access"
EMERGENCY_REASONS: Final[dict[str, tuple[str, str]]] = {
    "unconscious": ("患者昏迷或无法表达", "The patient is unconscious or cannot speak"),
    "life-threat": ("生命垂危，来不及取得同意", "Life is at risk and there is no time to ask"),
    "poisoning": ("疑似中毒或药物反应", "Suspected poisoning or drug reaction"),
    "other": ("其他紧急情形（须写明）", "Another emergency (say which)"),
}


@dataclass(frozen=True, slots=True)
class Linked:
    """One of a person's Patient resources: where it is held, and whether the asker may see it."""

    patient: str
    custodian: str
    custodian_name: str
    visible: bool


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An institution that holds records of the person, and what of them is open to the asker."""

    institution: str
    name: str
    opened: tuple[Category, ...]

    @property
    def permitted(self) -> bool:
        return bool(self.opened)


@dataclass(frozen=True, slots=True)
class Sharing:
    """A Consent as the consent page shows it: `grantee` may see what `custodian` holds of `categories`."""

    id: str
    custodian: str
    grantee: str
    categories: tuple[Category, ...]
    labels: tuple[Category, ...]
    start: str | None
    end: str | None
    active: bool


async def linked(records: Records, patient_id: str) -> list[Linked]:
    """All Patient resources of the same person, this one first. NotFound where the asker may see none of them."""
    async with records.house.database.connection() as connection:
        keys = await linked_people(connection, key_of("Patient", patient_id))
        rows = await connection.fetch(
            "SELECT r.key, r.id, o.id AS custodian, o.body FROM resource r"
            " LEFT JOIN resource o ON o.key = r.custodian WHERE r.key = ANY($1::bigint[]) AND NOT r.deleted",
            keys,
        )
    seen = {stored.id for stored in await records.visible_of("Patient", [row["id"] for row in rows])}
    found = [Linked(row["id"], row["custodian"] or "", _name(row["body"]), row["id"] in seen) for row in rows]
    if not any(entry.visible for entry in found):
        raise NotFound(f"There is no Patient/{patient_id}.", remedy="Check the id.")
    return sorted(found, key=lambda entry: (entry.patient != patient_id, entry.custodian))


def _name(body: bytes | None) -> str:
    return str(parse(body).get("name", "")) if body else ""


async def elsewhere(records: Records, patient_id: str, known: Sequence[Linked] = ()) -> list[Elsewhere]:
    """Institutions other than the asker's that hold records of the person. Says that they do, never what.

    `known`: what `linked` has answered, where the asker has it already.
    """
    others = {
        entry.custodian: entry.custodian_name
        for entry in known or await linked(records, patient_id)
        if entry.custodian and entry.custodian != records.principal.institution
    }
    opened = {custodian: await _opened(records, patient_id, custodian) for custodian in others}
    return [Elsewhere(custodian, name, opened[custodian]) for custodian, name in sorted(others.items())]


async def _opened(records: Records, patient_id: str, custodian: str) -> tuple[Category, ...]:
    principal, now = records.principal, clock.micros(clock.now())
    grantees = [
        key_of("Organization", principal.institution or ""),
        key_of("Practitioner", principal.practitioner or ""),
    ]
    async with records.house.database.connection() as connection:
        bits = await connection.fetchval(
            "SELECT bit_or(category) FROM access_grant WHERE person = ANY($1::bigint[]) AND grantee = ANY($2::bigint[])"
            " AND custodian IN ($3, 0) AND starts <= $4 AND ends > $4 AND $5 = ANY(purposes)",
            await linked_people(connection, key_of("Patient", patient_id)),
            grantees,
            key_of("Organization", custodian),
            now,
            principal.purpose.value,
        )
    return tuple(category for category in (*categories(), *labels()) if category.bit & (bits or 0))


# consent --------------------------------------------------------------------------------------------------------


async def permit(
    records: Records,
    *,
    custodian: str,
    grantee: str,
    category_codes: Sequence[str],
    label_codes: Sequence[str] = (),
    until: date | None = None,
) -> Stored:
    """The person opens what one institution holds to another. Takes effect with its commit."""
    patient = await _own_patient_at(records, custodian)
    _check_codes(category_codes, categories())
    _check_codes(label_codes, labels())
    if custodian == grantee:
        raise Invalid("An institution always sees what it holds itself.", code="business-rule", expression="grantee")
    today = clock.now()
    if until is not None and until < today.date():
        raise Invalid("The last day lies in the past.", code="value", expression="until", remedy="Choose a later day.")
    body = provision(
        custodian=custodian,
        grantee=grantee,
        category_codes=category_codes,
        label_codes=label_codes,
        start=clock.instant(clock.micros(today)),
        end=until.isoformat() if until else None,
    )
    return await _written(records, _consent(patient, body, clock.instant(clock.micros(today))))


def _consent(patient: str, body: dict[str, Any], at: str) -> dict[str, Any]:
    def coding(system: str, code: str) -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code}]}

    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": coding("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [coding("http://loinc.org", "59284-0")],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": at,
        "policyRule": coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "OPTIN"),
        "provision": body,
    }


def _check_codes(codes: Sequence[str], known: Sequence[Category]) -> None:
    wrong = set(codes) - {category.code for category in known}
    if wrong:
        raise Invalid(f"Unknown category {sorted(wrong)[0]!r}.", code="code-invalid", expression="category")


async def _own_patient_at(records: Records, custodian: str) -> str:
    if records.principal.role is not Role.PATIENT:
        raise Forbidden("Only the person gives consent for their record.")
    async with records.house.database.connection() as connection:
        found = await connection.fetchval(
            "SELECT id FROM resource WHERE key = ANY($1::bigint[]) AND custodian = $2 AND NOT deleted",
            own_keys(records.principal),
            key_of("Organization", custodian),
        )
    if found is None:
        raise NotFound("That institution holds no record of yours.", expression="custodian")
    return str(found)


async def withdraw(records: Records, consent_id: str) -> Stored:
    """The person takes a consent back: from the commit on, no statement finds its grants."""
    stored = await records.read("Consent", consent_id)
    consent = parse(stored.body)
    consent["status"] = "inactive"
    outcome = await records.write([Write("PUT", "Consent", consent_id, consent, if_match=stored.version)])
    assert outcome[0].stored is not None
    return outcome[0].stored


async def sharings(records: Records) -> list[Sharing]:
    """The person's consents, newest first, withdrawn ones included."""
    found = await records.search("Consent", "_sort=-date&_count=200")
    return [_sharing(parse(stored.body)) for stored in found.matches]


def _sharing(consent: dict[str, Any]) -> Sharing:
    body = consent.get("provision", {})
    codes = {coding.get("code") for coding in (*body.get("class", ()), *body.get("securityLabel", ()))}
    period = body.get("period", {})
    return Sharing(
        consent["id"],
        _actor(body, "CST"),
        _actor(body, "IRCP"),
        tuple(entry for entry in categories() if entry.code in codes or not body.get("class")),
        tuple(entry for entry in labels() if entry.code in codes),
        period.get("start"),
        period.get("end"),
        consent["status"] == "active" and body.get("type", "permit") == "permit",
    )


def _actor(body: dict[str, Any], role: str) -> str:
    for actor in body.get("actor", ()):
        if any(coding.get("code") == role for coding in actor.get("role", {}).get("coding", ())):
            return str(actor.get("reference", {}).get("reference", "")).removeprefix("Organization/")
    return ""


async def ask(records: Records, patient_id: str, custodian: str, message: str) -> Stored:
    """A clinician asks the person to open what another institution holds; the person sees it on their home page."""
    await records.read("Patient", patient_id)
    system, _, code = CONSENT_REQUEST.partition("|")
    practitioner = {"requester": {"reference": f"Practitioner/{records.principal.practitioner}"}}
    task = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "proposal",
        "code": {"coding": [{"system": system, "code": code}]},
        "for": {"reference": f"Patient/{patient_id}"},
        "focus": {"reference": f"Organization/{custodian}"},
        "authoredOn": clock.instant(clock.micros(clock.now())),
        **(practitioner if records.principal.practitioner else {}),
        **({"description": message} if message else {}),
    }
    return await _written(records, task)


async def _written(records: Records, resource: dict[str, Any]) -> Stored:
    outcomes = await records.write([Write("POST", resource["resourceType"], resource=resource)])
    assert outcomes[0].stored is not None
    return outcomes[0].stored


# emergency ------------------------------------------------------------------------------------------------------


async def break_glass(records: Records, patient_id: str, reason: str, words: str) -> datetime:
    """Open everything that is held of a person to one clinician for an hour; the person is told. Returns the end."""
    async with records.refusals("break-glass", f"Patient/{patient_id}"):
        return await _broken(records, patient_id, reason, words)


async def _broken(records: Records, patient_id: str, reason: str, words: str) -> datetime:
    principal = records.principal
    if principal.role is not Role.CLINICIAN or not principal.practitioner or not principal.institution:
        raise Forbidden("Emergency access is for clinicians who act for an institution.")
    if reason not in EMERGENCY_REASONS:
        raise Invalid("Choose a reason from the list.", code="required", expression="reason")
    if len(words.strip()) < 5:
        raise Invalid("Say in a sentence what happened.", code="required", expression="words")
    key, starts = key_of("Patient", patient_id), clock.now()
    ends = starts + timedelta(hours=EMERGENCY_HOURS)
    access = audit.Access(
        principal.for_purpose(Purpose.EMERGENCY),
        "break-glass",
        f"Patient/{patient_id}",
        (key,),
        why=f"{reason}: {words}",
    )
    grant = Grant(
        key_of("Practitioner", principal.practitioner),
        ANY_CUSTODIAN,
        CATEGORY_MASK | LABELS,
        (Purpose.TREATMENT.value, Purpose.EMERGENCY.value),
        clock.micros(starts),
        clock.micros(ends),
    )
    async with records.house.database.transaction() as connection:
        known = await connection.fetchval("SELECT id FROM resource WHERE key = $1 AND NOT deleted", key)
        if known is None:
            raise NotFound(f"There is no Patient/{patient_id}.", remedy="Check the id.")
        source = hash64(f"emergency {principal.login} {patient_id} {clock.micros(starts)}")
        await store_grants(connection, source, await linked_people(connection, key), [grant])
        await audit.record(connection, [access])
        await _tell(records, connection, patient_id, reason, words, ends)
    return ends


async def _tell(records: Records, connection: Any, patient_id: str, reason: str, words: str, ends: datetime) -> None:
    """A Communication to the person, in the same transaction: an emergency that is not told does not happen."""
    system, _, code = EMERGENCY_NOTICE.partition("|")
    principal = records.principal
    notice = {
        "resourceType": "Communication",
        "status": "completed",
        "category": [{"coding": [{"system": system, "code": code}]}],
        "subject": {"reference": f"Patient/{patient_id}"},
        "recipient": [{"reference": f"Patient/{patient_id}"}],
        "sender": {"reference": f"Practitioner/{principal.practitioner}"},
        "sent": clock.instant(clock.micros(clock.now())),
        "reasonCode": [{"coding": [{"system": f"{system}-reason", "code": reason}], "text": words}],
        "payload": [{"contentString": f"{principal.name} · {clock.instant(clock.micros(ends))}"}],
    }
    node = Records(records.house, NODE)
    await node.write_within(connection, [Write("POST", "Communication", resource=notice)], principal.institution)


async def emergency_until(records: Records, patient_id: str) -> datetime | None:
    """When the asker's emergency access to a person ends, if it is open now."""
    if not records.principal.practitioner:
        return None
    now = clock.micros(clock.now())
    async with records.house.database.connection() as connection:
        ends = await connection.fetchval(
            "SELECT max(ends) FROM access_grant WHERE person = $1 AND grantee = $2 AND custodian = 0 AND ends > $3"
            " AND 'BTG' = ANY(purposes)",
            key_of("Patient", patient_id),
            key_of("Practitioner", records.principal.practitioner),
            now,
        )
    return None if ends is None else clock.from_micros(ends)


async def locate(records: Records, identifier: str, birth_date: str) -> list[str]:
    """Patients of the county with this very identifier and birth date, for an emergency: ids only, audited.

    Both must be given and agree, so that nobody browses the county with it.
    """
    if records.principal.role is not Role.CLINICIAN:
        raise Forbidden("Looking for a person outside the institution is for clinicians in an emergency.")
    if not identifier.strip() or not birth_date.strip():
        raise Invalid("Give both the number and the birth date.", code="required", expression="identifier")
    try:
        date.fromisoformat(birth_date.strip())  # a day: with a prefix or a year alone, the number alone would do
    except ValueError:
        raise Invalid("Give the birth date as YYYY-MM-DD.", code="value", expression="birth_date") from None
    node = Records(records.house, records.principal.for_purpose(Purpose.EMERGENCY), visible_to_node=True)
    query = f"identifier={_escaped(identifier.strip())}&birthdate={_escaped(birth_date.strip())}&_count=10"
    return [stored.id for stored in (await node.search("Patient", query)).matches]


def _escaped(text: str) -> str:
    return quote(text.replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|").replace("$", "\\$"), safe="")


async def count_by_type(records: Records) -> list[tuple[str, int]]:
    """How many resources of each type the manager's institution holds."""
    institution = records.principal.institution
    if records.principal.role is not Role.SYSTEM and (records.principal.role is not Role.MANAGER or not institution):
        raise Forbidden("Counts are for the institution's manager.")
    condition = "custodian = $1" if institution else "$1::bigint IS NULL"
    async with records.house.database.connection() as connection:
        rows = await connection.fetch(
            f"SELECT type, count(*) FROM resource WHERE NOT deleted AND {condition} GROUP BY type",  # noqa: S608
            key_of("Organization", institution) if institution else None,
        )
    names = {number: name for name, number in TYPE_NUMBERS.items()}
    return sorted((names[row["type"]], row["count"]) for row in rows)
