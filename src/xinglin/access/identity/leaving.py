"""Somebody leaves an institution: the account closes, what they are signed in with ends, and their posts end.

One transaction, so that nobody is half gone. An account's tokens die with it; tokens of programs that act as this
practitioner for the institution are revoked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xinglin.access import audit
from xinglin.access.identity import begun
from xinglin.access.identity.accounts import Account
from xinglin.access.identity.tokens import forget_remembered
from xinglin.access.principal import NODE
from xinglin.core.rest.gate import Write
from xinglin.core.schema.decode import parse
from xinglin.core.search import values
from xinglin.core.store.keys import key_of
from xinglin.kernel import clock
from xinglin.kernel.errors import Conflict

if TYPE_CHECKING:
    from xinglin.access.records import Records


async def leave(records: Records, account: Account) -> int:
    """Close the account and end its owner's posts at its institution today; the number of posts ended.

    records: of who does it (a manager, a provisioning program, the operator). Raises Conflict for one's own account.
    """
    if account.login == records.principal.login:
        raise Conflict("Nobody takes themselves out.", remedy="Ask another manager.")
    async with records.house.database.transaction() as connection:
        await connection.execute("UPDATE account SET active = false WHERE login = $1", account.login)
        await connection.execute("DELETE FROM session WHERE login = $1", account.login)
        await begun.forget(connection, account.login)
        if account.practitioner:
            await connection.execute(
                "UPDATE access_token SET revoked = $3 WHERE practitioner = $1 AND institution = $2 AND revoked IS NULL",
                *(account.practitioner, account.institution, clock.now()),
            )
        await forget_remembered(connection)
        ended = await _end_posts(records, connection, account)
        line = audit.Access(records.principal, "staff-left", f"account {account.login}", (), why=f"{ended} posts ended")
        await audit.record(connection, [line])
    return ended


async def _end_posts(records: Records, connection: Any, account: Account) -> int:
    if not account.practitioner or not account.institution:
        return 0
    holder = key_of("Organization", account.institution)
    rows = await connection.fetch(
        "SELECT r.id, r.body, r.custodian FROM staff_role s JOIN resource r USING (key) WHERE s.practitioner = $1"
        " AND s.institution = $2 AND s.active AND r.custodian IN ($3, 0)",
        *(account.practitioner, account.institution, holder),
    )
    today = clock.now().astimezone(values._zone).date().isoformat()
    node = type(records)(records.house, NODE, why=f"left, says {records.principal.login}")
    for row in rows:
        body = parse(row["body"])
        body |= {"active": False, "period": {**body.get("period", {}), "end": today}}
        custodian = account.institution if row["custodian"] else None
        await node.write_within(connection, [Write("PUT", "PractitionerRole", row["id"], body)], custodian)
    return len(rows)
