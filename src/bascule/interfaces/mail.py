"""What the store keeps of where people want mail, and of what they were told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.grant import Grant
from bascule.domain.mail import MailChoice, Unconfirmed
from bascule.domain.request import AccessRequest


class MailReads(Protocol):
    def mail_choice(self, user_id: str) -> MailChoice | None: ...

    def mail_choices(self) -> Sequence[MailChoice]:
        """Of enabled users, by user id."""
        ...

    def mail_choices_asked(
        self, request_id: str, role_ids: Sequence[str], now: datetime
    ) -> Sequence[MailChoice]:
        """Of enabled users who want to hear of requests that wait for them, by user id: those whom rows
        of who is asked name, by themselves or by a group; where a role is asked, those who hold one of
        ``role_ids`` anywhere. Not each of them may approve it.
        """
        ...

    def grants_to_warn_of(self, now: datetime, limit: int = 100) -> Sequence[Grant]:
        """Open ones that end soon, whose requestor wants to hear of that and was not told of that end."""
        ...

    def requests_to_warn_of(self, now: datetime, limit: int = 100) -> Sequence[AccessRequest]:
        """Scheduled ones that start soon, of which nobody was told that yet; none that is to be judged anew."""
        ...

    def unconfirmed(self, user_id: str) -> Unconfirmed | None: ...

    def next_unsent(self, since: datetime) -> Unconfirmed | None:
        """The first of those that were asked for after it whose code was not sent yet."""
        ...

    def codes_asked(self, since: datetime, *, user_id: str = "", address: str = "") -> int:
        """How many codes were asked for after it: by this person, for this folded address, or by anybody for any."""
        ...


class MailWrites(MailReads, Protocol):
    def put_unconfirmed(self, found: Unconfirmed) -> None:
        """In the place of any other of the same person."""
        ...

    def delete_unconfirmed(self, user_id: str) -> None: ...

    def note_code_asked(self, code_id: str, user_id: str, address: str, at: datetime) -> None: ...

    def forget_codes_asked(self, before: datetime) -> None: ...

    def put_mail_choice(self, choice: MailChoice) -> None: ...

    def note_warned(self, grant: Grant) -> None:
        """Its requestor was told of its end as it is now."""
        ...

    def note_start_warned(self, request_id: str) -> None:
        """It was told of it that it starts soon; for the first time, or the transaction fails."""
        ...
