"""Emergency access ("break the glass"): a clinician opens all of one person's record for an hour, and answers for it.

In one transaction: the grant, the line of the log, a Communication that tells the person, and a Task by which the
privacy officer judges it (oversight.py).
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final
from urllib.parse import quote

from xinglin.access import audit
from xinglin.access.grants import ANY_CUSTODIAN, HIGH, PERSON, Grant, linked_people, rank, store_grants
from xinglin.access.oversight import ends_at, reasons, refuse_repeated_misuse, review_task, rules
from xinglin.access.policy import check_standing
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.provisions import ALL_CATEGORIES
from xinglin.access.records import Records
from xinglin.core.rest.gate import Write
from xinglin.core.store.keys import hash64, key_of
from xinglin.kernel import clock
from xinglin.kernel.errors import Forbidden, Invalid, NotFound

EMERGENCY_NOTICE: Final = "https://xinglin.example/fhir/CodeSystem/notice|emergency-access"
EMERGENCY_REASONS: Final = reasons()


async def break_glass(records: Records, patient_id: str, reason: str, words: str) -> datetime:
    """Open everything that is held of a person to one clinician for an hour; the person is told. Returns the end."""
    async with records.refusals("break-glass", f"Patient/{patient_id}"):
        return await _broken(records, patient_id, reason, words)


async def _broken(records: Records, patient_id: str, reason: str, words: str) -> datetime:
    principal = records.principal
    check_standing(principal)
    if principal.role is not Role.CLINICIAN or not principal.practitioner or not principal.institution:
        raise Forbidden("Emergency access is for clinicians who act for an institution.")
    if reason not in EMERGENCY_REASONS:
        raise Invalid("Choose a reason from the list.", code="required", expression="reason")
    if len(words.strip()) < rules()["words"]:
        raise Invalid("Say in a sentence what happened.", code="required", expression="words")
    await refuse_repeated_misuse(records)
    key, starts = key_of("Patient", patient_id), clock.now()
    ends = ends_at(starts)
    access = audit.Access(
        principal.for_purpose(Purpose.EMERGENCY),
        "break-glass",
        f"Patient/{patient_id}",
        (key,),
        why=f"{reason}: {words}",
    )
    async with records.house.database.transaction() as connection:
        known = await connection.fetchval("SELECT id FROM resource WHERE key = $1 AND NOT deleted", key)
        if known is None:
            raise NotFound(f"There is no Patient/{patient_id}.", remedy="Check the id.")
        source = hash64(f"emergency {principal.login} {patient_id} {clock.micros(starts)}")
        grant = _emergency(principal, starts, ends)
        await store_grants(connection, source, await linked_people(connection, key), [grant])
        await audit.record(connection, [access])
        await _tell(records, connection, patient_id, reason, words, ends)
    return ends


def _emergency(principal: Principal, starts: datetime, ends: datetime) -> Grant:
    """Everything, to one clinician acting for one institution. It goes before all that a consent says."""
    return Grant(
        key_of("Practitioner", principal.practitioner or ""),
        ANY_CUSTODIAN,
        ALL_CATEGORIES | HIGH,
        (Purpose.TREATMENT.value, Purpose.EMERGENCY.value),
        clock.micros(starts),
        clock.micros(ends),
        rank=rank(True, PERSON, 0, False, False, 0),
        acting=key_of("Organization", principal.institution or ""),
    )


async def _tell(records: Records, connection: Any, patient_id: str, reason: str, words: str, ends: datetime) -> None:
    """A Communication to the person and a Task for the privacy officer, in the same transaction: an emergency that is
    not told, or that nobody will look at, does not happen."""
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
    told = Write("POST", "Communication", resource=notice, full_url="urn:uuid:notice")
    task = review_task(principal, patient_id, "urn:uuid:notice", reason, words)
    await node.write_within(connection, [told, Write("POST", "Task", resource=task)], principal.institution)


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
    check_standing(records.principal)
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
