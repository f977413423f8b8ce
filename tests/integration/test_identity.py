"""Accounts, sessions and tokens on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from clocks import Time
from xinglin.access.identity import Doorkeeper, accounts, cookie_name, sessions, sign_in, tokens
from xinglin.access.principal import Purpose, Role
from xinglin.core.store.keys import key_of
from xinglin.kernel.database import Database
from xinglin.kernel.errors import Conflict, NotFound, Problem, Unauthenticated, Unprocessable

PASSWORD = "four words of ours"
HOUR = timedelta(hours=1)


@pytest.fixture
async def doorkeeper(database: Database) -> AsyncIterator[Doorkeeper]:
    await accounts.create(
        database, "Li.Yisheng", PASSWORD, Role.CLINICIAN, name_zh="李医生", institution="hx", practitioner="p1"
    )
    keeper = Doorkeeper(database, session_hours=12, secure=True)
    yield keeper
    await keeper.close()


async def signed_in(keeper: Doorkeeper, login: str = "li.yisheng") -> tuple[str, sessions.Session]:
    return await sign_in(keeper.database, login, PASSWORD, "10.0.0.1", agent="Phone")


async def by_cookie(keeper: Doorkeeper, secret: str) -> object:
    return (await keeper.recognise(None, {cookie_name(True): secret})).principal


async def test_a_login_is_folded_and_becomes_the_principal(doorkeeper: Doorkeeper) -> None:
    secret, session = await signed_in(doorkeeper, " LI.yisheng ")
    caller = await doorkeeper.recognise(None, {cookie_name(True): secret})
    assert caller.session == session and len(session.csrf) >= 32
    principal = caller.principal
    assert principal is not None and not caller.forget_cookie
    assert (principal.login, principal.name, principal.role) == ("li.yisheng", "李医生", Role.CLINICIAN)
    assert (principal.institution, principal.practitioner, principal.patients) == ("hx", "p1", ())
    assert principal.purpose is Purpose.TREATMENT and principal.scopes is None


async def test_no_secret_is_stored(doorkeeper: Doorkeeper) -> None:
    secret, _ = await signed_in(doorkeeper)
    token, _ = await tokens.issue(doorkeeper.database, Role.SYSTEM, 1)
    for table in ("account", "session", "access_token", "sign_in_failure"):
        text = str(await doorkeeper.database.pool.fetch(f"SELECT t::text FROM {table} t"))
        assert secret not in text and token not in text and PASSWORD not in text


async def test_each_sign_in_is_a_new_session(doorkeeper: Doorkeeper) -> None:
    first, second = await signed_in(doorkeeper), await signed_in(doorkeeper)
    assert first[0] != second[0] and first[1].csrf != second[1].csrf


async def test_a_strange_cookie_signs_nobody_in(doorkeeper: Doorkeeper) -> None:
    for cookie in ("", "x", "\x00", "é" * 10, "a" * 100_000, "\ud800"):
        caller = await doorkeeper.recognise(None, {cookie_name(True): cookie})
        assert caller.principal is None and caller.forget_cookie is bool(cookie)


async def test_a_tampered_cookie_signs_nobody_in(doorkeeper: Doorkeeper) -> None:
    secret, _ = await signed_in(doorkeeper)
    for place in range(0, len(secret), 7):
        changed = secret[:place] + ("A" if secret[place] != "A" else "B") + secret[place + 1 :]
        assert await by_cookie(doorkeeper, changed) is None
    assert await by_cookie(doorkeeper, secret) is not None


async def test_a_session_ends_when_idle_and_at_last(doorkeeper: Doorkeeper, time: Time) -> None:
    secret, _ = await signed_in(doorkeeper)
    time.now += 11 * HOUR
    assert await by_cookie(doorkeeper, secret)
    time.now += 11 * HOUR
    assert await by_cookie(doorkeeper, secret), "each request starts the idle time anew"
    time.now += 3 * HOUR
    assert await by_cookie(doorkeeper, secret) is None, "a staff session ends after 24 hours in any case"
    secret, _ = await signed_in(doorkeeper)
    time.now += 12 * HOUR
    assert await by_cookie(doorkeeper, secret) is None
    await doorkeeper.sweep()
    assert await doorkeeper.database.pool.fetchval("SELECT count(*) FROM session") == 0


async def test_the_owner_lists_and_ends_sessions(doorkeeper: Doorkeeper) -> None:
    database = doorkeeper.database
    (phone, first), (desk, second) = await signed_in(doorkeeper), await signed_in(doorkeeper)
    listed = await sessions.own(database, "li.yisheng", idle=12 * HOUR)
    assert {entry.id for entry in listed} == {first.id, second.id} and listed[0].agent == "Phone"
    assert await sessions.end(database, "somebody", first.id) == 0
    assert await sessions.end(database, "li.yisheng", first.id) == 1
    assert await by_cookie(doorkeeper, phone) is None and await by_cookie(doorkeeper, desk)
    await sessions.sign_out(database, desk)
    assert await by_cookie(doorkeeper, desk) is None


async def test_changes_to_an_account_take_effect_on_the_next_request(doorkeeper: Doorkeeper) -> None:
    database = doorkeeper.database
    secret, _ = await signed_in(doorkeeper)
    await accounts.set_role(database, "li.yisheng", Role.MANAGER, institution="tc")
    principal = (await doorkeeper.recognise(None, {cookie_name(True): secret})).principal
    assert principal and (principal.role, principal.institution) == (Role.MANAGER, "tc")
    await accounts.set_password(database, "li.yisheng", "another four words")
    assert await by_cookie(doorkeeper, secret) is None
    with pytest.raises(Unauthenticated):
        await signed_in(doorkeeper)
    secret, _ = await sign_in(database, "li.yisheng", "another four words", "10.0.0.1")
    await accounts.set_active(database, "li.yisheng", False)
    assert await by_cookie(doorkeeper, secret) is None
    await accounts.set_active(database, "li.yisheng", True)
    assert await by_cookie(doorkeeper, secret) is None, "an ended session does not come back"


async def test_a_patient_is_the_linked_records_that_were_proven(doorkeeper: Doorkeeper) -> None:
    database = doorkeeper.database
    await accounts.create(database, "wang", PASSWORD, Role.PATIENT, patient="b")
    secret, _ = await signed_in(doorkeeper, "wang")
    rows = [(key_of("Patient", id), id, person) for id, person in (("a", "p"), ("b", "p"), ("c", "p"), ("d", "q"))]
    await database.pool.executemany("INSERT INTO person_link VALUES ($1, $2, $3)", rows)
    assert (await doorkeeper.recognise(None, {cookie_name(True): secret})).principal.patients == ("b",)
    await database.pool.execute(
        "INSERT INTO account_proof (login, own, institution, records, by, method, at)"
        " VALUES ('wang', $1, 'hx', $2, 'clerk', 'passport', now())",
        key_of("Patient", "b"),
        [key_of("Patient", "a"), key_of("Patient", "d")],
    )
    assert (await doorkeeper.recognise(None, {cookie_name(True): secret})).principal.patients == ("b", "a")


WRONG_ACCOUNTS: list[tuple[str, str, Role, dict[str, str], type[Problem]]] = [
    ("x", PASSWORD, Role.CLERK, {"institution": "hx"}, Unprocessable),
    ("../../etc", PASSWORD, Role.CLERK, {"institution": "hx"}, Unprocessable),
    ("new", "short", Role.CLERK, {"institution": "hx"}, Unprocessable),
    ("new", "a" * 5000, Role.CLERK, {"institution": "hx"}, Unprocessable),
    ("newcomer", "NewComer", Role.CLERK, {"institution": "hx"}, Unprocessable),
    ("new", PASSWORD, Role.CLERK, {}, Unprocessable),
    ("new", PASSWORD, Role.PATIENT, {}, Unprocessable),
    ("new", PASSWORD, Role.SYSTEM, {}, Unprocessable),
    ("LI.YISHENG", PASSWORD, Role.CLERK, {"institution": "hx"}, Conflict),
]


async def test_a_wrong_account_is_refused_with_a_remedy(doorkeeper: Doorkeeper) -> None:
    for login, password, role, more, problem in WRONG_ACCOUNTS:
        with pytest.raises(problem) as refusal:
            await accounts.create(doorkeeper.database, login, password, role, **more)
        assert refusal.value.issues[0].remedy
    assert len(await accounts.everyone(doorkeeper.database)) == 1


async def test_an_unknown_account_cannot_be_changed(doorkeeper: Doorkeeper) -> None:
    with pytest.raises(NotFound):
        await accounts.set_active(doorkeeper.database, "nobody", False)


async def test_a_token_works_until_it_expires(doorkeeper: Doorkeeper, time: Time) -> None:
    token, entry = await tokens.issue(doorkeeper.database, Role.SYSTEM, 8, name="loader", scopes=["system/*.rs"])
    principal = (await doorkeeper.recognise(f"Bearer {token}", {})).principal
    assert principal and (principal.role, principal.name, principal.scopes) == (Role.SYSTEM, "loader", ("system/*.rs",))
    time.now = entry.expires
    doorkeeper._remembered.clear()
    with pytest.raises(Unauthenticated, match="expired"):
        await doorkeeper.recognise(f"bearer {token}", {})


async def test_revoking_reaches_every_worker(doorkeeper: Doorkeeper) -> None:
    other = Doorkeeper(doorkeeper.database)
    token, entry = await tokens.issue(doorkeeper.database, Role.SYSTEM, 8)
    for keeper in (doorkeeper, other):
        assert (await keeper.recognise(f"Bearer {token}", {})).principal
        assert keeper._remembered, "the token is remembered"
    await tokens.revoke(doorkeeper.database, entry.id)
    await asyncio.sleep(0.05)
    for keeper in (doorkeeper, other):
        with pytest.raises(Unauthenticated, match="revoked"):
            await keeper.recognise(f"Bearer {token}", {})
    await other.close()
    with pytest.raises(NotFound):
        await tokens.revoke(doorkeeper.database, entry.id)


async def test_a_worker_that_cannot_listen_remembers_nothing(doorkeeper: Doorkeeper) -> None:
    token, entry = await tokens.issue(doorkeeper.database, Role.SYSTEM, 8)
    await doorkeeper.recognise(f"Bearer {token}", {})
    pid = doorkeeper._listener.get_server_pid()
    await doorkeeper.database.pool.execute("SELECT pg_terminate_backend($1)", pid)
    await asyncio.sleep(0.05)
    assert not doorkeeper._listening
    await doorkeeper.database.pool.execute("UPDATE access_token SET revoked = now() WHERE id = $1", entry.id)
    with pytest.raises(Unauthenticated):
        await doorkeeper.recognise(f"Bearer {token}", {})


async def test_a_wrong_authorization_is_refused(doorkeeper: Doorkeeper) -> None:
    secret, _ = await signed_in(doorkeeper)
    for header in ("", "Bearer", "Bearer  ", "Basic YTpi", "Bearer xl_wrong", "Bearer \x00", "Bearer é"):
        with pytest.raises(Unauthenticated):
            await doorkeeper.recognise(header, {cookie_name(True): secret})


WRONG_TOKENS: list[tuple[Role, float, dict[str, Any]]] = [
    (Role.SYSTEM, 0, {}),
    (Role.SYSTEM, 1e9, {}),
    (Role.SYSTEM, float("nan"), {}),
    (Role.CLINICIAN, 1, {}),
    (Role.PATIENT, 1, {}),
    (Role.SYSTEM, 1, {"scopes": ["everything"]}),
    (Role.SYSTEM, 1, {"scopes": ["system/Observation."]}),
    (Role.SYSTEM, 1, {"scopes": ["patient/Observation.rs?category=laboratory"]}),
]


async def test_a_token_asks_for_what_exists(database: Database) -> None:
    for role, hours, more in WRONG_TOKENS:
        with pytest.raises(Unprocessable):
            await tokens.issue(database, role, hours, **more)
