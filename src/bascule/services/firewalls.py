"""What a gateway leads to the machines behind it, gathered for views.

A gateway is a machine whose agent guards others, and whose guard file names public addresses. What
it leads is what its last reports read back: a grant in force there whose port has a public port, of
a time that is not over. A grant that was decided, or opened only at another point, leads nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.bindings import Binding
from bascule.domain.grant import Grant
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.nat_rules import Led, NatRule, nat_rules
from bascule.domain.net import Address, PortKey
from bascule.domain.public_ports import Claim
from bascule.interfaces.points import BindingReads
from bascule.interfaces.public_ports import PublicPortReads
from bascule.services.machine_context import (
    SurroundingReads,
    Surroundings,
    held_opening,
    is_held,
    surroundings_of,
)

Claims = Mapping[tuple[str, PortKey], Sequence[Claim]]  # by machine uid and the machine's port


class FirewallReads(SurroundingReads, BindingReads, PublicPortReads, Protocol):
    """What is known of a gateway, and of what it guards."""


@dataclass(frozen=True, slots=True)
class Firewall:
    """One gateway as a view has it."""

    around: Surroundings  # of the gateway itself
    addresses: tuple[Address, ...]  # public, by its guard file; at least one
    rules: tuple[NatRule, ...]
    behind: int  # how many machines
    is_current: bool  # has it read back the newest state of each of them?


def firewalls_of(
    reader: FirewallReads, machines: Sequence[Machine], now: datetime
) -> list[Firewall]:
    """Of those machines that are gateways, in their order."""
    found = []
    for around in surroundings_of(reader, machines, now):
        uid = around.machine.uid
        agent, bound = reader.agent_of(uid), reader.bound_to(uid)
        addresses = public_addresses(agent)
        if agent is not None and addresses and bound:
            found.append(_firewall(reader, around, agent, addresses, bound))
    return found


def public_addresses(agent: EnforcementPoint | None) -> tuple[Address, ...]:
    """By the guard file of its host, which an agent has told."""
    guard = agent.guard if agent is not None else None
    return guard.forwarding.addresses if guard is not None and guard.forwarding is not None else ()


def _firewall(
    reader: FirewallReads,
    around: Surroundings,
    agent: EnforcementPoint,
    addresses: tuple[Address, ...],
    bound: Sequence[Binding],
) -> Firewall:
    wanted = reader.generations([each.machine_uid for each in bound])
    claims = _by_port(reader.public_ports_at(agent.machine_uid))
    leading = [led for each in bound for led in _led(reader, each, agent, claims, around.now)]
    return Firewall(
        around,
        addresses,
        nat_rules(leading),
        len(bound),
        around.is_current
        and all(_is_told(each, wanted) and each.failed_since is None for each in bound),
    )


def _is_told(binding: Binding, wanted: Mapping[str, int]) -> bool:
    return binding.generation >= wanted.get(binding.machine_uid, 0)


def _by_port(claims: Iterable[Claim]) -> Claims:
    found: dict[tuple[str, PortKey], list[Claim]] = {}
    for each in claims:
        found.setdefault((each.machine_uid, each.port), []).append(each)
    return found


def _led(
    reader: FirewallReads,
    binding: Binding,
    agent: EnforcementPoint,
    claims: Claims,
    now: datetime,
) -> Iterable[Led]:
    if not claims or not binding.in_force:
        return
    here = binding.at(agent)
    to = {each.version: each for each in binding.addresses}
    for grant in reader.unsettled_grants(binding.machine_uid):
        if grant.id in binding.in_force and is_held(reader, grant, here, now):
            for port in grant.port_keys:
                for claim in claims.get((grant.machine_uid, port), ()):
                    target = to.get(claim.public.address.version)
                    if target is not None and _led_by(claim, grant):
                        yield Led(
                            held_opening(grant),
                            grant.machine_uid,
                            grant.machine_id,
                            port,
                            claim.public,
                            target,
                        )


def _led_by(claim: Claim, grant: Grant) -> bool:
    """A claim that was let go with the grant may lead until the gateway has read the grant back
    closed; one that was let go before does not.
    """
    if claim.released_at is None:
        return True
    return grant.ended_at is not None and claim.released_at >= grant.ended_at
