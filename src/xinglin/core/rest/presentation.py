"""How an answer is shown: `_pretty`, `_summary` and `_elements`, cut from the stored text without re-serialising it.

Values keep the very digits that were stored: elements are chosen as slices of the JSON text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from urllib.parse import unquote_plus

import msgspec
import orjson

from xinglin.core.schema.definitions import Element, TypeDef, type_def
from xinglin.kernel.errors import Invalid

OWN_PARAMETERS: Final = frozenset({"_format", "_pretty", "_summary", "_elements"})
MOST_ELEMENTS: Final = 200
SUMMARIES: Final = ("true", "text", "data", "count", "false")
SUBSETTED: Final = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_ALWAYS: Final = frozenset({"resourceType", "id", "meta"})
_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_raw_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_raw_list = msgspec.json.Decoder(list[msgspec.Raw])


@dataclass(frozen=True, slots=True)
class Presentation:
    format: str | None = None
    pretty: bool = False
    summary: str | None = None
    elements: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """True when resources go out as they are stored."""
        return self.summary in (None, "false", "count") and not self.elements

    def __call__(self, body: bytes) -> bytes:
        """The resource's text with the elements that were asked for."""
        if self.whole or not body:
            return body
        parts = _raw_object.decode(body)
        name = orjson.loads(bytes(parts["resourceType"]))
        kept = _selected(name, parts, self)
        return body if kept is parts else _object(_marked(kept))


PLAIN: Final = Presentation()


def presentation(query: str) -> tuple[Presentation, str]:
    """What a query asks of the presentation, and the rest of the query for the search."""
    if not query:
        return PLAIN, query
    own: dict[str, str] = {}
    rest: list[str] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if "%" in name or "+" in name:
            name = unquote_plus(name)
        if name in OWN_PARAMETERS:
            own[name] = unquote_plus(value)
        elif part:
            rest.append(part)
    return (_read(own) if own else PLAIN), "&".join(rest)


def _read(own: Mapping[str, str]) -> Presentation:
    summary = own.get("_summary")
    if summary is not None and summary not in SUMMARIES:
        raise Invalid(f"_summary={summary[:40]} is not known.", remedy=f"Use one of {', '.join(SUMMARIES)}.")
    pretty = own.get("_pretty", "false")
    if pretty not in ("true", "false"):
        raise Invalid(f"_pretty={pretty[:40]} is not known.", remedy="Use true or false.")
    elements = tuple(name.strip() for name in own.get("_elements", "").split(",") if name.strip())
    if len(elements) > MOST_ELEMENTS:
        raise Invalid(f"_elements names more than {MOST_ELEMENTS} elements.", remedy="Leave it out to have them all.")
    if summary not in (None, "false") and elements:
        raise Invalid("_summary and _elements cannot be asked for together.", remedy="Leave one of them out.")
    return Presentation(own.get("_format"), pretty == "true", summary, elements)


def _selected(name: str, parts: Mapping[str, Any], wanted: Presentation) -> Mapping[str, Any]:
    definition = type_def(name)
    if definition is None or name in ("OperationOutcome", "Parameters"):
        return parts
    if wanted.elements:
        return _kept(parts, _required(name) | {_top(name, element) for element in wanted.elements})
    if wanted.summary == "data":
        return {key: value for key, value in parts.items() if key not in ("text", "_text")}
    if wanted.summary == "text":
        return _kept(parts, _required(name) | {"text"})
    return _summarised(definition, parts)


def _top(name: str, element: str) -> str:
    """The element at the top of `Patient.name`, `name` or `name.family`: what stands below comes along."""
    first, _, rest = element.partition(".")
    return rest.partition(".")[0] if first == name else first


def _kept(parts: Mapping[str, Any], names: frozenset[str] | set[str]) -> dict[str, Any]:
    return {key: value for key, value in parts.items() if key.removeprefix("_") in names or _choice_in(key, names)}


def _choice_in(key: str, names: frozenset[str] | set[str]) -> bool:
    """Whether `valueQuantity` was asked for as `value`; cheap and wide: a prefix before a capital."""
    bare = key.removeprefix("_")
    return any(bare.startswith(name) and bare[len(name) : len(name) + 1].isupper() for name in names)


@cache
def _required(name: str) -> frozenset[str]:
    definition = type_def(name)
    elements = definition.elements.values() if definition else ()
    return _ALWAYS | {element.name for element in elements if element.min > 0}


def _summarised(definition: TypeDef, parts: Mapping[str, Any]) -> dict[str, Any]:
    """The elements that the definition marks as summary, inside backbones too."""
    kept: dict[str, Any] = {}
    for key, value in parts.items():
        element = definition.element(key)
        if key in _ALWAYS or (element is not None and (element.summary or element.min > 0)):
            kept[key] = _inner(element, value)
    return kept


def _inner(element: Element | None, value: Any) -> Any:
    backbone = type_def(element.types[0]) if element and element.types and "." in element.types[0] else None
    if backbone is None:
        return value
    if element is not None and element.repeats:
        items = (_object(_summarised(backbone, _raw_object.decode(item))) for item in _raw_list.decode(value))
        return b"[" + b",".join(items) + b"]"
    return _object(_summarised(backbone, _raw_object.decode(value)))


def _marked(parts: Mapping[str, Any]) -> dict[str, Any]:
    """The parts with the tag that tells a reader not to write them back as if they were whole."""
    meta = orjson.loads(bytes(parts["meta"])) if "meta" in parts else {}
    meta["tag"] = [*(tag for tag in meta.get("tag", []) if tag.get("code") != "SUBSETTED"), SUBSETTED]
    head = {name: parts[name] for name in ("resourceType", "id") if name in parts}
    rest = {name: value for name, value in parts.items() if name not in _ALWAYS}
    return {**head, "meta": orjson.dumps(meta), **rest}


def _object(parts: Mapping[str, Any]) -> bytes:
    return b"{" + b",".join(orjson.dumps(name) + b":" + bytes(value) for name, value in parts.items()) + b"}"


def indented(text: bytes) -> bytes:
    """The same JSON over several lines, every value as it was written."""
    out: list[bytes] = []
    depth = 0
    tokens = _TOKEN.findall(text)
    for index, token in enumerate(tokens):
        if token in b"{[" and len(token) == 1:
            depth += 1
            empty = index + 1 < len(tokens) and tokens[index + 1] in (b"}", b"]")
            out.append(token if empty else token + _line(depth))
        elif token in (b"}", b"]"):
            depth -= 1
            empty = index > 0 and tokens[index - 1] in (b"{", b"[")
            out.append(token if empty else _line(depth) + token)
        elif token == b",":
            out.append(token + _line(depth))
        else:
            out.append(b": " if token == b":" else token)
    return b"".join(out)


def _line(depth: int) -> bytes:
    return b"\n" + b"  " * depth
