"""Which approvals were due when, and whose yes counted, by the history alone. Pure.

Where an act was under way about then, either may be so: what is due is then any of several, and
a yes counts that may count. What is surely wrong is a finding (``judge_waits``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from tests.faults.history import Answered, Asked, History
from tests.faults.schedule import KILL_PORT, MEMBERS, Due

CLOCKS = 0.1  # seconds between the server's wall clock and ours


class _Act(Protocol):
    sent: float
    answered: float | None


@dataclass(frozen=True, slots=True)
class _Layer:
    """What one place asks for from an act on."""

    act: _Act
    due: Due | None


def is_enough(due: Due, given: frozenset[str]) -> bool:
    """May these people's yeses be shared out so that each stage has its number?"""
    return _are_shared_out([MEMBERS[group] for group, needed in due for _ in range(needed)], given)


def _are_shared_out(wanted: list[tuple[str, ...]], given: frozenset[str]) -> bool:
    if not wanted:
        return True
    return any(_are_shared_out(wanted[1:], given - {each}) for each in given & {*wanted[0]})


def dues(history: History, asked: Asked, start: float, end: float) -> set[Due | None]:
    """The stages that may have been due at some moment of these; None: it may have been denied."""
    layers = [_between(_rules(history, asked.person), start, end)]
    layers.append(_between(_ports(history, asked.machine), start, end))
    if KILL_PORT in asked.ports:
        layers.append(_between(_gate(history, asked.machine), start, end))
    return {_united(each) for each in product(*layers)}


def _united(parts: Iterable[Due | None]) -> Due | None:
    found: list[Due] = []
    for each in parts:
        if each is None:
            return None
        found.append(each)
    return tuple(dict.fromkeys(stage for due in found for stage in due))


def _between(layers: Iterable[_Layer], start: float, end: float) -> list[Due | None]:
    """What may have been in force: nothing before the first act."""
    may: list[Due | None] = [()]
    for each in layers:
        if each.act.sent > end:
            break
        if each.act.answered is not None and each.act.answered < start:
            may.clear()
        may.append(each.due)
    return list(dict.fromkeys(may))


def _rules(history: History, person: str) -> list[_Layer]:
    return [_Layer(each, each.due) for each in history.ordered if each.person == person]


def _ports(history: History, machine: str) -> list[_Layer]:
    """The approval of the machine's ports, which are all alike."""
    return [
        _Layer(each, each.due if each.kind == "set" else ())
        for each in history.edited
        if each.machine == machine and each.kind in ("set", "remove", "delete")
    ]


def _gate(history: History, machine: str) -> list[_Layer]:
    """The other policy's rule: it loses the machine with every other policy."""
    return [
        _Layer(each, each.due if each.kind == "gate" else ())
        for each in history.edited
        if each.machine == machine and each.kind in ("gate", "remove", "delete")
    ]


def given(history: History, request_id: str, at: float) -> frozenset[str]:
    """Whose yes to it may count at a moment."""
    return frozenset(
        each.approver
        for each in history.answers
        if each.request_id == request_id and each.is_yes and may_count(history, each, at)
    )


def may_count(history: History, answer: Answered, at: float) -> bool:
    """Neither before it is given nor of who asks, nor once the right to it was taken."""
    if answer.sent > at + CLOCKS or answer.denied or answer.approver == answer.requestor:
        return False
    if holds_voice(history, answer.approver, answer.sent, answer.answered or math.inf) is False:
        return False
    given_by = answer.answered if answer.answered is not None else math.inf
    return not any(
        each.person == answer.approver
        and not each.is_given
        and each.sent > given_by
        and each.answered is not None
        and each.answered < at - CLOCKS
        for each in history.trusted
    )


def holds_voice(history: History, person: str, start: float, end: float) -> bool | None:
    """Might they approve all that while? None: it changed, or may have."""
    held = True
    for each in history.trusted:
        if each.person != person:
            continue
        if each.sent > end:
            break
        if each.answered is None or each.answered > start:
            return None
        held = each.is_given
    return held


def is_right(history: History, asked: Asked, request_id: str, at: float) -> bool:
    """May it have opened at this moment, as far as approvals go?"""
    people = given(history, request_id, at)
    return any(
        due is not None and is_enough(due, people)
        for due in dues(history, asked, at - CLOCKS, at + CLOCKS)
    )
