"""What an operation is called with: a query string, or a Parameters resource (operations.html#executing)."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from xinglin.core.rest.body import json_body
from xinglin.core.rest.exchange import Answer, Call, shortened
from xinglin.core.rest.presentation import OWN_PARAMETERS
from xinglin.core.schema import decode
from xinglin.kernel.errors import Invalid

Arguments = dict[str, list[Any]]


async def arguments(call: Call, known: frozenset[str], *, lenient: bool = False) -> Arguments:
    """Name -> values, from the query and the body. Raises Invalid for a name that the operation does not know, or
    under `lenient` leaves it out."""
    found: Arguments = {}
    for name, value in parse_qsl(call.query, keep_blank_values=True):
        if name not in OWN_PARAMETERS:
            found.setdefault(name, []).append(value)
    if call.method == "POST" and call.headers.get(b"content-length") != b"0":
        for name, value in await _posted(call):
            found.setdefault(name, []).append(value)
    if lenient:
        return {name: values for name, values in found.items() if name in known}
    for name in found:
        if name not in known:
            raise Invalid(
                f"The operation has no parameter {shortened(name)!r}.",
                code="not-supported",
                remedy=f"It takes {', '.join(sorted(known)) or 'none'}.",
            )
    return found


async def _posted(call: Call) -> list[tuple[str, Any]]:
    raw = await json_body(call)
    decode.check(raw, expected_type="Parameters")
    return pairs(decode.parse(raw))


def pairs(parameters: dict[str, Any]) -> list[tuple[str, Any]]:
    """Name and value, resource or parts of each parameter of a Parameters resource."""
    return [(parameter["name"], value_of(parameter)) for parameter in parameters.get("parameter", ())]


def value_of(parameter: dict[str, Any]) -> Any:
    if "resource" in parameter:
        return parameter["resource"]
    if "part" in parameter:
        return parameter["part"]
    return next((value for name, value in parameter.items() if name.startswith("value")), None)


def one(found: Arguments, name: str) -> Any | None:
    """The only value of a parameter, None without; Invalid when it is given more than once."""
    values = found.get(name, [])
    if len(values) > 1:
        raise Invalid(f"{name} is given {len(values)} times.", remedy="Give it once.")
    return values[0] if values else None


def parameters_answer(name: str, value_name: str, value: Any) -> Answer:
    held = [{"name": name, value_name: value}] if value != {} else []  # an element is never empty
    body = {"resourceType": "Parameters", **({"parameter": held} if held else {})}
    return Answer(200, decode.encode(body), resource_body=False)
