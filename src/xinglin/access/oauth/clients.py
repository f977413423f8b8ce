"""Apps and programs that may ask for tokens: who they are, how they prove it, what they may be granted at most."""

from __future__ import annotations

import base64
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from xinglin.access import scopes as smart
from xinglin.access.identity.sessions import hashed
from xinglin.access.identity.tokens import forget_remembered
from xinglin.kernel import clock
from xinglin.kernel.database import Connection, Database
from xinglin.kernel.errors import NotFound, Unprocessable

KINDS: Final = ("public", "secret", "key")
WAITING, ACTIVE, DISABLED = "waiting", "active", "disabled"
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
PLAIN_SCOPES: Final = frozenset(
    {"openid", "fhirUser", "profile", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access"}
)
MOST_REDIRECTS: Final = 10
MOST_SCOPES: Final = 200
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_HOST: Final = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")
_PRIVATE_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+:/[\x21-\x7e]*")  # RFC 8252 section 7.1
_COLUMNS: Final = (
    "id, name, kind, jwks, jwks_uri, redirect_uris, launch_uri, scopes, institution, backend, state, created,"
    " created_by"
)


@dataclass(frozen=True, slots=True)
class Client:
    """An app (people allow it) or a program (`backend`: it acts for itself).

    kind: how it proves who it is: public (not at all), secret, key (private_key_jwt). jwks: its public keys as JSON.
    institution: Organization id: whose managers run it, and for whom a program acts.
    """

    id: str
    name: str
    kind: str
    jwks: str | None
    jwks_uri: str | None
    redirect_uris: tuple[str, ...]
    launch_uri: str | None
    scopes: tuple[str, ...]
    institution: str | None
    backend: bool
    state: str
    created: datetime
    created_by: str

    @property
    def may_refresh(self) -> bool:
        return not self.backend


@dataclass(frozen=True, slots=True)
class Registration:
    """What is said of a client when it is registered; `jwks` as JSON text."""

    name: str
    kind: str
    scopes: tuple[str, ...]
    redirect_uris: tuple[str, ...] = ()
    launch_uri: str | None = None
    jwks: str | None = None
    jwks_uri: str | None = None
    institution: str | None = None
    backend: bool = False


async def register(
    database: Database, wanted: Registration, *, state: str = ACTIVE, by: str = ""
) -> tuple[Client, str | None]:
    """The new client, and its secret where it proves itself by one: shown once, kept as a hash."""
    check(wanted)
    secret = secrets.token_urlsafe(32) if wanted.kind == "secret" else None
    row = await database.pool.fetchrow(
        f"INSERT INTO oauth_client (secret, {_COLUMNS})"  # noqa: S608
        f" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) RETURNING {_COLUMNS}",
        *(hashed(secret) if secret else None, secrets.token_hex(12), wanted.name.strip(), wanted.kind),
        *(wanted.jwks, wanted.jwks_uri, list(wanted.redirect_uris), wanted.launch_uri, list(wanted.scopes)),
        *(wanted.institution, wanted.backend, state, clock.now(), by),
    )
    return _client(row), secret


def check(wanted: Registration) -> None:
    """Raises Unprocessable, naming what is wrong with a registration."""
    if not 1 <= len(wanted.name.strip()) <= 80 or not wanted.name.isprintable():
        raise _wrong("An app has a name of 1 to 80 characters.", "client_name")
    if wanted.kind not in KINDS:
        raise _wrong(f"{wanted.kind!r} is no way to prove who one is.", "kind")
    _check_addresses(wanted)
    _check_keys(wanted)
    check_scopes(wanted.scopes, backend=wanted.backend)


def _check_addresses(wanted: Registration) -> None:
    if wanted.backend == bool(wanted.redirect_uris):
        text = "A program has no redirect address." if wanted.backend else "An app needs a redirect address."
        raise _wrong(text, "redirect_uris")
    if len(wanted.redirect_uris) > MOST_REDIRECTS or not all(is_redirect(uri) for uri in wanted.redirect_uris):
        raise _wrong("A redirect address is https, or http on this machine, without a fragment.", "redirect_uris")
    if wanted.launch_uri is not None and not _is_web(wanted.launch_uri):
        raise _wrong("The launch address is https, or http on this machine.", "launch_uri")


def _check_keys(wanted: Registration) -> None:
    if (wanted.kind == "key") != bool(wanted.jwks or wanted.jwks_uri) or (wanted.jwks and wanted.jwks_uri):
        raise _wrong("Keys come by value or by address, and only where an app proves itself by one.", "jwks")
    if wanted.backend and wanted.kind != "key":
        raise _wrong("A program proves itself by a key.", "kind")
    if wanted.jwks is not None:
        public_keys(wanted.jwks)
    if wanted.jwks_uri is not None and not _is_web(wanted.jwks_uri):
        raise _wrong("Keys are fetched by https.", "jwks_uri")


def check_scopes(texts: Sequence[str], *, backend: bool) -> None:
    """Raises Unprocessable for a scope that an app, or a program, cannot have."""
    contexts = ("system",) if backend else ("patient", "user")
    for text in texts[: MOST_SCOPES + 1]:
        scope = smart.read(text)
        known = scope.context in contexts if scope else not backend and text in PLAIN_SCOPES
        if not known:
            raise _wrong(f"{text[:80]!r} is no scope of {'a program' if backend else 'an app'}.", "scope")
    if not texts or len(texts) > MOST_SCOPES:
        raise _wrong(f"1 to {MOST_SCOPES} scopes may be granted.", "scope")


def public_keys(text: str) -> KeySet:
    """A JSON Web Key Set of public signing keys. Raises Unprocessable, also for a private or a symmetric key."""
    try:
        found = KeySet.import_key_set(json.loads(text))
        sound = [key for key in found.keys if key.key_type in ("RSA", "EC") and not key.is_private]
    except (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _wrong("The keys are no JSON Web Key Set.", "jwks") from error
    if not sound or len(sound) != len(found.keys) or len(sound) > 20:
        raise _wrong("A key set holds 1 to 20 public keys, RSA or EC.", "jwks")
    return found


def is_redirect(uri: str) -> bool:
    """Whether a code may be sent to an address: no fragment, no user, nothing that a browser reads in another way."""
    return _is_web(uri) or (len(uri) <= 500 and bool(_PRIVATE_SCHEME.fullmatch(uri)))


def _is_web(uri: str) -> bool:
    if not uri.isascii() or not uri.isprintable() or any(c in uri for c in ' "<>\\^`{|}#') or len(uri) > 500:
        return False
    try:
        parts = urlsplit(uri)
        parts.port  # noqa: B018  raises for a port that is none
    except ValueError:
        return False
    if not _HOST.fullmatch(parts.netloc):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)


def origin_of(uri: str) -> str | None:
    """The origin that a browser names for a page at an address."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.lower()}" if parts.scheme in ("https", "http") else None


# finding --------------------------------------------------------------------------------------------------------------


async def get(connection: Connection, client_id: str) -> Client:
    known = _ID.fullmatch(client_id) is not None
    sql = f"SELECT {_COLUMNS} FROM oauth_client WHERE id = $1"  # noqa: S608
    row = await connection.fetchrow(sql, client_id) if known else None
    if row is None:
        raise NotFound(f"There is no client {client_id[:40]!r}.", remedy="`xinglin client list` shows all.")
    return _client(row)


async def listed(connection: Connection, institution: str | None = None) -> list[Client]:
    """All clients, those that wait first, then by name; or those of one institution and those that nobody's yet."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM oauth_client"  # noqa: S608
        " WHERE $1::text IS NULL OR institution = $1 OR (institution IS NULL AND NOT backend)"
        " ORDER BY state <> 'waiting', name, id",
        institution,
    )
    return [_client(row) for row in rows]


async def launchable(connection: Connection, institution: str | None) -> list[Client]:
    """Apps that can be opened from a record: of this institution, and those for all."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM oauth_client WHERE state = 'active' AND launch_uri IS NOT NULL"  # noqa: S608
        " AND 'launch' = ANY(scopes) AND (institution IS NULL OR institution = $1) ORDER BY name, id",
        institution,
    )
    return [_client(row) for row in rows]


async def origins(connection: Connection) -> frozenset[str]:
    """Where browser apps run that may call us: origins of the redirect addresses of active apps."""
    rows = await connection.fetch("SELECT unnest(redirect_uris) FROM oauth_client WHERE state = 'active'")
    return frozenset(origin for row in rows if (origin := origin_of(row[0])))


# changing -------------------------------------------------------------------------------------------------------------


async def set_state(connection: Connection, client_id: str, state: str, institution: str | None = None) -> None:
    """Approve, disable or enable. Approving gives an app nobody's yet to the institution whose manager does it."""
    done = await connection.execute(
        "UPDATE oauth_client SET state = $2, institution = coalesce(institution, $3) WHERE id = $1",
        *(client_id, state, institution),
    )
    if done == "UPDATE 0":
        raise NotFound(f"There is no client {client_id[:40]!r}.", remedy="`xinglin client list` shows all.")
    if state == DISABLED:
        await connection.execute(
            "UPDATE oauth_grant SET ended = $2, why = 'disabled' WHERE client = $1 AND ended IS NULL",
            *(client_id, clock.now()),
        )
    await forget_remembered(connection)


async def limit(connection: Connection, client_id: str, scopes: Sequence[str]) -> None:
    """Other scopes at most. What was granted beyond them before ends: people are asked again."""
    client = await get(connection, client_id)
    check_scopes(scopes, backend=client.backend)
    await connection.execute("UPDATE oauth_client SET scopes = $2 WHERE id = $1", client_id, list(scopes))
    rows = await connection.fetch("SELECT id, scopes FROM oauth_grant WHERE client = $1 AND ended IS NULL", client_id)
    beyond = [row["id"] for row in rows if smart.within(row["scopes"], scopes) != list(row["scopes"])]
    await connection.execute(
        "UPDATE oauth_grant SET ended = $2, why = 'limited' WHERE id = ANY($1::text[])", beyond, clock.now()
    )
    await forget_remembered(connection)


async def rotate_secret(connection: Connection, client_id: str) -> str:
    """A new secret, shown once; the old one is over."""
    secret = secrets.token_urlsafe(32)
    done = await connection.execute(
        "UPDATE oauth_client SET secret = $2 WHERE id = $1 AND kind = 'secret'", client_id, hashed(secret)
    )
    if done == "UPDATE 0":
        raise NotFound(f"There is no client {client_id[:40]!r} with a secret.", remedy="`xinglin client list`.")
    return secret


# proving --------------------------------------------------------------------------------------------------------------


async def has_secret(connection: Connection, client_id: str, secret: str) -> bool:
    kept = await connection.fetchval("SELECT secret FROM oauth_client WHERE id = $1", client_id)
    return kept is not None and hmac.compare_digest(bytes(kept), hashed(secret))


def basic(authorization: str) -> tuple[str, str] | None:
    """(client_id, secret) of a Basic header, each form-encoded (RFC 6749 section 2.3.1); None where it is none."""
    scheme, _, text = authorization.partition(" ")
    if scheme.casefold() != "basic":
        return None
    try:
        name, colon, secret = base64.b64decode(text.strip(), validate=True).decode().partition(":")
    except (ValueError, UnicodeDecodeError):
        return None
    return (unquote(name), unquote(secret)) if colon else None


def _wrong(text: str, place: str) -> Unprocessable:
    return Unprocessable(text, code="value", expression=place)


def _client(row: Any) -> Client:
    return Client(**{**dict(row), "redirect_uris": tuple(row["redirect_uris"]), "scopes": tuple(row["scopes"])})
