"""Attack cases 15-21: what comes along with a match is judged like a match."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)

KNOWN, BAIT = {"Observation/oa1"}, "Observation/hid"
INCLUDES: list[tuple[str, str, set[str], set[str]]] = [
    ("15_include", "Observation?_id=oa3&_include=Observation:encounter", set(), {"Encounter/eb"}),
    ("15_include_in_a_list", "List?_id=la&_include=List:item", KNOWN, {*KNOWN, BAIT}),
    ("16_revinclude", "Patient?_id=a2&_revinclude=List:item", set(), set()),
    ("16_revinclude_of_the_hidden", "Patient?_id=a1&_revinclude=Composition:patient", set(), {"Composition/compb"}),
    ("16_on_the_directory", "Practitioner?_id=pb&_revinclude=Composition:author", set(), {"Composition/compb"}),
    (
        "17_no_bridge_over_the_hidden",
        "Observation?_id=oa4&_include:iterate=Observation:has-member",
        set(),
        {"Observation/hid", "Observation/oa5"},
    ),
    (
        "18_all",
        "Observation?_id=oa3,oa4&_include=*",
        {"Patient/a1"},
        {"Patient/a1", "Encounter/eb", "Observation/hid"},
    ),
    (
        "20_provenance",
        "Observation?_id=oa1&_revinclude=Provenance:target",
        {"Provenance/pra"},
        {"Provenance/pra", "Provenance/prb"},
    ),
    (
        "20_targets_of_provenance",
        "Provenance?_id=pra&_include=Provenance:target",
        {"Observation/oa1"},
        {"Observation/oa1", "Observation/hid"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("query", "told", "there"), [row[1:] for row in INCLUDES], ids=[row[0] for row in INCLUDES])
async def test_what_comes_along_may_be_seen(county: County, query: str, told: set[str], there: set[str]) -> None:
    assert await county.ids("root", query, "include") == there
    assert await county.ids("dr-a", query, "include") == told


async def test_case_18_everything_in_both_directions(county: County) -> None:
    page = await county.get("dr-a", "Patient?_include=*&_revinclude=*&_include:iterate=*&_revinclude:iterate=*")
    ids = {row["resource"]["id"] for row in page["entry"] if row["search"]["mode"] != "outcome"}
    assert ids & {"oa1", "oa2", "la", "pra", "pa", "A"}
    assert not ids & {
        "hid",
        "ob1",
        "ob2",
        "hiv",
        "b1",
        "b2",
        "eb",
        "cb",
        "prb",
        "lb",
        "gb",
        "compb",
        "qrb",
        "own",
        "bare",
    }
    rows = [row["resource"] for row in (await county.get("root", "Patient?_revinclude=*"))["entry"]]
    assert {"hid", "lb", "gb"} <= {row["id"] for row in rows}


async def test_case_19_every_page_of_included_rows(county: County) -> None:
    seen: set[str] = set()
    path = "Observation?_count=1&_include=*&_revinclude=*"
    for _ in range(10):
        page = await county.get("dr-a", path)
        seen |= {row["resource"]["id"] for row in page["entry"]}
        following = [link["url"] for link in page["link"] if link["relation"] == "next"]
        if not following:
            break
        path = following[0]
    assert {"oa1", "oa2", "oa3", "oa4", "oa5", "la", "pra", "ea"} - {"ea"} <= seen
    assert not seen & {"hid", "eb", "prb", "lb"}


async def test_case_21_a_type_outside_the_scope_is_not_brought(county: County) -> None:
    """A token for Observations brings no Patient by _include, and finds nothing by a chain through one."""
    page = await county.get("app", "Observation?_id=oa1&_include=*&_revinclude=*")
    assert [row["resource"]["id"] for row in page["entry"]] == ["oa1"]
    for query in ("patient.family=Wang", "patient.identifier=1", "_has:List:item:status=current", "_list=la"):
        assert await county.ids("app", f"Observation?{query}") == set(), query
    assert await county.ids("dr-a", "Observation?patient.family=Wang") == {"oa1", "oa3", "oa4"}
    assert (await county.ask("app", "GET", "Patient/a1")).status_code == 404


async def test_what_is_included_is_in_the_persons_access_list(county: County) -> None:
    """Who is shown by an include was accessed as much as who was searched for."""
    before = {row["seq"] for row in await _lines(county)}
    await county.get("dr-b", "Encounter?_id=eb&_include=Encounter:patient")
    assert [row["login"] for row in await _lines(county) if row["seq"] not in before] != []


async def _lines(county: County) -> list[Any]:
    entries = (await county.get("anna", "AuditEvent?_count=1000")).get("entry", [])
    return [{"seq": row["resource"]["id"], "login": json.dumps(row["resource"]["agent"])} for row in entries]
