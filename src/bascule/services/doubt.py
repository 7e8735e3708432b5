"""When an agent's reports are no longer trusted, and how an owner ends that (EDGES E7).

An agent whose key was stolen can overtake the server again and again, or fill the record. Such an
agent is doubted: its reports settle nothing until an owner has looked. What is not here: the order
in which a report is judged and taken (``reports``).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.actions import ENROLMENT_WRITE
from bascule.domain.facts.agents import AgentBelieved, AgentDoubted, GenerationOvertaken
from bascule.domain.facts.grants import GrantShortened
from bascule.domain.ids import ResourceId
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.scopes import resource_scope
from bascule.domain.weaknesses import DOUBTED, Weakness
from bascule.errors import TooManyRequests
from bascule.interfaces.closed_ports import GenerationReads
from bascule.interfaces.exposure import ExposureReads, KnownMachine
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.plans import HeldRules
from bascule.interfaces.points import PointWrites
from bascule.interfaces.record import EventFilter, EventReads, EventWrites
from bascule.protocol.report import Report
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.known_machine import known_machine
from bascule.services.notes import NOTES, is_by_reporter
from bascule.services.rights import Needed, RightsReads, check
from bascule.services.timeline import FollowWrites, follow


class DoubtWrites(EventWrites, GenerationReads, PointWrites, Protocol):
    """A point, and the record."""


class BeliefWrites(FollowWrites, RightsReads, EventWrites, MachineReads, PointWrites, Protocol):
    """A point, and the right to believe it again."""


DOUBTED_WITHIN = timedelta(hours=1)  # a second overtaking in it is no backup's doing
_COUNTED = (*NOTES, GrantShortened.__name__)
MOST_TOLD_CHANGES = 10_000  # that one agent may report in that hour: closings, openings, notes


def has_overtaken_lately(
    tx: EventReads, act: Act, machine: Machine, point: EnforcementPoint
) -> bool:
    """Has it overtaken this server in the last hour already, with nothing that explains it?

    Overtakings before the server's last start do not count, since it may have been restored from
    an older backup then; nor do those before an owner last looked, nor those of another point of
    the machine.
    """
    explained = (act.serving_since, point.believed_since)
    known = [each for each in explained if each is not None and each <= act.now]
    since = max([act.now - DOUBTED_WITHIN, *known])
    wanted = EventFilter(machine.id.key, (GenerationOvertaken.__name__,), since)
    return any(is_by_reporter(act, event) for _, event in tx.events(wanted))


def is_counted(act: Act, held: HeldRules | None) -> bool:
    """Does a report add to what ``tells_too_much`` counts? ``held``: what it changed of what is kept
    of its machine. One that adds nothing cannot be the one too many of a machine's only point.
    """
    return held is not None or any(type(each).__name__ in _COUNTED for each in act.facts)


def tells_too_much(
    tx: ExposureReads, act: Act, machine: Machine, point: EnforcementPoint, *, is_shared: bool
) -> bool:
    """Has it reported more changes in the last hour than a host makes?

    Each becomes an event, or a row of the history of what was closed and open, which is kept as
    long: somebody with its stolen key could fill the disk and keep the writer busy.

    If several points guard the machine (``is_shared``), any of them may have caused a row of that
    history. Only a point's own notes cast doubt on it there; when the history is full,
    TooManyRequests is raised and nothing of the report is taken.
    """
    since = act.now - DOUBTED_WITHIN
    if point.believed_since is not None and since < point.believed_since <= act.now:
        since = point.believed_since
    known = KnownMachine(machine.id, machine.uid)
    reporter = act.actor.principal_id if is_shared else None
    if tx.count_told(known, since, MOST_TOLD_CHANGES, _COUNTED, reporter) >= MOST_TOLD_CHANGES:
        return True
    if is_shared and tx.count_told(known, since, MOST_TOLD_CHANGES) >= MOST_TOLD_CHANGES:
        raise TooManyRequests(
            sentence(
                "The enforcement points of {machine} have reported {most} changes within an hour. "
                "No more are accepted until an hour after the first of them.",
                machine=machine.id.name,
                most=MOST_TOLD_CHANGES,
            ),
            code="TooMuchTold",
            advice="Check those hosts. An owner of the machine can unbind a point.",
        )
    return False


def doubt(
    tx: DoubtWrites, act: Act, machine: Machine, point: EnforcementPoint, report: Report
) -> None:
    """Trust none of its reports until an owner has checked it (EDGES E7).

    What is open ends on time on the host, as with an agent that is away; nothing is confirmed.
    """
    known = tx.generation(machine.uid)
    act.record(tx, AgentDoubted(str(machine.id), known, report.generation), machine.id)
    doubted = replace(
        point,
        last_contact_at=act.heard_at or point.last_contact_at,
        doubted_since=act.now,
        not_enforced_since=point.not_enforced_since or act.now,
        weaknesses=(DOUBTED(), *_without_doubt(point)),
    )
    tx.put_enforcement_point(doubted)


def _without_doubt(point: EnforcementPoint) -> tuple[Weakness, ...]:
    return tuple(each for each in point.weaknesses if not each.is_of(DOUBTED))


def believe_point(tx: BeliefWrites, act: Act, subject: Subject, machine_id: ResourceId) -> bool:
    """Take an agent's reports again, as an owner decides; False when they were not refused.

    It takes the right to make the machine's enrolment tokens. Raises Forbidden, NotFound.
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
