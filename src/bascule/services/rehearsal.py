"""Previews: a change of policies is made in a transaction, described, and rolled back.

The very write runs in a transaction that is then undone: rights, preconditions and every
check are those of the real act, and what it would record is what would happen. Nobody is
woken, nothing is kept, and an answer of a moment ago binds nobody: the act decides anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from bascule.domain.access import Subject
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.grants import GrantEnded, GrantShortened
from bascule.domain.facts.machines import PortClosed, PortLeftPolicies, PortReleased
from bascule.domain.facts.policies import PolicyChanged, PolicyCreated
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.net import PublicPort, parse_address
from bascule.domain.times import parse_duration, parse_instant
from bascule.interfaces.closed_ports import ClosedPortReads
from bascule.interfaces.grants import GrantReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.store import Transaction
from bascule.services.act import Act, Services, actor_of
from bascule.services.request_rights import sight_of
from bascule.services.rights import RightsReads, rights_of


class PreviewReads(RightsReads, ClosedPortReads, GrantReads, MachineReads, Protocol):
    """What a preview tells of."""


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PortChange:
    machine_id: ResourceId
    port: str  # as in 22/TCP
    on_expiry: str = ""  # of a port that is closed, or is to be


@dataclass(frozen=True, slots=True)
class GrantChange:
    """A live grant that would end, or end earlier."""

    machine_id: ResourceId
    grant: Grant | None  # None: the caller may not see whose it is
    ends_at: datetime | None = None  # the earlier end; None: at once


@dataclass(frozen=True, slots=True)
class NamedPublic:
    """The public port that a rule names."""

    number: int | None = None  # None: it names none, and one is chosen
    address: str | None = None  # None: the gateway's first

    def __str__(self) -> str:
        if self.number is None or self.address is None:
            return "" if self.number is None else str(self.number)
        return str(PublicPort(parse_address(self.address), self.number))


@dataclass(frozen=True, slots=True)
class RuleChange:
    """What may be asked of a port from now on, where it differs from before: None is as it was."""

    machine_id: ResourceId
    port: str  # as in 22/TCP, or 22/* for both
    longest: tuple[timedelta, timedelta] | None = None
    sources: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    requires: tuple[tuple[str, bool], ...] = ()  # settings by name that are now on, or now off
    is_new: bool = False  # it may be asked for, and could not be by this policy
    public: tuple[NamedPublic, NamedPublic] | None = None  # at its gateways


@dataclass(frozen=True, slots=True)
class Preview:
    """Each list in the order in which it would happen."""

    closes: tuple[PortChange, ...] = ()  # open now
    alters: tuple[PortChange, ...] = ()  # closed already; what becomes of sessions changes
    leaves: tuple[PortChange, ...] = ()  # named by no policy any more; they stay closed
    opens: tuple[PortChange, ...] = ()  # let go
    ends: tuple[GrantChange, ...] = ()
    shortens: tuple[GrantChange, ...] = ()
    rules: tuple[RuleChange, ...] = ()  # new ones are left out where their port begins to be closed

    @property
    def changes_nothing(self) -> bool:
        return self == Preview()


class _Undone(Exception):
    """No error: it takes a transaction back, and carries what was seen in it."""

    def __init__(self, facts: list[Fact]) -> None:
        super().__init__()
        self.facts = facts


async def rehearse(
    services: Services, work: Callable[[Transaction, Act], object], subject: Subject
) -> Preview:
    """What ``work`` would change, done by this subject. Raises what ``work`` raises."""

    def unit(tx: Transaction) -> None:
        act = Act(services.clock.now(), actor_of(subject), place=services.place)
        work(tx, act)
        raise _Undone(act.facts)

    try:
        await services.store.write(unit)
    except _Undone as undone:
        facts, now = undone.facts, services.clock.now()
        return await services.read(lambda reader: _preview(reader, facts, subject, now))
    raise AssertionError("a rehearsal is always undone")


def preview_of(tx: PreviewReads, act: Act, subject: Subject) -> Preview:
    """What an act has changed so far, seen from within its own transaction: which ports it let go
    and what it ended are so; what was before it (``closes`` or ``alters``, an earlier end) is not.
    """
    return _preview(tx, act.facts, subject, act.now)


def _preview(reader: PreviewReads, facts: list[Fact], subject: Subject, now: datetime) -> Preview:
    closes, alters = _closings(reader, facts)
    sight = sight_of(rights_of(reader, subject.principal_id, now), subject.principal_id)
    touched = [each for each in facts if isinstance(each, (GrantEnded, GrantShortened))]
    grants = {
        grant.id: grant
        for grant in reader.grants_of(list(dict.fromkeys(each.request_id for each in touched)))
        if sight.sees(grant.machine_id) or grant.requestor_id == subject.principal_id
    }
    opens = _ports(each for each in facts if isinstance(each, PortReleased))
    left = _ports(each for each in facts if isinstance(each, PortLeftPolicies))
    return Preview(
        closes=closes,
        alters=alters,
        leaves=tuple(each for each in left if each not in opens),
        opens=opens,
        ends=tuple(_ended(each, grants) for each in facts if isinstance(each, GrantEnded)),
        shortens=tuple(
            _shortened(each, grants) for each in facts if isinstance(each, GrantShortened)
        ),
        rules=tuple(
            each
            for each in _rules(facts)
            if sight.sees(each.machine_id) and not (each.is_new and _is_among(each, closes))
        ),
    )


def _rules(facts: Iterable[Fact]) -> Iterator[RuleChange]:
    """What differs between the rules that policies had and those that they have now."""
    for fact in facts:
        if not isinstance(fact, (PolicyChanged, PolicyCreated)):
            continue
        had = _by_port(fact.previous_rules) if isinstance(fact, PolicyChanged) else {}
        for (machine, port), rule in _by_port(fact.rules).items():
            machine_id, before = ResourceId.parse_machine(machine), had.get((machine, port))
            if before is None:
                yield RuleChange(machine_id, port, is_new=True)
                continue
            change = RuleChange(
                machine_id,
                port,
                _pair(
                    *(parse_duration(each["maxRequestAccessDuration"]) for each in (before, rule))
                ),
                _pair(*(tuple(each["sources"]) for each in (before, rule))),
                tuple(
                    (name, value)
                    for name, value in rule.items()
                    if isinstance(value, bool) and value != before.get(name, False)
                ),
                public=_pair(*(_public(each) for each in (before, rule))),
            )
            if change != RuleChange(machine_id, port):
                yield change


def _by_port(rules: str) -> dict[tuple[str, str], dict[str, Any]]:
    """The rules as ``services.policies.describe`` writes them, by machine and port."""
    return {
        (machine["id"], f"{rule['number']}/{rule['protocol']}"): rule
        for machine in json.loads(rules)
        for rule in machine["ports"]
    }


def _public(rule: Mapping[str, Any]) -> NamedPublic:
    return NamedPublic(rule.get("publicPort"), rule.get("publicIpAddress"))


def _pair(before: T, now: T) -> tuple[T, T] | None:
    return None if before == now else (before, now)


def _is_among(rule: RuleChange, closes: Iterable[PortChange]) -> bool:
    number = rule.port.partition("/")[0]
    return any(
        each.machine_id == rule.machine_id and each.port.partition("/")[0] == number
        for each in closes
    )


def _closings(
    reader: PreviewReads, facts: Iterable[Fact]
) -> tuple[tuple[PortChange, ...], tuple[PortChange, ...]]:
    """Ports that will be closed, and closed ports whose rules change."""
    closes: list[PortChange] = []
    alters: list[PortChange] = []
    held: dict[str, set[str]] = {}
    for fact in facts:
        if not isinstance(fact, PortClosed):
            continue
        machine_id = ResourceId.parse_machine(fact.machine)
        if fact.machine not in held:
            machine = reader.machine(machine_id)
            ports = reader.closed_ports(machine.uid) if machine else ()
            held[fact.machine] = {str(each.port) for each in ports}
        change = PortChange(machine_id, fact.port.upper(), str(fact.on_expiry))
        (alters if fact.port in held[fact.machine] else closes).append(change)
    return tuple(closes), tuple(alters)


def _ports(facts: Iterable[PortLeftPolicies | PortReleased]) -> tuple[PortChange, ...]:
    return tuple(
        PortChange(ResourceId.parse_machine(each.machine), each.port.upper()) for each in facts
    )


def _ended(fact: GrantEnded, grants: Mapping[str, Grant]) -> GrantChange:
    return GrantChange(ResourceId.parse_machine(fact.machine), grants.get(fact.grant_id))


def _shortened(fact: GrantShortened, grants: Mapping[str, Grant]) -> GrantChange:
    return GrantChange(
        ResourceId.parse_machine(fact.machine),
        grants.get(fact.grant_id),
        parse_instant(fact.ends_at),
    )
