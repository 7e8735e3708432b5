"""What an enforcement point may hold of a machine that it guards no more (EDGES G3).

A point that is unbound is told so, and ends what it had open there. One that is cut off is not, and
holds each lease to its end. So a grant that it may hold is not *closed* yet, even if the machine's other
points have read it back closed: it keeps the point's uid in ``withdrawn`` until the point has applied a
state of its own from after the unbinding, or the lease is over.
What is not here: a machine that no point guards any more (``sweep.close_orphans``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from bascule.domain.bindings import Binding, Seen
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.times import format_utc
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.points import AgentReads, BindingReads
from bascule.services.act import Act
from bascule.services.grants import GrantEndWrites, latest_end, touch


class LeftWrites(AgentReads, BindingReads, GrantEndWrites, MachineReads, Protocol):
    """Grants, and the points that may hold them."""


def leave_behind(tx: LeftWrites, act: Act, machine: Machine, binding: Binding) -> None:
    """Mark what the point of ``binding``, which is about to go, may hold of the machine.

    The machine's grants have been ended. The point's own generation is advanced, so that it says that it
    has heard of it.
    """
    point = tx.machine_by_uid(binding.point_uid)
    name = binding.point_uid if point is None else point.id.name
    went = f"{name} was unbound from {machine.id.name}"
    if binding.is_own:
        went = f"The agent of {name} was removed"
    held = [
        grant
        for grant in tx.unsettled_grants(machine.uid)
        if grant.state is GrantState.CLOSING and not Seen([binding]).is_gone(grant)
    ]
    for grant in held:
        why = (
            f"{went} and has not said yet that the port is closed there. If it is cut off, it keeps "
            f"the port open until {format_utc(latest_end(tx, grant))}."
        )
        left = replace(grant, withdrawn={**grant.withdrawn, binding.point_uid: why})
        tx.update_grant(left, grant.state)
        act.settled.add(grant.request_id)
    if held:
        touch(tx, act, binding.point_uid)


def settle_left(tx: LeftWrites, act: Act) -> int:
    """Take the marks off grants that a point which is gone cannot hold any more.

    The machine's generation is advanced: its points say anew what they hold, and so settle the grant.
    Returns the number of grants.
    """
    settled = 0
    for grant in tx.withdrawn_grants():
        # Where a machine has its own agent alone no binding is stored.
        bound = {each.point_uid for each in tx.bindings_of(grant.machine_uid)}
        left = grant.withdrawn.keys() - (bound or {grant.machine_uid})
        over = {uid for uid in left if _is_over(tx, act, grant, uid)}
        if over:
            rest = {uid: why for uid, why in grant.withdrawn.items() if uid not in over}
            generation = touch(tx, act, grant.machine_uid)
            tx.update_grant(replace(grant, withdrawn=rest, generation=generation), grant.state)
            act.settled.add(grant.request_id)
            settled += 1
    return settled


def _is_over(tx: LeftWrites, act: Act, grant: Grant, point_uid: str) -> bool:
    point = tx.agent_of(point_uid)
    return latest_end(tx, grant) <= act.now or (
        point is not None and _has_heard(tx, grant, point, point_uid)
    )


def _has_heard(tx: LeftWrites, grant: Grant, point: EnforcementPoint, point_uid: str) -> bool:
    """Has it applied its newest state? Another agent that was enrolled since speaks for itself alone."""
    return (
        grant.ended_at is not None
        and point.enrolled_at <= grant.ended_at
        and point.is_enforcing
        and point.observed_generation >= tx.generation(point_uid)
    )
