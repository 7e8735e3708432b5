"""Writing the history of when each port was closed and when it was open.

What is written is what an enforcement point was read back to hold, in the transaction of the
report that said so, at the time of that report. Time alone writes one thing: where the last
lease of an open port has ended, the kernel has closed it, whoever is silent (``end_overdue``).
That somebody was let in ends only when it is read back closed.

What is not here: what the history says of a moment (``services.exposure``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.exposure import (
    Admitted,
    KeptSpan,
    Opening,
    SpanKind,
    kept_now,
    steps_of,
)
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.machine import Machine
from bascule.domain.scopes import group_scope, subscription_scope
from bascule.domain.security_rules import HeldOpening
from bascule.interfaces.exposure import ExposureWrites, KnownMachine
from bascule.interfaces.plans import HeldRules, PlanReads
from bascule.services.act import Act


class FollowWrites(ExposureWrites, PlanReads, Protocol):
    """The history of exposure, and what a point was read back to hold."""


ROOT_ON_HOST = "root on the host"
_Changes = defaultdict[SpanKind, list[tuple[datetime, int]]]


def machine_came(tx: ExposureWrites, act: Act, machine: Machine) -> None:
    """A new machine: nothing of it is kept closed."""
    known = KnownMachine(machine.id, machine.uid)
    tx.begin(known, KeptSpan(SpanKind.BARE, None, act.now))
    _count(tx, machine.id, {SpanKind.KNOWN: [(act.now, 1)], SpanKind.BARE: [(act.now, 1)]})


def machine_went(tx: ExposureWrites, act: Act, machine: Machine) -> None:
    """From now on nothing is known of it: its agent is refused, and closes every opening."""
    for opening in tx.current_openings(machine.uid):
        tx.end_opening(machine.uid, opening.id, act.now)
    changes: _Changes = defaultdict(list, {SpanKind.KNOWN: [(act.now, -1)]})
    for span in tx.current_spans(machine.uid):
        _end(tx, machine.uid, span, act.now, changes)
    _count(tx, machine.id, changes)


def opening_of(act: Act, grant: Grant) -> Opening:
    """Of a grant that was read back open, for ``follow``."""
    return Opening(
        grant.id,
        grant.port_keys,
        grant.sources,
        grant.requestor_id,
        grant.requestor,
        grant.request_id,
        act.now,
        grant.ends_at,
    )


def lengthened(tx: ExposureWrites, grant: Grant) -> None:
    """The end of a live grant was moved; one that is not open yet brings its end along."""
    tx.move_opening_end(grant.machine_uid, grant.id, grant.ends_at)
    for span in tx.current_spans(grant.machine_uid):
        is_its = span.kind is SpanKind.OPEN and span.port in grant.port_keys
        if is_its and span.ends_by is not None and span.ends_by < grant.ends_at:
            tx.bound_span(grant.machine_uid, span.place, grant.ends_at)


def end_moved(tx: ExposureWrites, grant: Grant) -> None:
    """The host holds an earlier end of a live grant; its port's span follows (``follow``)."""
    tx.move_opening_end(grant.machine_uid, grant.id, grant.ends_at)


def was_closed(tx: ExposureWrites, act: Act, grant: Grant) -> None:
    """A grant was read back closed, or was never open."""
    tx.end_opening(grant.machine_uid, grant.id, act.now)


def follow(
    tx: FollowWrites,
    act: Act,
    machine: Machine,
    held: HeldRules | None = None,
    admitted: Admitted | None = None,
    opened: Sequence[Opening] = (),
) -> None:
    """Begin and end spans until they say what the machine was last read back to hold.

    ``held`` is that, where it was read already; None: it is read. ``admitted`` is who is let in now,
    where that was read already and nothing of ``held`` has changed: OPEN spans alone are followed then.
    None: all is read. ``opened`` are openings that are not added yet.
    """
    if held is None:
        held = tx.held_rules([machine.uid]).get(machine.uid)
    known = KnownMachine(machine.id, machine.uid)
    closed = {each.port for each in held.closed} if held else set()
    if admitted is None:
        tx.begin(known, *opened)
        opened = ()
        openings = tx.current_openings(machine.uid)
        if _follow_root(tx, act, known, held.local if held else (), openings):
            openings = tx.current_openings(machine.uid)
        wanted = kept_now(closed, openings, act.now)
        spans = tx.current_spans(machine.uid)
    else:
        wanted = kept_now(closed, admitted.openings, act.now)
        spans = admitted.spans
        wanted = {place: end for place, end in wanted.items() if place[0] is SpanKind.OPEN}
    current = {span.place: span for span in spans}
    changes: _Changes = defaultdict(list)
    for place in current.keys() - wanted.keys():
        _end(tx, machine.uid, current[place], act.now, changes)
    begun: list[KeptSpan] = []
    for (kind, port), ends_by in wanted.items():
        before = current.get((kind, port))
        if before is None:
            begun.append(KeptSpan(kind, port, act.now, ends_by=ends_by))
            changes[kind].append((act.now, 1))
        elif before.ends_by != ends_by:
            tx.bound_span(machine.uid, before.place, ends_by)
    tx.begin(known, *opened, *begun)
    _count(tx, machine.id, changes)


def _follow_root(
    tx: ExposureWrites,
    act: Act,
    machine: KnownMachine,
    local: Iterable[HeldOpening],
    openings: Sequence[Opening],
) -> bool:
    """What root opened on the host, or at a gateway, comes and goes with the reports that have it in force. True where
    that changed these openings.
    """
    told = {each.id: each for each in local}
    known = {each.id for each in openings if not each.request_id}
    gone, new_ones, has_moved = known - told.keys(), told.keys() - known, False
    for each_gone in sorted(gone):
        tx.end_opening(machine.uid, each_gone, act.now)
    for opening in openings:
        ends_at = told[opening.id].ends_at if opening.id in told else None
        if ends_at is not None and ends_at != opening.ends_by:
            tx.move_opening_end(machine.uid, opening.id, ends_at)
            has_moved = True
    for new in sorted(new_ones):
        each = told[new]
        who = each.gateway or ROOT_ON_HOST
        opening = Opening(
            new, each.ports, each.sources, each.point_uid, who, "", act.now, each.ends_at
        )
        tx.begin(machine, opening)
    return bool(gone or new_ones or has_moved)


def _end(
    tx: ExposureWrites, machine_uid: str, span: KeptSpan, now: datetime, changes: _Changes
) -> None:
    """A lease's own end counts, when nobody said so earlier."""
    at = now if span.ends_by is None else max(span.began_at, min(span.ends_by, now))
    tx.end_span(machine_uid, span.place, at)
    changes[span.kind].append((at, -1))


def _count(
    tx: ExposureWrites,
    machine_id: ResourceId,
    changes: Mapping[SpanKind, Iterable[tuple[datetime, int]]],
) -> None:
    scopes = (
        subscription_scope(machine_id.subscription_id).key,
        group_scope(machine_id.subscription_id, machine_id.resource_group).key,
    )
    tx.add_steps(scopes, {kind: steps_of(some) for kind, some in changes.items()})


def end_overdue(tx: ExposureWrites, act: Act) -> int:
    """Ports whose last lease has ended are closed from that end on; returns how many."""
    due = tx.overdue_spans(act.now)
    for machine, span in due:
        changes: _Changes = defaultdict(list)
        _end(tx, machine.uid, span, act.now, changes)
        _count(tx, machine.id, changes)
    return len(due)
