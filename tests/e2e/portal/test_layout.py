"""What all pages have in common: language, theme, keyboard, the live stream; with and without a script."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.portal.portal_world import Visitors, World

pytestmark = pytest.mark.root


def test_language_and_theme_are_kept(visit: Visitors) -> None:
    """What was chosen here wins over what browser and system ask for."""
    page = visit("owner", "en", "light")
    page.goto("/portal")
    html = page.locator("html")
    expect(html).to_have_attribute("lang", "en")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    for choice in ("Français", "Sombre"):
        page.locator(".menu.look > summary").click()
        page.get_by_role("button", name=choice).click()
        page.wait_for_load_state()
    expect(html).to_have_attribute("lang", "fr")
    expect(html).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) != light
    page.goto("/portal")
    expect(html).to_have_attribute("lang", "fr")
    expect(html).to_have_attribute("data-theme", "dark")


def test_the_system_s_theme_is_followed(visit: Visitors) -> None:
    page = visit("owner", theme="dark")
    page.goto("/portal")
    expect(page.locator("html")).to_have_attribute("data-theme", "system")
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.emulate_media(color_scheme="light")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != dark


def test_the_keyboard_reaches_everything(visit: Visitors) -> None:
    """First Tab: past the navigation. A slash: to the search. Escape: out of a menu, and back."""
    page = visit()
    page.goto("/portal")
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox").first).to_be_focused()
    menu = page.locator(".menu.who > summary")
    menu.press("Enter")
    expect(page.locator(".menu.who .sheet")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".menu.who .sheet")).to_be_hidden()
    expect(menu).to_be_focused()


def test_a_page_follows_the_server_through_a_restart(visit: Visitors, world: World) -> None:
    """It says that it is cut off, then that it is not, and nobody has to reload it."""
    page = visit()
    page.goto("/portal")
    offline = page.locator("#offline")
    expect(offline).to_be_hidden()
    page.wait_for_timeout(300)  # the stream has begun
    world.lab.kill(world.lab.info()["pids"]["server"])
    expect(offline).to_be_visible()
    expect(offline).to_be_hidden(timeout=30_000)
    visit.complaints.clear()  # the browser's own word for a connection that was lost


def test_without_a_script_it_is_read_and_set(visit: Visitors) -> None:
    page = visit(java_script_enabled=False)
    page.goto("/portal")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("#offline")).to_be_hidden()
    page.locator(".menu.look > summary").click()
    page.get_by_role("button", name="Français").click()
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    page.locator("nav.side a").nth(1).click()
    expect(page).to_have_url("https://server:8443/portal/jit")
