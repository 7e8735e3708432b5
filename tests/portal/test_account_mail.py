"""One's own messages in the portal, without JavaScript."""

from __future__ import annotations

import pytest

from bascule.services.mail_codes import take_code
from tests.portal.visiting import Person, text_of
from tests.wire.house import House

MAIL = "/portal/account/mail"
FORM = {"address": "anna@home.example", "asked": "on", "language": "en"}


@pytest.fixture
def anna(house: House) -> Person:
    return Person(house, "anna@example.com")


def code_for(anna: Person) -> str:
    letter = anna.house.do(take_code)
    assert letter is not None
    return letter.code


def choice_of(anna: Person) -> tuple[str, bool, bool, bool, str]:
    found = anna.house.see(lambda reader: reader.mail_choice(anna.user.id))
    assert found is not None
    return found.address, found.asked, found.own, found.ending, found.language


def test_an_address_is_given_and_confirmed(anna: Person) -> None:
    assert MAIL in anna.page("/portal/account")
    assert "Confirm your address" not in text_of(anna.page(MAIL))
    answer = anna.send(MAIL, FORM)
    assert answer.headers["location"] == f"{MAIL}?notice=mail_code_asked"
    assert choice_of(anna) == ("", True, False, False, "en")
    assert "anna@home.example gets nothing but a code" in text_of(anna.page(MAIL))
    code = code_for(anna)
    wrong = anna.send(f"{MAIL}/confirm", {"code": "BCDF-GHJK"})
    assert wrong.status_code == 400
    assert "The code is not the one of the newest mail." in text_of(wrong.text)
    right = anna.send(f"{MAIL}/confirm", {"code": code})
    assert right.headers["location"] == f"{MAIL}?notice=mail_confirmed"
    assert choice_of(anna)[0] == "anna@home.example"
    page = anna.page(MAIL)
    assert 'value="anna@home.example"' in page
    assert "Confirm your address" not in text_of(page)


def test_a_link_that_is_followed_confirms_nothing(anna: Person) -> None:
    """A mail scanner follows it, or the reader of a preview, or the person without thinking."""
    anna.send(MAIL, FORM)
    code = code_for(anna)
    for _ in range(3):
        page = anna.page(f"{MAIL}?code={code}")
        assert f'value="{code}"' in page
    assert choice_of(anna)[0] == ""
    assert anna.client.post(f"{MAIL}/confirm", data={"code": code}).status_code >= 400, "no proof"
    assert choice_of(anna)[0] == ""


def test_wishes_and_language_are_kept_and_mail_is_turned_off(anna: Person) -> None:
    anna.send(MAIL, {**FORM, "address": "anna@example.com"})
    anna.send(MAIL, {"own": "on", "ending": "on", "language": "fr", "address": "anna@example.com"})
    assert choice_of(anna) == ("anna@example.com", False, True, True, "fr")
    assert anna.send(f"{MAIL}/off").headers["location"] == f"{MAIL}?notice=mail_off"
    assert choice_of(anna)[0] == ""
    assert "anna@example.com hears too until" in text_of(anna.page(MAIL))


def test_what_is_wrong_is_said_above_what_was_filled_in(anna: Person) -> None:
    answer = anna.send(MAIL, {"address": "<b>@x", "ending": "on", "language": "fr"})
    assert answer.status_code == 400
    assert "is not a mail address" in text_of(answer.text)
    assert "<b>@x" not in answer.text
    assert 'name="ending" value="on" checked' in answer.text
    assert 'name="asked" value="on" checked' not in answer.text


def test_a_code_in_the_address_is_text(anna: Person) -> None:
    anna.send(MAIL, FORM)
    page = anna.page(f"{MAIL}?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in page


def test_in_french(anna: Person) -> None:
    anna.send(MAIL, FORM)
    page = text_of(anna.page(MAIL, language="fr"))
    assert "Mes messages" in page
    assert "ne reçoit qu’un code" in page
