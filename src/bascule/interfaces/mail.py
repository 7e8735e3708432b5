"""What the store keeps of where people want mail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bascule.domain.mail import MailChoice


class MailReads(Protocol):
    def mail_choice(self, user_id: str) -> MailChoice | None: ...

    def mail_choices(self) -> Sequence[MailChoice]:
        """Of enabled users, by user id."""
        ...


class MailWrites(MailReads, Protocol):
    def put_mail_choice(self, choice: MailChoice) -> None: ...
