"""What is told of the public ports that stand for machines' ports (EDGES G6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.machine import EnforcementPoint
from bascule.domain.net import Address, PortKey, PublicPorts
from bascule.domain.public_ports import Claim
from bascule.domain.weaknesses import ANSWERS_BY_ANOTHER
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.points import BindingReads
from bascule.interfaces.public_ports import PublicPortReads
from bascule.services.public_ports import forwarding_of, leads, standing


class ToldReads(BindingReads, MachineReads, PublicPortReads, Protocol):
    """What is told of public ports, and where."""


def mapped_at(tx: PublicPortReads, machine_uid: str, point_uid: str) -> PublicPorts:
    """Of one machine at one gateway, by the machine's ports."""
    found: dict[PortKey, tuple[Claim, ...]] = {}
    for each in standing(tx, machine_uid):
        if each.point_uid == point_uid:
            found[each.port] = (*found.get(each.port, ()), each)
    return {port: tuple(each.public for each in claims) for port, claims in found.items()}


@dataclass(frozen=True, slots=True)
class Through:
    """A public port that leads to a machine's port."""

    claim: Claim
    gateway: ResourceId | None  # None: that machine is gone
    in_force: frozenset[str]  # ids of grants read back there; not looked up for the only gateway
    fails: bool = False  # it is known that answers do not come back there; not of the only gateway


def public_ports_told(
    reader: ToldReads, points: Mapping[str, EnforcementPoint]
) -> Mapping[str, tuple[Through, ...]]:
    """Those of machines behind gateways, by machine uid; ``points`` are by machine uid too.

    The gateway that was bound first comes first, of those that may work.
    """
    uids = [uid for uid, point in points.items() if point.gateways]
    if not uids:  # nearly always
        return {}
    claims = [e for e in reader.public_ports_of(uids) if e.released_at is None]
    return through_gateways(reader, claims, points)


def through_gateways(
    reader: ToldReads, claims: Sequence[Claim], points: Mapping[str, EnforcementPoint]
) -> Mapping[str, tuple[Through, ...]]:
    """``public_ports_told`` of these."""
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
        gateway = names.get(claim.point_uid)
        binding = bound.get((claim.machine_uid, claim.point_uid))
        in_force = binding.in_force if binding is not None else frozenset()
        fails = binding is not None and _fails(claim, points.get(claim.machine_uid))
        return Through(claim, gateway.id if gateway is not None else None, in_force, fails)

    def order(claim: Claim) -> tuple[bool, datetime]:
        fails = _fails(claim, points.get(claim.machine_uid))
        return fails, bound[claim.machine_uid, claim.point_uid].bound_at

    return {
        uid: tuple(map(through, sorted(of_it, key=order) if uid in several else of_it))
        for uid, of_it in found.items()
    }


def _fails(claim: Claim, point: EnforcementPoint | None) -> bool:
    """Do the machine's own agent, or the gateway's, say that who comes by it is not answered there?"""
    return point is not None and any(
        (
            said.is_of(ANSWERS_BY_ANOTHER)
            and not said.gateway
            and said.arguments.get("point") == claim.point_uid
            and said.arguments.get("version") == str(claim.public.address.version)
        )
        or (said.is_unanswered and said.gateway == claim.point_uid and said.concerns(claim.port))
        for said in point.weaknesses
    )


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
        given = forwarding_of(agent.guard)
        public = [each for each in given.addresses if each.version in versions and given.first]
        found.setdefault(binding.machine_uid, []).extend(public[:1])
    return {uid: addresses[0] for uid, addresses in found.items() if len(addresses) == 1}


def of_grant(told: Iterable[Through], grant: Grant) -> list[Through]:
    """Those that lead a live grant's sources: first what may work, and of that where it is in force."""
    if not grant.is_live:
        return []
    leading = [
        each
        for each in told
        if leads(each.claim, grant) and each.claim.point_uid not in grant.withdrawn
    ]
    return sorted(leading, key=lambda each: (each.fails, grant.id not in each.in_force))
