"""A visit to an outside provider: OpenID Connect Core 1.0 section 3.1, authorization code with PKCE (RFC 7636).

What comes back is believed only in the browser that was sent (ticket and state), from the issuer that it was sent to
(RFC 9207, one return address for each provider), for this visit (nonce), signed with a key and an algorithm of that
provider's.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from time import monotonic
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from xinglin.access.house import House
from xinglin.access.identity import begun, entering, limits, providers, rules
from xinglin.access.identity.events import Whence
from xinglin.access.identity.providers import Provider
from xinglin.kernel import clock
from xinglin.kernel.errors import NotFound, Problem, Unauthenticated

KIND: Final = "provider"
TRANSPORT: httpx.AsyncBaseTransport | None = None
"""How providers are reached; tests put a provider of their own here."""
SECONDS: Final = 5.0
BYTES: Final = 256 * 1024
KEPT_SECONDS: Final = 3600.0  # discovery documents and keys
AGAIN_SECONDS: Final = 60.0  # between fetches of keys for a key id that is not known
LEEWAY: Final = 60  # seconds that clocks may differ
OLDEST: Final = 600  # seconds since an ID token was issued


class Unreachable(Problem):
    """The provider did not answer, or not as OpenID Connect says."""

    status = 503
    default_code = "transient"


class Unknown(NotFound):
    """The outside account is right, but opens none of ours."""


@dataclass(frozen=True, slots=True)
class Visit:
    """Where to send the browser, and the ticket for its cookie."""

    ticket: str
    address: str


def return_address(house: House, one: Provider) -> str:
    return f"{house.settings.public_base}/sign-in/with/{one.name}/return"


# going ----------------------------------------------------------------------------------------------------------------


async def begin(house: House, one: Provider, whence: Whence, *, goal: str = "", login: str | None = None) -> Visit:
    """login: of the signed-in owner who connects the outside account; None to sign in."""
    await limits.knock(house.database, whence.address)
    found = await _metadata(one)
    state, nonce, verifier = (secrets.token_urlsafe(32) for _n in range(3))
    async with house.database.transaction() as connection:
        ticket = await begun.begin(
            connection, KIND, rules.minutes("provider"), login=login,
            provider=one.name, state=state, nonce=nonce, verifier=verifier, goal=goal,
        )  # fmt: skip
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        **one.parameters,
        "response_type": "code",
        "client_id": one.client_id,
        "redirect_uri": return_address(house, one),
        "scope": " ".join(one.scopes),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    joint = "&" if "?" in found["authorization_endpoint"] else "?"
    return Visit(ticket, f"{found['authorization_endpoint']}{joint}{urlencode(query)}")


# coming back ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Returned:
    """Verified claims of the outside account, and what the visit was for."""

    claims: Mapping[str, Any]
    login: str | None
    goal: str


async def returned(house: House, one: Provider, ticket: str, given: Mapping[str, str]) -> Returned:
    """given: the parameters of the return address. Raises Unauthenticated or Unreachable."""
    async with house.database.transaction() as connection:
        found = await begun.take(connection, KIND, ticket)
    if found is None or found.data["provider"] != one.name:
        raise _refused("This browser has not been sent there, or too long ago.")
    if not hmac.compare_digest(given.get("state", "").encode(), found.data["state"].encode()):
        raise _refused("The answer belongs to another visit.")
    metadata = await _metadata(one)
    demanded = metadata.get("authorization_response_iss_parameter_supported") is True
    if given.get("iss", "" if demanded else one.issuer) != one.issuer:
        raise _refused("The answer names another issuer.")
    if "error" in given or not given.get("code"):
        raise _refused("The provider did not sign you in.")
    token = await _redeem(house, one, metadata, given["code"], found.data["verifier"])
    claims = await _verified(one, metadata, token, found.data["nonce"])
    return Returned(claims, found.login, found.data["goal"])


async def _redeem(house: House, one: Provider, metadata: Mapping[str, Any], code: str, verifier: str) -> str:
    body = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": return_address(house, one),
        "code_verifier": verifier,
    }
    headers, secret = {}, providers.secret_of(one)
    methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if secret and "client_secret_basic" in methods:
        pair = f"{quote(one.client_id, safe='')}:{quote(secret, safe='')}"  # RFC 6749 section 2.3.1
        headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
    else:
        body["client_id"] = one.client_id
        body |= {"client_secret": secret} if secret else {}
    answer = await _call("POST", metadata["token_endpoint"], data=body, headers=headers)
    token = answer.get("id_token")
    if not isinstance(token, str):
        raise _refused("The provider sent no ID token.")
    return token


async def sign_in(house: House, one: Provider, back: Returned, whence: Whence) -> entering.Answer:
    """On with who it is: the account that the claims open. Raises Unknown where there is none."""
    async with house.database.transaction() as connection:
        login = await providers.account_of(connection, one, back.claims, whence)
        if login is not None:
            methods = ["fed"]
            if one.second_factor is not None and providers.holds(one.second_factor, back.claims):
                methods.append("mfa")
            return await entering.arrived(house, connection, login, methods, whence, goal=back.goal)
    raise Unknown("No account here belongs to that sign-in.", remedy="Sign in another way, then connect it.")


async def connect(house: House, one: Provider, back: Returned, login: str, whence: Whence) -> None:
    """Connect the outside account to the one whose owner began the visit."""
    if back.login != login:
        raise _refused("Somebody else began this.")
    async with house.database.transaction() as connection:
        await providers.link(connection, login, one, back.claims["sub"], whence)
        await providers.prove(connection, login, one, back.claims)


# the ID token ---------------------------------------------------------------------------------------------------------


async def _verified(one: Provider, metadata: Mapping[str, Any], token: str, nonce: str) -> Mapping[str, Any]:
    """The claims of an ID token that is this provider's, for us, for this visit and of now (section 3.1.3.7)."""
    if len(token) > BYTES:
        raise _refused("The ID token is too long.")
    try:
        header = jws.extract_compact(token.encode()).headers()
        if header.get("alg") not in one.algorithms:
            raise _refused("The ID token is signed in a way that is not allowed.")
        keys = await _keys(one, metadata, str(header.get("kid", "")))
        claims = jwt.decode(token, keys, algorithms=list(one.algorithms)).claims
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise _refused("The ID token's signature is not the provider's.") from error
    _check_claims(one, claims, nonce)
    return claims


def _check_claims(one: Provider, claims: Mapping[str, Any], nonce: str) -> None:
    now = clock.now().timestamp()
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp", one.client_id if len(audiences) == 1 else None)
    exp, iat, subject = claims.get("exp"), claims.get("iat"), claims.get("sub")
    right = (
        claims.get("iss") == one.issuer
        and one.client_id in audiences
        and party == one.client_id
        and _number(exp) > now - LEEWAY
        and now - OLDEST < _number(iat) < now + LEEWAY
        and hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode())
        and isinstance(subject, str)
        and 0 < len(subject) <= 255
    )
    if not right:
        raise _refused("The ID token is not for this visit.")


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("-inf")


# what a provider publishes --------------------------------------------------------------------------------------------

_documents: dict[str, tuple[float, dict[str, Any]]] = {}
_key_sets: dict[str, tuple[float, KeySet]] = {}


async def _metadata(one: Provider) -> dict[str, Any]:
    """The discovery document (OpenID Connect Discovery 1.0 section 4), which must be this very issuer's."""
    kept = _documents.get(one.issuer)
    if kept and monotonic() < kept[0] + KEPT_SECONDS:
        return kept[1]
    found = await _call("GET", f"{one.issuer.rstrip('/')}/.well-known/openid-configuration")
    wanted = ("authorization_endpoint", "token_endpoint", "jwks_uri")
    if found.get("issuer") != one.issuer or not all(providers.is_safe(str(found.get(name, ""))) for name in wanted):
        raise Unreachable("The provider's description is not that of its issuer.", remedy="Tell the administrator.")
    _documents[one.issuer] = (monotonic(), found)
    return found


async def _keys(one: Provider, metadata: Mapping[str, Any], kid: str) -> KeySet:
    """The provider's keys; fetched again for a key id that they lack, but not oftener than a minute apart."""
    kept = _key_sets.get(one.issuer)
    if kept is not None:
        age = monotonic() - kept[0]
        has = not kid or any(key.kid == kid for key in kept[1].keys)
        if age < (KEPT_SECONDS if has else AGAIN_SECONDS):
            return kept[1]
    found = KeySet.import_key_set(await _call("GET", metadata["jwks_uri"]))  # type: ignore[arg-type]
    found.keys = [key for key in found.keys if key.key_type != "oct"]
    _key_sets[one.issuer] = (monotonic(), found)
    return found


async def _call(method: str, address: str, **options: Any) -> dict[str, Any]:
    """JSON of an address that the operator trusts: no redirects, a few seconds, a bounded size."""
    try:
        async with (
            httpx.AsyncClient(timeout=SECONDS, follow_redirects=False, transport=TRANSPORT, trust_env=False) as http,
            http.stream(method, address, **options) as answer,
        ):
            body = bytearray()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > BYTES:
                    raise Unreachable("The provider's answer is too long.", remedy="Try again later.")
        found = httpx.Response(200, content=bytes(body)).json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unreachable(
            f"The provider does not answer as it should: {type(error).__name__}.", remedy="Try later."
        ) from error
    if answer.status_code != 200 or not isinstance(found, dict):
        said = found.get("error") if isinstance(found, dict) else None
        raise Unreachable(f"The provider refused: {answer.status_code} {said!r:.60}.", remedy="Try again later.")
    return found


def forget_published() -> None:
    """Ask providers anew; for tests."""
    _documents.clear()
    _key_sets.clear()


def _refused(why: str) -> Unauthenticated:
    return Unauthenticated(why, remedy="Begin again on the sign-in page.")
