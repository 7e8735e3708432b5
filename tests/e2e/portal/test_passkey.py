"""A passkey, from the account page to signing in with it alone; the authenticator is Chromium's."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from bascule.client import principals
from tests.e2e.portal.portal_world import Visitors, World, sign_in

pytestmark = pytest.mark.root

NAME, PASSWORD = "passkey.holder@contoso.example", "a-long-pass-phrase-of-a-holder"


@pytest.fixture
def holder(world: World) -> str:
    made = principals.create_principal(
        world.connection, principals.USERS, {"userPrincipalName": NAME}
    )
    principals.set_password(world.connection, made.id, PASSWORD)
    return NAME


def give_authenticator(page: Page) -> None:
    """One in the device itself, which knows its owner and says yes (WebAuthn, section 11.2)."""
    devtools = page.context.new_cdp_session(page)
    devtools.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    devtools.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_a_passkey_is_added_and_signs_in_alone(visit: Visitors, holder: str) -> None:
    page = visit("")
    give_authenticator(page)
    sign_in(page, holder, PASSWORD)
    page.goto("/portal/account")
    page.get_by_role("link", name="Add a passkey").click()
    pane = page.locator("#pane[open]")
    pane.get_by_label("Name of the passkey").fill("Blue key")
    pane.get_by_label("Present password").fill(PASSWORD)
    pane.get_by_role("button", name="Next").click()
    pane.get_by_role("button", name="Create the passkey").click()
    expect(page.locator("main")).to_contain_text("Blue key")

    page.context.clear_cookies()
    page.goto("/portal")
    page.get_by_role("button", name="passkey").click()
    page.wait_for_url("**/portal")
    expect(page.locator(".menu.who")).to_contain_text(NAME)

    # It is asked for after the password too, proves who is there, and goes when it has to.
    page.context.clear_cookies()
    page.goto("/portal")
    page.locator("#name").fill(holder)
    page.locator("#password").fill(PASSWORD)
    page.locator("button.primary").click()
    page.get_by_role("button", name="Use your passkey").click()
    page.wait_for_url("**/portal")
    page.goto("/portal/account")
    page.get_by_role("link", name="Make new codes").click()
    pane.locator("label").filter(has_text="Passkey").click()
    pane.get_by_role("button", name="Make the codes").click()
    expect(pane.locator("ol.codes li")).to_have_count(10)
    pane.get_by_role("link", name="I have stored them").click()
    page.get_by_role("link", name="Remove Blue key").click()
    pane.get_by_label("Present password").fill(PASSWORD)
    pane.get_by_role("button", name="Remove the passkey").click()
    expect(page.get_by_text("Removed.")).to_be_visible()
    expect(page.get_by_text("Blue key", exact=True)).to_have_count(0)
