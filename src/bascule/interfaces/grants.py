"""What the store keeps of grants."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.request import AccessRequest


class GrantReads(Protocol):
    # Each list leaves out what cannot be read any more, and logs it: a row that somebody damaged
    # stops no other.
    def grants_of(self, request_ids: Sequence[str]) -> Sequence[Grant]:
        """All grants of these requests, in the order they were added."""
        ...

    def live_grants(self, machine_uids: Sequence[str] | None = None) -> Sequence[Grant]:
        """opening and open ones; of every machine when None. Ordered by end."""
        ...

    def live_grants_of(self, requestor_ids: Collection[str]) -> Sequence[Grant]:
        """opening and open ones that these principals asked for. Ordered by end."""
        ...

    def due_grants(self, now: datetime) -> Sequence[Grant]:
        """Live ones that time has ended (``domain.grant.due_at``). Ordered by end."""
        ...

    def next_due_grant(self, now: datetime) -> datetime | None:
        """When time ends the next live one; ``now`` or earlier when one is due."""
        ...

    def unsettled_grants(self, machine_uid: str) -> Sequence[Grant]:
        """opening, open and closing ones of a machine."""
        ...

    def grants_in_force(self, machine_uids: Sequence[str]) -> Sequence[Grant]:
        """Those that were read back open and not read back closed since: open ones, and closing
        ones that were open.
        """
        ...

    def orphaned_grants(self) -> Sequence[Grant]:
        """closing ones of machines that have no enforcement point (any more). Ordered by end."""
        ...

    def withdrawn_grants(self) -> Sequence[Grant]:
        """closing ones that were withdrawn from some point. Ordered by end."""
        ...

    def cut_grants(self, machine_uid: str, since: datetime, beyond: int = -1) -> Sequence[Grant]:
        """Those marked to be cut at or after ``since``, whenever they ended, of a generation
        above ``beyond``.
        """
        ...

    def draining_grants_of(
        self, requestor_ids: Collection[str] | None, now: datetime
    ) -> Sequence[Grant]:
        """Those that time ended and whose connections may still stay, that these principals asked
        for; of everybody when None. Ordered by end.
        """
        ...


class ToldGrants(NamedTuple):
    """What a point is told of a machine's grants."""

    live: Sequence[Grant]  # ordered by end
    cuts: Sequence[Grant]  # marked to be cut lately, then those marked before that it has not heard
    draining: Sequence[Grant]  # time ended them, and their connections may still stay


class ToldGrantReads(Protocol):
    def told_grants(
        self, machine_uid: str, now: datetime, lately: datetime, since: datetime, beyond: int
    ) -> ToldGrants:
        """Cuts are those marked since ``lately``, then those marked since ``since`` of a generation
        above ``beyond``.
        """
        ...


class GrantWrites(GrantReads, Protocol):
    def begin_request(self, request: AccessRequest, grants: Sequence[Grant]) -> Sequence[Grant]:
        """Add a request with the grants that it begins with, at least one, and advance the
        generation of each of their machines; returns the grants, each with the generation that
        carries it.
        """
        ...

    def open_request(self, request: AccessRequest, grants: Sequence[Grant]) -> Sequence[Grant]:
        """The same for a request that is there and waits. Raises Conflict where it does not."""
        ...

    def add_grant(self, grant: Grant) -> None:
        """Add one more to a request that is there."""
        ...

    def update_grant(self, grant: Grant, was: GrantState) -> None:
        """Write a grant that was in state ``was``; raise Conflict when it no longer is, or
        when the move is not in GRANT_TRANSITIONS (the database holds that table).
        """
        ...

    def mark_cut(self, grant_id: str, at: datetime) -> None:
        """Record that the sessions of a grant that has ended are to be cut from ``at`` on; a
        later mark takes the place of an earlier one.
        """
        ...
