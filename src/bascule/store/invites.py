"""Rows of invitations of replicas."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, insert, select

from bascule.interfaces.invites import ReplicaInvite
from bascule.store.rows import Rows
from bascule.store.tables.invites import replica_invites as table


class InviteReads(Rows):
    __slots__ = ()

    def replica_invite(self, invite_id: str) -> ReplicaInvite | None:
        row = self._first(select(table).where(table.c.id == invite_id))
        return None if row is None else ReplicaInvite(row.id, row.sealed, row.expires_at)


class InviteWrites(InviteReads):
    __slots__ = ()

    def add_replica_invite(self, invite: ReplicaInvite) -> None:
        self._run(
            insert(table),
            {"id": invite.id, "sealed": invite.sealed, "expires_at": invite.expires_at},
        )

    def take_replica_invite(self, invite_id: str) -> bool:
        return self._run(delete(table).where(table.c.id == invite_id)) == 1

    def forget_replica_invites(self, before: datetime) -> None:
        self._run(delete(table).where(table.c.expires_at < before))
