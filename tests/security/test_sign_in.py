"""Guessing a password: slow for the guesser, short for the owner, and it tells nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from statistics import median
from time import perf_counter

import pytest

from clocks import Time
from xinglin.access.identity import TooManySignIns, accounts, limits, passwords, sign_in
from xinglin.access.principal import Role
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Unauthenticated

PASSWORD = "four words of ours"


@pytest.fixture
async def house(database: Database) -> AsyncIterator[Database]:
    await accounts.create(database, "li", PASSWORD, Role.CLINICIAN, institution="hx")
    yield database


async def guess(
    house: Database, password: str = "wrong password", *, login: str = "li", address: str = "6.6.6.6"
) -> Exception | None:
    try:
        await sign_in(house, login, password, address)
    except (Unauthenticated, TooManySignIns) as problem:
        return problem
    return None


async def test_a_hundred_wrong_passwords(quick: None, house: Database, time: Time) -> None:
    """Each is answered; after the free ones comes a wait that is said and doubles; the right one gets in after it."""
    answers = [await guess(house) for _ in range(100)]
    heard = [a for a in answers if isinstance(a, Unauthenticated)]
    assert len(heard) == limits.LIMITS["pair"].free + 1
    assert answers[-1].retry_after == 3 and "wait 3 seconds" in str(answers[-1])
    assert isinstance(await guess(house, PASSWORD), TooManySignIns), "the right password has to wait too"
    time.now += timedelta(seconds=answers[-1].retry_after)
    assert await guess(house, PASSWORD) is None
    assert isinstance(await guess(house), Unauthenticated), "and the count starts afresh"


async def test_the_wait_doubles_up_to_a_cap(quick: None, house: Database, time: Time) -> None:
    waits = []
    while len(waits) < 15:
        answer = await guess(house)
        if isinstance(answer, TooManySignIns):
            waits.append(answer.retry_after)
            time.now += timedelta(seconds=answer.retry_after)
    assert waits[:4] == [3, 5, 9, 17] and max(waits) == limits.LIMITS["pair"].cap + 1


async def test_sent_at_once_they_are_still_counted(house: Database) -> None:
    answers = await asyncio.gather(*(guess(house) for _ in range(40)))
    assert sum(isinstance(a, Unauthenticated) for a in answers) <= limits.LIMITS["pair"].free + 1


async def test_strangers_do_not_lock_the_owner_out(quick: None, house: Database, time: Time) -> None:
    assert await guess(house, PASSWORD, address="10.0.0.1") is None
    time.now += timedelta(days=3)
    for number in range(60):
        await guess(house, address=f"6.6.6.{number}")
    assert isinstance(await guess(house, PASSWORD, address="7.7.7.7"), TooManySignIns)
    assert await guess(house, PASSWORD, address="10.0.0.1") is None
    time.now += timedelta(seconds=limits.LIMITS["account"].cap + 1)
    assert await guess(house, PASSWORD, address="7.7.7.7") is None


async def test_one_address_at_many_accounts(quick: None, house: Database, time: Time) -> None:
    answers = [await guess(house, login=f"someone{number}") for number in range(80)]
    assert isinstance(answers[-1], TooManySignIns)
    assert await guess(house, PASSWORD, address="10.0.0.1") is None


async def test_signing_in_does_not_launder_an_address(quick: None, house: Database, time: Time) -> None:
    for number in range(120):
        answer = await guess(house, login=f"someone{number}")
        await guess(house, PASSWORD)
    assert isinstance(answer, TooManySignIns)


async def test_unknown_and_disabled_accounts_answer_alike(house: Database) -> None:
    passwords._nobody.cache_clear()
    await guess(house, login="first")
    await accounts.create(house, "gone", PASSWORD, Role.CLINICIAN, institution="hx")
    await accounts.set_active(house, "gone", False)
    texts, times = set(), {}
    for login, password in (("li", "wrong password"), ("nobody", PASSWORD), ("gone", PASSWORD)):
        taken = []
        for number in range(5):
            began = perf_counter()
            texts.add(str(await guess(house, password, login=login, address=f"1.1.{len(times)}.{number}")))
            taken.append(perf_counter() - began)
        times[login] = median(taken)
    assert len(texts) == 1
    assert max(times.values()) < 3 * min(times.values()), times


async def test_many_unknown_logins_are_forgotten(quick: None, house: Database, time: Time) -> None:
    await guess(house, PASSWORD, address="10.0.0.1")
    for number in range(10):
        await guess(house, login=f"someone{number}")
    time.now += limits.FORGET + timedelta(minutes=1)
    async with house.transaction() as connection:
        await limits.sweep(connection)
    assert await house.pool.fetchval("SELECT count(*) FROM sign_in_failure") == 1, "the owner's own address is kept"


def test_the_wait_grows_as_the_table_says() -> None:
    limit = limits.Limit(free=3, first=2, cap=20)
    assert [limits.wait_after(limit, n) for n in range(9)] == [0, 0, 0, 0, 2, 4, 8, 16, 20]
    assert limits.wait_after(limit, 10**9) == 20


@pytest.mark.parametrize(
    ("proxies", "sent", "caller"),
    [
        ("", "203.0.113.9", "10.0.0.5"),
        ("127.0.0.1", "203.0.113.9", "10.0.0.5"),
        ("127.0.0.1, 10.0.0.5", "203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "1.2.3.4, 203.0.113.9", "203.0.113.9"),
        ("10.0.0.5", "", "10.0.0.5"),
    ],
)
def test_only_a_trusted_proxy_says_who_calls(proxies: str, sent: str, caller: str) -> None:
    """And only of whom it saw itself: what stands before the last comma is the caller's own word."""
    from xinglin.app import Application
    from xinglin.kernel.config import Settings

    headers = [(b"x-forwarded-for", sent.encode())] if sent else []
    scope = {"type": "http", "client": ("10.0.0.5", 1234), "headers": headers}
    assert Application(Settings(proxies=proxies))._from_proxy(scope)["client"][0] == caller
