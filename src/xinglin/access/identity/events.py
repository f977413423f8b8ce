"""What happened to an account's security: a line in the audit, and a line that its owner sees on their pages."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from xinglin.access import audit
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.kernel import clock
from xinglin.kernel.database import Connection

KEPT: Final = timedelta(days=366)
UNKNOWN: Final = "?"  # in place of a login that is nobody's: a password typed as login is not kept

# kind -> whether the owner is asked to look at it (a notice on their first page)
KINDS: Final = {
    "signed-in": False,
    "new-device": True,
    "signed-out": False,
    "refused": False,
    "code-refused": True,
    "password-changed": True,
    "password-given": True,
    "passkey-added": True,
    "passkey-removed": True,
    "passkey-suspended": True,
    "codes-added": True,
    "codes-removed": True,
    "recovery-codes-made": True,
    "recovery-code-used": True,
    "recovery-given": True,
    "recovery-refused": True,
    "recovered": True,
    "provider-linked": True,
    "provider-unlinked": True,
    "sessions-ended": False,
    "confirmed": False,
}
GRAVE: Final = frozenset({"recovery-given", "code-refused", "passkey-suspended"})
"""Somebody else may be at the account: its owner is led to these first."""
_AUDITED_ONLY: Final = frozenset({"refused", "confirmed", "signed-out"})
INTERACTIONS: Final = {"signed-in": "login", "new-device": "login", "refused": "login", "signed-out": "logout"}


@dataclass(frozen=True, slots=True)
class Whence:
    """The network address that a request came from, and the browser as it names itself."""

    address: str = ""
    agent: str = ""


NOWHERE: Final = Whence()


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    id: int
    at: datetime
    kind: str
    detail: str
    address: str
    agent: str
    seen: bool


async def tell(
    connection: Connection,
    kind: str,
    login: str,
    whence: Whence = NOWHERE,
    *,
    detail: str = "",
    by: Principal | None = None,
) -> None:
    """Record the event in the transaction that `connection` is in. by: who acted, where it was not the owner."""
    account = await connection.fetchrow("SELECT name_zh, role, institution FROM account WHERE login = $1", login)
    actor = by or _owner(login, account)
    outcome = audit.REFUSED if kind in ("refused", "code-refused", "passkey-suspended") else audit.SUCCESS
    interaction = INTERACTIONS.get(kind, kind)
    target = f"account {login if account else UNKNOWN}"  # no reference: Account is the bill in FHIR
    await audit.record(connection, [audit.Access(actor, interaction, target, outcome=outcome, why=detail)])
    if account is None or kind in _AUDITED_ONLY:
        return
    await connection.execute(
        "INSERT INTO security_event (login, at, kind, detail, address, agent, seen)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        *(login, clock.now(), kind, detail[:200], whence.address[:64], whence.agent[:200], not KINDS[kind]),
    )


def _owner(login: str, account: Any) -> Principal:
    """Nobody is signed in yet when a sign-in is recorded: the account itself stands for who asks."""
    if account is None:
        return Principal(UNKNOWN, "", Role.PATIENT, Purpose.ADMINISTRATION)
    role = Role(account["role"])
    return Principal(login, account["name_zh"], role, Purpose.ADMINISTRATION, account["institution"])


async def listed(connection: Connection, login: str, *, count: int = 20) -> list[SecurityEvent]:
    """The account's events, newest first."""
    rows = await connection.fetch(
        "SELECT id, at, kind, detail, address, agent, seen FROM security_event WHERE login = $1"
        " ORDER BY id DESC LIMIT $2",
        *(login, count),
    )
    return [SecurityEvent(**row) for row in rows]


async def unseen(connection: Connection, login: str, kinds: Collection[str] = tuple(KINDS)) -> int:
    """How many events, of these kinds, wait for the owner's eye."""
    sql = "SELECT count(*) FROM security_event WHERE login = $1 AND NOT seen AND kind = ANY($2::text[])"
    return int(await connection.fetchval(sql, login, list(kinds)))


async def mark_seen(connection: Connection, login: str, up_to: int) -> None:
    await connection.execute(
        "UPDATE security_event SET seen = true WHERE login = $1 AND id <= $2 AND NOT seen", login, up_to
    )
    await connection.execute("DELETE FROM security_event WHERE login = $1 AND at < $2", login, clock.now() - KEPT)
