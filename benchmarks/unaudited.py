"""The application with its access log switched off, which no setting can do: the limit of bench_audit.py."""

from __future__ import annotations

from xinglin.access.audit import Access, AuditWriter
from xinglin.app import application

__all__ = ["application"]


async def _nothing(self: AuditWriter, access: Access) -> None:
    return None


AuditWriter.write = _nothing  # type: ignore[method-assign]
