"""A host becomes a replica: by a one-time token that was made on the host of another (EDGES H7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.facts.replicas import ReplicaInvited, ReplicaJoined, ReplicaRefused
from bascule.domain.times import format_utc
from bascule.interfaces.invites import InviteWrites, ReplicaInvite
from bascule.interfaces.record import EventWrites
from bascule.services.act import Act

INVITE_LIFE = timedelta(minutes=15)
KEPT_FOR = timedelta(days=1)  # after its end, so that who comes too late is told so

_UNKNOWN = "its token is unknown or was already used"


class InviteActWrites(InviteWrites, EventWrites, Protocol):
    """Invitations, and the record."""


@dataclass(frozen=True, slots=True)
class NotJoined:
    """An answer, so that its event is kept."""

    why: str


def invite(
    tx: InviteActWrites, act: Act, invite_id: str, seal: Callable[[datetime], str]
) -> ReplicaInvite:
    ends_at = act.now + INVITE_LIFE
    made = ReplicaInvite(invite_id, seal(ends_at), ends_at)
    forget_old_invites(tx, act)
    tx.add_replica_invite(made)
    act.record(tx, ReplicaInvited(invite_id, format_utc(ends_at)))
    return made


def forget_old_invites(tx: InviteWrites, act: Act) -> None:
    tx.forget_replica_invites(act.now - KEPT_FOR)


def why_refused(ends_at: datetime | None, now: datetime) -> str:
    """Of an invitation that ends then; None: it is unknown, or its secret is another. Empty: it is
    not refused.
    """
    if ends_at is None:
        return _UNKNOWN
    return "its token has expired" if ends_at <= now else ""


def join(
    tx: InviteActWrites,
    act: Act,
    invite_id: str,
    host: str,
    end_of: Callable[[ReplicaInvite], datetime | None],
) -> NotJoined | None:
    """Use the token up; ``end_of`` says when it ends, or None when it is not this invitation's."""
    found = tx.replica_invite(invite_id)
    why = why_refused(None if found is None else end_of(found), act.now)
    if why or not tx.take_replica_invite(invite_id):
        act.record(tx, ReplicaRefused(host, why or _UNKNOWN))
        return NotJoined(why or _UNKNOWN)
    act.record(tx, ReplicaJoined(invite_id, host))
    return None
