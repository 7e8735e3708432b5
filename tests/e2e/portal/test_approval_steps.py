"""Somebody asks in one browser, somebody else approves in another: the first page goes on by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.portal.portal_world import Visitors, World
from tests.e2e.portal.test_together import SECONDS, seconds_until_seen

pytestmark = [pytest.mark.root, pytest.mark.leak]


def test_what_one_asks_for_another_approves(visit: Visitors, fresh: World) -> None:
    """Nothing is open before the yes, and no page is loaded again by hand."""
    asked = {"users": [fresh.user_id("reader")], "groups": [], "role": False}
    stages = [{"approvers": asked, "needed": 1}]
    fresh.put_access_rule("second-person", {"effect": "approve", "stages": stages})
    approving = visit("reader", "fr")
    approving.goto("/portal/approvals")
    approving.evaluate("window.isTheSame = true")
    asking = visit("owner")
    asking.goto("/portal/machines/default/web-1/connect")
    asking.get_by_role("button", name="Request access").click()
    asking.wait_for_url("**/portal/requests/*")
    expect(asking.locator(".standing")).to_contain_text("Waiting for approval")
    expect(asking.get_by_role("button", name="Approve")).to_have_count(0)
    assert not fresh.lab.reaches("client", "web-1")
    waiting = approving.locator("main tbody tr").filter(has_text="web-1")
    seconds_until_seen(approving, waiting, is_open=True)
    expect(approving.locator("#waiting-side")).to_contain_text("1")
    asking.evaluate("window.isTheSame = true")
    waiting.get_by_role("link").click()
    approving.locator("input[name=note]").fill("vas-y")
    approving.get_by_role("button", name="Approuver", exact=True).click()
    opened = asking.locator(".standing", has_text="Open").filter(has_not_text="Opening")
    took = seconds_until_seen(asking, opened, is_open=True)
    expect(asking.locator("main")).to_contain_text("vas-y")
    expect(asking.locator("main")).to_contain_text("ssh -o")
    expect(asking.locator(".extending")).to_be_visible()
    expect(asking.locator(".answering")).to_be_hidden()
    assert fresh.lab.reaches("client", "web-1")
    expect(approving.locator("#waiting-side .count")).to_have_count(0)
    assert took < 10 * SECONDS
    asking.get_by_role("button", name="Close now").click()
    expect(asking.locator("main")).to_contain_text("Ended")
