"""The ways of staff through their pages, in a real browser, on the demo county."""

from __future__ import annotations

import re
from typing import Any

import pytest

from browsing import Served, flaws, photograph, sign_in
from xinglin.access import sharing
from xinglin.access.house import House
from xinglin.access.persons import catch_up
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write

pytestmark = pytest.mark.browser

PERSON = "hx-p000007"  # 李世良, the demo's `patient`: known to hx-hospital and tc-hospital
HOME = f"/desk/people/{PERSON}"
PAGES = {
    "clinician": (
        "/desk", "/desk?q=li", "/desk?q=zzzz", "/desk/locate", HOME, f"{HOME}/timeline", f"{HOME}/trends",
        f"{HOME}/trends/85354-9", f"{HOME}/medicines", f"{HOME}/immunizations", f"{HOME}/documents", f"{HOME}/print",
        f"{HOME}/consent", f"{HOME}/emergency", "/desk/people/hx-p000002/documents/hx-p000002-x1",
    ),
    "pharmacist": ("/desk", HOME, f"{HOME}/medicines"),
    "clerk": ("/desk/duplicates", "/desk?q=li", HOME),
    "manager": (
        "/desk/institution", "/desk/institution/users", "/desk/institution/users/add",
        "/desk/institution/users/clerk/disable", "/desk/institution/access",
    ),
}  # fmt: skip


async def _person(house: House) -> Records:
    """The gate as PERSON reaches it."""
    linked = await sharing.linked(Records(house, NODE), PERSON)
    patients = tuple(one.patient for one in linked)
    return Records(house, Principal("patient", "李世良", Role.PATIENT, Purpose.OWN, patients=patients))


def _listen(page: Any, wrong: list[str]) -> None:
    """Whatever the browser complains of."""
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)


@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
@pytest.mark.parametrize("login", PAGES)
def test_every_page_is_sound_in_both_languages(visit: Any, login: str, lang: str) -> None:
    wrong: list[str] = []
    for width in (320, 1280):
        page = visit(login, width=width, lang=lang)
        _listen(page, wrong)
        for path in PAGES[login]:
            assert page.goto(path).status == 200, path
            assert page.locator("html").get_attribute("lang") == lang
            photograph(page, f"{login}{re.sub('[/?]', '-', path)}-{lang}-{width}")
            wrong += [f"{width} {path}: {flaw}" for flaw in flaws(page)]
            if lang == "zh-Hans":
                words = re.findall(r"[a-z]{4,} [a-z]{2,} [a-z]{2,}", page.locator("main").inner_text())
                assert not words, f"{path} holds English on a Chinese page: {words}"
    assert not wrong, "\n".join(wrong)


def test_people_are_found_as_one_types_and_opened_by_keys(visit: Any) -> None:
    page = visit("clinician")
    assert page.evaluate("document.activeElement.id") == "field-q"
    for typed in ("李世良", "lishiliang", "lǐ shì liáng", "lsl", "lishilang", "1952-01-05", "HX00000007"):
        page.fill("#field-q", "")
        page.locator("#found table caption", has_text="您最近接诊").or_(page.locator("#found:empty")).first.wait_for(
            state="attached"
        )
        page.locator("#field-q").press_sequentially(typed)
        page.locator(f'#found a[href="{HOME}"]').wait_for()
        assert "找到" in page.locator("#announcer").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{HOME}")
    assert "李世良" in page.locator(".patient__name").inner_text()


def test_people_are_found_without_javascript(visit: Any) -> None:
    page = visit("clinician", javascript=False, lang="en")
    page.fill("#field-q", "li shiliang")
    page.keyboard.press("Enter")
    page.locator(f'#found a[href="{HOME}"]').click()
    assert "Shiliang" in page.locator(".patient__name").inner_text()


def test_consent_opens_a_clinicians_page_and_its_end_closes_it(visit: Any, county: Served) -> None:
    page = visit("clinician", lang="en")
    page.goto(HOME)
    assert "not open to you" in page.locator(".notice").inner_text()

    async def permit(house: House) -> str:
        person = await _person(house)
        consent = await sharing.permit(
            person, custodian="tc-hospital", grantee="hx-hospital", category_codes=["visits", "problems"]
        )
        return consent.id

    consent = county.behind(permit)
    page.reload()
    assert "open to you by consent" in page.locator(".notice").inner_text()
    page.goto(f"{HOME}/timeline")
    page.select_option("#field-institution", "tc-hospital")
    page.wait_for_url("**institution=tc-hospital**")
    places = page.locator(".timeline__where").all_inner_texts()
    assert places and set(places) == {"Xinglin County Traditional Medicine Hospital"}

    async def withdraw(house: House) -> None:
        await sharing.withdraw(await _person(house), consent)

    county.behind(withdraw)
    page.goto(f"{HOME}/timeline")
    assert "Traditional" not in page.locator("main").inner_text()
    page.goto(HOME)
    assert "not open to you" in page.locator(".notice").inner_text()


def test_a_clinician_asks_and_the_patient_reads_it(visit: Any) -> None:
    page = visit("cardiology")
    page.goto(HOME)
    page.get_by_role("link", name="请患者授权").click()
    page.fill("#field-message", "想核对您在中医院的用药")
    page.get_by_role("button", name="发送请求").click()
    assert "已向患者发送请求" in page.locator("[role=status].notice").inner_text()
    page.goto(HOME)
    assert "尚未答复" in page.locator(".notice").inner_text()
    patient = visit("patient", width=320)
    assert "想核对您在中医院的用药" in patient.locator("main").inner_text()


def test_an_emergency_is_weighed_opened_and_told(visit: Any) -> None:
    page = visit("township", lang="en")
    page.goto("/desk/locate")
    page.fill("#field-identifier", "HX00000007")
    page.fill("#field-birth_date", "1952-01-05")
    page.get_by_role("button", name="Look up").click()
    page.get_by_role("link", name=re.compile("emergency access")).click()
    assert "李世良" not in page.content()
    page.get_by_role("button", name="Go on").click()
    assert page.evaluate("document.activeElement.className") == "error-summary"
    page.get_by_label("The patient is unconscious or cannot speak").check()
    page.fill("#field-words", "Found unconscious at the bus station")
    page.get_by_role("button", name="Go on").click()
    assert "The person is told at once" in page.locator(".confirm").inner_text()
    assert not flaws(page)
    page.get_by_role("button", name="Open the record").click()
    page.wait_for_url(f"**{HOME}")
    assert re.search(r"Emergency access is open until \d\d:\d\d", page.locator(".notice--danger").inner_text())
    assert "Xinglin County People's Hospital" in page.locator(".card .tag--info").first.inner_text()
    photograph(page, "emergency-open")
    assert not flaws(page)
    patient = visit("patient", width=320, lang="en")
    assert "Found unconscious at the bus station" in patient.locator("main").inner_text()


async def _registered_twice(house: House) -> None:
    """Name and birth date alone are for a clerk to judge."""
    twice = {"resourceType": "Patient", "name": [{"text": "禤又生"}], "birthDate": "1950-02-03", "gender": "male"}
    for id in ("twice-1", "twice-2"):
        await Records(house, NODE).write([Write("PUT", "Patient", id, {**twice, "id": id}, keep_id=True)])
    while await catch_up(house):
        pass


def test_a_clerk_compares_joins_and_takes_back(visit: Any, county: Served) -> None:
    county.behind(_registered_twice)
    page = visit("clerk")
    page.goto("/desk/duplicates")
    before = page.locator("#main .heading__note").inner_text()
    page.locator("#main table a").first.click()
    assert page.locator(".compare tbody tr").count() >= 4
    assert page.locator(".compare__sign .option__hint").count() >= 1
    page.get_by_role("button", name="同一人，关联").click()
    assert page.evaluate("document.activeElement.className") == "error-summary"
    assert not flaws(page)
    page.fill("#field-why", "本人持身份证到窗口核对")
    page.get_by_role("button", name="同一人，关联").click()
    assert "已关联为同一人" in page.locator(".notice--success").inner_text()
    assert page.locator("#main .heading__note").inner_text() != before
    assert not flaws(page)
    page.locator(".notice--success").get_by_role("button", name="撤销").click()
    assert "已撤销" in page.locator(".notice--success").inner_text()
    assert page.locator("#main .heading__note").inner_text() == before


def test_a_manager_adds_a_user_who_signs_in(visit: Any) -> None:
    page = visit("manager")
    page.goto("/desk/institution/users")
    page.get_by_role("link", name="新增用户").click()
    page.get_by_role("button", name="确认新增").click()
    assert page.locator(".error-summary li").count() == 3
    page.fill("#field-login", "xin.yaoshi")
    page.get_by_label("药师", exact=True).check()
    page.fill("#field-name_zh", "新药师")
    page.select_option("#field-practitioner", "hx-s18")  # whoever treats acts in a post of the directory
    page.get_by_role("button", name="确认新增").click()
    password = page.locator(".summary-list").inner_text().split("密码")[1].split()[0]
    assert not flaws(page)
    added = visit()
    sign_in(added, "xin.yaoshi", password)
    added.fill("#field-new", "my own five words")
    added.fill("#field-again", "my own five words")
    added.get_by_role("button", name="保存并继续").click()
    added.goto(f"{HOME}/medicines")
    assert "用药" in added.locator("h1").inner_text()
    page.goto("/desk/institution/users/xin.yaoshi/disable")
    page.get_by_role("button", name="停用").click()
    assert "无法登录" in page.locator(".notice--success").inner_text()
    added.goto("/desk")
    assert "/sign-in" in added.url


def test_a_wrong_role_sees_no_such_page(visit: Any) -> None:
    for login, path in (("pharmacist", f"{HOME}/timeline"), ("clerk", "/desk/institution"), ("patient", "/desk")):
        page = visit(login)
        assert page.goto(path).status == 404
        assert "页面不存在" in page.locator("h1").inner_text() or page.locator("h1").inner_text()
        assert not flaws(page)


def test_the_summary_on_paper_is_the_document_alone(visit: Any) -> None:
    page = visit("clinician", width=1280)
    page.goto(f"{HOME}/print")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 688, "height": 1000})  # A4 less its margins, at 96 px an inch
    for gone in (".site-header", ".site-nav", ".site-footer", ".back", "[data-print]"):
        assert not page.locator(gone).first.is_visible(), gone
    assert page.locator(".document h1").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sheets = len(re.findall(rb"/Type\s*/Page\b", page.pdf(prefer_css_page_size=True)))
    assert 1 <= sheets <= 3
    photograph(page, "paper")
