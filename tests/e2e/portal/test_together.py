"""Two people at their browsers: what one does, the other sees within a second, without a reload."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.portal.portal_world import Visitors, World

pytestmark = pytest.mark.root

SECONDS = 1.0


def seen_after(page: Page, text: str, began_at: float) -> float:
    """How long it takes until the page says so."""
    expect(page.locator("main")).to_contain_text(text)
    return time.monotonic() - began_at


def test_one_opens_and_closes_the_other_sees_it(visit: Visitors, fresh: World) -> None:
    """Counted from when the one was told that it is done."""
    watching = visit("reader")
    watching.goto("/portal/open")
    listing = visit("reader", "fr")
    listing.goto("/portal/jit")
    row = listing.locator("tbody tr").filter(has_text="web-1")
    expect(row).to_contain_text("Fermé")
    acting = visit("owner")
    acting.goto("/portal/machines/default/web-1/connect")
    acting.get_by_role("button", name="Request access").click()
    expect(acting.locator("main")).to_contain_text("Open for you")
    opened_at = time.monotonic()
    assert seen_after(watching, "web-1", opened_at) < SECONDS
    expect(row).to_contain_text("Ouvert")
    expect(row).to_contain_text("owner")
    assert time.monotonic() - opened_at < 2 * SECONDS
    assert fresh.lab.reaches("client", "web-1")
