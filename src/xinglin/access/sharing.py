"""What is held elsewhere, and who opens it: the verbs behind the consent pages. Emergencies: emergencies.py.

Everything that lasts is a FHIR resource: a Consent (permit, withdraw), a Task (a clinician asks for consent).
Grants are their projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from xinglin.access.categories import Category, categories, labels
from xinglin.access.consent import actor, provision
from xinglin.access.decisions import named
from xinglin.access.grants import linked_people
from xinglin.access.policy import own_keys
from xinglin.access.principal import Role
from xinglin.access.provisions import LABELS
from xinglin.access.purposes import closable_at_home, role_system
from xinglin.access.records import Records
from xinglin.core.rest.gate import Write
from xinglin.core.schema.decode import parse
from xinglin.core.store.keys import TYPE_NUMBERS, key_of
from xinglin.core.store.rows import Stored
from xinglin.kernel import clock
from xinglin.kernel.errors import Forbidden, Invalid, NotFound

CONSENT_REQUEST: Final = "https://xinglin.example/fhir/CodeSystem/task|consent-request"
OPT_OUT: Final = ("HRESCH", "PUBHLTH")
"""Purposes that the opt-out of secondary use closes (data/purposes.json: beyond individual care)."""
ACT_REASON: Final = "http://terminology.hl7.org/CodeSystem/v3-ActReason"


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
    """A Consent as the consent page shows it: `grantee` may see what `custodian` holds of `categories`.

    kind: permit; close (then `practitioner`, or `role`, is who may not see it); opt-out. grantee: an institution.
    """

    id: str
    custodian: str
    grantee: str
    categories: tuple[Category, ...]
    labels: tuple[Category, ...]
    start: str | None
    end: str | None
    active: bool
    kind: str = "permit"
    practitioner: str = ""
    role: str = ""


async def linked(records: Records, patient_id: str) -> list[Linked]:
    """The Patient resources of the same person, this one first. NotFound where the asker may see none of them.

    One that the asker may not see has no id here: it says no more than which institution knows the person.
    """
    async with records.house.database.connection() as connection:
        keys = await linked_people(connection, key_of("Patient", patient_id))
        rows = await connection.fetch(
            "SELECT r.key, r.id, o.id AS custodian, o.body FROM resource r"
            " LEFT JOIN resource o ON o.key = r.custodian WHERE r.key = ANY($1::bigint[]) AND NOT r.deleted",
            keys,
        )
    seen = {stored.id for stored in await records.visible_of("Patient", [row["id"] for row in rows])}
    found = [
        Linked(row["id"] if row["id"] in seen else "", row["custodian"] or "", _name(row["body"]), row["id"] in seen)
        for row in rows
    ]
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
    """Categories, and sensitive labels, that are open as a whole; single types, codes or resources are not counted."""
    principal, now = records.principal, clock.micros(clock.now())
    acting = key_of("Organization", principal.institution or "")
    async with records.house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT permit, category, bearing FROM access_grant WHERE person = ANY($1::bigint[])"
            " AND grantee = ANY($2::bigint[]) AND custodian IN ($3, 0) AND starts <= $4 AND ends > $4"
            " AND $5 = ANY(purposes) AND role IN ('', $6) AND acting IN (0, $7) AND (NOT permit OR types IS NULL)"
            " AND (NOT permit OR resources IS NULL) ORDER BY rank DESC, permit",
            await linked_people(connection, key_of("Patient", patient_id)),
            [0, *named(principal)],
            *(key_of("Organization", custodian), now, principal.purpose.value, principal.role.value, acting),
        )

    def first(entry: Category) -> bool:
        own = entry.bit & LABELS  # a label is open where a grant names it; a category, where none narrows it
        return next((bool(r["permit"]) for r in rows if r["category"] & entry.bit and r["bearing"] == own), False)

    return tuple(entry for entry in (*categories(), *labels()) if first(entry))


# consent --------------------------------------------------------------------------------------------------------


async def permit(
    records: Records,
    *,
    custodian: str,
    grantee: str,
    category_codes: Sequence[str],
    label_codes: Sequence[str] = (),
    until: date | None = None,
    answering: Sequence[Write] = (),
) -> Stored:
    """The person opens what one institution holds to another. Takes effect with its commit.

    Sensitive labels become a Consent of their own (PIPL art. 29), in the same transaction; so does what `answering`
    writes: a request that is allowed is answered, or neither happens. Returns the first Consent.
    """
    consents = await permits(
        records,
        custodian=custodian,
        grantee=grantee,
        category_codes=category_codes,
        label_codes=label_codes,
        until=until,
    )
    outcomes = await records.write([*consents, *answering])
    assert outcomes[0].stored is not None
    return outcomes[0].stored


async def permits(
    records: Records,
    *,
    custodian: str,
    grantee: str,
    category_codes: Sequence[str],
    label_codes: Sequence[str] = (),
    until: date | None = None,
) -> list[Write]:
    """The writes that `permit` makes, for a preview of what they would open. Raises what it raises."""
    patient = await _own_patient_at(records, custodian)
    _check_codes(category_codes, categories())
    _check_codes(label_codes, labels())
    if custodian == grantee:
        raise Invalid("An institution always sees what it holds itself.", code="business-rule", expression="grantee")
    today = clock.now()
    if until is not None and until < today.date():
        raise Invalid("The last day lies in the past.", code="value", expression="until", remedy="Choose a later day.")
    now, end = clock.instant(clock.micros(today)), until.isoformat() if until else None
    bodies = [
        provision(
            custodian=custodian, grantee=grantee, category_codes=category_codes, label_codes=chosen, start=now, end=end
        )
        for chosen in (((), label_codes) if label_codes else ((),))
    ]
    return [Write("POST", "Consent", resource=_consent(patient, body, now)) for body in bodies]


async def close(records: Records, *, custodian: str, practitioner: str = "", role: str = "") -> Stored:
    """The person closes what one institution holds to one of its people, or to a desk (data/restrictions.json)."""
    if bool(practitioner) == bool(role) or (role and role not in closable_at_home()):
        raise Invalid("Choose a person, or a desk that may be closed.", code="value", expression="who")
    patient, now = await _own_patient_at(records, custodian), clock.instant(clock.micros(clock.now()))
    if practitioner:
        await records.read("Practitioner", practitioner)
    who = f"Practitioner/{practitioner}" if practitioner else f"Organization/{custodian}"
    body = {
        "type": "deny",
        "period": {"start": now},
        "actor": [actor("CST", f"Organization/{custodian}"), actor("IRCP", who, role)],
    }
    return await _written(records, _consent(patient, body, now, "OPTOUT"))


async def opted_out(records: Records) -> list[str]:
    """Ids of the Consents by which the person refuses all use beyond their own care; empty: they do not."""
    found = await records.search("Consent", "status=active&_count=200")
    return [stored.id for stored in found.matches if is_opt_out(parse(stored.body))]


def is_opt_out(consent: dict[str, Any]) -> bool:
    """Whether a Consent refuses use beyond care to everybody."""
    body = consent.get("provision", {})
    purposes = {coding.get("code") for coding in body.get("purpose", ())}
    limits = {"actor", "class", "code", "data", "dataPeriod", "securityLabel"} & body.keys()
    return body.get("type") == "deny" and purposes >= set(OPT_OUT) and not limits


async def opt_out(records: Records, *, refuse: bool) -> None:
    """Set, or take back, the refusal of every use beyond one's own care. Set once, it holds everywhere."""
    if records.principal.role is not Role.PATIENT:
        raise Forbidden("Only the person decides about the use of their record.")
    standing = await opted_out(records)
    if refuse and not standing:
        now = clock.instant(clock.micros(clock.now()))
        body = {"type": "deny", "purpose": [{"system": ACT_REASON, "code": code} for code in OPT_OUT]}
        await _written(records, _consent(records.principal.patients[0], body, now, "OPTOUT"))
    if not refuse and standing:
        await records.write([await _withdrawal(records, id) for id in standing])


def _consent(patient: str, body: dict[str, Any], at: str, policy: str = "OPTIN") -> dict[str, Any]:
    def coding(system: str, code: str) -> dict[str, Any]:
        return {"coding": [{"system": system, "code": code}]}

    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": coding("http://terminology.hl7.org/CodeSystem/consentscope", "patient-privacy"),
        "category": [coding("http://loinc.org", "59284-0")],
        "patient": {"reference": f"Patient/{patient}"},
        "dateTime": at,
        "policyRule": coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", policy),
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
    outcome = await records.write([await _withdrawal(records, consent_id)])
    assert outcome[0].stored is not None
    return outcome[0].stored


async def _withdrawal(records: Records, consent_id: str) -> Write:
    stored = await records.read("Consent", consent_id)
    consent = parse(stored.body) | {"status": "inactive"}
    return Write("PUT", "Consent", consent_id, consent, if_match=stored.version)


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
        consent["status"] == "active",
        "opt-out" if is_opt_out(consent) else "close" if body.get("type") == "deny" else "permit",
        _actor(body, "IRCP", "Practitioner/"),
        _role_named(body),
    )


def _role_named(body: dict[str, Any]) -> str:
    codings = [coding for one in body.get("actor", ()) for coding in one.get("role", {}).get("coding", ())]
    return next((str(one.get("code")) for one in codings if one.get("system") == role_system()), "")


def _actor(body: dict[str, Any], role: str, kind: str = "Organization/") -> str:
    for one in body.get("actor", ()):
        if any(coding.get("code") == role for coding in one.get("role", {}).get("coding", ())):
            reference = str(one.get("reference", {}).get("reference", ""))
            return reference.removeprefix(kind) if reference.startswith(kind) else ""
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
