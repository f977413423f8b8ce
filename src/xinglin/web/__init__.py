"""The pages: sign-in, the patient's portal, the workspace of staff. `routes()` is all that the application knows."""

from __future__ import annotations

from starlette.routing import BaseRoute

from xinglin.web import account, acting, oauth, portal, signin, transparency, workspace
from xinglin.web.problems import problem_page

__all__ = ["problem_page", "routes"]


def routes() -> list[BaseRoute]:
    """The routes of every page family."""
    families = (signin, account, acting, portal, workspace, oauth, transparency)
    return [route for family in families for route in family.routes()]
