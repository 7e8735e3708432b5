"""Which public ports of gateways stand for machines' ports: letting them go (EDGES G2, G6).

A machine's port keeps its public port after the grant. It is let go when no policy names the
machine's port any more, when the machine is unbound, moved or deleted, and when the gateway's guard
does not give it any more; from then on it is held back from every other machine.
What is not here: giving them (``public_port_choices``), what is told of them
(``public_ports_told``), and what the agent refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from bascule.domain.bounds import Forwarding, Guard
from bascule.domain.facts.enrolments import PublicPortReleased
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import Machine
from bascule.domain.net import PortKey
from bascule.domain.public_ports import HELD_BACK, Claim
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.public_ports import PublicPortReads, PublicPortWrites
from bascule.interfaces.record import EventWrites
from bascule.services.act import Act
from bascule.services.grants import GrantEndWrites, end_grants, touch, withdraw


class GiveWrites(EventWrites, PublicPortWrites, Protocol):
    """Public ports, and the record."""


class GuardWrites(GrantEndWrites, MachineReads, PublicPortWrites, Protocol):
    """The same, and the grants that lose theirs."""


class TakenWrites(GiveWrites, PolicyReads, Protocol):
    """Public ports, and whether a policy names them."""


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
    told = (str(machine_id), claim.machine_uid, claim.point_uid, *words_of(claim))
    act.record(tx, PublicPortReleased(*told), machine_id)


def leave(tx: GiveWrites, act: Act, machine: Machine, point_uid: str | None = None) -> None:
    """``release`` all that the machine has, at one gateway or, with None, at every one."""
    claims = [
        each
        for each in standing(tx, machine.uid)
        if point_uid is None or each.point_uid == point_uid
    ]
    release(tx, act, machine.id, claims)


def keep_named(tx: GiveWrites, act: Act, machine: Machine, named: Collection[PortKey]) -> bool:
    """``release`` what stands for ports that no policy names; False when there was nothing."""
    claims = [each for each in standing(tx, machine.uid) if each.port not in named]
    release(tx, act, machine.id, claims)
    return bool(claims)


def follow_guard(
    tx: GuardWrites, act: Act, gateway: Machine, before: Guard | None, guard: Guard | None
) -> None:
    """``release`` what the gateway's guard does not give any more, and end the grants that came by it:
    whoever holds one was told of a public port that leads nobody.
    """
    if forwarding_of(before) == forwarding_of(guard):  # nearly always
        return
    gives = forwarding_of(guard).gives
    lost: dict[str, list[Claim]] = {}
    for each in tx.public_ports_at(gateway.uid):
        if each.released_at is None and not gives(each.public):
            lost.setdefault(each.machine_uid, []).append(each)
    machines = tx.machines_of(sorted(lost))
    for uid, claims in lost.items():
        release(tx, act, machines[uid].id if uid in machines else "", claims)
        for grant in tx.live_grants([uid]):
            if any(leads(claim, grant) for claim in claims):
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


def found_taken(tx: TakenWrites, act: Act, grant: Grant, point_uid: str) -> Sequence[Claim]:
    """Something at the gateway has the public port of a grant that it refused: another is given next
    time, and this one to nobody until it was held back. One that a policy names stays. Returns those
    of the grant.
    """
    claims = [
        each
        for each in standing(tx, grant.machine_uid)
        if each.point_uid == point_uid and leads(each, grant)
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


def standing(tx: PublicPortReads, machine_uid: str) -> list[Claim]:
    """Those of a machine that are not let go."""
    return [each for each in tx.public_ports_of([machine_uid]) if each.released_at is None]


def leads(claim: Claim, grant: Grant) -> bool:
    """Does it lead that grant's sources to one of its ports?"""
    return (
        claim.machine_uid == grant.machine_uid
        and claim.port in grant.port_keys
        and claim.public.address.version in ip_versions(grant)
    )


def ip_versions(grant: Grant) -> set[int]:
    """IP versions of its sources."""
    return {network.version for source in grant.sources for network in source.networks}


def forwarding_of(guard: Guard | None) -> Forwarding:
    return (guard or Guard()).forwarding or Forwarding()


def words_of(claim: Claim) -> tuple[str, str]:
    return str(claim.port), f"{claim.public}/{claim.port.protocol.lower()}"
