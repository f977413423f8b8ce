"""What apps and programs post: token, introspect, revoke, userinfo, register. Answers are JSON, errors OAuth's."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from xinglin.access import audit
from xinglin.access.audit import Access
from xinglin.access.identity import limits, tokens
from xinglin.access.identity.limits import Attempt, TooManySignIns
from xinglin.access.oauth import assertions, clients, issuing
from xinglin.access.oauth.assertions import KeyBook
from xinglin.access.oauth.clients import ACTIVE, WAITING, Client, Registration
from xinglin.access.oauth.errors import OAuthError, invalid_client, invalid_request
from xinglin.access.oauth.fetching import Fetcher
from xinglin.access.principal import NODE
from xinglin.kernel.errors import NotFound, Unprocessable
from xinglin.web.guards import house

FORM: Final = "application/x-www-form-urlencoded"
MOST_BYTES: Final = 64 << 10
NO_STORE: Final = {"cache-control": "no-store", "pragma": "no-cache"}
Endpoint = Callable[[Request], Awaitable[Response]]


PATHS: Final = frozenset(f"/oauth/{name}" for name in ("token", "introspect", "revoke", "userinfo", "register"))
"""Whoever asks here proves it to the endpoint itself: the Doorkeeper is not asked."""


def routes() -> list[BaseRoute]:
    return [
        Route("/oauth/token", token, methods=["POST"]),
        Route("/oauth/introspect", introspect, methods=["POST"]),
        Route("/oauth/revoke", revoke, methods=["POST"]),
        Route("/oauth/userinfo", userinfo, methods=["GET", "POST"]),
        Route("/oauth/register", register, methods=["POST"]),
    ]


def answering(endpoint: Endpoint) -> Endpoint:
    """Refusals in OAuth's own form (RFC 6749 section 5.2)."""

    @wraps(endpoint)
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except OAuthError as error:
            headers = dict(NO_STORE)
            if error.http_status == 401:
                headers["www-authenticate"] = 'Basic realm="xinglin"'
            return refusal(error.error, error.text, error.http_status, headers)
        except TooManySignIns as problem:
            headers = {**NO_STORE, "retry-after": str(problem.retry_after)}
            return refusal("slow_down", "Too many attempts have failed.", 429, headers)

    return answered


def refusal(error: str, text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": error, "error_description": text}, status, headers or NO_STORE)


async def sent(request: Request) -> dict[str, str]:
    """The fields of a form, each once."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise invalid_request(f"The body is {FORM}.")
    body = await request.body()
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=40) if len(body) <= MOST_BYTES else []
    except ValueError:
        pairs = []
    if not pairs:
        raise invalid_request("The form cannot be read.")
    if len({name for name, _ in pairs}) != len(pairs) or any("\0" in value for _, value in pairs):
        raise invalid_request("A field is given twice, or holds U+0000.")
    return dict(pairs)


def needed(form: dict[str, str], name: str) -> str:
    """The value of a field that must stand in the form (RFC 6749 section 5.2, RFC 7009 and 7662 section 2.1)."""
    if not form.get(name):
        raise invalid_request(f"{name} is missing.")
    return form[name]


# who asks -------------------------------------------------------------------------------------------------------------


async def client_of(request: Request, form: dict[str, str]) -> Client:
    """The client, which has proven who it is as it is registered to. Raises OAuthError and TooManySignIns."""
    given = clients.basic(request.headers.get("authorization", ""))
    assertion = form.get("client_assertion")
    ways = [given is not None, "client_secret" in form, assertion is not None]
    if sum(ways) > 1:
        raise invalid_request("One way of proving who you are at a time.")
    named = given[0] if given else form.get("client_id") or (assertions.client_id_of(assertion) if assertion else "")
    if not named and form.get("refresh_token"):
        async with house(request).database.connection() as connection:
            named = await issuing.public_client_of(connection, form["refresh_token"])
    if given and form.get("client_id", named) != named:
        raise invalid_client("client_id is not the one in the header.")
    client = await _known(request, named)
    if client.kind == "public":
        if any(ways):
            raise invalid_client("A public client has nothing to prove itself by.")
        return client
    secret = given[1] if given else form.get("client_secret")
    await _proven(request, client, secret if client.kind == "secret" else None, form)
    return client


async def _known(request: Request, client_id: str) -> Client:
    try:
        async with house(request).database.connection() as connection:
            client = await clients.get(connection, client_id)
    except NotFound:
        raise invalid_client("The client is not known, or not approved.") from None
    if client.state != ACTIVE:
        raise invalid_client("The client is not known, or not approved.")
    return client


async def _proven(request: Request, client: Client, secret: str | None, form: dict[str, str]) -> None:
    """By its secret, guesses of which are slowed like those of a password; or by an assertion that nobody can guess."""
    database = house(request).database
    if client.kind == "key":
        if form.get("client_assertion_type") != assertions.TYPE or "client_assertion" not in form:
            raise invalid_client(f"This client sends a client_assertion of type {assertions.TYPE}.")
        audience = f"{house(request).settings.public_base}/oauth/token"
        async with database.transaction() as connection:
            await assertions.verify(connection, key_book(request), client, form["client_assertion"], audience)
        return
    async with database.connection() as connection:
        right = secret is not None and await clients.has_secret(connection, client.id, secret)
    if not right:
        if secret is None:
            raise invalid_client("This client sends its secret.")
        await limits.enter(database, Attempt.of(f"app:{client.id}", _address(request)))
        raise invalid_client("The client's secret is wrong.")


def key_book(request: Request) -> KeyBook:
    """Keys of clients that this process remembers."""
    state = request.app.state
    if not hasattr(state, "key_book"):
        state.key_book = KeyBook(Fetcher(loopback=state.settings.fetch_loopback == "yes"))
    found: KeyBook = state.key_book
    return found


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


# tokens ---------------------------------------------------------------------------------------------------------------


@answering
async def token(request: Request) -> Response:
    form = await sent(request)
    client = await client_of(request, form)
    kind = needed(form, "grant_type")
    asked = form["scope"].split() if form.get("scope") else None
    if client.backend != (kind == "client_credentials") and kind in GRANTS:
        raise OAuthError("unauthorized_client", "This client has another grant_type.")
    if kind == "authorization_code":
        given = (needed(form, "code"), needed(form, "redirect_uri"), form.get("code_verifier", ""))
        answer = await issuing.exchange(house(request), client, *given)
    elif kind == "refresh_token":
        answer = await issuing.refresh(house(request), client, needed(form, "refresh_token"), asked)
    elif kind == "client_credentials":
        answer = await issuing.for_program(house(request), client, asked or [])
    else:
        raise OAuthError("unsupported_grant_type", f"grant_type is {', '.join(GRANTS)}.")
    return JSONResponse(answer, headers=NO_STORE)


GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials")


@answering
async def introspect(request: Request) -> Response:
    form = await sent(request)
    client = None if await _is_resource_server(request) else await client_of(request, form)
    if client is not None and client.kind == "public":
        raise invalid_client("Only a client that proves who it is may introspect.")
    async with house(request).database.connection() as connection:
        told = await issuing.introspect(connection, house(request), client, needed(form, "token"))
    return JSONResponse(told, headers=NO_STORE)


async def _is_resource_server(request: Request) -> bool:
    """Whether an operator's token of the scope `introspect` asks (RFC 7662 section 2.1)."""
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if scheme.casefold() != "bearer":
        return False
    async with house(request).database.connection() as connection:
        return await tokens.bears(connection, given.strip(), tokens.INTROSPECT)


@answering
async def revoke(request: Request) -> Response:
    form = await sent(request)
    client = await client_of(request, form)
    async with house(request).database.transaction() as connection:
        await issuing.revoke(connection, client, needed(form, "token"))
    return Response(headers=NO_STORE)


@answering
async def userinfo(request: Request) -> Response:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    told = None
    if scheme.casefold() == "bearer":
        async with house(request).database.connection() as connection:
            told = await issuing.userinfo(connection, house(request), given.strip())
    if told is None:
        headers = {**NO_STORE, "www-authenticate": 'Bearer error="invalid_token"'}
        return refusal("invalid_token", "The token is not valid, or was not given for openid.", 401, headers)
    return JSONResponse(told, headers=NO_STORE)


# registering ----------------------------------------------------------------------------------------------------------

METHODS: Final = {
    "none": "public",
    "client_secret_basic": "secret",
    "client_secret_post": "secret",
    "private_key_jwt": "key",
}


@answering
async def register(request: Request) -> Response:
    """RFC 7591. What registers itself waits for a manager, unless the installation says otherwise."""
    settings, found = request.app.state.settings, house(request)
    if settings.app_registration == "off":
        return refusal("access_denied", "Apps do not register themselves here; ask the operator.", 403)
    await limits.knock(found.database, _address(request))
    body = await request.body()
    wanted = _registration(body)
    state = ACTIVE if settings.app_registration == "open" and not wanted.backend else WAITING
    try:
        client, secret = await clients.register(found.database, wanted, state=state)
    except Unprocessable as problem:
        place = problem.issues[0].expression or ""
        error = "invalid_redirect_uri" if place == "redirect_uris" else "invalid_client_metadata"
        return refusal(error, problem.issues[0].text, 400)
    async with found.database.transaction() as connection:
        await audit.record(connection, [Access(NODE, "app-registered", f"app {client.id}", why=state)])
    return JSONResponse(_registered(client, secret), 201, NO_STORE)


def _registration(body: bytes) -> Registration:
    try:
        said = json.loads(body) if len(body) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        raise OAuthError("invalid_client_metadata", "The body is a JSON object.")
    kind = METHODS.get(str(said.get("token_endpoint_auth_method", "client_secret_basic")))
    grants = said.get("grant_types", ["authorization_code"])
    if kind is None or not isinstance(grants, list) or not {str(one) for one in grants} <= set(GRANTS):
        raise OAuthError("invalid_client_metadata", "The way of proving, or of granting, is not offered here.")
    keys, addresses = said.get("jwks"), said.get("redirect_uris") or []
    if not isinstance(addresses, list):
        raise OAuthError("invalid_redirect_uri", "redirect_uris is a list.")
    return Registration(
        name=_text(said, "client_name"),
        kind=kind,
        scopes=tuple(_text(said, "scope").split()),
        redirect_uris=tuple(_text({"uri": one}, "uri") for one in addresses),
        launch_uri=_text(said, "initiate_login_uri") or _text(said, "launch_uri") or None,
        jwks=json.dumps(keys) if keys is not None else None,
        jwks_uri=_text(said, "jwks_uri") or None,
        backend="client_credentials" in grants,
    )


def _text(said: dict[str, Any], name: str) -> str:
    value = said.get(name, "")
    if not isinstance(value, str) or "\0" in value or len(value) > 20_000:
        raise OAuthError("invalid_client_metadata", f"{name} is a text.")
    return value


def _registered(client: Client, secret: str | None) -> dict[str, Any]:
    method = {"public": "none", "secret": "client_secret_basic", "key": "private_key_jwt"}[client.kind]
    told: dict[str, Any] = {
        "client_id": client.id,
        "client_id_issued_at": int(client.created.timestamp()),
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "scope": " ".join(client.scopes),
        "grant_types": ["client_credentials"] if client.backend else ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": method,
        "xinglin_state": client.state,
    }
    if not client.backend:
        told["response_types"] = ["code"]
    return told if secret is None else {**told, "client_secret": secret, "client_secret_expires_at": 0}
