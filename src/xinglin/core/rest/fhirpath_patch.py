"""FHIRPath Patch: a Parameters resource of operations on elements that paths point to (fhirpatch.html)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from xinglin.core import paths
from xinglin.core.paths import PathError
from xinglin.core.paths.environment import MAX_STEPS
from xinglin.core.rest.exchange import shortened
from xinglin.core.rest.parameters import pairs
from xinglin.core.schema.definitions import Element, TypeDef, json_name, type_def
from xinglin.kernel.errors import Invalid, Issue, TooLarge, Unprocessable

Resource = dict[str, Any]
Parts = dict[str, Any]
TYPES: Final = ("add", "insert", "delete", "replace", "move")
MOST_OPERATIONS: Final = 1000
MOST_WORK: Final = 2_000_000  # operations times values: each may look through the whole resource
_LAST_STEP: Final = re.compile(r"(.+)\.([A-Za-z]\w*)(?:\[(\d{1,6})\])?", re.DOTALL)
_ANY = "value"


@dataclass(frozen=True, slots=True)
class Route:
    """A path of an operation; the operations of a patch share out the steps that one expression may take."""

    text: str
    steps: int

    def __str__(self) -> str:
        return shortened(self.text)

    def pairs(self, resource: Resource) -> list[tuple[Any, str]]:
        """What it selects, each with its type."""
        return paths.compile(self.text).evaluate_typed(resource, paths.Environment(max_steps=self.steps))


def size_of(value: Any, enough: int) -> int:
    """How many values there are, a long text being several, counted no further than `enough`."""
    count, waiting = 0, [value]
    while waiting and count <= enough:
        node = waiting.pop()
        count += 1 + len(node) // 64 if isinstance(node, str) else 1
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return count


def changes(parameters: Resource) -> Callable[[Resource], Resource]:
    """The change that the operations make, one after the other."""
    operations = [
        _operation(number, value) for number, (name, value) in enumerate(pairs(parameters)) if name == "operation"
    ]
    if not operations or len(operations) > MOST_OPERATIONS:
        raise Invalid(
            f"A FHIRPath Patch has 1 to {MOST_OPERATIONS} operations.",
            expression="Parameters.parameter",
            remedy="Name each parameter `operation`.",
        )

    def change(resource: Resource) -> Resource:
        if len(operations) * size_of(resource, MOST_WORK) > MOST_WORK:
            raise TooLarge("The patch has too many operations for so large a resource.", remedy="Send it in parts.")
        for number, operation in enumerate(operations):
            _apply(resource, operation, f"Parameters.parameter[{number}]", MAX_STEPS // len(operations))
        return resource

    return change


def _operation(number: int, parts: Any) -> Parts:
    place = f"Parameters.parameter[{number}]"
    if not isinstance(parts, list):
        raise Invalid("An operation is made of parts.", expression=place, remedy="Give type, path, value as parts.")
    given = {part["name"]: part for part in parts}
    kind = _plain(given.get("type"))
    if kind not in TYPES:
        raise Invalid(f"The type of an operation is one of {', '.join(TYPES)}.", expression=place)
    needs = {
        "add": ("path", "name", _ANY),
        "insert": ("path", "index", _ANY),
        "delete": ("path",),
        "replace": ("path", _ANY),
        "move": ("path", "source", "destination"),
    }[kind]
    missing = [name for name in needs if name not in given]
    if missing:
        raise Invalid(f"The {kind} lacks its {', '.join(missing)}.", code="required", expression=place)
    return {**given, "type": kind}


def _plain(part: Any) -> Any:
    """The primitive value of a part, None without."""
    values = [value for name, value in (part or {}).items() if name.startswith("value")]
    return values[0] if values else None


def _apply(resource: Resource, operation: Parts, place: str, steps: int) -> None:
    path = _plain(operation["path"])
    if not isinstance(path, str):
        raise Invalid("The path is not text.", expression=f"{place}.part", remedy="Send it as valueString.")
    try:
        _VERBS[operation["type"]](resource, Route(path, steps), operation, place)
    except PathError as error:
        issues = [Issue(issue.code, issue.text, place, issue.severity, issue.remedy) for issue in error.issues]
        raise Invalid(issues=issues) from error


def _add(resource: Resource, path: Route, operation: Parts, place: str) -> None:
    target, type_name = _one(resource, path, place)
    if not isinstance(target, dict):
        raise Unprocessable(f"{path} has no children to add to.", expression=place)
    name = _plain(operation["name"])
    definition, element = _element(type_name, name, place)
    value, key = _value(operation[_ANY], definition, element, place)
    if element.repeats:
        target.setdefault(key, []).append(value)
    elif any(present in target for present in _keys(element)):
        raise Unprocessable(f"{path}.{name} is there already.", expression=place, remedy="Use replace.")
    else:
        target[key] = value


def _insert(resource: Resource, path: Route, operation: Parts, place: str) -> None:
    holder, key, definition, element = _list_at(resource, path, place)
    value, _ = _value(operation[_ANY], definition, element, place)
    items = holder.setdefault(key, [])
    items.insert(_index(_plain(operation["index"]), len(items) + 1, place), value)


def _delete(resource: Resource, path: Route, operation: Parts, place: str) -> None:
    if not path.pairs(resource):
        return
    _one(resource, path, place)
    holder, key, number, _ = _place_of(resource, path, place)
    if number is None:
        holder.pop(key, None)
        holder.pop(f"_{key}", None)
        return
    for name in (key, f"_{key}"):  # a primitive's ids and extensions stand beside it, at the same place
        if number < len(holder.get(name, ())):
            del holder[name][number]
        if not holder.get(name, True):
            del holder[name]


def _replace(resource: Resource, path: Route, operation: Parts, place: str) -> None:
    _one(resource, path, place)
    holder, key, number, holder_type = _place_of(resource, path, place)
    definition = type_def(holder_type)
    element = definition.element(key) if definition else None
    if definition is None or element is None:
        raise Unprocessable(f"{path} cannot be replaced.", expression=place)
    value, new_key = _value(operation[_ANY], definition, element, place)
    if number is not None:
        holder[key][number] = value
        return
    if new_key != key:
        del holder[key]
    holder[new_key] = value


def _move(resource: Resource, path: Route, operation: Parts, place: str) -> None:
    holder, key, _, _ = _list_at(resource, path, place)
    items = holder.get(key, [])
    source = _index(_plain(operation["source"]), len(items), place)
    moved = items.pop(source)
    items.insert(_index(_plain(operation["destination"]), len(items) + 1, place), moved)


_VERBS: Final[dict[str, Callable[[Resource, Route, Parts, str], None]]] = {
    "add": _add,
    "insert": _insert,
    "delete": _delete,
    "replace": _replace,
    "move": _move,
}


def _index(value: Any, count: int, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count:
        raise Unprocessable(f"The list has no place {str(value)[:20]}.", expression=place, remedy=f"0 to {count - 1}.")
    return value


# Where a path points ----------------------------------------------------------------------------------------------


def _one(resource: Resource, path: Route, place: str) -> tuple[Any, str]:
    """The one item that the path selects, with its type."""
    found = path.pairs(resource)
    if len(found) != 1:
        raise Unprocessable(
            f"{path} selects {len(found)} elements.", expression=place, remedy="A patch needs a path that selects one."
        )
    return found[0]


def _place_of(resource: Resource, path: Route, place: str) -> tuple[Resource, str, int | None, str]:
    """Holder, key, place in the list (None where it is no list) and the holder's type, of what the path selects."""
    value, _ = _one(resource, path, place)
    if isinstance(value, dict):
        for holder, key, number, held, type_name in _walk(resource, resource.get("resourceType", "")):
            if held is value:
                return holder, key, number, type_name
    holder, key, type_name, number = _by_last_step(resource, path, place)
    if isinstance(holder.get(key), list) and number is None:
        if len(holder[key]) != 1:
            raise Unprocessable(f"{path} is a list.", expression=place, remedy=f"Name one of it: {path}[0].")
        number = 0
    return holder, key, number, type_name


def _by_last_step(resource: Resource, path: Route, place: str) -> tuple[Resource, str, str, int | None]:
    """A primitive has no identity of its own: its holder is what the path before the last step selects."""
    match = _LAST_STEP.fullmatch(path.text.strip())
    if match is None:
        raise Unprocessable(
            f"{path} cannot be patched.", expression=place, remedy="End the path with .name or .name[0]."
        )
    holder, type_name = _one(resource, replace(path, text=match[1]), place)
    if not isinstance(holder, dict):
        raise Unprocessable(f"{match[1]} has no children.", expression=place)
    _, element = _element(type_name, match[2], place)
    key = next((name for name in _keys(element) if name in holder or f"_{name}" in holder), element.name)
    return holder, key, type_name, int(match[3]) if match[3] else None


def _list_at(resource: Resource, path: Route, place: str) -> tuple[Resource, str, TypeDef, Element]:
    holder, key, type_name, number = _by_last_step(resource, path, place)
    definition, element = _element(type_name, key, place)
    if not element.repeats or number is not None:
        raise Unprocessable(f"{path} is not a list.", expression=place, remedy="Point to the list itself.")
    return holder, key, definition, element


def _walk(node: Resource, type_name: str) -> Iterator[tuple[Resource, str, int | None, Any, str]]:
    """Every object below, with where it stands."""
    definition = type_def(type_name)
    for key, value in node.items():
        element = definition.element(key) if definition else None
        for number, item in enumerate(value) if isinstance(value, list) else ((None, value),):
            if isinstance(item, dict):
                yield node, key, number, item, type_name
                yield from _walk(item, item.get("resourceType") or _type_at(element, key))


def _type_at(element: Element | None, key: str) -> str:
    if element is None:
        return ""
    return next((code for code in element.types if json_name(element, code) == key), "")


# What is put there ------------------------------------------------------------------------------------------------


def _element(type_name: str, name: Any, place: str) -> tuple[TypeDef, Element]:
    definition = type_def(type_name)
    element = (definition.elements.get(name) or definition.element(name)) if definition and name else None
    if definition is None or element is None:
        raise Unprocessable(f"{type_name} has no element {str(name)[:60]!r}.", code="structure", expression=place)
    return definition, element


def _keys(element: Element) -> tuple[str, ...]:
    return tuple(json_name(element, code) for code in element.types) if element.choice else (element.name,)


def _value(part: Parts, definition: TypeDef, element: Element, place: str) -> tuple[Any, str]:
    """The value to put, and its JSON property: `valueQuantity` for a Quantity at a choice."""
    if "part" in part:
        inner = type_def(element.types[0]) if element.types and not element.choice else None
        if inner is None or inner.kind == "primitive-type":
            raise Unprocessable(f"{element.path} is given by a value, not by parts.", expression=place)
        return _assembled(part["part"], inner.name, place), element.name
    if "resource" in part:
        return part["resource"], element.name
    key, value = next(((key, value) for key, value in part.items() if key.startswith("value")), ("", None))
    if value is None:
        raise Invalid("The value is missing.", code="required", expression=place)
    return value, element.name + key.removeprefix("value") if element.choice else element.name


def _assembled(parts: list[Parts], type_name: str, place: str) -> Resource:
    """An element that no value[x] of a Parameters can hold, as an extension, from parts named like its children."""
    built: Resource = {}
    for part in parts:
        definition, element = _element(type_name, part.get("name"), place)
        value, key = _value(part, definition, element, place)
        if element.repeats:
            built.setdefault(key, []).append(value)
        else:
            built[key] = value
    return built
