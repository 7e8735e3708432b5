"""The decision on a request: Allowed, Denied with every reason, or NeedsApproval with its stages.

Source: CONTRACT 1.4 (initiate), 1.7 and EDGES A14, A15, A20. It is pure: its rows were read
inside the transaction that will write the answer, and ``now`` is read once.

Rules, each with its neighbouring deny in the tests:
  the policy must name the machine and the port; the source must lie inside the rule's
  sources (containment, not text); the end must be after now and at most the rule's
  maximum away, 60 s of clock difference tolerated and cut off; a required justification
  must be there; what the host's own guard does not admit is refused here, before anybody
  waits for it; how much may live at a time is bounded (``limits``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from bascule.domain.bounds import GUARD_FILE, NO_BOUNDS, Guard, Judge, Objection
from bascule.domain.due import NO_APPROVAL, Approval, judge_port
from bascule.domain.emergency import check_port as check_emergency
from bascule.domain.emergency import longest_of
from bascule.domain.features import KNOWN, Feature, too_old_words
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.limits import check_limits, check_state
from bascule.domain.machine import Machine, Unable, unable_words
from bascule.domain.net import PortKey, RuleProtocol, is_within
from bascule.domain.pending import Opened
from bascule.domain.policy import (
    Policy,
    PortRule,
    cannot_drain_words,
    drains,
    missing_for,
)
from bascule.domain.request import (
    MAXIMUM_JUSTIFICATION,
    AccessRequest,
    RequestedMachine,
    RequestedPort,
)
from bascule.domain.stages import Because, DueStage, Stage, united
from bascule.domain.times import format_utc
from bascule.errors import Part, Place, Problem
from bascule.sentences import sentence

CLOCK_TOLERANCE = timedelta(seconds=60)  # EDGES A14
MOST_NAMED = 10  # sources or ports in one sentence


@dataclass(frozen=True, slots=True)
class Allowed:
    grants: tuple[Grant, ...]
    superseded: tuple[Grant, ...]  # live grants whose place the new ones take

    @property
    def beyond_tcp(self) -> tuple[Opened, ...]:
        """What is opened that is not TCP alone."""
        return tuple(
            (each.machine_uid, each.number, str(each.protocol))
            for each in self.grants
            if each.protocol is not RuleProtocol.TCP
        )


@dataclass(frozen=True, slots=True)
class Denied:
    reasons: tuple[Problem, ...]  # never empty


@dataclass(frozen=True, slots=True)
class NeedsApproval:
    """Allowed as soon as other people agree."""

    stages: tuple[DueStage, ...]  # never empty
    allowed: Allowed  # what it would be without them


Decision = Allowed | Denied | NeedsApproval


def decide(
    policy: Policy,
    request: AccessRequest,
    machines: Mapping[ResourceId, Machine],
    live: Sequence[Grant],
    new_grant_id: Callable[[], str],
    now: datetime,
    told_beside: Mapping[str, int] = MappingProxyType({}),
    guards: Mapping[str, Guard] = MappingProxyType({}),
    unable: Mapping[str, Unable] = MappingProxyType({}),
    knows: Mapping[str, frozenset[Feature]] = MappingProxyType({}),
    cannot_drain: Collection[str] = (),
    approval: Approval = NO_APPROVAL,
) -> Decision:
    """Judge a request against one policy.

    ``machines`` holds the known ones among those asked for; ``live`` every live grant on
    them; ``told_beside`` how many bytes their agents are told beside those, by uid; ``guards``
    what their hosts say that they admit, by uid; ``unable`` why nothing can be opened there at
    all, by uid; ``knows`` what their agents know where that is not everything, by uid; ``cannot_drain``
    where connections cannot stay for a time and then end, by uid; ``approval`` what rules are judged
    by. A grant's end is exclusive.
    """
    reasons = [*_check_whole(request)]
    grants: list[Grant] = []
    due: list[tuple[Stage, Because]] = []
    for m, asked in enumerate(request.machines):
        here = Place(Part.MACHINE, m)
        machine = machines.get(asked.machine_id)
        rules = policy.rules_for(asked.machine_id)
        if machine is None or rules is None:
            reasons.append(_unknown_machine(policy, asked, machine, here))
            continue
        if why := unable.get(machine.uid):
            reasons.append(Problem(why, unable_words(why, machine.id.name), here))
            continue
        if not asked.ports:
            reasons.append(
                Problem("PortsRequired", "Name at least one port to open.", Place(Part.PORTS, m))
            )
        guard = guards.get(machine.uid, NO_BOUNDS)
        judge = guard.judge()
        for p, port in enumerate(asked.ports):
            at = Place(Part.NUMBER, m, p)
            rule = _rule_for(rules.ports, port.number)
            problems = list(_check_port(port, rule, request, now, at, rules.ports))
            problems += _check_agent(port, rules.ports, machine, knows.get(machine.uid, KNOWN), at)
            problems += _check_guard(port, rules.ports, machine, guard, judge, now, at)
            asked_of = [each for each in rules.ports if each.number == port.number]
            if machine.uid in cannot_drain and any(map(drains, asked_of)):
                problems.append(Problem("CannotDrain", cannot_drain_words(machine.id.name), at))
            problems += _check_drain(asked_of, machine, guard, at)
            if request.is_emergency:
                problems += check_emergency(port, machine, request, live, CLOCK_TOLERANCE, now, at)
            if rule is not None:
                denied, stages = judge_port(approval, request, machine, port, now, at)
                problems += denied
                due += stages
            reasons.extend(problems)
            if rule is not None and not problems:
                grants.extend(
                    _grant(each, port, request, machine, guard, new_grant_id(), now)
                    for each in rules.ports
                    if each.number == port.number
                )
    superseded = tuple(_superseded(live, grants))
    reasons.extend(check_limits(grants, live, superseded, request.requestor_id))
    reasons.extend(check_state(grants, live, superseded, told_beside))
    if reasons:
        return Denied(tuple(reasons))
    allowed = Allowed(tuple(_last_of_each(_reaching(grants, due))), superseded)
    return NeedsApproval(united(due), allowed) if due else allowed


def _superseded(live: Iterable[Grant], grants: Iterable[Grant]) -> Iterable[Grant]:
    """Live grants that the new ones cover completely.

    A new TCP grant does not replace a live one that also covers UDP of the same number.
    """
    asked_again: dict[object, set[PortKey]] = {}
    for each in grants:
        asked_again.setdefault(each.opening, set()).update(each.port_keys)
    return (old for old in live if asked_again.get(old.opening, set()).issuperset(old.port_keys))


def _reaching(grants: list[Grant], due: Collection[object]) -> list[Grant]:
    """Where nothing is approved, no extension is approved with it."""
    return grants if due else [replace(each, approved_until=None) for each in grants]


def _last_of_each(grants: list[Grant]) -> Iterable[Grant]:
    """One grant for each opening; of duplicates in a request the last one counts."""
    return {(grant.opening, grant.protocol): grant for grant in grants}.values()


def _check_whole(request: AccessRequest) -> Iterable[Problem]:
    if not request.machines:
        yield Problem("MachinesRequired", "Name at least one machine.", Place(Part.MACHINES))
    if request.justification is not None and len(request.justification) > MAXIMUM_JUSTIFICATION:
        yield Problem(
            "JustificationTooLong",
            sentence(
                "A justification has at most {most} characters; this one has {length}.",
                most=MAXIMUM_JUSTIFICATION,
                length=len(request.justification),
            ),
            Place(Part.JUSTIFICATION),
        )


def _unknown_machine(
    policy: Policy, asked: RequestedMachine, machine: Machine | None, here: Place
) -> Problem:
    name = asked.machine_id.name
    if machine is None:
        return Problem(
            "MachineNotFound",
            sentence("Machine {machine} does not exist here.", machine=asked.machine_id),
            here,
        )
    return Problem(
        "MachineNotInPolicy",
        sentence(
            "Policy {policy} does not cover machine {name}. To add it: bascule policy set {name}",
            policy=policy.id.name,
            name=name,
        ),
        here,
    )


def _rule_for(ports: Sequence[PortRule], number: int) -> PortRule | None:
    """The first rule for this port; TCP and UDP of one number may be two rules."""
    return next((rule for rule in ports if rule.number == number), None)


def _check_port(
    port: RequestedPort,
    rule: PortRule | None,
    request: AccessRequest,
    now: datetime,
    at: Place,
    ports: Sequence[PortRule],
) -> Iterable[Problem]:
    if rule is None:
        offered = _words(each.number for each in ports) or "none"
        yield Problem(
            "PortNotInPolicy",
            sentence(
                "Port {port} cannot be requested on this machine. The policy offers: {offered}.",
                port=port.number,
                offered=offered,
            ),
            at,
        )
        return
    for each in (r for r in ports if r.number == port.number):
        if not is_within(port.sources, each.sources):
            yield Problem(
                "SourceNotAllowed",
                sentence(
                    "Source {sources} is not allowed for port {port}. The policy allows: "
                    "{allowed}.",
                    sources=_words(port.sources),
                    port=port.number,
                    allowed=_words(each.sources),
                ),
                replace(at, part=Part.SOURCES),
            )
        if port.ends_at > now + each.max_duration + CLOCK_TOLERANCE:
            yield Problem(
                "DurationTooLong",
                sentence(
                    "Port {port} may be open for at most {longest}. Request an end no "
                    "later than {latest}.",
                    port=port.number,
                    longest=_span(each.max_duration),
                    latest=format_utc(now + each.max_duration),
                ),
                replace(at, part=Part.END),
            )
        if port.up_to is not None and port.up_to > each.max_duration:
            yield Problem(
                "UpToTooLong",
                sentence(
                    "Port {port} may be open for at most {longest}, so it cannot be approved for longer.",
                    port=port.number,
                    longest=_span(each.max_duration),
                ),
                replace(at, part=Part.END),
            )
        if each.justification_required and not (request.justification or "").strip():
            yield Problem(
                "JustificationRequired",
                sentence(
                    "The policy requires a reason for port {port}. Give a justification.",
                    port=port.number,
                ),
                Place(Part.JUSTIFICATION),
            )
    if port.ends_at <= now:
        yield Problem(
            "EndTimePassed",
            sentence(
                "The end {end} is not in the future. The server's time is {now}.",
                end=port.ends_at_text,
                now=format_utc(now),
            ),
            replace(at, part=Part.END),
        )


def _check_agent(
    port: RequestedPort,
    ports: Sequence[PortRule],
    machine: Machine,
    knows: frozenset[Feature],
    at: Place,
) -> Iterable[Problem]:
    """Nothing is opened on a port of which the agent does not know enough (EDGES F4)."""
    missing = missing_for((each for each in ports if each.number == port.number), knows)
    if missing:
        yield Problem("AgentTooOld", too_old_words(machine.id.name, missing), at)


def _check_guard(
    port: RequestedPort,
    ports: Sequence[PortRule],
    machine: Machine,
    guard: Guard,
    judge: Judge,
    now: datetime,
    at: Place,
) -> Iterable[Problem]:
    """Refuse in advance what the host's guard would refuse; the host itself still decides last."""
    name = machine.id.name
    keys = [key for each in ports if each.number == port.number for key in each.port_keys]
    match judge(keys, port.sources) if keys else None:
        case Objection.UNREADABLE:
            yield Problem(
                "HostGuardUnusable",
                sentence(
                    "The guard file of {name} is invalid, so that host opens nothing. "
                    "Root on the host must correct {file} and restart the agent.",
                    name=name,
                    file=GUARD_FILE,
                ),
                at,
            )
        case Objection.PORT:
            yield Problem(
                "PortNotAdmittedByHost",
                sentence(
                    "The guard file of host {name} does not allow port {port}, whatever a"
                    " policy says. It allows: {admitted}. Root on the host can change "
                    "{file} and restart the agent.",
                    name=name,
                    port=port.number,
                    admitted=_words(guard.ports or ()) or "none",
                    file=GUARD_FILE,
                ),
                at,
            )
        case Objection.SOURCE:
            yield Problem(
                "SourceNotAdmittedByHost",
                sentence(
                    "The guard file of host {name} does not allow source {sources}, "
                    "whatever a policy says. It allows: {admitted}. Request access from "
                    "there, or ask root on the host to change {file} and restart the "
                    "agent.",
                    name=name,
                    sources=_words(port.sources),
                    admitted=_words(guard.sources or ()) or "none",
                    file=GUARD_FILE,
                ),
                replace(at, part=Part.SOURCES),
            )
    longest = guard.max_duration
    if longest is not None and port.ends_at > now + longest + CLOCK_TOLERANCE:
        yield Problem(
            "LongerThanHostAdmits",
            sentence(
                "The guard file of host {name} allows at most {longest} at a time, "
                "whatever a policy says. Request an end no later than {latest}.",
                name=name,
                longest=_span(longest),
                latest=format_utc(now + longest),
            ),
            replace(at, part=Part.END),
        )


def _check_drain(
    rules: Iterable[PortRule], machine: Machine, guard: Guard, at: Place
) -> Iterable[Problem]:
    """Nobody is promised a time that the host would shorten."""
    longest = guard.max_drain
    for rule in rules:
        if drains(rule) and longest is not None and rule.drain_for and rule.drain_for > longest:
            yield Problem(
                "DrainTooLong",
                sentence(
                    "The guard file of host {name} lets connections stay for at most {longest} when "
                    "access ends; the policy says {asked}. Shorten it in the policy, or ask root on "
                    "the host to change {file} and restart the agent.",
                    name=machine.id.name,
                    longest=_span(longest),
                    asked=_span(rule.drain_for),
                    file=GUARD_FILE,
                ),
                at,
            )


def _grant(
    rule: PortRule,
    port: RequestedPort,
    request: AccessRequest,
    machine: Machine,
    guard: Guard,
    grant_id: str,
    now: datetime,
) -> Grant:
    limits = [rule.max_duration, *([] if guard.max_duration is None else [guard.max_duration])]
    latest = now + longest_of(request, limits)
    is_cut = port.ends_at > latest
    return Grant(
        id=grant_id,
        request_id=request.id,
        policy_id=request.policy_id,
        machine_uid=machine.uid,
        machine_id=machine.id,
        requestor_id=request.requestor_id,
        requestor=request.requestor,
        number=port.number,
        protocol=rule.protocol,
        sources=port.sources,
        on_expiry=rule.on_expiry,
        max_duration=rule.max_duration,
        started_at=request.started_at,
        ends_at=latest if is_cut else port.ends_at,
        ends_at_text=format_utc(latest) if is_cut else port.ends_at_text,
        is_source_list=port.is_source_list,
        drain_for=rule.drain_for,
        is_emergency=request.is_emergency,
        approved_until=None if port.up_to is None else min(latest, now + port.up_to),
    )


def _words(things: Iterable[object]) -> str:
    """The first MOST_NAMED as text; there may be a thousand in each of a thousand reasons."""
    every = [str(each) for each in things]
    more = [f"and {len(every) - MOST_NAMED} more"] if len(every) > MOST_NAMED else []
    return ", ".join(every[:MOST_NAMED] + more)


def _span(span: timedelta) -> str:
    minutes, seconds = divmod(int(span.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "min"), (seconds, "s"))
    return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"
