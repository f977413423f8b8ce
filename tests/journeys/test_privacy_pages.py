"""A person closes, opts out and asks; the privacy officer judges; the person reads the answer. In a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest

from browsing import Served, flaws, photograph
from xinglin.access import emergencies
from xinglin.access.house import House
from xinglin.access.principal import Principal, Purpose, Role
from xinglin.access.records import Records

DOCTOR = Principal("paediatrics", "王医师", Role.CLINICIAN, Purpose.TREATMENT, "hx-hospital", "hx-s09")


async def _break_glass(house: House) -> None:
    async with house.database.connection() as connection:
        patient = await connection.fetchval("SELECT patient FROM account WHERE login = 'patient'")
    gate = Records(house, DOCTOR)
    await emergencies.break_glass(gate, patient, "unconscious", "急诊昏迷，家属不在场")
    await Records(house, DOCTOR.for_purpose(Purpose.EMERGENCY)).search("Observation", f"subject={patient}")


@pytest.mark.parametrize(("lang", "width"), [("zh-Hans", 390), ("en", 320), ("en", 1280)])
def test_the_pages_of_sharing_are_sound(visit: Any, lang: str, width: int) -> None:
    page = visit("patient", width=width, lang=lang)
    wrong: list[str] = []
    for name in ("sharing", "sharing/close", "sharing/opt-out", "sharing/give", "access"):
        assert page.goto(f"/me/{name}").status == 200 and "sign-in" not in page.url
        photograph(page, f"privacy-{name.replace('/', '-')}-{lang}-{width}")
        wrong += [f"{name}: {flaw}" for flaw in flaws(page)]
        if lang == "en" and name != "access":
            own = page.locator("main").inner_text()
            people = page.locator("select").all_inner_texts() if name == "sharing/close" else []
            for one in people:
                own = own.replace(one, "")
            assert not re.search("[\u4e00-\u9fff]", own), f"{name} holds Chinese on an English page"
    assert not wrong, "\n".join(wrong)


def test_a_sensitive_part_needs_a_tick_of_its_own(visit: Any) -> None:
    page = visit("patient", width=390)
    page.goto("/me/sharing/give")
    page.locator("input[name=custodian]").first.check()
    values = page.eval_on_selector_all("#field-grantee option", "all => all.map(one => one.value)")
    own = page.locator("input[name=custodian]").first.get_attribute("value")
    page.select_option("#field-grantee", next(value for value in values if value not in ("", own)))
    page.locator("input[name=labels]").first.check()
    page.get_by_role("button", name="下一步").click()
    photograph(page, "privacy-preview-zh-Hans-390")
    page.get_by_role("button", name="确认授权").click()
    page.wait_for_selector(".error-summary")
    assert page.locator(".error-summary li").count() == 1
    assert not flaws(page)
    page.locator("input[name=separately]").check()
    page.get_by_role("button", name="确认授权").click()
    assert "授权成功" in page.locator("[role=status].notice").inner_text()
    assert "敏感记录" in page.locator("main").inner_text()


def test_closing_to_one_person_is_previewed_and_taken_back(visit: Any) -> None:
    page = visit("patient", width=390, lang="en")
    page.goto("/me/sharing/close")
    if page.locator("input[name=custodian][type=radio]").count():
        page.locator("input[name=custodian]").first.check()
        page.get_by_role("button", name="Go on").click()
        page.wait_for_selector("#field-who")
    values = page.eval_on_selector_all("#field-who option", "all => all.map(one => one.value)")
    page.select_option("#field-who", next(value for value in values if value.startswith("person:")))
    page.get_by_role("button", name="See what it means").click()
    assert "not even your name" in page.locator(".confirm").inner_text() and not flaws(page)
    photograph(page, "privacy-close-confirm-en-390")
    page.get_by_role("button", name="Yes, close it").click()
    assert "Closed. It holds from now on." in page.locator("[role=status].notice").inner_text()
    page.get_by_role("button", name="Open it again").click()
    page.wait_for_url("**/me/sharing?done=withdrawn")
    assert page.get_by_role("button", name="Open it again").count() == 0


def test_the_opt_out_is_set_and_taken_back(visit: Any) -> None:
    page = visit("patient", width=390)
    for value, told in (("yes", "已拒绝"), ("no", "可以再次用于")):
        page.goto("/me/sharing/opt-out")
        page.locator(f"input[name=refuse][value={value}]").check()
        page.get_by_role("button", name="保存").click()
        assert told in page.locator("[role=status].notice").inner_text()


@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
def test_an_emergency_is_judged_and_a_question_answered(visit: Any, county: Served, lang: str) -> None:
    county.behind(_break_glass)
    patient = visit("patient", width=390, lang=lang)
    patient.goto("/me/access")
    assert patient.locator("h3").count() >= 1
    patient.locator("a[href$='/ask']").first.click()
    patient.wait_for_selector("#field-words")
    patient.fill("#field-words", "我不清楚为什么要看我的病历 <script>alert(1)</script>")
    assert not flaws(patient)
    photograph(patient, f"privacy-ask-{lang}-390")
    patient.locator("main button[type=submit]").click()
    patient.wait_for_url("**/me/access?done=asked")
    photograph(patient, f"privacy-asked-{lang}-390")
    assert not flaws(patient)
    officer = visit("privacy", lang=lang)
    officer.wait_for_url("**/desk/privacy")
    photograph(officer, f"privacy-queue-{lang}-1280")
    assert not flaws(officer)
    cases = officer.locator("main table").first.locator("a")
    waiting = cases.count()
    assert waiting >= 2
    officer.locator("main table").first.locator("tr", has_text="王医师").first.locator("a").click()
    officer.wait_for_selector("input[name=finding]")
    officer.locator("main button[type=submit]").click()
    officer.wait_for_selector(".error-summary")
    assert officer.locator(".error-summary li").count() == 2 and not flaws(officer)
    photograph(officer, f"privacy-case-{lang}-1280")
    officer.locator("input[name=finding][value=justified]").check()
    officer.fill("#field-words", "患者当时昏迷，符合规定。")
    officer.locator("main button[type=submit]").click()
    officer.wait_for_url("**/desk/privacy?done=judged")
    assert officer.locator("main table").first.locator("a").count() == waiting - 1
    officer.goto("/desk/privacy/log")
    photograph(officer, f"privacy-log-{lang}-1280")
    assert not flaws(officer)
    patient.goto("/me/access")
    assert "患者当时昏迷，符合规定。" in patient.locator("main").inner_text()
    photograph(patient, f"privacy-answered-{lang}-390")
