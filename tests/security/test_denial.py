"""Attack cases 83-88 for callers with rules upon them: the cost of a request is bounded also where much is hidden.

Malformed and oversized requests, strangers and slow bodies are in test_parsers.py.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from attacked import observation

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)

SLOWEST = 2.0  # seconds of one request
HEAVY = [
    ("83_count", "Observation?_count=1000000000"),
    ("83_history", "_history?_count=1000000000"),
    ("83_included", "?_include=*&_revinclude=*&_include:iterate=*&_revinclude:iterate=*&_count=1000&_type=Patient"),
    ("84_chain", "Observation?subject.organization.partof.partof.partof.partof.partof.name=a"),
    ("84_wildcard_chain", "Provenance?target.subject.general-practitioner.name=a"),
    ("84_nested_has", "Patient?" + "_has:Observation:patient:" + "_has:Observation:has-member:" * 6 + "code=known"),
    ("84_many_chains", "Observation?" + "&".join(f"has-member.has-member.code={n}" for n in range(40))),
    ("84_many_has", "Patient?" + "&".join("_has:Observation:patient:code:not=x" for _ in range(90))),
    ("84_filter", "Observation?_filter=" + " or ".join(f'has-member.code eq "{n}"' for n in range(90))),
    ("85_contains", "Patient?name:contains=" + "a%2B" * 5000 + "b"),
    ("85_like", "Patient?name:contains=" + "%25_" * 3000),
    ("85_filter", 'Patient?_filter=name co "' + "%25_" * 2000 + '"'),
    ("85_total", "?_total=accurate&_count=1&_lastUpdated=ge2000"),
]


@pytest.mark.parametrize("path", [row[1] for row in HEAVY], ids=[row[0] for row in HEAVY])
@pytest.mark.parametrize("login", ["dr-a", "anna", "clerk"])
async def test_a_heavy_wish_ends_in_time(county: County, login: str, path: str) -> None:
    start = time.process_time()
    answer = await county.ask(login, "GET", path)
    assert time.process_time() - start < SLOWEST
    assert answer.status_code in (200, 400), answer.text
    assert '"code":"secret"' not in answer.text or login == "anna"


async def test_case_83_a_page_has_an_end(own_county: County) -> None:
    county = own_county
    await county.put("A", *(observation(f"n{number}", "a1") for number in range(1100)))
    page = await county.get("dr-a", "Observation?_count=999999999")
    assert len(page["entry"]) == 1000 and [link for link in page["link"] if link["relation"] == "next"]
    assert len((await county.get("dr-a", "_history?_count=1000000000"))["entry"]) <= 1000


async def test_case_88_a_request_leaves_a_bounded_number_of_lines(own_county: County) -> None:
    """One line for a request and for each person it showed, however many resources of theirs; one for a refusal."""
    county = own_county

    async def lines() -> int:
        return int((await county.fetch("SELECT count(*) AS n FROM audit"))[0]["n"])

    start = await lines()
    await county.get("dr-a", "Observation?_count=1000&_include=*&_revinclude=*")
    assert await lines() - start == 2  # Anna and Ben
    start = await lines()
    for _ in range(10):
        await county.ask("dr-a", "GET", "Observation/hid")
    assert await lines() - start == 10
    entry = {"request": {"method": "GET", "url": "Observation/hid"}}
    start = await lines()
    await county.ask("dr-a", "POST", "", {"resourceType": "Bundle", "type": "batch", "entry": [entry] * 20})
    assert await lines() - start == 20
