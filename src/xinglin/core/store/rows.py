"""What the store gives out and takes in, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol


class Stored(NamedTuple):
    """One version of a resource. `body` is the JSON text that is served (empty when deleted), `updated` microseconds
    since 1970; `person` and `custodian` are the keys of the Patient it is about and of the Organization that holds it
    (0: none)."""

    type: str
    id: str
    version: int
    updated: int
    body: bytes
    deleted: bool = False
    person: int = 0
    custodian: int = 0

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


class IndexRows(Protocol):
    """What search needs to know of a resource; `core.search.extract` makes it, the tables of the store explain it."""

    @property
    def person(self) -> int: ...
    @property
    def date(self) -> int: ...
    @property
    def date_end(self) -> int: ...
    @property
    def present(self) -> int: ...
    @property
    def tokens(self) -> Sequence[tuple[int, int]]: ...
    @property
    def strings(self) -> Sequence[tuple[int, str, str]]: ...
    @property
    def moments(self) -> Sequence[tuple[int, int, int]]: ...
    @property
    def quantities(self) -> Sequence[tuple[int, int, float, float, int, float, float]]: ...


@dataclass(frozen=True, slots=True)
class Current:
    """The newest version of a resource as a transaction finds and locks it."""

    key: int
    stored: Stored
    category: int

    @property
    def person(self) -> int:
        return self.stored.person

    @property
    def custodian(self) -> int:
        return self.stored.custodian


@dataclass(slots=True)
class Change:
    """A version about to be written; `resource` None deletes. `before` is the version it supersedes.

    `before_index` are the index rows of that version: token rows are removed by their full key.
    """

    key: int
    type: str
    id: str
    resource: dict[str, Any] | None
    person: int
    custodian: int
    category: int
    index: IndexRows | None
    before: Current | None = None
    before_index: IndexRows | None = None
