"""From an access token to whoever bears it: looked up by the Doorkeeper, which remembers it like any other token.

A token is an opaque random text; only its hash is kept. It stands on a grant, the grant on an app that is active, and
on an account, which may have been closed or have changed its role: each is asked anew at every look-up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from xinglin.access.principal import Principal, Purpose, Role
from xinglin.access.scopes import within
from xinglin.kernel import clock
from xinglin.kernel.database import Connection

PREFIX: Final = "xla_"  # lets secret scanners recognise a token, and the Doorkeeper tell it from an operator's
BY: Final = " · "  # between a person's name and the app's that acts for them
MARK: Final = "~"
"""Stands in a principal's login between the account (or client) and the grant; no login has it."""

_COLUMNS: Final = """
g.id AS grant_id, g.login, g.client, g.patient, g.encounter, g.session, g.post, g.guardianship,
c.name AS app, c.institution
"""
_STANDS: Final = """
JOIN oauth_client c ON c.id = g.client
 WHERE g.ended IS NULL AND c.state = 'active'
   AND (g.session IS NULL OR EXISTS (SELECT 1 FROM session s WHERE s.id = g.session AND s.expires > $2 AND s.seen > $3))
"""
_BY_TOKEN: Final = f"""
SELECT {_COLUMNS}, t.scopes, t.expires FROM oauth_token t JOIN oauth_grant g ON g.id = t.grant_id {_STANDS}
   AND t.hash = $1 AND t.kind = $4 AND t.ended IS NULL AND t.expires > $2
"""  # noqa: S608
_BY_GRANT: Final = f"""
SELECT {_COLUMNS}, g.scopes, NULL::timestamptz AS expires FROM oauth_grant g {_STANDS} AND g.id = $1
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a token stands for. login: of the account, None for a program. patient: of the launch context. post,
    guardianship: in which its owner acts."""

    grant_id: str
    login: str | None
    client: str
    patient: str | None
    encounter: str | None
    session: str | None
    post: str | None
    guardianship: int | None
    app: str
    institution: str | None
    scopes: tuple[str, ...]
    expires: datetime | None

    def principal(self, person: Principal | None) -> Principal | None:
        """The principal: the program, or the person as they are today, limited to the scopes; None: they are gone."""
        if self.login is None:
            login = f"{self.client}{MARK}{self.grant_id}"
            purpose = Purpose.ADMINISTRATION
            return Principal(
                login, self.app, Role.SYSTEM, purpose, self.institution, scopes=self.scopes, client=self.client
            )
        if person is None:
            return None
        scopes = self.scopes if person.scopes is None else tuple(within(self.scopes, _as_app_scopes(person.scopes)))
        about: tuple[str, ...] = (self.patient,) if self.patient else ()
        if person.role is Role.PATIENT:
            if self.patient is not None and self.patient not in person.patients:
                return None
            about = person.patients
        login = f"{person.login}{MARK}{self.grant_id}"
        return replace(
            person, login=login, name=f"{person.name}{BY}{self.app}", scopes=scopes, about=about, client=self.client
        )


def _as_app_scopes(scopes: Sequence[str]) -> list[str]:
    """What limits a person (who only reads for somebody) limits their apps, about one person or all."""
    return [*scopes, *(f"patient/{text.removeprefix('user/')}" for text in scopes if text.startswith("user/"))]


async def of_token(connection: Connection, digest: bytes, idle: timedelta, kind: str = "access") -> Bearer | None:
    """The bearer of a token that is good now. `idle`: how long a session lasts without a request; `kind`: access, or
    refresh."""
    now = clock.now()
    return _bearer(await connection.fetchrow(_BY_TOKEN, digest, now, now - idle, kind))


async def of_login(connection: Connection, login: str, idle: timedelta) -> Bearer | None:
    """The same by a principal's login (ACCOUNT~GRANT), for work that outlives its request."""
    now = clock.now()
    return _bearer(await connection.fetchrow(_BY_GRANT, login.rpartition(MARK)[2], now, now - idle))


def _bearer(row: Any) -> Bearer | None:
    return None if row is None else Bearer(**{**dict(row), "scopes": tuple(row["scopes"])})


async def sweep(connection: Connection) -> None:
    """Forget what has run out, a while after: a code or token that comes again must still be known for what it is."""
    now = clock.now()
    for table in ("oauth_request", "oauth_launch", "oauth_assertion"):
        await connection.execute(f"DELETE FROM {table} WHERE expires <= $1", now)  # noqa: S608
    await connection.execute("DELETE FROM oauth_code WHERE expires <= $1", now - timedelta(days=7))
    await connection.execute("DELETE FROM oauth_token WHERE expires <= $1", now - timedelta(days=7))
