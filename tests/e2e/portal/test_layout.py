"""What all pages have in common: language, theme, keyboard, the live stream; with and without a script."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, Route, expect

from bascule.clocks import SystemClock
from bascule.words import Words
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


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_long_badge_stays_on_its_card(visit: Visitors, language: str) -> None:
    """As when agents are away: what a card is red for is read in full."""
    page = visit("owner", language)
    page.goto("/portal")
    badge = page.locator("a.card[href='/portal/points'] .badge")
    said = Words(language).ngettext(
        "{n} away or enforcing nothing", "{n} away or enforcing nothing", 1000
    )
    badge.evaluate("(each, said) => each.lastChild.textContent = said", said)
    sides = "(each) => [each, each.closest('.card')].map((it) => it.getBoundingClientRect().right)"
    badge_ends, card_ends = badge.evaluate(sides)
    assert badge_ends < card_ends


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


# -- a stream that is held in the test's hand, and a clock ----------------------------------------

STREAM = """
window.streams = [];
window.EventSource = class extends EventTarget {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 0;
  constructor() { super(); window.streams.push(this); }
  close() { this.readyState = 2; }
  say(name) { this.readyState = 1; this.dispatchEvent(new Event(name)); }
};
AbortSignal.timeout = (span) => {
  const held = new AbortController();
  window.giveUp = () => held.abort();
  window.giveUpAfter = span;
  return held.signal;
};
"""
HOUR = timedelta(hours=1)


def streaming(visit: Visitors, path: str = "/portal/points") -> Page:
    """A page whose stream has begun and says what ``say`` says; its clock can be moved."""
    page = visit()
    page.clock.install()
    page.add_init_script(STREAM)
    page.goto(path)
    page.wait_for_function("() => window.streams.length === 1")  # this tab leads
    page.evaluate("window.isTheSame = true")
    say(page, "hello")
    return page


def say(page: Page, name: str) -> None:
    page.evaluate("name => window.streams.at(-1).say(name)", name)


def refreshes(page: Page, answer: Callable[[Route], None]) -> None:
    """Answer so what the page fetches by itself from now on."""
    page.unroute_all()
    page.route(
        "**/portal/*",
        lambda route: (
            answer(route) if "bascule-refresh" in route.request.headers else route.fallback()
        ),
    )


def test_a_silent_stream_is_said_and_begun_again(visit: Visitors) -> None:
    """A server whose host lost its power closes no connection, and says no beat."""
    page = streaming(visit)
    offline = page.locator("#offline")
    for _ in range(3):
        page.clock.run_for(20_000)
        expect(offline).to_be_hidden()
        assert page.evaluate("window.streams.length") == 1
        say(page, "beat")
    page.clock.run_for(50_000)
    expect(offline).to_be_visible()
    assert page.evaluate("window.streams.map((each) => each.readyState)") == [2, 0]
    page.clock.run_for(50_000)
    assert page.evaluate("window.streams.length") == 3, "it is tried again until it is heard"
    say(page, "hello")
    expect(offline).to_be_hidden()


def test_a_timer_that_was_held_back_calls_no_beat_silence(visit: Visitors) -> None:
    """A tab in the background, a computer that slept: what came meanwhile is heard first."""
    page = streaming(visit)
    offline = page.locator("#offline")
    page.clock.pause_at(SystemClock().now() + HOUR)
    expect(offline).to_be_hidden()
    say(page, "beat")
    page.clock.run_for(3000)
    expect(offline).to_be_hidden()
    page.clock.pause_at(SystemClock().now() + 2 * HOUR)
    page.clock.run_for(3000)
    expect(offline).to_be_visible()


def test_a_page_that_cannot_be_asked_anew_says_so(visit: Visitors) -> None:
    """A failure of the server, and no answer at all; a beat asks again."""
    page = streaming(visit)
    offline = page.locator("#offline")
    unanswered: list[Route] = []
    refreshes(page, lambda route: route.fulfill(status=500, body="<p>It failed"))
    say(page, "change")
    expect(offline).to_be_visible()
    refreshes(page, unanswered.append)
    say(page, "beat")
    page.wait_for_function("() => window.giveUpAfter === 15000")
    page.evaluate("() => window.giveUp()")
    expect(offline).to_be_visible()
    page.unroute_all()
    say(page, "beat")
    expect(offline).to_be_hidden()
    assert page.evaluate("window.isTheSame")


@pytest.mark.parametrize("status", [403, 404])
def test_a_page_that_is_not_the_reader_s_any_more_goes(visit: Visitors, status: int) -> None:
    page = streaming(visit)
    refreshes(page, lambda route: route.fulfill(status=status, body="<p>No"))
    say(page, "change")
    page.wait_for_function("() => !window.isTheSame")


def test_times_go_on_and_follow_the_server_s_clock(visit: Visitors) -> None:
    """Without a change nothing is fetched; a computer's clock may be wrong, and be set."""
    page = streaming(visit)
    heard = page.locator('time[data-form="relative"]').first
    expect(heard).to_have_text(re.compile("second|now"))
    page.clock.run_for(5 * 60_000 + 30_000)
    expect(heard).to_have_text(re.compile("[56] minutes ago"))
    page.clock.set_system_time(SystemClock().now() + 3 * HOUR)
    page.clock.run_for(2000)
    expect(heard).to_have_text(re.compile("hours ago"))
    say(page, "change")
    expect(heard).not_to_have_text(re.compile("hours"))
    page.clock.set_system_time(SystemClock().now())
    page.clock.run_for(2000)
    expect(heard).to_have_text(re.compile("in [23] hours"))
    page.locator('nav.side a[href="/portal/open"]').click()
    expect(page).to_have_url(re.compile("/portal/open$"))
    page.locator('nav.side a[href="/portal/points"]').click()
    expect(page).to_have_url(re.compile("/portal/points$"))
    expect(heard).not_to_have_text(re.compile("hours"))
    assert page.evaluate("window.isTheSame")
