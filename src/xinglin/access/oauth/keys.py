"""ID tokens, and the keys that sign them: a new one each quarter, old ones published until no token of theirs is valid.

RS256, since every OpenID Connect client must understand that one (Core 1.0 section 15.1), and most no other.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from joserfc import jwt
from joserfc.jwk import RSAKey

from xinglin.access.house import House
from xinglin.access.identity.sealing import seal, sealing_keys, unseal
from xinglin.access.principal import Principal, Role
from xinglin.kernel import clock
from xinglin.kernel.database import Connection

ALGORITHM: Final = "RS256"
BITS: Final = 3072  # 128 bits of strength (NIST SP 800-57 part 1, table 2)
SIGNS_FOR: Final = timedelta(days=90)
PUBLISHED_FOR: Final = SIGNS_FOR + timedelta(days=2)
ID_TOKEN: Final = timedelta(hours=1)
_LOCK: Final = 7061_1050  # any constant: one process makes a key at a time


async def signing_key(connection: Connection, house: House) -> RSAKey:
    """The key in use; a new one where the newest is too old. Inside a transaction."""
    secrets = await sealing_keys(connection, house.settings)
    row = await _newest(connection)
    if row is None:
        await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        row = await _newest(connection) or await _make(connection, secrets)
    return RSAKey.import_key(json.loads(unseal(secrets, bytes(row["private"]), row["kid"])))


async def _newest(connection: Connection) -> Any:
    return await connection.fetchrow(
        "SELECT kid, private FROM oauth_key WHERE created > $1 AND public::jsonb->>'alg' = $2"
        " ORDER BY created DESC LIMIT 1",
        *(clock.now() - SIGNS_FOR, ALGORITHM),
    )


async def _make(connection: Connection, secrets: Sequence[bytes]) -> Mapping[str, Any]:
    said: Any = {"use": "sig", "alg": ALGORITHM}
    key = await asyncio.to_thread(RSAKey.generate_key, BITS, said, private=True, auto_kid=True)
    kid = key.kid or ""
    private = seal(secrets, json.dumps(key.as_dict(private=True)).encode(), kid)
    public = json.dumps(key.as_dict(private=False))
    await connection.execute("INSERT INTO oauth_key VALUES ($1, $2, $3, $4)", kid, public, private, clock.now())
    await connection.execute("DELETE FROM oauth_key WHERE created < $1", clock.now() - PUBLISHED_FOR)
    return {"kid": kid, "private": private}


async def published(house: House) -> dict[str, Any]:
    """The JSON Web Key Set by which others check our ID tokens."""
    async with house.database.transaction() as connection:
        await signing_key(connection, house)
        rows = await connection.fetch("SELECT public FROM oauth_key ORDER BY created DESC")
    return {"keys": [json.loads(row["public"]) for row in rows]}


def subject_of(house: House, login: str) -> str:
    """Who an account is to apps: always the same, and no login."""
    return hmac.new(house.signing_key, b"oauth-subject\0" + login.encode(), sha256).hexdigest()[:40]


def fhir_user(principal: Principal) -> str | None:
    """Who the person is in the record, as a relative reference."""
    if principal.role is Role.PATIENT:
        return None if principal.on_behalf or not principal.patients else f"Patient/{principal.patients[0]}"
    return f"Practitioner/{principal.practitioner}" if principal.practitioner else None


async def id_token(connection: Connection, house: House, claims: Mapping[str, Any]) -> str:
    """A signed ID token, good for an hour. `claims`: what is said beside iss, iat and exp."""
    key, now = await signing_key(connection, house), clock.now()
    said = {
        "iss": house.settings.public_base,
        "iat": int(now.timestamp()),
        "exp": int((now + ID_TOKEN).timestamp()),
        **claims,
    }
    return jwt.encode({"alg": ALGORITHM, "kid": key.kid}, said, key, algorithms=[ALGORITHM])
