"""Every component, in both languages and both widths, in a real browser: axe finds nothing serious, nothing overflows.

Screenshots for looking at are written to the folder XINGLIN_SCREENSHOTS names.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from browsing import AXE, AXE_RUN, OVERFLOW
from xinglin.ui import gallery

VIEWS = [
    ("phone", 320, "standard"),
    ("phone", 320, "elder"),
    ("desk", 320, "standard"),
    ("desk", 1280, "standard"),
]
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The gallery on a free port of this machine, in a process of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "granian", "--interface", "asgi", "--factory", "--port", str(port)]
    server = subprocess.Popen([*command, "--log-level", "warning", "xinglin.ui.gallery:gallery"])
    try:
        _wait_for(port)
        yield f"http://127.0.0.1:{port}/gallery"
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int) -> None:
    for _attempt in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the gallery did not start within 10 s")


def _open(browser, address: str, name: str, view: tuple[str, int, str], lang: str):
    density, width, mode = view
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    refused: list[str] = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: refused.append(str(error)))
    page.goto(f"{address}/{name}?density={density}&lang={lang}&view={mode}")
    return context, page, refused


@pytest.mark.parametrize("lang", ["zh-Hans", "en"])
@pytest.mark.parametrize("name", gallery.names())
def test_component(browser, address: str, name: str, lang: str) -> None:
    wrong: list[str] = []
    context, page, refused = _open(browser, address, name, VIEWS[0], lang)
    for density, width, mode in VIEWS:
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{address}/{name}?density={density}&lang={lang}&view={mode}")
        _show_whole(page, width)
        _photograph(page, f"{name}-{lang}-{density}-{width}-{mode}")
        overflow = page.evaluate(OVERFLOW)
        page.evaluate(AXE.read_text())
        wrong += [f"{density} {width} {mode}: {found}" for found in [*page.evaluate(AXE_RUN), *overflow]]
    context.close()
    assert not wrong + refused, "\n".join(wrong + refused)


def _show_whole(page, width: int) -> None:
    """A window as tall as the page, since axe counts what lies under the menu at the bottom as too small to touch."""
    page.set_viewport_size({"width": width, "height": page.evaluate("document.body.scrollHeight") + 1})


def _photograph(page, name: str) -> None:
    folder = os.environ.get("XINGLIN_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_error_summary_takes_focus(browser, address: str) -> None:
    context, page, _refused = _open(browser, address, "form", VIEWS[0], "en")
    assert page.evaluate("document.activeElement.className") == "error-summary"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id").startswith("field-")
    context.close()


def test_elder_view_has_large_text_and_targets(browser, address: str) -> None:
    context, page, _refused = _open(browser, address, "consent", ("phone", 320, "elder"), "zh-Hans")
    smallest = page.evaluate("""() => Math.min(...[...document.querySelectorAll('body *')]
        .filter(e => e.childNodes.length && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
            && !e.closest('.visually-hidden'))
        .map(e => parseFloat(getComputedStyle(e).fontSize)))""")
    targets = page.evaluate("""() => [...document.querySelectorAll('button, .site-nav a, .switch-link, .brand')]
        .map(e => e.getBoundingClientRect().height)""")
    assert smallest >= 18
    assert min(targets) >= 60
    context.close()


def test_chart_is_drawn_and_the_table_remains_without_javascript(browser, address: str) -> None:
    context, page, _refused = _open(browser, address, "trend", VIEWS[0], "en")
    assert page.locator(".trend__chart canvas").count() == 2
    assert page.locator(".trend__data[open]").count() == 0
    context.close()
    plain = browser.new_context(java_script_enabled=False)
    page = plain.new_page()
    page.goto(f"{address}/trend?lang=en")
    assert page.locator(".trend__data[open]").count() == 2
    assert page.locator(".trend__chart:visible").count() == 0
    plain.close()


def test_preferences_outlast_the_link(browser, address: str) -> None:
    context, page, _refused = _open(browser, address, "button", ("phone", 1280, "elder"), "en")
    page.goto(f"{address}/notice")
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("html").get_attribute("data-view") == "elder"
    page.get_by_role("link", name="中文").click()
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    context.close()
