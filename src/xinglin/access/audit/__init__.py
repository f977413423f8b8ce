"""What was done: one line for each access and person, written before the answer leaves, and proof that none is changed.

lines     what is written, and its canonical form        writer    many readers' lines in one commit
reading   lines for pages                                search    AuditEvent searched, compiled to SQL
events    a line as an AuditEvent (IHE BALP)             erasure   personal data taken out again
merkle    the tree's arithmetic (RFC 9162), pure         notes     signed heads (C2SP), pure
tree      the tree in PostgreSQL: growing, proofs        heads     heads signed, kept, cosigned
witness   heads of other nodes, countersigned            evidence  export, and what verifies it
"""

from __future__ import annotations

from xinglin.access.audit.events import audit_event
from xinglin.access.audit.lines import ACTIONS, FAILED, REFUSED, SUCCESS, Access, record
from xinglin.access.audit.reading import ANYTHING, AccessEntry, Wanted, entries
from xinglin.access.audit.writer import AuditUnavailable, AuditWriter

__all__ = [
    "ACTIONS",
    "ANYTHING",
    "FAILED",
    "REFUSED",
    "SUCCESS",
    "Access",
    "AccessEntry",
    "AuditUnavailable",
    "AuditWriter",
    "Wanted",
    "audit_event",
    "entries",
    "record",
]
