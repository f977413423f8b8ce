"""What must be true with the commit of a write: the terms people are found by, grants, search parameters in force."""

from __future__ import annotations

from collections.abc import Sequence

from xinglin.access.consent import store_consent
from xinglin.access.creating import FOLLOWED
from xinglin.access.identity import acting
from xinglin.access.parameters import parameter_changed
from xinglin.access.persons.index import index_patients
from xinglin.access.topics import value_set_changed
from xinglin.core.store.rows import Change
from xinglin.kernel.database import Connection

AT_ONCE = 50  # people whose spellings are worked out before other requests get their turn


async def project(connection: Connection, changes: Sequence[Change]) -> None:
    """Bring the projections up to the changes, in the transaction that makes them."""
    changes = [change for change in changes if change.type in FOLLOWED]
    patients = [(change.key, change.custodian, change.resource) for change in changes if change.type == "Patient"]
    for start in range(0, len(patients), AT_ONCE):
        await index_patients(connection, patients[start : start + AT_ONCE])
    await acting.project(connection, changes)
    for change in changes:
        if change.type == "Consent":
            await store_consent(connection, change.key, change.person, change.custodian, change.resource or {})
        elif change.type == "ValueSet" and change.resource:
            await value_set_changed(connection, change.resource)
        elif change.type == "SearchParameter":
            await parameter_changed(connection, change.key, change.resource)
