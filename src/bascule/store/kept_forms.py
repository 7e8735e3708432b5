"""Rows of forms that wait for their user."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, select

from bascule.interfaces.kept_forms import KeptForm
from bascule.store.rows import Rows
from bascule.store.tables.kept_forms import kept_forms as t


class KeptFormReads(Rows):
    __slots__ = ()

    def kept_form(self, ticket_hash: str) -> KeptForm | None:
        row = self._first(select(t).where(t.c.ticket_hash == ticket_hash))
        return None if row is None else _kept(row)

    def kept_form_of(self, user_id: str) -> KeptForm | None:
        row = self._first(select(t).where(t.c.user_id == user_id))
        return None if row is None else _kept(row)

    def has_kept_forms(self, kept_by: datetime) -> bool:
        return self._first(select(t.c.user_id).where(t.c.kept_at <= kept_by).limit(1)) is not None


class KeptFormWrites(KeptFormReads):
    __slots__ = ()

    def keep_form(self, form: KeptForm, most: int) -> None:
        values = {
            "ticket_hash": form.ticket_hash,
            "path": form.path,
            "text": form.text,
            "kept_at": form.kept_at,
        }
        self._put(t, {"user_id": form.user_id}, values)
        others = select(t.c.user_id).where(t.c.user_id != form.user_id)
        newest = others.order_by(t.c.kept_at.desc(), t.c.user_id).limit(most - 1)
        self._run(delete(t).where(t.c.user_id.not_in(newest), t.c.user_id != form.user_id))

    def drop_kept_form(self, ticket_hash: str) -> None:
        self._run(delete(t).where(t.c.ticket_hash == ticket_hash))

    def drop_kept_forms(self, kept_by: datetime) -> None:
        self._run(delete(t).where(t.c.kept_at <= kept_by))


def _kept(row: Row[Any]) -> KeptForm:
    return KeptForm(row.ticket_hash, row.user_id, row.path, row.text, row.kept_at)
