"""Initiate: decide on a request, and write it with its grants (ARCHITECTURE "A grant's life").

What is not here: what becomes of it (``live_requests``), and how a denial is recorded and
answered (``request_denials``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.bounds import Guard
from bascule.domain.decide import Allowed, Decision, Denied, decide
from bascule.domain.desired import CUT_FOR
from bascule.domain.facts.grants import AccessRequested, GrantCreated
from bascule.domain.features import KNOWN, Feature
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import EnforcementPoint, Unable
from bascule.domain.points import first_patience
from bascule.domain.request import (
    AccessRequest,
    RequestedMachine,
    refused,
)
from bascule.domain.roles import Rights
from bascule.errors import (
    NotFound,
    Part,
    Place,
)
from bascule.interfaces.asked import AskedReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.plans import PlanReads
from bascule.interfaces.points import BindingReads, PointReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.public_ports import PublicPortReads, PublicPortWrites
from bascule.interfaces.requests import RequestWrites
from bascule.interfaces.roles import RoleReads
from bascule.sentences import sentence
from bascule.services.act import Act, new_id
from bascule.services.agent_state import told_beside
from bascule.services.grants import GrantEndWrites, end_grants
from bascule.services.plans import require_plan
from bascule.services.public_port_choices import Choices
from bascule.services.public_ports_told import Through
from bascule.services.request_denials import record_denied
from bascule.services.request_rights import check_may_ask, check_may_know
from bascule.services.right_ends import ended_in_time, right_ends
from bascule.services.rights import rights_of


class JudgeReads(
    AskedReads,
    BindingReads,
    PlanReads,
    PolicyReads,
    PrincipalReads,
    PublicPortReads,
    RoleReads,
    Protocol,
):
    """What a decision depends on."""


class InitiateWrites(
    GrantEndWrites, JudgeReads, MachineReads, PublicPortWrites, RequestWrites, Protocol
):
    """The same, to write a request and its grants."""


MOST_REFUSED = 100  # refused requests kept of one requestor


@dataclass(frozen=True, slots=True)
class Initiated:
    request: AccessRequest
    grants: tuple[Grant, ...]
    mapped: Mapping[str, Sequence[Through]] = field(default_factory=dict)  # by machine uid


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
    before, choices = Allowed((), ()), Choices(act.now)
    judged: list[tuple[AccessRequest, Decision]] = []
    for each in asked:
        request, decision = _judge(tx, act, each, justification, subject, rights, before, choices)
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
    mapped = choices.told(tx)  # read before anything is recorded
    if choices.made:
        choices.write(tx, act, {each.machine_uid: each.machine_id for each in before.grants})
    return tuple(
        _write(tx, act, request, decision, mapped)
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
    choices: Choices,
) -> tuple[AccessRequest, Decision]:
    """``before`` is what the same act will have granted and superseded by then, ``choices`` the public
    ports that it will have given.
    """
    machines = asked.machines
    named = [machine.machine_id for machine in machines]
    targets = [(each, Place(Part.MACHINE, m)) for m, each in enumerate(named)]
    check_may_ask(tx, subject, rights, asked.policy_id, targets)
    policy = tx.asked_rules(asked.policy_id, named)
    if policy is None or not policy.machines:  # who asks for a machine of it may know that it is
        stored = tx.policy(asked.policy_id)
        check_may_know(tx, subject, rights, asked.policy_id, stored)
    if policy is None:
        raise NotFound(
            sentence("Policy {policy_id} does not exist.", policy_id=asked.policy_id),
            advice="To list policies: bascule policy show. To make one: bascule policy set "
            "MACHINE.",
        )
    require_plan(tx, named)
    request = AccessRequest(
        id=asked.request_id or new_id(),
        policy_id=policy.id,
        requestor_id=subject.principal_id,
        requestor=subject.name,
        justification=justification,
        started_at=act.now,
        machines=machines,
    )
    known = tx.asked(named, act.now - CUT_FOR)
    found = {each.machine.uid: each for each in known.machines.values()}
    gone = {grant.id for grant in before.superseded}
    live = [
        *(grant for grant in known.live if grant.id not in gone),
        *(g for g in before.grants if g.machine_uid in found and g.id not in gone),
    ]
    points = {uid: each.point for uid, each in found.items() if each.point is not None}
    decision = decide(
        policy,
        request,
        {machine_id: each.machine for machine_id, each in known.machines.items()},
        live,
        new_id,
        act.now,
        {uid: told_beside(each) for uid, each in found.items()},
        *_said_by(points),
    )
    if not isinstance(decision, Allowed):
        return request, decision
    problems = choices.judge(tx, policy, request, decision.grants, points)
    if problems:
        return request, Denied(tuple(problems))
    ends = right_ends(tx, subject.principal_id, act.now, named)
    grants = tuple(ended_in_time(each, ends.get(each.machine_id)) for each in decision.grants)
    return request, _awaited(replace(decision, grants=grants), points)


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


_Said = tuple[
    Mapping[str, Guard], Mapping[str, Unable], Mapping[str, frozenset[Feature]], frozenset[str]
]


def said_by_hosts(tx: PointReads, uids: Sequence[str]) -> _Said:
    """What the enforcement points of these machines reported, by machine uid, for ``decide``:
    guards; why a machine can open nothing; the features of agents that do not know all of them.
    """
    return _said_by(tx.points_of(uids))


def _said_by(points: Mapping[str, EnforcementPoint]) -> _Said:
    guards = {uid: point.guard for uid, point in points.items() if point.guard is not None}
    unable = {uid: why for uid, point in points.items() if (why := point.unable)}
    knows = {uid: each.knows for uid, each in points.items() if each.knows < KNOWN}
    cannot_drain = frozenset(uid for uid, each in points.items() if each.lacks("drains"))
    return guards, unable, knows, cannot_drain


def guards_of(tx: PointReads, uids: Sequence[str]) -> Mapping[str, Guard]:
    """The guards that the hosts of these machines reported; older agents report none."""
    return said_by_hosts(tx, uids)[0]


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
    generations = {grant.machine_uid: grant.generation for grant in grants}
    act.touched.update(generations)
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
    return Initiated(request, grants, mapped)
