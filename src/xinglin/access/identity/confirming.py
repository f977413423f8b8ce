"""Proving oneself again before the account's own locks are changed: a signed-in browser may be in other hands.

As strong as signing in: the password and, where the account has one, the second factor; or a passkey.
"""

from __future__ import annotations

from xinglin.access.house import House
from xinglin.access.identity import entering, events, limits, passkeys, rules, second_factor, sessions
from xinglin.access.identity.entering import Step
from xinglin.access.identity.events import Whence
from xinglin.access.identity.sessions import Session
from xinglin.kernel.errors import Unauthenticated


async def by_password(house: House, session: Session, password: str, code: str, whence: Whence) -> str:
    """The session's new secret. code: of the app or for recovery; "" where there is none.

    Raises Unauthenticated and limits.TooManySignIns.
    """
    attempt = limits.Attempt.of(session.login, whence.address)
    await entering.check_password(house.database, attempt, session.login, password, whence)
    async with house.database.transaction() as connection:
        account = await entering.standing(connection, session.login)
        await limits.forgiven(connection, attempt)
    if account is None:
        raise entering.over()
    methods = ["pwd"]
    if account.codes:
        methods.append(await second_factor.check(house, session.login, code, whence))
    must = rules.must_have_second(account.role, house.settings)
    if entering.next_step(account, frozenset(methods), must=must) is Step.SECOND:
        raise Unauthenticated("This account is confirmed with its passkey.", remedy="Use the passkey.")
    return await _proven(house, session, methods, whence)


async def by_passkey(house: House, session: Session, ticket: str, answer: str, whence: Whence) -> str:
    """The session's new secret. Raises Unauthenticated."""
    await passkeys.use(house.database, house.settings, ticket, answer, whence, session.login)
    return await _proven(house, session, list(passkeys.METHODS), whence)


async def _proven(house: House, session: Session, methods: list[str], whence: Whence) -> str:
    async with house.database.transaction() as connection:
        secret = await sessions.prove_again(connection, session.id, methods)
        await events.tell(connection, "confirmed", session.login, whence, detail=" ".join(methods))
    return secret
