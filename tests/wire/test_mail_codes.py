"""An address gets nothing but a code until that code is given (EDGES J11)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from email import message_from_bytes, policy
from typing import Any

import pytest

from bascule.domain.access import PrincipalKind
from bascule.domain.delivery import Answer, Outcome, Sink
from bascule.interfaces.delivery import Parcel
from bascule.services.delivery import WayOut
from bascule.services.mail_codes import CodeLetter, code_message, put_back, send_next, take_code
from tests.wire.browsing import add_user
from tests.wire.house import BASCULE, House
from tests.wire.test_mail import call

WRONG = "BCDF-GHJK"


class Relay:
    """A carrier that keeps what it takes, or is away."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.is_away = False

    def objection(self, _: Sink) -> str:
        return ""

    async def carry(self, _: Sink, parcel: Parcel) -> Outcome:
        if self.is_away:
            return Outcome(Answer.LATER, "the relay is away")
        self.taken += parcel.messages
        return Outcome(Answer.TAKEN, "sent")

    async def forget(self, _: str) -> None:
        """Nothing is open."""

    async def close(self) -> None:
        """Nothing is open."""


def way(relay: Relay) -> WayOut:
    return WayOut(relay, "host", "https://bascule.example", "bascule@example.com")


def give(house: House, user: str, address: str) -> Any:
    return call(house, user, "PUT", {"properties": {"address": address}})


def confirm(house: House, user: str, code: str) -> Any:
    client = house.client_of(house.token(user, PrincipalKind.USER, f"{user}/0"))
    path = f"{house.subscription}/providers/Bascule.Identity/me/mail/confirm"
    return client.post(path, json={"code": code}, params={"api-version": BASCULE})


def mail_of(house: House, user: str) -> dict[str, Any]:
    return dict(call(house, user, "GET").json()["properties"])


def taken(house: House) -> CodeLetter:
    letter = house.do(take_code)
    assert letter is not None
    return letter


def wait(house: House, seconds: float) -> None:
    house.clock.pass_time(seconds)


def test_an_address_counts_from_its_code_on_and_not_before(house: House) -> None:
    anna = add_user(house).id
    given = give(house, anna, "anna@home.example").json()["properties"]
    assert (given["address"], given["waitingAddress"]) == (None, "anna@home.example")
    choice = house.see(lambda reader: reader.mail_choice(anna))
    assert choice is not None
    assert choice.addresses(house.clock.now()) == ()
    letter = taken(house)
    assert house.do(take_code) is None, "one code for each time that it is asked for"
    assert confirm(house, anna, WRONG).status_code == 400
    assert confirm(house, anna, letter.code.lower()).status_code == 200
    found = mail_of(house, anna)
    assert (found["address"], found["waitingAddress"]) == ("anna@home.example", None)
    assert confirm(house, anna, letter.code).status_code == 400, "once"
    assert sorted(house.events("MailCodeAsked", "MailChosen")) == [
        *("MailChosen", "MailChosen", "MailCodeAsked")
    ]


def test_the_address_before_stays_until_the_other_is_confirmed(house: House) -> None:
    anna = add_user(house).id
    give(house, anna, "a@old.example")
    confirm(house, anna, taken(house).code)
    give(house, anna, "a@new.example")
    assert mail_of(house, anna)["address"] == "a@old.example"
    confirm(house, anna, taken(house).code)
    found = mail_of(house, anna)
    assert (found["address"], found["previousAddress"]) == ("a@new.example", "a@old.example")
    assert call(house, anna, "DELETE").status_code == 200
    now = house.clock.now()
    choice = house.see(lambda reader: reader.mail_choice(anna))
    assert choice is not None
    assert choice.addresses(now) == ("a@old.example",), "it hears where mail is turned off, too"


def test_a_code_is_for_one_person_one_address_and_an_hour(house: House) -> None:
    anna, ben = (add_user(house, f"{name}@example.com").id for name in ("anna", "ben"))
    give(house, anna, "anna@home.example")
    of_anna = taken(house)
    give(house, ben, "ben@home.example")
    taken(house)
    assert confirm(house, ben, of_anna.code).status_code == 400
    give(house, anna, "other@home.example")
    taken(house)
    assert confirm(house, anna, of_anna.code).status_code == 400, "it was of another address"
    give(house, anna, "third@home.example")
    newest = taken(house)
    wait(house, 3600)
    assert confirm(house, anna, newest.code).json()["error"]["code"] == "NoMailCode"
    assert mail_of(house, anna)["address"] is None


def test_no_code_is_guessed(house: House) -> None:
    anna = add_user(house).id
    give(house, anna, "anna@home.example")
    assert confirm(house, anna, "").json()["error"]["code"] == "NoMailCode", "it was not sent yet"
    letter = taken(house)
    codes = [confirm(house, anna, WRONG).json()["error"]["code"] for _ in range(6)]
    assert codes == ["WrongMailCode"] * 5 + ["MailCodeUsedUp"]
    assert confirm(house, anna, letter.code).status_code == 429
    assert mail_of(house, anna)["address"] is None


def test_nobodys_mailbox_is_flooded(house: House) -> None:
    """By one person with many addresses, nor by many people with one."""
    anna = add_user(house).id
    given = [give(house, anna, f"v{each}@home.example").status_code for each in range(6)]
    assert given == [200] * 5 + [429]
    wait(house, 3601)
    assert give(house, anna, "v7@home.example").status_code == 200
    people = [add_user(house, f"p{each}@example.com").id for each in range(6)]
    given = [give(house, each, "Victim@home.example").status_code for each in people[:3]]
    given += [give(house, each, "victim@HOME.example").status_code for each in people[3:]]
    assert given == [200] * 5 + [429]
    wait(house, 3601)
    assert give(house, people[0], "victim@home.example").status_code == 429, "a day, not an hour"
    wait(house, 86_400)
    assert give(house, people[0], "victim@home.example").status_code == 200


def test_nobody_uses_up_the_codes_of_anothers_address(house: House) -> None:
    """In every hour of the day."""
    eve, anna = add_user(house, "eve@example.com").id, add_user(house).id
    given = []
    for _ in range(6):
        given.append(give(house, eve, "anna@home.example").status_code)
        wait(house, 3601)
    assert given == [200] * 3 + [429] * 3
    assert give(house, anna, "anna@home.example").status_code == 200


def test_ones_user_name_needs_no_code(house: House) -> None:
    """An administrator gave it, or the verified claim of a provider; nobody changes their own."""
    anna = add_user(house, "anna@example.com").id
    assert give(house, anna, "Anna@Example.com").json()["properties"]["address"] is not None
    ben = add_user(house, "ben@example.com").id
    assert give(house, ben, "anna@example.com").json()["properties"]["address"] is None


def test_who_was_disabled_or_gave_up_gets_no_code(house: House) -> None:
    anna = add_user(house).id
    give(house, anna, "anna@home.example")
    assert call(house, anna, "DELETE").status_code == 200
    assert house.do(take_code) is None
    give(house, anna, "anna@home.example")
    user = house.see(lambda reader: reader.user(anna))
    assert user is not None
    house.do(lambda tx, _: tx.put_user(type(user)(user.id, user.name, "", False, user.created_at)))
    assert house.do(take_code) is None


def test_a_relay_that_is_away_gets_another_code_later(house: House) -> None:
    anna, relay = add_user(house).id, Relay()
    give(house, anna, "anna@home.example")
    relay.is_away = True
    assert asyncio.run(send_next(house.services, way(relay))) is False
    assert confirm(house, anna, "").json()["error"]["code"] == "NoMailCode"
    relay.is_away = False
    assert asyncio.run(send_next(house.services, way(relay))) is True
    assert asyncio.run(send_next(house.services, way(relay))) is True
    assert [to_of(each) for each in relay.taken] == ["anna@home.example"]


def test_what_comes_back_late_takes_no_newer_code_away(house: House) -> None:
    anna = add_user(house).id
    give(house, anna, "anna@home.example")
    slow = taken(house)
    give(house, anna, "anna@new.example")
    newer = taken(house)
    house.do(lambda tx, _: put_back(tx, slow))
    assert confirm(house, anna, newer.code).status_code == 200


def to_of(message: bytes) -> str:
    return str(message_from_bytes(message, policy=policy.SMTP)["to"])


@pytest.mark.parametrize("name", ["<b>Ann</b>\r\nBcc: x@y", "=?utf-8?q?x?=", "a\u202eb\u200bc"])
def test_the_mail_has_one_link_and_no_markup_of_others(house: House, name: str) -> None:
    anna = add_user(house).id
    give(house, anna, "anna@home.example")
    letter = taken(house)
    made = code_message(CodeLetter(letter.to, letter.code, name, "fr"), way(Relay()))
    read = message_from_bytes(made.as_bytes(), policy=policy.SMTP)
    assert read["bcc"] is None
    texts: Sequence[str] = [
        str(part.get_content()) for part in read.walk() if part.get_content_maintype() == "text"
    ]
    assert len(texts) == 2
    for text in texts:
        assert text.count("https://") == 1
        assert "<b>Ann" not in text or "<h1>" not in text
        assert "\u202e" not in text
    assert letter.code[:4] in texts[0]
