"""SMART App Launch over HTTP: what programs ask (discovery, endpoints), what people answer (consent, launch, apps)."""

from __future__ import annotations

from starlette.routing import BaseRoute

from xinglin.web.oauth import allowed, consent, discovery, endpoints, launch, registered
from xinglin.web.oauth.origins import Origins

__all__ = ["Origins", "routes"]


def routes() -> list[BaseRoute]:
    families = (discovery, endpoints, consent, launch, allowed, registered)
    return [route for family in families for route in family.routes()]
