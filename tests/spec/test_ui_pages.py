"""Pages: language and view, escaping, headers, CSRF, forms, catalogues, vendored files."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2 import UndefinedError
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from xinglin.kernel.errors import Problem
from xinglin.ui import assets, csrf, forms, gallery, i18n, templating
from xinglin.ui.i18n import N_
from xinglin.ui.preferences import SpeakingMiddleware

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))


@dataclass(frozen=True)
class _Visit:
    who: str = forms.text(N_("Patient"), max_length=5)
    day: date | None = forms.day(N_("Date"), required=False, latest=date(2026, 1, 1))
    kinds: tuple[str, ...] = forms.choices(N_("Filter"), ("a", "b"), required=False)
    agreed: bool = forms.flag(N_("Allowed"))
    password: str = forms.secret(N_("Note"), required=False)


async def _form_page(request: Request) -> Response:
    try:
        form = await forms.read(request, _Visit)
    except Problem as problem:
        return PlainTextResponse(str(problem), problem.status)
    return PlainTextResponse(repr(form.value or dict(form.errors)), 200 if form.value else 422)


async def _session_page(request: Request) -> Response:
    request.state.session = _Session()
    return await _form_page(request)


@dataclass(frozen=True)
class _Session:
    csrf: str = field(default="s" * 40)


@pytest.fixture(scope="module")
def client() -> TestClient:
    routes = [
        *gallery.gallery().routes,
        Route("/visit", _form_page, methods=["POST"]),
        Route("/session", _session_page, methods=["POST"]),
    ]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(SpeakingMiddleware)]))


def _lang(response) -> str:
    return re.search(r'<html lang="([^"]+)"', response.text).group(1)


def test_language_by_link_then_cookie_then_browser(client: TestClient) -> None:
    client.cookies.clear()
    assert _lang(client.get("/gallery/button")) == "zh-Hans"
    assert _lang(client.get("/gallery/button", headers={"accept-language": "fr, en;q=0.8, zh;q=0.5"})) == "en"
    assert _lang(client.get("/gallery/button?lang=en")) == "en"
    assert _lang(client.get("/gallery/button", headers={"accept-language": "zh-CN"})) == "en"
    assert _lang(client.get("/gallery/button?lang=<script>")) == "en"
    client.cookies.clear()


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "zh-Hans"),
        ("zh-TW", "zh-Hans"),
        ("en-GB;q=0.1", "en"),
        ("en;q=0", "zh-Hans"),
        ("en;q=x", "zh-Hans"),
        ("de", "zh-Hans"),
    ],
)
def test_negotiation(header: str, language: str) -> None:
    assert i18n.negotiate(header) == language


def test_switches_keep_the_rest_of_the_address(client: TestClient) -> None:
    page = client.get("/gallery/button?density=desk&q=%22%3E%3Cb%3E")
    assert 'href="/gallery/button?density=desk&amp;q=%22%3E%3Cb%3E&amp;lang=en"' in page.text


@pytest.mark.parametrize("name", gallery.names())
@pytest.mark.parametrize("lang", list(i18n.LANGUAGES))
def test_no_page_needs_an_inline_script_or_style(client: TestClient, name: str, lang: str) -> None:
    page = client.get(f"/gallery/{name}?lang={lang}")
    assert page.status_code == 200
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|javascript:", page.text)
    assert page.headers["cache-control"] == "no-store"


def test_data_is_escaped_and_unknown_names_are_errors(client: TestClient) -> None:
    assert "&lt;script&gt;" in client.get("/gallery/form").text
    with pytest.raises(UndefinedError):
        templating.environment().from_string("{{ nothing }}").render()
    ui = templating.environment().globals["ui"]
    assert "<b>" not in str(ui.patient_banner(gallery.parts.PatientFacts("<b>x</b>")))


def test_a_constant_is_formatted_anew_for_each_reader() -> None:
    template = templating.environment().from_string("""{{ "female" | gender }} {{ "2024-05-01" | day }}""")
    with i18n.speaking("zh-Hans"):
        assert template.render() == "女 2024年5月1日"
    with i18n.speaking("en"):
        assert template.render() == "Female 1 May 2024"


def test_static_files_are_kept_by_browsers_under_the_hash_of_their_content(client: TestClient) -> None:
    assert "immutable" in client.get(assets.static_url("css/base.css")).headers["cache-control"]
    assert client.get("/static/css/base.css").headers["cache-control"] == "no-cache"
    with pytest.raises(FileNotFoundError):
        assets.static_url("css/none.css")


def _sent(client: TestClient, data: dict, path: str = "/visit", **headers: str):
    client.cookies.clear()
    client.cookies.set(csrf.COOKIE, "t" * 40)
    return client.post(path, data={"_csrf": "t" * 40, **data}, headers=headers)


def test_a_form_becomes_a_value(client: TestClient) -> None:
    answer = _sent(client, {"who": " 王秀英\x00 ", "day": "2024年5月1日", "kinds": ["a", "b"], "agreed": "1"})
    assert answer.text == (
        "_Visit(who='王秀英', day=datetime.date(2024, 5, 1), kinds=('a', 'b'), agreed=True, password=None)"
    )


def test_what_is_wrong_is_said_per_field_in_the_readers_language(client: TestClient) -> None:
    bad = {"who": "123456", "day": "2023-02-29", "kinds": ["a", "c"]}
    english = _sent(client, bad, **{"accept-language": "en"})
    assert english.status_code == 422
    assert "Patient must be 5 characters or fewer" in english.text
    assert "Date must be a real date, such as 2024-05-01" in english.text
    assert "choose one of the options" in english.text
    assert "患者不能超过 5 个字符" in _sent(client, bad).text
    assert "不能晚于2026-01-01" in _sent(client, {"who": "x", "day": "2026-01-02"}).text


def test_a_secret_is_never_sent_back() -> None:
    form = forms.parse(_Visit, {"password": "hunter2"})
    assert "hunter2" not in repr(form) and form["password"]["value"] == ""


@pytest.mark.parametrize("token", ["", "x" * 40, "é" * 20])
def test_a_form_without_this_sessions_token_is_refused(client: TestClient, token: str) -> None:
    assert _sent(client, {"who": "x", "_csrf": token}).status_code == 403
    assert _sent(client, {"who": "x", "_csrf": token}, path="/session").status_code == 403


def test_a_form_from_another_site_is_refused_even_with_a_token(client: TestClient) -> None:
    assert _sent(client, {"who": "x"}, **{"sec-fetch-site": "cross-site"}).status_code == 403
    assert _sent(client, {"who": "x"}, **{"sec-fetch-site": "same-origin"}).status_code == 200


def test_a_session_takes_its_own_token_only(client: TestClient) -> None:
    assert _sent(client, {"who": "x", "_csrf": "s" * 40}, path="/session").status_code == 200
    assert _sent(client, {"who": "x", "_csrf": "t" * 40}, path="/session").status_code == 403


def test_files_and_floods_of_fields_are_not_read(client: TestClient) -> None:
    assert client.post("/visit", data={f"f{n}": "" for n in range(1000)}).status_code == 400


def test_every_string_has_its_chinese() -> None:
    import i18n as script

    assert script.untranslated() == []


def test_chinese_translations_name_the_same_values() -> None:
    wanted = re.compile(r"%\(\w+\)[sd]")
    for path in i18n.catalogue_files():
        for message in read_po(path.open("rb"), locale="zh_Hans"):
            english, chinese = " ".join(_texts(message.id)), " ".join(_texts(message.string))
            assert set(wanted.findall(english)) == set(wanted.findall(chinese)), english


def _texts(text: str | tuple[str, ...]) -> tuple[str, ...]:
    return text if isinstance(text, tuple) else (text,)


def test_vendored_files_are_the_pinned_ones() -> None:
    import vendor_assets

    assert [*vendor_assets.differences(vendor_assets.SHIPPED), *vendor_assets.differences(vendor_assets.TESTS)] == []


def test_every_component_has_an_example_and_a_line_in_the_reference() -> None:
    components = vars(templating.environment().globals["ui"])
    examples = "".join(path.read_text() for path in gallery.EXAMPLES.glob("*.html"))
    inside = "".join(path.read_text() for path in (i18n.PACKAGE / "ui").rglob("*.html"))
    reference = (ROOT / "docs" / "explanation" / "pages.md").read_text()
    assert [name for name in components if f"ui.{name}(" not in examples + inside] == []
    assert [name for name in components if f"`{name}(" not in reference] == []
