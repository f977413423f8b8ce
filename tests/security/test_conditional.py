"""Attack cases 47-51: conditions are answered by what the caller may see, and reach nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from attacked import observation, patient

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)


def entry(method: str, url: str, resource: Any = None, **request: str) -> dict[str, Any]:
    body = {"resource": resource} if resource else {}
    return {"request": {"method": method, "url": url, **request}, **body}


def bundle(*entries: dict[str, Any], kind: str = "transaction") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def new_patient(number: str) -> dict[str, Any]:
    return {name: value for name, value in patient("x", "New", number).items() if name != "id"}


async def test_case_47_creating_under_a_condition_makes_one_for_each_who_cannot_see_the_other(
    own_county: County,
) -> None:
    """16 callers of two institutions at once: each institution has exactly one, since neither sees the other's."""

    async def create(login: str) -> tuple[str, int]:
        header = {"if_none_exist": "identifier=urn:id|99"}
        return login, (await own_county.ask(login, "POST", "Patient", new_patient("99"), **header)).status_code

    done = await asyncio.gather(*(create(login) for login in ("dr-a", "dr-b") * 8))
    for login in ("dr-a", "dr-b"):
        assert sorted(status for who, status in done if who == login) == [200] * 7 + [201]
        assert len(await own_county.ids(login, "Patient?identifier=urn:id|99")) == 1
    assert len(await own_county.ids("root", "Patient?identifier=urn:id|99")) == 2


async def test_case_48_a_condition_does_not_reach_what_is_hidden(own_county: County) -> None:
    county = own_county
    before = await county.get("root", "Observation/hid")
    assert (await county.ask("dr-a", "DELETE", "Observation?code=secret")).status_code == 204
    patch = [{"op": "add", "path": "/language", "value": "zh"}]
    refused = await county.ask(
        "dr-a", "PATCH", "Observation?code=secret", patch, content_type="application/json-patch+json"
    )
    assert refused.status_code == 404
    new = {name: value for name, value in observation("x", "a1", "secret").items() if name != "id"}
    created = await county.ask("dr-a", "PUT", "Observation?code=secret", new)
    assert created.status_code == 201 and created.json()["id"] != "hid"
    assert await county.get("root", "Observation/hid") == before
    assert (await county.ask("dr-a", "DELETE", "Patient?identifier=777")).status_code == 204
    assert await county.ids("root", "Patient?identifier=777") == {"b2"}


async def test_case_49_the_number_of_matches_counts_what_may_be_seen(own_county: County) -> None:
    """One visible and one hidden match are one match; a condition that only the hidden meets is met by nothing."""
    county = own_county
    header = {"if_none_exist": "identifier=urn:id|1"}
    answer = await county.ask("dr-a", "POST", "Patient", new_patient("1"), **header)
    assert (answer.status_code, answer.json()["id"]) == (200, "a1")
    assert (await county.ask("root", "POST", "Patient", new_patient("1"), **header)).status_code == 412
    for number, who in (("777", "dr-a"), ("1", "app")):
        reference = {**observation("x", "a1"), "subject": {"reference": f"Patient?identifier=urn:id|{number}"}}
        del reference["id"]
        refused = await county.ask(who, "POST", "", bundle(entry("POST", "Observation", reference)))
        assert refused.status_code in (403, 412)
        assert "more than one" not in refused.text and "b2" not in refused.text and "a1" not in refused.text


async def test_case_50_if_match_counts_inside_a_transaction(own_county: County) -> None:
    county = own_county
    stale = bundle(
        entry("PUT", "Observation/oa2", observation("oa2", "a2", "changed")),
        entry("PUT", "Observation/oa1", observation("oa1", "a1", "changed"), ifMatch='W/"7"'),
    )
    assert (await county.ask("dr-a", "POST", "", stale)).status_code == 412
    assert await county.ids("dr-a", "Observation?code=changed") == set()
    for wrong in ("7", "nonsense"):
        again = bundle(entry("DELETE", "Observation/oa1", ifMatch=wrong))
        assert (await county.ask("dr-a", "POST", "", again)).status_code in (400, 412)
    assert (await county.ask("dr-a", "GET", "Observation/oa1")).status_code == 200


@pytest.mark.parametrize("kind", ["transaction", "batch"])
@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "http://elsewhere.example/fhir/Observation/hid"),
        ("GET", "//elsewhere.example/Observation/hid"),
        ("GET", "Observation/hid"),
        ("GET", "http://127.0.0.1:8080/fhir/Observation/hid"),
        ("GET", "../Observation/hid"),
        ("GET", "Observation?_id=hid"),
        ("PUT", "Observation/hid"),
        ("DELETE", "Observation/hid"),
    ],
)
async def test_case_51_an_entry_with_an_address_of_another(
    own_county: County, kind: str, method: str, url: str
) -> None:
    body = observation("hid", "a1", "taken") if method == "PUT" else None
    before = await own_county.get("root", "Observation/hid")
    answer = await own_county.ask("dr-a", "POST", "", bundle(entry(method, url, body), kind=kind))
    assert '"secret"' not in answer.text
    assert await own_county.get("root", "Observation/hid") == before


async def test_case_51_a_full_url_does_not_stand_for_what_is_hidden(own_county: County) -> None:
    """An entry whose fullUrl is another's address: references to it mean the entry, not the other's resource."""
    person = {**new_patient("5")}
    about = {**observation("x", "b2")}
    del about["id"]
    rows = [
        {**entry("POST", "Patient", person), "fullUrl": "Patient/b2"},
        {**entry("POST", "Observation", about), "fullUrl": "urn:uuid:1"},
    ]
    answer = await own_county.ask("dr-a", "POST", "", bundle(*rows))
    assert answer.status_code in (200, 400, 422)
    assert await own_county.ids("root", "Observation?patient=b2") == {"ob2"}
