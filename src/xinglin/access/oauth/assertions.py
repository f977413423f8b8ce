"""A program proves who it is by a signed assertion (RFC 7523; SMART App Launch 2.2, Asymmetric Authentication).

Only the algorithms that SMART names; the key's type must fit; `crit` is refused, since we know no extension; `exp` at
most five minutes ahead of our clock, and of `iat`; each `jti` once. Keys by address are fetched with care (fetching.py)
and kept for minutes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from time import monotonic
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import extract_compact

from xinglin.access.oauth.clients import Client, public_keys
from xinglin.access.oauth.errors import OAuthError, invalid_client
from xinglin.access.oauth.fetching import Fetcher
from xinglin.kernel import clock
from xinglin.kernel.database import Connection
from xinglin.kernel.errors import Problem

TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEY_TYPES: Final = {"RS384": "RSA", "ES384": "EC"}
LONGEST: Final = 8000  # characters
AHEAD: Final = timedelta(minutes=5)
SKEW: Final = timedelta(seconds=10)  # of a clock that names the past or the present; never of `exp`
KEPT: Final = 300.0  # seconds that fetched keys are trusted
AGAIN: Final = 30.0  # seconds before an unknown key makes us fetch anew
_CURVES: Final = {"ES384": "P-384"}
_SHORTEST_RSA: Final = 2048


@dataclass(slots=True)
class KeyBook:
    """Public keys of clients. One for each process."""

    fetcher: Fetcher = field(default_factory=Fetcher)
    _kept: dict[str, tuple[float, KeySet]] = field(default_factory=dict)

    async def of(self, client: Client, kid: str | None) -> KeySet:
        """The client's keys; fetched anew where none of those kept bears the name. Raises OAuthError."""
        if client.jwks is not None:
            return public_keys(client.jwks)
        url = client.jwks_uri or ""
        known = self._kept.get(url)
        age = monotonic() - known[0] if known else KEPT
        if known and (age < AGAIN or (age < KEPT and any(key.kid == kid for key in known[1].keys))):
            return known[1]
        try:
            keys = public_keys(json.dumps(await self.fetcher.fetch_json(url)))
        except Problem as problem:
            raise invalid_client(f"The keys cannot be had. {problem.issues[0].text}") from problem
        if len(self._kept) > 500:
            self._kept.clear()
        self._kept[url] = (monotonic(), keys)
        return keys


def client_id_of(assertion: str) -> str:
    """Who the assertion says it is from, before anything is believed."""
    try:
        claims = json.loads(extract_compact(assertion[:LONGEST].encode()).payload)
        return str(claims["iss"])
    except (JoseError, ValueError, KeyError, TypeError, RecursionError):
        raise invalid_client("The client_assertion is no JWT.") from None


async def verify(connection: Connection, book: KeyBook, client: Client, assertion: str, audience: str) -> None:
    """Whether the client itself made the assertion, for us, now, once. `audience`: our token endpoint.

    Raises OAuthError.
    """
    if len(assertion) > LONGEST or client.kind != "key":
        raise invalid_client("The client does not prove itself by an assertion.")
    header = _header(assertion)
    keys = await book.of(client, header.get("kid"))
    claims = _signed(assertion, header, keys)
    _check_claims(claims, client, audience)
    await _once(connection, client, claims)


def _header(assertion: str) -> Mapping[str, Any]:
    try:
        header = extract_compact(assertion.encode()).headers()
    except (JoseError, ValueError, UnicodeError, RecursionError):
        raise invalid_client("The client_assertion is no JWT.") from None
    if header.get("alg") not in KEY_TYPES:
        raise invalid_client(f"The assertion is signed by {' or '.join(KEY_TYPES)}.")
    if "crit" in header:
        raise invalid_client("The assertion names a critical extension that is not known here.")
    if not isinstance(header.get("kid"), str):
        raise invalid_client("The assertion names no key (kid).")
    return header


def _signed(assertion: str, header: Mapping[str, Any], keys: KeySet) -> Mapping[str, Any]:
    """The claims, if the one key that the header names signed them."""
    algorithm = header["alg"]
    named = [key for key in keys.keys if key.kid == header["kid"] and key.key_type == KEY_TYPES[algorithm]]
    if len(named) != 1 or named[0].get("use") == "enc" or not _strong(named[0], algorithm):
        raise invalid_client("The client has no such key.")
    try:
        return jwt.decode(assertion, named[0], algorithms=[algorithm]).claims
    except (JoseError, ValueError, RecursionError):
        raise invalid_client("The assertion's signature is wrong.") from None


def _strong(key: Any, algorithm: str) -> bool:
    if key.key_type == "EC":
        return bool(key.curve_name == _CURVES[algorithm])
    return bool(key.public_key.key_size >= _SHORTEST_RSA)


def _check_claims(claims: Mapping[str, Any], client: Client, audience: str) -> None:
    now = clock.now()
    if claims.get("iss") != client.id or claims.get("sub") != client.id:
        raise invalid_client("iss and sub are the client_id.")
    meant = claims.get("aud")
    if meant != audience and meant != [audience]:
        raise invalid_client(f"aud is {audience}.")
    expires = claims.get("exp")
    if expires is None or not _is_time(expires) or not now.timestamp() < expires <= (now + AHEAD).timestamp():
        raise invalid_client("exp lies ahead, by at most five minutes of the server's clock.")
    for name in ("nbf", "iat"):
        if name in claims and (not _is_time(claims[name]) or claims[name] > (now + SKEW).timestamp()):
            raise invalid_client(f"{name} lies in the future.")
    if expires - claims.get("iat", expires) > AHEAD.total_seconds():
        raise invalid_client("The assertion is made for more than five minutes.")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 500:
        raise invalid_client("jti is needed.")


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e11


async def _once(connection: Connection, client: Client, claims: Mapping[str, Any]) -> None:
    now = clock.now()
    await connection.execute("DELETE FROM oauth_assertion WHERE expires < $1", now)
    done = await connection.execute(
        "INSERT INTO oauth_assertion (client, jti, expires) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        *(client.id, sha256(claims["jti"].encode("utf-8", "surrogatepass")).digest(), now + AHEAD + 2 * SKEW),
    )
    if done == "INSERT 0 0":
        raise OAuthError("invalid_client", "The assertion was used before.", status=401)
