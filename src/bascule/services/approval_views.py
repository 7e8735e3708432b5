"""What faces show of requests that wait or waited for approval; read only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.ids import ResourceId
from bascule.domain.net import RuleProtocol
from bascule.domain.pending import Pending, longest_of, reach_of
from bascule.domain.policy import Policy
from bascule.domain.request import AccessRequest
from bascule.domain.stages import Approvers, DueStage, Vote
from bascule.interfaces.approvals import ApprovalReads, MakerReads
from bascule.interfaces.policies import PolicyReads, StoredPolicy
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.requests import RequestReads
from bascule.interfaces.roles import RoleReads
from bascule.services.approvers import counted_votes, is_asked, why_not


class ApprovalViewReads(
    ApprovalReads, MakerReads, PolicyReads, PrincipalReads, RequestReads, RoleReads, Protocol
):
    """Who is asked, and what they are called."""


@dataclass(frozen=True, slots=True)
class Named:
    """A user or group; without a name where it is not there any more."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class ShownApprovers:
    users: tuple[Named, ...]
    groups: tuple[Named, ...]
    by_role: bool


@dataclass(frozen=True, slots=True)
class ShownVote:
    vote: Vote
    counts: bool


@dataclass(frozen=True, slots=True)
class ShownStage:
    due: DueStage
    state: str  # met, asked, later
    approvers: ShownApprovers
    escalate_to: ShownApprovers | None
    asked_since: datetime | None
    escalates_at: datetime | None
    is_escalated: bool
    votes: tuple[ShownVote, ...]

    @property
    def given(self) -> int:
        return sum(each.counts for each in self.votes)


@dataclass(frozen=True, slots=True)
class ApprovalView:
    pending: Pending
    length: timedelta | None  # the longest that is asked for as a length; None: none is
    ends_at: datetime | None  # the latest end that is asked for as one; None: none is
    up_to: timedelta | None  # the longest that is asked for with its extensions; None: no longer
    stages: tuple[ShownStage, ...]
    may_approve: bool
    may_deny: bool
    may_withdraw: bool
    why_not: str  # the code of the refusal to approve; empty: they may
    # By machine and port, what the policy opens there now that is not TCP alone.
    beyond_tcp: Mapping[tuple[ResourceId, int], tuple[RuleProtocol, ...]] = field(
        default_factory=dict
    )


def view_approvals(
    reader: ApprovalViewReads,
    requests: Sequence[AccessRequest],
    subject: Subject | None,
    now: datetime,
) -> Mapping[str, ApprovalView]:
    """By request id; of those that never waited there is none. ``subject`` is who looks."""
    wanted = [each for each in requests if each.has_waited]
    if not wanted:
        return {}
    known = reader.pendings_of([each.id for each in wanted])
    names, policy = _Names(reader), cache(reader.policy)
    return {
        each.id: _view(reader, each, known[each.id], subject, now, names, policy)
        for each in wanted
        if each.id in known and known[each.id].stages  # it needed somebody
    }


def shown_due(reader: PrincipalReads, stages: Sequence[DueStage]) -> tuple[ShownStage, ...]:
    """Stages that a request would pass; nobody is asked yet."""
    names = _Names(reader)
    return tuple(
        ShownStage(
            due=due,
            state="later",
            approvers=names.approvers(due.stage.approvers),
            escalate_to=None
            if due.stage.escalate_after is None
            else names.approvers(due.stage.escalate_to),
            asked_since=None,
            escalates_at=None,
            is_escalated=False,
            votes=(),
        )
        for due in stages
    )


class _Names:
    """Of users and groups, each looked up once."""

    def __init__(self, reader: PrincipalReads) -> None:
        self._reader = reader
        self._users: dict[str, str] = {}
        self._groups: dict[str, str] = {}

    def approvers(self, approvers: Approvers) -> ShownApprovers:
        return ShownApprovers(
            tuple(Named(each, self._user(each)) for each in approvers.users),
            tuple(Named(each, self._group(each)) for each in approvers.groups),
            approvers.by_role,
        )

    def _user(self, user_id: str) -> str:
        if user_id not in self._users:
            user = self._reader.user(user_id)
            self._users[user_id] = "" if user is None else user.display_name or user.name
        return self._users[user_id]

    def _group(self, group_id: str) -> str:
        if group_id not in self._groups:
            group = self._reader.group(group_id)
            self._groups[group_id] = "" if group is None else group.name
        return self._groups[group_id]


def _view(
    reader: ApprovalViewReads,
    request: AccessRequest,
    pending: Pending,
    subject: Subject | None,
    now: datetime,
    names: _Names,
    policy: Callable[[ResourceId], StoredPolicy | None],
) -> ApprovalView:
    waits = pending.decided_at is None and pending.opens_at is None
    counted = counted_votes(reader, request, pending, now) if waits else pending.named()
    asked = pending.asked(counted) if waits else None
    length, ends_at = longest_of(request)
    stored = policy(request.policy_id)
    refusal = None if subject is None else why_not(reader, request, pending, subject, now)
    waits_on = waits and now < pending.pending_until
    return ApprovalView(
        pending=pending,
        length=length,
        ends_at=ends_at,
        up_to=reach_of(request),
        stages=tuple(_stages(pending, counted, asked, now, names)),
        may_approve=subject is not None and refusal is None,
        may_deny=waits_on
        and subject is not None
        and is_asked(reader, subject.principal_id, pending, now),
        may_withdraw=pending.decided_at is None
        and now < pending.pending_until
        and subject is not None
        and subject.principal_id == request.requestor_id,
        why_not="" if refusal is None else refusal.specific_code,
        beyond_tcp={} if stored is None else _beyond_tcp(stored.policy, request),
    )


def _beyond_tcp(
    policy: Policy, request: AccessRequest
) -> Mapping[tuple[ResourceId, int], tuple[RuleProtocol, ...]]:
    found = {}
    for machine in request.machines:
        rules = policy.rules_for(machine.machine_id)
        if rules is None:
            continue
        for port in machine.ports:
            protocols = tuple(
                sorted(each.protocol for each in rules.ports if each.number == port.number)
            )
            if set(protocols) - {RuleProtocol.TCP}:
                found[machine.machine_id, port.number] = protocols
    return found


def _stages(
    pending: Pending,
    counted: Sequence[Vote],
    asked: int | None,
    now: datetime,
    names: _Names,
) -> Iterable[ShownStage]:
    for n, due in enumerate(pending.stages):
        stage, since = due.stage, pending.asked_since[n]
        votes = tuple(ShownVote(each, each in counted) for each in pending.votes if each.stage == n)
        given = sum(each.counts for each in votes)
        after = stage.escalate_after
        at = None if after is None or since is None else since + after
        yield ShownStage(
            due=due,
            state="met" if given >= stage.needed else "asked" if n == asked else "later",
            approvers=names.approvers(stage.approvers),
            escalate_to=None if after is None else names.approvers(stage.escalate_to),
            asked_since=since,
            escalates_at=at,
            is_escalated=at is not None and at <= now,
            votes=votes,
        )
