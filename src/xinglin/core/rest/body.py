"""Receiving a body: bounded while it streams, unpacked within the same bound, never waited for without end."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import AsyncIterator
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from xinglin.core.rest.exchange import Call
from xinglin.core.rest.negotiation import JSON_TYPES, UnsupportedMediaType, check_content_type
from xinglin.core.schema import decode
from xinglin.kernel.errors import Invalid, Problem, TooLarge

IDLE_SECONDS: Final = 15
WHOLE_SECONDS: Final = 300
MOST_FORM_BYTES: Final = 1 << 18
FORM: Final = frozenset({"application/x-www-form-urlencoded"})


class TooSlow(Problem):
    status = 408
    default_code = "timeout"


class Disconnected(Exception):
    """The client went away: nobody is left to answer."""


async def received(call: Call, most: int | None = None) -> bytes:
    """The whole body, of at most `most` bytes packed and unpacked (the node's limit when None)."""
    if call.resource is not None:
        return call.resource
    limit = most or call.door.max_body
    declared = call.header(b"content-length")
    if declared is not None and declared.isdigit() and (len(declared) > 18 or int(declared) > limit):
        raise _too_large(limit)
    try:
        async with asyncio.timeout(WHOLE_SECONDS):
            parts = [part async for part in _unpacked(call, limit)]
    except TimeoutError as error:
        raise TooSlow("The body did not arrive in time.", remedy="Send it again, without pauses.") from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _unpacked(call: Call, limit: int) -> AsyncIterator[bytes]:
    encoding = (call.header(b"content-encoding") or "identity").lower()
    if encoding not in ("identity", "gzip"):
        raise UnsupportedMediaType(f"Content-Encoding {encoding[:40]} is not taken.", remedy="Send gzip or none.")
    gzip = zlib.decompressobj(31) if encoding == "gzip" else None
    packed = total = 0
    async for chunk in _chunks(call):
        packed += len(chunk)
        part = _inflate(gzip, chunk, limit - total + 1) if gzip else chunk
        total += len(part)
        if max(packed, total) > limit:
            raise _too_large(limit)
        yield part
    if gzip and packed and not gzip.eof:
        raise Invalid("The gzip body is cut off.", code="incomplete", remedy="Send it whole.")


def _inflate(gzip: Any, chunk: bytes, most: int) -> bytes:
    try:
        return bytes(gzip.decompress(chunk, most))
    except zlib.error as error:
        raise Invalid("The body is not gzip, though Content-Encoding says so.", code="structure") from error


async def _chunks(call: Call) -> AsyncIterator[bytes]:
    more = True
    while more:
        async with asyncio.timeout(IDLE_SECONDS):
            message = await call.receive()
        if message["type"] == "http.disconnect":
            raise Disconnected
        more = bool(message.get("more_body"))
        if chunk := message.get("body"):
            yield bytes(chunk)


def _too_large(limit: int) -> TooLarge:
    size = f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit} bytes"
    return TooLarge(f"The body is larger than {size}.", remedy="Send less at once; `xinglin load` takes any amount.")


async def json_body(call: Call, allowed: frozenset[str] = JSON_TYPES) -> bytes:
    """The body as JSON text, not parsed yet; refuses other content types before reading it."""
    if call.resource is None:
        check_content_type(call.header(b"content-type"), allowed)
    raw = await received(call)
    if not raw.strip():
        raise Invalid("The body is empty.", code="required", remedy="Send a resource as JSON.")
    return raw


async def resource(call: Call, expected_type: str | None = None) -> dict[str, Any]:
    """The body as a parsed resource whose structure is right."""
    raw = await json_body(call)
    decode.check(raw, expected_type=expected_type)
    return decode.parse(raw)


def _entry_query(call: Call) -> str:
    """In a Bundle there is no form: the criteria stand in the entry's address."""
    if call.resource:
        raise Invalid("A search in a Bundle has no resource.", remedy="Put the criteria into request.url.")
    return call.query


async def form_query(call: Call) -> str:
    """The query of a POST _search: the URL's parameters, then the form's."""
    if call.resource is not None:
        return _entry_query(call)
    if not call.header(b"content-type") and call.header(b"content-length") in (None, "0"):
        return call.query
    check_content_type(call.header(b"content-type"), FORM)
    raw = await received(call, MOST_FORM_BYTES)
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, strict_parsing=bool(raw), errors="strict")
    except ValueError as error:
        raise Invalid("The form cannot be read.", code="structure", remedy="Send name=value&name=value.") from error
    return "&".join(part for part in (call.query, urlencode(pairs)) if part)
