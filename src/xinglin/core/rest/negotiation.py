"""What the headers of a request ask for: media types, versions, conditions."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from functools import lru_cache
from typing import Final

from xinglin.core.rest.exchange import Answer, Header
from xinglin.core.rest.gate import Expected
from xinglin.core.store.rows import Stored
from xinglin.kernel import clock
from xinglin.kernel.errors import Invalid, PreconditionFailed, Problem

JSON_TYPES: Final = frozenset({"application/fhir+json", "application/json", "text/json", "json"})
_WILDCARDS: Final = frozenset({"*/*", "application/*", "text/*"})
_ETAG: Final = re.compile(r'(?:W/)?"([^"]*)"|(\S+)')
_LARGEST: Final = 2**31 - 1  # of the store's version column


class NotAcceptable(Problem):
    status = 406
    default_code = "not-supported"


class UnsupportedMediaType(Problem):
    status = 415
    default_code = "not-supported"


def check_accept(accept: bytes | None, chosen: str | None, others: frozenset[str] = frozenset()) -> None:
    """Raises NotAcceptable unless JSON will do. `chosen` is `_format`, which stands above the header."""
    if chosen:
        if _media_type(chosen.replace(" ", "+")) not in JSON_TYPES | others:
            raise NotAcceptable(f"_format={chosen[:60]} is not served.", remedy="Use _format=json.")
    elif accept is not None and not _acceptable(accept, others):
        raise NotAcceptable("This node serves JSON only.", remedy="Send 'Accept: application/fhir+json'.")


@lru_cache(maxsize=256)
def _acceptable(accept: bytes, others: frozenset[str]) -> bool:
    ranges = [part.strip() for part in accept.decode("latin-1").lower().split(",")]
    return any(_wanted(part, others) for part in ranges) or not any(ranges)


def _wanted(media_range: str, others: frozenset[str]) -> bool:
    name, *parameters = (part.strip().replace(" ", "") for part in media_range.split(";"))
    if any(re.fullmatch(r"q=0(\.0*)?", parameter) for parameter in parameters):
        return False
    versions = [parameter.partition("=")[2] for parameter in parameters if parameter.startswith("fhirversion=")]
    served = name in JSON_TYPES or name in _WILDCARDS or name in others
    return served and all(version.strip('"') in ("4.0", "4.0.1") for version in versions)


def check_content_type(value: str | None, allowed: frozenset[str] = JSON_TYPES) -> str:
    """The media type of a body, or UnsupportedMediaType that names what would be taken."""
    name = _media_type(value or "")
    if name not in allowed:
        told = f"A body of type {name[:60]!r} is not taken." if name else "The body has no Content-Type."
        raise UnsupportedMediaType(told, remedy=f"Send {' or '.join(sorted(allowed - {'json', 'text/json'}))}.")
    version = re.search(r"fhirversion\s*=\s*\"?([\d.]+)", (value or "").lower())
    if version and version[1] not in ("4.0", "4.0.1"):
        raise UnsupportedMediaType(f"FHIR version {version[1][:10]} is not taken.", remedy="Send FHIR 4.0.")
    charset = re.search(r"charset\s*=\s*\"?([\w-]+)", (value or "").lower())
    if charset and charset[1] not in ("utf-8", "utf8", "us-ascii"):
        raise UnsupportedMediaType(f"Charset {charset[1][:20]} is not taken.", remedy="Send UTF-8.")
    return name


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()


def etag(stored: Stored) -> bytes:
    return b'W/"%d"' % stored.version


def last_modified(stored: Stored) -> bytes:
    return _http_date(stored.updated // 1_000_000)


@lru_cache(maxsize=4096)
def _http_date(seconds: int) -> bytes:
    return formatdate(seconds, usegmt=True).encode()


def version_headers(stored: Stored) -> tuple[Header, Header]:
    return (b"etag", etag(stored)), (b"last-modified", last_modified(stored))


def if_match(value: str | None, none_match: str | None = None) -> Expected | None:
    """What a write expects to be there, from If-Match (`*`: anything) and `If-None-Match: *` (nothing)."""
    if value is None:
        return Expected.nothing() if none_match is not None and none_match.strip() == "*" else None
    if value.strip() == "*":
        return Expected.anything()
    tags = [tag.strip() for tag in value[:4000].split(",")]
    versions = frozenset(number for tag in tags if (number := _version(tag, value)) is not None)
    if not versions:
        raise PreconditionFailed("No resource has such a version.", remedy="Read it again and use its ETag.")
    return Expected(versions)


def _version(tag: str, value: str) -> int | None:
    """The version of an ETag; None for one that no resource can have."""
    match = _ETAG.fullmatch(tag)
    text = (match[1] or match[2] or "") if match else ""
    if not (text.isascii() and text.isdigit()):
        raise Invalid(f"If-Match is {value[:60]!r}.", code="value", remedy='Send the ETag of a version: W/"3".')
    return int(text) if len(text) <= 10 and int(text) <= _LARGEST else None


def version_number(text: str) -> int | None:
    """A version id of a path as the number it stands for, or None where none can be so named."""
    fits = text.isascii() and text.isdigit() and len(text) <= 10 and not text.startswith("0")
    return int(text) if fits and int(text) <= _LARGEST else None


def not_modified(stored: Stored, none_match: str | None, modified_since: str | None) -> Answer | None:
    """304 where the caller's copy is current (If-None-Match stands above If-Modified-Since, RFC 9110 13.2.2)."""
    if none_match is not None:
        known = {one or other for one, other in _ETAG.findall(none_match.replace(",", " ")[:4000])}
        current = str(stored.version) in known or none_match.strip() == "*"
    else:
        current = modified_since is not None and _unchanged_since(stored, modified_since)
    return Answer(304, b"", version_headers(stored)) if current else None


def _unchanged_since(stored: Stored, text: str) -> bool:
    try:
        moment = parsedate_to_datetime(text)
        seconds = clock.micros(moment if moment.tzinfo else moment.replace(tzinfo=UTC)) // 1_000_000
    except (ValueError, TypeError, OverflowError, IndexError):
        return False  # RFC 9110 13.1.3: an invalid date is ignored
    return stored.updated // 1_000_000 <= seconds
