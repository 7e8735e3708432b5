"""A form that a lost session interrupted comes back to its user, filled in and unsent (EDGES E12)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from bascule import portal
from bascule.api.oauth.browser import SESSION
from bascule.domain.principals import User
from bascule.interfaces.clock import READINGS_APART
from bascule.interfaces.kept_forms import KEPT_FOR, KeptForm
from bascule.portal import kept
from bascule.portal.forms import Form
from bascule.portal.guard import PortalRoute
from bascule.portal.kept import COOKIE, KEPT_PATH
from bascule.store.tables.kept_forms import kept_forms as t
from tests.portal.asking import filled, form_path, guard, live
from tests.portal.visiting import Person, csrf_of, owner, text_of
from tests.wire.browsing import PASSWORD, Browser
from tests.wire.house import CALLER, House

ASK = "/portal/jit/request"
TO_KEPT = "/signin?next=%2Fportal%2Fkept"
WHY = 'a reason with <b>"marks"</b> & more'
_WHOSE = re.compile(r'name="whose" value="([^"]+)"')
Fields = Mapping[str, str | Sequence[str]]


def form_of(person: Person, path: str) -> dict[str, Any]:
    """The proofs of a page's form."""
    html = person.page(path)
    found = _WHOSE.search(html)
    assert found
    return {"csrf": csrf_of(html), "whose": found[1]}


def asking_form(person: Person, house: House, **more: str) -> dict[str, Any]:
    path = form_path(house, "web-1")
    fields = {"justification": WHY, **filled(person.page(path), "0.0.22"), **more}
    return {**form_of(person, path), **fields, "time.0.0.22": "0:25"}


def end_session(person: Person) -> None:
    """As time does; the browser keeps its cookie."""
    person.house.clock.pass_time(3 * 3600)


def interrupted(person: Person, path: str, fields: Fields) -> None:
    answer = person.client.post(path, data=fields, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, TO_KEPT)


def sign_in_again(browser: Browser, name: str) -> None:
    answer = browser.sign_in(KEPT_PATH, name, PASSWORD)
    assert (answer.status_code, answer.headers["location"]) == (303, KEPT_PATH)


def said(house: House) -> int:
    return house.see(lambda reader: len(reader.chain(limit=10_000)) + len(reader.unsealed(10_000)))


def whose_session_ended(house: House) -> tuple[Person, Fields]:
    """Somebody with a form filled in, whose session is over."""
    guard(house)
    olga = owner(house)
    fields = asking_form(olga, house)
    end_session(olga)
    return olga, fields


# -- it comes back ----------------------------------------------------------------------------


def test_it_comes_back_filled_in_and_nothing_is_done(house: House) -> None:
    olga, fields = whose_session_ended(house)
    interrupted(olga, ASK, fields)
    sign_in_again(olga, olga.user.name)
    html = olga.page(KEPT_PATH, 409)
    assert "nothing was done" in text_of(html)
    assert WHY in unescape(html)
    assert "<b>" not in html
    assert 'value="0:25"' in html
    assert live(house) == []
    assert house.events("AccessRequested") == []


def test_sent_from_there_it_is_done_once(house: House) -> None:
    olga, fields = whose_session_ended(house)
    interrupted(olga, ASK, fields)
    sign_in_again(olga, olga.user.name)
    html = olga.page(KEPT_PATH, 409)
    once = re.search(r'name="once" value="([^"]+)"', html)
    assert once
    fresh = {**fields, "csrf": csrf_of(html), "once": once[1]}
    first, again = (olga.client.post(ASK, data=fresh, follow_redirects=False) for _ in range(2))
    assert first.status_code == again.status_code == 303
    assert first.headers["location"] == again.headers["location"]
    assert len(live(house)) == 1


def test_a_page_that_was_open_before_the_sign_in_shows_it_at_once(house: House) -> None:
    """The session ended, and its user signed in again in another tab."""
    olga, fields = whose_session_ended(house)
    olga.sign_in("/portal", olga.user.name, PASSWORD)
    answer = olga.client.post(ASK, data=fields, follow_redirects=False)
    assert answer.status_code == 409
    assert "nothing was done" in text_of(answer.text)
    assert WHY in unescape(answer.text)
    assert live(house) == []


def test_it_asks_for_the_address_of_today(house: House) -> None:
    """*My IP* is where the new session comes from; the old one's stands nowhere in the form."""
    olga, fields = whose_session_ended(house)
    interrupted(olga, ASK, fields)
    elsewhere = Browser(house, "203.0.113.77")
    elsewhere.client.cookies = olga.client.cookies
    sign_in_again(elsewhere, olga.user.name)
    html = elsewhere.get(KEPT_PATH).text
    assert 'name="my_address" value="203.0.113.77"' in html
    assert f'name="my_address" value="{CALLER}"' not in html
    assert "The form showed" in text_of(html)
    assert live(house) == []


def test_an_address_that_the_session_before_proved_is_proved_no_more(house: House) -> None:
    guard(house)
    olga = owner(house)
    seen = {"source.0.0.22": f"seen:{CALLER}"}
    fields = {**asking_form(olga, house), **seen}
    end_session(olga)
    interrupted(olga, ASK, fields)
    elsewhere = Browser(house, "203.0.113.77")
    elsewhere.client.cookies = olga.client.cookies
    sign_in_again(elsewhere, olga.user.name)
    html = elsewhere.get(KEPT_PATH).text
    assert "has not been used from" in text_of(html)
    assert f'value="seen:{CALLER}"' not in html
    assert live(house) == []


def test_every_form_that_comes_back_does_nothing_by_it(house: House) -> None:
    """Each handler that is marked, with nothing and with much in its form."""
    guard(house)
    olga = owner(house)
    proofs = form_of(olga, "/portal/machines/add")
    end_session(olga)
    olga.sign_in("/portal", olga.user.name, PASSWORD)
    before = said(house)
    much = {
        "name": "new-1",
        "group": "default",
        "os": "Linux",
        "display_name": "New",
        "addresses": "10.0.0.9",
        "machine": house.machine("web-1"),
        "act": "save",
    }
    tried = 0
    for route in portal.router().routes:
        if isinstance(route, PortalRoute) and kept.does_come_back(route.endpoint):
            path = route.path.format(
                group="default", name="web-1", principal_id="x", role_id="x", uid="x", member_id="x"
            )
            for fields in ({}, much):
                answer = olga.client.post(path, data={**proofs, **fields}, follow_redirects=False)
                assert answer.status_code in (400, 403, 404, 409), (path, answer.status_code)
            tried += 1
    assert tried >= 12
    assert said(house) == before


def test_the_values_of_other_forms_come_back_too(house: House) -> None:
    olga = owner(house)
    path = "/portal/access/groups/add"
    fields = {**form_of(olga, path), "name": "night shift", "description": WHY}
    end_session(olga)
    interrupted(olga, path, fields)
    sign_in_again(olga, olga.user.name)
    html = olga.page(KEPT_PATH, 409)
    assert 'value="night shift"' in html
    assert house.events("GroupCreated") == []


def test_a_session_that_ends_just_before_the_act_loses_no_form(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard let it in; the transaction of the act finds no session any more."""
    guard(house)
    olga = owner(house)
    fields = asking_form(olga, house)
    with monkeypatch.context() as patched:
        patched.setattr("bascule.portal.guard.sessions.visitor_of", lambda *_: None)
        answer = olga.client.post(ASK, data=fields, follow_redirects=False)
    assert answer.status_code == 401
    assert "Your session has ended" in text_of(answer.text)
    assert WHY in unescape(answer.text)
    assert live(house) == []


# -- to nobody else ---------------------------------------------------------------------------


def test_another_user_in_that_browser_does_not_see_it(house: House) -> None:
    guard(house)
    olga, omar = owner(house), owner(house, "omar@example.com")
    fields = asking_form(olga, house)
    end_session(olga)
    interrupted(olga, ASK, fields)
    shared = Browser(house)
    shared.client.cookies = olga.client.cookies
    sign_in_again(shared, omar.user.name)
    answer = shared.get(KEPT_PATH)
    assert answer.headers["location"] == "/portal"
    assert WHY not in unescape(answer.text)
    # And it is gone for good: what the next one is shown does not depend on who was there.
    sign_in_again(shared, olga.user.name)
    assert shared.get(KEPT_PATH).headers["location"] == "/portal"


def test_its_user_in_another_browser_does_not_see_it(house: House) -> None:
    """No address leads to a form, so nobody is handed one that another filled in (EDGES C3)."""
    olga, fields = whose_session_ended(house)
    interrupted(olga, ASK, fields)
    other = Browser(house)
    sign_in_again(other, olga.user.name)
    assert other.get(KEPT_PATH).headers["location"] == "/portal"


@pytest.mark.parametrize(
    "whose", ["", "x", "another's", "00000000-0000-4000-8000-000000000000." + "0" * 64]
)
def test_a_form_that_no_page_of_theirs_made_is_not_kept(house: House, whose: str) -> None:
    guard(house)
    olga, omar = owner(house), owner(house, "omar@example.com")
    fields = asking_form(olga, house)
    others = form_of(omar, "/portal/machines/add")["whose"]
    mixed = olga.user.id + "." + others.partition(".")[2]
    fields["whose"] = {"another's": mixed}.get(whose, whose)
    end_session(olga)
    answer = olga.client.post(ASK, data=fields, follow_redirects=False)
    assert answer.headers["location"] == "/signin?next=%2Fportal"
    assert COOKIE not in olga.client.cookies


def test_another_users_form_is_refused_in_a_live_session(house: House) -> None:
    guard(house)
    olga, omar = owner(house), owner(house, "omar@example.com")
    fields = asking_form(olga, house)
    answer = omar.client.post(ASK, data=fields, follow_redirects=False)
    assert answer.status_code == 403
    assert "does not come from a page of your session" in text_of(answer.text)
    assert WHY not in unescape(answer.text)


@pytest.mark.parametrize("origin", ["https://evil.example", "null"])
def test_a_form_from_elsewhere_is_neither_kept_nor_shown(house: House, origin: str) -> None:
    olga, fields = whose_session_ended(house)
    headers = {"Origin": origin}
    answer = olga.client.post(ASK, data=fields, headers=headers, follow_redirects=False)
    assert answer.headers["location"] == "/signin?next=%2Fportal"
    olga.sign_in("/portal", olga.user.name, PASSWORD)
    answer = olga.client.post(ASK, data=fields, headers=headers, follow_redirects=False)
    assert answer.status_code == 403
    assert WHY not in unescape(answer.text)


def test_secrets_are_not_kept(house: House) -> None:
    olga = owner(house)
    path = "/portal/access/providers/add"
    secret = "a-secret-of-a-provider"
    fields = {**form_of(olga, path), "name": "corp", "client_secret": secret}
    end_session(olga)
    interrupted(olga, path, fields)
    texts = [each.text for each in kept_forms(house)]
    assert len(texts) == 1
    assert secret not in texts[0]
    sign_in_again(olga, olga.user.name)
    html = olga.page(KEPT_PATH, 400)
    assert 'value="corp"' in html
    assert secret not in html


def test_forms_that_hold_a_password_do_not_come_back(house: House) -> None:
    olga = owner(house)
    fields = {**form_of(olga, "/portal/account/password"), "new": "a-long-new-pass-phrase"}
    end_session(olga)
    answer = olga.client.post("/portal/account/password", data=fields, follow_redirects=False)
    assert answer.headers["location"] == "/signin?next=%2Fportal"
    assert kept_forms(house) == []


def test_signing_in_leads_back_to_the_page_of_a_form_that_is_not_kept(house: House) -> None:
    olga = owner(house)
    fields = form_of(olga, "/portal/account/password")
    end_session(olga)

    def led_to(referer: str) -> str:
        answer = olga.client.post(
            "/portal/account/password",
            data=fields,
            headers={"Referer": referer},
            follow_redirects=False,
        )
        return str(answer.headers["location"])

    base = str(olga.client.base_url).rstrip("/")
    assert led_to(f"{base}/portal/account?x=1") == "/signin?next=%2Fportal%2Faccount%3Fx%3D1"
    for elsewhere in (f"{base}/signin/you", "https://evil.example/portal/account", "//x", "\\"):
        assert led_to(elsewhere) == "/signin?next=%2Fportal", elsewhere


# -- bounds -----------------------------------------------------------------------------------


def kept_forms(house: House) -> list[KeptForm]:
    def read(reader: Any) -> list[KeptForm]:
        rows = reader._all(select(t.c.ticket_hash))
        found = [reader.kept_form(row.ticket_hash) for row in rows]
        return [each for each in found if each is not None]

    return house.see(read)


def test_what_is_kept_is_bounded_in_number_size_and_time(house: House) -> None:
    now = house.clock.now()
    ids = [f"00000000-0000-4000-8000-{number:012}" for number in range(kept.MOST_FORMS + 10)]

    def add(tx: Any, _: Any) -> None:
        for each in ids:
            tx.put_user(User(each, each, "", True, now))

    house.do(add)

    def keep(number: int, **fields: str) -> str | None:
        whose = {"whose": [kept.whose(house.state, ids[number], house.clock.now())]}
        form = Form({**whose, **{k: [v] for k, v in fields.items()}})
        return asyncio.run(kept.keep(house.state, ASK, form))

    def find(text: str, number: int, at: datetime) -> KeptForm | None:
        return asyncio.run(kept.find(house.state, text, ids[number], at))

    texts = [keep(number) for number in range(len(ids))]
    assert all(texts)
    assert len(kept_forms(house)) == kept.MOST_FORMS
    house.clock.pass_time(kept.PAUSE.total_seconds())
    now = house.clock.now()
    for _ in range(20):
        assert keep(1)
    assert len(kept_forms(house)) == kept.MOST_FORMS
    assert keep(2, why="x" * kept.LONGEST) is None
    text = keep(3)
    assert text is not None
    assert find(text, 3, now + KEPT_FOR / 2) is not None
    assert find(text, 3, now + KEPT_FOR) is None


def test_a_user_makes_few_writes_and_a_disabled_one_none(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What says whose a form is may be sent again and again, by whoever once saw the page."""
    user = User("00000000-0000-4000-8000-000000000001", "una", "", True, house.clock.now())
    house.do(lambda tx, _: tx.put_user(user))
    whose = kept.whose(house.state, user.id, house.clock.now())

    def keep(why: str) -> str | None:
        form = Form({"whose": [whose], "why": [why]})
        return asyncio.run(kept.keep(house.state, ASK, form))

    text = keep("a")
    assert text
    with monkeypatch.context() as patched:
        patched.setattr(house.state.services.store, "write", None)
        assert keep("a") == text, "sent twice at once, it comes back by either answer"
        assert keep("b") is None
        house.clock.pass_time(-READINGS_APART.total_seconds() / 2)
        assert keep("a") == text, "another server reads the clock as a little earlier"
        assert keep("b") is None
    house.clock.pass_time(-3600)
    text = keep("a")
    assert text, "a clock that was set back keeps nobody out"
    house.clock.pass_time(kept.PAUSE.total_seconds())
    assert keep("b") not in (None, text)
    house.clock.pass_time(kept.PAUSE.total_seconds())
    house.do(lambda tx, _: tx.put_user(replace(user, is_enabled=False)))
    monkeypatch.setattr(house.state.services.store, "write", None)
    assert keep("c") is None


def test_a_form_that_is_sent_by_two_clicks_comes_back(house: House) -> None:
    olga, fields = whose_session_ended(house)
    interrupted(olga, ASK, fields)
    text = olga.client.cookies[COOKIE]
    interrupted(olga, ASK, fields)
    assert olga.client.cookies[COOKIE] == text
    sign_in_again(olga, olga.user.name)
    assert WHY in unescape(olga.page(KEPT_PATH, 409))


def test_a_page_says_whose_its_form_is_for_two_days(house: House) -> None:
    """What says it is not for ever: whoever has seen one leaves no form in a browser years later."""
    user_id, now = "00000000-0000-4000-8000-000000000001", house.clock.now()
    said = kept.whose(house.state, user_id, now)

    def owner_after(days: float, text: str = said) -> str:
        return kept.owner_of(house.state, Form({"whose": [text]}), now + timedelta(days=days))

    assert owner_after(0) == owner_after(2) == user_id
    assert owner_after(3) == owner_after(-1) == ""
    later = kept.whose(house.state, user_id, now + timedelta(days=3))
    made_up = ".".join((*later.split(".")[:2], said.split(".")[2]))
    for text in (made_up, "", user_id, f"{user_id}.", f"{user_id}.x.y", f"{user_id}.{'9' * 400}.y"):
        assert owner_after(3, text) == ""


def test_a_form_without_a_session_is_read_no_further_than_its_bound(house: House) -> None:
    guard(house)
    olga = owner(house)
    fields = {**asking_form(olga, house), "more": "x" * 70_000}
    end_session(olga)
    answer = olga.client.post(ASK, data=fields, follow_redirects=False)
    assert answer.headers["location"] == "/signin?next=%2Fportal"


def test_the_cookie_is_of_this_host_and_hidden_from_scripts(house: House) -> None:
    olga, fields = whose_session_ended(house)
    answer = olga.client.post(ASK, data=fields, follow_redirects=False)
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    for part in ("HttpOnly", "Secure", "Path=/", "SameSite=lax", "Max-Age=3600"):
        assert part in cookie
    assert olga.client.cookies[SESSION]
