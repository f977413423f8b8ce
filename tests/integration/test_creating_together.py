"""Small creations that come at the same time share a transaction, and are whole or refused each for itself."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from test_gate import observation, patient, put

from xinglin.access import audit, creating
from xinglin.access.house import House
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.schema.decode import parse
from xinglin.core.store import write as store
from xinglin.core.store.keys import key_of
from xinglin.kernel.errors import Invalid, PreconditionFailed, Problem

PROGRAM = Principal("interface", "Interface engine", Role.SYSTEM, Purpose.OPERATIONS, institution="A")
VISIT = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0"
"""Every bundle of a sender may use the same one: it means an entry of its own bundle."""


def visit_with_result(number: int, encounter: str = VISIT, subject: str = "Patient/p") -> list[Write]:
    """An Encounter, and an Observation that refers to it."""
    visit = {
        "resourceType": "Encounter",
        "status": "finished",
        "class": {"code": "AMB"},
        "subject": {"reference": "Patient/p"},
        "identifier": [{"system": "urn:visit", "value": str(number)}],
    }
    result = observation("", "p", note=[{"text": str(number)}])
    del result["id"]
    result |= {"encounter": {"reference": encounter}, "subject": {"reference": subject}}
    return [Write("POST", "Encounter", resource=visit, full_url=VISIT), Write("POST", "Observation", resource=result)]


@pytest.fixture
async def ward(house: House) -> House:
    known = [{"system": "urn:mrn", "value": "1"}]
    await put(house, "A", {"resourceType": "Organization", "id": "A"}, {**patient("p"), "identifier": known})
    return house


async def told(house: House) -> int:
    async with house.database.connection() as connection:
        lines = await audit.entries(connection, count=1000, persons=[key_of("Patient", "p")])
    return sum(line.interaction == "transaction" and line.login == PROGRAM.login for line in lines)


async def whole(house: House, number: int) -> list[dict[str, Any]]:
    """The visit of this number and what refers to it: both, or none."""
    seen = await Records(house, NODE).search(
        "Encounter", f"identifier=urn:visit|{number}&_revinclude=Observation:encounter"
    )
    return [parse(stored.body) for stored in [*seen.matches, *seen.included]]


async def test_each_is_whole_or_refused_for_itself(ward: House) -> None:
    calls = [visit_with_result(number) for number in range(40)]
    calls[7] = visit_with_result(7, encounter="urn:uuid:ffffffff-1cbf-4d64-b04d-cd9187a4c6e0")  # points to nothing
    calls[8] = visit_with_result(8, subject="Patient?identifier=urn:mrn|1")  # must be searched for
    calls[9] = visit_with_result(9, subject="Patient?identifier=urn:mrn|2")  # finds nobody
    made = await asyncio.gather(*(Records(ward, PROGRAM).write(writes) for writes in calls), return_exceptions=True)
    assert {number: type(one) for number, one in enumerate(made) if isinstance(one, Problem)} == {
        7: Invalid,
        9: PreconditionFailed,
    }
    for number in range(40):
        found = await whole(ward, number)
        assert len(found) == (0 if number in (7, 9) else 2), number
        if found:
            visit, result = found
            assert result["note"] == [{"text": str(number)}] and result["subject"] == {"reference": "Patient/p"}
            assert result["encounter"] == {"reference": f"Encounter/{visit['id']}"}
    assert await told(ward) == 38


async def test_what_fails_together_is_made_alone_and_points_to_what_was_stored(
    ward: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another attempt gives other ids: what was rewritten for the first is given back before."""
    commit, failures = store.commit, [2]

    async def failing(*arguments: Any) -> Any:
        stored = await commit(*arguments)
        if failures[0]:
            failures[0] -= 1
            raise asyncpg.UniqueViolationError("another transaction was quicker")
        return stored

    monkeypatch.setattr(store, "commit", failing)
    await Records(ward, PROGRAM).write(visit_with_result(1))
    assert failures == [0]
    visit, result = await whole(ward, 1)
    assert result["encounter"] == {"reference": f"Encounter/{visit['id']}"}
    assert await told(ward) == 1


def test_what_more_must_follow_has_a_transaction_of_its_own() -> None:
    [plain, other] = visit_with_result(1)
    assert creating.shareable(PROGRAM, [plain, other])
    assert not creating.shareable(PROGRAM, [Write("POST", "Consent", resource={"resourceType": "Consent"})])
    assert not creating.shareable(PROGRAM, [Write("PUT", "Encounter", "e", plain.resource)])
    assert not creating.shareable(PROGRAM, [Write("POST", "Encounter", resource=plain.resource, condition="a=b")])
    assert not creating.shareable(PROGRAM, [plain] * (creating.SMALL + 1))
