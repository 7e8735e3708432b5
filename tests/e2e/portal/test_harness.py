"""The browser that these tests use checks certificates, and hears what a page's policy stops."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

from tests.e2e.lab_world import until
from tests.e2e.portal.portal_world import SERVER, Visitors

pytestmark = pytest.mark.root


def test_the_certificate_is_checked(page: Page) -> None:
    """No flag waves it through: the lab's CA made it, for the name that is asked for."""
    answer = page.goto(f"{SERVER}/signin")
    assert answer is not None
    assert answer.ok
    details = answer.security_details()
    assert details is not None
    assert "Bascule" in str(details["issuer"])
    assert page.evaluate("isSecureContext")


def test_what_the_policy_stops_is_heard(visit: Visitors) -> None:
    """Every test of this folder fails by it: here one that tries to."""
    page = visit()
    page.goto("/portal")
    page.evaluate("document.body.setAttribute('style', 'color: red')")
    page.evaluate(
        "document.head.append(Object.assign(document.createElement('script'), {text: '1'}))"
    )

    def are_heard() -> bool:
        page.wait_for_timeout(100)
        return len(visit.complaints) >= 2

    assert until(are_heard, 20)
    assert len(visit.complaints) == 2
    assert all("Content Security Policy" in each for each in visit.complaints)
    visit.complaints.clear()
