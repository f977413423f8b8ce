"""Calls to addresses that somebody else named: which addresses may be called, and a connection that stays with one.

every address a name resolves to is looked at          no metadata service, no neighbour
the connection goes to the address that was looked at  a name that resolves anew cannot slip in
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from typing import Final

_TUNNELS: Final = tuple(
    ipaddress.ip_network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")
)
"""IPv6 ranges that carry an IPv4 address inside, which may be a private one."""


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet."""
    known = ipaddress.ip_address(address.partition("%")[0])
    known = getattr(known, "ipv4_mapped", None) or known
    return known.is_global and not known.is_multicast and not any(known in network for network in _TUNNELS)


def is_loopback(address: str) -> bool:
    known = ipaddress.ip_address(address.partition("%")[0])
    return (getattr(known, "ipv4_mapped", None) or known).is_loopback


def addresses(host: str, port: int) -> list[str]:
    """What the name resolves to now; none where it does not."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [str(row[4][0]) for row in found]


class Pinned(http.client.HTTPSConnection):
    """A connection to an address that was looked at, under the certificate of the name; clear text without a context.

    seconds: how long it waits for a byte.
    """

    def __init__(self, host: str, address: str, port: int, context: ssl.SSLContext | None, seconds: float) -> None:
        super().__init__(host, port, timeout=seconds)
        self._address, self._tls, self._seconds = address, context, seconds

    def connect(self) -> None:
        plain = socket.create_connection((self._address, self.port), self._seconds)
        if self._tls is None:
            self.sock = plain
            return
        try:
            self.sock = self._tls.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise
