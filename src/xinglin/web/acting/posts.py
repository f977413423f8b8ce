"""The post that somebody of the staff acts in: with several, they choose, and change it from the header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from xinglin.access.identity import acting
from xinglin.access.posts import Post
from xinglin.access.principal import Role
from xinglin.ui import forms
from xinglin.ui.i18n import N_, _
from xinglin.web.guards import house, institutions, local_path, page, principal, see_other, signed_in
from xinglin.web.shells import ROLES

PAGE: Final = "web/acting/templates/posts.html"
STAFF: Final = (Role.CLINICIAN, Role.PHARMACIST, Role.CLERK, Role.MANAGER, Role.PRIVACY)


@dataclass(frozen=True)
class Choice:
    post: str = forms.text(N_("Post"), missing=N_("Choose a post"), max_length=64)
    next: str = forms.text(N_("Next page"), required=False, default="", max_length=2000)


def routes() -> list[BaseRoute]:
    return [Route("/desk/acting", posts_page, methods=["GET", "POST"])]


@signed_in(*STAFF)
async def posts_page(request: Request) -> Response:
    found = request.state.acting
    going = request.query_params.get("next", "")
    form = forms.blank(Choice, next=going) if request.method == "GET" else await forms.read(request, Choice)
    known = {post.id for post in found.standing.posts}
    if form.value is not None and form.value.post not in known:
        form = form.refuse(post=_("Choose a post"))
    if form.value is None:
        current = found.standing.post.id if found.standing.post else ""
        if not form.sent.get("post"):
            form = forms.Form(form.shape, {**form.sent, "post": current}, form.errors)
        return page(
            request,
            PAGE,
            current="/desk",
            status=422 if form.errors else 200,
            form=form,
            options=[(post.id, words(request, post)) for post in found.standing.posts],
            standing=found.standing,
        )
    async with house(request).database.transaction() as connection:
        await acting.choose_post(connection, request.state.session.id, found, form.value.post)
    return see_other(local_path(form.value.next, "/desk"))


def words(request: Request, post: Post) -> str:
    """Clinician, 心血管内科, 杏林县人民医院."""
    parts = [_(ROLES[principal(request).role]), post.specialty_text, institutions(request).name(post.institution)]
    return " · ".join(part for part in parts if part)
