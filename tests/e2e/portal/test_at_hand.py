"""How the pane and its forms behave under the hand: focus, going back, a slow line, two clicks."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.portal.portal_world import Visitors, World

pytestmark = pytest.mark.root

IS_FOCUS_INSIDE = "pane => pane.contains(document.activeElement)"
HIDDEN_BY_FOOT = """pane => {
  const field = document.activeElement.getBoundingClientRect();
  if (document.activeElement.closest(".pane-foot, .pane-head")) return "";
  if (document.activeElement.contains(pane.querySelector(".pane-foot"))) return "";
  const foot = pane.querySelector(".pane-foot").getBoundingClientRect();
  const head = pane.querySelector(".pane-head").getBoundingClientRect();
  if (field.bottom > foot.top + 1) return `${document.activeElement.name} behind the foot`;
  return field.top < head.bottom - 1 ? `${document.activeElement.name} behind the head` : "";
}"""


def pane_of(page: Page) -> Locator:
    return page.locator("#pane[open]")


def open_configuration(page: Page) -> Locator:
    """From the list, where a machine is ticked."""
    page.goto("/portal/jit")
    page.get_by_label("Select web-1", exact=True).check()
    row = page.locator("tbody tr").filter(has_text="web-1").first
    row.get_by_label("More actions").click()
    row.get_by_role("link", name="Edit", exact=True).click()
    expect(pane_of(page)).to_be_visible()
    return pane_of(page)


@pytest.mark.usefixtures("fresh")
def test_going_back_closes_the_pane_and_stays_on_the_page(visit: Visitors) -> None:
    page = visit("owner")
    page.goto("/portal/open")
    pane = open_configuration(page)
    page.evaluate("window.isTheSame = true")
    page.go_back()
    expect(pane).to_be_hidden()
    assert page.evaluate("window.isTheSame")
    assert page.url.endswith("/portal/jit")
    expect(page.get_by_label("Select web-1", exact=True)).to_be_checked()
    # Closed otherwise, it leaves nothing behind to go back over.
    for close in ("Escape", "Cancel"):
        row = page.locator("tbody tr").filter(has_text="web-1").first
        row.get_by_label("More actions").click()
        row.get_by_role("link", name="Edit", exact=True).click()
        expect(pane).to_be_visible()
        if close == "Escape":
            page.keyboard.press(close)
        else:
            pane.get_by_text(close, exact=True).click()
        expect(pane).to_be_hidden()
        assert page.evaluate("window.isTheSame"), close
    page.wait_for_function("() => !history.state?.pane")
    page.go_back()
    page.wait_for_url("**/portal/open")


@pytest.mark.usefixtures("fresh")
def test_a_refused_form_keeps_the_focus(visit: Visitors) -> None:
    """The button that was pressed is replaced, and with it went the focus."""
    page = visit("owner")
    pane = open_configuration(page)
    number = pane.locator("input[name='row.0.number']")
    number.fill("99999")
    pane.get_by_role("button", name="Save").last.click()
    expect(number).to_have_attribute("aria-invalid", "true")
    expect(number).to_be_focused()
    pane.get_by_role("button", name="Add").click()
    expect(pane.locator("input[name='row.1.number']")).to_be_focused()
    pane.get_by_role("button", name="Delete").last.click()
    expect(pane.locator("fieldset.port-row")).to_have_count(1)
    assert pane.evaluate(IS_FOCUS_INSIDE)


@pytest.mark.usefixtures("fresh")
def test_no_field_lies_behind_the_foot(visit: Visitors) -> None:
    page = visit("owner", height=520)
    pane = open_configuration(page)
    for _ in range(3):
        pane.get_by_role("button", name="Add").click()
        expect(pane.locator("input[data-focus]")).to_be_focused()
    pane.get_by_role("button", name="Close", exact=True).focus()
    for _ in range(60):
        page.keyboard.press("Tab")
        assert pane.evaluate(HIDDEN_BY_FOOT) == ""


def test_a_reader_is_told_in_a_line_why_and_offered_no_button_in_vain(
    visit: Visitors, fresh: World
) -> None:
    page = visit("reader")
    page.goto("/portal/jit/configure?machine=" + str(fresh.machine("web-1")))
    expect(page.get_by_role("button", name="Save").last).to_be_disabled()
    why = page.locator(".pane-foot .why")
    expect(why).to_contain_text("You lack the right to do this here: Microsoft.Security/")
    box, cancel = why.bounding_box(), page.locator(".pane-foot a.button").bounding_box()
    assert box is not None
    assert cancel is not None
    assert box["height"] < 60
    assert cancel["height"] < 50
    expect(page.get_by_role("button", name="Add")).to_have_count(0)
    expect(page.get_by_role("button", name="Delete")).to_have_count(0)


def hold(page: Page, pattern: str) -> list[Route]:
    """A line so slow that nothing comes back: requests that match wait here."""
    held: list[Route] = []

    def keep(route: Route) -> None:
        held.append(route)

    page.route(pattern, keep)
    return held


AFTER_CLICK = """async (link) => {
  link.click();
  await new Promise((resolve) => setTimeout(resolve, 100));
  return [
    document.documentElement.classList.contains("under-way"),
    getComputedStyle(document.body, "::before").content,
  ];
}"""


@pytest.mark.usefixtures("fresh")
def test_a_click_is_seen_to_be_heard_on_a_slow_line(visit: Visitors) -> None:
    page = visit("owner")
    page.goto("/portal")
    held = hold(page, "**/portal/activity")
    link = page.locator("nav.side a[href='/portal/activity']")
    assert link.evaluate(AFTER_CLICK) == [True, '""']
    page.wait_for_function("() => document.documentElement.matches('.under-way')")
    held[0].continue_()
    page.wait_for_url("**/portal/activity")
    page.wait_for_function("() => !document.documentElement.matches('.under-way')")


def test_two_clicks_send_a_form_once(visit: Visitors, fresh: World) -> None:
    """htmx would keep the second click, and send the form again after the first."""
    page = visit("owner")
    page.goto("/portal/jit")
    page.get_by_label("Select web-1", exact=True).check()
    page.get_by_role("button", name="Request access").click()
    held = hold(page, "**/portal/jit/request")
    button = pane_of(page).get_by_role("button", name="Open ports")
    button.dblclick()
    button.evaluate("button => button.click()")
    deadline = time.monotonic() + 10
    while not held and time.monotonic() < deadline:
        page.wait_for_timeout(50)
    held[0].continue_()
    page.wait_for_url("**/portal/requests/*")
    page.wait_for_timeout(500)
    assert len(held) == 1
    assert len(fresh.live_grants()) == 1
