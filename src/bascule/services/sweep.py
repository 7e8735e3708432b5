"""What the passing of time does to grants: they expire, or fail because nothing opened in time.

The kernel closes a port at its end with no help from here; the sweep only notices, so
that record and world agree. ``next_due`` says when to look again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Protocol

from bascule.domain.bindings import Binding, Seen
from bascule.domain.facts.agents import AgentWentSilent
from bascule.domain.facts.fact import fact_name
from bascule.domain.grant import SILENCE_BOUND, Grant, is_set_back, waits_until
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import EnforcementPoint, unable_words
from bascule.domain.points import patience_of
from bascule.domain.times import format_utc
from bascule.interfaces.approvals import ApprovalReads, ApprovalWrites, MakerReads
from bascule.interfaces.asked import AskedReads
from bascule.interfaces.closed_ports import GenerationWrites
from bascule.interfaces.exposure import ExposureReads, ExposureWrites
from bascule.interfaces.grants import GrantReads, GrantWrites
from bascule.interfaces.inventory import InventoryReads, MachineReads
from bascule.interfaces.listing import RECENT, ListingWrites
from bascule.interfaces.plans import PlanReads
from bascule.interfaces.points import AgentReads, BindingReads, PointReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.providers import ProviderReads
from bascule.interfaces.public_ports import PublicPortWrites
from bascule.interfaces.record import EventFilter, EventReads, EventWrites
from bascule.interfaces.requests import RequestWrites
from bascule.interfaces.roles import RoleReads
from bascule.interfaces.runs import RunReads, RunWrites
from bascule.services.act import Act
from bascule.services.expired_memberships import end_memberships
from bascule.services.given_up import give_up, next_answer
from bascule.services.grants import GrantEndWrites, close, end_grants, latest_end, withdraw
from bascule.services.leaps import ClockWrites
from bascule.services.runs import close_unused
from bascule.services.starts import start_scheduled
from bascule.services.timeline import end_overdue
from bascule.services.waiting import escalate_waiting, judge_waiting, lapse_waiting


class DueReads(ApprovalReads, ExposureReads, GrantReads, PrincipalReads, RunReads, Protocol):
    """When the next thing is due."""


class SilenceWrites(EventWrites, ListingWrites, MachineReads, PointReads, Protocol):
    """Points that are silent, and the record."""


class SweepReads(AgentReads, BindingReads, MachineReads, PointReads, Protocol):
    """What guards a machine, each by its name."""


class EndDueWrites(GrantEndWrites, SweepReads, Protocol):
    """Grants, and what guards their machines."""


class SweepWrites(
    AgentReads,
    ApprovalWrites,
    AskedReads,
    BindingReads,
    ClockWrites,
    EventWrites,
    ExposureWrites,
    GenerationWrites,
    GrantWrites,
    InventoryReads,
    MachineReads,
    MakerReads,
    PlanReads,
    PointReads,
    PolicyReads,
    PrincipalWrites,
    ProviderReads,
    PublicPortWrites,
    RequestWrites,
    RoleReads,
    RunWrites,
    Protocol,
):
    """All that a sweep ends, settles and notes."""


def next_due(tx: DueReads, now: datetime) -> datetime | None:
    """The earliest moment at which ``sweep`` would have something to do."""
    found = (
        tx.next_due_grant(now),
        tx.next_membership_end(),
        tx.next_overdue(),
        tx.next_approval(now),
        tx.next_run_end(now),
    )
    return min((each for each in found if each is not None), default=None)


def sweep(tx: SweepWrites, act: Act) -> int:
    """End what is over, withdraw what never opened, and forget memberships that nobody vouches
    for any more; returns how many grants, open ports and memberships that were.
    """
    return sum(part(tx, act) for part in SWEEPS)


def end_due(tx: EndDueWrites, act: Act) -> int:
    """End the grants that are over and withdraw those that never opened; how many."""
    due = tx.due_grants(act.now)
    end_grants(
        tx,
        act,
        [grant for grant in due if grant.state is GrantState.OPEN and grant.ends_at <= act.now],
        StatusReason.EXPIRED,
        "its time was over",
    )
    for grant in due:
        if grant.state is GrantState.OPENING or grant.ends_at > act.now:
            _lose_patience(tx, act, grant)
    return len(due)


SWEEPS = (
    *(end_due, close_unused, end_overdue, end_memberships),
    *(lapse_waiting, start_scheduled, judge_waiting, escalate_waiting),
)


def _lose_patience(tx: EndDueWrites, act: Act, grant: Grant) -> None:
    """Points did not report it in force in time. In series that fails it everywhere; in parallel
    those are withdrawn, as long as another has it or has time left.
    """
    is_over = grant.ends_at <= act.now or is_set_back(waits_until(grant), act.now)
    bound = tx.bindings_of(grant.machine_uid)
    late = [
        each
        for each in Seen(bound).awaited(grant)
        if is_over or grant.started_at + patience_of(each) <= act.now
    ]
    is_lost = is_over and grant.state is GrantState.OPENING
    for each in [] if is_lost else late:
        fewer = give_up(tx, act, grant, bound, each.point_uid, _why_given_up(tx, grant, each, act))
        grant, is_lost = fewer or grant, is_lost or fewer is None
    by = next_answer(grant, bound)
    if grant.state is GrantState.OPENING and (is_lost or by is None or by <= act.now):
        _withdraw(tx, act, grant)
    elif is_lost:
        end_grants(tx, act, [grant], StatusReason.EXPIRED, "no enforcement point has it open")
    elif by != grant.answer_by:
        tx.update_grant(replace(grant, answer_by=by), grant.state)


def _why_given_up(tx: SweepReads, grant: Grant, late: Binding, act: Act) -> str:
    machine, point = tx.machine_by_uid(late.point_uid), tx.agent_of(late.point_uid)
    if machine is None or point is None:
        return f"An enforcement point of {grant.machine_id.name} is not known any more."
    return f"{_why_not_at(machine.id.name, late.at(point), act.now)} {_may_be_open(grant)}"


def _withdraw(tx: EndDueWrites, act: Act, grant: Grant) -> None:
    """Never reported in force: it must not open later by surprise.

    An agent that had it and was cut off before it said so may hold it open to its end; that
    is said, since nobody here can know better.
    """
    why = _why_not_open(tx, grant, act.now)
    if tx.enforcement_point(grant.machine_uid) is not None and grant.ends_at > act.now:
        why += f" {_may_be_open(grant)}"
    withdraw(tx, act, grant, why)


def _may_be_open(grant: Grant) -> str:
    return f"If it had received the request by then, the port is open until {grant.ends_at_text}."


def _why_not_open(tx: SweepReads, grant: Grant, now: datetime) -> str:
    """By each point that did not report it open, where there are several or only a gateway."""
    name = grant.machine_id.name
    bound = [each for each in tx.bindings_of(grant.machine_uid) if grant.id not in each.in_force]
    known = tx.machines_of([each.point_uid for each in bound])
    found = [
        _why_not_at(known[each.point_uid].id.name, each.at(point), now)
        for each in bound
        if each.point_uid in known and (point := tx.agent_of(each.point_uid)) is not None
    ]
    if found:
        return " ".join(found)
    point = tx.enforcement_point(grant.machine_uid)
    if point is None:
        return f"Machine {name} has no agent. To enrol one: bascule machine enrol {name}."
    return _why_not_at(name, point, now)


def _why_not_at(name: str, point: EnforcementPoint, now: datetime) -> str:
    if point.unable is not None:
        return unable_words(point.unable, name)
    if point.last_contact_at is None:
        return f"The agent of {name} has not contacted the server since it enrolled."
    if now - point.last_contact_at > SILENCE_BOUND:
        return f"The agent of {name} has been away since {format_utc(point.last_contact_at)}."
    if point.doubted_since is not None:
        return (
            f"Reports of the agent of {name} are not trusted until an owner has checked it: "
            f"bascule machine show {name}."
        )
    if not point.is_enforcing:
        return (
            f"The agent of {name} is connected but cannot enforce anything: bascule machine "
            f"show {name}."
        )
    return f"The agent of {name} is connected but did not report the port open in time."


def close_orphans(tx: GrantEndWrites, act: Act) -> int:
    """Close what ended on machines that were deleted meanwhile; returns how many.

    Nobody reports for such a machine any more, but its kernel closed each opening at its end.
    """
    over = [
        grant
        for grant in tx.orphaned_grants()
        if grant.ends_at <= act.now and latest_end(tx, grant) <= act.now
    ]
    for grant in over:
        close(tx, act, grant)
    return len(over)


def note_silence(tx: SilenceWrites, act: Act, noted: datetime | None) -> datetime:
    """Record each enforcement point that has fallen silent, once.

    ``noted`` is what the call before returned, and spares reading those that it noted; None, and
    a clock that went back, read all that are silent, and what is on record of them.
    """
    until = act.now - SILENCE_BOUND
    silent = tx.points_last_heard(None if noted is None or noted > until else noted, until)
    for point in silent:
        machine = tx.machine_by_uid(point.machine_uid)
        if machine is None or point.last_contact_at is None:
            continue
        fact = AgentWentSilent(str(machine.id), format_utc(point.last_contact_at))
        if not _is_on_record(tx, machine.id, fact):
            act.record(tx, fact, machine.id)
    tx.mark_silent({point.machine_uid for point in silent})
    return until


def forget_old_requests(tx: ListingWrites, act: Act) -> bool:
    """Count what was asked for more than RECENT ago as recent no longer, a bounded number at a
    time; True when there is more.
    """
    return tx.forget_requests(act.now - RECENT)


def _is_on_record(tx: EventReads, machine_id: ResourceId, fact: AgentWentSilent) -> bool:
    newest = tx.events(
        EventFilter(resource_id=str(machine_id), kinds=(fact_name(fact),)),
        newest_first=True,
        limit=1,
    )
    return any(event.fact == fact for _, event in newest)
