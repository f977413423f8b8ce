"""Page links: the sort key of the last row, signed, so that a link says nothing else and cannot be made up."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Callable
from hashlib import sha256

import orjson

from xinglin.core.search.ordering import Cursor
from xinglin.kernel.errors import Invalid

_SIGNATURE = 16


Context = str | Callable[[], str]


def page_token(cursor: Cursor, total: int | None, secret: bytes, context: Context) -> str:
    """An opaque text for the page after `cursor`; `context` is the query and the principal it is good for."""
    payload = orjson.dumps([list(cursor), total])
    return base64.urlsafe_b64encode(_signature(payload, secret, context) + payload).rstrip(b"=").decode()


def read_page_token(text: str, secret: bytes, context: Context) -> tuple[Cursor, int | None]:
    """(cursor, total of the first page). Raises Invalid for a token that is not of this query and principal."""
    try:
        raw = base64.b64decode(text.encode() + b"=" * (-len(text) % 4), b"-_", validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    signature, payload = raw[:_SIGNATURE], raw[_SIGNATURE:]
    if not payload or not hmac.compare_digest(signature, _signature(payload, secret, context)):
        raise Invalid(
            "The page link does not belong to this search.",
            expression="_page",
            remedy="Follow the links of the answer, or start again without _page.",
        )
    cursor, total = orjson.loads(payload)
    return tuple(cursor), total


def _signature(payload: bytes, secret: bytes, context: Context) -> bytes:
    context = context if isinstance(context, str) else context()
    return hmac.digest(secret, sha256(context.encode()).digest() + payload, sha256)[:_SIGNATURE]
