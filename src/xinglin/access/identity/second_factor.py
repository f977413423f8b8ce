"""One-time codes from an authenticator app (RFC 6238), and recovery codes on paper for the day the app is lost.

Each code opens once: the step that a code belongs to is noted, and no code of that step or an earlier one is taken
again (RFC 6238 section 5.2). Six digits can be guessed, so whoever asks here has given the password, and waits
(limits.enter_code).
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote, urlencode, urlsplit

import pyotp

from xinglin.access.house import House
from xinglin.access.identity import begun, events, limits, rules, sealing
from xinglin.access.identity.events import Whence
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Unauthenticated

ENROL: Final = "enrol"
LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # none that is mistaken for another when read out
GROUPS: Final = 4  # of four letters: 79 bits, of what one person is handed and uses within days
RECOVERY_GROUPS: Final = 6  # 118 bits, of what is kept for years: above 112 a fast hash is enough (ASVS 6.5.2)


@dataclass(frozen=True, slots=True)
class Factors:
    """What an account has beside its password. codes_left: of the recovery codes."""

    since: datetime | None
    codes_left: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A secret on its way to an app: in letters for typing, and as the address that a QR code holds."""

    secret: str
    address: str


async def factors(connection: Connection, login: str) -> Factors:
    since = await connection.fetchval("SELECT created FROM authenticator WHERE login = $1", login)
    left = await connection.fetchval("SELECT count(*) FROM recovery_code WHERE login = $1 AND used IS NULL", login)
    return Factors(since, int(left))


# setting up -----------------------------------------------------------------------------------------------------------


async def begin_enrolment(house: House, connection: Connection, login: str) -> str:
    """The ticket for the browser's cookie; the secret waits, sealed, until a code of it has been shown."""
    secret = secrets.token_bytes(rules.data()["totp"]["secret_bytes"])
    keys = await sealing.sealing_keys(connection, house.settings)
    sealed = sealing.seal(keys, secret, login).hex()
    return await begun.begin(connection, ENROL, rules.minutes("enrolment"), login=login, secret=sealed)


async def enrolment(house: House, connection: Connection, ticket: str, login: str) -> Enrolment | None:
    """What the app is to be told; None where nothing was begun, or it is over."""
    secret = await _pending(house, connection, ticket, login)
    if secret is None:
        return None
    text = base64.b32encode(secret).decode()
    issuer = f"Xinglin {urlsplit(house.settings.public_base).hostname}"
    parameters = urlencode({"secret": text, "issuer": issuer}, quote_via=quote)
    return Enrolment(" ".join(re.findall("....", text)), f"otpauth://totp/{quote(f'{issuer}:{login}')}?{parameters}")


async def confirm(house: House, ticket: str, login: str, code: str, whence: Whence) -> list[str] | None:
    """Keep the secret once the app shows its code: the recovery codes, to be shown this once. None: a wrong code."""
    async with house.database.transaction() as connection:
        secret = await _pending(house, connection, ticket, login)
        if secret is None:
            raise Unauthenticated("Setting up has taken too long.", remedy="Start again.")
        step = matching_step(secret, _digits(code), -1)
        if step is None:
            return None
        if await begun.take(connection, ENROL, ticket) is None:
            raise Unauthenticated("Setting up has taken too long.", remedy="Start again.")
        keys = await sealing.sealing_keys(connection, house.settings)
        await connection.execute(
            "INSERT INTO authenticator (login, secret, last_step, created) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (login) DO UPDATE SET secret = $2, last_step = $3, created = $4",
            *(login, sealing.seal(keys, secret, login), step, clock.now()),
        )
        await events.tell(connection, "codes-added", login, whence)
        return await make_recovery_codes(connection, login)


async def _pending(house: House, connection: Connection, ticket: str, login: str) -> bytes | None:
    found = await begun.look(connection, ENROL, ticket)
    if found is None or found.login != login:
        return None
    keys = await sealing.sealing_keys(connection, house.settings)
    return sealing.unseal(keys, bytes.fromhex(found.data["secret"]), login)


async def remove(connection: Connection, login: str, whence: Whence) -> None:
    """No codes any more, and the recovery codes with them."""
    done = await connection.execute("DELETE FROM authenticator WHERE login = $1", login)
    await connection.execute("DELETE FROM recovery_code WHERE login = $1", login)
    if done == "DELETE 1":
        await events.tell(connection, "codes-removed", login, whence)


# using ----------------------------------------------------------------------------------------------------------------


async def check(house: House, login: str, code: str, whence: Whence) -> str:
    """The method by which a code is right: `otp` of the app, `rec` of a recovery code.

    Raises Unauthenticated, and limits.TooManySignIns. Whoever calls has proven the first factor.
    """
    await limits.enter_code(house.database, login)
    async with house.database.transaction() as connection:
        method = await _method(house, connection, login, code)
        if method:
            await limits.code_was_right(connection, login)
            if method == "rec":
                await events.tell(connection, "recovery-code-used", login, whence)
            return method
        await events.tell(connection, "code-refused", login, whence)
    raise Unauthenticated("The code is wrong or was used already.", remedy="Wait for the next code and try again.")


async def _method(house: House, connection: Connection, login: str, code: str) -> str:
    if re.fullmatch(r"\d{6}", _digits(code)):
        return "otp" if await _use_step(house, connection, login, _digits(code)) else ""
    return "rec" if await use_recovery_code(connection, login, code) else ""


async def _use_step(house: House, connection: Connection, login: str, code: str) -> bool:
    row = await connection.fetchrow("SELECT secret, last_step FROM authenticator WHERE login = $1 FOR UPDATE", login)
    if row is None:
        return False
    keys = await sealing.sealing_keys(connection, house.settings)
    step = matching_step(sealing.unseal(keys, bytes(row["secret"]), login), code, row["last_step"])
    if step is None:
        return False
    await connection.execute("UPDATE authenticator SET last_step = $2 WHERE login = $1", login, step)
    return True


def matching_step(secret: bytes, code: str, after: int) -> int | None:
    """The step, later than `after` and at most one aside from now, whose code this is."""
    rule = rules.data()["totp"]
    now = int(clock.now().timestamp()) // rule["seconds"]
    codes = pyotp.HOTP(base64.b32encode(secret).decode(), digits=rule["digits"])
    aside = rule["steps_aside"]
    found = [n for n in range(now - aside, now + aside + 1) if hmac.compare_digest(codes.at(n), code)]
    return next((n for n in found if n > after), None)


def _digits(code: str) -> str:
    """As people write it: 123 456, or in full-width digits."""
    return re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", code[:64]))


# recovery codes -------------------------------------------------------------------------------------------------------


def new_code(groups: int = GROUPS) -> str:
    """Groups of four letters."""
    return "-".join("".join(secrets.choice(LETTERS) for _letter in range(4)) for _group in range(groups))


def hashed_code(login: str, code: str) -> bytes:
    """A code as it is kept; letters' case, width, spaces and hyphens do not count."""
    plain = re.sub(r"[\s-]", "", unicodedata.normalize("NFKC", code)).casefold()
    return sha256(f"{login}\0{plain}".encode("utf-8", "surrogatepass")).digest()


async def make_recovery_codes(connection: Connection, login: str) -> list[str]:
    """Fresh codes, to be shown this once; earlier ones end."""
    codes = [new_code(RECOVERY_GROUPS) for _n in range(rules.data()["recovery_codes"])]
    await connection.execute("DELETE FROM recovery_code WHERE login = $1", login)
    await connection.executemany(
        "INSERT INTO recovery_code (hash, login, created) VALUES ($1, $2, $3)",
        [(hashed_code(login, code), login, clock.now()) for code in codes],
    )
    return codes


async def use_recovery_code(connection: Connection, login: str, code: str) -> bool:
    used = await connection.execute(
        "UPDATE recovery_code SET used = $3 WHERE hash = $1 AND login = $2 AND used IS NULL",
        *(hashed_code(login, code), login, clock.now()),
    )
    return str(used) == "UPDATE 1"
