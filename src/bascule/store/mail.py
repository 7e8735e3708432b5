"""Rows of where people want mail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, select

from bascule.domain.mail import MailChoice
from bascule.store.rows import Rows
from bascule.store.tables.access import users
from bascule.store.tables.mail import mail_choices as t


class MailReads(Rows):
    __slots__ = ()

    def mail_choice(self, user_id: str) -> MailChoice | None:
        row = self._first(select(t).where(t.c.user_id == user_id))
        return None if row is None else _choice(row)

    def mail_choices(self) -> Sequence[MailChoice]:
        enabled = select(t).join(users).where(users.c.is_enabled)
        return [_choice(row) for row in self._all(enabled.order_by(t.c.user_id))]


class MailWrites(MailReads):
    __slots__ = ()

    def put_mail_choice(self, choice: MailChoice) -> None:
        values = asdict(choice)
        self._put(t, {"user_id": values.pop("user_id")}, values)


def _choice(row: Row[Any]) -> MailChoice:
    return MailChoice(
        row.user_id,
        row.address,
        row.language,
        row.asked,
        row.own,
        row.previous,
        row.previous_until,
    )
