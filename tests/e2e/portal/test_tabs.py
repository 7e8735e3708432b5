"""Many tabs of one browser: they share one stream, and each shows what changes."""

from __future__ import annotations

import re
import time
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, Request, expect

from bascule.client.access import PortRequest
from tests.e2e.portal import scene
from tests.e2e.portal.portal_world import PATIENCE, Visitors, World, sign_in

pytestmark = pytest.mark.root

TRIES = 10  # of loading a page while nothing changes
TABS = 8  # HTTP/1.1 gives a browser six connections to one server


class Asking:
    """The requests that all pages of a context make, by path, until they are forgotten."""

    def __init__(self, page: Page) -> None:
        self._paths: list[str] = []
        page.context.on("request", self._note)

    def _note(self, request: Request) -> None:
        self._paths.append(request.url.partition("?")[0].partition(":8443")[2])

    def count(self, path: str) -> int:
        return self._paths.count(path)

    def await_count(self, page: Page, path: str, count: int) -> None:
        """While Playwright tells what it has seen, which it does as it waits."""
        deadline = time.monotonic() + PATIENCE / 1000
        while self.count(path) < count and time.monotonic() < deadline:
            page.wait_for_timeout(50)
        assert self.count(path) == count

    def forget(self) -> None:
        self._paths.clear()


def grant_of(page: Page) -> Locator:
    return page.locator("main tbody tr").filter(has_text="web-1")


def open_web_1(world: World) -> None:
    asked = PortRequest(22, timedelta(minutes=10), None, world.address("client"))
    scene.ask(world, world.connection, "web-1", asked)


def test_eight_tabs_share_one_stream(visit: Visitors, fresh: World) -> None:
    """The seventh page would wait for ever if each tab held a connection of its own; when the
    tab that holds the stream goes, another takes it over.
    """
    first = visit("reader")
    asking = Asking(first)
    tabs = [first, *(first.context.new_page() for _ in range(TABS - 1))]
    for tab in tabs:
        tab.goto("/portal/open")
        expect(grant_of(tab)).to_have_count(0)
    assert asking.count("/portal/live") == 1
    open_web_1(fresh)
    for tab in tabs:
        expect(grant_of(tab)).to_have_count(1)
    assert asking.count("/portal/live") == 1
    first.close()
    asking.await_count(tabs[1], "/portal/live", 2)
    fresh.reset()
    for tab in tabs[1:]:
        expect(grant_of(tab)).to_have_count(0)
    assert asking.count("/portal/live") == 2


def test_a_tab_that_holds_the_lock_and_says_nothing_is_replaced(
    visit: Visitors, fresh: World
) -> None:
    """A tab that hangs would leave all the others without hints."""
    hanging = visit("reader")
    hanging.goto("/signin/you")
    hanging.evaluate(
        "() => { navigator.locks.request('bascule-live', () => new Promise(() => {})).catch(() => {}); }"
    )
    asking = Asking(hanging)
    tab = hanging.context.new_page()
    tab.clock.install()
    tab.goto("/portal/open")
    expect(grant_of(tab)).to_have_count(0)
    tab.clock.run_for(50_000)
    assert asking.count("/portal/live") == 0
    tab.clock.run_for(20_000)
    open_web_1(fresh)
    expect(grant_of(tab)).to_have_count(1)
    assert asking.count("/portal/live") == 1


def test_a_browser_without_locks_listens_in_the_tab(visit: Visitors, fresh: World) -> None:
    page = visit("reader")
    page.add_init_script("delete window.BroadcastChannel")
    page.goto("/portal/open")
    expect(grant_of(page)).to_have_count(0)
    open_web_1(fresh)
    expect(grant_of(page)).to_have_count(1)


def test_a_page_that_was_just_loaded_is_not_fetched_again(
    visit: Visitors, furnished: World
) -> None:
    """The stream's first word was taken for news: each page came twice."""
    page = visit("owner")
    asking = Asking(page)
    for path in ("/portal/open", "/portal/exposure", "/portal/jit"):
        for _ in range(TRIES):
            made, told = load_and_listen(page, asking, path)
            if told == made:
                break
        else:
            pytest.fail(f"{path}: the world changed while it was loaded, {TRIES} times in a row")
        assert asking.count(path) == 1, path


def load_and_listen(page: Page, asking: Asking, path: str) -> tuple[str, str]:
    """The mark that the page was made at, and the last one that the stream has told since. They
    differ when something did change: an agent's report may come at any time.
    """
    asking.forget()
    response = page.goto(path)
    assert response is not None
    made = re.search(r'data-changes="([^"]*)"', response.text())
    assert made is not None
    asking.await_count(page, "/portal/live", 1)
    page.wait_for_function("() => isOpen")
    page.wait_for_timeout(500)
    return made[1], page.evaluate("() => told")


def test_a_session_that_ends_takes_no_form_away(visit: Visitors, fresh: World) -> None:
    """Signing out in one tab used to reload all others, and with them what was being filled in."""
    page = visit("")
    sign_in(page, "owner", fresh.passwords["owner"])
    page.goto("/portal/jit")
    page.get_by_label("Select web-1", exact=True).check()
    page.get_by_role("button", name="Request access").click()
    pane = page.locator("#pane[open]")
    pane.get_by_label("Justification").fill("what I was about to say")
    idle = page.context.new_page()
    idle.goto("/portal/open")
    other = page.context.new_page()
    other.goto("/signin/you")
    other.get_by_role("button", name="Sign out here", exact=True).click()
    idle.wait_for_url("**/signin?next=%2Fportal%2Fopen")
    expect(pane.get_by_text("Your session has ended.")).to_be_visible()
    pane.get_by_role("button", name="Open ports").click()
    page.wait_for_url("**/signin?next=%2Fportal%2Fkept")
    page.locator("#name").fill("owner")
    page.locator("#password").fill(fresh.passwords["owner"])
    page.locator("button.primary").click()
    expect(page.locator("main")).to_contain_text("nothing was done")
    expect(page.get_by_label("Justification")).to_have_value("what I was about to say")
    assert fresh.live_grants() == []
    page.get_by_role("button", name="Open ports").click()
    page.wait_for_url("**/portal/requests/*")
    assert len(fresh.live_grants()) == 1
