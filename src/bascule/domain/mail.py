"""Addresses of mail, and what a person wants to hear of by mail.

Source: RFC 5321 4.1.2 (Mailbox, with a dot-string and a domain; quoted strings, address literals and
internationalised mailboxes are not taken) and 4.5.3.1 (lengths).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from bascule.errors import InvalidInput
from bascule.sentences import sentence

LONGEST_ADDRESS = 254
OLD_ADDRESS_HEARS = timedelta(days=7)  # after a change (EDGES J11)
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(
    rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*"
)


@dataclass(frozen=True, slots=True)
class MailChoice:
    """Where a person wants mail, and of what."""

    user_id: str
    address: str  # empty: no mail any more; the one before may still hear
    language: str  # of the texts: en, fr
    asked: bool  # of requests that wait for their approval
    own: bool  # of what becomes of their own requests
    previous: str = ""  # the address before
    previous_until: datetime | None = None  # it hears too, until then

    def addresses(self, now: datetime) -> tuple[str, ...]:
        """The address, and for a while the one before it."""
        is_new = self.previous_until is not None and now < self.previous_until
        both = (self.address, self.previous) if is_new else (self.address,)
        return tuple(each for each in both if each)

    def moved(self, address: str, now: datetime) -> MailChoice:
        """With another address; the one that is replaced hears too for a while."""
        if address == self.address:
            return self
        # Of two changes within that time, the address before both hears on.
        until = self.previous_until
        is_kept = until is not None and now < until
        return MailChoice(
            self.user_id,
            address,
            self.language,
            self.asked,
            self.own,
            self.previous if is_kept else self.address,
            until if is_kept else now + OLD_ADDRESS_HEARS,
        )


def parse_mail_address(text: str, target: str = "") -> str:
    """A mailbox; raises InvalidInput."""
    # "=?" begins an encoded word (RFC 2047), which is no mailbox to those who read headers.
    if len(text) > LONGEST_ADDRESS or "=?" in text or _ADDRESS.fullmatch(text) is None:
        raise InvalidInput(
            sentence(
                "{address} is not a mail address. Write it as anna@example.com.",
                address=repr(text[:80]),
            ),
            code="InvalidMailAddress",
            target=target,
        )
    return text
