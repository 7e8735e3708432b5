"""What a point's report settles of a machine's grants (EDGES A8, G3).

What is not here: which reports are believed, and what else they tell (``reports``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.bindings import Seen
from bascule.domain.bounds import Objection
from bascule.domain.exposure import Opening
from bascule.domain.facts.grants import GrantOpened, GrantShortened
from bascule.domain.grant import Grant, confirm_open, cut_to
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import Unable, unable_words, unanswered_words
from bascule.domain.points import patience_of
from bascule.domain.public_ports import Claim
from bascule.domain.times import format_utc
from bascule.domain.weaknesses import UNINSTALLED
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.listing import Access
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.public_ports import PublicPortWrites
from bascule.interfaces.record import EventFilter
from bascule.protocol.report import Report
from bascule.services.act import Act
from bascule.services.given_up import GiveUpWrites, give_up, next_answer
from bascule.services.grants import (
    GrantEndWrites,
    close,
    end_grants,
    record_shortened,
    touch,
    withdraw,
)
from bascule.services.guarded import Guarded
from bascule.services.meters import Span
from bascule.services.notes import NOTES_SPAN, OPENINGS_PER_SPAN
from bascule.services.public_ports import found_taken
from bascule.services.timeline import end_moved, opening_of
from bascule.services.withdraw_unanswered import withdraw_unanswered


class SettleWrites(
    GiveUpWrites, GrantEndWrites, MachineReads, PolicyReads, PublicPortWrites, Protocol
):
    """Grants, and what is taken back with them."""


END_GRAIN = timedelta(seconds=1)  # an end that the host holds is told apart from ours by no less


@dataclass(frozen=True, slots=True)
class Settled:
    """What a report did to grants."""

    has_moved: bool = False  # one was read back open, or closed, or its end was found to be earlier
    let_in: Access | None = None  # by the last that was read back open
    opened: Sequence[Opening] = ()
    closed: Collection[str] = ()  # ids
    ends: Mapping[str, datetime] = field(default_factory=dict)  # brought forward, by id


def settle(tx: SettleWrites, act: Act, known: Guarded, report: Report, found: Seen) -> Settled:
    """Any point's refusal or earlier end counts; open and closed is what all of them have read back."""
    counted = report.sessions if known.counts_connections else None
    unsettled = (
        tx.unsettled_grants(known.machine.uid)
        if known.settling is None
        else known.settling.unsettled
    )
    grants = {each.id: each for each in unsettled}
    is_refused = _refuse_by_guard(tx, act, known, grants, report, found)
    is_refused |= withdraw_unanswered(tx, act, known, grants, report, found)
    ends = _shorten_by_host(tx, act, known, grants, report, found)
    _follow_parallel(tx, act, known, grants, found)
    newly_open: list[Opening] = []
    closed: list[str] = []
    let_in = None
    for grant in grants.values():
        if grant.state is GrantState.OPENING:
            if found.is_open(grant):
                newly_open.append(_opened(tx, act, grant, found))
                let_in = Access(act.now, grant.requestor_id, grant.requestor)
        elif grant.state is GrantState.CLOSING and found.is_gone(grant):
            close(tx, act, grant, None if counted is None else counted.get(grant.id, 0))
            closed.append(grant.id)

    lost = [
        grant
        for grant in _live_by_end(grants)
        if grant.state is GrantState.OPEN and found.is_lost(grant)
    ]
    end_grants(tx, act, lost, StatusReason.EXPIRED, "its enforcement point has closed it")
    has_moved = bool(is_refused or ends or newly_open or closed)
    return Settled(has_moved, let_in, newly_open, closed, ends)


_Grants = dict[str, Grant]  # of one machine that are not settled, by id, in the order of adding


def _live_by_end(grants: _Grants) -> list[Grant]:
    return sorted((each for each in grants.values() if each.is_live), key=lambda each: each.ends_at)


def _follow_parallel(
    tx: GiveUpWrites, act: Act, known: Guarded, grants: _Grants, found: Seen
) -> None:
    """A point in parallel has opened a grant after another did, so that it is waited for no longer; or
    has closed one, or says after its patience that it has not opened it, and is withdrawn.
    """
    before = known.binding
    here = next((e for e in found.bindings if e.point_uid == known.agent.machine_uid), None)
    if here is None or before is None or not here.is_parallel:
        return
    for grant in _live_by_end(grants):
        is_in_force = grant.id in here.in_force
        is_late = grant.started_at + patience_of(here) <= act.now
        if here.point_uid in grant.withdrawn or here.generation < max(grant.generation, 1):
            continue
        if not is_in_force and (is_late or grant.id in before.in_force):
            why = f"The agent of {_point_name(tx, known)} has closed the port there."
            if is_late and grant.id not in before.in_force:
                why = f"The agent of {_point_name(tx, known)} did not open the port in time."
            grants[grant.id] = give_up(tx, act, grant, found.bindings, here.point_uid, why) or grant
        elif is_in_force and grant.state is GrantState.OPEN and grant.answer_by is not None:
            by = next_answer(grant, found.bindings)
            if by is None:
                grants[grant.id] = replace(grant, answer_by=None)
                tx.update_grant(grants[grant.id], grant.state)


def _refuse_by_guard(
    tx: SettleWrites, act: Act, known: Guarded, grants: _Grants, report: Report, found: Seen
) -> bool:
    """What the host's guard does not admit never opens: its requestor is told so at once.

    It is taken out of ``grants``: nothing else that this report says settles it. Where another point
    in parallel may open it, this one alone is withdrawn.
    """
    if not report.refused:
        return False
    refused = [
        grant
        for grant in _live_by_end(grants)
        if grant.id in report.refused
        and grant.id not in report.in_force
        and grant.generation <= report.generation
        and known.agent.machine_uid not in grant.withdrawn
    ]
    for grant in refused:
        del grants[grant.id]
        objection = report.refused[grant.id]
        why = _words_of(objection, grant)
        if objection is Objection.TAKEN:
            claims = found_taken(tx, act, grant, known.agent.machine_uid)
            why = _taken_words(grant, claims)
        fewer = give_up(tx, act, grant, found.bindings, known.agent.machine_uid, why)
        if fewer is not None:
            grants[grant.id] = fewer
        elif grant.state is GrantState.OPENING:
            withdraw(tx, act, grant, why)
        else:
            end_grants(tx, act, [grant], StatusReason.EXPIRED, why)
    return bool(refused)


def _words_of(objection: Objection, grant: Grant) -> str:
    name = grant.machine_id.name
    return {
        Objection.UNREADABLE: f"The guard file of {name} is invalid, so that host opens "
        "nothing until root there corrects it and restarts the agent.",
        Objection.PORT: f"The guard file of {name} does not allow port {grant.number}.",
        Objection.SOURCE: f"The guard file of {name} does not allow this source.",
        Objection.NETWORK: f"The guard file of the gateway of {name} names no network that it is in.",
        Objection.MAPPED: f"The guard file of the gateway of {name} does not give its public port.",
        Objection.TAKEN: _taken_words(grant, ()),
        Objection.LEASELESS: unable_words(Unable.LEASELESS, name),
        Objection.PAST: unanswered_words(Objection.PAST, name),
        Objection.NOWHERE: unanswered_words(Objection.NOWHERE, name),
    }[objection]


def _taken_words(grant: Grant, claims: Sequence[Claim]) -> str:
    which = " and ".join(str(each.public) for each in claims)
    told = f", {which}," if which else ""
    name = grant.machine_id.name
    return (
        f"The public port of {name}{told} is taken at its gateway: the gateway itself listens on "
        "it or closes it, or another rule there leads it on. Request access again: another one "
        "is given, unless the policy names this one."
    )


def _shorten_by_host(
    tx: GrantEndWrites, act: Act, known: Guarded, grants: _Grants, report: Report, found: Seen
) -> Mapping[str, datetime]:
    """The end that people see is the end that the host holds; an agent can only bring it forward.

    Returns the new ends by grant. The reporting point holds its end already; a new generation tells
    it to the machine's other points. On record are no more in a minute than what root opens; of the
    others it is told again.
    """
    earlier = [
        (grant, cut_to(grant, ends_at, format_utc(ends_at)))
        for grant in (_live_by_end(grants) if report.ends else ())
        if grant.id in report.ends
        and grant.generation <= report.generation
        and known.agent.machine_uid not in grant.withdrawn
        if (ends_at := act.now + report.ends[grant.id]) + END_GRAIN <= grant.ends_at
    ]
    if not earlier:
        return {}
    wanted = EventFilter(known.machine.id.key, (GrantShortened.__name__,), act.now - NOTES_SPAN)
    room = max(0, OPENINGS_PER_SPAN - len(tx.events(wanted, limit=OPENINGS_PER_SPAN)))
    for before, grant in earlier[:room]:
        grants[grant.id] = grant
        tx.update_grant(grant, before.state)
        end_moved(tx, grant)
        record_shortened(tx, act, before, grant)
    if room and len(found.bindings) > 1:
        touch(tx, act, known.machine.uid)
    return {grant.id: grant.ends_at for _, grant in earlier[:room]}


def _opened(tx: SettleWrites, act: Act, grant: Grant, found: Seen) -> Opening:
    is_awaited = len(found.bindings) > 1  # of points in parallel others may follow
    is_open = confirm_open(grant)
    by = next_answer(is_open, found.bindings) if is_awaited else None
    tx.update_grant(replace(is_open, answer_by=by), grant.state)
    act.settled.add(grant.request_id)
    act.measured.append((Span.OPENING, act.now - grant.started_at))
    act.record(tx, GrantOpened(grant.id, grant.request_id, str(grant.machine_id)), grant.machine_id)
    return opening_of(act, grant)


def withdraw_unable(
    tx: GiveUpWrites, act: Act, known: Guarded, report: Report, found: Seen
) -> None:
    """Where nothing can be opened, withdraw at once the grants that wait to open."""
    is_gone = any(each.is_of(UNINSTALLED) for each in report.weaknesses)
    if not is_gone and report.capabilities.ends_leases:
        return
    unable = Unable.UNINSTALLED if is_gone else Unable.LEASELESS
    why, point_uid = unable_words(unable, _point_name(tx, known)), known.agent.machine_uid
    for grant in tx.live_grants([known.machine.uid]):
        if point_uid in grant.withdrawn or grant.id in report.in_force:
            continue
        fewer = give_up(tx, act, grant, found.bindings, point_uid, why)
        if fewer is None and grant.state is GrantState.OPENING:
            withdraw(tx, act, grant, why)


def _point_name(tx: MachineReads, known: Guarded) -> str:
    """Of the machine whose agent it is."""
    there = None if known.is_own else tx.machine_by_uid(known.agent.machine_uid)
    return (there or known.machine).id.name
