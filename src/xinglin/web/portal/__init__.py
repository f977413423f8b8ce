"""The patient's pages: what is recorded, who may see it, who looked."""

from __future__ import annotations

from starlette.routing import BaseRoute


def routes() -> list[BaseRoute]:
    return []
