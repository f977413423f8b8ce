"""Who is who among institutions: names in both languages, kept for a minute by each process.

Names of institutions are directory data that all who signed in may read, so the node reads them once for everybody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from starlette.requests import Request

from xinglin.access.policy import institution_key
from xinglin.access.principal import NODE
from xinglin.access.records import Records
from xinglin.core.schema.decode import parse
from xinglin.ui.formats import is_han
from xinglin.ui.i18n import language

SECONDS: Final = 60.0
LARGEST: Final = 1000  # institutions; a county has dozens


@dataclass(frozen=True, slots=True)
class Institution:
    """An Organization by its id, with a name in each language (the same where only one is recorded)."""

    id: str
    zh: str
    en: str

    @property
    def name(self) -> str:
        return self.en if language() == "en" else self.zh


@dataclass(frozen=True, slots=True)
class Directory:
    """Institutions by id, in the order of their names, and by the key that a stored version has of its holder."""

    institutions: Mapping[str, Institution]
    by_key: Mapping[int, Institution]

    def name(self, id: str | None) -> str:
        """The institution's name in the reader's language; its id where the directory does not know it."""
        found = self.institutions.get(id or "")
        return found.name if found else (id or "")

    def named(self, key: int) -> tuple[str, str]:
        """Id and name of the institution whose key a stored version bears; empty texts where none holds it."""
        found = self.by_key.get(key)
        return (found.id, found.name) if found else ("", "")


EMPTY: Final = Directory({}, {})


async def directory(request: Request) -> Directory:
    """The directory, at most a minute old."""
    state = request.app.state
    until, kept = getattr(state, "directory", (0.0, EMPTY))
    if monotonic() < until:
        return kept
    found = await _read(request)
    state.directory = (monotonic() + SECONDS, found)
    return found


def forget(request: Request) -> None:
    """Read again at the next request: this process has just changed an institution."""
    request.app.state.directory = (0.0, EMPTY)


async def _read(request: Request) -> Directory:
    records = Records(request.app.state.house, NODE, why="names of institutions")
    found = await records.search("Organization", f"_sort=name&_count={LARGEST}")
    institutions = [_institution(parse(stored.body)) for stored in found.matches]
    return Directory({one.id: one for one in institutions}, {institution_key(one.id): one for one in institutions})


def _institution(organization: Mapping[str, Any]) -> Institution:
    names = [name for name in (organization.get("name"), *organization.get("alias", ())) if name]
    first = names[0] if names else organization["id"]
    zh = next((name for name in names if is_han(name)), first)
    en = next((name for name in names if not is_han(name)), first)
    return Institution(organization["id"], zh, en)
