"""News for a browser's notifications, and the warning before the end on a request's page."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.builtin_roles import EMERGENCY_ACCESS
from bascule.domain.lifecycle import RequestState
from bascule.portal.pages.news import BECAME
from tests.portal.asking import ask, guard, live
from tests.portal.test_approvals import answer, put_rules, rule, stage
from tests.portal.test_emergency import enrol, show_factor
from tests.portal.test_emergency import opened as use_emergency
from tests.portal.test_request_start import put_approval
from tests.portal.visiting import Person, owner, text_of
from tests.wire.browsing import PASSWORD
from tests.wire.house import House

pytestmark = pytest.mark.sockets  # asking asks the kernel which addresses are this host's own

NEWS = "/portal/news"
MINUTE = 60


def news(person: Person, language: str = "en") -> list[Mapping[str, Any]]:
    headers = {"Accept-Language": language, "Bascule-Refresh": "1"}
    found = person.client.get(NEWS, headers=headers)
    assert found.status_code == 200
    assert found.headers["cache-control"] == "no-store"
    told = found.json()
    assert told["me"] == person.user.id
    return list(told["news"])


def titles(person: Person, language: str = "en") -> list[str]:
    return [each["title"] for each in news(person, language)]


def opened(house: House, **machine: Any) -> tuple[Person, str]:
    """Olga's access to web-1, open for ten minutes from now; the page of its request."""
    uid = guard(house, **machine)
    olga = owner(house)
    request_id = ask(olga, house)
    (grant,) = live(house)
    house.report(house.enrol("web-1"), uid, grant.id)
    return olga, f"/portal/requests/{request_id}"


def waiting(house: House) -> tuple[Person, Person, str]:
    """Olga asks, Bob is asked; the request's id."""
    guard(house)
    olga, bob = owner(house), Person(house, "bob@example.com")
    put_rules(house, rule(stage(bob)))
    return olga, bob, ask(olga, house, justification="a secret reason")


def test_nobody_hears_of_anothers_access(house: House) -> None:
    olga, bob, _ = waiting(house)
    nora = Person(house, "nora@example.com")
    other = owner(house, "other@example.com")
    assert news(nora) == news(other) == news(olga) == []
    assert len(news(bob)) == 1
    house.client.cookies.clear()
    without = house.client.get(NEWS, follow_redirects=False)
    assert without.status_code in {303, 401}
    assert "bob" not in without.text


def test_who_is_asked_hears_who_asks_and_for_what(house: House) -> None:
    _, bob, request_id = waiting(house)
    (piece,) = news(bob)
    assert piece["title"] == "olga@example.com asks for your approval"
    assert piece["text"] == "Access to web-1:22"
    assert piece["path"] == f"/portal/requests/{request_id}"
    assert "secret" not in str(piece)
    assert titles(bob, "fr") == ["olga@example.com demande votre approbation"]
    answer(bob, request_id, "approve")
    assert news(bob) == []


def test_what_became_of_a_request_that_waited_is_told_for_a_day(house: House) -> None:
    olga, bob, request_id = waiting(house)
    assert news(olga) == []
    answer(bob, request_id, "deny", reason="a secret reason")
    (piece,) = news(olga)
    assert piece["title"] == "Access to web-1:22 was denied"
    assert "secret" not in str(piece)
    house.clock.pass_time(timedelta(hours=25).total_seconds())
    olga.sign_in("/portal", "olga@example.com", PASSWORD)
    assert news(olga) == []
    assert set(BECAME) <= set(RequestState)


def test_what_opened_without_waiting_is_no_news_until_it_ends(house: House) -> None:
    """Its requestor sits before the page."""
    olga, _ = opened(house)
    (grant,) = live(house)
    (piece,) = news(olga)
    assert piece["title"] == "Access to web-1:22 ends at {time}"
    assert piece["time"] == piece["until"] == "2030-01-01T12:10:00.0000000Z"
    assert piece["at"] == "2030-01-01T12:09:00.0000000Z"  # a tenth of it
    assert grant.warned_at == grant.ends_at - timedelta(minutes=1)
    house.clock.pass_time(10 * MINUTE)
    assert news(olga) == []


def test_an_extension_is_told_of_anew(house: House) -> None:
    olga, path = opened(house)
    before = news(olga)[0]["key"]
    assert olga.send(f"{path}/extend", {"time": "1:00"}).status_code == 303
    (piece,) = news(olga)
    assert piece["key"] != before
    assert piece["at"] == "2030-01-01T12:55:00.0000000Z"


def test_what_a_name_says_is_plain_text(house: House) -> None:
    guard(house)
    olga, bob = owner(house, "o<b>\u202elga@example.com"), Person(house, "bob@example.com")
    put_rules(house, rule(stage(bob)))
    ask(olga, house)
    (piece,) = news(bob)
    assert piece["title"] == "o<b>lga@example.com asks for your approval"  # text, and never markup


# -- the page ----------------------------------------------------------------------------


def test_the_page_warns_before_the_end_and_extends(house: House) -> None:
    olga, path = opened(house)
    html = olga.page(path)
    assert "<title>web-1:22 · Bascule</title>" in html
    assert 'data-fresh-at="2030-01-01T12:09:00.0000000Z"' in html
    assert "This access ends at" not in html
    house.clock.pass_time(9 * MINUTE)
    html = olga.page(path)
    assert "data-fresh-at" not in html
    assert "This access ends at 12:10 ." in text_of(html)
    assert "Cet accès prend fin à" in text_of(olga.page(path, language="fr"))
    (form,) = re.findall(r'id="ending-.*?</form>', html, re.DOTALL)
    assert f'action="{path}/extend"' in form
    (span,) = re.findall(r'name="time" value="([^"]+)"', form)
    assert olga.send(f"{path}/extend", {"time": span}).status_code == 303
    (grant,) = live(house)
    assert grant.ends_at - house.clock.now() == timedelta(hours=3)
    assert "This access ends at" not in olga.page(path)


def test_others_are_not_warned_and_offered_nothing(house: House) -> None:
    _, path = opened(house)
    house.clock.pass_time(9 * MINUTE)
    html = owner(house, "other@example.com").page(path)
    assert "This access ends at" not in html
    assert "data-tell=" not in html


def test_an_emergency_is_warned_of_and_not_extended(house: House) -> None:
    uid = guard(house)
    erin = Person(house, "erin@example.com", (EMERGENCY_ACCESS.id, house.subscription))
    show_factor(erin, enrol(erin))
    path = f"/portal/requests/{use_emergency(erin)}"
    (grant,) = live(house)
    house.report(house.enrol("web-1"), uid, grant.id)
    (piece,) = news(erin)
    assert piece["text"] == "Emergency access is not extended."
    house.clock.pass_time(27 * MINUTE)
    (said,) = re.findall(r'id="ending-.*?</div></div>', erin.page(path), re.DOTALL)
    assert "Emergency access is not extended." in text_of(said)
    assert "<form" not in said


def test_within_what_was_approved_it_is_extended_and_beyond_it_is_asked_for_anew(
    house: House,
) -> None:
    uid = guard(house)
    olga, bob = owner(house), put_approval(house)
    request_id = ask(olga, house, up_to="0:15")
    answer(bob, request_id, "approve")
    (grant,) = live(house)
    house.report(house.enrol("web-1"), uid, grant.id)
    path = f"/portal/requests/{request_id}"
    house.clock.pass_time(9 * MINUTE)
    html = olga.page(path)
    assert "Extend: 5 min from now" in text_of(html).replace("\xa0", " ")
    assert olga.send(f"{path}/extend", {"time": "0:05"}).status_code == 303
    house.clock.pass_time(4 * MINUTE + 30)
    (said,) = re.findall(r'id="ending-.*?</div></div>', olga.page(path), re.DOTALL)
    assert "To keep it open longer, request access again." in text_of(said)
    assert "<form" not in said
    assert live(house)[0].ends_at == grant.ends_at + timedelta(minutes=4)


@pytest.mark.parametrize("language", ["en", "fr"])
def test_the_button_says_in_words_what_the_browser_allows(house: House, language: str) -> None:
    olga, path = opened(house)
    for page in (path, "/portal/account/mail"):
        html = olga.page(page, language=language)
        (tell,) = re.findall(r'<div class="tell".*?</div>', html, re.DOTALL)
        assert f'data-tell="{olga.user.id}" hidden' in tell
        assert re.findall(r'data-tell-state="(\w+)" hidden', tell) == [
            "off",
            "on",
            "denied",
            "none",
        ]
        assert "onclick" not in html
        words = {"en": "Allow them in the browser’s settings", "fr": "Autorisez-les pour ce site"}
        assert words[language] in tell
