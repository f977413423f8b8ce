"""SCIM 2.0 over HTTP, under /scim/v2: bearer tokens only, answers and errors in SCIM's shape (RFC 7644).

A page's problem is a page; a problem here is a SCIM error (`problem_answer`, which web.problem_page asks for addresses
of ours).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.scim.shape import STAFF, USER
from xinglin.access.scim.users import MOST, User, Users
from xinglin.kernel.errors import Invalid, NotFound, Problem, Unauthenticated
from xinglin.web.guards import house

BASE: Final = "/scim/v2"
SEARCH: Final = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
LISTED: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
TYPES: Final = frozenset(
    {"invalidFilter", "uniqueness", "mutability", "invalidSyntax", "invalidPath", "noTarget", "invalidValue"}
)
LARGEST: Final = 100_000
VERBS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
ALWAYS: Final = frozenset({"schemas", "id"})  # whatever attributes are asked for (RFC 7643 section 7, "returned")
Answerer = Callable[[Request, Users], Awaitable[Response]]


def routes() -> list[BaseRoute]:
    return [
        Route(f"{BASE}/ServiceProviderConfig", _described("provider")),
        Route(f"{BASE}/ResourceTypes", _described("resourceTypes")),
        Route(f"{BASE}/ResourceTypes/{{id}}", _described("resourceTypes")),
        Route(f"{BASE}/Schemas", _described("schemas")),
        Route(f"{BASE}/Schemas/{{id}}", _described("schemas")),
        Route(f"{BASE}/.search", _verbs({"POST": _search}), methods=VERBS),
        Route(f"{BASE}/Users", _verbs({"GET": _list, "POST": _create}), methods=VERBS),
        Route(f"{BASE}/Users/.search", _verbs({"POST": _search}), methods=VERBS),
        Route(
            f"{BASE}/Users/{{id}}",
            _verbs({"GET": _read, "PUT": _replace, "PATCH": _patch, "DELETE": _delete}),
            methods=VERBS,
        ),
    ]


def is_ours(path: str) -> bool:
    return path == BASE or path.startswith(f"{BASE}/")


def problem_answer(problem: Problem) -> Response:
    """RFC 7644 section 3.12."""
    issue = problem.issues[0]
    body: dict[str, Any] = {"schemas": [ERROR], "status": str(problem.status), "detail": issue.sentence()}
    if issue.code in TYPES:
        body["scimType"] = issue.code
    headers = {"www-authenticate": problem.challenge} if isinstance(problem, Unauthenticated) else {}
    return _answer(body, problem.status, headers)


def _answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers or {}, media_type="application/scim+json")


def _users(request: Request) -> Users:
    """For the program that asks; a session's cookie is nobody here."""
    who = request.state.principal
    if who is None or request.state.session is not None:
        raise Unauthenticated("A bearer token is needed.", remedy="Send `Authorization: Bearer TOKEN`.")
    return Users(house(request), who)


def _verbs(verbs: dict[str, Answerer]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        method, users = "GET" if request.method == "HEAD" else request.method, _users(request)
        if method not in verbs:
            served = ", ".join(verbs)
            told = {"schemas": [ERROR], "status": "405", "detail": f"{method} is not served here. Use {served}."}
            return _answer(told, 405, {"allow": served})
        return await verbs[method](request, users)

    return endpoint


@cache
def _descriptions() -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(files("xinglin.access.scim").joinpath("schemas.json").read_bytes())
    return found


def _described(what: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        _users(request)
        found = _descriptions()[what]
        if not isinstance(found, list):
            return _answer({**found, "meta": _meta(request, "ServiceProviderConfig")})
        kind = "ResourceType" if what == "resourceTypes" else "Schema"
        each = [{**one, "meta": _meta(request, kind, f"{kind}s/{one['id']}")} for one in found]
        wanted = request.path_params.get("id")
        if wanted is None:
            return _answer(_page(each, len(each), 1))
        one = next((one for one in each if one["id"] == wanted), None)
        if one is None:
            raise NotFound("There is no such description.")
        return _answer(one)

    return endpoint


def _meta(request: Request, kind: str, place: str = "") -> dict[str, Any]:
    return {"resourceType": kind, "location": f"{request.app.state.settings.public_base}{BASE}/{place or kind}"}


def _page(found: list[Any], total: int, start: int) -> dict[str, Any]:
    return {
        "schemas": [LISTED],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(found),
        "Resources": found,
    }


def _user(request: Request, user: User) -> dict[str, Any]:
    staff = {STAFF: {"practitioner": user.practitioner}} if user.practitioner else {}
    return {
        "schemas": [USER, *staff],
        "id": user.id,
        **({"externalId": user.external_id} if user.external_id else {}),
        "userName": user.login,
        "displayName": user.name_zh,
        "name": {"formatted": user.name_en},
        "active": user.active,
        "roles": [{"value": user.role, "primary": True}],
        **staff,
        "meta": {
            "resourceType": "User",
            "created": user.created.isoformat(),
            "lastModified": user.changed.isoformat(),
            "version": user.etag,
            "location": _location(request, user),
        },
    }


def _location(request: Request, user: User) -> str:
    return f"{request.app.state.settings.public_base}{BASE}/Users/{user.id}"


def _shown(request: Request, user: User, status: int = 200) -> Response:
    headers = {"etag": user.etag, "location": _location(request, user)}
    return _answer(_chosen(_user(request, user), request.query_params), status, headers)


def _chosen(user: dict[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that are asked for, or those that are not left out (RFC 7644 section 3.9), each as a whole."""
    named, without = _names(asked, "attributes"), _names(asked, "excludedAttributes")
    if named:
        return {name: value for name, value in user.items() if name in ALWAYS or name.lower() in named}
    return {name: value for name, value in user.items() if name in ALWAYS or name.lower() not in without}


def _names(asked: Mapping[str, Any], parameter: str) -> set[str]:
    """Attributes named by themselves, by a part of theirs, or with their schema; in small letters."""
    value = asked.get(parameter) or []
    names = value.split(",") if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise Invalid(f"{parameter} is a list of names.", code="invalidValue")
    plain = [name.strip().lower().removeprefix(f"{USER.lower()}:") for name in names]
    return {STAFF.lower() if name.startswith(STAFF.lower()) else name.partition(".")[0] for name in plain}


async def _list(request: Request, users: Users) -> Response:
    return await _listed(request, users, request.query_params)


async def _search(request: Request, users: Users) -> Response:
    """The same, asked by a body: names of people stand in no address (RFC 7644 section 3.4.3)."""
    asked = await _body(request)
    if not isinstance(asked, dict) or asked.get("schemas", [SEARCH]) != [SEARCH]:
        raise Invalid("The body is a SearchRequest.", code="invalidSyntax")
    return await _listed(request, users, asked)


async def _listed(request: Request, users: Users, asked: Mapping[str, Any]) -> Response:
    start, count, filter = _number(asked, "startIndex", 1), _number(asked, "count", 100), asked.get("filter") or ""
    if not isinstance(filter, str):
        raise Invalid("filter is a text.", code="invalidFilter")
    total, found = await users.listed(filter, start, count)
    return _answer(_page([_chosen(_user(request, one), asked) for one in found], total, max(start, 1)))


async def _read(request: Request, users: Users) -> Response:
    found = await users.read(request.path_params["id"])
    if request.headers.get("if-none-match") == found.etag:
        return Response(status_code=304, headers={"etag": found.etag})
    return _shown(request, found)


async def _create(request: Request, users: Users) -> Response:
    return _shown(request, await users.create(await _body(request)), 201)


async def _replace(request: Request, users: Users) -> Response:
    return _shown(request, await users.replace(request.path_params["id"], await _body(request), _match(request)))


async def _patch(request: Request, users: Users) -> Response:
    return _shown(request, await users.patch(request.path_params["id"], await _body(request), _match(request)))


async def _delete(request: Request, users: Users) -> Response:
    await users.delete(request.path_params["id"], _match(request))
    return Response(status_code=204)


def _match(request: Request) -> str | None:
    return request.headers.get("if-match")


async def _body(request: Request) -> Any:
    body = await request.body()
    if len(body) > LARGEST:
        raise Invalid("The body is too large.", code="invalidSyntax")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Invalid("The body is no JSON.", code="invalidSyntax") from None


def _number(asked: Mapping[str, Any], name: str, otherwise: int) -> int:
    text = "" if asked.get(name) is None else str(asked[name])
    if not text:
        return otherwise
    if not text.lstrip("-").isdigit() or not text.isascii() or len(text) > 9:
        raise Invalid(f"{name} is a number.", code="invalidValue")
    return min(int(text), MOST) if name == "count" else int(text)
