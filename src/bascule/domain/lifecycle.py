"""The states of requests and of their grants: one row each, from which all else is derived.

SQL predicates and foreign keys, list filters, the API, the command line, the portal's badges and
the picture in ARCHITECTURE.md read these rows. Where a row or a move is missing, this import or
a test fails.

A *grant* is one opened port; its state is stored. A *request* is what was asked for at once; its
state is stored too, and is always the sum over its grants: the state that comes first in STATES.
Two rows are never stored: what is shown of a grant whose enforcement point is silent.

To add a state: a member of the enumeration, a
row, and the moves to and from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple


class GrantState(StrEnum):
    OPENING = "opening"
    OPEN = "open"
    FAILED = "failed"
    CLOSING = "closing"
    CLOSED = "closed"


class RequestState(StrEnum):
    WAITING = "waiting"
    SCHEDULED = "scheduled"
    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    FAILED = "failed"
    CLOSED = "closed"
    REFUSED = "refused"
    DENIED = "denied"
    LAPSED = "lapsed"
    WITHDRAWN = "withdrawn"


class Status(StrEnum):
    """Azure's words on the wire."""

    INITIATING = "Initiating"
    INITIATED = "Initiated"
    REVOKED = "Revoked"


class StatusReason(StrEnum):
    USER_REQUESTED = "UserRequested"
    EXPIRED = "Expired"
    NEWER_REQUEST_INITIATED = "NewerRequestInitiated"


class Tone(StrEnum):
    """How a badge looks."""

    GOOD = "good"
    WARN = "warn"
    BAD = "bad"
    PLAIN = "plain"


NOT_CONFIRMED = "notConfirmed"
ENDED_NOT_CONFIRMED = "endedNotConfirmed"  # EDGES E9


# Named tuples: Python makes their classes sooner than dataclasses, and every command waits for that.
class Move(NamedTuple):
    """A grant's way out of a state."""

    to: GrantState
    why: str  # as the picture says it


class Row(NamedTuple):
    """What is so in one state."""

    name: str  # as it is stored, answered and printed; the portal translates it
    meaning: str
    status: Status | None  # Azure's word (CONTRACT 1.5); None: Azure's clients are not shown it
    tone: Tone
    picture: str  # an icon of the portal
    reason: StatusReason | None = None  # the only one that it is ever given; None: any
    grant_next: tuple[Move, ...] = ()
    request_next: tuple[RequestState, ...] = ()
    has_grants: bool = True  # of a request in it; without, it shows what was asked for
    is_beginning: bool = False  # what is new may begin here
    is_live: bool = False  # nothing has ended it
    was_read_back: bool = False  # live, and its point has reported it in force
    may_admit: bool = False  # packets may pass, now or at any moment
    shown_for: GrantState | None = None  # never stored: shown instead of this one

    @property
    def is_settled(self) -> bool:
        """Is it known that nothing is open, and does nothing more come?"""
        return self.shown_for is None and not (
            self.may_admit or self.grant_next or self.request_next
        )


# The one that speaks for several comes first.
_ROWS = (
    Row(
        "waiting",
        "for other people to approve it; it has no grant yet",
        Status.INITIATING,
        Tone.WARN,
        "clock",
        reason=StatusReason.USER_REQUESTED,
        request_next=(
            RequestState.SCHEDULED,
            RequestState.OPENING,
            RequestState.DENIED,
            RequestState.LAPSED,
            RequestState.WITHDRAWN,
        ),
        has_grants=False,
        is_beginning=True,
    ),
    Row(
        "scheduled",
        "for its start; it has no grant yet",
        Status.INITIATING,
        Tone.PLAIN,
        "clock",
        reason=StatusReason.USER_REQUESTED,
        request_next=(
            RequestState.WAITING,  # what was approved needs more approval now
            RequestState.OPENING,
            RequestState.DENIED,
            RequestState.LAPSED,
            RequestState.WITHDRAWN,
        ),
        has_grants=False,
        is_beginning=True,
    ),
    Row(
        "opening",
        "decided; not yet read back in force",
        Status.INITIATING,
        Tone.WARN,
        "clock",
        reason=StatusReason.USER_REQUESTED,
        grant_next=(
            Move(GrantState.OPEN, "read back in force"),
            Move(GrantState.FAILED, "not within 60 s"),
            Move(GrantState.CLOSING, "ended before it opened"),
        ),
        request_next=(RequestState.OPEN, RequestState.FAILED, RequestState.CLOSING),
        is_beginning=True,
        is_live=True,
        may_admit=True,
    ),
    Row(
        NOT_CONFIRMED,
        "open at the last report, which is more than 30 s old; or the agent has since said that "
        "it cannot enforce anything",
        Status.INITIATED,
        Tone.WARN,
        "warning",
        is_live=True,
        was_read_back=True,
        may_admit=True,
        shown_for=GrantState.OPEN,
    ),
    Row(
        "open",
        "read back in force",
        Status.INITIATED,
        Tone.GOOD,
        "lock-open",
        reason=StatusReason.USER_REQUESTED,
        grant_next=(Move(GrantState.CLOSING, "ended"),),
        request_next=(RequestState.CLOSING,),
        is_live=True,
        was_read_back=True,
        may_admit=True,
    ),
    Row(
        "closing",
        "ended; not yet read back closed",
        Status.REVOKED,
        Tone.WARN,
        "clock",
        grant_next=(Move(GrantState.CLOSED, "read back closed"),),
        # Failed, when another port of the request had failed before this one is closed.
        request_next=(RequestState.CLOSED, RequestState.FAILED),
        may_admit=True,
    ),
    Row(
        ENDED_NOT_CONFIRMED,
        "ended more than a minute ago at a silent agent; not read back closed, and not counted "
        "as open",
        Status.REVOKED,
        Tone.WARN,
        "warning",
        shown_for=GrantState.CLOSING,
    ),
    Row(
        "failed",
        "not in force within 60 s; it never opens",
        Status.REVOKED,
        Tone.BAD,
        "error",
        reason=StatusReason.EXPIRED,
    ),
    Row("closed", "read back closed", Status.REVOKED, Tone.PLAIN, "lock-closed"),
    Row(
        "refused",
        "the policy or the host does not allow it; it has no grant",
        None,
        Tone.BAD,
        "stop",
        has_grants=False,
        is_beginning=True,
    ),
    Row(
        "denied",
        "somebody who was asked said no, or it was not allowed any more; it has no grant",
        Status.REVOKED,
        Tone.BAD,
        "stop",
        reason=StatusReason.USER_REQUESTED,
        has_grants=False,
    ),
    Row(
        "lapsed",
        "nobody decided in time, or its start was missed; it has no grant",
        Status.REVOKED,
        Tone.PLAIN,
        "clock",
        reason=StatusReason.EXPIRED,
        has_grants=False,
    ),
    Row(
        "withdrawn",
        "its requestor, or somebody who may revoke it, took it back; it has no grant",
        Status.REVOKED,
        Tone.PLAIN,
        "stop",
        reason=StatusReason.USER_REQUESTED,
        has_grants=False,
    ),
)

# Of a state that this program does not know, told by a newer server: it may admit.
UNKNOWN = Row("", "not known here", None, Tone.WARN, "warning", may_admit=True)

STATES: Mapping[str, Row] = {row.name: row for row in _ROWS}
_PLACES = {row.name: place for place, row in enumerate(_ROWS)}


def _grants(rows: Iterable[Row]) -> frozenset[GrantState]:
    names = {row.name for row in rows}
    return frozenset(state for state in GrantState if state in names)


GRANT_TRANSITIONS: frozenset[tuple[GrantState, GrantState]] = frozenset(
    (was, move.to) for was in GrantState for move in STATES[was].grant_next
)
REQUEST_TRANSITIONS: frozenset[tuple[RequestState, RequestState]] = frozenset(
    (was, to) for was in RequestState for to in STATES[was].request_next
)
REQUEST_BEGINNINGS = tuple(state for state in RequestState if STATES[state].is_beginning)
GRANT_BEGINNINGS = tuple(state for state in GrantState if STATES[state].is_beginning)
LIVE = _grants(row for row in _ROWS if row.is_live)
UNSETTLED = _grants(row for row in _ROWS if row.grant_next)  # may admit, until read back closed
REQUEST_LIVE = tuple(state for state in RequestState if STATES[state].is_live)
REQUEST_UNSETTLED = tuple(state for state in RequestState if STATES[state].request_next)
AZURE_REQUESTS = tuple(state for state in RequestState if STATES[state].status)


def worst(states: Iterable[str]) -> str:
    """The state that speaks for several; there is one at least."""
    return min(states, key=_PLACES.__getitem__)


def request_state(grants: Iterable[str]) -> RequestState:
    """The state of a request whose grants are in these states; there is one at least."""
    return RequestState(worst(grants))
