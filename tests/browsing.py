"""What browser tests share: the way to Chromium, signing in, axe, screenshots, and work behind the pages' back."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from xinglin.access.house import House
from xinglin.kernel.config import Settings

PASSWORD = "xinglin-demo"
AXE = Path(__file__).parent / "journeys" / "vendor" / "axe.min.js"
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE_RUN = """async () => (await axe.run(document, {resultTypes: ['violations'], preload: false,
    runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})).violations
    .filter(found => ['serious', 'critical'].includes(found.impact))
    .map(found => found.id + ': ' + found.nodes.map(node => node.html.slice(0, 200)).join(' | '))"""
SETTLED = """async () => {
    await document.fonts.ready;
    do await new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)));
    while (document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling'));
}"""
OVERFLOW = """() => {
    const hides = e => getComputedStyle(e).clipPath !== 'none' || e.matches('svg, .u-wrap');
    const clipped = e => e && (hides(e) || clipped(e.parentElement));
    return [...document.querySelectorAll('body *')]
        .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !clipped(e))
        .map(e => 'overflow: ' + e.tagName + '.' + e.className).slice(0, 5)
        .concat(document.documentElement.scrollWidth > innerWidth ? ['page scrolls sideways'] : []);
}"""


def apart(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass(frozen=True, slots=True)
class Served:
    """A county being served: where, and on which database."""

    base: str
    database_url: str

    def behind(self, act: Callable[[House], Coroutine[Any, Any, Any]]) -> Any:
        """Do something at the gate without a page: `county.behind(lambda house: ...)`."""

        async def acted() -> Any:
            house = await House.open(Settings(), self.database_url, pool_size=2)
            try:
                return await act(house)
            finally:
                await house.close()

        return apart(acted())


def chromium() -> str:
    found = os.environ.get("XINGLIN_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        pytest.skip("Chromium not found: install the package chromium or set XINGLIN_CHROMIUM")
    return found


def sign_in(page: Any, login: str, password: str = PASSWORD) -> None:
    page.fill("#field-login", login)
    page.fill("#field-password", password)
    with page.expect_navigation():  # a busy machine takes its time to check the password
        page.locator("main button[type=submit]").click()
    page.wait_for_load_state()


def flaws(page: Any) -> list[str]:
    """What axe finds serious, and what stands out of the window. The window is made as tall as the page."""
    width = page.viewport_size["width"]
    page.wait_for_load_state("load")  # a page without its fonts and styles yet is wider than it will be
    page.evaluate(SETTLED)
    page.set_viewport_size({"width": width, "height": page.evaluate("document.body.scrollHeight") + 1})
    overflow = page.evaluate(OVERFLOW)
    page.evaluate(AXE.read_text())
    found = [*page.evaluate(AXE_RUN), *overflow]
    page.set_viewport_size({"width": width, "height": 800})
    return found


def photograph(page: Any, name: str) -> None:
    """Into the folder that XINGLIN_SCREENSHOTS names, for looking at."""
    folder = os.environ.get("XINGLIN_SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
