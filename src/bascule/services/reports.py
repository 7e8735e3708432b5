"""What enforcement points report: it settles grants, and nothing of it opens.

EDGES A8: a grant is open when its points have read it back in a generation that carries it, closed
when a generation that carries its end was read back without it; a point that knows a higher
generation than the server shows that the server is from an older backup, and ends that machine's
live grants. What is not here: when reports are not believed (``doubt``), and what an agent wants on
record (``notes``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.bindings import Seen
from bascule.domain.bounds import Objection
from bascule.domain.exposure import Opening
from bascule.domain.facts.agents import AgentCameBack, AgentWentSilent, GenerationOvertaken
from bascule.domain.facts.grants import GrantOpened, GrantShortened
from bascule.domain.features import KNOWN, needs, version_for
from bascule.domain.grant import SILENCE_BOUND, Grant, confirm_open, cut_to
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import EnforcementPoint, Machine, Unable, unable_words
from bascule.domain.points import patience_of
from bascule.domain.public_ports import Claim
from bascule.domain.times import format_utc
from bascule.domain.weaknesses import AGENT_TOO_OLD, UNINSTALLED, Weakness, enforces_nothing
from bascule.errors import Forbidden
from bascule.interfaces.closed_ports import ClosedPortReads, ClosedPortWrites, GenerationReads
from bascule.interfaces.exposure import KnownMachine
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.knocks import KnockWrites
from bascule.interfaces.listing import Access, ListingWrites
from bascule.interfaces.plans import PlanWrites
from bascule.interfaces.points import PointWrites
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.public_ports import PublicPortWrites
from bascule.interfaces.record import EventFilter, EventReads, EventWrites
from bascule.interfaces.settling import SettlingReads
from bascule.protocol.report import MAXIMUM_SKEW, Report
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.bindings import (
    Guarded,
    is_contact_due,
    newest_contact,
    remember,
    reported,
    stand,
)
from bascule.services.claims import take_in_claims
from bascule.services.doubt import doubt, has_overtaken_lately, is_counted, tells_too_much
from bascule.services.given_up import GiveUpWrites, give_up, next_answer
from bascule.services.grants import (
    GrantEndWrites,
    close,
    end_grants,
    record_shortened,
    touch,
    withdraw,
)
from bascule.services.knocks import remember_knocks
from bascule.services.notes import NOTES_SPAN, OPENINGS_PER_SPAN, record_notes
from bascule.services.own_ports import learnt_late
from bascule.services.public_ports import follow_guard, found_taken
from bascule.services.timeline import end_moved, follow, opening_of


class HeardWrites(ClosedPortReads, EventWrites, GenerationReads, PointWrites, Protocol):
    """A point, and the record."""


class ReportWrites(
    GrantEndWrites,
    ClosedPortWrites,
    KnockWrites,
    ListingWrites,
    MachineReads,
    PlanWrites,
    PointWrites,
    PolicyReads,
    PublicPortWrites,
    SettlingReads,
    Protocol,
):
    """All that a report settles."""


# Generations that an agent may be ahead of a server from an older backup: no backup misses more
# changes of one machine, and a point that lies cannot count its number up to the end of numbers.
MOST_AHEAD = 1_000_000
END_GRAIN = timedelta(seconds=1)  # an end that the host holds is told apart from ours by no less


def take_report(
    tx: ReportWrites,
    act: Act,
    point_uid: str,
    report: Report,
    machine_uid: str = "",
    public_key: str | None = None,
) -> int:
    """Settle grants by what was read back; returns the server's generation for it.

    It is of the point's own machine unless another is named, which must be bound to it.
    ``public_key``: as of ``bindings.guarded``.
    A report that says nothing new writes nothing but the time of contact, and that no
    more often than CONTACT_GRAIN.
    """
    machine_uid = machine_uid or point_uid
    known = reported(tx, point_uid, machine_uid, public_key)
    if known is None:
        raise Forbidden("This agent's machine no longer exists.", code="AgentUnknown")
    machine, agent = known.machine, known.agent
    generation = known.generation
    if report.generation > generation + MOST_AHEAD:
        raise Forbidden(
            sentence(
                "Generation {told} is not accepted: it is more than {most} ahead of "
                "{known}, more than any backup can be behind.",
                told=report.generation,
                most=MOST_AHEAD,
                known=generation,
            ),
            code="GenerationTooFarAhead",
            advice="Enrol the agent again: bascule machine enrol NAME --replace.",
        )
    if agent.doubted_since is not None:
        _hear(tx, act, agent)
        return generation
    is_ahead = report.generation > generation
    if is_ahead and has_overtaken_lately(tx, act, machine, agent):
        doubt(tx, act, machine, agent, report)
        return generation
    found = stand(tx, act, point_uid, known.bound, report)
    if is_ahead:
        _overtaken(tx, act, machine, generation, report)
    settled = Settled() if is_ahead else _settle(tx, act, known, report, found)
    if report.generation >= generation and _may_claim(known, report):
        told = next((each.closed for each in known.bound if each.point_uid == point_uid), None)
        claims = take_in_claims(tx, machine, report.closed, report.generation, told)
        report = replace(report, notes=(*report.notes, *claims))
    _withdraw_unable(tx, act, known, report, found)
    skew = _skew(act, report)
    if skew is not None and agent.clock_skew is None:
        words = f"clock differs by {skew.total_seconds():.0f} s"
        report = replace(report, notes=(*report.notes, words))
    record_notes(tx, act, machine, report, agent.weaknesses if known.is_own else None)
    _keep(tx, act, known, report, skew, settled.let_in)
    held = remember(tx, act, known, report, found)
    has_moved = settled.has_moved or held is not None
    is_shared = bool(known.bound)
    is_more = has_moved or act.has_recorded if is_shared else is_counted(act, held)
    if is_more and tells_too_much(tx, act, machine, agent, is_shared=is_shared):
        tx.begin(KnownMachine(machine.id, machine.uid), *settled.opened)
        doubt(tx, act, machine, tx.agent_of(point_uid) or agent, report)
        return tx.generation(machine_uid)
    if has_moved:
        admitted = None
        if known.settling is not None and held is None:
            admitted = known.settling.admitted.after(settled.opened, settled.closed, settled.ends)
        follow(tx, act, machine, held or known.held, admitted, settled.opened)
    remember_knocks(tx, act, machine, report.knocks)
    return tx.generation(machine_uid) if act.touched else generation


def _may_claim(known: Guarded, report: Report) -> bool:
    """False: it keeps closed what it kept before, and there is no release for that to void."""
    return (
        known.settling is None
        or known.settling.has_releases
        or bool(known.bound)
        or known.held is None
        or known.held.closed != report.closed
    )


def _hear(tx: PointWrites, act: Act, point: EnforcementPoint) -> None:
    """Note the time of contact, and nothing else."""
    contact = newest_contact(act, point.last_contact_at)
    if is_contact_due(act, point.last_contact_at) or act.has_recorded:
        tx.put_enforcement_point(replace(point, last_contact_at=contact))


def _withdraw_unable(
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


def _overtaken(
    tx: GrantEndWrites, act: Act, machine: Machine, generation: int, report: Report
) -> None:
    """The server is behind its agent: end what lives and go on above (EDGES A8).

    What the agent keeps closed may have been closed after a release that this server remembers:
    that release is void (``take_in_claims``), else the port would open to everybody (A10).
    """
    act.record(tx, GenerationOvertaken(str(machine.id), generation, report.generation), machine.id)
    touch(tx, act, machine.uid, report.generation)
    end_grants(
        tx,
        act,
        tx.live_grants([machine.uid]),
        StatusReason.USER_REQUESTED,
        "the server is from an older backup than this machine's agent",
    )


@dataclass(frozen=True, slots=True)
class Settled:
    """What a report did to grants."""

    has_moved: bool = False  # one was read back open, or closed, or its end was found to be earlier
    let_in: Access | None = None  # by the last that was read back open
    opened: Sequence[Opening] = ()
    closed: Collection[str] = ()  # ids
    ends: Mapping[str, datetime] = field(default_factory=dict)  # brought forward, by id


def _settle(tx: ReportWrites, act: Act, known: Guarded, report: Report, found: Seen) -> Settled:
    """Any point's refusal or earlier end counts; open and closed is what all of them have read back."""
    counted = report.sessions if known.counts_connections else None
    unsettled = (
        tx.unsettled_grants(known.machine.uid)
        if known.settling is None
        else known.settling.unsettled
    )
    grants = {each.id: each for each in unsettled}
    is_refused = _refuse_by_guard(tx, act, known, grants, report, found)
    ends = _shorten_by_host(tx, act, known, grants, report)
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
    tx: ReportWrites, act: Act, known: Guarded, grants: _Grants, report: Report, found: Seen
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
    tx: GrantEndWrites, act: Act, known: Guarded, grants: _Grants, report: Report
) -> Mapping[str, datetime]:
    """The end that people see is the end that the host holds; an agent can only bring it forward.

    Returns the new ends by grant. No generation carries this: the host holds it already. On record are
    no more in a minute than what root opens; of the others it is told again.
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
    return {grant.id: grant.ends_at for _, grant in earlier[:room]}


def _opened(tx: ReportWrites, act: Act, grant: Grant, found: Seen) -> Opening:
    is_awaited = len(found.bindings) > 1  # of points in parallel others may follow
    is_open = confirm_open(grant)
    by = next_answer(is_open, found.bindings) if is_awaited else None
    tx.update_grant(replace(is_open, answer_by=by), grant.state)
    act.settled.add(grant.request_id)
    act.record(tx, GrantOpened(grant.id, grant.request_id, str(grant.machine_id)), grant.machine_id)
    return opening_of(act, grant)


def _skew(act: Act, report: Report) -> timedelta | None:
    """By how much its clock differs from ours; None: by little, or it did not say."""
    if report.clock is None or abs(report.clock - act.now) <= MAXIMUM_SKEW:
        return None
    return report.clock - act.now


def _keep(
    tx: ReportWrites,
    act: Act,
    known: Guarded,
    report: Report,
    skew: timedelta | None,
    let_in: Access | None,
) -> None:
    """Write what a report says of its point, and who was let in."""
    if not known.is_own:  # what is so of the point itself is told with its own machine's report
        _hear(tx, act, known.agent)
        tx.forget_acknowledged(known.agent.machine_uid)  # that one is to follow: it covers this one
        act.acknowledged = ""
    else:
        updated = _updated(tx, act, known.machine, known.agent, report, skew)
        follow_guard(tx, act, known.machine, known.agent.guard, report.guard)
        if updated is not None and known.is_alone:  # nearly always
            tx.put_point_alone(updated, let_in)
            return
        if updated is not None:
            tx.put_enforcement_point(updated)
    if let_in is not None:
        tx.note_access(known.machine.uid, let_in)


def _updated(
    tx: HeardWrites,
    act: Act,
    machine: Machine,
    point: EnforcementPoint,
    report: Report,
    skew: timedelta | None,
) -> EnforcementPoint | None:
    """The point as it is to be written; None: a report that says nothing new, after a contact."""
    was_silent = (
        point.last_contact_at is not None and act.now - point.last_contact_at > SILENCE_BOUND
    )
    if was_silent and _is_missed(tx, machine):
        act.record(tx, AgentCameBack(str(machine.id)), machine.id)
    told = tuple(
        each for each in report.weaknesses if each.kind is None or not each.kind.is_servers
    )
    is_idle = enforces_nothing(told)
    updated = replace(
        point,
        observed_generation=max(point.observed_generation, report.generation),
        agent_version=report.agent_version,
        local_port_range=report.local_port_range,
        weaknesses=(
            *told,
            *learnt_late(act, point, report.closed),
            *_outgrown(tx, machine, report),
        ),
        blocked_attempts=report.blocked_attempts,
        counted_at=act.now,
        facts=report.facts,
        flushed_by=report.flushed_by,
        not_enforced_since=(point.not_enforced_since or act.now) if is_idle else None,
        clock_skew=skew,
        guard=report.guard,
        driver=report.driver,
        capabilities=report.capabilities,
        knows=report.knows,
        acknowledged=report.digest,
    )
    act.acknowledged = report.digest
    # Knocks alone are no news: a machine that is scanned would keep every open page busy.
    uncounted = replace(updated, counted_at=point.counted_at)
    is_news = replace(uncounted, blocked_attempts=point.blocked_attempts) != point
    act.is_noticed |= is_news or was_silent or point.last_contact_at is None
    if uncounted == point and not is_contact_due(act, point.last_contact_at):
        return None
    return replace(updated, last_contact_at=newest_contact(act, point.last_contact_at))


def _outgrown(tx: HeardWrites, machine: Machine, report: Report) -> tuple[Weakness, ...]:
    """Its agent knows less than the ports that are to be closed there take (EDGES F4)."""
    if report.knows >= KNOWN:
        return ()
    beyond = {
        each.port: missing
        for each in tx.closed_ports(machine.uid)
        if (missing := needs(each.port, is_kill=each.is_kill) - report.knows)
    }
    if not beyond:
        return ()
    ports = ", ".join(map(str, sorted(beyond)))
    return (AGENT_TOO_OLD(ports=ports, version=version_for(frozenset().union(*beyond.values()))),)


def _is_missed(tx: EventReads, machine: Machine) -> bool:
    """Is the last that the record says of it that it went silent? (Else the server was away.)"""
    kinds = (AgentWentSilent.__name__, AgentCameBack.__name__)
    newest = tx.events(EventFilter(str(machine.id), kinds), limit=1)
    return any(isinstance(event.fact, AgentWentSilent) for _, event in newest)
