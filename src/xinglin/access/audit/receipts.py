"""A receipt: one line of the log with the proof that it is in it, for whoever may see the line."""

from __future__ import annotations

import re
from typing import Any, Final

from xinglin.access.audit import heads, tree
from xinglin.access.audit.evidence import entry_of
from xinglin.access.audit.lines import SUCCESS
from xinglin.access.audit.search import names
from xinglin.access.records import Records
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import NotFound

EVENT: Final = re.compile(r"a(\d{1,18})")
"""The id of an AuditEvent: `a`, and the number of the line."""
ROW: Final = """
SELECT l.leaf, l.salt, e.by, a.* FROM audit a JOIN audit_leaf l USING (seq) LEFT JOIN audit_erasure e USING (leaf)
WHERE a.seq = $1
"""


def number(event: str) -> int:
    """The number of the line that an AuditEvent's id names. NotFound where it names none."""
    found = EVENT.fullmatch(event)
    if found is None:
        raise NotFound("There is no such entry.", remedy="An entry's id is that of its AuditEvent, such as a17.")
    return int(found[1])


async def leaf(connection: Connection, event: str) -> int:
    """The leaf of an entry; public, since it says nothing of the entry."""
    return await tree.leaf_of_line(connection, number(event))


def _missing() -> NotFound:
    return NotFound("There is no such entry.", remedy="Check the id.")


async def receipt(records: Records, event: str) -> dict[str, Any]:
    """The line, its salt, and the path from its leaf to the newest head. NotFound for what may not be seen.

    A line says whose data it was, by the person's number. Of a refused access that would be to say that there was
    something: such a line is for those who may know the person.
    """
    seq = number(event)
    seen = await records.audit_trail(count=1, before=seq + 1)
    if not seen or seen[0].seq != seq:
        raise _missing()
    async with records.house.database.connection() as connection:
        known, _ = await names(connection, seen, records.visible)
        if seen[0].outcome != SUCCESS and seen[0].person and seen[0].person not in known:
            raise _missing()
        row = await connection.fetchrow(ROW, seq)
        head = await heads.head(connection)
        if row is None or row["leaf"] >= head.size:
            raise NotFound("The entry is not under a signed head yet.", remedy="Ask again in a few minutes.")
        proof = await tree.inclusion(connection, row["leaf"], head.size)
    path = [one.hex() for one in proof.path]
    return {**entry_of(row), "event": event, "hash": proof.hashed.hex(), "path": path, "head": head.text}
