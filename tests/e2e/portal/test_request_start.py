"""The request form's start in a browser: the zone that is sent is the one that is shown."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.portal.pages import PAGES
from tests.e2e.portal.portal_world import Visitors, World

pytestmark = pytest.mark.root


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/New_York"])
def test_the_start_is_in_the_browsers_zone(visit: Visitors, furnished: World, zone: str) -> None:
    shown = next(each for each in PAGES if each.name == "request-access")
    page = visit(shown.person, "en", timezone_id=zone)
    page.goto(shown.path(furnished))
    day = page.get_by_label("Day of the start")
    expect(day.locator("..")).to_contain_text(zone)
    day.fill("2020-01-31")
    page.get_by_label("Time of the start").fill("23:00")
    page.get_by_role("button", name="Open ports").click()
    expect(page.get_by_role("alert")).to_contain_text("is over")
    expect(page.get_by_label("Day of the start")).to_have_value("2020-01-31")
    expect(page.get_by_label("Time of the start")).to_have_value("23:00")
    expect(page.locator("input[name=start_zone]")).to_have_value(zone)
    page.context.close()
