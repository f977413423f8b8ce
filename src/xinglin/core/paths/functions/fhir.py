"""Trees, types, and FHIR's own functions (R4, fhirpath.html#functions)."""

from __future__ import annotations

from typing import Any

from xinglin.core.schema.definitions import value_set_codes

from .. import model, references
from ..errors import PathError
from ..items import Item, Node, root_node, system, system_type
from ..navigation import child, children, extensions
from ..operators import single
from ..world import Frame, Run
from ..xhtml import is_narrative
from .registry import function, text

_PROFILES = "http://hl7.org/fhir/StructureDefinition/"


@function("children", gives="*")
def direct_children(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The children of all items; their order is not defined."""
    found = [inner for item in items for inner in children(item)]
    frame.world.spend(len(found))
    return found


@function("descendants", gives="*")
def descendants(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The children, their children, and so on."""
    found: list[Item] = []
    waiting = [iter(direct_children(items, [], frame))]
    while waiting:
        item = next(waiting[-1], None)
        if item is None:
            waiting.pop()
            continue
        found.append(item)
        waiting.append(iter(direct_children([item], [], frame)))
    return found


@function("type", gives="TypeInfo*")
def type_info(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The namespace and name of each item's type."""
    return [Node(_type_of(item), "System.TypeInfo") for item in items]


def _type_of(item: Item) -> dict[str, str]:
    if isinstance(item, Node):
        return {"namespace": "FHIR", "name": model.declared(item.type)}
    return {"namespace": "System", "name": system_type(item)}


@function("extension", 1, gives="Extension*")
def extension(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The extensions with this url, also of primitives."""
    url = single(arguments[0](frame), "extension")
    return [] if url is None else [one for item in items for one in extensions(item, text("extension", url))]


@function("hasExtension", 1, gives="Boolean")
def has_extension(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where an item has an extension with this url."""
    return [bool(extension(items, arguments, frame))]


@function("resolve", gives="*")
def resolve(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The targets of references: contained, in the bundle, or by the environment's resolver; others are left out."""
    environment = frame.world.environment
    root = environment.root if environment.root is not None else getattr(frame.world.context, "value", None)
    found: list[Item] = []
    for item in items:
        value = system(item)
        reference = value.value.get("reference") if isinstance(value, Node) else value
        if not isinstance(reference, str):
            continue
        frame.world.spend(10)
        if reference.startswith("#"):
            target = references.contained(reference, root)
        else:
            target = references.in_bundle(reference, root)
            if target is None and environment.resolver is not None:
                target = environment.resolver(reference)
        if target is not None:
            found.append(root_node(target))
    return found


@function("conformsTo", 1, gives="Boolean")
def conforms_to(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where the resource conforms to the profile; the types of R4 are known, others need the environment."""
    profile = single(arguments[0](frame), "conformsTo")
    if not items or profile is None:
        return []
    item, url = items[0], text("conformsTo", profile)
    if len(items) > 1 or not isinstance(item, Node):
        raise PathError("conformsTo takes one resource or element")
    name = url.removeprefix(_PROFILES)
    if name != url and model.known(name):
        return [model.is_kind_of(item.type, name)]
    check = frame.world.environment.conforms_to
    answer = check(item.value, url) if check else None
    if answer is None:
        raise PathError("the profile is not known here", remedy="Give conforms_to in the environment.")
    return [answer]


@function("memberOf", 1, gives="Boolean")
def member_of(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where the code, Coding or CodeableConcept is in the value set; empty where that cannot be told."""
    value_set = single(arguments[0](frame), "memberOf")
    if not items or value_set is None:
        return []
    if len(items) > 1:
        raise PathError(f"memberOf takes one item, found {len(items)}")
    item, url = items[0], text("memberOf", value_set)
    value, type_name = (item.value, item.type) if isinstance(item, Node) else (item, "string")
    check = frame.world.environment.member_of
    answer = check(value, type_name, url) if check else _listed(value, url)
    return [] if answer is None else [answer]


def _listed(value: object, url: str) -> bool | None:
    """Membership in the value sets that the R4 definitions list."""
    codes = value_set_codes(url)
    if codes is None:
        return None
    if isinstance(value, str):
        return any(code == value for _, code in codes)
    if not isinstance(value, dict):
        return None
    codings = value["coding"] if isinstance(value.get("coding"), list) else [value]
    return any(isinstance(one, dict) and (one.get("system"), one.get("code")) in codes for one in codings)


@function("htmlChecks", gives="Boolean")
def html_checks(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where the narrative keeps FHIR's rules for XHTML: basic formatting only, nothing active."""
    value = single(items, "htmlChecks")
    if value is None:
        return []
    frame.world.spend(len(value) // 10 if isinstance(value, str) else 1)
    return [isinstance(value, str) and is_narrative(value)]


@function("htmlChecks2", gives="Boolean")
def html_checks_2(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The same, as R5 names its second rule."""
    return html_checks(items, arguments, frame)


@function("getResourceKey", gives="String*")
def resource_key(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """`Type/id` of a resource: what getReferenceKey() gives of a reference to it (SQL on FHIR v2)."""
    found = [item.value for item in items if isinstance(item, Node) and isinstance(item.value, dict)]
    named = [(one.get("resourceType"), one.get("id")) for one in found]
    return [f"{kind}/{id}" for kind, id in named if isinstance(kind, str) and isinstance(id, str)]


@function("getReferenceKey", 0, 1, gives="String*")
def reference_key(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """`Type/id` of a reference's target, if it is of the type named (SQL on FHIR v2)."""
    wanted = arguments[0](frame)[0] if arguments else None
    found = [item.value.get("reference") for item in items if isinstance(item, Node) and isinstance(item.value, dict)]
    keys = [key for one in found if isinstance(one, str) and (key := references.key(one))]
    return [key for key in keys if wanted is None or key.startswith(f"{wanted}/")]


@function("subsumes", 1, gives="Boolean")
def subsumes(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where this Coding or CodeableConcept is the other or wider; empty where that cannot be told."""
    return _wider(items, arguments[0](frame), frame)


@function("subsumedBy", 1, gives="Boolean")
def subsumed_by(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """True where this Coding or CodeableConcept is the other or narrower; empty where that cannot be told."""
    return _wider(arguments[0](frame), items, frame)


def _wider(wide: list[Item], narrow: list[Item], frame: Frame) -> list[Item]:
    if not wide or not narrow:
        return []
    frame.world.spend(10)
    pairs = [(a, b) for a in _codings(wide) for b in _codings(narrow)]
    if any(_code(a) == _code(b) for a, b in pairs):
        return [True]
    ask = frame.world.environment.subsumes
    told = [ask(a, b) if ask else None for a, b in pairs]
    return [True] if True in told else [] if None in told or not told else [False]


def _codings(items: list[Item]) -> list[dict[str, Any]]:
    item = items[0]
    if len(items) > 1 or not isinstance(item, Node) or not isinstance(item.value, dict):
        raise PathError("subsumption is asked of one Coding or CodeableConcept")
    listed = item.value.get("coding", [item.value])
    return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def _code(coding: dict[str, Any]) -> tuple[Any, Any]:
    return coding.get("system"), coding.get("code")


@function("checkModifiers", 0, 99, gives="$*")
def check_modifiers(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The items unchanged; an error where one has a modifier extension whose url is not among the arguments."""
    known = {text("checkModifiers", single(argument(frame), "a url")) for argument in arguments}
    for item in items:
        for one in child([item], "modifierExtension"):
            if not isinstance(one.value, dict) or one.value.get("url") not in known:
                raise PathError("there is a modifier extension that the expression does not expect")
    return items
