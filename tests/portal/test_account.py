"""My account: every change by a fresh proof, secrets shown once, sessions known and ended."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from typing import Any

import pyotp
import pytest

from bascule.portal import guard
from bascule.portal.user_agent import browser_of
from tests.portal.visiting import Person, owner, text_of
from tests.support.authenticator import Authenticator
from tests.wire.browsing import PASSWORD, Browser
from tests.wire.house import House

ACCOUNT = "/portal/account"
NEXT = "four other words here"
PROOF = {"proof": "password", "proof_text": PASSWORD}


@pytest.fixture
def anna(house: House) -> Person:
    return Person(house, "anna@example.com")


def code_of(anna: Person, secret: str) -> str:
    return pyotp.TOTP(secret).at(int(anna.house.clock.wall.timestamp()))


def hidden(html: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', html)
    assert found, name
    return unescape(found[1])


def options(html: str, attribute: str) -> Any:
    found = re.search(rf'{attribute}="([^"]*)"', html)
    assert found, attribute
    return json.loads(unescape(found[1]))


def enrol_totp(anna: Person) -> str:
    page = anna.send(f"{ACCOUNT}/totp", PROOF).text
    uri = hidden(page, "uri")
    secret = pyotp.parse_uri(uri).secret
    answer = anna.send(f"{ACCOUNT}/totp/confirm", {"uri": uri, "code": code_of(anna, secret)})
    assert answer.headers["location"] == f"{ACCOUNT}?notice=totp_enrolled"
    anna.house.clock.pass_time(60)
    return secret


def enrol_passkey(anna: Person, name: str = "blue key") -> Authenticator:
    device = Authenticator()
    page = anna.send(f"{ACCOUNT}/passkeys", {**PROOF, "name": name}).text
    made = device.create(options(page, "data-passkey-create"))
    sent = {"name": name, "ticket": hidden(page, "ticket"), "answer": json.dumps(made)}
    answer = anna.send(f"{ACCOUNT}/passkeys/create", sent)
    assert answer.status_code == 303, text_of(answer.text)
    return device


def test_what_there_is_in_both_languages(anna: Person) -> None:
    text = text_of(anna.page(ACCOUNT))
    for words in ("How you sign in", "Not set up", "Where you are signed in", "This browser"):
        assert words in text
    text = text_of(anna.page(ACCOUNT, language="fr"))
    for words in ("Comment vous vous connectez", "Non configurée", "Ce navigateur"):
        assert words in text
    for path in ("password", "totp", "totp/remove", "recovery", "passkeys"):
        english, french = (anna.page(f"{ACCOUNT}/{path}", language=each) for each in ("en", "fr"))
        assert "Prove that it is you" in english
        assert "Prouvez votre identité" in french


def test_a_password_is_changed_and_this_browser_stays(anna: Person) -> None:
    elsewhere = Browser(anna.house)
    assert elsewhere.sign_in().status_code == 303
    fields = {**PROOF, "password": NEXT, "again": NEXT}
    answer = anna.send(f"{ACCOUNT}/password", fields)
    assert answer.headers["location"] == f"{ACCOUNT}?notice=password_changed"
    assert "is changed" in anna.page(answer.headers["location"])
    assert elsewhere.get("/portal").status_code == 303
    assert Browser(anna.house).sign_in(password=NEXT).status_code == 303


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"proof": "password", "proof_text": "wrong"}, 403, "The proof is wrong"),
        ({"proof": "password", "proof_text": ""}, 400, "The proof is empty"),
        ({"proof": "session"}, 400, "Choose how you prove"),
        ({"proof": "passkey", "proof_answer": "{}"}, 403, "The proof is wrong"),
        ({"proof": "passkey", "proof_answer": "["}, 400, "sent no passkey response"),
        ({"proof": "totp", "proof_text": "000000"}, 403, "The proof is wrong"),
    ],
)
def test_a_session_alone_changes_nothing(
    anna: Person, fields: dict[str, str], status: int, says: str
) -> None:
    """EDGES B4: a stolen session must not become a way in that stays."""
    enrol_totp(anna)
    enrol_passkey(anna)
    (key,) = anna.house.see(lambda reader: reader.passkeys_of(anna.user.id))
    before = anna.house.see(
        lambda r: (r.password(anna.user.id), r.totp(anna.user.id, is_active=True))
    )
    for path, more in (
        ("password", {"password": NEXT, "again": NEXT}),
        ("totp", {}),
        ("totp/remove", {}),
        ("recovery", {}),
        ("passkeys", {"name": "mine"}),
        ("passkeys/remove", {"id": key.id}),
    ):
        answer = anna.send(f"{ACCOUNT}/{path}", {**fields, **more})
        assert answer.status_code in (status, 429), (path, text_of(answer.text))
        assert says in answer.text or answer.status_code == 429, (path, text_of(answer.text))
        assert NEXT not in answer.text
    after = anna.house.see(
        lambda r: (r.password(anna.user.id), r.totp(anna.user.id, is_active=True))
    )
    assert after == before
    assert len(anna.house.see(lambda reader: reader.passkeys_of(anna.user.id))) == 1
    assert anna.house.see(lambda reader: reader.recovery_codes(anna.user.id)) is None


def test_a_weak_or_mistyped_password_is_refused_with_all_that_is_wrong(anna: Person) -> None:
    short = anna.send(f"{ACCOUNT}/password", {**PROOF, "password": "short", "again": "short"})
    assert short.status_code == 400
    differ = anna.send(f"{ACCOUNT}/password", {**PROOF, "password": NEXT, "again": "x"})
    assert "differ" in differ.text
    assert NEXT not in differ.text
    assert Browser(anna.house).sign_in().status_code == 303  # by the old one


def test_an_app_is_set_up_by_a_picture_or_a_key_and_a_first_code(anna: Person) -> None:
    page = anna.send(f"{ACCOUNT}/totp", PROOF).text
    uri = hidden(page, "uri")
    secret = pyotp.parse_uri(uri).secret
    assert "<svg" in page
    assert secret in re.sub(r"\s", "", text_of(page))
    wrong = anna.send(f"{ACCOUNT}/totp/confirm", {"uri": uri, "code": "000000"})
    assert (wrong.status_code, "The code is wrong" in wrong.text) == (400, True)
    assert hidden(wrong.text, "uri") == uri
    crafted = anna.send(f"{ACCOUNT}/totp/confirm", {"uri": "javascript:alert(1)", "code": "000000"})
    assert "javascript:" not in crafted.text
    right = anna.send(f"{ACCOUNT}/totp/confirm", {"uri": uri, "code": code_of(anna, secret)})
    assert right.status_code == 303
    assert secret not in anna.page(ACCOUNT)
    accepted = Browser(anna.house).sign_in()
    assert accepted.headers["location"].startswith("/signin/factor")
    anna.house.clock.pass_time(60)
    proof = {"proof": "totp", "proof_text": code_of(anna, secret)}
    assert anna.send(f"{ACCOUNT}/totp/remove", proof).status_code == 303
    assert anna.house.see(lambda r: r.totp(anna.user.id, is_active=True)) is None


def test_recovery_codes_are_shown_once_and_kept_as_a_file(anna: Person) -> None:
    enrol_totp(anna)
    page = anna.send(f"{ACCOUNT}/recovery", PROOF).text
    codes = re.findall(r"<code>([0-9A-Z-]{19})</code>", page)
    assert len(codes) == 10
    assert not [each for each in codes if each in anna.page(ACCOUNT)]
    file = anna.send(f"{ACCOUNT}/recovery/file", {"code": [*codes, "<script>"]})
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.headers["content-type"].startswith("text/plain")
    assert [line for line in file.text.splitlines() if line in codes] == codes
    assert "script" not in file.text
    proof = {"proof": "recoveryCode", "proof_text": codes[0]}
    assert anna.send(f"{ACCOUNT}/recovery", proof).status_code == 200
    assert anna.send(f"{ACCOUNT}/recovery", proof).status_code == 403  # once


def test_a_passkey_is_added_proves_and_is_removed(anna: Person) -> None:
    device = enrol_passkey(anna)
    assert "blue key" in anna.page(ACCOUNT)
    (key,) = anna.house.see(lambda reader: reader.passkeys_of(anna.user.id))
    page = anna.page(f"{ACCOUNT}/passkeys/remove?id={key.id}")
    shown = device.get(options(page, "data-passkey-get"))
    proof = {
        "proof": "passkey",
        "proof_ticket": hidden(page, "proof_ticket"),
        "proof_answer": json.dumps(shown),
        "id": key.id,
    }
    assert anna.send(f"{ACCOUNT}/passkeys/remove", proof).status_code == 303
    assert anna.house.see(lambda reader: reader.passkeys_of(anna.user.id)) == []
    assert anna.send(f"{ACCOUNT}/passkeys/remove", {**PROOF, "id": key.id}).status_code == 404


def test_a_form_that_comes_after_its_session_was_ended_adds_no_passkey(
    anna: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ticket stands for the proof, and not for the session."""
    page = anna.send(f"{ACCOUNT}/passkeys", {**PROOF, "name": "mine"}).text
    made = Authenticator().create(options(page, "data-passkey-create"))
    sent = {"name": "mine", "ticket": hidden(page, "ticket"), "answer": json.dumps(made)}
    take = guard._with_form

    async def taking(visit: guard.Visit, endpoint: Callable[..., Any]) -> guard.Visit:
        visit = await take(visit, endpoint)
        ended = replace(visit.visitor.user, epoch=visit.visitor.user.epoch + 1)
        await anna.house.services.perform(lambda tx, _: tx.put_user(ended))
        return visit

    monkeypatch.setattr(guard, "_with_form", taking)
    answer = anna.send(f"{ACCOUNT}/passkeys/create", sent)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/signin?")
    assert anna.house.see(lambda reader: reader.passkeys_of(anna.user.id)) == []


def test_anothers_passkey_and_sessions_are_nobody_elses(anna: Person, house: House) -> None:
    enrol_passkey(anna)
    (key,) = house.see(lambda reader: reader.passkeys_of(anna.user.id))
    olga = owner(house)
    assert olga.send(f"{ACCOUNT}/passkeys/remove", {**PROOF, "id": key.id}).status_code == 404
    (session,) = house.see(lambda reader: reader.sessions_of(anna.user.id))
    assert session.id not in olga.page(ACCOUNT)
    assert olga.send(f"{ACCOUNT}/sessions/end", {"id": session.id}).status_code == 404
    assert olga.send(f"{ACCOUNT}/sessions/end-others").status_code == 303
    assert anna.get("/portal").status_code == 200
    accepted = house.see(lambda reader: len(reader.passkeys_of(anna.user.id)))
    assert accepted == 1


def test_sessions_are_ended_one_and_all_others(anna: Person) -> None:
    one, two = Browser(anna.house, "203.0.113.1"), Browser(anna.house, "203.0.113.2")
    for browser in (one, two):
        assert browser.sign_in().status_code == 303
    page = anna.page(ACCOUNT)
    assert "203.0.113.1" in page
    for cookie in (each.client.cookies["__Host-bascule"] for each in (one, two, anna)):
        assert cookie not in page
    listed = anna.house.see(lambda reader: reader.sessions_of(anna.user.id))
    wanted = next(each.id for each in listed if each.origin.address == "203.0.113.1")
    assert anna.send(f"{ACCOUNT}/sessions/end", {"id": wanted}).status_code == 303
    assert (one.get("/portal").status_code, two.get("/portal").status_code) == (303, 200)
    assert anna.send(f"{ACCOUNT}/sessions/end-others").status_code == 303
    assert two.get("/portal").status_code == 303
    assert anna.get("/portal").status_code == 200


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox, Linux",
        ),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge, Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari, iPhone",
        ),
        ("Firefox/1", "Firefox"),
        ("curl/8.5.0", "curl/8.5.0"),
        ("x" * 100, "x" * 60),
        ("", ""),
    ],
)
def test_a_browser_in_words(text: str, words: str) -> None:
    assert browser_of(text) == words
