"""Proof of identity: which Patient resources the holder of an account has been shown to be.

Links between records are made by rules, and whoever registers people can make a record look like somebody else's. An
account therefore does not follow links: beyond its own Patient it reaches a linked one only where a proof stands
(docs/decisions/0013-proof-of-identity.md):

* an institution saw the person, and vouches for the records that it had before it at that moment, or
* the node's operator, or an outside OpenID provider, proved the person's number; it opens, at all institutions, the
  linked records that bear this very number.

`REACHED` is the rule, as SQL; `confirm` and `end` are all that changes it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from xinglin.access.identity.accounts import fold_login
from xinglin.access.identity.tokens import forget_remembered
from xinglin.access.persons.identifiers import fold_identifier, strong_identifiers
from xinglin.access.persons.terms import Kind
from xinglin.core.schema.decode import parse
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import NotFound, Unprocessable

OPERATOR: Final = "xinglin"
METHODS: Final = ("resident-card", "household-book", "passport", "other-document", "operator", "openid")
STAFF: Final = 0  # in place of the key of a Patient: the account is no patient's
CODE_MINUTES: Final = 15
CODE_TRIES: Final = 5

REACHED: Final = """
(SELECT array_agg(DISTINCT other.patient_id)
   FROM account_proof p JOIN person_link mine ON mine.patient = p.own JOIN person_link other USING (person)
  WHERE p.login = {login} AND p.ended IS NULL AND mine.patient_id = {patient}
    AND (other.patient = ANY(p.records) OR EXISTS (
         SELECT 1 FROM person_term t WHERE t.patient = other.patient AND t.kind = {kind}
            AND sha256(convert_to(t.term, 'UTF8')) = p.number)))
"""
"""Ids of the linked Patients that a login has been proven to be; `reached` fills it in."""


def reached(*, patient: str, login: str) -> str:
    """REACHED for these expressions of a statement. Strong identifiers stand among the blocks."""
    return REACHED.format(patient=patient, login=login, kind=int(Kind.BLOCK))


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof that stands. institution: Organization id; None: all."""

    id: int
    login: str
    institution: str | None
    by: str
    method: str
    at: datetime


async def confirm(
    connection: Connection, login: str, institution: str | None, by: str, method: str, *, number: str | None = None
) -> list[int]:
    """Say that the holder of an account is the person of their Patient; the keys of the records this opens.

    institution: Organization id, or None for all, which needs a number that names one person (`number`, as an outside
    provider asserts it, else the Patient's own). For an account of staff: that they may act in the posts which the
    institution gives them, though their account belongs to another. Raises NotFound for an account that is not there,
    or where the institution holds no linked record; Unprocessable.
    """
    login = login if login.startswith("token:") else fold_login(login)
    if await _is_staff(connection, login):
        return await _confirm_staff(connection, login, institution, by, method)
    own = await _own_patient(connection, login)
    if institution is None:
        return await _confirm_everywhere(connection, login, own, by, method, number)
    records = await _held(connection, own, institution)
    if not records:
        raise NotFound("The account's person has no record at this institution.", remedy="Check login and person.")
    await _replace(connection, login, key_of("Patient", own), institution, records, None, by, method)
    return records


async def _is_staff(connection: Connection, login: str) -> bool:
    return bool(await connection.fetchval("SELECT role <> 'patient' FROM account WHERE login = $1", login))


async def _confirm_staff(
    connection: Connection, login: str, institution: str | None, by: str, method: str
) -> list[int]:
    if institution is None:
        raise Unprocessable("Each institution vouches for its own staff.", remedy="Name the institution.")
    await _replace(connection, login, STAFF, institution, [], None, by, method)
    return []


async def _own_patient(connection: Connection, login: str) -> str:
    if login.startswith("token:"):
        own = await connection.fetchval(
            "SELECT patient FROM access_token WHERE id = $1 AND role = 'patient'", login.removeprefix("token:")
        )
    else:
        own = await connection.fetchval("SELECT patient FROM account WHERE login = $1 AND role = 'patient'", login)
    if own is None:
        raise NotFound("There is no such account of a patient.", remedy="Check the login.")
    return str(own)


async def _held(connection: Connection, own: str, institution: str) -> list[int]:
    """Keys of the linked Patients that the institution holds; the account's own among them."""
    rows = await connection.fetch(
        "SELECT key FROM resource WHERE NOT deleted AND custodian = $2 AND (key = $3 OR key IN ("
        " SELECT o.patient FROM person_link m JOIN person_link o USING (person) WHERE m.patient_id = $1))",
        *(own, key_of("Organization", institution), key_of("Patient", own)),
    )
    return [row["key"] for row in rows]


async def _confirm_everywhere(
    connection: Connection, login: str, own: str, by: str, method: str, number: str | None
) -> list[int]:
    body = await connection.fetchval("SELECT body FROM resource WHERE key = $1 AND NOT deleted", key_of("Patient", own))
    strong = sorted(strong_identifiers(parse(body))) if body else []
    asserted = None if number is None else fold_identifier(number)
    wanted = [one for one in strong if asserted is None or one.value.rpartition("|")[2] == asserted]
    wanted.sort(key=lambda one: one.kind != "resident-id")
    if not wanted:
        raise Unprocessable(
            "The account's Patient bears no number that proves a person.",
            remedy="Let each institution check the person's identity, or record the resident ID first.",
        )
    term = f"i:{wanted[0].kind}:{wanted[0].value}"
    key = key_of("Patient", own)
    await _replace(connection, login, key, None, [], sha256(term.encode()).digest(), by, method)
    return [key]


async def _replace(
    connection: Connection,
    login: str,
    own: int,
    institution: str | None,
    records: Sequence[int],
    number: bytes | None,
    by: str,
    method: str,
) -> None:
    if method not in METHODS:
        raise Unprocessable(f"{method!r} is no way to prove who somebody is.", remedy=f"Use {', '.join(METHODS)}.")
    await end(connection, login, institution, by=by)
    await connection.execute(
        "INSERT INTO account_proof (login, own, institution, records, number, by, method, at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        *(login, own, institution, list(records), number, by, method, clock.now()),
    )
    await forget_remembered(connection)


async def end(connection: Connection, login: str, institution: str | None, *, by: str) -> int:
    """End what an institution (None: that for all) has vouched for; the number of proofs ended."""
    done = await connection.execute(
        "UPDATE account_proof SET ended = $3, ended_by = $4"
        " WHERE login = $1 AND institution IS NOT DISTINCT FROM $2 AND ended IS NULL",
        *(login, institution, clock.now(), by),
    )
    await forget_remembered(connection)
    return int(done.split()[-1])


async def end_all(connection: Connection, login: str, *, by: str) -> None:
    """Somebody else has let a person into an account: whoever that was, what was proven before says nothing of them."""
    await connection.execute(
        "UPDATE account_proof SET ended = $2, ended_by = $3 WHERE login = $1 AND ended IS NULL", login, clock.now(), by
    )
    await forget_remembered(connection)


async def end_parted(connection: Connection, moved: Sequence[int]) -> None:
    """Records have changed their person: what was vouched for between records that are now apart has ended.

    Joined again, they need a new proof. Called in the transaction that moves them.
    """
    await connection.execute(_END_PARTED, list(moved), clock.now())


_END_PARTED: Final = """
UPDATE account_proof p SET ended = $2, ended_by = 'xinglin'
 WHERE p.ended IS NULL AND p.institution IS NOT NULL
   AND (p.records && $1::bigint[] OR p.own = ANY($1::bigint[]))
   AND EXISTS (
       SELECT 1 FROM unnest(p.records) AS r(key)
        WHERE r.key <> p.own AND NOT EXISTS (
              SELECT 1 FROM person_link m JOIN person_link x USING (person)
               WHERE m.patient = p.own AND x.patient = r.key))
"""


async def standing_proofs(connection: Connection, login: str) -> list[Proof]:
    """What stands for an account, the latest first."""
    rows = await connection.fetch(
        "SELECT id, login, institution, by, method, at FROM account_proof WHERE login = $1 AND ended IS NULL"
        " ORDER BY at DESC, id DESC",
        login,
    )
    return [Proof(**row) for row in rows]


async def seem_elsewhere(connection: Connection, login: str, patient: str) -> list[str]:
    """Ids of institutions that seem to hold records of the person which the account does not reach yet.

    Says nothing until an institution other than the one that holds the account's own Patient has vouched for the
    account, or its number is proven: whoever made a false record, with an account to it, learns nothing of the person
    whose name it bears.
    """
    rows = await connection.fetch(_ELSEWHERE, login, patient)
    return [str(row["id"]) for row in rows]


_ELSEWHERE: Final = f"""
WITH reached AS (SELECT unnest({reached(patient="$2", login="$1")}) AS id)
SELECT DISTINCT o.id FROM person_link mine JOIN person_link other USING (person)
  JOIN resource r ON r.key = other.patient AND NOT r.deleted
  JOIN resource o ON o.key = r.custodian
 WHERE mine.patient_id = $2 AND other.patient_id <> $2
   AND other.patient_id NOT IN (SELECT id FROM reached WHERE id IS NOT NULL)
   AND EXISTS (SELECT 1 FROM account_proof p WHERE p.login = $1 AND p.own = mine.patient AND p.ended IS NULL
                  AND (p.number IS NOT NULL OR p.own <> ALL(p.records)))
 ORDER BY o.id
"""  # noqa: S608


# codes ----------------------------------------------------------------------------------------------------------------


async def make_code(connection: Connection, login: str, use: str) -> str:
    """Eight digits for the account's owner to show, in place of any shown before."""
    code = f"{secrets.randbelow(10**8):08d}"
    await connection.execute(
        "INSERT INTO account_code (login, use, hash, expires) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (login, use) DO UPDATE SET hash = excluded.hash, tries = 0, expires = excluded.expires",
        *(login, use, _digest(login, code), clock.now() + timedelta(minutes=CODE_MINUTES)),
    )
    return code


async def use_code(connection: Connection, login: str, use: str, code: str) -> bool:
    """Whether the code is the one that the owner was shown; it serves once, and dies of wrong tries.

    Call it in a transaction of its own: a wrong try must stay counted when what asked is rolled back.
    """
    digits = "".join(c for c in code if c.isdigit())
    row: Any = await connection.fetchrow(
        "UPDATE account_code SET tries = tries + 1 WHERE login = $1 AND use = $2 AND expires > $3 AND tries < $4"
        " RETURNING hash",
        *(login, use, clock.now(), CODE_TRIES),
    )
    if row is None or not secrets.compare_digest(row["hash"], _digest(login, digits)):
        return False
    await connection.execute("DELETE FROM account_code WHERE login = $1 AND use = $2", login, use)
    return True


def _digest(login: str, code: str) -> bytes:
    return sha256(f"{login} {code}".encode()).digest()
