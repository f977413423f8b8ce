"""Bundles joined from stored bytes: nothing stored is parsed or written anew on its way out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from email.utils import parsedate_to_datetime
from typing import Final

import orjson

from xinglin.core.rest.exchange import Answer
from xinglin.core.rest.negotiation import etag
from xinglin.core.store.rows import Stored
from xinglin.kernel import clock

_OURS: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
Show = Callable[[bytes], bytes]
Link = tuple[str, str]  # relation, URL
Entry = tuple[bytes, ...]
"""The text of an entry, in pieces: bodies are not copied before the Bundle is joined."""

STATUS_TEXT: Final = {
    200: "200 OK",
    201: "201 Created",
    204: "204 No Content",
    304: "304 Not Modified",
}


def bundle(kind: str, entries: Iterable[Entry], *, total: int | None = None, links: Sequence[Link] = ()) -> bytes:
    """A Bundle of entries that are JSON text already; every byte of them is copied once."""
    parts = [b'{"resourceType":"Bundle","type":"', kind.encode(), b'","timestamp":"', _now(), b'"']
    if total is not None:
        parts.append(b',"total":%d' % total)
    if links:
        rows = [{"relation": relation, "url": url} for relation, url in links]
        parts += [b',"link":', orjson.dumps(rows)]
    before = b',"entry":['  # an empty array is not valid FHIR
    for entry in entries:
        parts.append(before)
        parts += entry
        before = b","
    parts.append(b"}" if before != b"," else b"]}")
    return b"".join(parts)


def _now() -> bytes:
    return clock.instant(clock.micros(clock.now())).encode()


def match_entry(base: str, stored: Stored, mode: str, show: Show | None = None) -> Entry:
    """An entry of a searchset; `mode` is match, include or outcome."""
    head, body, _ = plain_entry(base, stored, show)
    return head, body, _MODES[mode]


def plain_entry(base: str, stored: Stored, show: Show | None = None) -> tuple[bytes, bytes, bytes]:
    """An entry of a collection or document: what it is and where."""
    head = f'{{"fullUrl":"{base}/{stored.type}/{stored.id}","resource":'.encode()
    return head, show(stored.body) if show else stored.body, b"}"


_MODES: Final = {mode: b',"search":{"mode":"' + mode.encode() + b'"}}' for mode in ("match", "include", "outcome")}


def outcome_entry(outcome: bytes) -> Entry:
    return b'{"resource":', outcome, b',"search":{"mode":"outcome"}}'


def history_entry(base: str, stored: Stored, show: Show | None = None) -> Entry:
    """A version, with the request that stands for it (bundle.html#history)."""
    posted = stored.version == 1 and _OURS.fullmatch(stored.id)  # any other id was chosen by who wrote it
    method = "DELETE" if stored.deleted else "POST" if posted else "PUT"
    url = stored.type if method == "POST" else stored.reference
    status = 204 if stored.deleted else 201 if stored.version == 1 else 200
    resource = () if stored.deleted else (b',"resource":', show(stored.body) if show else stored.body)
    head = f'{{"fullUrl":"{base}/{stored.reference}"'.encode()
    request = f',"request":{{"method":"{method}","url":"{url}"}},"response":'.encode()
    return head, *resource, request, response_part(status, stored), b"}"


def response_part(status: int, stored: Stored | None = None, outcome: bytes | None = None) -> bytes:
    """The `response` of an entry in a batch, transaction or history answer."""
    parts: dict[str, object] = {"status": STATUS_TEXT.get(status, str(status))}
    if stored is not None:
        if status in (200, 201):
            parts["location"] = f"{stored.reference}/_history/{stored.version}"
        parts["etag"] = etag(stored).decode()
        parts["lastModified"] = clock.instant(stored.updated)
    if outcome is not None:
        parts["outcome"] = orjson.Fragment(outcome)
    return orjson.dumps(parts)


def answer_part(answer: Answer, outcome: bytes = b"") -> bytes:
    """The same, from what the interaction alone would have answered."""
    headers = dict(answer.headers)
    parts: dict[str, object] = {"status": STATUS_TEXT.get(answer.status, str(answer.status))}
    parts |= {name: headers[key].decode() for name, key in _FROM_HEADERS.items() if key in headers}
    if b"last-modified" in headers:
        moment = parsedate_to_datetime(headers[b"last-modified"].decode())
        parts["lastModified"] = clock.instant(clock.micros(moment))
    if outcome:
        parts["outcome"] = orjson.Fragment(outcome)
    return orjson.dumps(parts)


_FROM_HEADERS: Final = {"location": b"location", "etag": b"etag"}


def response_entry(response: bytes, resource: bytes = b"", full_url: str | None = None) -> Entry:
    """An entry of a batch or transaction answer."""
    url = b'"fullUrl":' + orjson.dumps(full_url) + b"," if full_url else b""
    body = (b'"resource":', resource, b",") if resource else ()
    return b"{", url, *body, b'"response":', response, b"}"
