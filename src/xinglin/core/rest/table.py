"""The interactions and operations of the core, each with the file that carries it out."""

from __future__ import annotations

from typing import Final

from xinglin.core.rest.batch import batch_or_transaction
from xinglin.core.rest.capabilities import metadata
from xinglin.core.rest.create import create
from xinglin.core.rest.delete import conditional_delete, delete
from xinglin.core.rest.document import document
from xinglin.core.rest.everything import everything
from xinglin.core.rest.history import history_instance, history_system, history_type
from xinglin.core.rest.lastn import lastn
from xinglin.core.rest.meta import meta, meta_add, meta_delete
from xinglin.core.rest.openapi import openapi
from xinglin.core.rest.patch import conditional_patch, patch
from xinglin.core.rest.read import read, vread
from xinglin.core.rest.routing import Interaction, Operation
from xinglin.core.rest.search import (
    post_search_compartment,
    post_search_system,
    post_search_type,
    search_compartment,
    search_system,
    search_type,
)
from xinglin.core.rest.update import conditional_update, update
from xinglin.core.rest.validate import validate

INTERACTIONS: Final = (
    Interaction("capabilities", "metadata", "GET", metadata, "What this node serves.", public=True),
    Interaction("openapi", "openapi", "GET", openapi, "The same as an OpenAPI description.", public=True),
    Interaction("read", "instance", "GET", read, "A resource as it is now."),
    Interaction("vread", "version", "GET", vread, "A resource as it was in a version."),
    Interaction("update", "instance", "PUT", update, "Replace a resource, or create it under this id."),
    Interaction("patch", "instance", "PATCH", patch, "Change parts of a resource (JSON Patch or FHIRPath Patch)."),
    Interaction("delete", "instance", "DELETE", delete, "Delete a resource; its history stays."),
    Interaction("history-instance", "instance-history", "GET", history_instance, "The versions of a resource."),
    Interaction("history-type", "type-history", "GET", history_type, "The versions of a type's resources."),
    Interaction("history-system", "system-history", "GET", history_system, "The versions of all resources."),
    Interaction("create", "type", "POST", create, "Create a resource; If-None-Exist makes it conditional."),
    Interaction("search-type", "type", "GET", search_type, "Search a type."),
    Interaction("search-type", "type-search", "POST", post_search_type, "Search a type, criteria in the body."),
    Interaction("search-type", "type-search", "GET", search_type, "Search a type."),
    Interaction("update", "type", "PUT", conditional_update, "Update the one resource that the criteria find."),
    Interaction("patch", "type", "PATCH", conditional_patch, "Patch the one resource that the criteria find."),
    Interaction("delete", "type", "DELETE", conditional_delete, "Delete the one resource that the criteria find."),
    Interaction("search-system", "system", "GET", search_system, "Search several types (_type)."),
    Interaction("search-system", "system-search", "POST", post_search_system, "The same, criteria in the body."),
    Interaction("search-system", "system-search", "GET", search_system, "Search several types (_type)."),
    Interaction("search-compartment", "compartment", "GET", search_compartment, "Search within a compartment."),
    Interaction(
        "search-compartment", "compartment-search", "POST", post_search_compartment, "The same, criteria in the body."
    ),
    Interaction("batch", "system", "POST", batch_or_transaction, "Several interactions at once: batch or transaction."),
)

_HL7: Final = "http://hl7.org/fhir/OperationDefinition/"
_EVERYWHERE: Final = frozenset({"system", "type", "instance", "version"})

OPERATIONS: Final = (
    Operation(
        "everything",
        frozenset({"instance"}),
        everything,
        "Everything about a patient.",
        frozenset({"Patient"}),
        _HL7 + "Patient-everything",
    ),
    Operation(
        "everything",
        frozenset({"instance"}),
        everything,
        "Everything about an encounter.",
        frozenset({"Encounter"}),
        _HL7 + "Encounter-everything",
    ),
    Operation(
        "validate",
        frozenset({"type", "instance"}),
        validate,
        "Check a resource without storing it.",
        definition=_HL7 + "Resource-validate",
    ),
    Operation(
        "meta",
        _EVERYWHERE,
        meta,
        "Tags, profiles and labels of a resource, or those in use.",
        definition=_HL7 + "Resource-meta",
    ),
    Operation(
        "meta-add",
        frozenset({"instance"}),
        meta_add,
        "Add tags, profiles, security labels.",
        definition=_HL7 + "Resource-meta-add",
        writes=True,
    ),
    Operation(
        "meta-delete",
        frozenset({"instance"}),
        meta_delete,
        "Take away tags, profiles, security labels.",
        definition=_HL7 + "Resource-meta-delete",
        writes=True,
    ),
    Operation(
        "lastn",
        frozenset({"type"}),
        lastn,
        "The newest observations of each code.",
        frozenset({"Observation"}),
        _HL7 + "Observation-lastn",
    ),
    Operation(
        "document",
        frozenset({"instance"}),
        document,
        "A composition with all that it refers to.",
        frozenset({"Composition"}),
        _HL7 + "Composition-document",
    ),
)
