"""JSON text to plain values and back: strict, bounded, exact in decimals, and clear about what is wrong where.

Refused beyond malformed JSON: a byte order mark, text that is not UTF-8, the NUL character (PostgreSQL cannot hold
it), a key twice in one object, nesting deeper than 100, numbers longer than 64 characters or beyond 1e±300, and more
values than a node can take up in a second or two.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from xinglin.core.schema.primitives import MAX_DIGITS, MAX_EXPONENT, json_kind
from xinglin.kernel.errors import Invalid, TooLarge

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 100
MAX_VALUES = 500_000  # of one resource: 25 MB of clinical data have as many, and 2 MB of `{},{},`
_TOO_LONG = f"longer than {MAX_DIGITS} characters or beyond 1e±{MAX_EXPONENT}"

_QUOTE = b'"'
_ESCAPED_QUOTE_OR_NUL = re.compile(rb"\\u00(?:22|00)")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
STRINGS = 10_000  # that are looked at in one piece
_SOME_STRINGS = re.compile(rb'(?:[^"]*+"(?:[^"\\]++|\\.)*+"){1,%d}+' % STRINGS, re.DOTALL)
_MARKS = (b",", b"{", b"[")  # each stands before a value
_TAGS = (b"<", b"&")  # of a narrative, whose reading costs twice as much; four escapes cost as much as a value
_BRACKETS = bytes.maketrans(b"[]{}", b"()()")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DIGITS = bytes.maketrans(b"123456789.E", b"0000000000e")
_LONG_RUN = b"0" * (MAX_DIGITS - 16)  # what a longer number has even when "e+9999" follows
_TINY = re.compile(rb"0e-0000*[,}\]\s]").search
_LONG_INTEGER = re.compile(rb"[0-9]{%d}" % (MAX_DIGITS + 1)).search
_POSITION = re.compile(r"\(byte (\d+)\)")


def parse(raw: bytes | memoryview, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The JSON object as plain values, decimals as `Decimal`. Raises Invalid, or TooLarge beyond max_bytes."""
    return parse_canonical(raw if isinstance(raw, bytes) else bytes(raw), max_bytes)[0]


def parse_canonical(text: bytes, max_bytes: int = MAX_BYTES) -> tuple[dict[str, Any], bytes]:
    """The same, with the canonical text that was made to look for repeated keys."""
    if len(text) > max_bytes:
        raise TooLarge(f"the resource has {len(text)} bytes; at most {max_bytes} are read at once")
    if too_many_values(text):
        raise TooLarge(f"the resource has more than {MAX_VALUES} values.", remedy="Split it.")
    if too_deep(text):
        raise Invalid(f"the JSON is nested deeper than {MAX_DEPTH} levels", code="structure")
    value = _decode(text)
    if not isinstance(value, dict):
        raise Invalid(f"a resource is a JSON object, not {json_kind(value)}", code="structure")
    if may_hold_long_number(text) and _LONG_INTEGER(_STRING.sub(b"", text)):
        raise Invalid(f"a number is {_TOO_LONG}", code="value")
    canonical = encode(value)
    if may_hide_keys(text, canonical):
        _refuse_repeated_keys(text)
        _refuse_nul(text)
    return value, canonical


def encode(resource: dict[str, Any]) -> bytes:
    """Canonical compact JSON; a Decimal is written with the digits it was read with."""
    return _encoder.encode(resource)


def may_hide_keys(text: bytes, canonical: bytes) -> bool:
    """Whether a key may stand twice in an object, or a NUL in a string: never wrong in saying no.

    What was decoded has lost a repeated key and with it at least two quotation marks; an escape of the mark itself
    could make up for them, so such escapes are looked at as well.
    """
    if text.count(_QUOTE) != canonical.count(_QUOTE):
        return True
    return b"\\" in text and _ESCAPED_QUOTE_OR_NUL.search(text) is not None


def too_many_values(text: bytes, most: int = MAX_VALUES) -> bool:
    """Whether a text holds more values than `most`, told before any of them takes up memory."""
    if len(text) <= most:
        return False
    inside = 2 * sum(map(text.count, _TAGS)) + text.count(b"\\") // 4
    if inside + sum(map(text.count, _MARKS)) <= most:
        return False
    return _more_marks_than(text, most - inside)


def _more_marks_than(text: bytes, most: int) -> bool:
    """Whether more values than `most` begin outside strings; looks no further than it must, a piece at a time.

    Between two strings of an object or array stands a mark or a colon: fewer marks than half the strings of a piece
    are a malformed text's, which is not worth the reading and counts as if it had them.
    """
    place = missing = 0
    while place < len(text) and most >= 0:
        some = _SOME_STRINGS.match(text, place)
        end = some.end() if some else len(text)  # what follows the last string
        plain = _STRING.sub(b"", text[place:end])
        marks = sum(map(plain.count, _MARKS))
        most -= marks + (missing if some else 0)
        place, missing = end, max(0, STRINGS // 2 - 1 - marks)
    return most < 0


def too_deep(text: bytes) -> bool:
    """Whether brackets nest deeper than MAX_DEPTH. Linear: strings are cut out, then `()` pairs are taken away."""
    if text.count(b"{") + text.count(b"[") <= MAX_DEPTH:
        return False
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    pieces = text.split(_QUOTE)[::2]
    brackets = b"".join(pieces).translate(_BRACKETS, _NOT_BRACKETS)
    for taken in range(1, MAX_DEPTH + 1):
        shorter = brackets.replace(b"()", b"")
        if taken + len(shorter) // 2 <= MAX_DEPTH:
            return False
        if len(shorter) == len(brackets):  # malformed: what is left does not pair
            return brackets.count(b"(") > MAX_DEPTH
        brackets = shorter
    return True


def may_hold_long_number(text: bytes) -> bool:
    """Whether a number may be longer than the bounds allow: never wrong in saying no."""
    plain = text.translate(_DIGITS)
    return _LONG_RUN in plain or _TINY(plain) is not None


def line_and_column(text: bytes, position: int) -> str:
    before = text[:position]
    line = before.count(b"\n") + 1
    column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
    return f"line {line}, column {column}"


def _decode(text: bytes) -> Any:
    try:
        return _decoder.decode(text)
    except UnicodeDecodeError:
        raise _not_utf8(text) from None
    except RecursionError:
        raise Invalid(f"the JSON is nested deeper than {MAX_DEPTH} levels", code="structure") from None
    except msgspec.ValidationError as error:
        raise Invalid(f"a number is out of bounds: {error}", code="value") from None
    except msgspec.DecodeError as error:
        raise _malformed(text, str(error)) from None


def _malformed(text: bytes, message: str) -> Invalid:
    remedy = "Send one resource as UTF-8 JSON."
    if not text.strip():
        return Invalid("the body is empty", code="structure", remedy=remedy)
    if text.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return Invalid("the text starts with a byte order mark", code="structure", remedy="Send UTF-8 without it.")
    if _invalid_utf8(text) is not None:
        return _not_utf8(text)
    found = _POSITION.search(message)
    place = line_and_column(text, int(found[1]) if found else len(text))
    what = _POSITION.sub("", message).removeprefix("JSON is malformed: ").strip()
    if text.lstrip()[:1] == b"<":
        remedy = "This looks like XML; only JSON is read here."
    return Invalid(f"malformed JSON at {place}: {what}.", code="structure", remedy=remedy)


def _invalid_utf8(text: bytes) -> int | None:
    try:
        text.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return None


def _not_utf8(text: bytes) -> Invalid:
    place = line_and_column(text, _invalid_utf8(text) or 0)
    return Invalid(f"the text is not UTF-8 at {place}", code="structure", remedy="Send UTF-8 JSON.")


def _refuse_nul(text: bytes) -> None:
    found = _NUL.search(text)
    if found:
        raise Invalid(f"the character U+0000 at {line_and_column(text, found.start())} cannot be stored", code="value")


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, so that a repeated key is still there."""


def _refuse_repeated_keys(text: bytes) -> None:
    for path, key in _repeated(json.loads(text, object_pairs_hook=_Pairs), ""):
        raise Invalid(f"the key '{key}' stands twice in one object", code="structure", expression=path or None)


def _repeated(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, _Pairs):
        seen: set[str] = set()
        for key, inner in value:
            if key in seen:
                yield path, key
            seen.add(key)
            yield from _repeated(inner, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _repeated(inner, f"{path}[{index}]")


def _decimal(digits: str) -> Decimal:
    try:
        number = Decimal(digits) if len(digits) <= MAX_DIGITS else None
    except InvalidOperation:  # an exponent that no Decimal has
        number = None
    if number is None or abs(number.adjusted()) > MAX_EXPONENT:
        raise ValueError(f"it is {_TOO_LONG}")
    return number


_decoder = msgspec.json.Decoder(float_hook=_decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")
