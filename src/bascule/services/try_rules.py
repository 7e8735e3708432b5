"""What a given person would get, now or at a given time, and which rules say so; nothing is asked for.

Rights, groups and open access are those of now; rules with hours are judged at the time that was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.actions import POLICY_READ, RULES_WRITE
from bascule.domain.decide import Allowed, Denied, NeedsApproval
from bascule.domain.due import Approval, asked_as, holding, names_port, with_ticket
from bascule.domain.ids import ResourceId
from bascule.domain.pending import MOST_WAITING, same_of, too_many
from bascule.domain.policy import Policy
from bascule.domain.request import AccessRequest, RequestedMachine
from bascule.domain.rules import Rule
from bascule.domain.scopes import resource_scope
from bascule.domain.tickets import TicketAnswer
from bascule.errors import Conflict, Forbidden, InvalidInput, NotFound, Problem
from bascule.interfaces.approvals import ApprovalReads
from bascule.interfaces.asked import AskedMachine
from bascule.services.act import Act, new_id
from bascule.services.approval_views import ApprovalViewReads, ShownStage, shown_due
from bascule.services.principal_rights import name_of
from bascule.services.public_port_choices import Choices
from bascule.services.request_rights import sight_of
from bascule.services.requests import JudgeReads, approval_of, judge
from bascule.services.rights import Needed, check, denial, rights_of
from bascule.services.ticket_answers import Tickets

FURTHEST = timedelta(days=366)  # ahead
ALLOWED, DENIED, NEEDS_APPROVAL = "allowed", "denied", "needsApproval"


class TryReads(ApprovalViewReads, JudgeReads, Protocol):
    """What a decision depends on, and what approvers are called."""


@dataclass(frozen=True, slots=True)
class Tried:
    outcome: str
    reasons: tuple[Problem, ...]
    stages: tuple[ShownStage, ...]
    rules: tuple[tuple[Policy, Rule, bool], ...]  # of every policy that counts: does it hold?


def try_rules(
    reader: TryReads,
    caller: Subject,
    policy: ResourceId,
    machines: tuple[RequestedMachine, ...],
    justification: str | None,
    principal_id: str,
    now: datetime,
    at: datetime | None,
    ticket: TicketAnswer = TicketAnswer.YES,
    factor_age: timedelta | None = None,
) -> Tried:
    """``ticket``: what a ticket system is taken to say; none is asked.

    Raises Forbidden where the caller may not write rules at one of the machines; NotFound where there is no
    such principal; InvalidInput for a time that is over, or further ahead than a year.
    """
    scopes = [resource_scope(each.machine_id) for each in machines] or [resource_scope(policy)]
    check(reader, caller, now, [Needed(RULES_WRITE, each) for each in scopes])
    stored = reader.policy(policy)
    sight = sight_of(rights_of(reader, caller.principal_id, now), caller.principal_id)
    if not (sight.sees(policy) or (stored is not None and sight.sees_any(stored.policy))):
        raise denial(reader, caller, [Needed(POLICY_READ, resource_scope(policy))])
    if at is not None and not now - timedelta(minutes=1) <= at <= now + FURTHEST:
        raise InvalidInput(
            "The time is over, or more than a year ahead.", code="InvalidTime", target="at"
        )
    kind = reader.principal_kind(principal_id)
    if kind not in (PrincipalKind.USER, PrincipalKind.SERVICE):
        raise NotFound("There is no such user or service principal.", code="PrincipalNotFound")
    act, opening = Act(now), max(at or now, now)
    request = AccessRequest(new_id(), policy, principal_id, "", justification, opening, machines)
    starts_at = None if opening == now else opening
    request = replace(request, factor_age=factor_age, starts_at=starts_at)
    found = reader.asked([each.machine_id for each in machines], now).machines
    approval = approval_of(reader, principal_id, found.values(), opening)
    tickets = Tickets(request, assumed=ticket)
    machines_there = [each.machine for each in found.values()]
    approval, _ = tickets.answer(approval, request, machines_there, act)
    rules = tuple(_rules(approval, request, list(found.values()), opening))
    subject = Subject(principal_id, kind, name_of(reader, principal_id))
    rights = rights_of(reader, principal_id, now)
    try:
        decision = judge(
            *(reader, act, request, subject, rights, Allowed((), ()), Choices(act.now)),
            tickets=tickets,
        ).decision
    except (Conflict, Forbidden, NotFound) as error:
        reasons = error.problems or (Problem(error.specific_code, error.message),)
        return Tried(DENIED, tuple(reasons), (), rules)
    if isinstance(decision, Denied):
        return Tried(DENIED, decision.reasons, (), rules)
    if isinstance(decision, NeedsApproval):
        if opening == now and _has_no_room(reader, request):
            return Tried(DENIED, (too_many(),), (), rules)
        return Tried(NEEDS_APPROVAL, (), shown_due(reader, decision.stages), rules)
    return Tried(ALLOWED, (), (), rules)


def _has_no_room(reader: ApprovalReads, request: AccessRequest) -> bool:
    """Do as many of theirs wait as may, and is none of them for the same?"""
    if reader.count_waiting(request.requestor_id, MOST_WAITING) < MOST_WAITING:
        return False
    return reader.waiting_same(request.requestor_id, same_of(request)) is None


def _rules(
    approval: Approval, request: AccessRequest, found: Sequence[AskedMachine], now: datetime
) -> Iterable[tuple[Policy, Rule, bool]]:
    asked = {each.machine_id.key: each.ports for each in request.machines}
    for policy in approval.policies:
        held = {
            rule.key
            for each in found
            for port in asked.get(each.machine.id.key, ())
            if names_port(policy, each.machine, port)
            for one in [asked_as(approval, request, each.machine, port, now)]
            for rule in holding(policy, with_ticket(one, approval, policy, request))
        }
        for rule in policy.rules:
            yield policy, rule, rule.key in held
