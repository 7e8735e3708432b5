"""Policies: what may be opened on which machines, for how long, from where.

Source: JitNetworkAccessPolicy of Microsoft.Security, api-version 2020-01-01;
``maxRequestAccessDuration`` is "minimum 5 minutes, maximum 1 day" there.

Rules: a policy has each machine at most once, and a machine each port and transport at most once.
UDP cannot continue past a lease, so a rule that covers UDP is ``kill`` for UDP whatever it says.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bascule.domain.durations import (
    MAXIMUM_DRAIN,
    MAXIMUM_DURATION,
    MINIMUM_DRAIN,
    MINIMUM_DURATION,
)
from bascule.domain.features import Feature, needs
from bascule.domain.ids import ResourceId
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import Address, AddressPrefix, PortKey, RuleProtocol, TransportProtocol
from bascule.domain.rules import Rule, check_rules
from bascule.domain.stages import Stage, check_stages
from bascule.domain.tickets import TicketCheck, check_ticket_check
from bascule.errors import Part, Place, Problem
from bascule.sentences import Sentence, sentence

DEFAULT_DURATION = timedelta(hours=3)  # the portal's recommendation
PENDING_FOR = timedelta(days=1)  # unless a policy says otherwise
MINIMUM_PENDING, MAXIMUM_PENDING = timedelta(minutes=5), timedelta(days=7)  # both inclusive


@dataclass(frozen=True, slots=True)
class PortRule:
    """One port of one machine in one policy."""

    number: int
    protocol: RuleProtocol
    sources: tuple[AddressPrefix, ...]  # never empty; ``*`` allows any
    max_duration: timedelta
    on_expiry: OnExpiry = OnExpiry.KEEP
    justification_required: bool = False
    is_source_list: bool = False  # written as allowedSourceAddressPrefixes on the wire
    public_port: int | None = None  # that stands for it at its gateway; None: one is chosen
    public_address: Address | None = None  # of the gateway; None: its first one
    drain_for: timedelta | None = None  # of ``drain`` alone: how long connections may stay
    approval: tuple[Stage, ...] = ()  # that a request for it passes, in this order

    @property
    def port_keys(self) -> tuple[PortKey, ...]:
        return tuple(PortKey(transport, self.number) for transport in self.protocol.transports)

    def closed_ports(self) -> tuple[ClosedPort, ...]:
        """The ports that this rule closes, with what happens to their connections."""
        return tuple(
            ClosedPort(key, effective_on_expiry(key, self.on_expiry)) for key in self.port_keys
        )

    def with_additions_of(self, others: Sequence[PortRule]) -> PortRule:
        """Take what Azure's shape lacks from other rules; of several, the strictest."""
        on_expiry, drain_for = strictest(others)
        return replace(
            self,
            on_expiry=on_expiry,
            drain_for=drain_for,
            justification_required=any(other.justification_required for other in others),
            public_port=next((o.public_port for o in others if o.public_port), None),
            public_address=next((o.public_address for o in others if o.public_port), None),
            approval=approval_of(others),
        )


def approval_of(rules: Iterable[PortRule]) -> tuple[Stage, ...]:
    """The stages of all of them, equal ones once."""
    return tuple(dict.fromkeys(stage for rule in rules for stage in rule.approval))


@dataclass(frozen=True, slots=True)
class MachineRules:
    """One machine's port rules in a policy."""

    machine_id: ResourceId
    ports: tuple[PortRule, ...]
    public_ip_address: str | None = None  # Azure Firewall's, echoed


@dataclass(frozen=True, slots=True)
class Policy:
    id: ResourceId
    kind: str  # "Basic" is the only one ever seen
    machines: tuple[MachineRules, ...]
    rules: tuple[Rule, ...] = ()
    self_approval: bool = False  # may people approve what they asked for themselves?
    pending_for: timedelta | None = None  # how long a request waits at most; None: PENDING_FOR
    tickets: TicketCheck | None = None  # where they are asked for; None: nowhere

    @property
    def has_approval(self) -> bool:
        """Is there anything but port rules to be asked about a request?"""
        return bool(self.rules) or any(
            rule.approval for each in self.machines for rule in each.ports
        )

    def rules_for(self, machine: ResourceId) -> MachineRules | None:
        return next((rules for rules in self.machines if rules.machine_id == machine), None)

    def with_rules(self, rules: MachineRules) -> Policy:
        """The policy with one machine's rules put in or replaced, the others untouched."""
        kept = [r for r in self.machines if r.machine_id != rules.machine_id]
        position = next(
            (i for i, r in enumerate(self.machines) if r.machine_id == rules.machine_id), len(kept)
        )
        return replace(self, machines=(*kept[:position], rules, *kept[position:]))

    def without(self, machine: ResourceId) -> Policy:
        return replace(self, machines=tuple(r for r in self.machines if r.machine_id != machine))


def effective_on_expiry(key: PortKey, asked: OnExpiry) -> OnExpiry:
    """UDP is always ``kill``: a flow under "established" would never end (EDGES A4)."""
    return OnExpiry.KILL if key.protocol is TransportProtocol.UDP else asked


_BY_STRICTNESS = (OnExpiry.KEEP, OnExpiry.DRAIN, OnExpiry.KILL)


def strictest(rules: Iterable[PortRule]) -> tuple[OnExpiry, timedelta | None]:
    """The strictest of several settings: ``kill`` wins over ``drain``, and that over ``keep``; of two
    times the shorter.
    """
    every = tuple(rules)
    found = max((rule.on_expiry for rule in every), key=_BY_STRICTNESS.index, default=OnExpiry.KEEP)
    if found is not OnExpiry.DRAIN:
        return found, None
    return found, min((rule.drain_for for rule in every if rule.drain_for), default=None)


def closed_union(rules: Iterable[PortRule]) -> frozenset[ClosedPort]:
    """The ports that several rules close; where they differ, the strictest wins."""
    shut: dict[PortKey, ClosedPort] = {}
    for rule in rules:
        for closed in rule.closed_ports():
            held = shut.get(closed.port)
            if held is None or _is_stricter(closed.on_expiry, held.on_expiry):
                shut[closed.port] = closed
    return frozenset(shut.values())


def _is_stricter(one: OnExpiry, other: OnExpiry) -> bool:
    return _BY_STRICTNESS.index(one) > _BY_STRICTNESS.index(other)


def check_policy(policy: Policy) -> tuple[Problem, ...]:
    """Every problem of a policy that its parts' types do not already exclude."""
    problems: list[Problem] = []
    seen: set[ResourceId] = set()
    for m, rules in enumerate(policy.machines):
        here = Place(Part.MACHINE, m, is_in_policy=True)
        if rules.machine_id in seen:
            problems.append(
                Problem(
                    "DuplicateMachine",
                    sentence(
                        "Machine {machine} is given twice in this policy. Give it once, "
                        "with all its ports.",
                        machine=rules.machine_id.name,
                    ),
                    here,
                )
            )
        seen.add(rules.machine_id)
        problems.extend(_check_ports(rules.ports, here))
        problems.extend(_check_public(rules.ports, here))
    problems.extend(check_rules(policy.rules, "properties.bascule.rules"))
    problems.extend(check_tickets(policy))
    if policy.pending_for is not None and not (
        MINIMUM_PENDING <= policy.pending_for <= MAXIMUM_PENDING
    ):
        problems.append(
            Problem(
                "InvalidDuration",
                "pendingFor must be from PT5M (5 minutes) to P7D (7 days), both inclusive.",
                "properties.bascule.pendingFor",
            )
        )
    return tuple(problems)


def check_tickets(policy: Policy) -> Iterable[Problem]:
    """Every problem of the ticket check, and of rules that read what it finds."""
    if policy.tickets is not None:
        yield from check_ticket_check(policy.tickets, "properties.bascule.tickets")
        return
    for rule in policy.rules:
        if rule.conditions.ticket_confirmed is not None:
            yield Problem(
                "TicketsRequired",
                sentence(
                    "Rule {rule} reads whether a ticket was confirmed, and this policy has no ticket "
                    "check. Set one first: bascule policy ticket set",
                    rule=rule.name,
                ),
                "properties.bascule.tickets",
            )


def _check_ports(ports: tuple[PortRule, ...], machine: Place) -> Iterable[Problem]:
    taken: set[PortKey] = set()
    for p, rule in enumerate(ports):
        here = replace(machine, part=Part.NUMBER, port=p)
        if not MINIMUM_DURATION <= rule.max_duration <= MAXIMUM_DURATION:
            yield Problem(
                "InvalidDuration",
                "maxRequestAccessDuration must be from PT5M (5 minutes) to P1D (1 day), both inclusive.",
                replace(here, part=Part.LONGEST),
            )
        yield from _check_drain(rule, here)
        yield from (replace(each, target=here) for each in check_stages(rule.approval, ""))
        for key in rule.port_keys:
            if key in taken:
                yield Problem(
                    "DuplicatePort",
                    sentence(
                        "Port {port} is given twice for this machine. Give it once, with "
                        "all its sources.",
                        port=key,
                    ),
                    here,
                )
            taken.add(key)


def _check_drain(rule: PortRule, here: Place) -> Iterable[Problem]:
    if rule.on_expiry is not OnExpiry.DRAIN:
        if rule.drain_for is not None:
            yield Problem(
                "DrainNotAsked",
                "drainFor belongs to onExpiry drain alone. Set onExpiry to drain, or leave drainFor out.",
                here,
            )
    elif rule.drain_for is None:
        yield Problem(
            "DrainTimeRequired",
            "Give drainFor beside onExpiry drain: how long connections may stay when access ends, "
            "such as PT10M.",
            here,
        )
    elif not MINIMUM_DRAIN <= rule.drain_for <= MAXIMUM_DRAIN:
        yield Problem(
            "InvalidDrain",
            "drainFor must be from PT1S (1 second) to PT8H (8 hours), both inclusive.",
            here,
        )


def _check_public(ports: tuple[PortRule, ...], machine: Place) -> Iterable[Problem]:
    taken: set[tuple[TransportProtocol, int, Address | None]] = set()
    for p, rule in enumerate(ports):
        here = replace(machine, part=Part.NUMBER, port=p)
        if rule.public_port is None:
            if rule.public_address is not None:
                yield Problem(
                    "PublicPortRequired",
                    "Give publicPort beside publicIpAddress: the public port at that address.",
                    here,
                )
            continue
        named = {(each, rule.public_port, rule.public_address) for each in rule.protocol.transports}
        if named & taken:
            yield Problem(
                "PublicPortTaken",
                sentence(
                    "Public port {public} is given twice for this machine. Each of its ports takes "
                    "a public port of its own.",
                    public=rule.public_port,
                ),
                here,
            )
        taken |= named


def missing_for(rules: Iterable[PortRule], knows: frozenset[Feature]) -> frozenset[Feature]:
    """What an agent that knows this much would have to know beside it, to keep these rules."""
    found = (
        needs(closed.port, is_kill=closed.is_kill, is_drain=closed.is_drain)
        for rule in rules
        for closed in rule.closed_ports()
    )
    return frozenset().union(*found) - knows


def drains(rule: PortRule) -> bool:
    """Do connections of a port of this rule stay for a time? Those of UDP never do."""
    return any(closed.is_drain for closed in rule.closed_ports())


def cannot_drain_words(machine: str) -> Sentence:
    return sentence(
        "What guards {machine} cannot let connections stay for a time and then end them, so a port that "
        "drains cannot be opened there. Use keep or kill.",
        machine=machine,
    )
