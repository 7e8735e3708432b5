"""Which public ports of gateways stand for machines' ports: giving them (EDGES G2, G6).

One is given with the grant that needs it, in one transaction, for each IP version that the grant's
sources have and in which the gateway has a public address. A gateway without such an address is
routed only. One that a policy names is given when the policy is written.
What is not here: the choice (``domain.public_ports``), and letting them go (``public_ports``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bascule.domain.bindings import Binding
from bascule.domain.facts.enrolments import PublicPortGiven
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.net import Address, PortKey, PortMapped, PublicPort
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.public_ports import Claim, Refused, choose, named_at
from bascule.domain.request import AccessRequest
from bascule.errors import InvalidInput, Part, Place, Problem
from bascule.interfaces.closed_ports import ClosedPortReads
from bascule.interfaces.points import BindingReads
from bascule.interfaces.public_ports import PublicPortReads
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.grants import end_grants, touch
from bascule.services.public_ports import (
    GuardWrites,
    forwarding_of,
    ip_versions,
    leads,
    release,
    words_of,
)
from bascule.services.public_ports_told import Through, ToldReads, through_gateways


class ChoiceReads(BindingReads, PublicPortReads, Protocol):
    """Where machines are behind gateways, and which public ports are given out."""


class RuleReads(ChoiceReads, ClosedPortReads, Protocol):
    """The same, and what gateways close for themselves."""


class RuleWrites(GuardWrites, RuleReads, Protocol):
    """Public ports that a policy names, and what ends with another's."""


_Key = tuple[str, PortMapped]  # a public port, of the gateway of that uid


@dataclass(slots=True)
class Choices:
    """The public ports that one act is to give, as far as it is decided; nothing is written."""

    now: datetime
    made: list[tuple[Claim, Claim | None]] = field(default_factory=list)  # with what is stored
    dropped: list[Claim] = field(default_factory=list)  # the policy names another one
    behind: dict[str, EnforcementPoint] = field(default_factory=dict)  # by machine uid
    _known: dict[str, list[Claim]] = field(default_factory=dict)  # standing, by machine uid
    _at: dict[str, dict[_Key, Claim]] = field(default_factory=dict)  # all of a gateway, as stored

    def judge(
        self,
        tx: ChoiceReads,
        policy: Policy,
        request: AccessRequest,
        grants: Iterable[Grant],
        points: Mapping[str, EnforcementPoint],
    ) -> list[Problem]:
        """Choose for these grants of a policy; what cannot be had is said as ``decide`` says it.

        ``points`` are those of the grants' machines, by machine uid.
        """
        behind = [
            grant
            for grant in grants
            if (point := points.get(grant.machine_uid)) is not None and point.gateways
        ]
        if not behind:  # nearly always
            return []
        uids = sorted({grant.machine_uid for grant in behind})
        self.behind.update({uid: points[uid] for uid in uids})
        gateways = _by_machine(tx.gateways_of(uids))
        self._read(tx, uids)
        places = _places(request)
        problems: list[Problem] = []
        for grant in behind:
            rules = policy.rules_for(grant.machine_id)
            ports = rules.ports if rules is not None else ()
            everywhere = _public(gateways[grant.machine_uid])
            for binding, agent in gateways[grant.machine_uid]:
                for port, at in _wanted(grant, binding, agent):
                    rule = next((each for each in ports if port in each.port_keys), None)
                    named = _named(rule, at, agent, everywhere)
                    refused = self._take(tx, binding, agent, port, at, named)
                    if refused is not None:
                        place = places[grant.machine_id, grant.number]
                        problems.append(Problem(refused.code, refused.message, place))
        return problems

    def judge_rules(
        self, tx: RuleReads, machine: Machine, rules: Sequence[tuple[PortRule, Place]]
    ) -> list[Problem]:
        """Take what rules name that are new in a policy; what cannot be had, at their places."""
        gateways = tx.gateways_of([machine.uid])
        self._read(tx, [machine.uid])
        everywhere = _public(gateways)
        problems: list[Problem] = []
        for rule, place in rules:
            if not everywhere:
                problems.append(_behind_none(machine, place))
                continue
            for binding, agent in gateways:
                for port, at in _of_rule(rule, binding, agent):
                    named = _named(rule, at, agent, everywhere)
                    if named is None:
                        continue
                    refused = _closed_there(tx, binding.point_uid, port, named)
                    refused = refused or self._take(tx, binding, agent, port, at, named)
                    if refused is not None:
                        problems.append(Problem(refused.code, refused.message, place))
        return list(dict.fromkeys(problems))

    def _read(self, tx: PublicPortReads, uids: Sequence[str]) -> None:
        self._known.update({uid: [] for uid in uids})
        for each in tx.public_ports_of(uids):
            if each.released_at is None and each not in self.dropped:
                self._known[each.machine_uid].append(each)

    def _take(
        self,
        tx: PublicPortReads,
        binding: Binding,
        agent: EnforcementPoint,
        port: PortKey,
        at: Address,
        named: PublicPort | None,
    ) -> Refused | None:
        """Keep the one that stands for it, or choose; one that is named takes another's place."""
        gives = forwarding_of(agent.guard).gives
        current = next(
            (
                each
                for each in self._standing()
                if (each.point_uid, each.machine_uid, each.port)
                == (binding.point_uid, binding.machine_uid, port)
                and each.public.address.version == at.version
                and gives(each.public)
            ),
            None,
        )
        if current is not None and named in (None, current.public):
            return None
        chosen = self._choose(tx, binding, agent, port, at, named)
        if isinstance(chosen, Refused):
            return chosen
        if current is not None and current in self._known[binding.machine_uid]:
            self._known[binding.machine_uid].remove(current)
            self.dropped.append(current)
        return None

    def _choose(
        self,
        tx: PublicPortReads,
        binding: Binding,
        agent: EnforcementPoint,
        port: PortKey,
        at: Address,
        named: PublicPort | None,
    ) -> Claim | Refused:
        uid = binding.point_uid
        if uid not in self._at:
            self._at[uid] = {_key(each): each for each in tx.public_ports_at(uid)}
        stored = self._at[uid]
        now = {**stored, **{_key(each): each for each in self._newly() if each.point_uid == uid}}
        given = agent.guard.forwarding if agent.guard is not None else None
        public = choose(binding.machine_uid, port, at, given, now.values(), self.now, named)
        if isinstance(public, Refused):
            return public
        claim = Claim(uid, public, binding.machine_uid, port)
        self.made.append((claim, stored.get(_key(claim))))
        return claim

    def _standing(self) -> list[Claim]:
        return [*(each for of_it in self._known.values() for each in of_it), *self._newly()]

    def told(self, reader: ToldReads) -> Mapping[str, tuple[Through, ...]]:
        """``public_ports_told`` of all that these grants have, as if it were written."""
        return through_gateways(reader, self._standing(), self.behind) if self.behind else {}

    def _newly(self) -> list[Claim]:
        return [claim for claim, _ in self.made]

    def write(self, tx: GuardWrites, act: Act, machine_ids: Mapping[str, ResourceId]) -> None:
        """Give them, and let go those whose place they take, with the grants that came by these. The
        caller advances the machines' generations.

        ``machine_ids`` by machine uid. Raises Conflict where one was given meanwhile.
        """
        for claim in self.dropped:
            release(tx, act, machine_ids[claim.machine_uid], [claim])
            lost = [each for each in tx.live_grants([claim.machine_uid]) if leads(claim, each)]
            cause = "another public port that a policy names"
            end_grants(tx, act, lost, StatusReason.USER_REQUESTED, cause)
        tx.add_public_ports([claim for claim, was in self.made if was is None])
        for claim, was in self.made:
            if was is not None:
                tx.put_public_port(claim, was)
            machine_id = machine_ids[claim.machine_uid]
            told = (str(machine_id), claim.machine_uid, claim.point_uid, *words_of(claim))
            act.record(tx, PublicPortGiven(*told), machine_id)


def claim_named(
    tx: RuleWrites, act: Act, policy: Policy, before: Policy | None, machines: Iterable[Machine]
) -> None:
    """Take the public ports that a policy's new rules name, before anybody asks: else another machine
    could be given them. Raises InvalidInput with every reason.
    """
    known = {each.id: each for each in machines}
    choices, problems, ids = Choices(act.now), list[Problem](), dict[str, ResourceId]()
    for m, rules in enumerate(policy.machines):
        had = before.rules_for(rules.machine_id) if before is not None else None
        new = [
            (rule, Place(Part.NUMBER, m, p, is_in_policy=True))
            for p, rule in enumerate(rules.ports)
            if rule.public_port is not None and (had is None or not _named_in(had, rule))
        ]
        machine = known.get(rules.machine_id)
        if new and machine is not None:
            ids[machine.uid] = machine.id
            problems.extend(choices.judge_rules(tx, machine, new))
    if problems:
        raise InvalidInput.of(problems)
    choices.write(tx, act, ids)
    for uid in {claim.machine_uid for claim, _ in choices.made}:
        touch(tx, act, uid)


def _named_in(had: MachineRules, rule: PortRule) -> bool:
    """Did it name that public port already? What the gateway gives by now is then told who asks."""
    return any(
        (each.number, each.protocol, each.public_port, each.public_address)
        == (rule.number, rule.protocol, rule.public_port, rule.public_address)
        for each in had.ports
    )


def _named(
    rule: PortRule | None, at: Address, agent: EnforcementPoint, everywhere: Collection[Address]
) -> PublicPort | None:
    if rule is None:
        return None
    given = forwarding_of(agent.guard)
    return named_at(rule.public_port, rule.public_address, at.version, given, everywhere)


def _of_rule(
    rule: PortRule, binding: Binding, agent: EnforcementPoint
) -> Iterable[tuple[PortKey, Address]]:
    """The ports of a rule, with each address of an IP version in which that gateway has a public one."""
    versions = {each.version for each in forwarding_of(agent.guard).addresses}
    for at in binding.addresses:
        if at.version in versions:
            yield from ((port, at) for port in rule.port_keys)


def _closed_there(
    tx: ClosedPortReads, point_uid: str, port: PortKey, named: PublicPort
) -> Refused | None:
    own = PortKey(port.protocol, named.number)
    if all(each.port != own for each in tx.closed_ports(point_uid)):
        return None
    return Refused(
        "PublicPortTaken",
        sentence(
            "Port {port} is closed for the gateway itself, so it cannot stand for another machine’s. "
            "Name another one in the policy, or none.",
            port=own,
        ),
    )


def _behind_none(machine: Machine, place: Place) -> Problem:
    return Problem(
        "PublicPortNotGiven",
        sentence(
            "{machine} is behind no gateway that gives public addresses, so the policy can name no "
            "public port. First: bascule machine behind GATEWAY {machine}.",
            machine=machine.id.name,
        ),
        place,
    )


def _by_machine(
    gateways: Iterable[tuple[Binding, EnforcementPoint]],
) -> Mapping[str, list[tuple[Binding, EnforcementPoint]]]:
    found: dict[str, list[tuple[Binding, EnforcementPoint]]] = defaultdict(list)
    for each in gateways:
        found[each[0].machine_uid].append(each)
    return found


def _public(gateways: Iterable[tuple[Binding, EnforcementPoint]]) -> Collection[Address]:
    return {address for _, agent in gateways for address in forwarding_of(agent.guard).addresses}


def _key(claim: Claim) -> _Key:
    return claim.point_uid, claim.mapped


def _places(request: AccessRequest) -> Mapping[tuple[ResourceId, int], Place]:
    """Where each machine's port stands in it."""
    return {
        (machine.machine_id, port.number): Place(Part.NUMBER, m, p)
        for m, machine in enumerate(request.machines)
        for p, port in enumerate(machine.ports)
    }


def _wanted(
    grant: Grant, binding: Binding, agent: EnforcementPoint
) -> Iterable[tuple[PortKey, Address]]:
    """The machine's ports that need a public port of that gateway, each with its address there."""
    public = {each.version for each in forwarding_of(agent.guard).addresses}
    versions = ip_versions(grant) & public
    for at in binding.addresses:
        if at.version in versions:
            yield from ((port, at) for port in grant.port_keys)
