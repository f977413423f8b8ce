"""Passkeys, codes and recovery in a real browser, with the browser's own virtual authenticator.

On the demo county, opened by its name (localhost): browsers bind no passkey to a bare network address.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pyotp
import pytest

from browsing import PASSWORD, Served, flaws, photograph, sign_in
from xinglin.access.house import House
from xinglin.access.identity import accounts
from xinglin.access.principal import Role
from xinglin.kernel import clock

pytestmark = pytest.mark.browser

WORDS = {
    "zh-Hans": {
        "add": "添加通行密钥", "added": "通行密钥已添加", "use": "使用通行密钥登录", "sign out": "退出登录",
        "failed": "未成功", "confirm": "确认", "kept": "已保存，继续", "continue": "继续", "remove": "移除",
        "removed": "已移除",
        "code": "我有机构发放的恢复码", "make": "生成恢复码", "save": "保存并继续", "stop": "不是我本人：立即作废",
    },
    "en": {
        "add": "Add a passkey", "added": "The passkey is added", "use": "Sign in with a passkey",
        "sign out": "Sign out", "failed": "did not work", "confirm": "Confirm",
        "kept": "I have kept them: continue", "continue": "Continue",
        "remove": "Remove", "removed": "It is removed", "code": "I have a code from my institution",
        "make": "Make a code", "save": "Save and continue", "stop": "That was not me: stop it",
    },
}  # fmt: skip


def authenticator(page: Any, **options: Any) -> tuple[Any, str]:
    """A platform authenticator that checks its owner, in this browser: the session to command it, and its id."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    wanted = {
        "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
        "isUserVerified": True, "automaticPresenceSimulation": True, **options,
    }  # fmt: skip
    return session, session.send("WebAuthn.addVirtualAuthenticator", {"options": wanted})["authenticatorId"]


@pytest.fixture
def own(county: Served, request: Any) -> str:
    """A person's account that no other test touches; the demo's `patient` is this person too."""
    login = f"own{abs(hash(request.node.name)) % 10**8}"

    async def make(house: House) -> None:
        patient = (await accounts.get(house.database, "patient")).patient
        await accounts.create(
            house.database, login, PASSWORD, Role.PATIENT, name_zh="李世良", patient=patient, published=True
        )

    county.behind(make)
    return login


@pytest.fixture
def named(county: Served, visit: Any) -> Any:
    """`visit`, by the county's name."""

    def visiting(login: str = "", *, lang: str = "zh-Hans", width: int = 1280) -> Any:
        page = visit("", width=width, lang=lang)
        page.goto(f"{county.base.replace('127.0.0.1', 'localhost')}/sign-in?lang={lang}")
        if login:
            sign_in(page, login)
        return page

    return visiting


def at(page: Any, path: str) -> None:
    page.goto(re.sub(r"(https?://[^/]+).*", r"\1", page.url) + path)


def picture(page: Any, name: str) -> None:
    photograph(page, name)
    assert not flaws(page), name


@pytest.mark.parametrize(("lang", "width"), [("zh-Hans", 320), ("en", 1280)])
def test_a_passkey_is_made_signs_in_without_a_login_and_is_removed(named: Any, own: str, lang: str, width: int) -> None:
    words, page = WORDS[lang], named(own, lang=lang, width=width)
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    session, key = authenticator(page)
    at(page, "/me/security")
    picture(page, f"security-empty-{lang}-{width}")
    page.fill("#field-name", "My phone")
    page.get_by_role("button", name=words["add"]).click()
    page.wait_for_url("**done=passkey")
    assert words["added"] in page.locator("[role=status].notice").inner_text()
    picture(page, f"security-passkey-{lang}-{width}")
    page.get_by_role("button", name=words["add"]).click()  # the same authenticator has one already
    page.get_by_text(words["failed"]).wait_for()
    page.get_by_role("button", name=words["sign out"], exact=True).click()
    picture(page, f"sign-in-{lang}-{width}")
    page.get_by_role("button", name=words["use"]).click()
    page.wait_for_url("**/me")
    kept = session.send("WebAuthn.getCredentials", {"authenticatorId": key})["credentials"]
    assert len(kept) == 1 and kept[0]["isResidentCredential"] and kept[0]["rpId"] == "localhost"
    at(page, "/me/security")
    page.locator(".rows a", has_text=words["remove"]).first.click()
    picture(page, f"removal-{lang}-{width}")
    page.get_by_role("button", name=words["remove"]).click()
    assert words["removed"] in page.locator("[role=status].notice").inner_text()
    page.get_by_role("button", name=words["sign out"], exact=True).click()
    page.get_by_role("button", name=words["use"]).click()
    page.wait_for_url("**failed=passkey")
    assert not wrong, wrong


def test_who_does_not_show_their_face_is_not_let_in(named: Any, own: str) -> None:
    page = named(own, lang="en")
    session, key = authenticator(page)
    at(page, "/me/security")
    page.get_by_role("button", name="Add a passkey").click()
    page.wait_for_url("**done=passkey")
    page.get_by_role("button", name="Sign out", exact=True).click()
    session.send("WebAuthn.setUserVerified", {"authenticatorId": key, "isUserVerified": False})
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_text("That did not work").wait_for()
    assert "/sign-in" in page.url


@pytest.mark.parametrize(("lang", "width"), [("zh-Hans", 320), ("en", 1280)])
def test_an_app_is_set_up_and_its_code_asked_for(named: Any, own: str, lang: str, width: int) -> None:
    words, page = WORDS[lang], named(own, lang=lang, width=width)
    at(page, "/me/security/codes")
    app = pyotp.TOTP(page.locator("code").inner_text().replace(" ", ""))
    assert page.locator(".steps img").evaluate("image => image.naturalWidth") > 100
    picture(page, f"authenticator-{lang}-{width}")
    page.fill("#field-code", "000000")
    page.get_by_role("button", name=words["confirm"]).click()
    assert page.locator(".error-summary").count() == 1
    picture(page, f"authenticator-wrong-{lang}-{width}")
    page.fill("#field-code", app.at(clock.now()))
    page.get_by_role("button", name=words["confirm"]).click()
    codes = page.locator(".codes li").all_inner_texts()
    assert len(codes) == 10
    picture(page, f"recovery-codes-{lang}-{width}")
    page.get_by_role("link", name=words["kept"]).click()
    picture(page, f"security-codes-{lang}-{width}")
    page.get_by_role("button", name=words["sign out"], exact=True).click()
    sign_in(page, own)
    assert page.url.endswith("/sign-in/second")
    picture(page, f"second-{lang}-{width}")
    page.fill("#field-code", app.at(clock.now() + timedelta(seconds=30)))
    page.get_by_role("button", name=words["continue"]).click()
    assert page.url.endswith("/me")
    page.get_by_role("button", name=words["sign out"], exact=True).click()
    sign_in(page, own)
    page.fill("#field-code", codes[3])
    page.get_by_role("button", name=words["continue"]).click()
    assert page.url.endswith("/me")


@pytest.mark.parametrize(("lang", "width"), [("zh-Hans", 320), ("en", 1280)])
def test_back_in_with_a_code_handed_over_at_the_desk(
    named: Any, visit: Any, own: str, county: Served, lang: str, width: int
) -> None:
    words, clerk = WORDS[lang], visit(_clerk_of(county, own), lang=lang, width=width)
    clerk.goto("/desk/recovery")
    picture(clerk, f"give-code-{lang}-{width}")
    clerk.fill("#field-login", own)
    clerk.locator("input[name=evidence]").first.check()
    clerk.get_by_role("button", name=words["make"]).click()
    code = re.findall(r"\b[a-z2-9]{4}(?:-[a-z2-9]{4}){3,5}\b", clerk.locator("main").inner_text())[0]
    picture(clerk, f"given-code-{lang}-{width}")
    owner = named(own, lang=lang, width=width)
    at(owner, "/me/security")
    assert owner.get_by_role("button", name=words["stop"]).count() == 1
    picture(owner, f"security-announced-{lang}-{width}")
    lost = named(lang=lang, width=width)
    lost.get_by_role("link", name=words["code"]).click()
    picture(lost, f"recover-{lang}-{width}")
    county.behind(lambda house: house.database.pool.execute("UPDATE recovery SET starts = now()"))
    lost.fill("#field-login", own)
    lost.fill("#field-code", code)
    lost.get_by_role("button", name=words["continue"]).click()
    picture(lost, f"recover-password-{lang}-{width}")
    for field in ("new", "again"):
        lost.fill(f"#field-{field}", "my own new words")
    lost.get_by_role("button", name=words["save"]).click()
    assert lost.url.endswith("/me")
    at(owner, "/me")
    assert "/sign-in" in owner.url


def _clerk_of(county: Served, login: str) -> str:
    """A clerk of the institution that holds the account's Patient, who may be made for this."""

    async def find(house: House) -> str:
        patient = (await accounts.get(house.database, login)).patient or ""
        return {"hx": "clerk", "tc": "clerk2"}[patient.partition("-")[0]]

    return str(county.behind(find))
