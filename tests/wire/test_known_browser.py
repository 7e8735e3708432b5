"""What a sign-in leaves in a browser, through the pages of signing in (EDGES E5)."""

from __future__ import annotations

from dataclasses import replace

import httpx2
import pytest

from bascule.api.app import build_app
from bascule.api.oauth.browser import KNOWN, SESSION, YOU
from bascule.domain.clients import AZURE_CLI
from bascule.domain.principals import User
from bascule.domain.sign_in import TotpFactor
from bascule.domain.tokens import MARK_LIFE
from bascule.services.sign_in_limits import NETWORK
from tests.wire.browsing import PASSWORD, SCOPE, Browser, add_user
from tests.wire.house import House


@pytest.fixture
def anna(house: House) -> User:
    return add_user(house)


@pytest.fixture
def browser(house: House, anna: User) -> Browser:
    """Of somebody who has signed in, and out again."""
    made = Browser(house)
    assert made.sign_in().status_code == 303
    made.submit(made.get(YOU), where="here")
    assert "You are signed out" in made.get(YOU).text
    return made


def flood(house: House) -> None:
    """A neighbour tries made-up names until the network has to wait."""
    neighbour = Browser(house)
    statuses = [
        neighbour.sign_in(name=f"made-up-{number}@example.com", password="x").status_code
        for number in range(NETWORK.burst + 1)
    ]
    assert statuses == [401] * NETWORK.burst + [429]


def marks(answer: httpx2.Response) -> list[str]:
    return [each for each in answer.headers.get_list("set-cookie") if each.startswith(KNOWN)]


def test_a_neighbour_is_answered_alike_for_every_name(
    house: House, anna: User, browser: Browser
) -> None:
    flood(house)
    neighbour = Browser(house)
    known = neighbour.sign_in(name=anna.name, password="x")
    unknown = neighbour.sign_in(name="nobody@example.com", password="x")
    assert known.status_code == unknown.status_code == 429
    assert known.headers["retry-after"] == unknown.headers["retry-after"]


def test_a_neighbour_locks_nobody_out_of_their_own_browser(house: House, browser: Browser) -> None:
    flood(house)
    assert Browser(house).sign_in().status_code == 429
    assert browser.sign_in().status_code == 303
    assert "You are signed in" in browser.get(YOU).text


def test_the_cookie_is_this_hosts_alone_and_ends(house: House, anna: User) -> None:
    (cookie,) = marks(Browser(house).sign_in())
    assert cookie.startswith("__Host-")
    for word in ("Secure", "HttpOnly", "SameSite=strict", "Path=/"):
        assert word in cookie
    assert f"Max-Age={int(MARK_LIFE.total_seconds())};" in cookie
    assert "Domain" not in cookie
    assert anna.id not in cookie
    assert anna.name not in cookie


def test_it_is_left_by_a_whole_sign_in_alone(house: House, anna: User) -> None:
    assert marks(Browser(house).sign_in(password="x")) == []
    factor = TotpFactor(anna.id, True, "sealed", house.clock.now())
    house.do(lambda tx, _: tx.put_totp(factor))
    halfway = Browser(house).sign_in()
    assert halfway.headers["location"].startswith("/signin/factor")
    assert marks(halfway) == []


def test_it_opens_nothing(house: House, browser: Browser) -> None:
    copied = Browser(house)
    copied.client.cookies.set(KNOWN, browser.client.cookies[KNOWN], domain="localhost.local")
    assert "You are signed out" in copied.get(YOU).text
    assert copied.get("/device").headers["location"].startswith("/signin")
    assert copied.sign_in(password="x").status_code == 401
    copied.client.cookies.set(SESSION, browser.client.cookies[KNOWN], domain="localhost.local")
    assert "You are signed out" in copied.get(YOU).text


def test_it_does_nothing_for_another_name(house: House, browser: Browser) -> None:
    add_user(house, "bert@example.com")
    flood(house)
    for name in ("bert@example.com", "nobody@example.com"):
        assert browser.sign_in(name=name).status_code == 429


@pytest.mark.parametrize("mark", ["x", "x" * 43, "A" * 5000, "a.b.c"])
def test_one_that_is_none_changes_nothing(house: House, anna: User, mark: str) -> None:
    browser = Browser(house)
    browser.client.cookies.set(KNOWN, mark, domain="localhost.local")
    flood(house)
    assert browser.sign_in().status_code == 429


def test_a_program_that_sends_it_goes_by_the_network(house: House, browser: Browser) -> None:
    """The mark is a browser's: the password grant has none, and shares the bucket for any name."""
    house.app = build_app(replace(house.state, allows_password_grant=True))
    program = Browser(house)
    program.client.cookies.set(KNOWN, browser.client.cookies[KNOWN], domain="localhost.local")
    flood(house)
    form = {"grant_type": "password", "client_id": AZURE_CLI, "scope": SCOPE,
            "username": "anna@example.com", "password": PASSWORD}  # fmt: skip
    answers = [
        program.post("/adfs/oauth2/token", {**form, "username": name})
        for name in ("anna@example.com", "nobody@example.com")
    ]
    assert [each.status_code for each in answers] == [429, 429]
    assert answers[0].headers["retry-after"] == answers[1].headers["retry-after"]
