"""What an agent wants on record, in bounded number (EDGES B8).

Each enforcement point has room for some notes a minute on a machine, and for more openings by root,
which notes cannot displace. What has no room is dropped; one event a minute says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from bascule.domain.event import Event
from bascule.domain.facts.agents import (
    AgentReported,
    DriftHealed,
    NotesWithheld,
    OpenedLocally,
    ShadowFound,
    ShadowGone,
)
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.record import RecordDisputed
from bascule.domain.machine import Machine
from bascule.domain.shadows import shadows
from bascule.domain.weaknesses import Weakness
from bascule.interfaces.record import EventFilter, EventWrites
from bascule.protocol.report import Report
from bascule.services.act import Act

NOTES_PER_SPAN = 60  # of one machine; a stolen agent must not fill the disk
OPENINGS_PER_SPAN = 600  # likewise, by root on the host: no note takes their room
NOTES_SPAN = timedelta(minutes=1)
NOTES = tuple(
    each.__name__
    for each in (
        DriftHealed,
        OpenedLocally,
        RecordDisputed,
        AgentReported,
        NotesWithheld,
        ShadowFound,
        ShadowGone,
    )
)


def record_notes(
    tx: EventWrites,
    act: Act,
    machine: Machine,
    report: Report,
    known: Iterable[Weakness] | None = None,
) -> None:
    """What the point wants on record, as far as its minute has room for it (EDGES B8).

    ``known`` is what was wrong there by the report before, which tells the shadows that come and
    go; None: this report is not about the point itself.
    """
    facts = _notes_of(str(machine.id), report)
    if known is not None:
        facts += _changes_of_shadows(str(machine.id), shadows(known), shadows(report.weaknesses))
    if not facts:
        return
    wanted = EventFilter(machine.id.key, NOTES, act.now - NOTES_SPAN)
    most = OPENINGS_PER_SPAN + NOTES_PER_SPAN + 1
    # Only its own: what another point of the machine reports takes none of its room.
    own = replace(wanted, principal_id=act.actor.principal_id)
    recent = [event.fact for _, event in tx.events(own, limit=most) if is_by_reporter(act, event)]
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


def _changes_of_shadows(
    name: str, before: Iterable[Weakness], now: Iterable[Weakness]
) -> list[Fact]:
    were, are = {_place(each): each for each in before}, {_place(each): each for each in now}
    return [
        *(ShadowFound(name, *_told(each)) for key, each in are.items() if key not in were),
        *(ShadowGone(name, *_told(each)) for key, each in were.items() if key not in are),
    ]


def _place(shadow: Weakness) -> tuple[str, ...]:
    """What makes it the same as before, however its rule is written now."""
    names = ("port", "other", "source", "target")
    return (shadow.code, *(shadow.arguments.get(name, "") for name in names))


def _told(shadow: Weakness) -> tuple[str, str, str, str]:
    return shadow.code, shadow.arguments.get("port", ""), shadow.rule, str(shadow.text)


def is_by_reporter(act: Act, event: Event) -> bool:
    """Did the point that reports now cause the event? A machine may have several (EDGES F3)."""
    return event.actor.principal_id == act.actor.principal_id


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
