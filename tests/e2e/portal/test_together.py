"""Two people at their browsers: what one does, the other sees within a second, without a reload."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from bascule.client.access import PortRequest
from tests.e2e.portal import scene
from tests.e2e.portal.portal_world import PATIENCE, Visitors, World

pytestmark = [pytest.mark.root, pytest.mark.leak]

SECONDS = 1.0


def seconds_until_seen(page: Page, is_there: Locator, *, is_open: bool) -> float:
    """Without a reload: the page that was loaded is the page that shows it."""
    began_at = time.monotonic()
    while is_there.count() != (1 if is_open else 0):
        assert time.monotonic() - began_at < PATIENCE / 1000
        page.wait_for_timeout(20)
    took = time.monotonic() - began_at
    assert page.evaluate("window.isTheSame")
    return took


def test_one_opens_and_closes_the_other_sees_it(visit: Visitors, fresh: World) -> None:
    """Counted from when the one was told that it is done; a busy machine may try again."""
    watching = visit("reader", "fr")
    watching.goto("/portal/open")
    watching.evaluate("window.isTheSame = true")
    grant = watching.locator("main tbody tr").filter(has_text="web-1")
    expect(grant).to_have_count(0)
    acting = visit("owner")
    opened: list[float] = []
    closed: list[float] = []
    for _ in range(3):
        acting.goto("/portal/machines/default/web-1/connect")
        acting.get_by_role("button", name="Request access").click()
        expect(acting.locator("main")).to_contain_text("Open for you")
        opened.append(seconds_until_seen(watching, grant, is_open=True))
        assert fresh.lab.reaches("client", "web-1")
        acting.get_by_role("link", name="The request").click()
        acting.get_by_role("button", name="Close now").click()
        expect(acting.locator("main")).to_contain_text("Ended")
        closed.append(seconds_until_seen(watching, grant, is_open=False))
        assert not fresh.lab.reaches("client", "web-1")
        if max(min(opened), min(closed)) < SECONDS:
            break
    assert min(opened) < SECONDS
    assert min(closed) < SECONDS


def _open(world: World) -> None:
    asked = PortRequest(22, timedelta(minutes=10), None, world.address("client"))
    scene.ask(world, world.connection, "web-1", asked)


HOLD_ONE_ANSWER = """
window.heard = 0;
document.addEventListener("bascule:change", () => { window.heard += 1; });
const real = window.fetch;
window.fetch = async (...asked) => {
  const answer = await real(...asked);
  if (String(asked[0]).endsWith("/portal/open") && !window.pass) {
    await new Promise((pass) => { window.pass = pass; });
  }
  return answer;
};
"""


def test_a_page_shows_what_changed_before_it_could_hear(visit: Visitors, fresh: World) -> None:
    """Between a page's making and its stream's beginning nobody is told of a change."""
    watching = visit("reader")
    waiting: list[Route] = []

    def hold(route: Route) -> None:
        waiting.append(route)

    watching.route("**/portal/live", hold)
    watching.goto("/portal/open")
    grant = watching.locator("main tbody tr").filter(has_text="web-1")
    expect(grant).to_have_count(0)
    _open(fresh)
    assert waiting
    watching.wait_for_timeout(2000)  # until all that the opening brings about has been said
    waiting[0].continue_()
    expect(grant).to_have_count(1, timeout=5000)


def test_a_page_shows_what_changed_while_it_was_on_its_way(visit: Visitors, fresh: World) -> None:
    """It was made before the change, and comes to a browser that has heard of it already."""
    watching = visit("reader")
    watching.goto("/portal/activity")
    watching.evaluate(HOLD_ONE_ANSWER)
    watching.locator('nav.side a[href="/portal/open"]').click()
    watching.wait_for_function("() => Boolean(window.pass)")
    before = watching.evaluate("window.heard")
    _open(fresh)
    watching.wait_for_function("before => window.heard > before", arg=before)
    watching.wait_for_timeout(2000)
    watching.evaluate("() => window.pass()")
    grant = watching.locator("main tbody tr").filter(has_text="web-1")
    expect(grant).to_have_count(1, timeout=5000)
    assert watching.evaluate("window.heard"), "it is the page that was loaded"
