"""The pages: sign-in, the patient's portal, the workspace of staff. `routes()` is all that the application knows."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from xinglin.kernel.errors import Problem
from xinglin.web import account, acting, oauth, portal, problems, scim, signin, transparency, workspace

__all__ = ["problem_page", "routes"]


def routes() -> list[BaseRoute]:
    """The routes of every page family."""
    families = (signin, account, acting, portal, workspace, oauth, transparency, scim)
    return [route for family in families for route in family.routes()]


def problem_page(request: Request, problem: Problem) -> Response:
    """A problem as a page; where programs provision accounts, as SCIM says it."""
    if scim.is_ours(request.url.path):
        return scim.problem_answer(problem)
    return problems.problem_page(request, problem)
