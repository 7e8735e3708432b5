"""Mail through a real SMTP server: what it takes, refuses, or does not offer."""

from __future__ import annotations

import asyncio
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP

from bascule.domain.delivery import Answer, Outcome, parse_target
from bascule.interfaces.delivery import Parcel
from bascule.outward.mail import MailLine, Relay

pytestmark = pytest.mark.sockets

MESSAGE = b"From: b@example.com\r\nTo: <anna@example.com>\r\nSubject: x\r\n\r\nbody\r\n"
OTHER = MESSAGE.replace(b"anna@", b"nobody@")


class Box:
    """Takes mail, but none for nobody@example.com."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], bytes]] = []
        self.says = ""  # for every recipient; empty: takes it

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, to: str, _: Any) -> str:  # noqa: N802  # reason: aiosmtpd's name
        if self.says or to.startswith("nobody@"):
            return self.says or "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # reason: as above
        self.taken.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"


@pytest.fixture
def box() -> Box:
    return Box()


def send(box: Box, target: str, *messages: bytes) -> Outcome:
    """What becomes of them at a server that hands them to the box."""

    async def run() -> Outcome:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(box, loop=loop), "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await line(target, port).carry(Parcel(messages))

    return asyncio.run(run())


def line(target: str, port: int) -> MailLine:
    relay = Relay("127.0.0.1", port, is_tls=False, sender="b@example.com")
    return MailLine(parse_target(target), relay)


def test_a_message_arrives_as_it_is(box: Box) -> None:
    assert send(box, "mailto:anna@example.com", MESSAGE).answer is Answer.TAKEN
    ((sender, to, content),) = box.taken
    assert (sender, to) == ("b@example.com", ["anna@example.com"])
    assert message_from_bytes(content, policy=policy.SMTP)["subject"] == "x"


def test_one_mailbox_that_is_refused_is_said(box: Box) -> None:
    assert send(box, "mailto:nobody@example.com", OTHER).answer is Answer.REFUSED


def test_a_wrong_address_keeps_nobody_else_from_hearing(box: Box) -> None:
    outcome = send(box, "mail:people", OTHER, MESSAGE)
    assert outcome.answer is Answer.TAKEN
    assert "1 refused" in outcome.said
    assert [to for _, to, _ in box.taken] == [["anna@example.com"]]


def test_what_is_refused_for_now_is_tried_again(box: Box) -> None:
    box.says = "451 4.3.0 later"
    assert send(box, "mailto:anna@example.com", MESSAGE).answer is Answer.LATER
    assert send(box, "mail:people", MESSAGE).answer is Answer.TAKEN, "it keeps nobody else waiting"
    assert box.taken == []


def test_a_relay_that_is_away_is_tried_again() -> None:
    outcome = asyncio.run(line("mail:people", 1).carry(Parcel((MESSAGE,))))
    assert outcome.answer is Answer.LATER


def test_nothing_is_sent_unencrypted_to_another_host(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Relay, "is_local", property(lambda _: False))
    outcome = send(box, "mail:people", MESSAGE)
    assert outcome.answer is Answer.LATER
    assert box.taken == []
