"""What the FHIR door asks of the gate, and the values that pass between them.

The application hands in an object of this shape for each request (`access.records.Records`); core never imports it.
Every method applies what the principal may see and writes its audit event before it returns; what is forbidden raises
NotFound, as what is missing does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from xinglin.core.store.rows import Stored
from xinglin.kernel.errors import Issue


@dataclass(frozen=True, slots=True)
class Expected:
    """What a write wants to find: one of these versions, anything at all, or nothing (RFC 9110, 13.1)."""

    versions: frozenset[int] = frozenset()
    any: bool = False

    @classmethod
    def anything(cls) -> Expected:
        return cls(any=True)

    @classmethod
    def nothing(cls) -> Expected:
        return cls(frozenset({0}))

    def fits(self, version: int) -> bool:
        """Whether a resource whose newest version is `version` (0: there is none) may be written."""
        return version > 0 if self.any else version in self.versions

    def __str__(self) -> str:
        return "any version" if self.any else " or ".join(map(str, sorted(self.versions)))


@dataclass(frozen=True, slots=True)
class Write:
    """One wish to change a resource.

    method: "POST", "PUT" or "DELETE". resource: parsed and structure-checked JSON.
    if_match: the version that must be current (0: none may exist), or several of which one must be.
    condition: query string of If-None-Exist (POST) or of a conditional update or delete.
    full_url: the entry's urn:uuid, to which references of the same call point.
    keep_id: a POST that keeps the id of its resource.
    """

    method: str
    type: str
    id: str | None = None
    resource: dict[str, Any] | None = None
    if_match: int | Expected | None = None
    condition: str | None = None
    full_url: str | None = None
    keep_id: bool = False

    def expects(self, version: int) -> bool:
        """Whether `version`, the newest one (0: none), is what If-Match asks for."""
        wanted = self.if_match
        return wanted.fits(version) if isinstance(wanted, Expected) else wanted is None or wanted == version


class Outcome(Protocol):
    """What became of a Write: 200 updated or unchanged, 201 created, 204 deleted."""

    @property
    def status(self) -> int: ...
    @property
    def stored(self) -> Stored | None: ...


class Found(Protocol):
    """A page of a search. `next` is the token of the next page; `query` is the query as it was understood."""

    @property
    def matches(self) -> Sequence[Stored]: ...
    @property
    def included(self) -> Sequence[Stored]: ...
    @property
    def total(self) -> int | None: ...
    @property
    def next(self) -> str | None: ...
    @property
    def warnings(self) -> Sequence[Issue]: ...
    @property
    def query(self) -> str: ...


class History(Protocol):
    """A page of versions, newest first. `next` is the cursor of the next page."""

    @property
    def rows(self) -> Sequence[Stored]: ...
    @property
    def next(self) -> str | None: ...
    @property
    def total(self) -> int | None: ...


class Records(Protocol):
    """The records as one principal may reach them."""

    async def read(self, type: str, id: str) -> Stored: ...

    def keeps(self, stored: Stored) -> bool:
        """Whether the caller holds it themselves, so that a copy is no more than they have."""
        ...

    async def vread(self, type: str, id: str, version: int) -> Stored: ...

    async def history(
        self,
        type: str | None = None,
        id: str | None = None,
        *,
        since: int | None = None,
        at: tuple[int, int] | None = None,
        count: int = 50,
        before: str | None = None,
    ) -> History: ...

    async def search(
        self,
        type: str | None,
        query: str,
        *,
        compartment: tuple[str, str] | None = None,
        strict: bool = False,
    ) -> Found: ...

    async def several(self, references: Iterable[str]) -> list[Stored]:
        """What may be seen of these (Type/id), in their order."""
        ...

    def as_one(self, interaction: str, target: str) -> AbstractAsyncContextManager[Records]:
        """Several looks that are one access, and one line of the log."""
        ...

    async def write(self, writes: Sequence[Write]) -> Sequence[Outcome]: ...
