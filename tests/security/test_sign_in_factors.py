"""Attacks on passkeys, one-time codes, recovery and the steps between them, at the functions that decide."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson
import pyotp
import pytest

from clocks import Time
from softkey import PRESENT, SoftKey
from xinglin.access.house import House
from xinglin.access.identity import (
    TooManySignIns,
    accounts,
    begun,
    confirming,
    entering,
    events,
    limits,
    passkeys,
    passwords,
    recovery,
    sealing,
    second_factor,
    sessions,
    sign_in,
)
from xinglin.access.identity.entering import Entered, Step, Unfinished
from xinglin.access.identity.events import Whence
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.kernel import clock
from xinglin.kernel.config import Settings
from xinglin.kernel.database import with_database
from xinglin.kernel.errors import Invalid, NotFound, Problem, Unauthenticated, Unprocessable

pytestmark = pytest.mark.usefixtures("time", "quick")

PASSWORD = "four words of ours"
ORIGIN = "https://records.example.org"
HERE = Whence("10.0.0.1", "Phone")


@pytest.fixture(scope="module")
async def built(postgres: str, template: str) -> AsyncIterator[House]:
    """A node of this module's own, as in production: https, and two factors for staff."""
    name = f"factors_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(postgres)
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    house = await House.open(Settings(base_url=ORIGIN), with_database(postgres, name), pool_size=8)
    patient = {"resourceType": "Patient", "id": "p1"}
    await Records(house, NODE).write([Write("PUT", "Patient", "p1", patient, keep_id=True)], custodian="hx")
    yield house
    await house.close()
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def node(built: House) -> AsyncIterator[House]:
    """With a clinician, a clerk, a manager and a patient whose accounts nobody has used yet."""
    built.settings = Settings(base_url=ORIGIN)
    for table in ("account", "sign_in_failure", "begun"):
        await built.database.pool.execute(f"DELETE FROM {table}")
    for login, role in (("li", Role.CLINICIAN), ("clerk", Role.CLERK), ("boss", Role.MANAGER)):
        await accounts.create(built.database, login, PASSWORD, role, institution="hx")
    await accounts.create(built.database, "wang", PASSWORD, Role.PATIENT, patient="p1")
    yield built


async def register(node: House, login: str, key: SoftKey | None = None, name: str = "phone") -> SoftKey:
    key = key or SoftKey(ORIGIN, counter=1)
    async with node.database.transaction() as connection:
        ticket, options = await passkeys.begin_registration(connection, node.settings, login)
    await passkeys.register(node.database, node.settings, ticket, login, key.create(options), name, HERE)
    return key


async def challenge(node: House, login: str | None = None) -> tuple[str, str]:
    async with node.database.transaction() as connection:
        return await passkeys.begin_use(connection, node.settings, login)


async def use(node: House, ticket: str, answer: str, login: str | None = None) -> str:
    return await passkeys.use(node.database, node.settings, ticket, answer, HERE, login)


async def enrol(node: House, login: str) -> tuple[pyotp.TOTP, list[str]]:
    """The app and the recovery codes of an account that has set one up."""
    async with node.database.transaction() as connection:
        ticket = await second_factor.begin_enrolment(node, connection, login)
        found = await second_factor.enrolment(node, connection, ticket, login)
    assert found is not None
    app = pyotp.TOTP(found.secret.replace(" ", ""))
    codes = await second_factor.confirm(node, ticket, login, app.at(clock.now()), HERE)
    assert codes is not None
    return app, codes


async def enter(node: House, login: str, password: str = PASSWORD, whence: Whence = HERE) -> Any:
    return await entering.with_password(node, login, password, whence)


# steps ----------------------------------------------------------------------------------------------------------------


async def test_staff_reach_no_session_by_password_alone(node: House) -> None:
    answer = await enter(node, "li")
    assert isinstance(answer, Unfinished) and answer.step is Step.ENROL
    assert await node.database.pool.fetchval("SELECT count(*) FROM session") == 0
    assert isinstance(await enter(node, "wang"), Entered), "a person reads their own with a password"


async def test_a_step_cannot_be_left_out(node: House) -> None:
    """Going on without a proof leads to the same step; a ticket is used once and is bound to its kind."""
    await enrol(node, "li")
    answer = await enter(node, "li")
    assert answer.step is Step.SECOND
    async with node.database.transaction() as connection:
        again = await entering.went_on(node, connection, answer.ticket, HERE)
        assert isinstance(again, Unfinished) and again.step is Step.SECOND
        with pytest.raises(Unauthenticated):
            await entering.went_on(node, connection, answer.ticket, HERE, method="otp")
        assert await begun.look(connection, "recovery", again.ticket) is None
    with pytest.raises(Unauthenticated):
        await sign_in(node.database, "li", PASSWORD, HERE.address)


async def test_a_ticket_ends_with_its_time_a_new_password_and_the_account(node: House, time: Time) -> None:
    await enrol(node, "li")
    for end in ("time", "password", "account"):
        answer = await enter(node, "li")
        assert (await entering.waiting(node, answer.ticket)) is not None
        if end == "time":
            time.now += timedelta(minutes=11)
        elif end == "password":
            await accounts.set_password(node.database, "li", PASSWORD)
        else:
            await accounts.set_active(node.database, "li", False)
        assert await entering.waiting(node, answer.ticket) is None, end


async def test_a_given_password_opens_the_choice_of_another_and_runs_out(node: House, time: Time) -> None:
    await accounts.set_password(node.database, "wang", "given by the desk", given=True)
    answer = await enter(node, "wang", "given by the desk")
    assert answer.step is Step.CHANGE
    time.now += timedelta(days=8)
    with pytest.raises(Unauthenticated):
        await enter(node, "wang", "given by the desk")


async def test_sessions_are_always_new_and_of_one_account(node: House) -> None:
    first, second = await enter(node, "wang"), await enter(node, "wang")
    assert first.secret != second.secret and first.session.csrf != second.session.csrf
    async with node.database.transaction() as connection:
        assert await sessions.end_others(connection, "wang", second.session.id) == 1
        assert await sessions.end_others(connection, "li", "") == 0


# one-time codes -------------------------------------------------------------------------------------------------------


async def test_a_code_opens_once_and_earlier_ones_never(node: House, time: Time) -> None:
    app, _codes = await enrol(node, "li")
    with pytest.raises(Unauthenticated):
        await second_factor.check(node, "li", app.at(time.now), HERE)  # shown when it was set up
    time.now += timedelta(seconds=60)
    assert await second_factor.check(node, "li", app.at(time.now), HERE) == "otp"
    for moment in (time.now, time.now - timedelta(seconds=30)):
        with pytest.raises(Unauthenticated):
            await second_factor.check(node, "li", app.at(moment), HERE)
    time.now += timedelta(seconds=60)
    code = app.at(time.now + timedelta(seconds=30))
    answers = await asyncio.gather(
        *(second_factor.check(node, "li", code, HERE) for _ in range(4)), return_exceptions=True
    )
    assert sum(answer == "otp" for answer in answers) == 1, "of those sent at once one opens"


async def test_clocks_may_differ_by_one_step_only(node: House, time: Time) -> None:
    app, _codes = await enrol(node, "li")
    for seconds, right in ((90, False), (-90, False), (30, True)):
        time.now += timedelta(minutes=10)
        code = app.at(time.now + timedelta(seconds=seconds))
        if right:
            assert await second_factor.check(node, "li", code[:3] + " " + code[3:], HERE) == "otp"
        else:
            with pytest.raises(Unauthenticated):
                await second_factor.check(node, "li", code, HERE)


async def test_guessing_codes_is_slow_from_anywhere(node: House, time: Time) -> None:
    """Whoever has the password gets fewer than 40 guesses in a day: one in 8,000 finds a code."""
    await enrol(node, "li")
    until, heard = time.now + timedelta(days=1), 0
    while time.now < until:
        try:
            await second_factor.check(node, "li", "000000", Whence(f"10.9.{heard}.1"))
        except Unauthenticated:
            heard += 1
        except TooManySignIns as wait:
            time.now += timedelta(seconds=wait.retry_after)
    assert heard < 40
    shown = await told(node, "li")
    assert shown.count("code-refused") >= 5, "and its owner is told"


async def test_a_code_of_one_account_opens_no_other(node: House, time: Time) -> None:
    app, codes = await enrol(node, "li")
    await enrol(node, "clerk")
    time.now += timedelta(minutes=5)
    for code in (app.at(time.now), codes[0]):
        with pytest.raises(Unauthenticated):
            await second_factor.check(node, "clerk", code, HERE)


async def test_secrets_are_sealed_to_their_account(node: House) -> None:
    app, codes = await enrol(node, "li")
    await enrol(node, "clerk")
    everything = str(
        [
            await node.database.pool.fetch(f"SELECT t::text FROM {t} t")
            for t in ("authenticator", "recovery_code", "begun")
        ]
    )
    assert app.secret not in everything and codes[0] not in everything
    await node.database.pool.execute(
        "UPDATE authenticator SET secret = (SELECT secret FROM authenticator WHERE login = 'li') WHERE login = 'clerk'"
    )
    with pytest.raises(sealing.Unreadable):
        await second_factor.check(node, "clerk", "123456", HERE)


async def test_the_key_is_changed_and_nobody_enrols_anew(node: House, time: Time, tmp_path: Path) -> None:
    """From the node's own key to a given one, to another: all is sealed anew, and then the former opens nothing."""
    app, _codes = await enrol(node, "li")
    file = tmp_path / "key"
    node.settings = replace(node.settings, secret_key=str(file))

    async def renew(*lines: str) -> int:
        file.write_text("\n".join(lines) + "\n")
        async with node.database.transaction() as connection:
            return await sealing.renew(connection, node.settings)

    async def opens() -> bool:
        time.now += timedelta(seconds=60)
        try:
            return await second_factor.check(node, "li", app.at(time.now), HERE) == "otp"
        except sealing.Unreadable:
            return False

    first, second = "1" * 40, "2" * 40
    file.write_text(first)
    assert await opens(), "the node's own key is still known"
    assert await renew(first) >= 1 and await renew(first) == 0 and await opens()
    assert await renew(second) == 0 and not await opens(), "what no key opens is left as it is"
    assert await renew(second, first) >= 1 and await opens()
    assert await renew(second) == 0 and await opens()
    file.write_text(first)
    assert not await opens()
    file.write_text("short\n" + first)
    with pytest.raises(Invalid):
        sealing.given_keys(str(file))
    await node.database.pool.execute("DELETE FROM oauth_key")


async def test_recovery_codes_open_once_in_any_spelling_and_end_with_new_ones(node: House) -> None:
    _app, codes = await enrol(node, "li")
    assert len(set(codes)) == 10 and all(re.fullmatch(r"[a-z2-9]{4}(-[a-z2-9]{4}){5}", code) for code in codes)
    assert await second_factor.check(node, "li", codes[0].upper().replace("-", " "), HERE) == "rec"
    with pytest.raises(Unauthenticated):
        await second_factor.check(node, "li", codes[0], HERE)
    async with node.database.transaction() as connection:
        await second_factor.make_recovery_codes(connection, "li")
    with pytest.raises(Unauthenticated):
        await second_factor.check(node, "li", codes[1], HERE)


@pytest.mark.parametrize("code", ["", "0", "１２３４５６", "12345\x00", "\ud800" * 6, "é" * 64, "9" * 64, "' OR 1=1"])
async def test_odd_codes_are_wrong_codes(node: House, code: str) -> None:
    await enrol(node, "li")
    with pytest.raises(Unauthenticated):
        await second_factor.check(node, "li", code, HERE)


def test_the_codes_are_those_of_rfc_6238() -> None:
    """Appendix B, SHA-1, cut to six digits."""
    secret = b"12345678901234567890"
    for seconds, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        clock.set_source(lambda seconds=seconds: datetime.fromtimestamp(seconds, UTC))
        assert second_factor.matching_step(secret, code, -1) == seconds // 30
        assert second_factor.matching_step(secret, code, seconds // 30) is None


# passkeys -------------------------------------------------------------------------------------------------------------


async def test_a_passkey_signs_in_without_a_login(node: House) -> None:
    key = await register(node, "li")
    ticket, options = await challenge(node)
    assert orjson.loads(options)["userVerification"] == "required" and not orjson.loads(options)["allowCredentials"]
    assert await use(node, ticket, key.get(options)) == "li"
    async with node.database.transaction() as connection:
        answer = await entering.arrived(node, connection, "li", list(passkeys.METHODS), HERE)
        assert isinstance(answer, Entered)


async def test_a_challenge_answers_once_soon_and_in_its_browser(node: House, time: Time) -> None:
    key = await register(node, "li")
    ticket, options = await challenge(node)
    answer = key.get(options)
    other, _ = await challenge(node)
    for wrong in (other, "", "x" * 43):  # another browser's ticket, none, an invented one
        with pytest.raises(Unauthenticated):
            await use(node, wrong, answer)
    assert await use(node, ticket, answer) == "li"
    with pytest.raises(Unauthenticated):
        await use(node, ticket, key.get(options))
    ticket, options = await challenge(node)
    time.now += timedelta(minutes=5, seconds=1)
    with pytest.raises(Unauthenticated):
        await use(node, ticket, key.get(options))


WRONG_KEYS = {
    "other origin": lambda key: replace(key, origin="https://records.example.org.evil.example"),
    "plain http": lambda key: replace(key, origin="http://records.example.org"),
    "other relying party": lambda key: replace(key, rp_id="evil.example"),
    "nobody checked": lambda key: replace(key, flags=PRESENT),
    "nobody there": lambda key: replace(key, flags=0),
    "another key": lambda key: replace(key, key=SoftKey(ORIGIN).key),
    "unknown credential": lambda key: replace(key, id=b"unknown"),
    "no owner": lambda key: replace(key, handle=b""),
}


@pytest.mark.parametrize("what", WRONG_KEYS)
async def test_a_passkey_that_differs_in_anything_is_refused_alike(node: House, what: str) -> None:
    key = WRONG_KEYS[what](await register(node, "li"))
    ticket, options = await challenge(node)
    with pytest.raises(Unauthenticated) as refused:
        await use(node, ticket, key.get(options))
    assert str(refused.value).startswith("The passkey was not accepted.")
    assert await node.database.pool.fetchval("SELECT suspended FROM passkey") is None


@pytest.mark.parametrize("what", ["other origin", "plain http", "other relying party", "nobody checked"])
async def test_such_a_passkey_is_not_added_either(node: House, what: str) -> None:
    with pytest.raises(Unprocessable):
        await register(node, "li", WRONG_KEYS[what](SoftKey(ORIGIN)))


async def test_anothers_credential_opens_nothing_for_me(node: House) -> None:
    """By its id under my account, by my handle in its answer, by registering it once more for me."""
    theirs, mine = await register(node, "li"), await register(node, "clerk")
    ticket, options = await challenge(node, "clerk")
    with pytest.raises(Unauthenticated):
        await use(node, ticket, theirs.get(options), "clerk")
    ticket, options = await challenge(node)
    with pytest.raises(Unauthenticated):
        await use(node, ticket, theirs.get(options, handle=mine.handle))
    ticket, options = await challenge(node)  # begun for anybody, offered as the confirmation of an account
    with pytest.raises(Unauthenticated):
        await use(node, ticket, mine.get(options), "clerk")
    with pytest.raises(Unprocessable):
        await register(node, "clerk", SoftKey(ORIGIN, id=theirs.id))
    ticket, options = await challenge(node)
    assert await use(node, ticket, theirs.get(options)) == "li"


async def test_a_counter_that_goes_back_suspends_the_passkey(node: House) -> None:
    key = await register(node, "li")
    ticket, options = await challenge(node)
    assert await use(node, ticket, key.get(options)) == "li"
    forged = replace(key, counter=1, key=SoftKey(ORIGIN).key)
    ticket, options = await challenge(node)
    with pytest.raises(Unauthenticated):
        await use(node, ticket, forged.get(options))
    assert await node.database.pool.fetchval("SELECT suspended FROM passkey") is None, "an unsigned count says nothing"
    ticket, options = await challenge(node)
    with pytest.raises(Unauthenticated):
        await use(node, ticket, replace(key, counter=1).get(options))
    assert "passkey-suspended" in await told(node, "li")
    ticket, options = await challenge(node)
    key.counter = 100
    with pytest.raises(Unauthenticated):
        await use(node, ticket, key.get(options))


HOSTILE = [
    "",
    "{}",
    "[]",
    "null",
    '"x"',
    "{" * 5000,
    '{"id": 1}',
    "\ud800",
    "x" * 20000,
    '{"id":"a","rawId":"b","type":"c"}',
]


@pytest.mark.parametrize("answer", HOSTILE, ids=range(len(HOSTILE)))
async def test_hostile_answers_are_refused_clearly(node: House, answer: str) -> None:
    key = await register(node, "li")
    ticket, _options = await challenge(node)
    with pytest.raises(Problem):
        await use(node, ticket, answer)
    ticket, options = await challenge(node)
    good = orjson.loads(key.get(options))
    for name in ("clientDataJSON", "authenticatorData", "signature"):
        bad = {**good, "response": {**good["response"], name: answer[:50].encode("utf-8", "replace").hex()}}
        ticket, _ = await challenge(node)
        with pytest.raises(Problem):
            await use(node, ticket, orjson.dumps(bad).decode())


async def test_a_disabled_account_is_opened_by_no_passkey(node: House) -> None:
    key = await register(node, "li")
    await accounts.set_active(node.database, "li", False)
    ticket, options = await challenge(node)
    with pytest.raises(Unauthenticated):
        await use(node, ticket, key.get(options))


async def test_only_its_owner_removes_a_passkey(node: House) -> None:
    await register(node, "li")
    async with node.database.transaction() as connection:
        [own] = await passkeys.of_account(connection, "li")
        for wrong in (own.id[:-2], "%%%", ""):
            with pytest.raises(NotFound):
                await passkeys.remove(connection, "li", wrong, HERE)
        with pytest.raises(NotFound):
            await passkeys.remove(connection, "clerk", own.id, HERE)
        await passkeys.remove(connection, "li", own.id, HERE)
    assert isinstance(answer := await enter(node, "li"), Unfinished) and answer.step is Step.ENROL


# proving oneself again ------------------------------------------------------------------------------------------------


async def test_freshness_ends_after_ten_minutes_and_takes_every_factor(node: House, time: Time) -> None:
    app, _codes = await enrol(node, "wang")
    answer = await enter(node, "wang")
    time.now += timedelta(seconds=60)
    method = await second_factor.check(node, "wang", app.at(time.now), HERE)
    async with node.database.transaction() as connection:
        entered = await entering.went_on(node, connection, answer.ticket, HERE, method=method)
        assert isinstance(entered, Entered) and await sessions.is_fresh(connection, entered.session.id)
    time.now += timedelta(minutes=10)
    async with node.database.connection() as connection:
        assert not await sessions.is_fresh(connection, entered.session.id)
    for password, code in ((PASSWORD, ""), (PASSWORD, "000000"), ("wrong password", app.at(time.now))):
        with pytest.raises(Unauthenticated):
            await confirming.by_password(node, entered.session, password, code, HERE)
    await confirming.by_password(node, entered.session, PASSWORD, app.at(time.now), HERE)
    async with node.database.connection() as connection:
        assert await sessions.is_fresh(connection, entered.session.id)


async def test_who_must_have_two_factors_does_not_confirm_by_password_alone(node: House) -> None:
    key = await register(node, "li")
    async with node.database.transaction() as connection:
        entered = await entering.arrived(node, connection, "li", list(passkeys.METHODS), HERE)
    assert isinstance(entered, Entered)
    with pytest.raises(Unauthenticated):
        await confirming.by_password(node, entered.session, PASSWORD, "", HERE)
    ticket, options = await challenge(node, "li")
    await confirming.by_passkey(node, entered.session, ticket, key.get(options), HERE)


# recovery -------------------------------------------------------------------------------------------------------------


def staff(login: str, role: Role, institution: str = "hx") -> Principal:
    return Principal(login, login, role, Purpose.OPERATIONS, institution)


CLERK, BOSS = staff("clerk", Role.CLERK), staff("boss", Role.MANAGER)


async def give(node: House, giver: Principal = CLERK, login: str = "wang") -> recovery.Given:
    return await recovery.give(node, giver, login, "identity-card", HERE)


async def test_recovery_is_given_by_the_own_institution_to_nobody_above_and_not_to_oneself(node: House) -> None:
    assert (await give(node)).role is Role.PATIENT and (await give(node, BOSS, "li")).role is Role.CLINICIAN
    await accounts.create(node.database, "boss2", PASSWORD, Role.MANAGER, institution="hx")
    refusals = {
        "another institution's clerk": (staff("other", Role.CLERK, "tc"), "wang"),
        "another institution's manager": (staff("other", Role.MANAGER, "tc"), "li"),
        "a clerk for a clinician": (CLERK, "li"),
        "a clerk for a manager": (CLERK, "boss"),
        "a clinician": (staff("li", Role.CLINICIAN), "wang"),
        "oneself": (BOSS, "boss"),
        "nobody's institution": (replace(CLERK, institution=None), "wang"),
        "unknown": (CLERK, "nobody"),
    }
    texts = set()
    for what, (giver, login) in refusals.items():
        with pytest.raises(NotFound) as refused:
            await give(node, giver, login)
        texts.add(str(refused.value))
        assert refused.value, what
    assert len(texts) == 1
    with pytest.raises(Unprocessable):
        await recovery.give(node, CLERK, "wang", "by telephone", HERE)


async def test_recovery_waits_ends_and_opens_once(node: House, time: Time) -> None:
    given = await give(node)
    with pytest.raises(Unauthenticated):
        await recovery.begin(node, "wang", given.code, HERE)
    time.now += timedelta(minutes=31)
    ticket = await recovery.begin(node, "wang", given.code.upper(), HERE)
    second = await recovery.begin(node, "wang", given.code, HERE)
    answer = await recovery.finish(node, ticket, "a new password of mine", HERE)
    assert isinstance(answer, Entered)
    with pytest.raises(Unauthenticated):
        await recovery.finish(node, second, "another password again", HERE)
    with pytest.raises(Unauthenticated):
        await recovery.begin(node, "wang", given.code, HERE)
    late = await give(node)
    time.now += timedelta(hours=24, seconds=1)
    with pytest.raises(Unauthenticated):
        await recovery.begin(node, "wang", late.code, HERE)


async def test_recovery_ends_every_other_way_in(node: House, time: Time) -> None:
    key = await register(node, "wang")
    await enrol(node, "wang")
    async with node.database.transaction() as connection:
        entered = await entering.arrived(node, connection, "wang", list(passkeys.METHODS), HERE)
    assert isinstance(entered, Entered)
    given = await give(node)
    time.now += timedelta(minutes=31)
    ticket = await recovery.begin(node, "wang", given.code, HERE)
    assert isinstance(await recovery.finish(node, ticket, "a new password of mine", HERE), Entered)
    assert await node.database.pool.fetchval("SELECT count(*) FROM session WHERE id = $1", entered.session.id) == 0
    with pytest.raises(Unauthenticated):
        await enter(node, "wang")
    ticket, options = await challenge(node)
    with pytest.raises(Unauthenticated):
        await use(node, ticket, key.get(options))


async def test_staff_who_are_let_in_set_up_two_factors_again(node: House, time: Time) -> None:
    given = await give(node, BOSS, "li")
    time.now += timedelta(minutes=31)
    ticket = await recovery.begin(node, "li", given.code, HERE)
    answer = await recovery.finish(node, ticket, "a new password of mine", HERE)
    assert isinstance(answer, Unfinished) and answer.step is Step.ENROL


async def test_its_owner_sees_a_recovery_and_refuses_it(node: House, time: Time) -> None:
    given = await give(node)
    async with node.database.connection() as connection:
        assert (await recovery.announced(connection, "wang")).given_by == "clerk"
    time.now += timedelta(minutes=31)
    ticket = await recovery.begin(node, "wang", given.code, HERE)
    async with node.database.transaction() as connection:
        await recovery.refuse(connection, "wang", HERE)
    with pytest.raises(Unauthenticated):
        await recovery.finish(node, ticket, "a new password of mine", HERE)
    assert {"recovery-given", "recovery-refused"} <= set(await told(node, "wang"))
    line = await node.database.pool.fetchrow(
        "SELECT login, why FROM audit WHERE interaction = 'recovery-given' ORDER BY seq DESC"
    )
    assert line["login"] == "clerk" and "identity-card" in line["why"]


async def test_a_code_of_one_account_lets_no_other_in(node: House, time: Time) -> None:
    given = await give(node)
    time.now += timedelta(minutes=31)
    for login in ("li", "nobody"):
        with pytest.raises(Unauthenticated):
            await recovery.begin(node, login, given.code, HERE)


async def test_guessing_recovery_codes_waits_and_tells_nothing(node: House, time: Time) -> None:
    await give(node)
    answers: list[Problem] = []
    for login in ("wang", "nobody") * 10:
        try:
            await recovery.begin(node, login, second_factor.new_code(), HERE)
        except (Unauthenticated, TooManySignIns) as refused:
            answers.append(refused)
    assert sum(isinstance(answer, Unauthenticated) for answer in answers) == 12
    assert len({str(answer) for answer in answers if isinstance(answer, Unauthenticated)}) == 1
    assert {type(answer) for answer in answers[:2]} == {Unauthenticated}


async def test_known_and_unknown_get_equal_work(node: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One hash and one line in the audit, whoever is named, at the sign-in and at the recovery."""
    worked: list[str] = []
    real = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda *given: worked.append("hash") or real(*given))
    await give(node)
    await accounts.set_active(node.database, "clerk", False)
    for login in ("wang", "nobody", "clerk"):
        for attempt in (enter(node, login, "wrong"), recovery.begin(node, login, "wrong", HERE)):
            before = await node.database.pool.fetchval("SELECT count(*) FROM audit")
            worked.clear()
            with pytest.raises(Unauthenticated):
                await attempt
            assert worked == ["hash"], login
            assert await node.database.pool.fetchval("SELECT count(*) FROM audit") == before + 1


async def test_a_new_password_ends_what_apps_were_allowed(node: House) -> None:
    await node.database.pool.execute(
        "INSERT INTO oauth_client (id, name, kind, redirect_uris, scopes, backend, state, created, created_by)"
        " VALUES ('app', 'App', 'public', '{}', '{}', false, 'active', now(), '') ON CONFLICT DO NOTHING"
    )
    await node.database.pool.execute(
        "INSERT INTO oauth_grant (id, client, login, scopes, created, used)"
        " VALUES ('g', 'app', 'wang', '{}', now(), now())"
    )
    await accounts.set_password(node.database, "wang", "another four words")
    assert await node.database.pool.fetchval("SELECT why FROM oauth_grant WHERE id = 'g'") == "account"


async def test_a_shared_address_begins_as_much_as_a_hospital_needs(node: House, time: Time) -> None:
    """Two a second all day, two hundred at once; beyond that it waits as told."""
    for _n in range(limits.DOOR_AT_ONCE):
        await limits.knock(node.database, "10.0.0.1")
    with pytest.raises(TooManySignIns) as told_to_wait:
        await limits.knock(node.database, "10.0.0.1")
    await limits.knock(node.database, "10.0.0.2")
    time.now += timedelta(seconds=told_to_wait.value.retry_after)
    for _n in range(100):
        await limits.knock(node.database, "10.0.0.1")
        time.now += limits.DOOR_EVERY


# what is told ---------------------------------------------------------------------------------------------------------


async def told(node: House, login: str) -> list[str]:
    async with node.database.connection() as connection:
        return [event.kind for event in await events.listed(connection, login, count=100)]


async def test_every_attempt_is_audited_and_nothing_secret_is_written(node: House) -> None:
    before = await node.database.pool.fetchval("SELECT coalesce(max(seq), 0) FROM audit")
    with pytest.raises(Unauthenticated):
        await enter(node, "li", "wrong password")
    with pytest.raises(Unauthenticated):
        await enter(node, "my password typed as login", "x")
    await enter(node, "wang")
    rows = await node.database.pool.fetch(
        "SELECT login, interaction, outcome, target FROM audit WHERE seq > $1 ORDER BY seq", before
    )
    lines = [tuple(row) for row in rows if row["interaction"] == "login"]
    assert lines == [
        ("li", "login", 4, "account li"),
        ("?", "login", 4, "account ?"),
        ("wang", "login", 0, "account wang"),
    ]
    assert "typed as login" not in str(await node.database.pool.fetch("SELECT a::text FROM audit a"))


async def test_a_new_device_is_told_of(node: House) -> None:
    await enter(node, "wang")
    await enter(node, "wang")
    await enter(node, "wang", whence=Whence("6.6.6.6", "Stranger"))
    assert (await told(node, "wang"))[::-1] == ["signed-in", "signed-in", "new-device"]
    async with node.database.transaction() as connection:
        assert await events.unseen(connection, "wang") == 1
        await events.mark_seen(connection, "wang", 2**40)
        assert await events.unseen(connection, "wang") == 0
