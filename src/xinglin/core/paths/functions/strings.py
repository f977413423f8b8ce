"""Strings (FHIRPath N1, section 5.6). Regular expressions run on RE2: linear time, whatever the pattern."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import re2

from ..environment import MAX_TEXT
from ..errors import PathError, PathTooCostly
from ..items import Item
from ..operators import single
from ..world import Frame, Run, World
from .registry import function, one, system, text, whole


@one("indexOf", 1, takes="String", gives="Integer")
def index_of(world: World, value: str, part: Item) -> int:
    """Where the part first begins, or -1."""
    return value.find(text("indexOf", part))


@one("lastIndexOf", 1, takes="String", gives="Integer")
def last_index_of(world: World, value: str, part: Item) -> int:
    """Where the part last begins, or -1."""
    return value.rfind(text("lastIndexOf", part))


@one("startsWith", 1, takes="String", gives="Boolean")
def starts_with(world: World, value: str, part: Item) -> bool:
    """True where the text begins with the part."""
    return value.startswith(text("startsWith", part))


@one("endsWith", 1, takes="String", gives="Boolean")
def ends_with(world: World, value: str, part: Item) -> bool:
    """True where the text ends with the part."""
    return value.endswith(text("endsWith", part))


@one("contains", 1, takes="String", gives="Boolean")
def contains(world: World, value: str, part: Item) -> bool:
    """True where the part is in the text."""
    return text("contains", part) in value


@function("substring", 1, 2, takes="String", gives="String")
def substring(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """The text from a place on, as long as the second argument says; empty where the place is outside."""
    value = single(items, "substring")
    start = single(arguments[0](frame), "an argument of substring")
    if value is None or start is None:
        return []
    if not isinstance(value, str):
        raise PathError("substring takes a String")
    length = single(arguments[1](frame), "an argument of substring") if len(arguments) > 1 else None
    if not 0 <= whole("substring", start) < len(value):
        return []
    if length is None:
        return [frame.world.text(value[start:])]
    return [frame.world.text(value[start : start + max(0, whole("substring", length))])]


@one("upper", takes="String", gives="String")
def upper(world: World, value: str) -> str:
    """In capitals."""
    return world.text(value.upper())


@one("lower", takes="String", gives="String")
def lower(world: World, value: str) -> str:
    """In small letters."""
    return world.text(value.lower())


@one("length", takes="String", gives="Integer")
def length(world: World, value: str) -> int:
    """The number of characters."""
    return len(value)


@one("trim", takes="String", gives="String")
def trim(world: World, value: str) -> str:
    """Without the language's white space at both ends: spaces, tabs, line ends."""
    return world.text(value.strip(" \t\r\n"))


@one("toChars", takes="String", gives="String*")
def to_chars(world: World, value: str) -> list[Item]:
    """The characters, one item each."""
    world.spend(len(value))
    return list(value)


@one("replace", 2, takes="String", gives="String")
def replace(world: World, value: str, pattern: Item, substitution: Item) -> str:
    """Every occurrence of the pattern replaced; the empty pattern is found around each character."""
    old, new = text("replace", pattern), text("replace", substitution)
    times = value.count(old)
    world.room(len(value) + times * max(0, len(new) - len(old)))
    return value.replace(old, new)


@one("split", 1, takes="String", gives="String*")
def split(world: World, value: str, separator: Item) -> list[Item]:
    """The parts between separators."""
    mark = text("split", separator)
    parts = value.split(mark) if mark else list(value)
    world.spend(len(parts))
    return list(parts)


@function("join", 0, 1, takes="String", gives="String")
def join(items: list[Item], arguments: list[Run], frame: Frame) -> list[Item]:
    """All items in one text, the separator between them."""
    separator = single(arguments[0](frame), "join") if arguments else ""
    parts = [value for value in map(system, items) if value is not None]
    if not all(isinstance(part, str) for part in parts):
        raise PathError("join takes Strings only")
    mark = "" if separator is None else text("join", separator)
    frame.world.room(sum(map(len, parts)) + len(mark) * len(parts))
    return [mark.join(parts)] if items else []


# Regular expressions -------------------------------------------------------------------------------------------------


MAX_PATTERN = 10_000
"""Characters of a regular expression."""

_WORK = 300
"""Characters times instructions that RE2 takes, at its slowest, in the time of one step."""


def _pattern(world: World, name: str, value: str, pattern: Item, flags: Item) -> Any:
    """The regular expression, its reading and its use on `value` counted before it is used.

    Flags: i for upper and lower case alike, m for ^ and $ at every line.
    """
    wanted, expression = text(name, flags), text(name, pattern)
    if not set(wanted) <= {"i", "m"}:
        raise PathError(f"{name} takes the flags i and m")
    if len(expression) > MAX_PATTERN:
        raise PathTooCostly(f"the regular expression has more than {MAX_PATTERN} characters")
    compiled = _compiled(expression, "".join(sorted(set(wanted))))
    if compiled not in world.patterns:
        world.patterns.add(compiled)
        world.spend(compiled.programsize + len(expression))
    world.spend(1 + len(value) * compiled.programsize // _WORK)
    return compiled


@lru_cache(maxsize=100)
def _compiled(pattern: str, flags: str) -> Any:
    options = re2.Options()
    options.dot_nl = True
    options.log_errors = False
    options.max_mem = 2 << 20
    try:
        return re2.compile(f"(?{flags})(?:{pattern})" if flags else pattern, options)
    except re2.error:
        raise PathError(
            "the regular expression cannot be used",
            remedy="The syntax is RE2's: no look-around and no back-references.",
        ) from None


@one("matches", 1, 2, takes="String", gives="Boolean")
def matches(world: World, value: str, pattern: Item, flags: Item = "") -> bool:
    """True where the regular expression is found in the text."""
    return _pattern(world, "matches", value, pattern, flags).search(value) is not None


@one("matchesFull", 1, 2, takes="String", gives="Boolean")
def matches_full(world: World, value: str, pattern: Item, flags: Item = "") -> bool:
    """True where the regular expression describes the whole text."""
    return _pattern(world, "matchesFull", value, pattern, flags).fullmatch(value) is not None


_GROUP = re.compile(r"\$(\d)|\$\{(\w+)\}|(\\)")


@one("replaceMatches", 2, 3, takes="String", gives="String")
def replace_matches(world: World, value: str, pattern: Item, substitution: Item, flags: Item = "") -> str:
    """Every match replaced; $1 and ${name} stand for groups. An empty pattern replaces nothing."""
    expression, new = text("replaceMatches", pattern), text("replaceMatches", substitution)
    if not expression:
        return value
    world.spend(len(value))
    if len(value) * (len(new) + 1) > MAX_TEXT:
        raise PathTooCostly(f"the replacement may grow beyond {MAX_TEXT} characters")
    template = _GROUP.sub(lambda m: rf"\g<{m[1]}>" if m[1] else rf"\g<{m[2]}>" if m[2] else r"\\", new)
    try:
        return world.text(str(_pattern(world, "replaceMatches", value, expression, flags).sub(template, value)))
    except (re2.error, IndexError, KeyError):
        raise PathError("the substitution names a group that the expression does not have") from None


# Encodings -----------------------------------------------------------------------------------------------------------


@one("encode", 1, takes="String", gives="String")
def encode(world: World, value: str, form: Item) -> str | None:
    """As hex, base64 or urlbase64; as ascii, with ? for what it has not."""
    data = value.encode("utf-8", "surrogatepass")
    match text("encode", form):
        case "hex":
            return world.text(data.hex())
        case "ascii":
            return world.text("".join(char if char < "\x80" else "?" for char in value))
        case "base64":
            return world.text(base64.b64encode(data).decode())
        case "urlbase64":
            return world.text(base64.urlsafe_b64encode(data).decode())
    return None


@one("decode", 1, takes="String", gives="String")
def decode(world: World, value: str, form: Item) -> str | None:
    """From hex, base64 or urlbase64; empty where that is not UTF-8."""
    read = _DECODERS.get(text("decode", form))
    if read is None:
        return None
    try:
        data = read(value)
    except ValueError:
        raise PathError(f"the text is not {form}") from None
    try:
        return world.text(data.decode())
    except UnicodeDecodeError:
        return None


_DECODERS: dict[str, Callable[[str], bytes]] = {
    "hex": bytes.fromhex,
    "base64": lambda value: base64.b64decode(value, validate=True),
    "urlbase64": lambda value: base64.b64decode(value, b"-_", validate=True),
}


@one("escape", 1, takes="String", gives="String")
def escape(world: World, value: str, form: Item) -> str | None:
    """Safe inside html or json."""
    match text("escape", form):
        case "html":
            return world.text(html.escape(value))
        case "json":
            return world.text(json.dumps(value, ensure_ascii=False)[1:-1])
    return None


@one("unescape", 1, takes="String", gives="String")
def unescape(world: World, value: str, form: Item) -> str | None:
    """Back from html or json."""
    match text("unescape", form):
        case "html":
            return world.text(html.unescape(value))
        case "json":
            try:
                return world.text(str(json.loads(f'"{value}"', strict=False)))
            except ValueError:
                return value.replace('\\"', '"') if '"' in value else None
    return None
