"""ASVS 2.4.1: what one caller may ask of a worker is bounded, for little cost and not at the others' expense."""

from __future__ import annotations

import asyncio
import logging
from time import perf_counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xinglin.access.identity import pace
from xinglin.access.identity.pace import BURST, PROGRAMS, Pace, TooManyCalls
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.kernel import sparing

if TYPE_CHECKING:
    from attacked import County

pytest_plugins = ("attacked",)
DOCTOR = Principal("li", "Li", Role.CLINICIAN, Purpose.TREATMENT)
APP = Principal("li~grant", "Li", Role.CLINICIAN, Purpose.TREATMENT, client="app")
PROGRAM = Principal("p~grant", "p", Role.SYSTEM, Purpose.ADMINISTRATION)
OPERATORS = Principal("token:1", "t", Role.CLINICIAN, Purpose.TREATMENT)


@given(st.lists(st.tuples(st.sampled_from([DOCTOR, APP, PROGRAM]), st.booleans()), max_size=200))
def test_as_many_as_allowed_are_inside_and_no_more(steps: list[tuple[Principal, bool]]) -> None:
    held, inside = Pace(3, 0), {DOCTOR.login: 0, APP.login: 0, PROGRAM.login: 0}
    most = {DOCTOR.login: 3, APP.login: 3, PROGRAM.login: 3 * PROGRAMS}
    for who, comes in steps:
        if comes and inside[who.login] < most[who.login]:
            held.enter(who)
            inside[who.login] += 1
        elif comes:
            with pytest.raises(TooManyCalls):
                held.enter(who)
        elif inside[who.login]:
            held.leave(who)
            inside[who.login] -= 1
    assert held._inside == {login: count for login, count in inside.items() if count}, "nobody is remembered"


def test_a_person_is_bound_in_the_long_run_and_a_program_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(pace, "monotonic", lambda: now[0])
    held = Pace(0, 10)

    def taken(who: Principal, seconds: int) -> int:
        """How many of a flood got through."""
        count = 0
        for _tick in range(seconds * 100):
            now[0] += 0.01
            try:
                held.enter(who)
            except TooManyCalls:
                continue
            held.leave(who)
            count += 1
        return count

    assert taken(DOCTOR, 60) == pytest.approx(10 * (BURST + 60), abs=3)
    assert taken(APP, 60) == pytest.approx(10 * (BURST + 60), abs=3), "an app's bucket is its own"
    assert taken(PROGRAM, 60) == taken(OPERATORS, 60) == 6000
    now[0] += BURST
    assert taken(DOCTOR, 2) == 200, "whoever has waited may go on"


def test_it_costs_a_request_next_to_nothing() -> None:
    held, best = Pace(128, 10**9), 1.0
    for _round in range(20):
        start = perf_counter()
        for _request in range(1000):
            held.enter(DOCTOR)
            held.leave(DOCTOR)
        best = min(best, (perf_counter() - start) / 1000)
    assert best < 5e-6


async def test_over_http_one_waits_and_others_do_not(
    county: County, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sparing._texts.clear()
    held: Any = county.http._transport.app.pace  # type: ignore[attr-defined]
    monkeypatch.setattr(held, "at_once", 4)
    with caplog.at_level(logging.WARNING):
        answers = await asyncio.gather(*(county.ask("dr-a", "GET", "Observation?_count=1000") for _n in range(40)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429} and statuses.count(200) >= 4
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["retry-after"] and refused.json()["issue"][0]["code"] == "throttled"
    lines = [record.message for record in caplog.records if "for their number" in record.message]
    assert len(lines) == 1 and "clinician token:" in lines[0], "one line, however many are refused"
    assert (await county.ask("dr-a", "GET", "Observation?_count=1")).status_code == 200
    assert held._inside == {}
