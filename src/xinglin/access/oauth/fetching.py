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
import ipaddress
import json
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final
from urllib.parse import SplitResult, urlencode, urlsplit

from xinglin.kernel.errors import Problem

LONGEST_URL: Final = 2000
MOST_BYTES: Final = 256 << 10
SECONDS: Final = 3.0  # without a byte
WHOLE_SECONDS: Final = 8.0
_PIECE: Final = 1 << 14
_TUNNELS: Final = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
"""IPv6 ranges that carry an IPv4 address inside, which may be a private one."""


class Unfetchable(Problem):
    """The address is not one we call, or what it gave is not JSON."""

    status = 400
    default_code = "not-supported"


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet."""
    known = ipaddress.ip_address(address.partition("%")[0])
    known = getattr(known, "ipv4_mapped", None) or known
    return known.is_global and not known.is_multicast and not any(known in network for network in _TUNNELS)


def is_loopback(address: str) -> bool:
    known = ipaddress.ip_address(address.partition("%")[0])
    return (getattr(known, "ipv4_mapped", None) or known).is_loopback


def addresses(host: str, port: int) -> list[str]:
    """What the name resolves to now."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise Unfetchable(f"{host[:80]} cannot be resolved.") from None
    return [str(row[4][0]) for row in found]


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
        if not found or not all(self._allowed(one, parts.scheme) for one in found):
            raise Unfetchable(f"{host[:80]} is not an address of the open internet.")
        connection = _Pinned(host, found[0], port, self.context if parts.scheme == "https" else None)
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


class _Pinned(http.client.HTTPSConnection):
    """A connection to an address that was looked at, under the certificate of the name; or clear text."""

    def __init__(self, host: str, address: str, port: int, context: ssl.SSLContext | None) -> None:
        super().__init__(host, port, timeout=SECONDS)
        self._address, self._tls = address, context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), SECONDS)
        if self._tls is None:
            self.sock = plain
            return
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
