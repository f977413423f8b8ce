"""Take the tutorial's pictures from a running demo: python scripts/tutorial_pictures.py [http://127.0.0.1:8080].

Run it after pages change, and look at what it took.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "tutorial" / "pictures"
PASSWORD = "xinglin-demo"
ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"]
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}

# name, login, viewport, language, address (or a link's text to follow from there)
SHOTS = (
    ("patient-home", "patient", PHONE, "zh-Hans", "/me"),
    ("patient-record", "patient", PHONE, "en", "/me/record"),
    ("patient-trend", "patient", PHONE, "zh-Hans", "/me/trends/85354-9"),
    ("patient-sharing", "patient", PHONE, "en", "/me/sharing"),
    ("patient-access", "patient", PHONE, "zh-Hans", "/me/access"),
    ("clinician-find", "clinician", DESK, "zh-Hans", "/desk?q=li"),
    ("clinician-chart", "clinician", DESK, "en", "/desk?q=lishiliang -> first"),
    ("clerk-duplicates", "clerk", DESK, "zh-Hans", "/desk/duplicates"),
    ("manager", "manager", DESK, "en", "/desk/institution"),
)


def sign_in(page: Any, base: str, login: str) -> None:
    page.goto(base + "/sign-in")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", PASSWORD)
    page.click("main button[type=submit]")
    page.wait_for_load_state()


def main() -> None:
    base = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=ARGUMENTS)
        for name, login, viewport, language, address in SHOTS:
            context = browser.new_context(viewport=viewport, locale=language)
            page = context.new_page()
            sign_in(page, base, login)
            place, _, follow = address.partition(" -> ")
            joint = "&" if "?" in place else "?"
            page.goto(f"{base}{place}{joint}lang={language}")
            if follow:
                page.locator("main a[href^='/desk/people/']").first.click()
                page.wait_for_load_state()
            page.wait_for_timeout(400)
            page.screenshot(path=str(FOLDER / f"{name}.png"))
            print(name, page.url)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
