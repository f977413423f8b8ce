"""Attack cases 1-14: a search must not tell what it does not show.

Each query has two answers: what dr-a may learn, and what root finds, which proves that there was something to learn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)

A1 = {"a1"}
ORACLES: list[tuple[str, str, set[str], set[str]]] = [
    ("01_has", "Patient?_has:Observation:patient:code=secret", set(), A1),
    ("01_has_by_subject", "Patient?_has:Observation:subject:code=secret&_id=a1", set(), A1),
    ("01_has_on_the_directory", "Practitioner?_has:Composition:author:type=secret", set(), {"pb"}),
    ("02_nested_has", "Patient?_has:Encounter:patient:_has:Observation:encounter:code=secret", set(), A1),
    ("02_has_in_a_chain", "Observation?patient._has:Composition:patient:type=secret&_id=oa1", set(), {"oa1"}),
    ("03_chain", "Observation?encounter.class=SECRET", set(), {"oa3"}),
    ("03_chain_through_the_hidden", "Observation?has-member.has-member.code=known", set(), {"oa4"}),
    ("04_canonical", "Questionnaire?_has:QuestionnaireResponse:questionnaire:status=amended", set(), {"q"}),
    ("04_chain_by_canonical", "QuestionnaireResponse?questionnaire.title=Sleep", set(), {"qrb"}),
    ("05_bisection_gt", "Patient?_has:Observation:patient:value-quantity=gt41", set(), A1),
    ("05_bisection_lt", "Observation?has-member.value-quantity=lt43&value-quantity=lt41", set(), {"oa4"}),
    ("05_composite", "Patient?_has:Observation:patient:code-value-quantity=secret$gt41", set(), A1),
    ("09_filter", 'Observation?_filter=encounter.class eq "SECRET"', set(), {"oa3"}),
    ("09_filter_bracket", 'Observation?_filter=has-member[code eq "secret"].status eq "final"', set(), {"oa4"}),
    ("09_filter_not", 'Observation?_filter=not(has-member.code eq "secret")&_id=oa4', {"oa4"}, set()),
    ("10_hidden_list", "Patient?_list=lb", set(), A1),
    ("10_has_hidden_list", "Observation?_has:List:item:_id=lb", set(), {"oa1"}),
    ("10_hidden_member", "Observation?_list=la", {"oa1"}, {"oa1", "hid"}),
    ("11_source", "Observation?_source=http://hidden.example", set(), {"hid"}),
    ("11_source_chained", "Observation?has-member._source=http://hidden.example", set(), {"oa4"}),
    ("12_not", "Patient?_has:Observation:patient:code:not=known", set(), A1),
    ("12_missing", "Patient?_has:Observation:patient:encounter:missing=false&_has:Encounter:patient:class=AMB", A1, A1),
    ("12_missing_chained", "Observation?has-member.encounter:missing=false", set(), {"oa4"}),
    ("12_not_of_a_hidden_target", "Observation?encounter:Encounter.class:not=AMB", set(), {"oa3"}),
    ("13_system", "?_id=hid,oa1,cb&_type=Observation,Condition", {"oa1"}, {"hid", "oa1", "cb"}),
    ("13_system_any_type", "?_id=hid,compb", set(), {"hid", "compb"}),
    ("13_compartment", "Patient/a1/*?_id=hid,oa1,lb,compb", {"oa1"}, {"hid", "oa1", "lb", "compb"}),
    ("13_compartment_of_another", "Encounter/eb/Observation", {"oa3"}, {"oa3"}),
]


@pytest.mark.parametrize(("query", "learned", "there"), [row[1:] for row in ORACLES], ids=[row[0] for row in ORACLES])
async def test_a_search_finds_by_what_may_be_seen(
    county: County, query: str, learned: set[str], there: set[str]
) -> None:
    assert await county.ids("root", query) == there
    assert await county.ids("dr-a", query) == learned
    count = query + ("&" if "?" in query else "?") + "_summary=count"
    assert (await county.get("dr-a", count))["total"] == len(learned)


async def test_case_06_no_order_by_what_is_elsewhere(county: County) -> None:
    for sort in ("encounter.date", "has-member.value-quantity", "_has:Observation:patient:date"):
        assert (
            await county.ask("dr-a", "GET", f"Observation?_sort={sort}", prefer="handling=strict")
        ).status_code == 400
        plain = await county.get("dr-a", "Observation")
        sorted_by = await county.get("dr-a", f"Observation?_sort={sort}")
        order = [row["resource"]["id"] for row in plain["entry"]]
        assert [row["resource"]["id"] for row in sorted_by["entry"] if row["search"]["mode"] == "match"] == order


@pytest.mark.parametrize("total", ["accurate", "estimate"])
async def test_case_07_totals_count_what_may_be_seen(county: County, total: str) -> None:
    for login, number in (("dr-a", 5), ("dr-b", 4), ("anna", 6), ("ben", 2), ("clerk", 0), ("root", 9)):
        page = await county.get(login, f"Observation?_total={total}&_count=1")
        assert page["total"] == number, login


async def test_case_08_counts_do_too(county: County) -> None:
    for login, number in (("dr-a", 5), ("pharmacist", 0), ("manager", 0), ("backend-b", 4), ("app", 5)):
        assert (await county.get(login, "Observation?_summary=count"))["total"] == number, login
        assert (await county.get(login, "Observation?_count=0"))["total"] == number, login
        assert (await county.get(login, "Observation?code=known,secret&_summary=count"))["total"] == number, login
    assert (await county.get("app", "?_summary=count&_type=Patient,Encounter,List,Practitioner"))["total"] == 0


async def test_case_14_empty_is_all_that_is_said(county: County) -> None:
    """No search is answered 403: what a role never sees is as empty as what is not there."""
    for login in ("pharmacist", "clerk", "manager", "ben", "app"):
        for path in ("Condition?_id=cb", "Condition?_id=none", "Patient/b2/Condition", "Patient/none/Condition"):
            page = await county.get(login, path)
            assert "entry" not in page and page["total"] == 0


async def test_case_14_an_error_says_nothing_of_what_is_stored(county: County) -> None:
    """A search over all types fails for what it asks, not for whether resources of a type exist."""
    answers = [await county.ask(login, "GET", "?code:in=http://vs") for login in ("dr-a", "manager", "root")]
    assert {answer.status_code for answer in answers} == {400}
    assert len({answer.text for answer in answers}) == 1
