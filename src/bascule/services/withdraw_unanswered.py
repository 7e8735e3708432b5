"""Gateways in parallel by whose public ports a machine does not answer who asks (EDGES G7).

The machine's own agent says which, of a grant that waits to open. Such a gateway is withdrawn where
another is heard that may open the grant. Where none is, the grant fails at once, unless a datagram could
do without an answer. What is open stays open when a route changes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bascule.domain.bindings import Binding, Seen, stages_of
from bascule.domain.grant import SILENCE_BOUND, Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import elsewhere_words
from bascule.domain.net import TransportProtocol
from bascule.protocol.report import Report
from bascule.services.act import Act
from bascule.services.given_up import GiveUpWrites, give_up
from bascule.services.grants import withdraw
from bascule.services.guarded import Guarded


class UnansweredWrites(GiveUpWrites, Protocol):
    """Grants, and the points that are given up."""


def withdraw_unanswered(
    tx: UnansweredWrites,
    act: Act,
    known: Guarded,
    grants: dict[str, Grant],
    report: Report,
    found: Seen,
) -> bool:
    """Whether any grant was changed. One that fails is taken out of ``grants``."""
    if not known.is_own:
        return False
    waiting = [
        each
        for each in grants.values()
        if each.state is GrantState.OPENING
        and each.id in report.past
        and each.generation <= report.generation
    ]
    has_changed = False
    for grant in waiting:
        named = set(report.past[grant.id])
        for stage in stages_of(found.bindings, grant):
            past = [each for each in stage if each.is_parallel and each.point_uid in named]
            rest = [each for each in stage if each not in past]
            if not past:
                continue
            if any(_is_heard(each, act.now) for each in rest):
                grants[grant.id] = _give_up(tx, act, grants[grant.id], past, found)
            elif all(each.protocol is TransportProtocol.TCP for each in grant.port_keys):
                del grants[grant.id]
                withdraw(tx, act, grant, _why(tx, grant, past, rest))
            else:
                continue
            has_changed = True
    return has_changed


def _give_up(
    tx: UnansweredWrites, act: Act, grant: Grant, past: list[Binding], found: Seen
) -> Grant:
    for each in past:
        why = (
            f"{grant.machine_id.name} does not answer this source through "
            f"{_name(tx, each)}, so its public port there would not work."
        )
        grant = give_up(tx, act, grant, found.bindings, each.point_uid, why) or grant
    return grant


def _why(tx: UnansweredWrites, grant: Grant, past: list[Binding], rest: list[Binding]) -> str:
    there, away = (", ".join(_name(tx, each) for each in some) for some in (past, rest))
    return elsewhere_words(grant.machine_id.name, there, away)


def _name(tx: UnansweredWrites, there: Binding) -> str:
    machine = tx.machine_by_uid(there.point_uid)
    return there.point_uid if machine is None else machine.id.name


def _is_heard(there: Binding, now: datetime) -> bool:
    return there.reported_at is not None and now - there.reported_at <= SILENCE_BOUND
