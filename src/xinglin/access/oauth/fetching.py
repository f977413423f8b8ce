"""JSON fetched from an address that somebody else named: an app's keys, an outside OpenID provider.

https only                                             no clear text, no other scheme
every address the name resolves to is a public one     no metadata service, no neighbour (cases 61, 67)
the connection goes to the address that was checked    a name that resolves anew cannot slip in (case 63)
a redirect is an error                                 no hop to elsewhere (case 62)
size and time are limited, nothing of the node's is sent

`loopback` also lets in this machine's own addresses, by http too: for tests and for one machine with two nodes.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult, urlencode, urlsplit

from xinglin.kernel.errors import Problem
from xinglin.kernel.outward import Pinned, addresses, is_loopback, is_public

LONGEST_URL: Final = 2000
MOST_BYTES: Final = 256 << 10
SECONDS: Final = 3.0  # without a byte
WHOLE_SECONDS: Final = 8.0
_PIECE: Final = 1 << 14


class Unfetchable(Problem):
    """The address is not one we call, or what it gave is not JSON."""

    status = 400
    default_code = "not-supported"


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches JSON. Tests put a resolver of their own in place of the internet's."""

    loopback: bool = False
    resolve: Callable[[str, int], Sequence[str]] = addresses
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    most: int = MOST_BYTES

    async def fetch_json(
        self, url: str, *, form: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The JSON at an address; `form` is posted where given. Raises Unfetchable."""
        return await asyncio.to_thread(self.fetch, url, form, headers or {})

    def fetch(self, url: str, form: Mapping[str, str] | None, headers: Mapping[str, str]) -> Any:
        """The same, for a thread."""
        parts = self.checked(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        found = list(self.resolve(host, port))
        if not found:
            raise Unfetchable(f"{host[:80]} cannot be resolved.")
        if not all(self._allowed(one, parts.scheme) for one in found):
            raise Unfetchable(f"{host[:80]} is not an address of the open internet.")
        connection = Pinned(host, found[0], port, self.context if parts.scheme == "https" else None, SECONDS)
        sent = {"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "Xinglin", **headers}
        body = None
        if form is not None:
            body, sent["Content-Type"] = urlencode(form), "application/x-www-form-urlencoded"
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("GET" if body is None else "POST", path, body, sent)
            return _decoded(self._received(connection.getresponse()))
        except (OSError, http.client.HTTPException) as error:
            raise Unfetchable(f"{host[:80]} broke off: {type(error).__name__}.") from error
        finally:
            connection.close()

    def checked(self, url: str) -> SplitResult:
        """The address in its parts. Raises Unfetchable for anything but https, or http where this machine is let in."""
        try:
            parts = urlsplit(url)
            parts.port  # noqa: B018  raises for a port that is none
        except ValueError:
            raise Unfetchable("It is no URL.") from None
        plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url and len(url) <= LONGEST_URL
        schemes = ("https", "http") if self.loopback else ("https",)
        if not plain or parts.scheme not in schemes or not parts.hostname:
            raise Unfetchable("It is no https address.")
        if parts.username is not None or parts.password is not None:
            raise Unfetchable("It names a user.")
        return parts

    def _allowed(self, address: str, scheme: str) -> bool:
        return (self.loopback and is_loopback(address)) or (scheme == "https" and is_public(address))

    def _received(self, response: http.client.HTTPResponse) -> bytes:
        if response.status != 200:
            raise Unfetchable(f"The host answered {response.status}; redirects are not followed.")
        found, until = b"", monotonic() + WHOLE_SECONDS
        while piece := response.read1(_PIECE):
            found += piece
            if len(found) > self.most or monotonic() > until:
                raise Unfetchable(f"It is larger than {self.most >> 10} KiB, or too slow.")
        return found


async def fetch_json(
    url: str,
    *,
    loopback: bool = False,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Any:
    """The JSON at an address that somebody else named; `form` is posted where given. Raises Unfetchable."""
    return await Fetcher(loopback).fetch_json(url, form=form, headers=headers)


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise Unfetchable("What it gave is not JSON.") from None
