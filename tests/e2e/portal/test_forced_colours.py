"""Forced colours (high contrast): every background is the same, and what it said is still said."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page

from tests.e2e.portal.accessibility import COLOURS, violations
from tests.e2e.portal.pages import PAGES, Shown
from tests.e2e.portal.portal_world import Visitors, World

pytestmark = pytest.mark.root

BY_NAME = {each.name: each for each in PAGES}
SEEN = ("overview", "jit-configured", "request-access", "machine-overview", "activity", "account")


def forced(visit: Visitors, shown: Shown, world: World, theme: str = "light") -> Page:
    page = visit(shown.person, theme=theme, forced_colors="active")
    page.goto(shown.path(world))
    return page


def style(of: Locator, name: str) -> str:
    return str(of.evaluate("(each, name) => getComputedStyle(each).getPropertyValue(name)", name))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_switch_says_whether_it_is_on(visit: Visitors, furnished: World, theme: str) -> None:
    """By the browser's own pixels: on and off are two pictures, and not by the knob alone."""
    page = forced(visit, BY_NAME["request-access"], furnished, theme)
    switch = page.locator("input[role=switch]").first
    switch.set_checked(False)
    off = style(switch, "background-color")
    page.mouse.move(0, 0)
    picture = switch.screenshot(animations="disabled")
    switch.set_checked(True)
    page.mouse.move(0, 0)
    assert style(switch, "background-color") != off
    assert switch.screenshot(animations="disabled") != picture


def test_a_legend_shows_its_colours(visit: Visitors, furnished: World) -> None:
    page = forced(visit, BY_NAME["machine-overview"], furnished)
    keys = page.locator(".key")
    canvas = style(page.locator("body"), "background-color")
    assert keys.count() > 1
    colours = [style(each, "background-color") for each in keys.all()]
    assert canvas not in colours
    assert len(set(colours)) > 1


def test_the_search_has_a_border_and_the_current_tab_is_another(
    visit: Visitors, furnished: World
) -> None:
    page = forced(visit, BY_NAME["jit-configured"], furnished)
    assert style(page.locator(".top .search"), "border-top-width") != "0px"
    tabs = page.locator("nav.tabs a")
    lines = [style(each, "border-bottom-color") for each in tabs.all()]
    assert lines.count(lines[0]) == 1, lines


@pytest.mark.parametrize("name", SEEN)
def test_axe(visit: Visitors, furnished: World, name: str) -> None:
    """axe-core reads contrast from colours that are not drawn then; its other rules hold."""
    page = forced(visit, BY_NAME[name], furnished)
    found = [each for each in violations(page) if not each.startswith(COLOURS)]
    assert not found, "\n".join(found)
