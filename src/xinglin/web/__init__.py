"""The pages: sign-in, the patient's portal, the workspace of staff. `routes()` is all that the application knows."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Final

from starlette.routing import BaseRoute

from xinglin.web.problems import problem_page

__all__ = ["problem_page", "routes"]

FAMILIES: Final = ("signin", "portal", "workspace")
"""Page families; each has `routes()`."""


def routes() -> list[BaseRoute]:
    """The routes of every page family."""
    present = [family for family in FAMILIES if find_spec(f"xinglin.web.{family}")]
    return [route for family in present for route in import_module(f"xinglin.web.{family}").routes()]
