"""The portal's part of Azure's how-to on just-in-time access: each numbered line is a test.

A class is one of its procedures, done from beginning to end in one window, in English and in
French; its tests are the lines, in their order, and each goes on where the one before ended.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, StorageState, expect

from tests.e2e.portal.portal_world import LANGUAGES, World
from tests.e2e.portal.steps import Steps, following

pytestmark = pytest.mark.root


@pytest.fixture(scope="class", params=LANGUAGES)
def steps(
    request: pytest.FixtureRequest,
    world: World,
    browser: Browser,
    signed_in: dict[str, StorageState],
) -> Iterator[Steps]:
    with following(world, browser, signed_in, request.param) as found:
        yield found


class TestEnableOnTheJustInTimePage:
    def test_1_the_page_shows_the_machines_under_three_tabs(self, steps: Steps) -> None:
        steps.open_jit()
        tabs = steps.page.locator("nav.tabs a")
        for tab, name in zip(
            tabs.all(), ("Configured", "Not configured", "Unsupported"), strict=True
        ):
            expect(tab).to_contain_text(steps.say(name))
        columns = ("Approved requests (7 days)", "Last access", "Connection details", "Last user")
        for name in columns:
            expect(steps.page.get_by_role("columnheader", name=steps.say(name))).to_be_visible()
        expect(steps.row("web-1")).to_be_visible()
        steps.tab("Unsupported")
        expect(steps.row("legacy-1")).to_contain_text("legacy-1 ")

    def test_2_ticked_machines_are_enabled_with_the_recommended_ports(self, steps: Steps) -> None:
        steps.tab("Not configured")
        steps.tick("db-1")
        steps.button("Enable JIT on 1 VM").click()
        expect(steps.pane.get_by_role("heading", level=1)).to_contain_text(
            steps.say("JIT VM access configuration")
        )
        for port, service in ((22, "SSH"), (3389, "RDP"), (5985, "WinRM"), (5986, "WinRM")):
            expect(steps.pane).to_contain_text(str(port))
            expect(steps.pane).to_contain_text(service)
