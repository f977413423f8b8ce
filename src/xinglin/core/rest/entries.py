"""The entries of a posted Bundle, as calls: their resources stay slices of the text until they are checked."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Final
from urllib.parse import unquote

import msgspec

from xinglin.core.rest.exchange import Call, Prefer, shortened
from xinglin.core.rest.outcomes import placed
from xinglin.core.schema import decode
from xinglin.core.schema.json_text import too_many_values
from xinglin.kernel.breath import in_slices
from xinglin.kernel.errors import Invalid, Problem, TooLarge

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
MOST_ENTRIES: Final = 20_000
MOST_VALUES: Final = 1_000_000  # of all entries together
MOST_READS: Final = 1000  # reads, searches and operations of a Bundle: each costs what it costs alone
LONGEST_PATH: Final = 2000
_PLACE: Final = re.compile(r" - at `\$(.*?)`$")


class _Request(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    method: str
    url: str
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_match: str | None = None
    if_none_exist: str | None = None
    id: str | None = None
    extension: msgspec.Raw = msgspec.Raw()


class _Entry(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    full_url: str | None = None
    resource: msgspec.Raw = msgspec.Raw()
    request: _Request | None = None
    link: msgspec.Raw = msgspec.Raw()
    search: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    id: str | None = None
    extension: msgspec.Raw = msgspec.Raw()
    modifier_extension: msgspec.Raw = msgspec.Raw()


class PostedBundle(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A Bundle as far as its processing needs it; the rest stays raw."""

    resource_type: str
    type: str
    entry: list[_Entry] = []
    id: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.Raw()
    implicit_rules: msgspec.Raw = msgspec.Raw()
    language: msgspec.Raw = msgspec.Raw()
    identifier: msgspec.Raw = msgspec.Raw()
    timestamp: msgspec.Raw = msgspec.Raw()
    total: msgspec.Raw = msgspec.Raw()
    link: msgspec.Raw = msgspec.Raw()
    signature: msgspec.Raw = msgspec.Raw()


_decoder = msgspec.json.Decoder(PostedBundle)


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry as a call. `place` is its FHIRPath in the Bundle."""

    number: int
    call: Call
    full_url: str | None

    @property
    def place(self) -> str:
        return f"Bundle.entry[{self.number}]"


def posted_bundle(raw: bytes) -> PostedBundle:
    """The Bundle, or Invalid with the place of what is wrong with its frame."""
    if too_many_values(raw, MOST_VALUES):
        raise TooLarge(f"The Bundle has more than {MOST_VALUES} values.", remedy="Send it in parts.")
    try:
        bundle = _decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _misshapen(raw, str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        decode.parse(raw)  # says where the text breaks
        raise Invalid(f"The Bundle cannot be read: {error}.", code="structure") from error
    if bundle.resource_type != "Bundle":
        raise _no_bundle(bundle.resource_type)
    if len(bundle.entry) > MOST_ENTRIES:
        raise TooLarge(f"The Bundle has more than {MOST_ENTRIES} entries.", remedy="Send it in parts.")
    reads = sum(1 for entry in bundle.entry if entry.request is not None and _asks(entry.request))
    if reads > MOST_READS:
        raise TooLarge(f"The Bundle has more than {MOST_READS} reads and searches.", remedy="Send it in parts.")
    return bundle


def _no_bundle(name: str) -> Problem:
    return Invalid(
        f"Only a Bundle is posted to the base, not {shortened(name)!r}.",
        expression=shortened(name) or None,
        remedy="Post a resource to [base]/[type].",
    )


def _asks(request: _Request) -> bool:
    return request.method in ("GET", "HEAD") or "$" in request.url or "_search" in request.url


def _misshapen(raw: bytes, message: str) -> Problem:
    parsed = decode.parse(raw)  # bounds and encoding stand above the shape
    if parsed.get("resourceType") != "Bundle":
        return _no_bundle(str(parsed.get("resourceType", "")))
    found = _PLACE.search(message)
    text = _PLACE.sub("", message).replace("`", "'")
    return Invalid(f"{text}.", code="structure", expression="Bundle" + (found[1] if found else ""))


def entry_call(outer: Call, bundle: PostedBundle, number: int) -> Entry:
    """Entry `number` as a call of its own; raises Problem with the entry's place."""
    posted = bundle.entry[number]
    try:
        if posted.request is None:
            raise Invalid("The entry has no request.", code="required", remedy="Give request.method and request.url.")
        method, request = posted.request.method, posted.request
        if method not in METHODS:
            raise Invalid(f"{shortened(method)!r} is not a method.", code="value", remedy=f"Use {', '.join(METHODS)}.")
        path, query = _address(outer.door.base, request.url)
        resource = bytes(posted.resource)
        if not resource and method in ("POST", "PUT", "PATCH") and not path[-1:][0:1] == ("_search",):
            raise Invalid(f"{method} needs a resource.", code="required", remedy="Put it into entry.resource.")
    except Problem as problem:
        raise placed(problem, f"Bundle.entry[{number}]") from problem
    call = replace(
        outer, method=method, segments=path, query=query, headers=_headers(outer, request), resource=resource
    )
    return Entry(number, call, posted.full_url)


def _address(base: str, url: str) -> tuple[tuple[str, ...], str]:
    """Segments and query of an entry's URL, relative or below our own base; never another server's."""
    if len(url.partition("?")[0]) > LONGEST_PATH:
        raise Invalid(f"The address {shortened(url)!r} is too long.", code="too-long", remedy="Write Type/id.")
    relative = url.removeprefix(base + "/") if url.startswith(base + "/") else url
    if "://" in relative.partition("?")[0] or relative.startswith(("urn:", "//")):
        raise Invalid(
            f"The address {shortened(url)!r} is not below {base}.", code="value", remedy="Write it relative: Type/id."
        )
    path, _, query = relative.partition("?")
    segments = tuple(unquote(part) for part in path.strip("/").split("/")) if path.strip("/") else ()
    if any("/" in segment or not segment for segment in segments):
        raise Invalid(f"The address {shortened(url)!r} is not [type]/[id].", code="value")
    return segments, query


def _headers(outer: Call, request: _Request) -> dict[bytes, bytes]:
    given = (
        (b"if-none-match", request.if_none_match),
        (b"if-modified-since", _http_date(request.if_modified_since)),
        (b"if-match", request.if_match),
        (b"if-none-exist", request.if_none_exist),
    )
    headers = {name: value.encode("utf-8", "replace") for name, value in given if value is not None}
    if b"prefer" in outer.headers:
        headers[b"prefer"] = outer.headers[b"prefer"]
    return headers


def _http_date(instant: str | None) -> str | None:
    """An entry's instant as the header would say it (bundle.html: ifModifiedSince)."""
    try:
        moment = datetime.fromisoformat(instant or "")
        return format_datetime(moment.astimezone(UTC), usegmt=True) if moment.tzinfo else instant
    except (ValueError, OverflowError):
        return instant


def shows_resources(prefer: Prefer, method: str) -> bool:
    """Whether an answer's entry carries the resource: reads always, writes when `return=representation` asks."""
    return method in ("GET", "HEAD") or prefer.returns == "representation"


def numbered(bundle: PostedBundle) -> AsyncIterator[int]:
    """The numbers of the entries, with pauses in which other requests get their turn."""
    return in_slices(range(len(bundle.entry)))
