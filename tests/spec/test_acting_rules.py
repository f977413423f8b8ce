"""Who acts in what, and for whom, on which day: the pure rules of posts, licences and guardianship."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinglin.access.categories import CATEGORY_MASK
from xinglin.access.identity.guardians import ADULT, CHILD, READING, as_guardian, birthday, ward_of
from xinglin.access.posts import EXPIRED, NO_LICENCE, NO_POST, first_day, last_day, standing_of
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.core.store.keys import key_of

TODAY = date(2026, 6, 15)
GUARDIAN = Principal("mother", "Mother", Role.PATIENT, Purpose.OWN, patients=("own", "own-too"))


def guardianship(kind: str, born: str | None, **more: Any) -> dict[str, Any]:
    body = {"resourceType": "Patient", "id": "w", "name": [{"text": "W"}], **({"birthDate": born} if born else {})}
    row = {"id": 1, "ward": "w", "kind": kind, "categories": 5, "starts": "2020-01-01T00:00:00+00:00", "ends": None}
    row |= {"ended": None, "login": "mother", "by": "w", "body": json.dumps(body), "own_account": False, "linked": None}
    return {**row, **more}


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def test_a_childs_guardian_is_guardian_until_the_birthday() -> None:
    born = "2008-06-15"
    eve = ward_of(guardianship(CHILD, born), at(date(2026, 6, 14)))
    assert eve.stands and eve.patients == ("w",) and eve.until == date(2026, 6, 14) and not eve.reads_only
    grown = ward_of(guardianship(CHILD, born), at(date(2026, 6, 15)))
    assert not grown.stands and grown.patients == ()
    acting = as_guardian(GUARDIAN, grown)
    assert acting.patients == () and acting.on_behalf == "w", "nothing, and not the guardian's own record either"


def test_from_fourteen_a_child_with_an_account_decides() -> None:
    row = guardianship(CHILD, "2012-06-15", own_account=True)
    before, after = ward_of(row, at(date(2026, 6, 14))), ward_of(row, at(date(2026, 6, 15)))
    assert (before.opened, before.reads_only) == (None, False)
    assert (after.opened, after.reads_only) == (CATEGORY_MASK, True), "reads, and nothing sensitive"
    assert as_guardian(GUARDIAN, after).scopes == READING
    assert not ward_of(guardianship(CHILD, "2012-06-15"), at(date(2026, 6, 15))).reads_only


def test_an_adults_delegate_reads_within_limits_and_days() -> None:
    row = guardianship(ADULT, "1950-01-01", ends="2026-07-01T00:00:00+00:00", linked=["w", "w2"])
    inside = ward_of(row, at(date(2026, 6, 30)))
    assert inside.stands and inside.patients == ("w", "w2") and (inside.opened, inside.reads_only) == (5, True)
    for wrong in (
        ward_of(row, at(date(2026, 7, 1))),
        ward_of({**row, "ended": "2026-06-01T00:00:00+00:00"}, at(date(2026, 6, 2))),
        ward_of({**row, "starts": "2026-06-20T00:00:00+00:00"}, at(date(2026, 6, 19))),
        ward_of({**row, "body": None}, at(date(2026, 6, 2))),
    ):
        assert not wrong.stands and wrong.patients == ()


@pytest.mark.parametrize(
    ("born", "of_age"),
    [
        ("2008-02-29", date(2026, 3, 1)),
        ("2008-03", date(2026, 3, 1)),
        ("2008", date(2026, 1, 1)),
        (None, date.min),
        ("soon", date.min),
        ("9999-01-01", date.max),
    ],
)
def test_an_age_is_reached_no_later_than_it_could_be(born: str | None, of_age: date) -> None:
    assert birthday(born, 18) == of_age


def test_nobody_without_a_birth_date_is_a_child() -> None:
    for born in (None, "", "soon", "0001-01-01"):
        assert not ward_of(guardianship(CHILD, born), at(TODAY)).stands


# posts and licences ---------------------------------------------------------------------------------------------------


def post(id: str = "r", institution: str = "A", **more: Any) -> dict[str, Any]:
    row = {"id": id, "institution": institution, "custodian": key_of("Organization", institution), "active": True}
    return {**row, "starts": None, "ends": None, "codes": [], "specialty": "", "specialty_text": "", **more}


def licence(starts: str | None = None, ends: str | None = None) -> dict[str, Any]:
    return {"number": "n", "starts": starts, "ends": ends}


def barred(role: Role, posts: list[Any], licences: list[Any], chosen: str | None = None) -> str:
    return standing_of(role, "A", posts, licences, chosen, TODAY).barred


def test_what_bars_whom() -> None:
    good = [licence(ends="2026-06-15")]
    assert barred(Role.CLINICIAN, [post()], good) == ""
    assert barred(Role.CLINICIAN, [post()], [licence(ends="2026-06-14")]) == EXPIRED
    assert barred(Role.CLINICIAN, [post()], [licence(ends="2026-05")]) == EXPIRED
    assert barred(Role.CLINICIAN, [post()], [licence(ends="2026-06-14"), *good]) == "", "the longest counts"
    assert barred(Role.CLINICIAN, [post()], [licence(starts="2026-06-16")]) == NO_LICENCE
    assert barred(Role.CLINICIAN, [post()], []) == barred(Role.PHARMACIST, [post()], []) == NO_LICENCE
    assert barred(Role.CLERK, [post()], []) == barred(Role.MANAGER, [post()], []) == ""
    for wrong in (
        post(active=False),
        post(ends="2026-06-14"),
        post(starts="2026-06-16"),
        post(codes=["registration-clerk"]),
        post(custodian=key_of("Organization", "B")),
        post(institution="B"),
        post(institution=""),
    ):
        assert barred(Role.CLINICIAN, [wrong], good) == NO_POST, wrong
    assert barred(Role.CLINICIAN, [post(custodian=0)], good) == "", "loaded by the operator"
    assert barred(Role.CLINICIAN, [post(), post("s", "B")], good, "s") == ""
    assert barred(Role.CLINICIAN, [post(), post("s", "B", ends="2020")], good, "s") == NO_POST, "not back at A"
    assert barred(Role.CLINICIAN, [post()], good, "none") == NO_POST


def test_a_licence_that_ends_within_thirty_days_is_warned_of() -> None:
    for days, warned in ((0, True), (30, True), (31, False)):
        ends = (TODAY + timedelta(days=days)).isoformat()
        assert standing_of(Role.CLINICIAN, "A", [post()], [licence(ends=ends)], None, TODAY).warn is warned
    assert not standing_of(Role.CLINICIAN, "A", [post()], [licence()], None, TODAY).warn


@given(st.dates(date(1900, 1, 1), date(9999, 12, 31)), st.sampled_from([4, 7, 10]))
def test_a_partial_date_begins_and_ends_with_what_it_names(day: date, length: int) -> None:
    text = day.isoformat()[:length]
    first, last = first_day(text), last_day(text)
    assert first <= day <= last
    assert first.isoformat()[:length] == last.isoformat()[:length] == text
    assert last == date.max or (last + timedelta(days=1)).isoformat()[:length] != text


@given(st.text(max_size=12))
def test_what_is_no_date_never_holds(text: str) -> None:
    first, last = first_day(text), last_day(text)
    assert first <= last or (first, last) == (date.max, date.min) or not text or first == date.max or last == date.min
