"""Notifications in a real browser: asked for by a button, shown once, plain, and only one's own.

``window.Notification`` is the browser's interface: what a page gives it is noted in its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.portal.accessibility import violations
from tests.e2e.portal.portal_world import SERVER, SSH, Visitors, World

pytestmark = pytest.mark.root

NOTING = """(permission) => {
  window.asked = 0;
  window.told = [];
  window.Notification = class extends EventTarget {
    static permission = localStorage.getItem("permission") ?? "default";
    static async requestPermission() {
      window.asked += 1;
      localStorage.setItem("permission", permission);
      window.Notification.permission = permission;
      return permission;
    }
    constructor(title, options) {
      super();
      window.told.push({ title, ...options });
      window.last = this;
    }
    close() {}
  };
}"""
WORDS = {
    "en": ("Tell me in this browser", "Stop telling me in this browser", "asks for your approval"),
    "fr": (
        "Me prévenir dans ce navigateur",
        "Ne plus me prévenir dans ce navigateur",
        "demande votre approbation",
    ),
}
# The day is named if it is not today.
OPEN_UNTIL = r"It is open until (\w+ \d+, \d{4}, )?\d+:\d\d\s[AP]M\."
MAIL = "/portal/account/mail"


def noting(page: Page, permission: str = "granted") -> Page:
    if permission == "granted":
        page.context.grant_permissions(["notifications"], origin=SERVER)
    page.context.add_init_script(f"({NOTING})({json.dumps(permission)})")
    return page


def told(page: Page) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = page.evaluate("window.told")
    return found


def await_told(page: Page, count: int) -> Sequence[Mapping[str, Any]]:
    page.wait_for_function("(count) => window.told.length >= count", arg=count)
    page.wait_for_timeout(300)
    found = told(page)
    assert len(found) == count, found
    return found


def turn_on(page: Page, language: str = "en") -> None:
    page.goto(MAIL)
    expect(page.get_by_role("button", name=WORDS[language][0], exact=True)).to_be_visible()
    assert page.evaluate("window.asked") == 0, "nothing is asked on load"
    page.get_by_role("button", name=WORDS[language][0], exact=True).click()
    expect(page.get_by_role("button", name=WORDS[language][1], exact=True)).to_be_visible()
    assert page.evaluate("window.asked") == 1


def ask_as_owner(page: Page) -> None:
    page.goto("/portal/machines/default/web-1/connect")
    page.get_by_role("button", name="Request access").click()
    page.wait_for_url("**/portal/requests/*")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_who_is_asked_and_who_asked_are_told_once(
    visit: Visitors, fresh: World, language: str
) -> None:
    asked = {"users": [fresh.user_id("reader")], "groups": [], "role": False}
    fresh.put_access_rule(
        "second-person", {"effect": "approve", "stages": [{"approvers": asked, "needed": 1}]}
    )
    approving = noting(visit("reader", language))
    turn_on(approving, language)
    assert violations(approving) == []
    approving.goto("/portal/machines")  # any page will do
    other = approving.context.new_page()
    other.goto("/portal")
    asking = noting(visit("owner"))
    turn_on(asking)
    ask_as_owner(asking)
    (piece,) = await_told(approving, 1)
    assert piece["title"].startswith("owner ")
    assert WORDS[language][2] in piece["title"]
    assert "web-1:22" in piece["body"]
    assert piece["lang"] == language
    assert told(other) == [], "of two tabs one tells"
    other.close()
    asking.goto("/portal")
    approving.evaluate("window.last.dispatchEvent(new Event('click'))")
    approving.wait_for_url("**/portal/requests/*")
    name = {"en": "Approve", "fr": "Approuver"}[language]
    approving.get_by_role("button", name=name, exact=True).click()
    (piece,) = await_told(asking, 1)
    assert piece["title"] == "Access to web-1:22 is open"
    assert re.fullmatch(OPEN_UNTIL, piece["body"])
    asking.reload()
    asking.wait_for_timeout(2500)
    assert told(asking) == [], "what was shown is shown no more"
    for page in (approving, asking):
        page.context.close()


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_end_is_told_before_it_comes_and_extended(
    visit: Visitors, fresh: World, language: str
) -> None:
    """Of two minutes the last twelve seconds; the page is not loaded again by hand."""
    fresh.configure("web-1", SSH)
    page = noting(visit("owner", language))
    turn_on(page, language)
    page.goto(f"/portal/jit/request?machine={fresh.machine('web-1')}")
    page.locator("input[name^='time.']").first.fill("0:02")
    page.locator("button.primary").last.click()
    page.wait_for_url("**/portal/requests/*")
    page.wait_for_function(
        "() => /^\u26a0 [12]:[0-9]{2} · web-1:22 · Bascule$/.test(document.title)"
    )
    alert = page.get_by_role("alert").filter(has=page.locator("button.primary"))
    expect(alert).to_have_count(0)
    expect(alert).to_be_visible(timeout=timedelta(minutes=3).total_seconds() * 1000)
    (piece,) = await_told(page, 1)
    assert "web-1:22" in piece["title"]
    assert re.search(r"\d+:\d\d", piece["title"])
    assert violations(page) == []
    alert.get_by_role("button").click()
    expect(alert).to_have_count(0)
    page.wait_for_function("() => /^2:5[0-9]:/.test(document.title)")
    page.context.close()


@pytest.mark.usefixtures("fresh")
def test_who_denies_it_or_cannot_have_it_is_told_in_words(visit: Visitors) -> None:
    page = noting(visit("owner"), "denied")
    page.goto(MAIL)
    page.get_by_role("button", name=WORDS["en"][0], exact=True).click()
    expect(page.get_by_text("Allow them in the browser’s settings for this site")).to_be_visible()
    expect(page.get_by_role("button", name=WORDS["en"][0], exact=True)).to_be_hidden()
    assert violations(page) == []
    page.context.close()
    page = visit("owner")
    page.add_init_script("delete window.Notification")
    page.goto(MAIL)
    expect(page.get_by_text("This browser cannot show notifications")).to_be_visible()
    page.context.close()


def test_it_is_one_persons_choice_and_ends_with_the_button(visit: Visitors, fresh: World) -> None:
    """Whoever signs in next in the same browser is told nothing by it."""
    asked = {"users": [fresh.user_id("reader")], "groups": [], "role": False}
    fresh.put_access_rule(
        "second-person", {"effect": "approve", "stages": [{"approvers": asked, "needed": 1}]}
    )
    approving = noting(visit("reader"))
    turn_on(approving)
    mine = approving.evaluate("localStorage.getItem('bascule-news')")
    approving.evaluate("localStorage.setItem('bascule-news', 'somebody-else')")
    approving.reload()
    expect(approving.get_by_role("button", name=WORDS["en"][0], exact=True)).to_be_visible()
    asking = visit("owner")
    ask_as_owner(asking)
    approving.wait_for_timeout(4000)  # it asks two seconds after a change at the latest
    assert told(approving) == []
    approving.evaluate("(mine) => localStorage.setItem('bascule-news', mine)", mine)
    approving.reload()
    await_told(approving, 1)
    approving.get_by_role("button", name=WORDS["en"][1], exact=True).click()
    expect(approving.get_by_role("button", name=WORDS["en"][0], exact=True)).to_be_visible()
    assert (
        approving.evaluate(
            "Object.keys(localStorage).filter((key) => key.startsWith('bascule-news'))"
        )
        == []
    )
    for page in (approving, asking):
        page.context.close()
