"""Invitations of replicas: each lets one host become a server of the installation (EDGES H7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ReplicaInvite:
    id: str
    # Hash of its secret, and its end: by the wrapping key, so that who can write the database alone
    # invites nobody.
    sealed: str = field(repr=False)
    expires_at: datetime


class InviteReads(Protocol):
    def replica_invite(self, invite_id: str) -> ReplicaInvite | None:
        """One that was not used; ended or not."""
        ...


class InviteWrites(InviteReads, Protocol):
    def add_replica_invite(self, invite: ReplicaInvite) -> None: ...

    def take_replica_invite(self, invite_id: str) -> bool:
        """Use it up; False when it is not there (any more). Atomic."""
        ...

    def forget_replica_invites(self, before: datetime) -> None:
        """Those that ended before then."""
        ...
