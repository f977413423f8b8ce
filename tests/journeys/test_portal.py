"""A patient's way through their pages, in a real browser, on the demo county."""

from __future__ import annotations

import re
from typing import Any

import pytest

from browsing import Served, flaws, photograph, sign_in
from xinglin.access import emergencies, sharing
from xinglin.access.house import House
from xinglin.access.principal import NODE, Principal, Purpose, Role
from xinglin.access.records import Records, Write
from xinglin.core.schema.decode import parse

pytestmark = pytest.mark.browser

PAGES = (
    "/me", "/me/record", "/me/trends", "/me/trends?kind=vitals", "/me/trends/85354-9", "/me/medicines",
    "/me/allergies", "/me/immunizations", "/me/sharing", "/me/sharing/give", "/me/access?who=all", "/me/print",
    "/me/settings",
)  # fmt: skip
DOCTOR = Principal("clinician", "沈志远", Role.CLINICIAN, Purpose.TREATMENT, "hx-hospital", "hx-s01")


async def _patient_at(house: House, login: str) -> str:
    async with house.database.connection() as connection:
        return str(await connection.fetchval("SELECT patient FROM account WHERE login = $1", login))


def doctor_of(patient: str) -> Principal:
    """A physician of the institution that holds this Patient."""
    if patient.startswith("hx"):
        return DOCTOR
    prefix = patient.partition("-")[0]
    house = {"tc": "tc-hospital", "qn": "qn-centre", "jj": "jj-centre"}[prefix]
    return Principal("other", "华济生", Role.CLINICIAN, Purpose.TREATMENT, house, f"{prefix}-s02")


@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
@pytest.mark.parametrize("width", [320, 1280])
def test_every_page_is_sound_in_both_languages(visit: Any, lang: str, width: int) -> None:
    page = visit("patient", width=width, lang=lang)
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    for path in PAGES:
        assert page.goto(path).status == 200, path
        assert page.locator("html").get_attribute("lang") == lang
        photograph(page, f"portal{path.replace('/', '-').replace('?', '-')}-{lang}-{width}")
        wrong += [f"{path}: {flaw}" for flaw in flaws(page)]
        if lang == "en" and path in ("/me/sharing", "/me/sharing/give", "/me/settings"):
            own = page.locator("main").inner_text().replace("简体中文", "")
            assert not re.search("[\u4e00-\u9fff]", own), f"{path} holds Chinese on an English page"
    assert not wrong, "\n".join(wrong)


def test_elder_view_holds_on_the_pages(visit: Any) -> None:
    page = visit("patient", width=320)
    page.goto("/me/sharing/give?view=elder")
    assert not flaws(page)
    page.goto("/me")
    assert page.locator("html").get_attribute("data-view") == "elder"
    assert not flaws(page)


def test_wrong_passwords_come_to_a_wait_that_says_how_long(visit: Any) -> None:
    page = visit(width=320)
    for _attempt in range(7):
        sign_in(page, "obstetrics", "not the password")
        assert "登录名或密码不正确" in page.locator(".error-summary").inner_text() or _attempt >= 5
    assert re.search(r"登录失败次数过多，请等待 \d+ 秒后再试", page.locator(".error-summary").inner_text())
    assert page.evaluate("document.activeElement.className") == "error-summary"
    assert page.input_value("#field-login") == "obstetrics" and page.input_value("#field-password") == ""
    assert not flaws(page)


def test_signing_in_returns_to_the_page_that_was_asked_for(visit: Any) -> None:
    page = visit()
    page.goto("/me/medicines")
    assert "/sign-in" in page.url
    sign_in(page, "patient")
    assert page.url.endswith("/me/medicines")
    page.get_by_role("button", name="退出登录").click()
    assert "已退出登录" in page.locator("main").inner_text()
    page.goto("/me/medicines")
    assert "/sign-in" in page.url


@pytest.mark.parametrize("javascript", [True, False])
def test_the_timeline_is_filtered(visit: Any, javascript: bool) -> None:
    page = visit("patient", lang="en", javascript=javascript)
    page.goto("/me/record")
    before = page.locator(".timeline__entry").count()
    page.select_option("#field-kind", "laboratory")
    if not javascript:  # else htmx swaps the list as soon as a choice is made
        page.get_by_role("button", name="Apply").click()
    page.wait_for_url(re.compile("kind=laboratory"))
    page.locator(".timeline__kind").filter(has_not_text="Laboratory").first.wait_for(state="detached")
    kinds = page.locator(".timeline__kind").all_inner_texts()
    assert kinds and set(kinds) == {"Laboratory"} and before >= len(kinds)
    page.locator(".timeline__title a").first.click()
    assert page.locator(".table tbody tr").count() >= 1
    assert page.locator("h1").inner_text()


def test_pages_of_the_timeline_follow_one_another(visit: Any) -> None:
    page = visit("patient", lang="en")
    page.goto("/me/record")
    first = page.locator(".timeline__entry").all_inner_texts()
    page.get_by_role("link", name="Next").click()
    second = page.locator(".timeline__entry").all_inner_texts()
    assert len(first) == 25 and second and first != second
    assert "page 2 of" in page.locator(".pagination").inner_text()


def test_a_trend_is_drawn_and_its_table_remains_without_javascript(visit: Any) -> None:
    page = visit("patient", lang="en")
    page.goto("/me/trends")
    page.locator(".table tbody a").first.click()
    page.wait_for_selector(".trend__chart canvas")
    assert "reference" in page.locator(".trend__note").inner_text()
    plain = visit("patient", lang="en", javascript=False)
    plain.goto(page.url)
    assert plain.locator(".trend__data[open] tbody tr").count() >= 1


def test_consent_is_previewed_given_listed_and_withdrawn(visit: Any, county: Served) -> None:
    page = visit("patient", width=320)
    page.goto("/me/sharing")
    assert "没有向其他机构开放任何内容" in page.locator("main").inner_text()
    page.get_by_role("link", name="新增授权").click()
    page.get_by_role("button", name="下一步").click()
    assert page.locator(".error-summary li").count() == 2  # neither whose records nor who may see them
    assert not flaws(page)
    custodian = page.locator("input[name=custodian]").first
    custodian.check()
    grantee = "township2" if custodian.get_attribute("value") != "jj-centre" else "township"
    institution = {"township2": "jj-centre", "township": "qn-centre"}[grantee]
    page.select_option("#field-grantee", institution)
    page.locator("input[name=categories][value=medications]").uncheck()
    page.get_by_role("button", name="下一步").click()
    sentence, said = page.locator(".confirm p").first.inner_text(), page.locator(".confirm").inner_text()
    assert "可以查看" in sentence and "检验结果" in sentence and "用药" not in sentence
    assert "敏感记录不会开放" in said and "新增可见" in said
    assert not flaws(page)
    page.get_by_role("button", name="确认授权").click()
    assert "授权成功" in page.locator("[role=status].notice").inner_text()
    card = page.locator(".card", has_text="已向其他机构开放")
    assert card.count() == 1 and "检验结果" in card.inner_text()
    assert _types_seen(county, institution) == {"Observation", "Encounter"}
    card.get_by_role("button", name="撤回授权").click()
    assert "已撤回" in page.locator("[role=status].notice").inner_text()
    assert page.locator(".card", has_text="已向其他机构开放").count() == 0
    assert _types_seen(county, institution) == set()


def _types_seen(county: Served, institution: str) -> set[str]:
    """Of laboratory, visits and medicines of the patient: what a physician of the institution may see now."""

    async def look(house: House) -> set[str]:
        patient = await _patient_at(house, "patient")
        mine = Principal("x", "x", Role.CLINICIAN, Purpose.TREATMENT, institution, "nobody")
        everywhere = [link.patient for link in await sharing.linked(Records(house, NODE), patient)]
        seen = set()
        for type in ("Observation", "Encounter", "MedicationRequest"):
            found = await Records(house, mine).search(type, f"subject={','.join(everywhere)}&_count=1")
            seen |= {stored.type for stored in found.matches}
        return seen

    return set(county.behind(look))


def test_a_request_for_consent_is_answered_with_one_press(visit: Any, county: Served) -> None:
    async def ask(house: House) -> None:
        patient = await _patient_at(house, "patient")
        links = await sharing.linked(Records(house, NODE), patient)
        asked = next(link.custodian for link in links if link.patient != patient)
        await sharing.ask(Records(house, doctor_of(patient)), patient, asked, "<b>Please</b> show me")

    county.behind(ask)
    page = visit("patient", lang="en", width=320)
    notice = page.locator(".notice", has_text="asks for your consent")
    assert "<b>Please</b> show me" in notice.inner_text()
    assert not flaws(page)
    photograph(page, "portal-request")
    notice.get_by_role("button", name="Allow").click()
    assert "You have given access" in page.locator("[role=status].notice").inner_text()
    assert page.locator(".notice", has_text="asks for your consent").count() == 0
    page.goto("/me/sharing")
    page.get_by_role("button", name="Withdraw").click()
    assert page.get_by_role("button", name="Withdraw").count() == 0


def test_an_emergency_is_told_seen_and_stays_in_the_list(visit: Any, county: Served) -> None:
    async def break_glass(house: House) -> None:
        patient = await _patient_at(house, "pregnant")
        gate = Records(house, doctor_of(patient))
        await emergencies.break_glass(gate, patient, "unconscious", "急诊 <script>alert(1)</script> 昏迷")
        await Records(house, gate.principal.for_purpose(Purpose.EMERGENCY)).search("Observation", f"subject={patient}")

    county.behind(break_glass)
    page = visit("pregnant", width=320)
    notice = page.locator(".notice--danger")
    assert "紧急情况" in notice.inner_text() and "<script>alert(1)</script>" in notice.inner_text()
    assert not flaws(page)
    photograph(page, "portal-emergency")
    page.get_by_role("button", name="我知道了").click()
    assert page.locator(".notice--danger").count() == 0
    page.goto("/me/access?who=emergency")
    listed = page.locator(".audit").inner_text()
    assert "紧急打开全部病历" in listed and "患者昏迷或无法表达" in listed


def test_the_access_list_says_who_looked_and_keeps_own_visits_apart(visit: Any, county: Served) -> None:
    async def look(house: House) -> str:
        patient = await _patient_at(house, "private")
        gate = Records(house, doctor_of(patient))
        await gate.read("Patient", patient)
        await gate.search("Encounter", f"subject={patient}")
        return gate.principal.name

    doctor = county.behind(look)
    page = visit("private", width=320)
    page.goto("/me/access")
    entries = page.locator(".audit__entry")
    assert entries.count() == 1
    text = entries.first.inner_text()
    assert doctor in text and "医生" in text and "理由：诊疗" in text and "就诊记录" in text
    page.select_option("#field-who", "all")
    page.wait_for_url(re.compile("who=all"))
    assert "本人查询" in page.locator(".audit").inner_text()
    assert not flaws(page)


def test_markup_in_the_record_is_text_on_the_page(visit: Any, county: Served) -> None:
    async def write(house: House) -> None:
        patient = await _patient_at(house, "mother")
        gate = Records(house, NODE)
        stored = await gate.read("Patient", patient)
        resource = parse(stored.body)
        resource["name"] = [{"text": "<img src=x onerror=alert(1)>王"}]
        allergy = {
            "resourceType": "AllergyIntolerance",
            "patient": {"reference": f"Patient/{patient}"},
            "code": {"text": "<script>document.title='broken'</script>"},
        }
        writes = [Write("PUT", "Patient", patient, resource), Write("POST", "AllergyIntolerance", resource=allergy)]
        links = await sharing.linked(gate, patient)
        await gate.write(writes, custodian=next(link.custodian for link in links if link.patient == patient))

    county.behind(write)
    page = visit("mother")
    page.goto("/me/allergies")
    assert "<script>document.title='broken'</script>" in page.locator("main").inner_text()
    page.goto("/me/print")
    assert "<img src=x onerror=alert(1)>王" in page.locator(".patient__name").inner_text()
    assert page.title() != "broken" and page.locator("main img").count() == 0


def test_the_language_is_changed_in_the_settings_and_kept(visit: Any) -> None:
    page = visit("patient")
    page.goto("/me/settings")
    page.get_by_label("English").check()
    page.get_by_role("button", name="保存").click()
    assert page.locator("h1").inner_text() == "Settings"
    page.goto("/me")
    assert page.locator("html").get_attribute("lang") == "en"
