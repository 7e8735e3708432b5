"""Initiate: decide on a request, and write it with its grants (ARCHITECTURE "A grant's life").

What is not here: what becomes of it (``live_requests``), and how a denial is recorded and
answered (``request_denials``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.decide import Allowed, Decision, Denied, decide
from bascule.domain.desired import CUT_FOR
from bascule.domain.due import NO_APPROVAL, Approval
from bascule.domain.emergency import check_person
from bascule.domain.facts.grants import AccessRequested, GrantCreated
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.pending import Pending, opens_at
from bascule.domain.points import first_patience
from bascule.domain.policy import PENDING_FOR
from bascule.domain.request import AccessRequest, RequestedMachine, refused
from bascule.domain.roles import Rights
from bascule.domain.rules import GAP
from bascule.domain.tickets import Answered
from bascule.domain.times import format_utc
from bascule.errors import NotFound, Part, Place, Problem
from bascule.interfaces.approvals import ApprovalReads, ApprovalWrites, MakerReads
from bascule.interfaces.asked import AskedMachine, AskedReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.plans import PlanReads
from bascule.interfaces.points import BindingReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.providers import ProviderReads
from bascule.interfaces.public_ports import PublicPortReads, PublicPortWrites
from bascule.interfaces.record import EventWrites
from bascule.interfaces.requests import RequestWrites
from bascule.interfaces.roles import RoleReads
from bascule.sentences import sentence
from bascule.services.act import Act, new_id
from bascule.services.agent_state import told_beside
from bascule.services.begin_waiting import Waiting, check_start
from bascule.services.emergencies import record_emergency
from bascule.services.grants import GrantEndWrites, end_grants
from bascule.services.hosts_said import said_by
from bascule.services.leaps import ClockWrites
from bascule.services.plans import require_plan
from bascule.services.public_port_choices import Choices
from bascule.services.public_ports_told import Through
from bascule.services.request_denials import record_denied
from bascule.services.request_rights import check_may_ask, check_may_know, needed_to_ask
from bascule.services.right_ends import RightEnd, ended_in_time, known_ends
from bascule.services.rights import rights_of
from bascule.services.ticket_answers import Tickets


class JudgeReads(
    ApprovalReads,
    AskedReads,
    BindingReads,
    PlanReads,
    PolicyReads,
    PrincipalReads,
    ProviderReads,
    PublicPortReads,
    RoleReads,
    Protocol,
):
    """What a decision depends on."""


class ApprovalJudgeReads(ApprovalReads, PrincipalReads, ProviderReads, Protocol):
    """What rules are judged by."""


class InitiateWrites(
    GrantEndWrites,
    ApprovalWrites,
    ClockWrites,
    JudgeReads,
    MachineReads,
    MakerReads,
    PublicPortWrites,
    RequestWrites,
    Protocol,
):
    """The same, to write a request and its grants."""


MOST_REFUSED = 100  # refused requests kept of one requestor


@dataclass(frozen=True, slots=True)
class Initiated:
    request: AccessRequest
    grants: tuple[Grant, ...]
    mapped: Mapping[str, Sequence[Through]] = field(default_factory=dict)  # by machine uid


@dataclass(frozen=True, slots=True)
class Judged:
    """A request, and what was decided of it."""

    request: AccessRequest
    decision: Decision
    machines: tuple[Machine, ...] = ()
    approval: Approval = NO_APPROVAL
    pending_for: timedelta = PENDING_FOR
    pending: Pending | None = None  # of what is to wait; None: nothing is, or it waits already
    tickets: tuple[Answered, ...] = ()  # by which it was judged
    is_to_ask: bool = False  # a ticket system's answer is missing, or too old to open by
    is_put_off: bool = False  # it waits for people, or for its start: nothing opens now


@dataclass(frozen=True, slots=True)
class PolicyRequest:
    """What is asked of one policy."""

    policy_id: ResourceId
    machines: tuple[RequestedMachine, ...]
    request_id: str = ""  # of the request to be made; empty: one is made up
    is_emergency: bool = False


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
    is_emergency: bool = False,
    starts_at: datetime | None = None,
) -> Initiated | Denied:
    """Decide on rows read here and write request, grants and events; or the denial.

    A denial is an answer, not an exception, so that its event is kept. Raises Forbidden
    unless the subject may ask for each machine named (EDGES B1), before anything is told of
    policy or machines, and where the plan is off; NotFound when there is no such policy;
    InvalidInput for a start that is over, too far ahead, or not before an end.
    """
    asked = [PolicyRequest(wanted, machines, request_id, is_emergency)]
    (answer,) = initiate_all(tx, act, asked, justification, subject, starts_at)
    return answer.denied if isinstance(answer, Denial) else answer


def initiate_all(
    tx: InitiateWrites,
    act: Act,
    asked: Sequence[PolicyRequest],
    justification: str | None,
    subject: Subject,
    starts_at: datetime | None = None,
) -> tuple[Initiated, ...] | tuple[Denial, ...]:
    """Initiate one request a policy, all of them or none; or every denial.

    Each is decided as if those before it were granted already; nothing is written before all
    are decided. Raises as ``initiate`` does.
    """
    check_start(
        starts_at,
        [port for each in asked for m in each.machines for port in m.ports],
        act.now,
        is_emergency=any(each.is_emergency for each in asked),
    )
    rights = rights_of(tx, subject.principal_id, act.now)
    before, choices = Allowed((), ()), Choices(act.now)
    judged: list[Judged] = []
    waiting = Waiting(tx)
    for each in asked:
        request = _request_of(act, each, justification, subject, starts_at)
        found = judge(tx, act, request, subject, rights, before, choices)
        found = waiting.admit(found, act)
        judged.append(found)
        if isinstance(found.decision, Allowed) and not found.is_put_off:
            before = Allowed(
                (*before.grants, *found.decision.grants),
                (*before.superseded, *found.decision.superseded),
            )
    denials = tuple(
        Denial(each.policy_id, _refuse(tx, act, found.request, found.decision))
        for each, found in zip(asked, judged, strict=True)
        if isinstance(found.decision, Denied)
    )
    if denials:
        return denials
    mapped = choices.told(tx)  # read before anything is recorded
    if choices.made:
        choices.write(tx, act, {each.machine_uid: each.machine_id for each in before.grants})
    return tuple(
        _write(tx, act, found.request, found.decision, mapped)
        if isinstance(found.decision, Allowed) and not found.is_put_off
        else _put_off(tx, act, waiting, found)
        for found in judged
    )


def _put_off(tx: InitiateWrites, act: Act, waiting: Waiting, found: Judged) -> Initiated:
    """Nothing opens: it is kept, unless it waits already."""
    if found.pending is not None:
        waiting.write(found.request, found.pending)
        _record_requested(tx, act, found.request)
        waiting.record(act, found.request, found.pending)
    return Initiated(found.request, ())


def _request_of(
    act: Act,
    asked: PolicyRequest,
    justification: str | None,
    subject: Subject,
    starts_at: datetime | None,
) -> AccessRequest:
    return AccessRequest(
        id=asked.request_id or new_id(),
        policy_id=asked.policy_id,
        requestor_id=subject.principal_id,
        requestor=subject.name,
        justification=justification,
        started_at=act.now,
        machines=asked.machines,
        is_emergency=asked.is_emergency,
        factor_age=subject.factor_age(act.now),
        starts_at=starts_at,
        credential_id=subject.credential_id,
    )


def judge(
    tx: JudgeReads,
    act: Act,
    request: AccessRequest,
    subject: Subject,
    rights: Rights,
    before: Allowed,
    choices: Choices,
    *,
    is_approved: bool = False,
    tickets: Tickets | None = None,
) -> Judged:
    """As of its opening, which is now or at its start; rights are those of now.

    ``before`` is what the same act will have granted and superseded by then, ``choices`` the public
    ports that it will have given. ``is_approved``: it opens although it needs approval. ``tickets``:
    what ticket systems answered of it before.

    Raises Forbidden and NotFound as ``initiate`` does; TicketsNeeded.
    """
    named = [machine.machine_id for machine in request.machines]
    targets = [(each, Place(Part.MACHINE, m)) for m, each in enumerate(named)]
    is_emergency = request.is_emergency
    check_may_ask(tx, subject, rights, request.policy_id, targets, is_emergency=is_emergency)
    if is_emergency:
        check_person(subject, act.now)
    policy = tx.asked_rules(request.policy_id, named)
    if policy is None or not policy.machines:  # who asks for a machine of it may know that it is
        stored = tx.policy(request.policy_id)
        check_may_know(tx, subject, rights, request.policy_id, stored)
    if policy is None:
        raise NotFound(
            sentence("Policy {policy_id} does not exist.", policy_id=request.policy_id),
            advice="To list policies: bascule policy show. To make one: bascule policy set "
            "MACHINE.",
        )
    require_plan(tx, named)
    request = replace(request, policy_id=policy.id)
    at = opens_at(request, act.now)
    known = tx.asked(named, act.now - CUT_FOR)
    found = {each.machine.uid: each for each in known.machines.values()}
    gone = {grant.id for grant in before.superseded}
    live = [
        *(grant for grant in known.live if grant.id not in gone and _lives(grant, at, act.now)),
        *(g for g in before.grants if g.machine_uid in found and g.id not in gone),
    ]
    points = {uid: each.point for uid, each in found.items() if each.point is not None}
    approval = approval_of(tx, request.requestor_id, found.values(), at)
    machines = [each.machine for each in found.values()]
    approval, is_to_ask = (tickets or Tickets(request)).answer(approval, request, machines, act)
    answers = tuple(approval.tickets.values())
    decision = decide(
        policy,
        request,
        {machine_id: each.machine for machine_id, each in known.machines.items()},
        live,
        new_id,
        at,
        {uid: told_beside(each) for uid, each in found.items()},
        *said_by(points),
        approval,
    )
    if isinstance(decision, Denied):
        return Judged(request, decision, tickets=answers, is_to_ask=is_to_ask)
    is_given = is_approved or isinstance(decision, Allowed)
    allowed = decision if isinstance(decision, Allowed) else decision.allowed
    chosen = choices if is_given else Choices(act.now)  # what waits is given no public port yet
    problems = chosen.judge(tx, policy, request, allowed.grants, points)
    if problems:
        return Judged(request, Denied(tuple(problems)), tickets=answers, is_to_ask=is_to_ask)
    needed = needed_to_ask(is_emergency=is_emergency)
    ends = known_ends(tx, subject, act.now, named, needed)
    if gone_before := _gone_before(at, ends):
        return Judged(request, Denied(gone_before), tickets=answers, is_to_ask=is_to_ask)
    grants = tuple(ended_in_time(each, ends.get(each.machine_id)) for each in allowed.grants)
    allowed = _awaited(replace(allowed, grants=grants), points)
    return Judged(
        request,
        allowed if isinstance(decision, Allowed) else replace(decision, allowed=allowed),
        tuple(machines),
        approval,
        policy.pending_for or PENDING_FOR,
        tickets=answers,
        is_to_ask=is_to_ask,
    )


def _lives(grant: Grant, at: datetime, now: datetime) -> bool:
    """Will it be there still at an opening in the future?"""
    return at <= now or grant.ends_at > at


def _gone_before(at: datetime, ends: Mapping[ResourceId, RightEnd]) -> tuple[Problem, ...]:
    return tuple(
        Problem(
            "RightEndsBeforeStart",
            sentence(
                "The membership of group {group}, which gives the right to {machine}, ends at {end}, "
                "before the start.",
                group=end.group,
                machine=machine.name,
                end=format_utc(end.at),
            )
            if end.group
            else sentence(
                "The secret or certificate {credential} by which this is asked for ends at {end}, "
                "before the start.",
                credential=end.credential,
                end=format_utc(end.at),
            ),
        )
        for machine, end in ends.items()
        if end.at <= at
    )


def approval_of(
    tx: ApprovalJudgeReads, requestor_id: str, found: Iterable[AskedMachine], at: datetime
) -> Approval:
    """What rules are judged by; nothing is read where no policy has any."""
    concerned = [each.machine for each in found if each.has_approval]
    if not concerned:
        return NO_APPROVAL
    policies = tx.policies_judging([each.id for each in concerned])
    groups = frozenset(each.group_id for each in tx.memberships_of(requestor_id, at))
    approval = Approval(policies, groups)
    if approval.reads_groups:
        named = _named_by_providers(tx, requestor_id)
        approval = replace(approval, unsure_groups=named - groups)
    since = approval.looks_back
    if since is None:
        return approval
    held = tx.held_since(requestor_id, [each.uid for each in concerned], at - since - GAP)
    return replace(approval, held=held)


def _named_by_providers(tx: ProviderReads, user_id: str) -> frozenset[str]:
    """The groups in which external providers placed this person when they last spoke for them, or may
    have, and would still: an old word proves nothing, and neither does that it is old (EDGES J4).
    """
    found: set[str] = set()
    for identity in tx.external_identities_of(user_id):
        provider = tx.identity_provider(identity.provider_id) if identity.named_groups else None
        if provider is not None:
            found.update(group for _, group in provider.groups if group in identity.named_groups)
    return frozenset(found)


def _awaited(decision: Allowed, points: Mapping[str, EnforcementPoint]) -> Allowed:
    """With the moment at which the first point is given up that has not opened it (EDGES G4)."""
    return replace(
        decision,
        grants=tuple(
            replace(each, answer_by=each.started_at + first_patience(parts))
            for each in decision.grants
            for parts in [points[each.machine_uid].parts if each.machine_uid in points else ()]
        ),
    )


def _refuse(tx: InitiateWrites, act: Act, request: AccessRequest, denied: Denied) -> Denied:
    """Put the denial on record, and keep the request as a refused one beside its event; the oldest
    of the requestor's give way (EDGES B8).
    """
    if record_denied(tx, act, request, denied):
        tx.add_request(refused(request, denied.reasons, new_id()))
        tx.forget_refused(request.requestor_id, MOST_REFUSED)
    return denied


def _write(
    tx: InitiateWrites,
    act: Act,
    request: AccessRequest,
    decision: Allowed,
    mapped: Mapping[str, Sequence[Through]],
) -> Initiated:
    grants = tuple(tx.begin_request(request, decision.grants))
    _record_requested(tx, act, request)
    if request.is_emergency:
        record_emergency(tx, act, request, grants)
    record_begun(tx, act, request, decision, grants)
    return Initiated(request, grants, mapped)


def _record_requested(tx: EventWrites, act: Act, request: AccessRequest) -> None:
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


def record_begun(
    tx: InitiateWrites,
    act: Act,
    request: AccessRequest,
    decision: Allowed,
    grants: Sequence[Grant],
) -> None:
    """What follows from grants that have just begun: they take the place of others, on record."""
    generations = {grant.machine_uid: grant.generation for grant in grants}
    act.touched.update(generations)
    end_grants(
        tx,
        act,
        decision.superseded,
        StatusReason.NEWER_REQUEST_INITIATED,
        f"request {request.id}",
        advanced=generations,
    )
    for grant in grants:
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
