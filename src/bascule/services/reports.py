"""What enforcement points report: it settles grants, and nothing of it opens.

EDGES A8: a grant is open when its points have read it back in a generation that carries it, closed
when a generation that carries its end was read back without it; a point that knows a higher
generation than the server shows that the server is from an older backup, and ends that machine's
live grants. What is not here: what becomes of the grants (``settling``), when reports are not
believed (``doubt``), and what an agent wants on record (``notes``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from bascule.domain.bindings import Seen
from bascule.domain.facts.agents import (
    AgentCameBack,
    AgentReported,
    AgentWentSilent,
    GenerationOvertaken,
)
from bascule.domain.features import KNOWN, needs, version_for
from bascule.domain.grant import SILENCE_BOUND
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.shadows import enforces_nothing
from bascule.domain.weaknesses import AGENT_TOO_OLD, Weakness
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
from bascule.interfaces.replicas import ListeningReads
from bascule.interfaces.settling import SettlingReads
from bascule.protocol.report import MAXIMUM_SKEW, Report
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.claims import take_in_claims
from bascule.services.doubt import doubt, has_overtaken_lately, is_counted, tells_too_much
from bascule.services.grants import (
    GrantEndWrites,
    end_grants,
    touch,
)
from bascule.services.guarded import (
    Guarded,
    is_contact_due,
    newest_contact,
    remember,
    reported,
    stand,
)
from bascule.services.knocks import remember_knocks
from bascule.services.notes import record_notes
from bascule.services.own_ports import learnt_late
from bascule.services.public_ports import follow_guard
from bascule.services.settling import Settled, settle, withdraw_unable
from bascule.services.timeline import follow


class HeardWrites(
    ClosedPortReads, EventWrites, GenerationReads, ListeningReads, PointWrites, Protocol
):
    """A point, and the record."""


class ReportWrites(
    GrantEndWrites,
    ClosedPortWrites,
    KnockWrites,
    ListeningReads,
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
# Changes of the addresses by which one machine's answers come back, by one gateway: its agent looks at
# them every ten seconds. One beyond is not taken, since each has the machine's own agent ask for its state.
MOST_ANSWERS_TOLD, ANSWERS_SPAN = 10, timedelta(minutes=1)
ANSWERS_TOLD = "answers come back through this gateway by other addresses"


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
    ``public_key``: as of ``guarded``.
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
    _tell_own_agent(tx, act, known, found)
    if is_ahead:
        _overtaken(tx, act, machine, generation, report)
    settled = Settled() if is_ahead else settle(tx, act, known, report, found)
    if report.generation >= generation and _may_claim(known, report):
        told = next((each.closed for each in known.bound if each.point_uid == point_uid), None)
        claims = take_in_claims(tx, machine, report.closed, report.generation, told)
        report = replace(report, notes=(*report.notes, *claims))
    withdraw_unable(tx, act, known, report, found)
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


def _tell_own_agent(tx: ReportWrites, act: Act, known: Guarded, found: Seen) -> None:
    """Of other addresses by which answers come back through a gateway, at once (EDGES G7).

    Each change is on record, and so counts among what its agent tells (``doubt``).
    """
    if not any(each.is_own for each in known.bound):
        return
    machine = known.machine
    for before, now in zip(known.bound, found.bindings, strict=True):
        if before.answered_by == now.answered_by:
            continue
        kinds, since = (AgentReported.__name__,), act.now - ANSWERS_SPAN
        wanted = EventFilter(machine.id.key, kinds, since, principal_id=act.actor.principal_id)
        lately = [event.fact for _, event in tx.events(wanted)]
        fact = AgentReported(str(machine.id), ANSWERS_TOLD)
        if lately.count(fact) >= MOST_ANSWERS_TOLD:
            tx.put_binding(replace(now, answered_by=before.answered_by))
            continue
        act.record(tx, fact, machine.id)
        touch(tx, act, machine.uid)


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
            *learnt_late(tx, act, point, report.closed),
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
        if (
            missing := needs(each.port, is_kill=each.is_kill, is_drain=each.is_drain) - report.knows
        )
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
