"""The first visit in a browser, on a server of its own: axe-core on each of its steps."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright

from tests.e2e.portal import chromium
from tests.e2e.portal.accessibility import overflow, violations
from tests.wire.running import running

pytestmark = pytest.mark.root

PASSWORD = "four words of mine"


@pytest.fixture
def plain_browser(playwright: Playwright) -> Iterator[Browser]:
    """Outside the lab, where a server of the test's own is."""
    if why := chromium.why_not():
        pytest.skip(why)
    program = shutil.which(chromium.PROGRAM)
    browser = playwright.chromium.launch(
        executable_path=program, args=[*chromium.FLAGS, "--no-sandbox"], timeout=120_000
    )
    yield browser
    browser.close()


@pytest.mark.parametrize(("language", "theme"), [("en-GB", "light"), ("fr-FR", "dark")])
def test_each_step(plain_browser: Browser, tmp_path: Path, language: str, theme: str) -> None:
    found: list[str] = []
    with running(tmp_path) as server:
        link = (tmp_path / "data" / "set-up-link").read_text().split()[0]
        context = plain_browser.new_context(
            base_url=server.endpoint,
            ignore_https_errors=True,  # the test is of pages; others hold the certificate
            locale=language,
            color_scheme="dark" if theme == "dark" else "light",
        )
        page = context.new_page()

        def look(step: str) -> None:
            found.extend(f"{step}: {each}" for each in violations(page))
            for width in (360, 1440):
                page.set_viewport_size({"width": width, "height": 900})
                if sticks_out := overflow(page):
                    found.append(f"{step}, {width} px: {sticks_out}")

        answer = page.goto(link)
        assert answer is not None
        assert answer.status == 200, page.inner_text("main")
        look("who you are")
        page.locator("input[name=name]").fill("anna")
        page.locator("input[name=password]").fill("short")
        page.locator("input[name=again]").fill("short")
        page.locator("main button.primary").click()
        look("refused")
        page.locator("input[name=password]").fill(PASSWORD)
        page.locator("input[name=again]").fill(PASSWORD)
        page.locator("main button.primary").click()
        page.wait_for_url("**/portal/welcome/machine")
        look("the first machine")
        page.locator("input[name=name]").fill("web-1")
        page.locator("input[name=addresses]").fill("192.0.2.7")
        page.locator("main button.primary").click()
        page.locator("#agent").wait_for()
        look("its agent")
        page.goto(link)
        look("over")
        context.close()
    assert not found, "\n".join(found)
