"""Acting for somebody, records elsewhere, and the rules' answers, in a browser: both languages, phone and desk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from browsing import flaws, photograph

PORTAL = ("/me/acting", "/me/acting/ask", "/me/elsewhere")


@pytest.mark.parametrize(("lang", "width"), [("zh-Hans", 390), ("en", 320)])
def test_the_portals_pages_are_sound_and_show_a_code(visit: Callable[..., Any], lang: str, width: int) -> None:
    page = visit("patient", width=width, lang=lang, javascript=True)
    for path in PORTAL:
        page.goto(path)
        assert flaws(page) == [], path
        photograph(page, f"acting-{lang}-{path.rsplit('/', 1)[-1]}")
    page.goto("/me/elsewhere")
    page.locator("form[action='/me/acting/code'] button").click()
    assert page.locator("text=/\\d{4} \\d{4}/").count() == 1
    assert flaws(page) == []


@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
def test_the_manager_asks_the_rules_without_javascript(visit: Callable[..., Any], lang: str) -> None:
    page = visit("manager", lang=lang, javascript=False)
    page.goto("/desk/institution/policy")
    page.fill("#field-login", "clinician")
    page.fill("#field-reference", "PractitionerRole/hx-s01-r")
    page.locator("main button[type=submit]").click()
    assert page.locator("table tbody tr").count() >= 8
    photograph(page, f"policy-{lang}")


def test_the_counters_pages_are_sound(visit: Callable[..., Any]) -> None:
    page = visit("clerk", lang="en")
    for path in ("account", "guardian"):
        page.goto(f"/desk/people/hx-p000007/{path}")
        assert flaws(page) == [], path
        page.locator("main button[type=submit]").last.click()
        assert page.locator(".error-summary").count() == 1
        assert flaws(page) == [], path
