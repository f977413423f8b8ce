"""Trees, types, the clock, and FHIR's own functions (R4, fhirpath.html#functions)."""

from __future__ import annotations

from xinglin.core.schema.definitions import value_set_codes

from .. import model, references, temporal
from ..errors import PathError
from ..items import Item, Node, root_node, system, system_type
from ..navigation import children, extensions
from ..operators import single
from ..temporal import Temporal
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
        return {"namespace": "FHIR", "name": item.type}
    return {"namespace": "System", "name": system_type(item)}


@function("now", gives="DateTime")
def now(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The moment of the evaluation, with its zone."""
    return [temporal.now(frame.world.now())]


@function("today", gives="Date")
def today(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The date of the evaluation."""
    return [Temporal("date", temporal.now(frame.world.now()).parts[:3])]


@function("timeOfDay", gives="Time")
def time_of_day(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The time of the evaluation."""
    moment = temporal.now(frame.world.now())
    return [Temporal("time", moment.parts[3:], moment.fraction)]


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
