"""From an item to its children, by the model: choice elements, primitives' extensions, resources in resources."""

from __future__ import annotations

from typing import Any

from . import model
from .items import Item, Node, system
from .numbers import exact
from .quantities import Quantity

Json = Any
_RESOURCES = frozenset({"Resource", "DomainResource"})


def child(items: list[Item], name: str) -> list[Item]:
    """The children called `name` of all items, in order. Of System values only a Quantity has any."""
    found: list[Item] = []
    for item in items:
        if item.__class__ is Node:
            _add_named(item, name, found)
        elif item.__class__ is Quantity and name in ("value", "unit"):
            found.append(getattr(item, name))
    return found


def _add_named(node: Node, name: str, found: list[Item]) -> None:
    value = node.value
    if value.__class__ is not dict:
        _add_of_primitive(node, name, found)
        return
    known = model.children(node.type).get(name)
    if known is None:
        if not model.known(node.type):
            _add_raw(value.get(name), found)
        return
    if known.only is None:
        _add_choice(value, known, found)
        return
    key, type_name = known.only
    if known.siblings:
        _add_primitive(value.get(key), value.get(f"_{key}"), type_name, found)
    else:
        _add_complex(value.get(key), type_name, found)


def _add_complex(value: Json, type_name: str, found: list[Item]) -> None:
    if value is None:
        return
    for one in value if value.__class__ is list else (value,):
        if one is not None:
            found.append(Node(one, _actual(one, type_name)))


def _actual(value: Json, type_name: str) -> str:
    if type_name not in _RESOURCES or value.__class__ is not dict:
        return type_name
    declared = value.get("resourceType")
    return declared if isinstance(declared, str) else type_name


def _add_primitive(value: Json, extra: Json, type_name: str, found: list[Item]) -> None:
    if extra is None:
        if value.__class__ is not list:
            if value is not None:
                found.append(Node(value, type_name))
            return
        found += [Node(one, type_name) for one in value if one is not None]
        return
    values = value if isinstance(value, list) else [value]
    extras = extra if isinstance(extra, list) else [extra]
    for at in range(max(len(values), len(extras))):
        one = values[at] if at < len(values) else None
        more = extras[at] if at < len(extras) and isinstance(extras[at], dict) else None
        if one is not None or more:
            found.append(Node(one, type_name, more))


def _add_choice(value: dict[str, Json], known: model.Child, found: list[Item]) -> None:
    for key in value:
        type_name = known.types.get(key)
        if type_name is not None:
            if f"_{key}" in known.siblings:
                _add_primitive(value[key], value.get(f"_{key}"), type_name, found)
            else:
                _add_complex(value[key], type_name, found)
        elif key in known.siblings and key[1:] not in value:
            _add_primitive(None, value[key], known.siblings[key], found)


def _add_raw(value: Json, found: list[Item]) -> None:
    """A child the model has no word for."""
    for one in value if isinstance(value, list) else (value,):
        if one is not None:
            found.append(_raw(one))


def _raw(value: Json) -> Item:
    if isinstance(value, dict):
        declared = value.get("resourceType")
        return Node(value, declared if isinstance(declared, str) else "")
    return exact(value) if isinstance(value, float) else value


def _add_of_primitive(node: Node, name: str, found: list[Item]) -> None:
    if name == "value" and node.value is not None:
        found.append(system(node))
    elif node.extra is not None:
        if name == "extension":
            _add_complex(node.extra.get("extension"), "Extension", found)
        elif name == "id" and node.extra.get("id") is not None:
            found.append(Node(node.extra["id"], "string"))


def children(item: Item) -> list[Item]:
    """All children, in the order of the JSON."""
    found: list[Item] = []
    if item.__class__ is not Node:
        return found
    value = item.value
    if value.__class__ is not dict:
        _add_of_primitive(item, "id", found)
        _add_of_primitive(item, "extension", found)
        return found
    if not model.known(item.type):
        for name, inner in value.items():
            if name != "resourceType":
                _add_raw(inner, found)
        return found
    types = model.keys(item.type)
    for key, inner in value.items():
        if key in types and not (key[0] == "_" and key[1:] in value):
            _add_keyed(value, key, inner, types[key][1], found)
    return found


def _add_keyed(value: dict[str, Json], key: str, inner: Json, type_name: str, found: list[Item]) -> None:
    if key[0] == "_":
        _add_primitive(None, inner, type_name, found)
    elif model.is_primitive(type_name):
        _add_primitive(inner, value.get(f"_{key}"), type_name, found)
    else:
        _add_complex(inner, type_name, found)


def extensions(item: Item, url: str) -> list[Item]:
    """The extensions of an element that have this url."""
    return [one for one in child([item], "extension") if isinstance(one.value, dict) and one.value.get("url") == url]
