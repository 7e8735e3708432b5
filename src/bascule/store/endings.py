"""Rows of what ends soon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, true

from bascule.domain.principals import Credential
from bascule.store.principals import credential_of_row
from bascule.store.rows import Rows
from bascule.store.tables import access as t
from bascule.store.tables.endings import told_endings as told


class EndingReads(Rows):
    __slots__ = ()

    def credentials_ending(
        self, after: datetime, before: datetime
    ) -> Sequence[tuple[Credential, str]]:
        table, holders = t.credentials, t.service_principals
        wanted = (
            select(table, holders.c.display_name.label("holder"))
            .join(holders, holders.c.id == table.c.principal_id)
            .where(table.c.expires_at > after, table.c.expires_at <= before)
            .where(holders.c.is_enabled == true())
            .order_by(table.c.expires_at, table.c.key_id)
        )
        return [(credential_of_row(row), row.holder) for row in self._all(wanted)]

    def told_endings(self) -> Mapping[tuple[str, datetime], int]:
        return {(row.id, row.ends_at): row.days for row in self._all(select(told))}


class EndingWrites(EndingReads):
    __slots__ = ()

    def put_told_ending(self, ending_id: str, ends_at: datetime, days: int) -> None:
        self._run(delete(told).where(told.c.id == ending_id, told.c.ends_at == ends_at))
        self._run(insert(told), {"id": ending_id, "ends_at": ends_at, "days": days})

    def forget_told_endings(self, before: datetime) -> None:
        self._run(delete(told).where(told.c.ends_at < before))
