"""What enforcement points report: it settles grants, and nothing of it opens.

EDGES A8: a grant is open when its points have read it back in a generation that carries it, closed
when a generation that carries its end was read back without it; a point that knows a higher
generation than the server shows that the server is from an older backup, and ends that machine's
live grants. EDGES E7: a point that overtakes the server twice, or tells of too much, is not believed
until an owner has looked.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.actions import ENROLMENT_WRITE
from bascule.domain.bindings import Seen
from bascule.domain.bounds import Objection
from bascule.domain.event import Event
from bascule.domain.facts.agents import (
    AgentBelieved,
    AgentCameBack,
    AgentDoubted,
    AgentReported,
    AgentWentSilent,
    DriftHealed,
    GenerationOvertaken,
    NotesWithheld,
    OpenedLocally,
)
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.grants import GrantOpened, GrantShortened
from bascule.domain.facts.record import RecordDisputed
from bascule.domain.features import KNOWN, needs, version_for
from bascule.domain.grant import SILENCE_BOUND, Grant, confirm_open, cut_to
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState, StatusReason
from bascule.domain.machine import (
    EnforcementPoint,
    Machine,
    Unable,
    unable_words,
)
from bascule.domain.scopes import resource_scope
from bascule.domain.times import format_utc
from bascule.domain.weaknesses import (
    AGENT_TOO_OLD,
    DOUBTED,
    UNINSTALLED,
    Weakness,
    enforces_nothing,
)
from bascule.errors import Forbidden, TooManyRequests
from bascule.interfaces.closed_ports import ClosedPortReads, ClosedPortWrites, GenerationReads
from bascule.interfaces.exposure import ExposureReads, KnownMachine
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.knocks import KnockWrites
from bascule.interfaces.listing import ListingWrites
from bascule.interfaces.plans import PlanWrites
from bascule.interfaces.points import (
    PointWrites,
)
from bascule.interfaces.record import EventFilter, EventReads, EventWrites
from bascule.protocol.report import Report
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.bindings import (
    CONTACT_GRAIN,
    guarded,
    remember,
    stand,
)
from bascule.services.claims import take_in_claims
from bascule.services.grants import GrantEndWrites, close, end_grants, touch, withdraw
from bascule.services.knocks import remember_knocks
from bascule.services.own_ports import learnt_late
from bascule.services.policies import known_machine
from bascule.services.rights import Needed, RightsReads, check
from bascule.services.timeline import FollowWrites, end_moved, follow, opened


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
    Protocol,
):
    """All that a report settles."""


class BeliefWrites(FollowWrites, RightsReads, EventWrites, MachineReads, PointWrites, Protocol):
    """A point, and the right to believe it again."""


MAXIMUM_SKEW = timedelta(seconds=30)
# Generations that an agent may be ahead of a server from an older backup: no backup misses more
# changes of one machine, and a point that lies cannot count its number up to the end of numbers.
MOST_AHEAD = 1_000_000
DOUBTED_WITHIN = timedelta(hours=1)  # a second overtaking in it is no backup's doing
MOST_TOLD_CHANGES = 10_000  # of what is shut or opened by root, and notes, of one agent in it
NOTES_PER_SPAN = 60  # of one machine; a stolen agent must not fill the disk
OPENINGS_PER_SPAN = 600  # likewise, by root on the host: no note takes their room
NOTES_SPAN = timedelta(minutes=1)
_NOTES = tuple(
    each.__name__
    for each in (DriftHealed, OpenedLocally, RecordDisputed, AgentReported, NotesWithheld)
)
END_GRAIN = timedelta(seconds=1)  # an end that the host holds is told apart from ours by no less


def take_report(
    tx: ReportWrites, act: Act, point_uid: str, report: Report, machine_uid: str = ""
) -> int:
    """Settle grants by what was read back; returns the server's generation for it.

    It is of the point's own machine unless another is named, which must be bound to it.
    A report that says nothing new writes nothing but the time of contact, and that no
    more often than CONTACT_GRAIN.
    """
    machine_uid = machine_uid or point_uid
    known = guarded(tx, point_uid, machine_uid)
    if known is None:
        raise Forbidden("This agent's machine no longer exists.", code="AgentUnknown")
    machine, agent, is_own = known.machine, known.agent, machine_uid == point_uid
    generation = tx.generation(machine_uid)
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
    if is_ahead and _is_doubtful(tx, act, machine, agent):
        _doubt(tx, act, machine, agent, report)
        return generation
    found = stand(tx, act, point_uid, known.bound, report)
    if is_ahead:
        _overtaken(tx, act, machine, generation, report)
    has_moved = not is_ahead and _settle(tx, act, machine, report, found)
    if report.generation >= generation:
        told = next((each.closed for each in known.bound if each.point_uid == point_uid), None)
        claims = take_in_claims(tx, machine, report.closed, report.generation, told)
        report = replace(report, notes=(*report.notes, *claims))
    _withdraw_unable(tx, act, machine, report)
    skew = _skew(act, report)
    if skew is not None and agent.clock_skew is None:
        words = f"clock differs by {skew.total_seconds():.0f} s"
        report = replace(report, notes=(*report.notes, words))
    _record_notes(tx, act, machine, report)
    if is_own:
        _update_point(tx, act, machine, agent, report, skew)
    else:  # what is so of the point itself is told with its own machine's report
        _hear(tx, act, agent)
    has_moved |= remember(tx, act, machine_uid, report, found, is_own=is_own)
    is_news = has_moved or act.has_recorded
    if is_news and _tells_too_much(tx, act, machine, agent, is_shared=bool(known.bound)):
        _doubt(tx, act, machine, tx.agent_of(point_uid) or agent, report)
        return tx.generation(machine_uid)
    if has_moved:
        follow(tx, act, machine)
    remember_knocks(tx, act, machine, report.knocks)
    return tx.generation(machine_uid)


def _is_doubtful(tx: EventReads, act: Act, machine: Machine, point: EnforcementPoint) -> bool:
    """Has it overtaken this server in the last hour already, with nothing that explains it?

    A server from an older backup was started anew: what its agents knew better then does not
    count, nor does what came before an owner looked, nor what another point of the machine knew.
    """
    explained = (act.serving_since, point.believed_since)
    known = [each for each in explained if each is not None and each <= act.now]
    since = max([act.now - DOUBTED_WITHIN, *known])
    wanted = EventFilter(machine.id.key, (GenerationOvertaken.__name__,), since)
    return any(_is_by(act, event) for _, event in tx.events(wanted))


def _is_by(act: Act, event: Event) -> bool:
    """Did the point that reports now tell this? A machine may have several (EDGES F3)."""
    return event.actor.principal_id == act.actor.principal_id


def _tells_too_much(
    tx: ExposureReads, act: Act, machine: Machine, point: EnforcementPoint, *, is_shared: bool
) -> bool:
    """Has it told of more changes in the last hour than a host makes?

    Each is on record, or a row of the history of what was shut and open, which is kept as long:
    whoever has stolen its key would fill the disk, and the time of everybody who writes.

    A row of the history of a machine that several points guard may be the doing of any of them.
    Only its own words cast doubt on a point there; where the history is full, TooManyRequests is
    raised, and nothing of the report is taken.
    """
    since = act.now - DOUBTED_WITHIN
    if point.believed_since is not None and since < point.believed_since <= act.now:
        since = point.believed_since
    known = KnownMachine(machine.id, machine.uid)
    kinds = (*_NOTES, GrantShortened.__name__)
    teller = act.actor.principal_id if is_shared else None
    if tx.count_told(known, since, MOST_TOLD_CHANGES, kinds, teller) >= MOST_TOLD_CHANGES:
        return True
    if is_shared and tx.count_told(known, since, MOST_TOLD_CHANGES) >= MOST_TOLD_CHANGES:
        raise TooManyRequests(
            f"The enforcement points of {machine.id.name} have told of {MOST_TOLD_CHANGES} changes "
            "within an hour. No more are taken until an hour after the first of them.",
            code="TooMuchTold",
            advice="Look at what those hosts do. An owner of the machine can unbind a point.",
        )
    return False


def _doubt(
    tx: HeardWrites, act: Act, machine: Machine, point: EnforcementPoint, report: Report
) -> None:
    """Believe nothing of what it reports until an owner has looked (EDGES E7).

    What is open ends on time on the host, as with an agent that is away; nothing is confirmed.
    """
    known = tx.generation(machine.uid)
    act.record(tx, AgentDoubted(str(machine.id), known, report.generation), machine.id)
    doubted = replace(
        point,
        doubted_since=act.now,
        not_enforced_since=point.not_enforced_since or act.now,
        weaknesses=(DOUBTED(), *_without_doubt(point)),
    )
    _hear(tx, act, doubted)


def _without_doubt(point: EnforcementPoint) -> tuple[Weakness, ...]:
    return tuple(each for each in point.weaknesses if not each.is_of(DOUBTED))


def _hear(tx: PointWrites, act: Act, point: EnforcementPoint) -> None:
    """That it is there, and no more."""
    is_due = point.last_contact_at is None or act.now - point.last_contact_at >= CONTACT_GRAIN
    if is_due or act.has_recorded:
        tx.put_enforcement_point(replace(point, last_contact_at=act.now))


def believe_point(tx: BeliefWrites, act: Act, subject: Subject, machine_id: ResourceId) -> bool:
    """Take an agent's reports again, by the word of an owner; False when they are taken.

    Who may make its enrolment token may do so. Raises Forbidden, NotFound.
    """
    check(tx, subject, act.now, [Needed(ENROLMENT_WRITE, resource_scope(machine_id))])
    machine = known_machine(tx, machine_id)
    point = tx.agent_of(machine.uid)
    if point is None or point.doubted_since is None:
        return False
    believed = replace(
        point,
        doubted_since=None,
        not_enforced_since=None,
        clock_skew=None,
        believed_since=act.now,
        weaknesses=_without_doubt(point),
    )
    tx.put_enforcement_point(believed)
    follow(tx, act, machine)
    act.record(tx, AgentBelieved(str(machine.id), machine.uid), machine.id)
    return True


def _withdraw_unable(tx: GrantEndWrites, act: Act, machine: Machine, report: Report) -> None:
    """Where nothing can be opened, who waits is told so at once."""
    is_gone = any(each.is_of(UNINSTALLED) for each in report.weaknesses)
    if not is_gone and report.capabilities.ends_leases:
        return
    why = Unable.UNINSTALLED if is_gone else Unable.LEASELESS
    for grant in tx.live_grants([machine.uid]):
        if grant.state is GrantState.OPENING:
            withdraw(tx, act, grant, unable_words(why, machine.id.name))


def _overtaken(
    tx: GrantEndWrites, act: Act, machine: Machine, generation: int, report: Report
) -> None:
    """The server is behind its agent: end what lives and go on above (EDGES A8).

    What the agent keeps shut may have been shut after a release that this server remembers:
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


def _settle(tx: ReportWrites, act: Act, machine: Machine, report: Report, found: Seen) -> bool:
    """True when a grant was read back open, or shut, or its end was found to be earlier.

    Any point's refusal or earlier end counts; open and closed is what all of them have read back.
    """
    has_moved = _refuse_by_guard(tx, act, machine, report)
    has_moved |= _shorten_by_host(tx, act, machine, report)
    for grant in tx.unsettled_grants(machine.uid):
        if grant.state is GrantState.OPENING:
            if grant.id in found.everywhere and grant.generation <= found.generation:
                _opened(tx, act, grant)
                has_moved = True
        elif (
            grant.state is GrantState.CLOSING
            and grant.generation <= found.generation
            and grant.id not in found.somewhere
        ):
            counted = report.sessions
            close(tx, act, grant, None if counted is None else counted.get(grant.id, 0))
            has_moved = True

    lost = [
        grant
        for grant in tx.live_grants([machine.uid])
        if grant.state is GrantState.OPEN
        and grant.generation <= found.generation
        and grant.id not in found.everywhere
    ]
    end_grants(tx, act, lost, StatusReason.EXPIRED, "its enforcement point has shut it")
    return has_moved


def _refuse_by_guard(tx: GrantEndWrites, act: Act, machine: Machine, report: Report) -> bool:
    """What the host's guard does not admit never opens: its requestor is told so at once."""
    if not report.refused:
        return False
    refused = [
        grant
        for grant in tx.live_grants([machine.uid])
        if grant.id in report.refused
        and grant.id not in report.in_force
        and grant.generation <= report.generation
    ]
    for grant in refused:
        why = _words_of(report.refused[grant.id], grant)
        if grant.state is GrantState.OPENING:
            withdraw(tx, act, grant, why)
        else:
            end_grants(tx, act, [grant], StatusReason.EXPIRED, why)
    return bool(refused)


def _words_of(objection: Objection, grant: Grant) -> str:
    name = grant.machine_id.name
    return {
        Objection.UNREADABLE: f"The guard file of {name} cannot be used: until its root mends it "
        "and restarts the agent, that host opens nothing.",
        Objection.PORT: f"The guard file of {name} does not admit port {grant.number}.",
        Objection.SOURCE: f"The guard file of {name} does not admit this source.",
        Objection.LEASELESS: unable_words(Unable.LEASELESS, name),
    }[objection]


def _shorten_by_host(tx: GrantEndWrites, act: Act, machine: Machine, report: Report) -> bool:
    """The end that people see is the end that the host holds; an agent can only bring it forward.

    No generation carries this: the host holds it already. On record are no more in a minute
    than what root opens; of the others it is told again.
    """
    earlier = [
        (grant, cut_to(grant, ends_at, format_utc(ends_at)))
        for grant in (tx.live_grants([machine.uid]) if report.ends else ())
        if grant.id in report.ends and grant.generation <= report.generation
        if (ends_at := act.now + report.ends[grant.id]) + END_GRAIN <= grant.ends_at
    ]
    if not earlier:
        return False
    wanted = EventFilter(machine.id.key, (GrantShortened.__name__,), act.now - NOTES_SPAN)
    room = max(0, OPENINGS_PER_SPAN - len(tx.events(wanted, limit=OPENINGS_PER_SPAN)))
    for before, grant in earlier[:room]:
        tx.update_grant(grant, before.state)
        end_moved(tx, grant)
        act.settled.add(grant.request_id)
        act.record(
            tx,
            GrantShortened(
                grant.id,
                grant.request_id,
                str(grant.machine_id),
                before.ends_at_text,
                grant.ends_at_text,
            ),
            grant.machine_id,
        )
    return room > 0


def _opened(tx: ReportWrites, act: Act, grant: Grant) -> None:
    tx.update_grant(confirm_open(grant), grant.state)
    tx.note_access(grant.machine_uid, act.now, grant.requestor_id, grant.requestor)
    opened(tx, act, grant)
    act.settled.add(grant.request_id)
    act.record(tx, GrantOpened(grant.id, grant.request_id, str(grant.machine_id)), grant.machine_id)


def _record_notes(tx: EventWrites, act: Act, machine: Machine, report: Report) -> None:
    """What the point wants on record, as far as its minute has room for it (EDGES B8)."""
    facts = _notes_of(str(machine.id), report)
    if not facts:
        return
    wanted = EventFilter(machine.id.key, _NOTES, act.now - NOTES_SPAN)
    most = OPENINGS_PER_SPAN + NOTES_PER_SPAN + 1
    # By itself: what another point of the machine tells takes none of its room.
    by_itself = replace(wanted, principal_id=act.actor.principal_id)
    events = [event for _, event in tx.events(by_itself, limit=most)]
    recent = [event.fact for event in events if _is_by(act, event)]
    openings = sum(isinstance(each, OpenedLocally) for each in recent)
    room = {True: OPENINGS_PER_SPAN - openings, False: NOTES_PER_SPAN - (len(recent) - openings)}
    withheld = 0
    for fact in facts:
        is_opening = isinstance(fact, OpenedLocally)
        if room[is_opening] > 0:
            room[is_opening] -= 1
            act.record(tx, fact, machine.id)
        else:
            withheld += 1
    if withheld and not any(isinstance(each, NotesWithheld) for each in recent):
        act.record(tx, NotesWithheld(str(machine.id), withheld), machine.id)


def _notes_of(name: str, report: Report) -> list[Fact]:
    return [
        *(
            OpenedLocally(name, opening.port, opening.sources, opening.seconds)
            for opening in report.local_openings
        ),
        *(DriftHealed(name, what) for what in report.drift),
        *(RecordDisputed(name, what) for what in report.disputes),
        *(AgentReported(name, note) for note in report.notes),
    ]


def _skew(act: Act, report: Report) -> timedelta | None:
    """By how much its clock differs from ours; None: by little, or it did not say."""
    if report.clock is None or abs(report.clock - act.now) <= MAXIMUM_SKEW:
        return None
    return report.clock - act.now


def _update_point(
    tx: HeardWrites,
    act: Act,
    machine: Machine,
    point: EnforcementPoint,
    report: Report,
    skew: timedelta | None,
) -> None:
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
        facts=report.facts,
        flushed_by=report.flushed_by,
        not_enforced_since=(point.not_enforced_since or act.now) if is_idle else None,
        clock_skew=skew,
        guard=report.guard,
        driver=report.driver,
        capabilities=report.capabilities,
        knows=report.knows,
    )
    # Knocks alone are no news: a machine that is scanned would keep every open page busy.
    is_news = replace(updated, blocked_attempts=point.blocked_attempts) != point
    act.is_noticed |= is_news or was_silent or point.last_contact_at is None
    is_due = point.last_contact_at is None or act.now - point.last_contact_at >= CONTACT_GRAIN
    if updated != point or is_due:
        tx.put_enforcement_point(replace(updated, last_contact_at=act.now))


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
