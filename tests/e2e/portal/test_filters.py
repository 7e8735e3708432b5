"""Lists under the hand: filtered as one types; what is ticked stays ticked over filters."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.portal.portal_world import Visitors

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("furnished")]


def machines(page: Page) -> list[str]:
    return page.locator("main tbody th a").all_inner_texts()


@pytest.mark.parametrize(
    ("path", "typed", "kept", "gone"),
    [
        ("/portal/jit", "EB-", "web-1", "db-1"),
        ("/portal/machines", "eb-", "web-1", "db-1"),
        ("/portal/points", "eb-", "web-1", "db-1"),
        ("/portal/access/users", "WNE", "owner", "reader"),
    ],
)
def test_a_list_is_filtered_as_one_types(
    visit: Visitors, path: str, typed: str, kept: str, gone: str
) -> None:
    page = visit("owner")
    page.goto(path)
    page.evaluate("window.isTheSame = true")
    field = page.locator("main input[type=search]").first
    field.press_sequentially(typed, delay=30)
    expect(page.locator("main tbody").get_by_role("link", name=kept, exact=True)).to_be_visible()
    expect(page.locator("main tbody").get_by_role("link", name=gone, exact=True)).to_have_count(0)
    expect(field).to_have_value(typed)
    expect(field).to_be_focused()
    assert f"q={typed}" in page.url
    assert page.evaluate("window.isTheSame")
    page.reload()
    expect(page.locator("main tbody").get_by_role("link", name=gone, exact=True)).to_have_count(0)
    field.fill("")
    expect(page.locator("main tbody").get_by_role("link", name=gone, exact=True)).to_be_visible()
    expect(page).not_to_have_url(re.compile("q="))


def test_what_is_ticked_is_asked_for_though_the_filter_hides_it(visit: Visitors) -> None:
    page = visit("owner")
    page.goto("/portal/jit?tab=notConfigured")
    names = machines(page)
    if len(names) < 2:
        page.goto("/portal/jit")
        names = machines(page)
    assert len(names) >= 2, "the scene has two machines on one tab"
    first, second = names[:2]
    page.get_by_label(f"Select {first}", exact=True).check()
    field = page.locator("main input[type=search]").first
    field.press_sequentially(second, delay=20)
    expect(page.get_by_label(f"Select {first}", exact=True)).to_have_count(0)
    page.get_by_label(f"Select {second}", exact=True).check()
    expect(page.locator("output[data-ticked]")).to_have_text("2")
    page.locator("#picked button.primary").click()
    pane = page.locator("#pane[open]")
    expect(pane).to_contain_text(first)
    expect(pane).to_contain_text(second)
    page.keyboard.press("Escape")
    field.fill("")
    expect(page.get_by_label(f"Select {first}", exact=True)).to_be_checked()
    page.get_by_role("button", name="Clear the selection").click()
    expect(page.locator("output[data-ticked]")).to_have_text("0")
    expect(page.get_by_label(f"Select {first}", exact=True)).not_to_be_checked()


def test_what_is_ticked_stays_so_from_page_to_page(visit: Visitors) -> None:
    """One of the addresses of a list names its tab, another does not: it is the same list."""
    page = visit("owner")
    page.goto("/portal/jit")
    first = machines(page)[0]
    page.get_by_label(f"Select {first}", exact=True).check()
    page.get_by_role("link", name="Last access").click()
    expect(page.get_by_label(f"Select {first}", exact=True)).to_be_checked()
    page.locator("nav.tabs").get_by_role("link", name="Unsupported").click()
    page.locator("nav.tabs").get_by_role("link", name="Configured", exact=False).first.click()
    expect(page.get_by_label(f"Select {first}", exact=True)).not_to_be_checked()
