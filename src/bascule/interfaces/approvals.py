"""What the store keeps of requests that wait for approval."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import RequestState
from bascule.domain.pending import Pending
from bascule.domain.policy import Policy
from bascule.domain.roles import Reach
from bascule.domain.rules import Held
from bascule.domain.stages import Vote
from bascule.errors import Problem
from bascule.interfaces.policies import StoredPolicy


class AskedBy(StrEnum):
    """By what somebody is asked."""

    USER = "user"
    GROUP = "group"
    ROLE = "role"


@dataclass(frozen=True, slots=True)
class AskedOne:
    """A row of who is asked."""

    by: AskedBy
    who: str  # an id; of a role the key of a machine at which it must be held
    since: datetime


@dataclass(frozen=True, slots=True)
class Approver:
    """What makes somebody asked."""

    principal_id: str
    groups: frozenset[str]
    reach: Reach  # of the right to approve


class ApprovalReads(Protocol):
    def pendings_of(self, request_ids: Sequence[str]) -> Mapping[str, Pending]:
        """By request id; those that never waited are missing."""
        ...

    def waiting_same(self, requestor_id: str, same: str) -> str | None:
        """The id of the request of theirs that waits for the same."""
        ...

    def count_waiting(self, requestor_id: str, most: int) -> int:
        """How many of theirs wait, counted up to ``most``."""
        ...

    def count_waiting_for(self, approver: Approver, now: datetime, most: int) -> int:
        """How many wait for them now, counted up to ``most``."""
        ...

    def asked_of(self, request_id: str) -> Sequence[AskedOne]:
        """Who is asked now; nobody where it does not wait."""
        ...

    def due_approvals(self, limit: int = 100) -> Sequence[str]:
        """Ids of requests that are to be judged anew."""
        ...

    def approvals_to_ask(self, limit: int = 100) -> Sequence[str]:
        """Ids of requests that go on when ticket systems were asked again."""
        ...

    def over_approvals(self, now: datetime, limit: int = 100) -> Sequence[str]:
        """Ids of requests that have waited as long as they may."""
        ...

    def due_escalations(self, now: datetime, limit: int = 100) -> Sequence[str]:
        """Ids of requests of which others are asked from now on, which is not on record yet."""
        ...

    def next_approval(self, now: datetime) -> datetime | None:
        """When the first of any of these is due, or the first start."""
        ...

    def due_starts(self, now: datetime, limit: int = 100) -> Sequence[str]:
        """Ids of scheduled requests whose start has come, the earliest first."""
        ...

    def with_starts(self, limit: int = 100) -> Sequence[str]:
        """Ids of requests with a start that wait, for approval or for it."""
        ...

    def clock_start(self, boot: str) -> datetime | None:
        """When that boot of a server's host began by the wall clock, as noted; None: it was not."""
        ...

    def waiting_voted_by(self, principal_ids: Collection[str] | None) -> Sequence[str]:
        """Ids of requests that wait, with a yes of one of these; None: of anybody."""
        ...

    def policies_judging(self, machines: Sequence[ResourceId]) -> Sequence[Policy]:
        """Those with rules or approvals that name one of these machines, with what they say of these
        machines and no other. Ordered by id key.
        """
        ...

    def policies_with_approval(self) -> Sequence[StoredPolicy]:
        """All that have rules or approvals, ordered by id key."""
        ...

    def held_since(self, requestor_id: str, machine_uids: Sequence[str], since: datetime) -> Held:
        """From when to when grants of theirs were open there, or may have been, at or after it."""
        ...


class ApprovalWrites(ApprovalReads, Protocol):
    def put_pending(self, requestor_id: str, pending: Pending, asked: Sequence[AskedOne]) -> None:
        """Add or replace all but the votes; it is not due any more."""
        ...

    def add_vote(self, request_id: str, vote: Vote) -> None: ...

    def void_votes(self, request_id: str, principal_id: str) -> None: ...

    def rest_votes(
        self, request_id: str, principal_id: str, until: datetime | None, provider_id: str
    ) -> None:
        """Their yeses that are not void rest on a membership with this end."""
        ...

    def move_request(
        self,
        request_id: str,
        was: RequestState,
        to: RequestState,
        reasons: Sequence[Problem] = (),
    ) -> None:
        """Raises Conflict where it is in another state."""
        ...

    def judge_anew(
        self,
        *,
        machines: Collection[ResourceId] = (),
        requestor_ids: Collection[str] | None = (),
        request_ids: Collection[str] = (),
    ) -> None:
        """Mark what waits for one of these machines, or of these requestors (None: of all)."""
        ...

    def note_clock_start(self, boot: str, at: datetime) -> None: ...

    def forget_clock_starts(self) -> None:
        """Of every boot."""
        ...


class MakerReads(Protocol):
    def makers_of(
        self, what: str, ids: Collection[str]
    ) -> Sequence[tuple[str, str, datetime, bool]]:
        """Id, maker, when, and whether it was the first of a new account of the maker's."""
        ...


class MakerWrites(MakerReads, Protocol):
    def note_maker(
        self, what: str, made_id: str, maker_id: str, at: datetime, *, is_first: bool = False
    ) -> None: ...
