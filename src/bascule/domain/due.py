"""What rules and approvals of policies say of a request: reasons to deny it, and stages (EDGES J1).

*Deny* and *approve* rules and ports' own approvals count of every policy that names machine and
port, whichever policy the request names. An *allow* rule lifts the approval of its own policy's
port rule alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.machine import Machine
from bascule.domain.policy import Policy, PortRule
from bascule.domain.request import AccessRequest, RequestedPort
from bascule.domain.rules import (
    Asked,
    Effect,
    Held,
    Rule,
    depends_on_ticket,
    holds,
    holds_as_judged,
    longest_span,
    span_with,
)
from bascule.domain.stages import Because, DueStage, Stage
from bascule.domain.tickets import Answered, TicketAnswer, ticket_of
from bascule.errors import Part, Place, Problem
from bascule.sentences import sentence


@dataclass(frozen=True, slots=True)
class Approval:
    """What a request is judged by, beside port rules."""

    policies: Sequence[Policy] = ()  # with rules or approvals, that name a machine of the request
    groups: frozenset[str] | None = frozenset()  # of who asks; None: not known
    # By who asks, on these machines; None: not known.
    held: Held | None = field(default_factory=dict)
    tickets: Mapping[str, Answered] = field(default_factory=dict)  # by policy, in key form
    unsure_groups: frozenset[str] = frozenset()  # as of ``Asked``

    @property
    def reads_groups(self) -> bool:
        return any(rule.conditions.groups for policy in self.policies for rule in policy.rules)

    @property
    def looks_back(self) -> timedelta | None:
        """How long before the request ``held`` matters; None: not at all."""
        return longest_span(rule for policy in self.policies for rule in policy.rules)


NO_APPROVAL = Approval()


def judge_port(
    approval: Approval,
    request: AccessRequest,
    machine: Machine,
    port: RequestedPort,
    now: datetime,
    at: Place,
) -> tuple[list[Problem], list[tuple[Stage, Because]]]:
    """Why it is denied, and what stages it asks for; both may be empty.

    An emergency asks for none, and only a *deny* stops it whose conditions were judged (EDGES J10).
    """
    if request.is_emergency:
        return list(_denied_emergency(approval, request, machine, port, now, at)), []
    denied: list[Problem] = []
    due: list[tuple[Stage, Because]] = []
    by_ports: list[tuple[Stage, Because]] = []
    asked: Asked | None = None
    for policy in approval.policies:
        own = _naming(policy, machine, port)
        if not own:
            continue
        is_lifted = False
        asked = asked or asked_as(approval, request, machine, port, now)
        answered = approval.tickets.get(policy.id.key)
        asked = with_ticket(asked, approval, policy, request)
        for rule in holding(policy, asked):
            why = Because(str(policy.id), rule.name, str(machine.id), port.number)
            if rule.effect is Effect.DENY and _is_unavailable(rule, asked) and _instead(policy):
                due.extend((stage, why) for stage in _instead(policy))
            elif rule.effect is Effect.DENY:
                denied.append(_denied(policy, rule, machine, port, at))
                if rule.conditions.ticket_confirmed is False:
                    denied.append(_no_ticket(policy, request, answered))
            elif rule.effect is Effect.APPROVE:
                due.extend((stage, why) for stage in rule.stages)
            else:
                is_lifted = policy.id == request.policy_id
        if not is_lifted:
            why = Because(str(policy.id), "", str(machine.id), port.number)
            by_ports.extend((stage, why) for rule in own for stage in rule.approval)
    return denied, [*due, *by_ports]


def _denied_emergency(
    approval: Approval,
    request: AccessRequest,
    machine: Machine,
    port: RequestedPort,
    now: datetime,
    at: Place,
) -> Iterable[Problem]:
    plain = asked_as(approval, request, machine, port, now)
    for policy in approval.policies:
        if _naming(policy, machine, port):
            asked = with_ticket(plain, approval, policy, request)
            for rule in policy.rules:
                if rule.effect is Effect.DENY and holds_as_judged(rule, asked):
                    yield _denied(policy, rule, machine, port, at)
                    if rule.conditions.ticket_confirmed is False:
                        yield _no_ticket(policy, request, approval.tickets.get(policy.id.key))


def holding(policy: Policy, asked: Asked) -> Iterable[Rule]:
    """The rules of a policy that hold for this port, in their order."""
    return (rule for rule in policy.rules if holds(rule, asked))


def with_ticket(asked: Asked, approval: Approval, policy: Policy, request: AccessRequest) -> Asked:
    """As the rules of this policy judge it, each of which may have a ticket system of its own."""
    return replace(asked, is_ticket_confirmed=is_confirmed(approval, policy, request))


def is_confirmed(approval: Approval, policy: Policy, request: AccessRequest) -> bool | None:
    """Was the request's ticket confirmed by this policy's ticket system? None: it could not be asked."""
    if policy.tickets is None or ticket_of(policy.tickets, request.justification) is None:
        return False
    answered = approval.tickets.get(policy.id.key)
    if answered is None or answered.answer is TicketAnswer.UNAVAILABLE:
        return None
    return answered.answer is TicketAnswer.YES


def reading_tickets(
    approval: Approval, request: AccessRequest, machines: Sequence[Machine], now: datetime
) -> Iterable[Policy]:
    """The policies by whose rules it matters whether the request's ticket was confirmed."""
    known = {each.id: each for each in machines}
    places = [
        (known[each.machine_id], port)
        for each in request.machines
        if each.machine_id in known
        for port in each.ports
    ]
    for policy in approval.policies:
        if policy.tickets is not None and any(
            depends_on_ticket(rule, asked_as(approval, request, machine, port, now))
            for machine, port in places
            if _naming(policy, machine, port)
            for rule in policy.rules
        ):
            yield policy


def _is_unavailable(rule: Rule, asked: Asked) -> bool:
    """Does it hold because the ticket system could not be asked?"""
    return rule.conditions.ticket_confirmed is False and asked.is_ticket_confirmed is None


def _instead(policy: Policy) -> Sequence[Stage]:
    """What is asked for where the ticket system is unavailable; nothing: it is denied."""
    return () if policy.tickets is None else policy.tickets.stages


def may_approve_own(approval: Approval, stages: Sequence[DueStage]) -> bool:
    """Does every policy that asks for a stage let people approve what they asked for?"""
    allowing: Mapping[str, bool] = {str(each.id): each.self_approval for each in approval.policies}
    return all(allowing.get(why.policy_id, False) for due in stages for why in due.because)


def names_port(policy: Policy, machine: Machine, port: RequestedPort) -> bool:
    """Do the rules of this policy count for that port of the machine?"""
    return bool(_naming(policy, machine, port))


def _naming(policy: Policy, machine: Machine, port: RequestedPort) -> list[PortRule]:
    rules = policy.rules_for(machine.id)
    return [each for each in rules.ports if each.number == port.number] if rules else []


def asked_as(
    approval: Approval,
    request: AccessRequest,
    machine: Machine,
    port: RequestedPort,
    now: datetime,
) -> Asked:
    """The port, as rules judge it."""
    latest = port.ends_at if port.up_to is None else max(port.ends_at, now + port.up_to)
    ends_at = min(latest, now + MAXIMUM_DURATION)  # what is longer is denied for that
    held = None if approval.held is None else approval.held.get(machine.uid, ())
    return Asked(
        principal_id=request.requestor_id,
        groups=approval.groups,
        machine_id=machine.id,
        tags=machine.tags,
        number=port.number,
        sources=port.sources,
        starts_at=now,
        ends_at=ends_at,
        span=None if held is None else span_with(now, ends_at, held),
        factor_age=request.factor_age,
        unsure_groups=approval.unsure_groups,
    )


def _denied(
    policy: Policy, rule: Rule, machine: Machine, port: RequestedPort, at: Place
) -> Problem:
    return Problem(
        "DeniedByRule",
        sentence(
            "Rule {rule} of policy {policy} denies access to port {port} of {machine}.",
            rule=rule.name,
            policy=policy.id.name,
            port=port.number,
            machine=machine.id.name,
        ),
        at,
    )


def _no_ticket(policy: Policy, request: AccessRequest, answered: Answered | None) -> Problem:
    """Why no ticket was confirmed, to whoever asks."""
    check = policy.tickets
    ticket = None if check is None else ticket_of(check, request.justification)
    target = Place(Part.JUSTIFICATION)
    if check is None or ticket is None:
        words = sentence(
            "Policy {policy} asks for a ticket. Begin the justification with it; its pattern is {pattern}.",
            policy=policy.id.name,
            pattern="" if check is None else check.pattern,
        )
        return Problem("TicketRequired", words, target)
    if answered is not None and answered.answer is TicketAnswer.NO:
        words = sentence(
            "The ticket system of policy {policy} did not confirm {ticket}: {text}",
            policy=policy.id.name,
            ticket=ticket,
            text=answered.text or "no reason given",
        )
        return Problem("TicketNotConfirmed", words, target)
    words = sentence(
        "The ticket system of policy {policy} could not be asked about {ticket}: {text} Try again later.",
        policy=policy.id.name,
        ticket=ticket,
        text="It was not asked." if answered is None else answered.text,
    )
    return Problem("TicketSystemUnavailable", words, target)
