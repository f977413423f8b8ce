"""A request and its answer, as the interactions see them: also an entry of a batch is a Call."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from xinglin.core.rest.gate import Records
from xinglin.kernel.errors import Invalid, Unauthenticated

if TYPE_CHECKING:
    from xinglin.core.rest.door import Door

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Header = tuple[bytes, bytes]

FHIR_JSON: Final = b"application/fhir+json; charset=utf-8"
_ID: Final = re.compile(r"[A-Za-z0-9.-]{1,64}", re.ASCII)
_PREFER: Final = re.compile(r"(return|handling)\s*=\s*\"?([A-Za-z]+)\"?|(respond-async)")


@dataclass(frozen=True, slots=True)
class Call:
    """One interaction asked for.

    segments: the path below the base, split and decoded. query: the raw query string.
    headers: lower-case names. records: the gate for this principal, None when nobody signed in.
    resource: the body of a batch entry, as JSON text; None means that the body is still to be received.
    """

    door: Door
    method: str
    segments: tuple[str, ...]
    query: str
    headers: Mapping[bytes, bytes]
    gate: Records | None
    receive: Receive
    resource: bytes | None = None

    @property
    def records(self) -> Records:
        """The gate of this request; raises Unauthenticated when nobody signed in."""
        if self.gate is None:
            raise Unauthenticated(
                "Sign in first.", remedy="Send 'Authorization: Bearer <token>'; `xinglin token` issues one."
            )
        return self.gate

    @property
    def type(self) -> str:
        return self.segments[0]

    @property
    def id(self) -> str:
        return checked_id(self.segments[1])

    def header(self, name: bytes) -> str | None:
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1").strip()

    def prefer(self) -> Prefer:
        text = self.headers.get(b"prefer")
        return Prefer() if text is None else _read_prefer(text.decode("latin-1"))

    def with_query(self, query: str) -> Call:
        return replace(self, query=query)


@dataclass(frozen=True, slots=True)
class Prefer:
    """The Prefer header: `returns` is minimal, representation, OperationOutcome or None."""

    returns: str | None = None
    strict: bool = False
    lenient: bool = False
    asynchronous: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. `resource_body` says that the body is a FHIR resource that presentation may reshape.

    `stream` stands in place of a body that is too long to be held; then `length` is its number of bytes.
    """

    status: int = 200
    body: bytes = b""
    headers: tuple[Header, ...] = ()
    content_type: bytes = FHIR_JSON
    resource_body: bool = field(default=True)
    stream: AsyncIterator[bytes] | None = None
    length: int = 0


def checked_id(text: str) -> str:
    """A logical id as R4 allows (datatypes.html#id); dots alone would be a path."""
    if _ID.fullmatch(text) is None or not text.strip("."):
        raise Invalid(
            f"{shortened(text)!r} is not a resource id.",
            code="value",
            remedy="An id has 1 to 64 letters, digits, '-' and '.'.",
        )
    return text


def shortened(text: str, limit: int = 80) -> str:
    """What a caller sent, short enough to be said back."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _read_prefer(text: str) -> Prefer:
    prefer = Prefer()
    for name, value, asynchronous in _PREFER.findall(text[:1000]):
        if asynchronous:
            prefer = replace(prefer, asynchronous=True)
        elif name == "handling":
            prefer = replace(prefer, strict=value == "strict", lenient=value == "lenient")
        elif value in ("minimal", "representation", "OperationOutcome"):
            prefer = replace(prefer, returns=value)
    return prefer
