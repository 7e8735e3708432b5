"""What the line of an enforcement point reads and settles, each in one transaction.

A line rests on the key by which its point proved itself. Whatever is read or settled for it is read
with that key's standing in the same transaction, so that nothing is told to, or taken from, a line
whose key was taken away (EDGES A12, B5). What is not here: the connection, its beats, what is a push.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Protocol

from bascule.domain.bindings import MOST_BEHIND
from bascule.domain.desired import DesiredState
from bascule.domain.facts.agents import AgentsContended
from bascule.domain.features import Feature
from bascule.interfaces.closed_ports import GenerationReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.lines import LineReads, LineWrites
from bascule.interfaces.points import AgentReads, BindingReads, PointStanding
from bascule.interfaces.record import EventWrites
from bascule.protocol.report import Report
from bascule.services.act import Act
from bascule.services.fleet import AgentStateReads, guarded_by, state_of
from bascule.services.guarded import Guarded, require_key
from bascule.services.reports import ReportWrites, take_report


class StandingReads(AgentReads, BindingReads, GenerationReads, MachineReads, Protocol):
    """A point, its machines, and how far each is to come."""


class NewsReads(AgentStateReads, StandingReads, LineReads, Protocol):
    """The same, and what is wanted of these machines."""


class ClaimWrites(StandingReads, LineWrites, Protocol):
    """A point, and which connection of it is the newest."""


class SettleWrites(ReportWrites, LineReads, Protocol):
    """What a report settles, if it came by the newest connection."""


class ContendedWrites(MachineReads, EventWrites, Protocol):
    """The record."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A point as the server knows it now."""

    public_key: str
    machine_name: str  # of its own machine
    last_contact_at: datetime | None
    acknowledged: str  # digest of its last report that was settled; empty: none
    generations: Mapping[str, int]  # by the uid of each machine that it guards
    is_silent: bool  # ``PointStanding.is_silent``


def standing(reader: StandingReads, point_uid: str) -> Standing | None:
    """None when there is no such point, or its machine is gone."""
    point = reader.point_standing(point_uid)
    if point is None:
        return None
    return Standing(
        point.public_key,
        point.machine_name,
        point.last_contact_at,
        point.acknowledged,
        _generations(reader, point_uid, point),
        point.is_silent,
    )


def guards(reader: StandingReads, own: Guarded) -> Mapping[str, int]:
    """The machines beside its own that a point guards, with the generation that each is to come to."""
    point_uid = own.agent.machine_uid
    point = None if own.is_alone else reader.point_standing(point_uid)
    known = {} if point is None else _generations(reader, point_uid, point)
    return {uid: number for uid, number in known.items() if uid != point_uid}


def _generations(reader: StandingReads, point_uid: str, point: PointStanding) -> Mapping[str, int]:
    if not point.guards_others:  # nearly always
        return {point_uid: point.generation}
    bound = islice(reader.bound_to(point_uid), MOST_BEHIND)
    uids = [point_uid, *(each.machine_uid for each in bound)]
    known = reader.generations(uids)
    return {uid: known.get(uid, 0) for uid in uids}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a point is to hold of one machine at ``now``."""

    machine_name: str
    desired: DesiredState
    now: datetime


@dataclass(frozen=True, slots=True)
class News:
    """What moved at a point since its line was told."""

    generations: Mapping[str, int]  # of all machines that it guards
    states: Mapping[str, Wanted]  # of those that moved, where they were asked for


class NewerLineError(Exception):
    """The point has a newer connection, perhaps at another server: this one says nothing more."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A connection is the newest of its point."""

    number: int
    standing: Standing  # as of then: what was settled by an older connection is in it


def claim(point_uids: Sequence[str], tx: ClaimWrites, _: Act) -> Mapping[str, Claimed | None]:
    """Make the connections of these points their newest; None: there is no such point."""
    found = {uid: standing(tx, uid) for uid in dict.fromkeys(point_uids)}
    numbers = tx.claim_lines([uid for uid, each in found.items() if each])
    return {
        uid: None if each is None else Claimed(numbers[uid], each) for uid, each in found.items()
    }


def check_newest(reader: LineReads, point_uid: str, number: int) -> None:
    """Raise NewerLineError unless the connection with that number is the newest of the point; 0:
    there is one server, which knows.
    """
    if number and reader.line_number(point_uid) != number:
        raise NewerLineError


def news(
    reader: NewsReads,
    point_uid: str,
    public_key: str,
    told: Mapping[str, int],
    now: datetime,
    knows: frozenset[Feature] | None,
    holds: Collection[str],
    number: int = 0,
) -> News:
    """``told``: the generations that the line was told; ``holds``: the machines whose states are
    wanted; ``number``: as of ``check_newest``.
    Raises AuthenticationFailed, NewerLineError.
    """
    point = check_holds(reader, point_uid, public_key)
    check_newest(reader, point_uid, number)
    generations = _generations(reader, point_uid, point)
    moved = [uid for uid, number in generations.items() if number != told.get(uid)]
    states = {
        uid: wanted(reader, point_uid, public_key, uid, now, knows) for uid in moved if uid in holds
    }
    return News(generations, states)


def wanted(
    reader: AgentStateReads,
    point_uid: str,
    public_key: str,
    machine_uid: str,
    now: datetime,
    knows: frozenset[Feature] | None,
) -> Wanted:
    """Raises as ``fleet.state_for``, and AuthenticationFailed when that is not the point's key any
    more.
    """
    if machine_uid != point_uid:  # whose key is gone hears nothing, not even of what is bound
        check_holds(reader, point_uid, public_key)
    found = guarded_by(reader, point_uid, machine_uid)
    require_key(found.agent, public_key)
    return Wanted(found.machine.id.name, state_of(reader, found, now, knows), now)


def check_holds(reader: AgentReads, point_uid: str, public_key: str) -> PointStanding:
    """Raise AuthenticationFailed when that is not the point's key any more."""
    return require_key(reader.point_standing(point_uid), public_key)


def settle(
    tx: SettleWrites,
    act: Act,
    point_uid: str,
    public_key: str,
    report: Report,
    machine_uid: str,
    heard_at: datetime | None,
    number: int = 0,
) -> int:
    """``take_report`` of a line, which is the newest of its point (``check_newest``).

    ``heard_at``: when the pass had surely not begun yet; None: that is not known, and the report is
    no contact. Raises AuthenticationFailed, NewerLineError, and as ``take_report``.
    """
    check_newest(tx, point_uid, number)
    act.heard_at = None if heard_at is None else min(heard_at, act.now)
    return take_report(tx, act, point_uid, report, machine_uid, public_key)


def record_contention(tx: ContendedWrites, act: Act, point_uid: str, count: int) -> None:
    """Put on record that lines of one point replaced each other so often within a minute."""
    machine = tx.machine_by_uid(point_uid)
    if machine is not None:
        act.record(tx, AgentsContended(str(machine.id), count), machine.id)


def machines_of(uids: Collection[str], point_uid: str) -> frozenset[str]:
    """Those beside the point's own."""
    return frozenset(uids) - {point_uid}
