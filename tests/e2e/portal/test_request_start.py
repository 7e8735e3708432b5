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


@pytest.mark.parametrize(
    ("zone", "language", "days"),
    [
        ("Europe/Paris", "fr", ["mercredi 2 janvier 2030", "jeudi 3 janvier 2030"]),
        ("America/New_York", "en", ["Wednesday, January 2, 2030"]),
    ],
)
def test_what_is_scheduled_stands_under_the_browsers_days(
    visit: Visitors, fresh: World, zone: str, language: str, days: list[str]
) -> None:
    """Two starts on two days of UTC are of one day in New York."""
    page = visit("owner", language, timezone_id=zone)
    page.goto("/portal/approvals?tab=scheduled")
    page.evaluate(
        """() => {
          const row = (at) => `<tr><th><time datetime="${at}" data-form="time"></time></th></tr>`;
          const day = '<tr class="day"><th><time datetime="2030-01-02T00:00:00Z" data-form="day"></time></th></tr>';
          document.querySelector("main").insertAdjacentHTML("beforeend", `<table><tbody data-by-day>${
            day}${row("2030-01-02T22:30:00Z")}${day}${row("2030-01-03T01:30:00Z")}</tbody></table>`);
          showTimes();
          showTimes();
        }"""
    )
    shown = page.locator("tbody[data-by-day] tr.day")
    expect(shown).to_have_text(days)
    expect(page.locator("tbody[data-by-day] tr:not(.day)")).to_have_count(2)
    page.context.close()
