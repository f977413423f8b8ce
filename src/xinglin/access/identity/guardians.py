"""Who acts for whom: parents for a child, and whoever an adult asked to.

A guardianship stands in the record as a RelatedPerson (and, for an adult, a Consent) with its dates; the row here
says which account it is, and can only be made by the acts of this file: a resource alone makes nobody a guardian, but
ends it. What a guardian may see and do follows from the ward's age on the day of the request, data/acting.json.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson

from xinglin.access import audit
from xinglin.access.categories import CATEGORY_MASK
from xinglin.access.identity.proof import reached, use_code
from xinglin.access.posts import first_day, rules
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.core.rest.gate import Write
from xinglin.core.schema.decode import parse
from xinglin.core.search import values
from xinglin.core.store.keys import TYPE_NAMES, key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Conflict, Forbidden, Invalid, NotFound, Unprocessable

if TYPE_CHECKING:
    from xinglin.access.records import Records

CHILD, ADULT = "child", "adult"
EVERYTHING: Final = 0x7FFFFFFF
NOTHING_SENSITIVE: Final = CATEGORY_MASK
READING: Final = ("user/*.rs",)
ACCOUNT_SYSTEM: Final = "https://xinglin.example/fhir/NamingSystem/account"
ROLE_CODES: Final = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
RELATIONS: Final = {"MTH": "mother", "FTH": "father", "GRPRNT": "grandparent", "GUARD": "legal guardian"}

_FIELDS: Final = f"""
g.id, g.ward, g.kind, g.categories, g.starts, g.ends, g.ended, g.login, g.by,
(SELECT convert_from(r.body, 'UTF8') FROM resource r WHERE r.key = g.ward_key AND NOT r.deleted) AS body,
EXISTS (SELECT 1 FROM account c WHERE c.patient = g.ward AND c.active AND c.login <> g.login) AS own_account,
CASE WHEN g.kind = 'adult' THEN {reached(patient="g.ward", login="g.by")} END AS linked
"""  # noqa: S608
WARD: Final = f"""
(SELECT row_to_json(w) FROM (
   SELECT {_FIELDS} FROM session_acting x JOIN guardianship g ON g.id = x.guardianship AND g.login = s.login
    WHERE x.session = s.id) w)
"""  # noqa: S608
"""The guardianship that a session acts in, as JSON; NULL where it acts for its owner."""


@dataclass(frozen=True, slots=True)
class Ward:
    """One for whom somebody acts. until: last day, None where only an age or a withdrawal ends it.

    stands: today; patients: ids of the Patients that are reached; opened: category bits, None: all; reads_only.
    """

    id: int
    patient: str
    name: str
    kind: str
    login: str
    until: date | None
    stands: bool
    patients: tuple[str, ...] = ()
    opened: int | None = None
    reads_only: bool = True


def ward_of(row: Any, now: datetime) -> Ward:
    """What a guardianship allows at a moment. row: with the columns of _FIELDS."""
    body = parse(row["body"].encode()) if row["body"] else {}
    today = now.astimezone(values._zone).date()
    starts, ends = _moment(row["starts"]), _moment(row["ends"])
    child_until = last_as_child(body.get("birthDate"))
    last = None if ends is None else (ends - timedelta(microseconds=1)).astimezone(values._zone).date()
    stands = bool(body) and row["ended"] is None and starts is not None and starts <= now
    stands = stands and (ends is None or now < ends)
    opened: int | None = row["categories"]
    reads_only = True
    if row["kind"] == CHILD:
        last = child_until
        stands = stands and today <= child_until
        decides = birthday(body.get("birthDate"), rules()["guardians"]["own_decision"]["years"])
        taken_over = row["own_account"] and today >= decides
        opened, reads_only = (NOTHING_SENSITIVE, True) if taken_over else (None, False)
    reached = tuple(sorted({row["ward"], *(row["linked"] or ())})) if stands else ()
    return Ward(
        row["id"], row["ward"], _name(body), row["kind"], row["login"], last, stands, reached, opened, reads_only
    )


def birthday(born: Any, years: int) -> date:
    """The day on which somebody is of an age. A birth date that is not known to the day counts as its first day, and
    without one nobody is a child; whoever was born on 29 February is of age on 1 March."""
    day = first_day(str(born) if born else None)
    if day == date.min or day == date.max:
        return date.min
    if day.year + years > date.max.year:
        return date.max
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def last_as_child(born: Any) -> date:
    """The day before somebody is of age; the first day of all where the birth date does not tell."""
    of_age = birthday(born, rules()["guardians"]["of_age"]["years"])
    return of_age - timedelta(days=1) if of_age > date.min else of_age


def _moment(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else value


def _name(patient: dict[str, Any]) -> str:
    for name in patient.get("name", ()):
        text = name.get("text") or "".join([name.get("family", ""), *name.get("given", ())])
        if text:
            return str(text)
    return str(patient.get("id", ""))


def as_guardian(principal: Principal, ward: Ward, *, language: str = "zh") -> Principal:
    """The principal who acts for the ward; who sees nothing once that has ended, not their own record instead."""
    return Principal(
        login=principal.login,
        name=principal.name,
        role=Role.PATIENT,
        purpose=Purpose.OWN,
        patients=ward.patients if ward.stands else (),
        scopes=READING if ward.reads_only else None,
        on_behalf=ward.patient,
        opened=ward.opened,
    )


async def wards(connection: Connection, login: str) -> list[Ward]:
    """Those for whom an account acts today."""
    rows = await connection.fetch(f"SELECT {_FIELDS} FROM guardianship g WHERE g.login = $1 AND g.ended IS NULL", login)  # noqa: S608
    return [ward for row in rows if (ward := ward_of(row, clock.now())).stands]


@dataclass(frozen=True, slots=True)
class Guardian:
    """One who acts for a person: their account's name, and until when."""

    id: int
    login: str
    name_zh: str
    name_en: str
    kind: str
    until: date | None


async def guardians_of(connection: Connection, patients: Sequence[str]) -> list[Guardian]:
    """Who acts today for the person of these Patients."""
    rows = await connection.fetch(
        f"SELECT {_FIELDS}, a.name_zh, a.name_en FROM guardianship g JOIN account a USING (login)"  # noqa: S608
        " WHERE g.ward = ANY($1::text[]) AND g.ended IS NULL ORDER BY g.id",
        list(patients),
    )
    found = [(row, ward_of(row, clock.now())) for row in rows]
    return [
        Guardian(ward.id, ward.login, row["name_zh"], row["name_en"], ward.kind, ward.until)
        for row, ward in found
        if ward.stands
    ]


# making ---------------------------------------------------------------------------------------------------------------


async def appoint(records: Records, ward: str, login: str, code: str, relation: str) -> int:
    """Staff of the institution that holds a child's Patient, with guardian and papers before them, make it so.

    code: what the guardian shows from their own account. Raises Forbidden, NotFound, Unprocessable.
    """
    who = records.principal
    if who.role not in (Role.CLERK, Role.CLINICIAN) or who.barred or relation not in RELATIONS:
        raise Forbidden("Guardians are entered by registration clerks and clinicians.")
    await _use_code(records, login, code)
    stored = await records.read("Patient", ward)
    patient = parse(stored.body)
    if stored.custodian != key_of("Organization", who.institution or ""):
        raise NotFound(
            "Your institution holds no such Patient.", remedy="Register the child at your institution first."
        )
    last = last_as_child(patient.get("birthDate"))
    if last < clock.now().astimezone(values._zone).date():
        raise Unprocessable("Only a child has a guardian.", remedy="An adult asks somebody in their own portal.")
    async with records.house.database.transaction() as connection:
        account = await _guardian_account(connection, login, ward)
        body = _related(ward, account, relation, clock.now(), last)
        outcome = await records.write_within(connection, [Write("POST", "RelatedPerson", resource=body)])
        assert outcome[0].stored is not None
        made = await _insert(connection, login, ward, CHILD, outcome[0].stored.id, None, EVERYTHING, None, who.login)
        await audit.record(connection, [_line(who, "guardian-appointed", outcome[0].stored.reference, ward, login)])
    return made


async def ask(records: Records, login: str, code: str, categories: int, until: date) -> int:
    """A person lets somebody act for them: read these categories of their record until a day."""
    who = records.principal
    if who.role is not Role.PATIENT or who.on_behalf is not None or not who.patients or who.scopes is not None:
        raise Forbidden("Only the person lets somebody act for them.")
    today = clock.now().astimezone(values._zone).date()
    longest = today + timedelta(days=rules()["guardians"]["longest_days"])
    if not today <= until <= longest:
        raise Invalid("Choose a day from today, at most three years ahead.", code="value", expression="until")
    if not categories & NOTHING_SENSITIVE:
        raise Invalid("Choose at least one part of the record.", code="required", expression="categories")
    ward = who.patients[0]
    await _use_code(records, login, code)
    async with records.house.database.transaction() as connection:
        account = await _guardian_account(connection, login, ward)
        holder = await _holder(connection, ward)
        node = type(records)(records.house, NODE, why=f"asked by {who.login}")
        related = _related(ward, account, "", clock.now(), until)
        first = await node.write_within(connection, [Write("POST", "RelatedPerson", resource=related)], holder)
        assert first[0].stored is not None
        consent = _consent(ward, first[0].stored.reference, clock.now(), until)
        second = await records.write_within(connection, [Write("POST", "Consent", resource=consent)])
        assert second[0].stored is not None
        made = await _insert(
            connection, login, ward, ADULT, first[0].stored.id, second[0].stored.id, categories, until, who.login
        )
        await audit.record(connection, [_line(who, "guardian-asked", first[0].stored.reference, ward, login)])
    return made


async def _use_code(records: Records, login: str, code: str) -> None:
    """In a transaction of its own, so that wrong tries stay counted."""
    async with records.house.database.transaction() as connection:
        right = await use_code(connection, login, "guardian", code)
    if not right:
        raise Unprocessable(
            "Login and code do not belong together, or the code has run out.", remedy="Ask for a new one."
        )


async def _guardian_account(connection: Connection, login: str, ward: str) -> Any:
    """The account of an adult who is not the ward."""
    account = await connection.fetchrow(
        "SELECT login, name_zh, name_en, patient FROM account WHERE login = $1 AND role = 'patient' AND active", login
    )
    if account is None:
        raise NotFound("There is no such account of a patient.", remedy="Check the login.")
    body = await connection.fetchval(
        "SELECT body FROM resource WHERE key = $1 AND NOT deleted", key_of("Patient", account["patient"])
    )
    born = parse(body).get("birthDate") if body else None
    today = clock.now().astimezone(values._zone).date()
    if account["patient"] == ward:
        raise Conflict("Nobody is their own guardian.")
    if born is None or birthday(born, rules()["guardians"]["of_age"]["years"]) > today:
        raise Unprocessable("Only an adult acts for somebody.", remedy="Ask an adult to come.")
    return account


async def _holder(connection: Connection, ward: str) -> str | None:
    row = await connection.fetchrow(
        "SELECT o.id FROM resource r JOIN resource o ON o.key = r.custodian WHERE r.key = $1", key_of("Patient", ward)
    )
    return None if row is None else str(row["id"])


async def _insert(
    connection: Connection,
    login: str,
    ward: str,
    kind: str,
    related: str,
    consent: str | None,
    categories: int,
    until: date | None,
    by: str,
) -> int:
    now = clock.now()
    ends = None
    if until is not None:
        after = until + timedelta(days=1)
        ends = datetime(after.year, after.month, after.day, tzinfo=values._zone)
    consent_key = None if consent is None else key_of("Consent", consent)
    return int(
        await connection.fetchval(
            "INSERT INTO guardianship (login, ward, ward_key, kind, related, consent, categories, starts, ends, by, at)"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8) RETURNING id",
            *(login, ward, key_of("Patient", ward), kind, key_of("RelatedPerson", related), consent_key),
            *(categories, now, ends, by),
        )
    )


def _related(ward: str, account: Any, relation: str, now: datetime, last: date) -> dict[str, Any]:
    coding = {"system": ROLE_CODES, "code": relation, "display": RELATIONS.get(relation, "")}
    return {
        "resourceType": "RelatedPerson",
        "active": True,
        "patient": {"reference": f"Patient/{ward}"},
        "identifier": [{"system": ACCOUNT_SYSTEM, "value": account["login"]}],
        "name": [{"text": account["name_zh"]}],
        "period": {"start": now.astimezone(values._zone).date().isoformat(), "end": last.isoformat()},
        **({"relationship": [{"coding": [coding]}]} if relation else {}),
    }


def _consent(ward: str, related: str, now: datetime, until: date) -> dict[str, Any]:
    def coded(system: str, code: str) -> dict[str, Any]:
        return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}

    actor = {"role": coded("v3-RoleCode", "DELEGATEE"), "reference": {"reference": related}}
    period = {"start": clock.instant(clock.micros(now)), "end": until.isoformat()}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": coded("consentscope", "patient-privacy"),
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": {"reference": f"Patient/{ward}"},
        "dateTime": clock.instant(clock.micros(now)),
        "policyRule": coded("v3-ActCode", "OPTIN"),
        "provision": {"type": "permit", "period": period, "actor": [actor]},
    }


def _line(who: Principal, interaction: str, target: str, ward: str, login: str) -> audit.Access:
    return audit.Access(who, interaction, target, (key_of("Patient", ward),), why=f"account {login}")


# ending ---------------------------------------------------------------------------------------------------------------


async def end(records: Records, id: int) -> None:
    """The ward, the guardian, or staff of the institution that holds the ward's Patient ends it, at once."""
    who = records.principal
    async with records.house.database.transaction() as connection:
        row = await connection.fetchrow("SELECT * FROM guardianship WHERE id = $1 AND ended IS NULL FOR UPDATE", id)
        if row is None or not await _may_end(connection, who, row):
            raise NotFound("This is not there any more.", remedy="Open the page again.")
        await end_with(connection, [row["related"]], by=who.login)
        node = type(records)(records.house, NODE, why=f"ended by {who.login}")
        for key in (row["related"], row["consent"]):
            await _close(node, connection, key)
        line = audit.Access(
            who, "guardian-ended", f"Patient/{row['ward']}", (row["ward_key"],), why=f"account {row['login']}"
        )
        await audit.record(connection, [line])


async def _may_end(connection: Connection, who: Principal, row: Any) -> bool:
    if who.role is Role.PATIENT:
        own = who.on_behalf is None and row["ward"] in who.patients and row["kind"] == ADULT
        return bool(own or row["login"] == who.login)
    holder = await connection.fetchval("SELECT custodian FROM resource WHERE key = $1", row["ward_key"])
    own_house = holder == key_of("Organization", who.institution or "")
    return bool(who.role in (Role.CLERK, Role.CLINICIAN) and not who.barred and own_house and row["kind"] == CHILD)


async def _close(node: Records, connection: Connection, key: int | None) -> None:
    """Say in the resource that it has ended."""
    found = await connection.fetchrow(
        "SELECT r.type, r.id, r.body, o.id AS holder FROM resource r LEFT JOIN resource o ON o.key = r.custodian"
        " WHERE r.key = $1 AND NOT r.deleted",
        key,
    )
    if found is None:
        return
    body = parse(found["body"])
    if body["resourceType"] == "Consent":
        body["status"] = "inactive"
    else:
        body["active"] = False
        body["period"] = {**body.get("period", {}), "end": clock.now().astimezone(values._zone).date().isoformat()}
    await node.write_within(connection, [Write("PUT", TYPE_NAMES[found["type"]], found["id"], body)], found["holder"])


def says_ended(type: str, resource: dict[str, Any] | None) -> bool:
    """Whether a new version of a RelatedPerson or a Consent can end a guardianship: gone, or no longer in force."""
    if type == "RelatedPerson":
        return resource is None or resource.get("active") is False
    return type == "Consent" and (resource is None or resource.get("status") != "active")


async def end_with(connection: Connection, keys: Sequence[int], *, by: str = "xinglin") -> None:
    """End what stands beside these RelatedPersons and Consents."""
    await connection.execute(
        "UPDATE guardianship SET ended = $2, ended_by = $3"
        " WHERE ended IS NULL AND (related = ANY($1::bigint[]) OR consent = ANY($1::bigint[]))",
        *(list(keys), clock.now(), by),
    )


def row_of(text: str | None) -> dict[str, Any] | None:
    """A row that came as JSON."""
    return orjson.loads(text) if text else None
