"""SCIM 2.0 over HTTP, under /scim/v2: bearer tokens only, answers and errors in SCIM's shape (RFC 7644).

A page's problem is a page; a problem here is a SCIM error (`problem_answer`, which web.problem_page asks for addresses
of ours).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
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
LISTED: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
TYPES: Final = frozenset(
    {"invalidFilter", "uniqueness", "mutability", "invalidSyntax", "invalidPath", "noTarget", "invalidValue"}
)
LARGEST: Final = 100_000
Answerer = Callable[[Request, Users], Awaitable[Response]]


def routes() -> list[BaseRoute]:
    return [
        Route(f"{BASE}/ServiceProviderConfig", _described("provider")),
        Route(f"{BASE}/ResourceTypes", _described("resourceTypes")),
        Route(f"{BASE}/ResourceTypes/{{id}}", _described("resourceTypes")),
        Route(f"{BASE}/Schemas", _described("schemas")),
        Route(f"{BASE}/Schemas/{{id}}", _described("schemas")),
        Route(f"{BASE}/Users", _verbs({"GET": _list, "POST": _create}), methods=["GET", "POST"]),
        Route(
            f"{BASE}/Users/{{id}}",
            _verbs({"GET": _read, "PUT": _replace, "PATCH": _patch, "DELETE": _delete}),
            methods=["GET", "PUT", "PATCH", "DELETE"],
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
    headers = {"www-authenticate": "Bearer"} if isinstance(problem, Unauthenticated) else {}
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
        method = "GET" if request.method == "HEAD" else request.method
        return await verbs[method](request, _users(request))

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
            return _answer(found)
        wanted = request.path_params.get("id")
        if wanted is None:
            return _answer(_page(found, len(found), 1))
        one = next((one for one in found if one["id"] == wanted), None)
        if one is None:
            raise NotFound("There is no such description.")
        return _answer(one)

    return endpoint


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
    return _answer(_user(request, user), status, headers)


async def _list(request: Request, users: Users) -> Response:
    start, count = _number(request, "startIndex", 1), _number(request, "count", 100)
    total, found = await users.listed(request.query_params.get("filter", ""), start, count)
    return _answer(_page([_user(request, one) for one in found], total, max(start, 1)))


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


def _number(request: Request, name: str, otherwise: int) -> int:
    text = request.query_params.get(name, "")
    if not text:
        return otherwise
    if not text.lstrip("-").isdigit() or not text.isascii() or len(text) > 9:
        raise Invalid(f"{name} is a number.", code="invalidValue")
    return min(int(text), MOST) if name == "count" else int(text)
