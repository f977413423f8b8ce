"""A transaction of thousands of entries and the small requests beside it: nobody waits long for their turn."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serving import Client

pytest_plugins = ("serving",)

ENTRIES = 3000
LONGEST = 0.1  # seconds of processor time between two turns of the event loop


def entry(number: int) -> dict[str, Any]:
    subject = f"urn:uuid:{number - number % 8}"
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "8480-6"}], "text": "systolic"},
        "subject": {"reference": subject},
        "effectiveDateTime": "2026-01-01T08:00:00Z",
        "valueQuantity": {"value": 120 + number % 60, "system": "http://unitsofmeasure.org", "code": "mm[Hg]"},
    }
    if number % 8 == 0:
        resource = {"resourceType": "Patient", "name": [{"family": "王", "given": [f"小{number}"]}]}
    request = {"method": "POST", "url": resource["resourceType"]}
    return {"fullUrl": f"urn:uuid:{number}", "resource": resource, "request": request}


async def gaps(found: list[float]) -> None:
    """Processor time between turns of the loop: what others do to this machine does not count."""
    last = time.process_time()
    while True:
        await asyncio.sleep(0)
        now = time.process_time()
        found.append(now - last)
        last = now


async def test_a_large_transaction_leaves_others_their_turn(fhir: Client) -> None:
    await fhir("POST", "Patient", {"resourceType": "Patient", "name": [{"text": "王小明"}]})  # reads the dictionaries
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry(number) for number in range(ENTRIES)]}
    gc.collect()
    gc.freeze()  # as a server does when it starts
    found: list[float] = []
    ticking = asyncio.create_task(gaps(found))
    answer = await fhir("POST", "", bundle)
    ticking.cancel()
    gc.unfreeze()
    assert answer.status_code == 200, answer.text[:500]
    assert len(answer.json()["entry"]) == ENTRIES
    assert len(found) > 200 and max(found) < LONGEST, f"the loop stood still for {max(found):.3f} s"
