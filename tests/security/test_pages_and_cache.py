"""Attack cases 22-27: a page link is good for one search by one caller, and shows what may be seen when followed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from xinglin.access import sharing
from xinglin.access.records import Records

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)


async def following(county: County, login: str, path: str) -> str:
    page = await county.get(login, path)
    return next(link["url"] for link in page["link"] if link["relation"] == "next")


def issue(answer: Any) -> str:
    return str(answer.json()["issue"][0]["diagnostics"])


@pytest.mark.parametrize("other", ["dr-a2", "dr-b", "anna", "root", "app", "backend-a"])
async def test_case_22_23_the_link_of_another_caller_is_refused(county: County, other: str) -> None:
    link = await following(county, "dr-a", "Observation?_count=2&_total=accurate")
    assert (await county.ask("dr-a", "GET", link)).status_code == 200
    refused = await county.ask(other, "GET", link)
    assert refused.status_code == 400 and "page link" in issue(refused)


async def test_case_23_a_link_of_one_tenant_at_another(county: County) -> None:
    link = await following(county, "backend-b", "Observation?_count=1")
    assert (await county.ask("backend-a", "GET", link)).status_code == 400


async def test_case_24_a_tampered_link_is_refused(county: County) -> None:
    link = await following(county, "dr-a", "Observation?_count=2")
    token = link.partition("_page=")[2]
    assert (await county.ask("dr-a", "GET", link)).status_code == 200
    for wrong in (
        token[:-1],
        token + "A",
        "A" * len(token),
        token[:5] + ("B" if token[5] != "B" else "C") + token[6:],
        "",
    ):
        answer = await county.ask("dr-a", "GET", f"Observation?_count=2&_page={wrong}")
        assert answer.status_code == (400 if wrong else 200), wrong


@pytest.mark.parametrize(
    "elsewhere",
    [
        "Condition?_count=2", "Patient/a1/Observation?_count=2", "?_count=2", "Observation?_count=2&code=known",
        "Observation?_count=2&_include=*", "Encounter/ea/Observation?_count=2",
    ],
)  # fmt: skip
async def test_case_24_a_link_is_good_for_its_own_search_only(county: County, elsewhere: str) -> None:
    token = (await following(county, "dr-a", "Observation?_count=2")).partition("_page=")[2]
    assert (await county.ask("dr-a", "GET", f"{elsewhere}&_page={token}")).status_code == 400


@pytest.mark.parametrize(
    "cursor",
    ["x", "1-2", "1-2-3-4", "9" * 30 + "-1-1", "1-9223372036854775808-1", "1--9223372036854775809-1", "1-1-999999999"],
)
async def test_case_24_a_made_up_cursor_of_a_history(county: County, cursor: str) -> None:
    """A cursor of history is a position, not a permission: made up, it shows nothing more."""
    answer = await county.ask("dr-a", "GET", f"Observation/_history?_page={cursor}")
    assert answer.status_code in (200, 400)
    assert "hid" not in answer.text


async def test_case_25_consent_withdrawn_between_pages(own_county: County) -> None:
    from attacked import ANNA

    anna = Records(own_county.house, ANNA)
    consent = await sharing.permit(anna, custodian="B", grantee="A", category_codes=["laboratory"])
    path = "Observation?_count=1&_total=accurate"
    seen, link = set(), path
    page = await own_county.get("dr-a", path)
    assert page["total"] == 7
    everything = await own_county.ids("dr-a", "Observation?_count=50")
    assert {"ob1", "hid"} < everything
    await sharing.withdraw(anna, consent.id)
    while link:
        page = await own_county.get("dr-a", link)
        if link != path:
            seen |= {row["resource"]["id"] for row in page["entry"]}
        link = next((one["url"] for one in page["link"] if one["relation"] == "next"), "")
    assert seen and not seen & {"ob1", "hid"}
    assert await own_county.ids("dr-a", "Observation?_count=50") == everything - {"ob1", "hid"}


async def test_case_26_nothing_is_kept_for_another_caller(county: County) -> None:
    """The same address asked by one after the other: each has their own answer, which no cache may keep."""
    for _ in range(2):
        for login, ids in (
            ("dr-b", {"hid", "ob1", "ob2", "hiv"}),
            ("dr-a", {"oa1", "oa2", "oa3", "oa4", "oa5"}),
            ("clerk", set()),
        ):
            answer = await county.ask(login, "GET", "Observation?_total=accurate")
            assert {row["resource"]["id"] for row in answer.json().get("entry", [])} == ids
            assert answer.headers["cache-control"] == "no-store"


async def test_case_26_an_etag_does_not_confirm_what_is_hidden(county: County) -> None:
    etag = (await county.ask("dr-b", "GET", "Observation/hid")).headers["etag"]
    assert (await county.ask("dr-b", "GET", "Observation/hid", if_none_match=etag)).status_code == 304
    for headers in (
        {"if_none_match": etag},
        {"if_none_match": "*"},
        {"if_modified_since": "Fri, 01 Jan 2100 00:00:00 GMT"},
    ):
        assert (await county.ask("dr-a", "GET", "Observation/hid", **headers)).status_code == 404


async def test_case_27_a_page_is_not_a_thing_to_be_fetched(county: County) -> None:
    """Result pages are not stored: there is no bundle id to guess."""
    page = await county.get("dr-b", "Observation?_count=1")
    assert "id" not in page or (await county.ask("dr-a", "GET", f"Bundle/{page['id']}")).status_code == 404
    assert (await county.get("root", "Bundle"))["total"] == 0
