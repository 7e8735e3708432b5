"""Who gets mail of a request that waits, and what is in it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

import pytest

from bascule.domain.delivery import parse_target
from bascule.domain.mail import MailChoice
from bascule.domain.pending import Pending
from bascule.domain.principals import User
from bascule.domain.times import format_utc
from bascule.services import mail
from bascule.services.mail import MOST_ALONE, MailEventReads, mail_parcel
from tests.unit.test_services_chat import HOSTILE, NOW, PORTAL, REQUEST_ID, link_of, request_of

SENDER = "bascule@example.com"
ANN = MailChoice("ann", "ann@example.com", "en", asked=True, own=True)
BEN = MailChoice("q", "ben@example.com", "fr", asked=True, own=True)  # the requestor


class Reader:
    """A request, and people who want mail."""

    def __init__(self, *choices: MailChoice, why: str = "ticket") -> None:
        self._choices = choices
        self.waits = True
        self.disabled: set[str] = set()
        self._request = request_of(why, why)

    def request(self, request_id: str) -> Any:
        return self._request if request_id == REQUEST_ID else None

    def mail_choices_asked(self, *_: Any) -> Any:
        return [each for each in self._choices if each.asked]

    def mail_choice(self, user_id: str) -> Any:
        return next((each for each in self._choices if each.user_id == user_id), None)

    def user(self, user_id: str) -> User:
        return User(user_id, user_id, "", user_id not in self.disabled, NOW)

    def pendings_of(self, ids: Any) -> Any:
        decided = None if self.waits else NOW
        return {
            each: Pending(each, "", "", NOW, NOW, {}, (), (), decided_at=decided) for each in ids
        }

    def custom_roles(self) -> Any:
        return ()


@pytest.fixture(autouse=True)
def only_ann_may_approve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "_is_told", lambda _, __, choice, *___: choice.user_id == "ann")


def sent(
    reader: Reader, *events: tuple[str, dict[str, Any]], to: str = "mail:people"
) -> list[EmailMessage]:
    links = [link_of(kind, {"request_id": REQUEST_ID, **data}) for kind, data in events]
    made = mail_parcel(cast("MailEventReads", reader), parse_target(to), links, SENDER, PORTAL, NOW)
    return [message_from_bytes(each, policy=policy.SMTP) for each in made.messages]


def addresses(messages: list[EmailMessage]) -> list[str]:
    return sorted(str(each["to"]) for each in messages)


def body(message: EmailMessage, kind: str = "plain") -> str:
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def test_whoever_may_approve_and_the_requestor_hear_that_it_waits() -> None:
    messages = sent(Reader(ANN, BEN), ("AccessWaiting", {}))
    assert addresses(messages) == ["ann@example.com", "ben@example.com"]
    ann, ben = sorted(messages, key=lambda each: str(each["to"]))
    assert str(ann["subject"]).startswith("Your approval is needed: db-1 port 22")
    assert "Your approval" not in str(ben["subject"])
    assert f"{PORTAL}/portal/requests/{REQUEST_ID}" in body(ann)
    assert body(ann).count("https://") == 1, "one link, to our page"
    assert ann["auto-submitted"] == "auto-generated"


def test_a_turn_is_the_requestors_alone() -> None:
    reader = Reader(ANN, BEN)
    assert addresses(sent(reader, ("AccessNotApproved", {"reason": "no"}))) == ["ben@example.com"]
    ended = {"reason": "UserRequested"}
    assert addresses(sent(reader, ("GrantEnded", ended))) == ["ben@example.com"]
    assert sent(reader, ("GrantEnded", {"reason": "Expired"})) == [], "its end was known"


def test_who_is_disabled_hears_nothing() -> None:
    reader = Reader(BEN)
    reader.disabled.add(BEN.user_id)
    assert sent(reader, ("AccessLapsed", {})) == []


def test_nobody_is_asked_of_what_is_decided() -> None:
    """Its events may be read long after."""
    reader = Reader(ANN, BEN)
    reader.waits = False
    assert addresses(sent(reader, ("AccessWaiting", {}))) == ["ben@example.com"]


def test_nobody_gets_what_they_did_not_choose() -> None:
    assert sent(Reader(), ("AccessWaiting", {})) == []
    quiet = Reader(replace(ANN, asked=False), replace(BEN, own=False))
    assert sent(quiet, ("AccessWaiting", {})) == []
    assert sent(Reader(ANN, BEN), ("MachineChanged", {})) == []


def test_an_address_that_was_replaced_hears_for_a_while() -> None:
    moved = BEN.moved("new@example.com", NOW)
    reader = Reader(moved)
    assert addresses(sent(reader, ("AccessLapsed", {}))) == ["ben@example.com", "new@example.com"]
    assert moved.addresses(NOW + timedelta(days=7)) == ("new@example.com",)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_people_wrote_is_neither_a_header_nor_markup(hostile: str) -> None:
    (message,) = sent(Reader(BEN, why=hostile), ("AccessNotApproved", {"reason": hostile}))
    assert message["bcc"] is None
    assert set(message.keys()) == {
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
    }
    html = body(message, "html")
    assert "<a href" in html
    assert html.count("<a ") == 1
    assert "<!channel>" not in html
    assert "<https" not in html


def test_many_for_one_address_are_one_message_but_for_those_that_are_never_put_together() -> None:
    many: list[tuple[str, dict[str, Any]]] = [("AccessLapsed", {})] * (MOST_ALONE + 1)
    reader = Reader(BEN)
    assert len(sent(reader, *many[1:])) == MOST_ALONE
    (digest,) = sent(reader, *many)
    assert body(digest).count(REQUEST_ID) == len(many)
    to = "mailto:on-call@example.com"
    urgent: list[tuple[str, dict[str, Any]]] = [(kind, {}) for kind in sorted(mail.ALONE)]
    first = sent(reader, *many, *urgent, to=to)
    assert len(first) == len(urgent) + 1
    assert [str(each["subject"])[:7] for each in first[-1:]] == ["Several"], "what is urgent first"
    assert addresses(first) == ["on-call@example.com"] * len(first)


def test_an_end_is_told_to_those_who_chose_it_while_it_is_ahead() -> None:
    soon = {"ends_at": format_utc(NOW + timedelta(minutes=1)), "port": "22/tcp"}
    assert sent(Reader(BEN), ("GrantEndsSoon", soon)) == []
    told = Reader(replace(BEN, own=False, ending=True))
    assert addresses(sent(told, ("GrantEndsSoon", soon))) == ["ben@example.com"]
    assert sent(told, ("GrantEndsSoon", {**soon, "ends_at": format_utc(NOW)})) == [], "it is over"


def test_a_second_delivery_is_seen_to_be_one() -> None:
    once, again = (sent(Reader(BEN), ("AccessLapsed", {}))[0]["message-id"] for _ in range(2))
    assert once == again
