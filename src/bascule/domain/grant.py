"""A grant: one opened port on one machine for stated sources; a lease that ends by itself.

``domain.lifecycle`` has its states and transitions. ``state`` is the actual state; Azure's
``status`` and ``statusReason`` (CONTRACT 1.5) are derived from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bascule.domain.exposure import END_BELIEVED_AFTER
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import (
    GRANT_TRANSITIONS,
    STATES,
    GrantState,
    Status,
    StatusReason,
)
from bascule.domain.machine import OnExpiry, failure_words
from bascule.domain.net import AddressPrefix, PortKey, RuleProtocol, TransportProtocol
from bascule.domain.points import LONGEST_PATIENCE, PATIENCE, PointKind
from bascule.errors import Conflict
from bascule.sentences import Sentence, sentence

_SETTLING = frozenset({GrantState.CLOSING, GrantState.CLOSED})
SILENCE_BOUND = timedelta(seconds=30)  # a point silent for longer: open is "not confirmed"
LEASE_SIZE, PORT_SIZE, SOURCE_SIZE = 160, 40, 46  # bytes at most of each in a state as JSON


LONGEST_WARNING = timedelta(minutes=5)  # before the end; of a short one a tenth


@dataclass(frozen=True, slots=True)
class Grant:
    id: str
    request_id: str
    policy_id: ResourceId
    machine_uid: str
    machine_id: ResourceId
    requestor_id: str
    requestor: str
    number: int
    protocol: RuleProtocol
    sources: tuple[AddressPrefix, ...]
    on_expiry: OnExpiry
    max_duration: timedelta  # the rule's, when the end was last decided
    started_at: datetime
    ends_at: datetime  # exclusive: closed from this instant on
    ends_at_text: str  # spelling of ends_at on the wire
    state: GrantState = GrantState.OPENING
    reason: StatusReason = StatusReason.USER_REQUESTED
    generation: int = 0  # the machine's generation that first carried it as it now is
    extension: int = 0  # how often its end was moved on purpose
    is_source_list: bool = False
    ended_at: datetime | None = None  # when it was ended; None while it is live
    failure: str = ""  # a sentence, for FAILED
    cut_at: datetime | None = None  # when somebody last had cut what it admitted
    # When the next point is given up that has not reported it in force; None: none is waited for.
    answer_by: datetime | None = None
    # Points in parallel that are to hold it no longer, by uid, each with the reason as a sentence.
    withdrawn: Mapping[str, str] = field(default_factory=dict)
    drain_for: timedelta | None = None  # how long connections may stay beyond its end; of ``drain``
    ends_with_group: str = ""  # the group whose membership's end is the grant's, by name
    ends_with_credential: str = ""  # the secret or certificate whose end is the grant's, by its id
    is_emergency: bool = False  # never extended
    approved_until: datetime | None = None  # extensions until then need no new approval (EDGES J8)

    @property
    def warned_at(self) -> datetime:
        """When its requestor is told that it ends soon."""
        return self.ends_at - min(LONGEST_WARNING, (self.ends_at - self.started_at) / 10)

    @property
    def drained_at(self) -> datetime | None:
        """When the connections that it admitted are cut that may stay beyond its end; None: none may.

        Only time lets them stay. Who is revoked, replaced, or cut has none, nor has UDP (EDGES J14).
        It is the latest on a port that drains: what the port is then decides.
        """
        is_over = self.state in _SETTLING and self.reason is StatusReason.EXPIRED
        if (
            self.on_expiry is not OnExpiry.DRAIN
            or TransportProtocol.TCP not in self.protocol.transports
            or self.drain_for is None
            or self.cut_at is not None
        ):
            return None
        return self.ends_at + self.drain_for if self.is_live or is_over else None

    @property
    def status(self) -> Status:
        status = STATES[self.state].status
        assert status is not None  # noqa: S101  # reason: what is never told to Azure has no grant
        return status

    @property
    def failure_words(self) -> Sentence | None:
        """``failure`` as a sentence that can be said in another language; None: it cannot."""
        return failure_words(self.failure, self.machine_id.name) if self.failure else None

    @property
    def is_live(self) -> bool:
        return STATES[self.state].is_live

    @property
    def port_keys(self) -> tuple[PortKey, ...]:
        return tuple(PortKey(transport, self.number) for transport in self.protocol.transports)

    @property
    def opening_count(self) -> int:
        """The number of firewall elements: one for each source and transport protocol."""
        return opening_count(self.port_keys, self.sources)

    @property
    def told_size(self) -> int:
        """Upper bound in bytes of this grant in its agent's state (EDGES E4)."""
        size = told_size(self.port_keys, self.sources)
        return size if self.drain_for is None else 2 * size

    @property
    def opening(self) -> tuple[str, str, int, frozenset[AddressPrefix]]:
        """Requestor, machine, port and sources.

        Newer grants with the same values, and all protocols of the older one, replace it.
        """
        return self.requestor_id, self.machine_uid, self.number, frozenset(self.sources)

    def shares_source(self, other: Grant) -> bool:
        """Has its requestor the other too, for the same port from a source of both?"""
        return self.opening[:3] == other.opening[:3] and any(
            one.version == another.version and one.overlaps(another)
            for mine in self.sources
            for one in mine.networks
            for theirs in other.sources
            for another in theirs.networks
        )


def opening_count(ports: Sequence[PortKey], sources: Iterable[AddressPrefix]) -> int:
    """The number of openings that admit ``sources`` to ``ports``; ``*`` is one per family."""
    return len(ports) * sum(len(source.networks) for source in sources)


def told_size(ports: Sequence[PortKey], sources: Sequence[AddressPrefix]) -> int:
    """Upper bound in bytes of such a lease or cut in an agent's state."""
    return LEASE_SIZE + PORT_SIZE * len(ports) + SOURCE_SIZE * len(sources)


def move(grant: Grant, to: GrantState, **changes: object) -> Grant:
    """The grant in its next state. Raises Conflict for a transition that the table lacks."""
    if (grant.state, to) not in GRANT_TRANSITIONS:
        raise Conflict(
            sentence(
                "Grant {grant} is {state}; it cannot become {to}.",
                grant=grant.id,
                state=grant.state,
                to=to,
            ),
            code="IllegalTransition",
        )
    return replace(grant, state=to, **changes)  # type: ignore[arg-type]  # reason: field names are checked by replace


def confirm_open(grant: Grant) -> Grant:
    return move(grant, GrantState.OPEN, answer_by=None)


def end(grant: Grant, reason: StatusReason, now: datetime) -> Grant:
    """End a live grant; it is ``closing`` until its point reads the port back closed."""
    return move(grant, GrantState.CLOSING, reason=reason, ended_at=now, answer_by=None)


def confirm_closed(grant: Grant) -> Grant:
    return move(grant, GrantState.CLOSED)


def fail(grant: Grant, why: str, now: datetime) -> Grant:
    """Withdraw a grant that was never reported in force."""
    return move(
        grant,
        GrantState.FAILED,
        reason=StatusReason.EXPIRED,
        ended_at=now,
        failure=why,
        answer_by=None,
    )


def is_believed_over(grant: Grant, now: datetime) -> bool:
    """Does the grant count as ended if its point is silent (EDGES E9)?

    The lease's own end counts, because a silent point has not heard of an earlier one.
    """
    return grant.state is GrantState.CLOSING and grant.ends_at + END_BELIEVED_AFTER <= now


def due_at(grant: Grant, now: datetime) -> datetime:
    """When time ends a live grant: at its end, or when it has not opened in time.

    If the clock went back, a grant that never opened gets no more time: it would open when
    nobody waits for it any more.
    """
    if grant.state is not GrantState.OPENING:
        return grant.ends_at
    by = waits_until(grant)
    return now if is_set_back(by, now) else min(grant.ends_at, by)


def waits_until(grant: Grant) -> datetime:
    """Of one that waits to open: when the first of its points is given up."""
    return grant.answer_by or grant.started_at + PATIENCE[PointKind.HOST]


def is_set_back(by: datetime, now: datetime) -> bool:
    """Does that moment lie so far ahead that the clock must have gone back since it was set?"""
    return now < by - 2 * LONGEST_PATIENCE


def cut_to(grant: Grant, ends_at: datetime, ends_at_text: str) -> Grant:
    """Shorten a live grant; an end that is not earlier changes nothing."""
    if ends_at >= grant.ends_at:
        return grant
    return replace(
        grant,
        ends_at=ends_at,
        ends_at_text=ends_at_text,
        ends_with_group="",
        ends_with_credential="",
    )


def extend_to(grant: Grant, granted: Grant) -> Grant:
    """Extend a live grant as if it were granted now, with the maximum that allows it.

    The extension is recorded, so that points may lengthen the lease.
    """
    if not grant.is_live:
        raise Conflict(
            sentence(
                "Grant {grant} is {state}; only a live grant can be extended. Make a new request.",
                grant=grant.id,
                state=grant.state,
            ),
            code="GrantNotLive",
        )
    return replace(
        grant,
        max_duration=granted.max_duration,
        ends_at=granted.ends_at,
        ends_at_text=granted.ends_at_text,
        ends_with_group=granted.ends_with_group,
        ends_with_credential=granted.ends_with_credential,
        extension=grant.extension + 1,
    )
