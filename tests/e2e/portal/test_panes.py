"""Pages that open in the pane: axe-core finds nothing there either, and nothing is cut."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.portal.accessibility import overflow, violations
from tests.e2e.portal.pages import PAGES
from tests.e2e.portal.portal_world import Visitors, World

pytestmark = pytest.mark.root

PLACES = (  # the page, and what is pressed on it: a pane opens
    ("jit-configured", "/portal/jit/request?"),
    ("jit-configured", "/portal/jit/configure?"),
    ("jit-configured", "/portal/jit/remove?"),
    ("machines", "/portal/machines/add"),
    ("access", "/portal/access/assignments/add"),
    ("access-users", "/portal/access/users/add"),
)
BY_NAME = {each.name: each for each in PAGES}


def open_pane(page: Page, link: str) -> None:
    """The first link of the page that leads there; one in a menu is shown first."""
    there = page.locator(f"[hx-get^='{link}'][data-pane]").first
    menu = page.locator("details").filter(has=there)
    if menu.count():
        menu.first.locator("summary").first.click()
    there.click()
    expect(page.locator(".pane[open] .pane-body")).to_be_visible()
    page.wait_for_timeout(300)  # it slides in


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize(("name", "link"), PLACES, ids=lambda each: each.strip("/?"))
def test_pane(visit: Visitors, furnished: World, name: str, link: str, language: str) -> None:
    found: list[str] = []
    for theme, width in (("light", 1280), ("dark", 400)):
        page = visit(BY_NAME[name].person, language, theme, width)
        page.goto(BY_NAME[name].path(furnished))
        open_pane(page, link)
        found += [f"{theme}: {each}" for each in violations(page)]
        if sticks_out := overflow(page):
            found.append(f"{width} px: {sticks_out}")
        page.context.close()
    assert not found, "\n".join(found)
