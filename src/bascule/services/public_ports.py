"""Which public ports of gateways stand for machines' ports: given, let go, and told (EDGES G2, G6).

One is given with the grant that needs it, in one transaction, for each IP version that the grant's
sources have and in which the gateway has a public address. A gateway without such an address is
routed only. A machine's port keeps its public port after the grant. It is let go when no policy
names the machine's port any more, when the machine is unbound, moved or deleted, and when the
gateway's guard does not give it any more; from then on it is held back from every other machine.
What is not here: the choice (``domain.public_ports``), and what the agent refuses.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bascule.domain.bindings import Binding
from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.facts.enrolments import PublicPortGiven, PublicPortReleased
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.net import Address, PortKey, PortMapped, PublicPort, PublicPorts
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.public_ports import HELD_BACK, Claim, Refused, choose, named_at
from bascule.domain.request import AccessRequest
from bascule.errors import InvalidInput, Part, Place, Problem
from bascule.interfaces.closed_ports import ClosedPortReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.points import BindingReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.public_ports import PublicPortReads, PublicPortWrites
from bascule.interfaces.record import EventWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.grants import GrantEndWrites, end_grants, touch, withdraw


class ChoiceReads(BindingReads, PublicPortReads, Protocol):
    """Where machines are behind gateways, and which public ports are given out."""


class GiveWrites(EventWrites, PublicPortWrites, Protocol):
    """Public ports, and the record."""


class GuardWrites(GrantEndWrites, MachineReads, PublicPortWrites, Protocol):
    """The same, and the grants that lose theirs."""


class RuleReads(ChoiceReads, ClosedPortReads, Protocol):
    """The same, and what gateways close for themselves."""


class RuleWrites(GuardWrites, RuleReads, Protocol):
    """Public ports that a policy names, and what ends with another's."""


class TakenWrites(GiveWrites, PolicyReads, Protocol):
    """Public ports, and whether a policy names them."""


class ToldReads(BindingReads, MachineReads, PublicPortReads, Protocol):
    """What is told of public ports, and where."""


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
        gives = _forwarding(agent.guard).gives
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
        return _through(reader, self._standing()) if self.behind else {}

    def _newly(self) -> list[Claim]:
        return [claim for claim, _ in self.made]

    def write(self, tx: GuardWrites, act: Act, machine_ids: Mapping[str, ResourceId]) -> None:
        """Give them, and let go those whose place they take, with the grants that came by these. The
        caller advances the machines' generations.

        ``machine_ids`` by machine uid. Raises Conflict where one was given meanwhile.
        """
        for claim in self.dropped:
            release(tx, act, machine_ids[claim.machine_uid], [claim])
            lost = [each for each in tx.live_grants([claim.machine_uid]) if _leads(claim, each)]
            cause = "another public port that a policy names"
            end_grants(tx, act, lost, StatusReason.USER_REQUESTED, cause)
        tx.add_public_ports([claim for claim, was in self.made if was is None])
        for claim, was in self.made:
            if was is not None:
                tx.put_public_port(claim, was)
            machine_id = machine_ids[claim.machine_uid]
            told = (str(machine_id), claim.machine_uid, claim.point_uid, *_words(claim))
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
    given = _forwarding(agent.guard)
    return named_at(rule.public_port, rule.public_address, at.version, given, everywhere)


def _of_rule(
    rule: PortRule, binding: Binding, agent: EnforcementPoint
) -> Iterable[tuple[PortKey, Address]]:
    """The ports of a rule, with each address of an IP version in which that gateway has a public one."""
    versions = {each.version for each in _forwarding(agent.guard).addresses}
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
    return {address for _, agent in gateways for address in _forwarding(agent.guard).addresses}


def _key(claim: Claim) -> _Key:
    return claim.point_uid, claim.mapped


def _words(claim: Claim) -> tuple[str, str]:
    return str(claim.port), f"{claim.public}/{claim.port.protocol.lower()}"


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
    public = {each.version for each in _forwarding(agent.guard).addresses}
    versions = _versions(grant) & public
    for at in binding.addresses:
        if at.version in versions:
            yield from ((port, at) for port in grant.port_keys)


def _versions(grant: Grant) -> set[int]:
    """IP versions of its sources."""
    return {network.version for source in grant.sources for network in source.networks}


def _forwarding(guard: Guard | None) -> Forwarding:
    return (guard or Guard()).forwarding or Forwarding()


# -- letting go ----------------------------------------------------------------------------------


def release(
    tx: GiveWrites, act: Act, machine_id: ResourceId | str, claims: Sequence[Claim]
) -> None:
    """Let them go, of one machine, whose generation the caller advances. What was held back for long
    enough, and is of machines or gateways that are gone, is forgotten.
    """
    for claim in claims:
        tx.put_public_port(claim.released(act.now), claim)
        _record_released(tx, act, machine_id, claim)
    if claims:
        tx.forget_public_ports(act.now - HELD_BACK)


def _record_released(tx: EventWrites, act: Act, machine_id: ResourceId | str, claim: Claim) -> None:
    told = (str(machine_id), claim.machine_uid, claim.point_uid, *_words(claim))
    act.record(tx, PublicPortReleased(*told), machine_id)


def leave(tx: GiveWrites, act: Act, machine: Machine, point_uid: str | None = None) -> None:
    """``release`` all that the machine has, at one gateway or, with None, at every one."""
    claims = [
        each
        for each in _standing(tx, machine.uid)
        if point_uid is None or each.point_uid == point_uid
    ]
    release(tx, act, machine.id, claims)


def keep_named(tx: GiveWrites, act: Act, machine: Machine, named: Collection[PortKey]) -> bool:
    """``release`` what stands for ports that no policy names; False when there was nothing."""
    claims = [each for each in _standing(tx, machine.uid) if each.port not in named]
    release(tx, act, machine.id, claims)
    return bool(claims)


def _standing(tx: PublicPortReads, machine_uid: str) -> list[Claim]:
    return [each for each in tx.public_ports_of([machine_uid]) if each.released_at is None]


def follow_guard(
    tx: GuardWrites, act: Act, gateway: Machine, before: Guard | None, guard: Guard | None
) -> None:
    """``release`` what the gateway's guard does not give any more, and end the grants that came by it:
    whoever holds one was told of a public port that leads nobody.
    """
    if _forwarding(before) == _forwarding(guard):  # nearly always
        return
    gives = _forwarding(guard).gives
    lost: dict[str, list[Claim]] = {}
    for each in tx.public_ports_at(gateway.uid):
        if each.released_at is None and not gives(each.public):
            lost.setdefault(each.machine_uid, []).append(each)
    machines = tx.machines_of(sorted(lost))
    for uid, claims in lost.items():
        release(tx, act, machines[uid].id if uid in machines else "", claims)
        for grant in tx.live_grants([uid]):
            if any(_leads(claim, grant) for claim in claims):
                _lose(tx, act, grant, gateway)
        touch(tx, act, uid)


def _lose(tx: GuardWrites, act: Act, grant: Grant, gateway: Machine) -> None:
    why = (
        f"The guard file of {gateway.id.name} does not give the public port of "
        f"{grant.machine_id.name} any more. Request access again."
    )
    if grant.state is GrantState.OPENING:
        withdraw(tx, act, grant, why)
    else:
        end_grants(tx, act, [grant], StatusReason.EXPIRED, why)


def _leads(claim: Claim, grant: Grant) -> bool:
    """Does it lead that grant's sources to one of its ports?"""
    return (
        claim.machine_uid == grant.machine_uid
        and claim.port in grant.port_keys
        and claim.public.address.version in _versions(grant)
    )


def found_taken(tx: TakenWrites, act: Act, grant: Grant, point_uid: str) -> Sequence[Claim]:
    """Something at the gateway has the public port of a grant that it refused: another is given next
    time, and this one to nobody until it was held back. One that a policy names stays. Returns those
    of the grant.
    """
    claims = [
        each
        for each in _standing(tx, grant.machine_uid)
        if each.point_uid == point_uid and _leads(each, grant)
    ]
    named = {
        (port, rule.public_port)
        for _, rules in (tx.rules_at([grant.machine_id]) if claims else ())
        for rule in rules.ports
        for port in rule.port_keys
    }
    for each in claims:
        if (each.port, each.public.number) in named:
            continue
        tx.put_public_port(each.found_taken(act.now), each)
        _record_released(tx, act, grant.machine_id, each)
    return claims


# -- what is told --------------------------------------------------------------------------------


def mapped_at(tx: PublicPortReads, machine_uid: str, point_uid: str) -> PublicPorts:
    """Of one machine at one gateway, by the machine's ports."""
    found: dict[PortKey, tuple[Claim, ...]] = {}
    for each in _standing(tx, machine_uid):
        if each.point_uid == point_uid:
            found[each.port] = (*found.get(each.port, ()), each)
    return {port: tuple(each.public for each in claims) for port, claims in found.items()}


@dataclass(frozen=True, slots=True)
class Through:
    """A public port that leads to a machine's port."""

    claim: Claim
    gateway: ResourceId | None  # None: that machine is gone
    in_force: frozenset[
        str
    ]  # grant ids that the gateway has read back; not looked up for the only one


def public_ports_told(
    reader: ToldReads, points: Mapping[str, EnforcementPoint]
) -> Mapping[str, tuple[Through, ...]]:
    """Those of machines behind gateways, by machine uid; ``points`` are by machine uid too.

    The gateway that was bound first comes first.
    """
    uids = [uid for uid, point in points.items() if point.gateways]
    if not uids:  # nearly always
        return {}
    return _through(reader, [e for e in reader.public_ports_of(uids) if e.released_at is None])


def _through(reader: ToldReads, claims: Sequence[Claim]) -> Mapping[str, tuple[Through, ...]]:
    names = reader.machines_of(sorted({each.point_uid for each in claims}))
    found: dict[str, list[Claim]] = {}
    for each in claims:
        found.setdefault(each.machine_uid, []).append(each)
    several = [uid for uid, of_it in found.items() if len({each.point_uid for each in of_it}) > 1]
    bound = {
        (each.machine_uid, each.point_uid): each
        for each, _ in (reader.gateways_of(several) if several else ())
    }

    def through(claim: Claim) -> Through:
        gateway, binding = (
            names.get(claim.point_uid),
            bound.get((claim.machine_uid, claim.point_uid)),
        )
        in_force = binding.in_force if binding is not None else frozenset()
        return Through(claim, gateway.id if gateway is not None else None, in_force)

    def order(claim: Claim) -> datetime:
        return bound[claim.machine_uid, claim.point_uid].bound_at

    return {
        uid: tuple(map(through, sorted(of_it, key=order) if uid in several else of_it))
        for uid, of_it in found.items()
    }


def public_addresses(
    reader: BindingReads, points: Mapping[str, EnforcementPoint]
) -> Mapping[str, Address]:
    """By machine uid, of machines with one gateway that gives public addresses for them: the first of
    those. ``points`` are by machine uid too.
    """
    uids = sorted(uid for uid, point in points.items() if point.gateways)
    found: dict[str, list[Address]] = {}
    for binding, agent in reader.gateways_of(uids) if uids else ():  # nearly always none
        versions = {each.version for each in binding.addresses}
        given = _forwarding(agent.guard)
        public = [each for each in given.addresses if each.version in versions and given.first]
        found.setdefault(binding.machine_uid, []).extend(public[:1])
    return {uid: addresses[0] for uid, addresses in found.items() if len(addresses) == 1}


def of_grant(told: Iterable[Through], grant: Grant) -> list[Through]:
    """Those that lead a live grant's sources, first where it is in force."""
    if not grant.is_live:
        return []
    leading = [
        each
        for each in told
        if _leads(each.claim, grant) and each.claim.point_uid not in grant.withdrawn
    ]
    return sorted(leading, key=lambda each: grant.id not in each.in_force)
