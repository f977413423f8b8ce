"""The gate's part that reads the access log: who looked, for the person it is about, and for those who oversee.

Looking at the log is an access of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Any

from xinglin.access import audit
from xinglin.access.answers import Found, missing
from xinglin.access.audit import ANYTHING, AccessEntry, Wanted
from xinglin.access.audit import search as log
from xinglin.access.house import House
from xinglin.access.policy import own_keys
from xinglin.access.principal import Principal, Role
from xinglin.access.scopes import opens_whole
from xinglin.core.schema.decode import encode
from xinglin.core.store.keys import key_of
from xinglin.core.store.rows import Stored
from xinglin.core.store.visibility import Visibility
from xinglin.kernel.errors import Forbidden


class LogReading(ABC):
    """The access log as one principal may reach it."""

    house: House
    principal: Principal

    @property
    @abstractmethod
    def visible(self) -> Visibility:
        """The principal's rules at this moment."""

    @abstractmethod
    def _audited(self, interaction: str, target: str) -> AbstractAsyncContextManager[list[Stored]]:
        """Record what the block discloses before it is handed on, and a refusal too."""

    async def audit_trail(
        self,
        *,
        patient: str | None = None,
        count: int = 50,
        before: int | None = None,
        wanted: Wanted = ANYTHING,
    ) -> list[AccessEntry]:
        """Who looked, newest first: the person's own list, or for managers that of their institution's people.

        Looking at the log is an access of its own.
        """
        async with self._audited("search", "AuditEvent"):
            scope = self._log_scope(patient)
            async with self.house.database.connection() as connection:
                return await audit.entries(connection, count=min(count, 1000), before=before, wanted=wanted, **scope)

    def _log_scope(self, patient: str | None) -> dict[str, Any]:
        """Which lines of the log are the principal's to see."""
        who = self.principal
        if who.role is Role.PATIENT and who.opened is not None:
            raise Forbidden("Whoever acts for somebody within limits does not read who looked.")
        if who.role is Role.PATIENT:
            scope: dict[str, Any] = {"persons": own_keys(who)}
        elif who.institution and who.role in (Role.MANAGER, Role.PRIVACY, Role.SYSTEM):
            scope = {"institution": who.institution}
        elif who.role is Role.SYSTEM:
            scope = {"persons": [key_of("Patient", patient)]} if patient else {}
        else:
            raise Forbidden("The access log is for the person it is about, and for managers.")
        if not opens_whole(who, "AuditEvent", "s"):
            raise Forbidden("The token's scopes do not include all AuditEvents.", remedy="Ask for AuditEvent.rs.")
        return scope

    async def _read_log(self, id: str) -> Stored:
        async with self._audited("read", f"AuditEvent/{id}"):
            found = (await self._log_page(log.parse(f"_id={id}"))).matches
            if not found:
                raise missing("AuditEvent", id)
        return found[0]

    async def _search_log(self, query: str, strict: bool) -> Found:
        """AuditEvents are read from the log (access/audit/search.py says by which parameters)."""
        asked = log.parse(query, strict=strict)
        async with self._audited("search", asked.target):
            return await self._log_page(asked)

    async def _log_page(self, asked: log.Asked) -> Found:
        scope = self._log_scope(None)
        async with self.house.database.connection() as connection:
            page = await log.run(connection, asked, scope, site := self.house.settings.public_base, self.visible)
            persons, custodians = await log.names(connection, page.entries, self.visible)
        found = [
            _log_entry(entry, audit.audit_event(entry, persons.get(entry.person), custodians=custodians, site=site))
            for entry in page.entries
        ]
        return Found(found, [], page.total, page.next, list(asked.warnings), asked.used)


def _log_entry(entry: AccessEntry, event: dict[str, Any]) -> Stored:
    return Stored("AuditEvent", f"a{entry.seq}", 1, entry.at, encode(event))
