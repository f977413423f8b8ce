"""The counter: staff see a person and their document, and let the person's account show what the institution holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from xinglin.access import audit
from xinglin.access.identity import proof
from xinglin.access.principal import Role
from xinglin.core.store.keys import key_of
from xinglin.core.store.rows import Stored
from xinglin.kernel.errors import Forbidden, NotFound, Problem, Unprocessable

if TYPE_CHECKING:
    from xinglin.access.records import Records

DOCUMENTS: Final = ("resident-card", "household-book", "passport", "other-document")
MAY_CHECK: Final = frozenset({Role.CLERK, Role.CLINICIAN})


class WrongCode(Unprocessable):
    """Login and code do not belong together."""


@dataclass(frozen=True, slots=True)
class Vouched:
    """An account for which the institution vouches with a record."""

    login: str
    name_zh: str
    name_en: str
    method: str
    at: datetime


async def own_patient(records: Records, patient: str) -> Stored:
    """A Patient that the asker's own institution holds; another's is not found."""
    who = records.principal
    stored = await records.read("Patient", patient)
    if who.role not in MAY_CHECK or who.barred:
        raise Forbidden("Identities are checked by registration clerks and clinicians.")
    if stored.custodian != key_of("Organization", who.institution or ""):
        raise NotFound(f"There is no Patient/{patient}.", remedy="Check the id.")
    return stored


async def check_identity(records: Records, patient: str, login: str, code: str, document: str) -> None:
    """Vouch, for the asker's institution, that an account is the person's; recorded, and shown to the person.

    Raises WrongCode, and Unprocessable for an account whose person's records are not joined with this one.
    """
    stored, who, database = await own_patient(records, patient), records.principal, records.house.database
    key, why = key_of("Patient", stored.id), f"account {login[:64]}"
    async with database.transaction() as connection:
        right = await proof.use_code(connection, login, "identity", code)
    try:
        if not right:
            raise WrongCode("Login and code do not belong together, or the code has run out.")
        async with database.transaction() as connection:
            opened = await proof.confirm(connection, login, who.institution, who.login, document)
            if key not in opened:
                raise Unprocessable("The account belongs to another person.")
            line = audit.Access(who, "identity-checked", stored.reference, tuple(opened), why=f"{document}; {why}")
            await audit.record(connection, [line])
    except Problem:
        await records.house.audit.write(
            audit.Access(who, "identity-checked", stored.reference, (key,), outcome=audit.REFUSED, why=why)
        )
        raise


async def take_back(records: Records, patient: str, login: str) -> None:
    """The institution no longer vouches for an account."""
    stored, who = await own_patient(records, patient), records.principal
    async with records.house.database.transaction() as connection:
        if await proof.end(connection, login, who.institution, by=who.login):
            keys = (key_of("Patient", stored.id),)
            line = audit.Access(who, "proof-ended", stored.reference, keys, why=f"account {login}")
            await audit.record(connection, [line])


async def vouched(records: Records, stored: Stored) -> list[Vouched]:
    """Accounts for which the asker's institution vouches with this record."""
    async with records.house.database.connection() as connection:
        rows = await connection.fetch(
            "SELECT p.login, a.name_zh, a.name_en, p.method, p.at FROM account_proof p JOIN account a USING (login)"
            " WHERE p.institution = $1 AND $2 = ANY(p.records) AND p.ended IS NULL ORDER BY p.at",
            *(records.principal.institution, key_of("Patient", stored.id)),
        )
    return [Vouched(**row) for row in rows]
