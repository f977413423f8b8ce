"""One Jinja2 environment and `render`, by which every page leaves.

Templates are named by their path in the package (`web/templates/portal/home.html`). Macros of `ui/components` are
the attributes of `ui`. Autoescaping cannot be switched off by a file name, an unknown variable is an error, and the
Content-Security-Policy allows no inline script or style, so escaped data that slips through still cannot run.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from types import SimpleNamespace
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse

from xinglin.ui import formats, i18n
from xinglin.ui.assets import static_url
from xinglin.ui.csrf import csrf_field, keep_csrf
from xinglin.ui.parts import Shell
from xinglin.ui.preferences import clinic_zone, preferences, remember, same_page

CONTENT_SECURITY_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "vary": "Cookie, Accept-Language",
}

_rendering: ContextVar[Request] = ContextVar("xinglin_rendering")


@cache
def environment() -> Environment:
    env = Environment(
        loader=FileSystemLoader(i18n.PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    env.install_gettext_callables(  # type: ignore[attr-defined]
        i18n._, i18n.ngettext, newstyle=True, pgettext=i18n.pgettext, npgettext=i18n.npgettext
    )
    env.filters.update({name: _per_reader(shown) for name, shown in formats.FILTERS.items()})
    env.globals.update(
        static=static_url,
        csrf_field=_csrf_field,
        lang=i18n.language,
        zone=i18n.zone,
        reference_range=formats.reference_range,
        flagged=formats.flagged,
        ui=SimpleNamespace(),
    )
    _load_components(env)
    return env


def _per_reader(shown: Callable[..., Any]) -> Callable[..., Any]:
    """A filter that Jinja does not fold: computed when compiled, it would keep the first reader's language."""

    @pass_context
    def filtered(_context: Context, *arguments: Any, **options: Any) -> Any:
        return shown(*arguments, **options)

    return filtered


def _load_components(env: Environment) -> None:
    """Every public macro of every file in ui/components becomes an attribute of `ui`, so no page imports one."""
    components: Any = env.globals["ui"]
    for path in sorted((i18n.PACKAGE / "ui" / "components").glob("*.html")):
        module = env.get_template(f"ui/components/{path.name}").module
        for name, macro in vars(module).items():
            if not name.startswith("_") and callable(macro):
                if hasattr(components, name):
                    raise ValueError(f"two components are called {name}; {path.name} holds the second")
                setattr(components, name, macro)


def _csrf_field() -> Markup:
    """Components are macros without a context of their own, so the request comes from the rendering in progress."""
    return csrf_field(_rendering.get())


def render(
    request: Request,
    template: str,
    *,
    status: int = 200,
    block: str | None = None,
    shell: Shell | None = None,
    **context: Any,
) -> HTMLResponse:
    """The page as a response; with `block`, only that block of it, for a swap by htmx."""
    wanted = preferences(request)
    values = {
        "request": request,
        "prefs": wanted,
        "shell": shell or Shell(),
        "same_page": lambda **changed: same_page(request, **changed),
        **context,
    }
    token = _rendering.set(request)
    try:
        with i18n.speaking(wanted.lang, clinic_zone(request)):
            html = _html(template, block, values)
    finally:
        _rendering.reset(token)
    response = HTMLResponse(html, status, {**SECURITY_HEADERS, "content-language": wanted.lang})
    remember(request, response, wanted)
    keep_csrf(request, response)
    return response


def _html(template: str, block: str | None, values: dict[str, Any]) -> str:
    found = environment().get_template(template)
    if block is None:
        return found.render(values)
    return "".join(found.blocks[block](found.new_context(values)))
