"""A query string taken apart into decoded parameters, and put together again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import quote_plus, unquote_to_bytes

from xinglin.kernel.errors import Invalid

MAX_TEXT: Final = 65_536
MAX_PARAMETERS: Final = 100


def pairs(text: str) -> list[tuple[str, str]]:
    """The parameters of a query string, decoded. Raises Invalid for what is too long or no UTF-8."""
    if len(text) > MAX_TEXT:
        raise Invalid(f"The query has more than {MAX_TEXT} characters.", code="too-long")
    found = []
    for part in text.split("&"):
        if part:
            name, _, value = part.partition("=")
            found.append((_decoded(name), _decoded(value)))
    if len(found) > MAX_PARAMETERS:
        raise Invalid(f"The query has more than {MAX_PARAMETERS} parameters.", code="too-long")
    return found


def _decoded(text: str) -> str:
    if text.isascii() and "%" not in text and "+" not in text and "\0" not in text:
        return text
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode()
    except UnicodeDecodeError:
        raise Invalid(f"{text[:80]!r} is not percent-encoded UTF-8.") from None
    if "\0" in decoded:
        raise Invalid("A query cannot hold the character U+0000.")
    return decoded


_ENCODED: Final = {n: f"%{n:02X}" for n in range(128) if not (chr(n).isalnum() or chr(n) in "_.-~")} | {32: "+"}


def encoded(parameters: Iterable[tuple[str, str]]) -> str:
    """Parameters as a query string: what `urlencode` gives, in a fraction of its time."""
    return "&".join([f"{_quoted(name)}={_quoted(value)}" for name, value in parameters])


def _quoted(text: str) -> str:
    return text.translate(_ENCODED) if text.isascii() else quote_plus(text)
