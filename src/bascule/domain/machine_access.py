"""What one word says of a machine's doors at this moment, as lists of machines show it.

Said means seen: a machine whose point is silent, or can enforce nothing, is never called open or
closed. Where several things are so at once, the one that lets in comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bascule.domain.lifecycle import GrantState


class AccessState(StrEnum):
    OPEN = "open"  # a port was read back open
    OPENING = "opening"
    CLOSING = "closing"  # ended, not read back shut
    NOT_CONFIRMED = "notConfirmed"  # a port was open; its point is silent or can enforce nothing
    OFFLINE = "offline"  # the same, nothing was open
    APPLYING = "applying"  # changed rules, not read back yet
    CLOSED = "closed"
    NOTHING_SHUT = "nothingShut"  # no point, or no port of it is shut


@dataclass(frozen=True, slots=True)
class Doors:
    """All that the state depends on."""

    has_point: bool
    is_silent: bool  # the point was not heard of within SILENCE_BOUND, or can enforce nothing
    is_behind: bool  # the point has not applied the newest generation
    is_shut: bool  # some port is to be kept shut
    # States that grants of it are in, without those that are *ended, not confirmed* (EDGES E9).
    grants: frozenset[GrantState] = frozenset()
    is_root_in: bool = False  # root on the host opened something there that is shut


# What admits while it lasts, in the order in which it is told.
_TOLD: tuple[tuple[GrantState, AccessState], ...] = (
    (GrantState.OPEN, AccessState.OPEN),
    (GrantState.OPENING, AccessState.OPENING),
    (GrantState.CLOSING, AccessState.CLOSING),
)


def access_state(doors: Doors) -> AccessState:
    if not doors.has_point:
        return AccessState.NOTHING_SHUT
    if doors.is_silent:
        return _unheard(doors)
    if doors.is_root_in:
        return AccessState.OPEN
    for grant, told in _TOLD:
        if grant in doors.grants:
            return told
    if doors.is_behind:
        return AccessState.APPLYING
    return AccessState.CLOSED if doors.is_shut else AccessState.NOTHING_SHUT


def _unheard(doors: Doors) -> AccessState:
    """Of one that was closing nobody knows whether it is shut by now."""
    grants = doors.grants
    was_open = doors.is_root_in or GrantState.OPEN in grants or GrantState.CLOSING in grants
    return AccessState.NOT_CONFIRMED if was_open else AccessState.OFFLINE
