"""Fetching a file that $import names: from listed hosts only, by https, never from an address inside.

the host's name is on the node's list, in full        no prefix, no substring, no name within a name (cases 65, 66)
every address it resolves to is a public one           no metadata service, no neighbour (case 61)
the connection goes to the address that was checked    a name that resolves anew cannot slip in (case 63)
a redirect is an error                                 no hop to elsewhere (case 62)
nothing of the node's is sent: no cookie, no credential (case 65)
"""

from __future__ import annotations

import http.client
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Final
from urllib.parse import SplitResult, urlsplit

from xinglin.kernel.errors import Invalid, Problem
from xinglin.kernel.outward import Pinned, addresses, is_public

LONGEST_URL: Final = 4000
MOST_BYTES: Final = 8 << 30
SECONDS: Final = 30.0  # without a byte
WHOLE_SECONDS: Final = 3600.0
PIECE: Final = 1 << 18
HTTPS: Final = 443


def listed(hosts: str) -> frozenset[str]:
    """The hosts of the setting, as they are compared."""
    return frozenset(host.strip().lower() for host in hosts.split(",") if host.strip())


def checked(url: str, hosts: frozenset[str]) -> SplitResult:
    """The URL in its parts. Raises Invalid for anything but https to a listed host on its usual port."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("It is no URL.") from None
    plain = url.isascii() and url.isprintable() and " " not in url and "\\" not in url and len(url) <= LONGEST_URL
    if not plain or parts.scheme != "https" or not parts.hostname:
        raise _refused("It is no https address.")
    if parts.username is not None or parts.password is not None or port not in (None, HTTPS):
        raise _refused("It names a user or a port.")
    if parts.hostname not in hosts:
        raise _refused(f"{parts.hostname[:80]} is not on this node's list of hosts.")
    return parts


def _refused(text: str) -> Invalid:
    return Invalid(
        f"The file cannot be fetched. {text}",
        code="not-supported",
        expression="Parameters.parameter.where(name='input')",
        remedy="The operator lists hosts in XINGLIN_IMPORT_HOSTS; or send the resources as NDJSON in the body.",
    )


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches; tests put servers of their own in place of the internet."""

    hosts: frozenset[str]
    resolve: Callable[[str, int], Sequence[str]] = addresses
    allowed: Callable[[str], bool] = is_public
    context: ssl.SSLContext = field(default_factory=ssl.create_default_context)
    port: int = HTTPS
    most: int = MOST_BYTES

    def fetch(self, url: str, path: Path, stopped: threading.Event) -> None:
        """The file into `path`, whole or not at all. For a thread; `stopped` ends it early."""
        parts = checked(url, self.hosts)
        host = parts.hostname or ""
        found = list(self.resolve(host, self.port))
        if not found:
            raise _refused(f"{host} cannot be resolved.")
        if not all(self.allowed(one) for one in found):
            raise _refused(f"{host} is not an address of the open internet.")
        connection = Pinned(host, found[0], self.port, self.context, SECONDS)
        partial = path.with_suffix(".part")
        try:
            connection.request("GET", (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), headers=HEADERS)
            self._receive(connection.getresponse(), partial, stopped)
        except (OSError, http.client.HTTPException) as error:
            raise Problem(f"{host} broke off: {type(error).__name__}.", remedy="Start the import again.") from error
        finally:
            connection.close()
        partial.replace(path)

    def _receive(self, response: http.client.HTTPResponse, path: Path, stopped: threading.Event) -> None:
        if 300 <= response.status < 400:
            raise _refused("It redirects elsewhere; redirects are not followed.")
        if response.status != 200:
            raise _refused(f"The host answered {response.status}.")
        size, until = 0, monotonic() + WHOLE_SECONDS
        expected = response.length
        with path.open("wb") as file:
            while piece := response.read(PIECE):
                size += len(piece)
                if size > self.most or monotonic() > until or stopped.is_set():
                    raise _refused(f"It is larger than {self.most >> 20} MiB, or too slow.")
                file.write(piece)
        if expected is not None and size != expected:
            raise http.client.IncompleteRead(b"", expected - size)


HEADERS: Final = {"Accept": "application/fhir+ndjson", "Accept-Encoding": "identity", "User-Agent": "Xinglin"}
