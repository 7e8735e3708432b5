"""A request that waits for approval: what is approved, by whom, until when (EDGES J6 to J8).

A yes names the digest of what it approves. Where anything of that changes, the digest is another
one, and yeses given before no longer count.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from bascule.domain.machine import Machine
from bascule.domain.request import AccessRequest, RequestedPort
from bascule.domain.stages import Approvers, DueStage, Stage, Vote, first_unmet
from bascule.domain.tickets import Answered
from bascule.domain.times import format_utc
from bascule.errors import Problem
from bascule.sentences import sentence

MOST_WAITING = 20  # requests of one person, for approval or for their start
LATEST = timedelta(minutes=5)  # after its start nothing is opened any more (EDGES J9)
FURTHEST_START = timedelta(days=30)
Opened = tuple[str, int, str]  # a machine's uid, a port's number, and its rule's protocol


@dataclass(frozen=True, slots=True)
class Denial:
    """One person's no, which is enough."""

    principal_id: str
    name: str
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Pending:
    """What is kept of a request beside what it asks for."""

    request_id: str
    digest: str
    same: str  # equal where the same person asks for the same again
    waiting_since: datetime
    pending_until: datetime  # exclusive
    uids: Mapping[str, str]  # of the machines as they were when it was asked for, by id in key form
    stages: tuple[DueStage, ...]
    asked_since: tuple[datetime | None, ...]  # of each stage; None: it is not asked yet
    may_approve_own: bool = False
    votes: tuple[Vote, ...] = ()  # in the order in which they were given
    denial: Denial | None = None
    decided_at: datetime | None = None  # None: it waits
    tickets: tuple[Answered, ...] = ()  # what ticket systems answered last
    is_to_ask: bool = False  # it goes on when they are asked again
    # Who could act as the program that asks, when it asked: they made it, or a credential of it.
    makers: frozenset[str] = frozenset()
    escalated: tuple[int, ...] = ()  # stages of which others were asked too, and that is on record
    escalates_at: datetime | None = (
        None  # when others are asked next; None: nobody, or it is on record
    )
    opens_at: datetime | None = None  # it waits for its start; None: for people, or no longer

    def named(self) -> tuple[Vote, ...]:
        """Yeses to what is asked for now."""
        return tuple(each for each in self.votes if each.digest == self.digest and not each.is_void)

    def asked(self, counted: Iterable[Vote]) -> int | None:
        """The stage that is asked; None: all are met."""
        return first_unmet(self.stages, counted)

    def since(self, stage: int, now: datetime) -> datetime:
        return self.asked_since[stage] or now

    def asking(self, counted: Iterable[Vote], now: datetime) -> Pending:
        """With the moment from which the stage is asked that these yeses led to, and that of its escalation."""
        stage = self.asked(counted)
        if stage is None:
            return replace(self, escalates_at=None)
        since = self.since(stage, now)
        after = None if stage in self.escalated else self.stages[stage].stage.escalate_after
        return replace(
            self,
            asked_since=(*self.asked_since[:stage], since, *self.asked_since[stage + 1 :]),
            escalates_at=None if after is None else since + after,
        )

    def escalating(self, stage: int) -> Pending:
        """With it noted that others were asked of this stage too."""
        return replace(self, escalated=(*self.escalated, stage), escalates_at=None)


def begin(
    request: AccessRequest,
    machines: Sequence[Machine],
    stages: Sequence[DueStage],
    pending_for: timedelta,
    now: datetime,
    *,
    may_approve_own: bool,
    beyond_tcp: Sequence[Opened] = (),
) -> Pending:
    """It waits for so long, or until an end passes that it asks for, or until its start."""
    fixed = [port.ends_at for port in _ports(request) if port.length is None]
    if request.starts_at is not None:
        fixed.append(request.starts_at)
    return Pending(
        request_id=request.id,
        digest=digest_of(request, machines, stages, beyond_tcp),
        same=same_of(request),
        waiting_since=now,
        pending_until=min([now + pending_for, *fixed]),
        uids={each.id.key: each.uid for each in machines},
        stages=tuple(stages),
        asked_since=(now, *(None for _ in stages[1:])),
        may_approve_own=may_approve_own,
    ).asking((), now)


def too_many() -> Problem:
    return Problem(
        "TooManyWaiting",
        sentence(
            "{most} of your requests wait for approval or for their start, which is the maximum. "
            "Withdraw one first, or wait until one is decided.",
            most=MOST_WAITING,
        ),
    )


def scheduled(pending: Pending, starts_at: datetime) -> Pending:
    """All that it needs is there: it waits for its start."""
    return replace(pending, pending_until=starts_at + LATEST, opens_at=starts_at, escalates_at=None)


def asked_again(
    pending: Pending, pending_for: timedelta, starts_at: datetime, now: datetime
) -> Pending:
    """It was scheduled, and needs more approval than it has: it waits for people."""
    return replace(pending, pending_until=min(now + pending_for, starts_at), opens_at=None)


def opens_at(request: AccessRequest, now: datetime) -> datetime:
    """When it would open if it was approved now."""
    return now if request.starts_at is None else max(now, request.starts_at)


def judged_again(
    pending: Pending,
    request: AccessRequest,
    machines: Iterable[Machine],
    stages: Sequence[DueStage],
    now: datetime,
    *,
    may_approve_own: bool,
    beyond_tcp: Sequence[Opened] = (),
) -> Pending:
    """With the stages that are due now; unchanged where nothing of it is other than before."""
    digest = digest_of(request, machines, stages, beyond_tcp)
    if digest == pending.digest:
        return replace(pending, stages=tuple(stages), may_approve_own=may_approve_own)
    return replace(
        pending,
        digest=digest,
        stages=tuple(stages),
        asked_since=(now, *(None for _ in stages[1:])),
        may_approve_own=may_approve_own,
        escalated=(),
    )


def opening_at(request: AccessRequest, votes: Iterable[Vote], now: datetime) -> AccessRequest:
    """The request as it is judged at its opening: a length counts from now, an end stays, and
    approvers may have shortened either.
    """
    given = tuple(votes)
    latest = [now + each.longest for each in given if each.longest is not None]
    latest += [each.ends_at for each in given if each.ends_at is not None]
    reach = min((each - now for each in latest), default=None)

    def moved(port: RequestedPort) -> RequestedPort:
        own = port.ends_at if port.length is None else now + port.length
        end = min([own, *latest])
        text = port.ends_at_text if end == port.ends_at else format_utc(end)
        up_to = port.up_to
        if up_to is not None and reach is not None:
            up_to = min(up_to, reach)
        return replace(port, ends_at=end, ends_at_text=text, up_to=up_to)

    machines = tuple(
        replace(machine, ports=tuple(map(moved, machine.ports))) for machine in request.machines
    )
    return replace(request, machines=machines, started_at=now)


def longest_of(request: AccessRequest) -> tuple[timedelta | None, datetime | None]:
    """The longest length and the latest end that it asks for; None where no port has one."""
    ports = tuple(_ports(request))
    return (
        max((port.length for port in ports if port.length is not None), default=None),
        max((port.ends_at for port in ports if port.length is None), default=None),
    )


def reach_of(request: AccessRequest) -> timedelta | None:
    """The longest that it asks approval for; None: it asks for no more than its length or end."""
    return max((port.up_to for port in _ports(request) if port.up_to is not None), default=None)


def digest_of(
    request: AccessRequest,
    machines: Iterable[Machine],
    stages: Sequence[DueStage],
    beyond_tcp: Sequence[Opened] = (),
) -> str:
    """SHA-256 in hex of what an approval approves (EDGES J6). ``beyond_tcp``: what the policy opens
    there that is not TCP alone.
    """
    known = {each.id: each for each in machines}
    return _hash(
        {
            "requestor": request.requestor_id,
            "policy": request.policy_id.key,
            "machines": [
                {
                    "uid": known[each.machine_id].uid,
                    "addresses": sorted(map(str, known[each.machine_id].addresses)),
                    "ports": list(map(_port, each.ports)),
                }
                for each in request.machines
            ],
            "reason": request.justification,
            "stages": [_due(each) for each in stages],
            **({"beyondTcp": sorted(beyond_tcp)} if beyond_tcp else {}),
            **_start(request),
        }
    )


def same_of(request: AccessRequest) -> str:
    """Equal of two requests of one person that ask for the same in the same words."""
    return _hash(
        {
            "requestor": request.requestor_id,
            "policy": request.policy_id.key,
            "machines": [
                {"id": each.machine_id.key, "ports": list(map(_port, each.ports))}
                for each in request.machines
            ],
            "reason": request.justification,
            **_start(request),
        }
    )


def asked_json(request: AccessRequest, machines: Iterable[Machine]) -> str:
    """What a ticket system is told of a request, and what its answer is bound to."""
    known = {each.id: each for each in machines}
    told = {
        "reason": request.justification,
        "requestor": {"id": request.requestor_id, "name": request.requestor},
        "policyId": str(request.policy_id),
        "machines": [
            {
                "id": str(known[each.machine_id].id),
                "uid": known[each.machine_id].uid,
                "addresses": sorted(map(str, known[each.machine_id].addresses)),
                "ports": list(map(_port, each.ports)),
            }
            for each in request.machines
            if each.machine_id in known
        ],
        **_start(request),
    }
    return json.dumps(told, separators=(",", ":"), sort_keys=True)


def _start(request: AccessRequest) -> Mapping[str, str]:
    return {} if request.starts_at is None else {"start": format_utc(request.starts_at)}


def _ports(request: AccessRequest) -> Iterable[RequestedPort]:
    return (port for machine in request.machines for port in machine.ports)


def _port(port: RequestedPort) -> Mapping[str, object]:
    return {
        "number": port.number,
        "sources": sorted(map(str, port.sources)),
        "length": None if port.length is None else port.length.total_seconds(),
        "end": None if port.length is not None else format_utc(port.ends_at),
        **({} if port.up_to is None else {"upTo": port.up_to.total_seconds()}),
    }


def _due(due: DueStage) -> Mapping[str, object]:
    return {**_stage(due.stage), "machines": sorted(each.casefold() for each in due.machine_ids)}


def _stage(stage: Stage) -> Mapping[str, object]:
    after = stage.escalate_after
    return {
        "approvers": _approvers(stage.approvers),
        "needed": stage.needed,
        "escalateAfter": None if after is None else after.total_seconds(),
        "escalateTo": _approvers(stage.escalate_to),
        "secondFactorWithin": None
        if stage.factor_within is None
        else stage.factor_within.total_seconds(),
    }


def _approvers(approvers: Approvers) -> Mapping[str, object]:
    return {
        "users": sorted(approvers.users),
        "groups": sorted(approvers.groups),
        "role": approvers.by_role,
    }


def _hash(told: object) -> str:
    text = json.dumps(told, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
