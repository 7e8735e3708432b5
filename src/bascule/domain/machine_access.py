"""The access state of a machine, one word, as lists of machines show it.

A machine whose point is silent or cannot enforce anything is never called open or closed. If
several states apply, the one that admits somebody comes first. The rule is the table CASES. It is
evaluated here, and stores filter their lists by conditions derived from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from bascule.domain.lifecycle import GrantState
from bascule.domain.weaknesses import Shadow


class AccessState(StrEnum):
    OPEN = "open"  # a port was read back open
    OPENING = "opening"
    CLOSING = "closing"  # ended, not read back closed
    NOT_CONFIRMED = "notConfirmed"  # a port was open; its point is silent or can enforce nothing
    OFFLINE = "offline"  # the same, nothing was open
    APPLYING = "applying"  # changed rules, not read back yet
    OPEN_PAST_US = "openPastUs"  # a closed port is reached by another program's rule (EDGES G7)
    CANNOT_BE_TOLD = "cannotBeTold"  # other programs' rules there cannot be read
    CLOSED = "closed"
    NOTHING_CLOSED = "nothingClosed"  # no point, or no port of it is closed


@dataclass(frozen=True, slots=True)
class Doors:
    """Everything that the state depends on."""

    has_point: bool
    is_silent: bool  # the point was not heard of within SILENCE_BOUND, or can enforce nothing
    is_behind: bool  # the point has not applied the newest generation
    is_closed: bool  # some port is to be kept closed
    # States that grants of it are in, without those that are *ended, not confirmed* (EDGES E9).
    grants: frozenset[GrantState] = frozenset()
    is_root_in: bool = False  # root on the host opened something there that is closed
    shadow: Shadow | None = None  # why its ports may not be called closed; never BLOCKS


class Fact(Enum):
    """A fact about a machine that the table uses; stores have an expression for each."""

    NO_POINT = auto()
    UNHEARD = auto()  # its point is silent, or can enforce nothing
    WAS_OPEN = auto()  # a grant or root let in and is not believed over, nor read back closed
    LETS_IN = auto()  # a grant is open, or root let somebody in
    OPENING = auto()
    CLOSING = auto()
    BEHIND = auto()
    KEPT_CLOSED = auto()
    PAST_US = auto()
    UNREAD = auto()


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table: it holds where all of ``facts`` do and no row above it does."""

    facts: frozenset[Fact]
    state: AccessState


# The first that holds. Of one that was closing when it fell silent nobody knows whether it is
# closed by now.
CASES = (
    Case(frozenset({Fact.NO_POINT}), AccessState.NOTHING_CLOSED),
    Case(frozenset({Fact.UNHEARD, Fact.WAS_OPEN}), AccessState.NOT_CONFIRMED),
    Case(frozenset({Fact.UNHEARD}), AccessState.OFFLINE),
    Case(frozenset({Fact.LETS_IN}), AccessState.OPEN),
    Case(frozenset({Fact.OPENING}), AccessState.OPENING),
    Case(frozenset({Fact.CLOSING}), AccessState.CLOSING),
    Case(frozenset({Fact.BEHIND}), AccessState.APPLYING),
    Case(frozenset({Fact.KEPT_CLOSED, Fact.PAST_US}), AccessState.OPEN_PAST_US),
    Case(frozenset({Fact.KEPT_CLOSED, Fact.UNREAD}), AccessState.CANNOT_BE_TOLD),
    Case(frozenset({Fact.KEPT_CLOSED}), AccessState.CLOSED),
    Case(frozenset(), AccessState.NOTHING_CLOSED),
)


def access_state(doors: Doors) -> AccessState:
    facts = facts_of(doors)
    return next(case.state for case in CASES if case.facts <= facts)


def facts_of(doors: Doors) -> frozenset[Fact]:
    grants, by_root = doors.grants, doors.is_root_in
    is_open, is_closing = GrantState.OPEN in grants, GrantState.CLOSING in grants
    answers = {
        Fact.NO_POINT: not doors.has_point,
        Fact.UNHEARD: doors.is_silent,
        Fact.WAS_OPEN: by_root or is_open or is_closing,
        Fact.LETS_IN: by_root or is_open,
        Fact.OPENING: GrantState.OPENING in grants,
        Fact.CLOSING: is_closing,
        Fact.BEHIND: doors.is_behind,
        Fact.KEPT_CLOSED: doors.is_closed,
        Fact.PAST_US: doors.shadow is Shadow.ADMITS,
        Fact.UNREAD: doors.shadow is Shadow.UNREAD,
    }
    return frozenset(fact for fact, is_so in answers.items() if is_so)


@dataclass(frozen=True, slots=True)
class Condition:
    """All of ``facts`` hold, and of each of ``except_where`` one does not."""

    facts: frozenset[Fact]
    except_where: tuple[frozenset[Fact], ...]


def conditions_of(state: AccessState) -> tuple[Condition, ...]:
    """When a machine is in this state: one of these holds. For stores, which cannot run the table."""
    return tuple(
        Condition(case.facts, _least(each.facts for each in CASES[:place]))
        for place, case in enumerate(CASES)
        if case.state is state
    )


def _least(rows: Iterable[frozenset[Fact]]) -> tuple[frozenset[Fact], ...]:
    """The conditions without those that another, weaker condition covers."""
    every = tuple(rows)
    return tuple(each for each in every if not any(other < each for other in every))
