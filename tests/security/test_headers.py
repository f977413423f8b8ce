"""Headers and cookies of a node behind https: every answer says how it may be used (ASVS 3.3, 3.4), at one place."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx
import pytest

from xinglin.access.house import House
from xinglin.access.identity import tokens
from xinglin.access.principal import Role
from xinglin.app import Application
from xinglin.kernel.config import Settings

BASE = "https://records.example.org"
PAGES = ("/sign-in", "/no-such-page")
OTHERS = (
    "/static/css/base.css", "/static/js/xinglin.js", "/static/img/logo.svg", "/static/no-such-file",
    "/.well-known/openid-configuration", "/fhir/.well-known/smart-configuration", "/oauth/jwks", "/oauth/style.json",
    "/oauth/token", "/oauth/userinfo", "/oauth/register", "/scim/v2/Users", "/scim/v2/Users/none",
    "/scim/v2/ServiceProviderConfig", "/fhir/metadata", "/fhir/Patient", "/fhir/Patient/none", "/fhir/%00",
)  # fmt: skip


@pytest.fixture
async def browser(house: House) -> AsyncIterator[httpx.AsyncClient]:
    app = Application(Settings(base_url=BASE), house)
    async with app.pages.router.lifespan_context(app.pages):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=BASE) as http:
            yield http


async def test_every_answer_says_how_it_may_be_used(browser: httpx.AsyncClient, house: House) -> None:
    token, _ = await tokens.issue(house.database, Role.SYSTEM, 1, institution="A", scopes=["scim"])
    for path in (*PAGES, *OTHERS):
        for method, headers in (("GET", {}), ("GET", {"authorization": f"Bearer {token}"}), ("POST", {}), ("PUT", {})):
            answer = await browser.request(method, path, headers=headers)
            policy = answer.headers["content-security-policy"]
            assert answer.headers["x-content-type-options"] == "nosniff", (method, path)
            assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy, (method, path)
            page = answer.headers.get("content-type", "").startswith("text/html")
            assert ("default-src 'none'" in policy) is not page or not answer.content, (method, path, policy)
            assert len(answer.headers.get_list("content-security-policy")) == 1


async def test_every_cookie_is_bound_to_this_host(browser: httpx.AsyncClient) -> None:
    for path in ("/sign-in?lang=en&view=elder", "/sign-in"):
        answer = await browser.get(path)
        for one in answer.headers.get_list("set-cookie"):
            assert one.startswith("__Host-") and "Secure" in one and "HttpOnly" in one and "Path=/" in one
            assert "Domain" not in one and "SameSite=" in one
    kept = dict(browser.cookies)
    assert set(kept) == {"__Host-xl_csrf", "__Host-xl_lang", "__Host-xl_view"}
    assert 'lang="en"' in answer.text, "the language is remembered"
    token = re.search(r'name="_csrf" value="([^"]+)"', answer.text)
    assert token and token[1] == kept["__Host-xl_csrf"]
    form = {"_csrf": token[1], "login": "nobody", "password": "four words of ours"}
    assert (await browser.post("/sign-in", data=form)).status_code == 422, "the form counts"
    browser.cookies.clear()
    planted = {"cookie": f"xl_csrf={token[1]}; xl_lang=en"}  # as another host of the domain could
    assert (await browser.post("/sign-in", data=form, headers=planted)).status_code == 403
