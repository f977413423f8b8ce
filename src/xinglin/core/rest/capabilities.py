"""capabilities: the CapabilityStatement, generated from the table of what is served and the search registry."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import orjson

from xinglin.core.rest.exchange import Answer, Call
from xinglin.core.rest.routing import READ_ONLY
from xinglin.core.schema.definitions import resource_types
from xinglin.core.search.parameters import REGISTRY, Parameter
from xinglin.core.search.texts import UNSUPPORTED
from xinglin.kernel import clock

if TYPE_CHECKING:
    from xinglin.core.rest.door import Door

TYPE_LEVEL_ORDER: Final = (
    "read",
    "vread",
    "update",
    "patch",
    "delete",
    "history-instance",
    "history-type",
    "create",
    "search-type",
)
SPECIAL: Final = frozenset({"_filter", *UNSUPPORTED})
STARTED: Final = clock.instant(clock.micros(clock.now()))
FORMATS: Final = ("application/fhir+json", "json")
PATCH_FORMATS: Final = ("application/json-patch+json", "application/fhir+json", "application/merge-patch+json")


async def metadata(call: Call) -> Answer:
    return Answer(200, statement(call.door, REGISTRY.revision), resource_body=True)


@lru_cache(maxsize=4)
def statement(door: Door, revision: int) -> bytes:
    """The statement as JSON text; `revision` is the registry's, so that new parameters show."""
    from importlib.metadata import version

    return orjson.dumps(
        {
            "resourceType": "CapabilityStatement",
            "id": "xinglin",
            "url": f"{door.base}/metadata",
            "name": "Xinglin",
            "title": "Xinglin node",
            "status": "active",
            "date": STARTED,
            "kind": "instance",
            "software": {"name": "Xinglin", "version": version("xinglin")},
            "implementation": {"description": "Xinglin node", "url": door.base},
            "fhirVersion": "4.0.1",
            "format": FORMATS,
            "patchFormat": PATCH_FORMATS,
            "rest": [_rest(door)],
        }
    )


def _rest(door: Door) -> dict[str, Any]:
    codes = {interaction.code for interaction in door.routes.interactions}
    system = [code for code in ("transaction", "batch", "search-system", "history-system") if _served(code, codes)]
    rest = {
        "mode": "server",
        "security": door.security,
        "resource": [_resource(door, name, codes) for name in resource_types()],
        "interaction": [{"code": code} for code in system],
        "searchParam": _parameters("Resource", door),
        "operation": _operations(door, "system", None),
        "compartment": [
            f"http://hl7.org/fhir/CompartmentDefinition/{name.lower()}"
            for name in ("Patient", "Encounter", "Practitioner", "RelatedPerson", "Device")
        ],
    }
    return {key: value for key, value in rest.items() if value != []}


def _served(code: str, codes: set[str]) -> bool:
    return code in codes or (code == "transaction" and "batch" in codes)


def _resource(door: Door, name: str, codes: set[str]) -> dict[str, Any]:
    written = name not in READ_ONLY
    offered = [code for code in TYPE_LEVEL_ORDER if code in codes]
    if not written:
        offered = [code for code in offered if code in ("read", "search-type")]
    parameters = REGISTRY.of_type(name)
    resource: dict[str, Any] = {
        "type": name,
        "interaction": [{"code": code} for code in offered],
        "versioning": "versioned",
        "readHistory": written,
        "updateCreate": written,
        "conditionalCreate": written,
        "conditionalRead": "full-support",
        "conditionalUpdate": written,
        "conditionalDelete": "single" if written else "not-supported",
        "referencePolicy": ["literal", "logical", "local"],
        "searchInclude": ["*", *(f"{name}:{code}" for code, one in parameters.items() if one.kind == "reference")],
        "searchRevInclude": reverse_includes(name),
        "searchParam": _parameters(name, door),
    }
    operations = _operations(door, "type", name) + _operations(door, "instance", name)
    if operations:
        resource["operation"] = list({row["name"]: row for row in operations}.values())
    return {key: value for key, value in resource.items() if value != []}


@lru_cache(maxsize=1)
def _reverse(revision: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for source in resource_types():
        for code, parameter in REGISTRY.of_type(source).items():
            if parameter.kind == "reference":
                for target in parameter.targets:
                    found.setdefault(target, []).append(f"{source}:{code}")
    return found


def reverse_includes(name: str) -> list[str]:
    """What may be asked for by _revinclude on a type."""
    return sorted(_reverse(REGISTRY.revision).get(name, []))


def served_parameters(name: str) -> list[Parameter]:
    """The search parameters of a type that are answered, in alphabetical order."""
    return [parameter for _, parameter in sorted(REGISTRY.of_type(name).items())]


def _parameters(name: str, door: Door) -> list[dict[str, Any]]:
    if name == "Resource":
        every = [one for one in served_parameters("Basic") if one.code.startswith("_") and one.code not in UNSUPPORTED]
        return [_parameter(one) for one in every]
    return [_parameter(one) for one in served_parameters(name) if one.code not in SPECIAL]


def _parameter(parameter: Parameter) -> dict[str, Any]:
    row: dict[str, Any] = {"name": parameter.code, "definition": parameter.url, "type": parameter.kind}
    if parameter.url in REGISTRY.pending():
        row["documentation"] = "Still being indexed: set aside in searches, or refused (handling=strict), until done."
    return row


def _operations(door: Door, level: str, name: str | None) -> list[dict[str, str]]:
    return [
        {
            "name": operation.name,
            "definition": operation.definition or f"{door.base}/OperationDefinition/{operation.name}",
            "documentation": operation.summary,
        }
        for operation in door.routes.operations
        if level in operation.levels and (not operation.types or name in operation.types)
    ]
