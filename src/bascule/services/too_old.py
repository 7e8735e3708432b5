"""Agents of before the line, which call routes that no longer tell them anything (EDGES F4).

Such an agent goes on enforcing what it holds, and its leases end on time. Nothing that it reports is
taken, so its machine is heard no more; who asks for access there is refused at once. The next report
of an upgraded agent ends this. What is not here: features that an agent lacks (``domain.features``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from bascule import __version__
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import Unable, unable_words
from bascule.domain.weaknesses import PROTOCOL_TOO_OLD
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.points import AgentReads, PointWrites
from bascule.services.act import Act
from bascule.services.grants import GrantEndWrites, withdraw
from bascule.services.timeline import FollowWrites, follow


class TooOldWrites(FollowWrites, GrantEndWrites, MachineReads, PointWrites, Protocol):
    """A point, and what waits at its machines."""


def is_marked(reader: AgentReads, point_uid: str) -> bool:
    """Is it known of this point, or is there no such point?"""
    point = reader.agent_of(point_uid)
    return point is None or any(each.is_of(PROTOCOL_TOO_OLD) for each in point.weaknesses)


def mark_too_old(tx: TooOldWrites, act: Act, point_uid: str) -> None:
    """Note that a point's agent is too old, and withdraw what waits to be opened there."""
    point = tx.agent_of(point_uid)
    if point is None or is_marked(tx, point_uid):
        return
    weakness = PROTOCOL_TOO_OLD(version=__version__)
    tx.put_enforcement_point(replace(point, weaknesses=(*point.weaknesses, weakness)))
    act.is_noticed = True
    for uid in (point_uid, *(each.machine_uid for each in tx.bound_to(point_uid))):
        machine = tx.machine_by_uid(uid)
        if machine is None:
            continue
        for grant in tx.live_grants([uid]):
            if grant.state is GrantState.OPENING:
                withdraw(tx, act, grant, unable_words(Unable.TOO_OLD, machine.id.name))
        follow(tx, act, machine)
