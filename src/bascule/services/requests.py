"""Initiate, extend, revoke: the life of an access request (ARCHITECTURE "A grant's life")."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.bounds import Guard
from bascule.domain.decide import Allowed, Decision, Denied, decide
from bascule.domain.facts.fields import MOST_PLACES
from bascule.domain.facts.grants import AccessDenied, AccessRequested, GrantCreated, GrantExtended
from bascule.domain.features import KNOWN, Feature
from bascule.domain.grant import Grant, extend_to
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import RequestState, StatusReason
from bascule.domain.machine import Unable
from bascule.domain.request import (
    LONGEST_REASON,
    MAXIMUM_JUSTIFICATION,
    MOST_REASONS,
    AccessRequest,
    RequestedMachine,
    RequestedPort,
    refused,
)
from bascule.domain.roles import Rights
from bascule.domain.times import format_utc
from bascule.errors import (
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    Part,
    Place,
    Problem,
    RequestDenied,
)
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.points import PointReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.record import EventWrites
from bascule.interfaces.requests import RequestReads, RequestWrites
from bascule.interfaces.roles import RoleReads
from bascule.sentences import sentence
from bascule.services.act import Act, new_id
from bascule.services.agent_state import BesideReads, told_beside
from bascule.services.grants import GrantEndWrites, change, cut, end_grants, touch
from bascule.services.plans import PlanScopeReads, require_plan
from bascule.services.request_rights import (
    check_may_ask,
    check_may_know,
    check_may_revoke,
    what_may_be_cut,
)
from bascule.services.rights import rights_of
from bascule.services.timeline import lengthened


class JudgeReads(
    BesideReads, PlanScopeReads, MachineReads, PolicyReads, PrincipalReads, RoleReads, Protocol
):
    """What a decision depends on."""


class InitiateWrites(GrantEndWrites, JudgeReads, RequestWrites, Protocol):
    """The same, to write a request and its grants."""


class RevokeWrites(GrantEndWrites, PrincipalReads, RequestReads, RoleReads, Protocol):
    """A request's grants, and the right to end them."""


class ExtendWrites(RevokeWrites, PlanScopeReads, MachineReads, PolicyReads, Protocol):
    """A request's grants, and what a longer one depends on."""


MOST_REFUSED = 100  # refused requests kept of one requestor


@dataclass(frozen=True, slots=True)
class Initiated:
    request: AccessRequest
    grants: tuple[Grant, ...]


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What is asked of one policy."""

    policy_id: ResourceId
    machines: tuple[RequestedMachine, ...]
    request_id: str = ""  # of the request to be made; empty: one is made up


@dataclass(frozen=True, slots=True)
class Denial:
    """What one policy of several answered."""

    policy_id: ResourceId
    denied: Denied


def initiate(
    tx: InitiateWrites,
    act: Act,
    wanted: ResourceId,
    machines: tuple[RequestedMachine, ...],
    justification: str | None,
    subject: Subject,
    *,
    request_id: str = "",
) -> Initiated | Denied:
    """Decide on rows read here and write request, grants and events; or the denial.

    A denial is an answer, not an exception, so that its event is kept. Raises Forbidden
    unless the subject may ask for each machine named (EDGES B1), before anything is told of
    policy or machines, and where the plan is off; NotFound when there is no such policy.
    """
    asked = [PolicyRequest(wanted, machines, request_id)]
    (answer,) = initiate_all(tx, act, asked, justification, subject)
    return answer.denied if isinstance(answer, Denial) else answer


def initiate_all(
    tx: InitiateWrites,
    act: Act,
    asked: Sequence[PolicyRequest],
    justification: str | None,
    subject: Subject,
) -> tuple[Initiated, ...] | tuple[Denial, ...]:
    """Initiate one request a policy, all of them or none; or every denial.

    Each is decided as if those before it were granted already; nothing is written before all
    are decided. Raises as ``initiate`` does.
    """
    rights = rights_of(tx, subject.principal_id, act.now)
    before = Allowed((), ())
    judged: list[tuple[AccessRequest, Decision]] = []
    for each in asked:
        request, decision = _judge(tx, act, each, justification, subject, rights, before)
        judged.append((request, decision))
        if isinstance(decision, Allowed):
            before = Allowed(
                (*before.grants, *decision.grants), (*before.superseded, *decision.superseded)
            )
    denials = tuple(
        Denial(each.policy_id, _refuse(tx, act, request, decision))
        for each, (request, decision) in zip(asked, judged, strict=True)
        if isinstance(decision, Denied)
    )
    if denials:
        return denials
    return tuple(
        _write(tx, act, request, decision)
        for request, decision in judged
        if isinstance(decision, Allowed)
    )


def _judge(
    tx: JudgeReads,
    act: Act,
    asked: PolicyRequest,
    justification: str | None,
    subject: Subject,
    rights: Rights,
    before: Allowed,
) -> tuple[AccessRequest, Decision]:
    """``before`` is what the same act will have granted and superseded by then."""
    machines = asked.machines
    named = [machine.machine_id for machine in machines]
    targets = [(each, Place(Part.MACHINE, m)) for m, each in enumerate(named)]
    check_may_ask(tx, subject, rights, asked.policy_id, targets)
    stored = tx.policy(asked.policy_id)
    check_may_know(tx, subject, rights, asked.policy_id, stored, named)
    if stored is None:
        raise NotFound(
            sentence("Policy {policy_id} does not exist.", policy_id=asked.policy_id),
            advice="To list policies: bascule policy show. To make one: bascule policy set "
            "MACHINE.",
        )
    require_plan(tx, named)
    request = AccessRequest(
        id=asked.request_id or new_id(),
        policy_id=stored.policy.id,
        requestor_id=subject.principal_id,
        requestor=subject.name,
        justification=justification,
        started_at=act.now,
        machines=machines,
    )
    known = {
        machine.id: machine
        for each in machines
        if (machine := tx.machine(each.machine_id)) is not None
    }
    uids = [machine.uid for machine in known.values()]
    gone = {grant.id for grant in before.superseded}
    live = [
        *(grant for grant in tx.live_grants(uids) if grant.id not in gone),
        *(g for g in before.grants if g.machine_uid in uids and g.id not in gone),
    ]
    beside = {uid: told_beside(tx, uid, act.now) for uid in uids}
    return request, decide(
        stored.policy, request, known, live, new_id, act.now, beside, *_said_by_hosts(tx, uids)
    )


def _said_by_hosts(
    tx: PointReads, uids: Sequence[str]
) -> tuple[Mapping[str, Guard], Mapping[str, Unable], Mapping[str, frozenset[Feature]]]:
    """What the hosts of these machines admit, where they say it; why nothing can be opened at
    machines, by their points' own word; and what their agents know, where that is not everything.
    """
    points = tx.points_of(uids)
    guards = {uid: point.guard for uid, point in points.items() if point.guard is not None}
    unable = {uid: why for uid, point in points.items() if (why := point.unable)}
    return guards, unable, {uid: each.knows for uid, each in points.items() if each.knows < KNOWN}


def guards_of(tx: PointReads, uids: Sequence[str]) -> Mapping[str, Guard]:
    """What the hosts of these machines say that they admit; older agents say nothing."""
    return _said_by_hosts(tx, uids)[0]


def _refuse(tx: InitiateWrites, act: Act, request: AccessRequest, denied: Denied) -> Denied:
    """Put the denial on record, and keep the request as a refused one beside its event; the oldest
    of the requestor's give way (EDGES B8).
    """
    if _is_denial_recorded(tx, act, request, denied):
        tx.add_request(refused(request, denied.reasons, new_id()))
        tx.forget_refused(request.requestor_id, MOST_REFUSED)
    return denied


def _is_denial_recorded(tx: EventWrites, act: Act, request: AccessRequest, denied: Denied) -> bool:
    """Put the denial on record, unless the subject has had its share of this minute (B8).

    One event, found at each of the first machines that were asked for (EDGES E10).
    """
    is_recorded = act.denials.is_recorded(act.actor.principal_id, act.now)
    if is_recorded:
        act.record(tx, _denied(request, denied), request.policy_id)
    act.record_counts(tx, act.denials)
    return is_recorded


def _denied(request: AccessRequest, denied: Denied) -> AccessDenied:
    machines = tuple(dict.fromkeys(str(each.machine_id) for each in request.machines))
    ports = [port for machine in request.machines for port in machine.ports]
    numbers = dict.fromkeys(str(port.number) for port in ports)
    sources = dict.fromkeys(str(source) for port in ports for source in port.sources)
    return AccessDenied(
        str(request.policy_id),
        _recorded(denied.reasons),
        machines[:MOST_PLACES],
        len(machines[MOST_PLACES:]),
        tuple(numbers)[:MOST_PLACES],
        tuple(sources)[:MOST_PLACES],
        (request.justification or "")[
            :MAXIMUM_JUSTIFICATION
        ],  # too long is what it may be denied for
    )


def _recorded(reasons: Sequence[Problem]) -> tuple[str, ...]:
    """A request of a thousand ports may be refused for a thousand reasons."""
    told = [f"{each.code}: {each.message}" for each in reasons[:MOST_REASONS]]
    more = [f"and {len(reasons) - MOST_REASONS} more"] if len(reasons) > MOST_REASONS else []
    return (*(each[:LONGEST_REASON] for each in told), *more)


def _write(tx: InitiateWrites, act: Act, request: AccessRequest, decision: Allowed) -> Initiated:
    tx.add_request(request)
    act.record(
        tx,
        AccessRequested(
            request.id,
            str(request.policy_id),
            tuple(str(machine.machine_id) for machine in request.machines),
            request.justification or "",
        ),
        request.policy_id,
    )
    end_grants(
        tx,
        act,
        decision.superseded,
        StatusReason.NEWER_REQUEST_INITIATED,
        f"request {request.id}",
    )
    generations = {
        uid: touch(tx, act, uid) for uid in dict.fromkeys(g.machine_uid for g in decision.grants)
    }
    grants = tuple(replace(g, generation=generations[g.machine_uid]) for g in decision.grants)
    for grant in grants:
        tx.add_grant(grant)
        act.record(
            tx,
            GrantCreated(
                grant.id,
                request.id,
                str(grant.machine_id),
                f"{grant.number}/{grant.protocol}",
                tuple(str(source) for source in grant.sources),
                grant.ends_at_text,
            ),
            grant.machine_id,
        )
    act.settled.add(request.id)
    return Initiated(request, grants)


def denial(denied: Denied, policy: ResourceId) -> RequestDenied:
    """The error that a face answers a denial with: the first reason speaks, MOST_REASONS of all
    are there.
    """
    first, count = denied.reasons[0], len(denied.reasons)
    shown = "see details" if count <= MOST_REASONS else f"the first {MOST_REASONS} in details"
    more = f" ({count} reasons, {shown})" if count > 1 else ""
    return RequestDenied(
        f"The given access request is not allowed by policy '{policy.name}': {first.message}{more}",
        code=first.code,
        target=first.target,
        problems=denied.reasons[:MOST_REASONS],
    )


def revoke(
    tx: RevokeWrites,
    act: Act,
    request_id: str,
    grant_ids: Collection[str] | None,
    *,
    kills_sessions: bool,
    subject: Subject,
) -> None:
    """End a request's live grants, or those named; with kill, cut what they admitted too.

    One's own always, others' with REQUEST_REVOKE at each machine of them (EDGES B1). Killing
    reaches grants that ended already, however long ago, where the subject may ask or revoke.
    Raises NotFound, Forbidden, and Conflict when nothing of it is live and nothing is to be cut.
    """
    request = tx.request(request_id)
    if request is not None:
        check_may_revoke(tx, act, subject, request)
    grants = _grants_of(tx, request_id, grant_ids)
    live = [grant for grant in grants if grant.is_live]
    ended: Sequence[Grant] = [grant for grant in grants if not grant.is_live]
    if not live and not (kills_sessions and ended):
        raise Conflict(
            "This request has no live access.",
            code="GrantNotLive",
            advice="To end connections that it left behind, revoke with kill.",
        )
    if kills_sessions:
        ended = what_may_be_cut(tx, act, subject, ended, must=not live)
    cause = f"revocation by {subject.name}"
    end_grants(tx, act, live, StatusReason.USER_REQUESTED, cause, kills_sessions=kills_sessions)
    if kills_sessions:
        for grant in ended:
            cut(tx, act, grant)


def extend(
    tx: ExtendWrites,
    act: Act,
    request_id: str,
    ends_at: datetime,
    ends_at_text: str,
    subject: Subject,
) -> Denied | None:
    """Move the end of every live grant of a request, decided like a new request; or the denial.

    Only who asked may do so, and only where it could ask anew. All are decided before any is
    moved. The new end is at most now + the rule's maximum, and not earlier than the present
    one of any of them. Raises NotFound, Forbidden, and Conflict when nothing is live, or when
    an end would come earlier.
    """
    request = tx.request(request_id)
    if request is not None and request.requestor_id != subject.principal_id:
        raise Forbidden(
            "Only the person who made a request can extend it.",
            advice="To make your own: bascule request MACHINE.",
        )
    live = [grant for grant in _grants_of(tx, request_id, None) if grant.is_live]
    if request is None or not live:
        raise Conflict("This request has no live access. Make a new request.", code="GrantNotLive")
    named = list(dict.fromkeys(grant.machine_id for grant in live))
    rights = rights_of(tx, subject.principal_id, act.now)
    check_may_ask(tx, subject, rights, request.policy_id, [(each, "") for each in named])
    require_plan(tx, named)
    policy = tx.policy(request.policy_id)
    if policy is None:
        raise NotFound(
            sentence("Policy {policy_id} no longer exists.", policy_id=request.policy_id)
        )
    machines = {each: machine for each in named if (machine := tx.machine(each)) is not None}
    guards, unable, knows = _said_by_hosts(tx, [grant.machine_uid for grant in live])
    agreed: list[tuple[Grant, Grant]] = []  # as it is, as it would be granted now
    reasons: list[Problem] = []
    for grant in live:
        port = RequestedPort(grant.number, grant.sources, ends_at, ends_at_text)
        asked = replace(
            request, machines=(RequestedMachine(grant.machine_id, (port,)),), started_at=act.now
        )
        decision = decide(
            *(policy.policy, asked, machines, live, new_id, act.now),
            guards=guards,
            unable=unable,
            knows=knows,
        )
        if isinstance(decision, Denied):
            reasons.extend(_of_extension(each) for each in decision.reasons)
        else:
            agreed.append((grant, min(decision.grants, key=lambda each: each.max_duration)))
    if reasons:
        asked_again = tuple(
            RequestedMachine(
                grant.machine_id,
                (RequestedPort(grant.number, grant.sources, ends_at, ends_at_text),),
            )
            for grant in live
        )
        again = replace(request, machines=asked_again)
        denied = Denied(tuple(dict.fromkeys(reasons)))
        _is_denial_recorded(tx, act, again, denied)
        return denied
    _check_later(agreed)
    for grant, granted in agreed:
        _extend_one(tx, act, grant, granted)
    return None


def _of_extension(reason: Problem) -> Problem:
    """An extension's body is an end alone: no machine or port of it can be pointed at."""
    at = reason.target
    return replace(reason, target=Place(at.part) if isinstance(at, Place) else at)


def _check_later(agreed: Sequence[tuple[Grant, Grant]]) -> None:
    earlier = [
        Problem(
            "EndTimeEarlier",
            sentence(
                "Port {port} of {machine} is already granted until {until}. An extension "
                "to {end} would end it earlier.",
                port=grant.number,
                machine=grant.machine_id.name,
                until=grant.ends_at_text,
                end=granted.ends_at_text,
            ),
            Place(Part.END),
        )
        for grant, granted in agreed
        if granted.ends_at < grant.ends_at
    ]
    if earlier:
        raise Conflict(
            earlier[0].message,
            code=earlier[0].code,
            target=earlier[0].target,
            advice="Give a later end. To end access early: bascule revoke.",
            problems=earlier,
        )


def _extend_one(tx: GrantEndWrites, act: Act, grant: Grant, granted: Grant) -> None:
    longer = extend_to(grant, granted)
    change(tx, act, longer)
    lengthened(tx, longer)
    act.settled.add(grant.request_id)
    act.record(
        tx,
        GrantExtended(
            grant.id,
            grant.request_id,
            str(grant.machine_id),
            grant.ends_at_text,
            format_utc(longer.ends_at),
        ),
        grant.machine_id,
    )


def _grants_of(
    tx: RevokeWrites, request_id: str, grant_ids: Collection[str] | None
) -> Sequence[Grant]:
    grants = tx.grants_of([request_id])
    request = tx.request(request_id) if not grants else None
    if request is not None and request.state is RequestState.REFUSED:
        raise Conflict(
            "This request was refused: nothing of it is open.",
            code="GrantNotLive",
            advice="To ask again: bascule request MACHINE.",
        )
    if not grants:
        raise NotFound(
            sentence("Request {request} does not exist.", request=request_id),
            advice="To see live requests: bascule status.",
        )
    if grant_ids is None:
        return grants
    unknown = set(grant_ids) - {grant.id for grant in grants}
    if unknown:
        raise InvalidInput.of(
            [
                Problem(
                    "GrantNotFound",
                    sentence(
                        "Request {request} has no grant {grant}.", request=request_id, grant=each
                    ),
                    "grantIds",
                )
                for each in sorted(unknown)
            ]
        )
    return [grant for grant in grants if grant.id in grant_ids]
