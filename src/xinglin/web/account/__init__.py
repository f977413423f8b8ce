"""How people sign in, and what guards their account: one file for each task. `routes()` is all that others need."""

from __future__ import annotations

from starlette.routing import BaseRoute

from xinglin.web.account import authenticator, confirm, desk, passkeys, providers, recovery, security, steps


def routes() -> list[BaseRoute]:
    families = (passkeys, steps, recovery, providers, security, confirm, authenticator, desk)
    return [route for family in families for route in family.routes()]
