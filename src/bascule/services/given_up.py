"""Giving up enforcement points that do not open a grant in time, or cannot (EDGES G3, G4).

A point in series takes the whole grant along. A point in parallel is withdrawn alone, as long as
another may open the grant: from that commit on it is told nothing of the grant, to its end. What it
says of the grant afterwards neither opens nor keeps it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from bascule.domain.bindings import Binding, Seen, is_dispensable
from bascule.domain.facts.grants import PointWithdrawn
from bascule.domain.grant import Grant
from bascule.domain.machine import Machine
from bascule.domain.points import patience_of
from bascule.interfaces.inventory import MachineReads
from bascule.services.act import Act
from bascule.services.grants import GrantEndWrites, touch


class GiveUpWrites(GrantEndWrites, MachineReads, Protocol):
    """A grant, and the name of the point that is given up."""


def give_up(
    tx: GiveUpWrites,
    act: Act,
    grant: Grant,
    bound: Sequence[Binding],
    point_uid: str,
    why: str,
) -> Grant | None:
    """Withdraw one point in parallel; None: without it nobody opens the grant, so that it is to fail or
    to end, and nothing is done here. ``why`` is a sentence for the requestor.
    """
    if not is_dispensable(point_uid, bound, grant):
        return None
    touch(tx, act, grant.machine_uid)  # not the grant's own: others have it in force as it is
    fewer = replace(grant, withdrawn={**grant.withdrawn, point_uid: why})
    fewer = replace(fewer, answer_by=next_answer(fewer, bound))
    tx.update_grant(fewer, grant.state)
    act.settled.add(grant.request_id)
    point = tx.machine_by_uid(point_uid)
    act.record(
        tx,
        PointWithdrawn(
            grant.id, grant.request_id, str(grant.machine_id), _id_of(point, point_uid), why
        ),
        grant.machine_id,
    )
    return fewer


def _id_of(point: Machine | None, uid: str) -> str:
    return uid if point is None else str(point.id)


def next_answer(grant: Grant, bound: Sequence[Binding]) -> datetime | None:
    """When patience with the next of its points ends; None: none is waited for any more."""
    ends = (grant.started_at + patience_of(each) for each in Seen(bound).awaited(grant))
    return min(ends, default=None)
