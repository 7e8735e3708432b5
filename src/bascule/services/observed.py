"""What an enforcement point held when it was last read back, stored for views.

Openings by grants are not in it: a grant's own state says whether it was read back. What
root opened on the host is, from when it is known, whether its port was closed before or is closed
later (EDGES E9): an agent tells all of it each time. Of an older agent it is what reports have in
force, by the id under which it was told once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol, parse_port_number
from bascule.domain.security_rules import HeldOpening
from bascule.errors import InvalidInput
from bascule.interfaces.plans import HeldRules, PlanWrites
from bascule.protocol.report import LOCAL, LocalOpening, Report
from bascule.services.act import Act

SAME_END = timedelta(seconds=5)
MOST_LOCAL = 64  # as many as one report tells of


def remember_held(
    tx: PlanWrites,
    act: Act,
    machine_uid: str,
    report: Report,
    before: HeldRules | None,
    point_uid: str = "",
) -> HeldRules | None:
    """Keep what was read back; None when it is as it was kept ``before``.

    ``point_uid``: of the gateway that reports; empty: the machine's own agent does. What root opened
    at another point of the machine stays as that point told it.
    """
    local_before = before.local if before else ()
    others = tuple(each for each in local_before if each.point_uid != point_uid)
    known = {each.id: each for each in local_before if each.point_uid == point_uid}
    for told in report.local_openings:
        opening = _opening(told, act)
        if opening is not None:
            known[opening.id] = opening
    told_now = [_opening(told, act) for told in report.held_locally or ()]
    for opening in told_now:
        if opening is not None and not _is_same(known.get(opening.id), opening):
            known[opening.id] = opening
    in_force = {each for each in report.in_force if each.startswith(LOCAL)}
    ids = sorted(in_force | {each.id for each in told_now if each is not None})[:MOST_LOCAL]
    # One that nobody described is in force all the same: it has no ports, and is counted.
    gateway = act.actor.name if point_uid else ""
    local = tuple(
        replace(
            known.get(each[:64]) or HeldOpening(each[:64], (), ()),
            point_uid=point_uid,
            gateway=gateway,
        )
        for each in ids
    )
    held = HeldRules(machine_uid, report.generation, act.now, report.closed, (*others, *local))
    if before is not None and held == replace(before, generation=held.generation, since=held.since):
        return None
    tx.put_held_rules(held)
    return held


def _is_same(known: HeldOpening | None, told: HeldOpening) -> bool:
    """Told once more, with an end that is the same but for whole seconds and the way of a report.

    What was told first is kept then, so that a report that says nothing new writes nothing.
    """
    if known is None or (known.ports, known.sources) != (told.ports, told.sources):
        return False
    if known.ends_at is None or told.ends_at is None:
        return False
    return abs(known.ends_at - told.ends_at) <= SAME_END


def _opening(told: LocalOpening, act: Act) -> HeldOpening | None:
    """Its end is at the latest so long after it was told; it may have begun before."""
    try:
        number, _, protocol = told.port.partition("/")
        port = PortKey(TransportProtocol(protocol.upper()), parse_port_number(int(number)))
        sources = tuple(AddressPrefix.parse(source) for source in told.sources)
    except (ValueError, InvalidInput):
        return None
    if not told.id or not sources:
        return None
    ends_at = act.now + timedelta(seconds=min(told.seconds, 366 * 86_400))
    return HeldOpening(told.id[:64], (port,), sources, ends_at=ends_at)
