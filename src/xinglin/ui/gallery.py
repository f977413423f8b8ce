"""Every component with example data, for looking at and for the tests of tests/journeys/test_components.py.

Mounted only in tests and development. An example is a template of ui/examples; it says its texts by `t(zh, en)`, since
they are no part of the product's catalogues.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from xinglin.ui import assets, forms, i18n, parts, templating
from xinglin.ui.preferences import SpeakingMiddleware, preferences

EXAMPLES = i18n.PACKAGE / "ui" / "examples"


@dataclass(frozen=True)
class _SignUp:
    name: str = forms.text("Patient")
    born: date | None = forms.day("Born")
    phone: str = forms.text("Phone", required=False)
    sex: str = forms.choice("Sex", ("male", "female"))


def names() -> list[str]:
    return sorted(path.stem for path in EXAMPLES.glob("*.html"))


def _t(zh: str, en: str) -> str:
    return en if i18n.language() == "en" else zh


def _nav(density: str, language: str) -> tuple[parts.NavItem, ...]:
    """A patient's menu at phone density, a clinician's at desk density."""
    patient = [
        ("home", "首页", "Home"),
        ("record", "病历", "Record"),
        ("chart", "检验", "Results"),
        ("shield", "授权", "Consent"),
        ("eye", "查阅记录", "Access"),
    ]
    staff = [
        ("search", "查找患者", "Find a person"),
        ("list", "今日工作", "Today's work"),
        ("merge", "重复档案", "Duplicates"),
        ("eye", "审计记录", "Audit"),
    ]
    wanted = staff if density == "desk" else patient
    return tuple(
        parts.NavItem("#", en if language == "en" else zh, icon, at == 1, 3 if at == 2 else 0)
        for at, (icon, zh, en) in enumerate(wanted)
    )


async def page(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in names():
        raise HTTPException(404)
    language = preferences(request).lang
    density = request.query_params.get("density", "phone")
    context: dict[str, Any] = {
        "name": name,
        "t": _t,
        "parts": parts,
        "form": forms.parse(_SignUp, {"name": "王秀英", "born": "2024-02-30", "phone": "<script>"}),
    }
    shell = parts.Shell(
        nav=_nav(density, language),
        density="desk" if density == "desk" else "phone",
        home="/gallery",
        account=("Wang Xiuying" if language == "en" else "王秀英"),
        account_note="" if density == "phone" else ("County hospital" if language == "en" else "县人民医院"),
        sign_out="/gallery/button",
        help="/gallery",
    )
    return templating.render(request, "ui/gallery_page.html", shell=shell, **context)


async def index(request: Request) -> Response:
    return templating.render(request, "ui/gallery_index.html", names=names())


def gallery() -> Starlette:
    routes = [Route("/gallery", index), Route("/gallery/{name}", page), assets.static_files()]
    return Starlette(routes=routes, middleware=[Middleware(SpeakingMiddleware)])
