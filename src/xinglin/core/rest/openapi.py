"""The OpenAPI 3.1 description, generated from the same table as the CapabilityStatement."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from xinglin.core.rest.capabilities import SPECIAL, served_parameters
from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.presentation import SUMMARIES
from xinglin.core.rest.routing import COMPARTMENTS, READ_ONLY, Interaction, Operation
from xinglin.core.schema.definitions import resource_types
from xinglin.core.search.parameters import REGISTRY

if TYPE_CHECKING:
    from xinglin.core.rest.door import Door

FHIR_JSON: Final = "application/fhir+json"
PATHS: Final = {
    "system": "/",
    "metadata": "/metadata",
    "openapi": "/openapi.json",
    "system-history": "/_history",
    "system-search": "/_search",
    "type-history": "/{type}/_history",
    "type-search": "/{type}/_search",
    "instance-history": "/{type}/{id}/_history",
    "version": "/{type}/{id}/_history/{version}",
    "compartment": "/{compartment}/{id}/{type}",
    "compartment-search": "/{compartment}/{id}/{type}/_search",
}
DONE: Final = {
    "read": ("200", "304"),
    "vread": ("200", "304"),
    "create": ("200", "201"),
    "update": ("200", "201"),
    "delete": ("200", "204"),
}
"""What an interaction answers when it is done; all others answer 200."""
REFUSED: Final = ("400", "401", "403", "404", "406", "410", "429", "503")
UNREAD: Final = ("408", "413", "415", "422")  # what comes of a body
CONFLICTING: Final = ("409", "412")
HEADERS: Final = {
    "If-Match": 'W/"1"',
    "If-None-Match": 'W/"1"',
    "If-Modified-Since": "Sun, 01 Mar 2026 08:00:00 GMT",
    "If-None-Exist": "identifier=https://example.org/id|1",
    "Prefer": "return=representation, handling=strict",
}
MEANING: Final = {
    "200": "Done.",
    "201": "Created.",
    "202": "Accepted: see Content-Location, or X-Progress.",
    "204": "Deleted, or nothing was there.",
    "304": "The copy that the caller has is current.",
}
_WRITES: Final = frozenset({"create", "update", "patch", "delete", "batch"})
_RESOURCE: Final = {"type": "object", "required": ["resourceType"], "properties": {"resourceType": {"type": "string"}}}
_OUTCOME: Final = {
    "type": "object",
    "required": ["resourceType", "issue"],
    "properties": {
        "resourceType": {"const": "OperationOutcome"},
        "issue": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["severity", "code", "diagnostics"],
                "properties": {"severity": {"enum": ["fatal", "error", "warning", "information"]}},
            },
        },
    },
}
_TYPED: Final = frozenset({"type", "instance"})


async def openapi(call: Call) -> Answer:
    body = description(call.door, REGISTRY.revision)
    return Answer(200, body, content_type=b"application/json", resource_body=False)


@lru_cache(maxsize=4)
def description(door: Door, revision: int) -> bytes:
    """The description as JSON text."""
    from importlib.metadata import version

    paths: dict[str, Any] = {}
    for interaction in door.routes.interactions:
        if interaction.shape not in _TYPED:
            path = paths.setdefault(
                PATHS[interaction.shape], {"parameters": _path_parameters(PATHS[interaction.shape])}
            )
            path[interaction.method.lower()] = _interaction(interaction, None)
    for name in resource_types():
        _add_type(paths, door, name)
    for operation in door.routes.operations:
        _add_operation(paths, operation)
    return orjson.dumps(
        {
            "openapi": "3.1.0",
            "info": {"title": "Xinglin FHIR R4", "version": version("xinglin")},
            "servers": [{"url": door.base}],
            "security": [{"token": []}],
            "paths": paths,
            "components": _components(),
        }
    )


def _add_type(paths: dict[str, Any], door: Door, name: str) -> None:
    for interaction in door.routes.interactions:
        if interaction.shape in _TYPED and (name not in READ_ONLY or interaction.method == "GET"):
            address = f"/{name}" if interaction.shape == "type" else f"/{name}/{{id}}"
            path = paths.setdefault(address, {"parameters": _path_parameters(address)} if "{" in address else {})
            path[interaction.method.lower()] = _interaction(interaction, name)


def _interaction(interaction: Interaction, name: str | None) -> dict[str, Any]:
    where = name or interaction.shape
    row: dict[str, Any] = {
        "operationId": f"{interaction.code}-{interaction.method.lower()}-{where}"
        + ("-conditional" if interaction.shape == "type" and interaction.method in ("PUT", "PATCH", "DELETE") else ""),
        "summary": interaction.summary,
        "parameters": _query(interaction, name),
        "responses": _responses(interaction),
    }
    if interaction.public:
        row["security"] = []
    body = _body(interaction, name)
    if body:
        row["requestBody"] = body
    return row


def _query(interaction: Interaction, name: str | None) -> list[dict[str, Any]]:
    common = [_named(one) for one in ("_pretty", "_format")]
    code, by_criteria = interaction.code, interaction.shape == "type"
    if code in ("read", "vread", "update", "create", "search-type", "search-system", "search-compartment"):
        common += [_named(one) for one in ("_summary", "_elements")]
    if code in ("read", "vread"):
        common += [_named(one) for one in ("If-None-Match", "If-Modified-Since")]
    if code in _WRITES:
        common.append(_named("Prefer"))
    if code in ("update", "patch", "delete"):
        common.append(_named("If-Match"))
    if code == "create":
        common.append(_named("If-None-Exist"))
    if code.startswith("history"):
        common += [_named(one) for one in ("_count", "_since", "_at")]
    if code.startswith("search"):
        common += [_named(one) for one in ("_count", "Prefer")]
    if name is not None and (code == "search-type" or (by_criteria and code in ("update", "patch", "delete"))):
        common += [_search_parameter(one.code, one.kind) for one in served_parameters(name) if one.code not in SPECIAL]
    return common


def _named(name: str) -> dict[str, Any]:
    return {"$ref": f"#/components/parameters/{name}"}


def _search_parameter(code: str, kind: str) -> dict[str, Any]:
    return {"name": code, "in": "query", "schema": {"type": "string"}, "description": kind}


def _responses(interaction: Interaction) -> dict[str, Any]:
    body, changes = interaction.method in ("POST", "PUT", "PATCH"), interaction.code in _WRITES
    media = ("application/json",) if interaction.code == "openapi" else (FHIR_JSON,)
    done = {status: _answer(status, media) for status in DONE.get(interaction.code, ("200",))}
    return done | _refusals(body, changes)


def _answer(status: str, media: Iterable[str]) -> dict[str, Any]:
    if status in ("204", "304"):
        return {"description": MEANING[status]}
    schema = {"schema": {"$ref": "#/components/schemas/Resource"}}
    shown: dict[str, Any] = {name: schema if name == FHIR_JSON else {"schema": {}} for name in media}
    return {"description": MEANING[status], "content": shown}


def _refusals(body: bool, changes: bool) -> dict[str, Any]:
    statuses = (*REFUSED, *(UNREAD if body else ()), *(CONFLICTING if changes else ()))
    return {status: {"$ref": "#/components/responses/Problem"} for status in sorted(statuses)}


def _body(interaction: Interaction, name: str | None) -> dict[str, Any] | None:
    if interaction.method == "POST" and interaction.code.startswith("search"):
        content: dict[str, Any] = {"application/x-www-form-urlencoded": {"schema": {"type": "object"}}}
    elif interaction.method in ("POST", "PUT"):
        schema: dict[str, Any] = {"$ref": "#/components/schemas/Resource"}
        if name:
            schema = {"allOf": [schema, {"properties": {"resourceType": {"const": name}}}]}
        content = {FHIR_JSON: {"schema": schema}}
    elif interaction.method == "PATCH":
        content = {
            "application/json-patch+json": {"schema": {"type": "array", "items": {"type": "object"}}},
            FHIR_JSON: {"schema": {"$ref": "#/components/schemas/Resource"}},
        }
    else:
        return None
    return {"required": interaction.method != "POST" or "search" not in interaction.code, "content": content}


def _add_operation(paths: dict[str, Any], operation: Operation) -> None:
    for level in sorted(operation.levels - {"version"}):
        for name in sorted(operation.types) or ["{type}"]:
            start = {"system": "", "type": f"/{name}", "instance": f"/{name}/{{id}}"}[level]
            address = f"{start}/${operation.name}"
            path = paths.setdefault(address, {"parameters": _path_parameters(address)})
            for method in operation.methods():
                path[method.lower()] = _operation(operation, method, level, name)


def _operation(operation: Operation, method: str, level: str, name: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "operationId": f"{operation.name}-{method.lower()}-{level}-{name.strip('{}')}",
        "summary": operation.summary,
        "responses": {
            **{str(status): _answer(str(status), media) for status, media in operation.answers(method)},
            **_refusals(method == "POST", operation.writes),
        },
    }
    if method == "POST":
        row["requestBody"] = {"content": {FHIR_JSON: {"schema": {"$ref": "#/components/schemas/Resource"}}}}
    return row


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [{"$ref": f"#/components/parameters/{name}"} for name in re.findall(r"\{(\w+)\}", path)]


def _components() -> dict[str, Any]:
    problem = {FHIR_JSON: {"schema": {"$ref": "#/components/schemas/OperationOutcome"}}}
    return {
        "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        "schemas": {"Resource": _RESOURCE, "OperationOutcome": _OUTCOME},
        "responses": {"Problem": {"description": "An OperationOutcome that says what to mend.", "content": problem}},
        "parameters": {
            "type": _in_path("type", {"type": "string", "enum": list(resource_types())}),
            "compartment": _in_path("compartment", {"type": "string", "enum": sorted(COMPARTMENTS)}),
            "id": _in_path("id", {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"}),
            "version": _in_path("version", {"type": "integer", "minimum": 1}),
            "_count": _in_query("_count", {"type": "integer", "minimum": 0}),
            "_since": _in_query("_since", {"type": "string"}),
            "_at": _in_query("_at", {"type": "string"}),
            "_pretty": _in_query("_pretty", {"type": "boolean"}),
            "_format": _in_query("_format", {"type": "string", "enum": ["json", FHIR_JSON]}),
            "_summary": _in_query("_summary", {"type": "string", "enum": list(SUMMARIES)}),
            "_elements": _in_query("_elements", {"type": "string"}),
            **{name: _in_header(name) for name in HEADERS},
        },
    }


def _in_path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _in_header(name: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": {"type": "string"}, "example": HEADERS[name]}


def _in_query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}
