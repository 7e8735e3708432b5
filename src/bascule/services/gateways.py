"""How faces call the gateways of machines: where ports are closed or reached past us (EDGES G7), and
which are silent (EDGES G3).

What is not here: which machines a gateway guards (``bindings``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bascule.domain.classify import Named
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.net import PortKey
from bascule.domain.points import stages
from bascule.domain.shadows import past_us_at
from bascule.interfaces.inventory import MachineReads
from bascule.services.fleet import is_heard_part

Names = Mapping[str, str]  # of gateways, by uid; one that is gone has none


def gateway_names(reader: MachineReads, points: Mapping[str, EnforcementPoint]) -> Names:
    """Of all gateways of these points, which are by machine uid."""
    uids = {each for point in points.values() for each in point.gateways}
    if not uids:  # nearly always
        return {}
    return {uid: each.id.name for uid, each in reader.machines_of(sorted(uids)).items()}


def named_of(
    machine: Machine, point: EnforcementPoint | None, names: Names, plan_group: str
) -> Named:
    """How the reasons of a machine's classification call what they speak of."""
    manager = next(iter(point.managers), None) if point is not None else None
    return Named(
        machine.id.name,
        point.flushed_by if point is not None else "",
        names.get(point.flushed_at, point.flushed_at) if point is not None else "",
        names.get(manager.gateway, manager.gateway) if manager is not None else "",
        manager.name if manager is not None else "",
        is_found=manager is not None and manager.is_found,
        plan_group=plan_group,
    )


def closed_at(point: EnforcementPoint | None, names: Names) -> tuple[str, ...]:
    """Names of the gateways at which alone a machine is closed, in order; of one that is gone, its uid."""
    return () if point is None else tuple(sorted(names.get(each, each) for each in point.elsewhere))


def stages_named(point: EnforcementPoint | None, names: Names) -> tuple[tuple[str, ...], ...]:
    """What a port has to be open at, each with all that are alternatives to each other: names of
    gateways, or empty for the machine itself, which is first. Nothing guards it: nothing.
    """
    if point is None:
        return ()
    if not point.parts:
        return (("",),)
    named = (
        tuple(sorted("" if each.is_own else names.get(each.uid, each.uid) for each in stage))
        for stage in stages(point.parts)
    )
    return tuple(sorted(named, key=lambda stage: (len(stage), stage)))


def silent_gateways(point: EnforcementPoint | None, names: Names, now: datetime) -> tuple[str, ...]:
    """Names of those that are silent while all else that guards the machine is heard, or some of it.

    What they keep open is not known, so the machine is not called closed; but it is not away. Empty: none
    is silent, all are, or the machine's own agent is.
    """
    parts = () if point is None else point.parts
    silent = [each for each in parts if not is_heard_part(each, now)]
    if len(silent) == len(parts) or any(each.is_own for each in silent):
        return ()
    return tuple(sorted(names.get(each.uid, each.uid) for each in silent))


def is_way_heard(point: EnforcementPoint, now: datetime) -> bool:
    """Are points heard that make up a way to the machine, so that a request opens through them?"""
    return bool(point.parts) and all(
        any(is_heard_part(each, now) and each.is_enforcing for each in stage)
        for stage in stages(point.parts)
    )


def reached_at(
    point: EnforcementPoint | None, names: Names, port: PortKey | None = None
) -> tuple[str, ...]:
    """Names of the gateways at which the port, or any, is reached past us or cannot be told; empty:
    none is, or that is at the machine itself.
    """
    found = past_us_at(point.weaknesses, port) if point is not None else ()
    return tuple(names.get(each, each) for each in found)
