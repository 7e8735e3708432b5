"""Addresses of mail, and what a person wants to hear of by mail.

Source: RFC 5321 4.1.2 (Mailbox, with a dot-string and a domain; quoted strings, address literals and
internationalised mailboxes are not taken) and 4.5.3.1 (lengths).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bascule.errors import InvalidInput
from bascule.sentences import sentence

LONGEST_ADDRESS = 254
OLD_ADDRESS_HEARS = timedelta(days=7)  # after a change (EDGES J11)
CODE_LIFE = timedelta(hours=1)  # of the code that confirms an address
MOST_TRIES = 5  # of one code
MOST_CODES_AN_HOUR = 5  # that one person may ask for
MOST_CODES_A_DAY = 5  # that go to one address, whoever asks
MOST_CODES_A_DAY_OF_ONE = 3  # of those, that one person may ask for: nobody uses up another's
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
    ending: bool = False  # that access of their own starts or ends soon
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
        is_kept = bool(self.previous) and until is not None and now < until
        return replace(
            self,
            address=address,
            previous=self.previous if is_kept else self.address,
            previous_until=until if is_kept or not self.address else now + OLD_ADDRESS_HEARS,
        )


@dataclass(frozen=True, slots=True)
class Unconfirmed:
    """An address that somebody gave. It gets nothing but a code until they have given that code."""

    user_id: str
    address: str
    asked_at: datetime
    code_hash: str = ""  # empty: the code was not sent yet
    tries: int = 0  # wrong ones

    @property
    def until(self) -> datetime:
        return self.asked_at + CODE_LIFE


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
