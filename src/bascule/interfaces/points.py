"""What the store keeps of enforcement points, and of the tokens that enrol them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.bindings import Binding
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.interfaces.listing import Access
from bascule.interfaces.plans import HeldRules


@dataclass(frozen=True, slots=True)
class Enrolment:
    id: str
    machine_uid: str
    token_hash: str  # SHA-256 hex
    expires_at: datetime
    replaces: bool  # may take the place of an enrolled key, alive or not
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """An enforcement point was there, as whoever holds this key, and had read its rules back."""

    point_uid: str
    public_key: str
    at: datetime
    machine_uids: frozenset[str] = frozenset()  # others that are bound to it and that it holds too
    network: str = ""  # from which it came: an IPv4 address or a /64; empty: not known
    line: int = 0  # number of its connection among all servers; 0: there is one server


@dataclass(frozen=True, slots=True)
class OwnPoint:
    """A machine with its own agent."""

    machine: Machine
    agent: EnforcementPoint  # by itself
    is_bound: bool  # the machine has bindings: others guard it too
    generation: int  # that the machine is to come to
    guards_others: bool = False  # other machines are bound to this agent
    held: HeldRules | None = None  # None: its points have reported nothing yet

    @property
    def is_alone(self) -> bool:
        """The agent guards its own machine alone, and nothing else guards that."""
        return not (self.is_bound or self.guards_others)


@dataclass(frozen=True, slots=True)
class PointStanding:
    """A point as its line is told of it."""

    public_key: str
    machine_name: str  # of its own machine
    last_contact_at: datetime | None
    acknowledged: str  # digest of its last report that was settled; empty: none
    generation: int  # that its own machine is to come to
    guards_others: bool  # machines beside its own are bound to it
    is_silent: bool = False  # its own machine is noted so: only a report takes that back


class AgentReads(Protocol):
    def point_standing(self, uid: str) -> PointStanding | None:
        """None when the machine or its agent is missing."""
        ...

    def own_point(self, uid: str) -> OwnPoint | None:
        """None when the machine or its agent is missing."""
        ...

    def agent_of(self, point_uid: str) -> EnforcementPoint | None:
        """One point by itself, by the uid of the machine that its agent was enrolled for."""
        ...


class PointReads(Protocol):
    def count_enforcement_points(self) -> int:
        """How many there are."""
        ...

    def enforcement_point(self, machine_uid: str) -> EnforcementPoint | None:
        """All that guards a machine, as one (``domain.bindings.together``); None: nothing does."""
        ...

    def points_of(self, machine_uids: Sequence[str]) -> Mapping[str, EnforcementPoint]:
        """``enforcement_point`` by machine uid; machines that nothing guards are missing."""
        ...

    def enforcement_points(
        self, after: str = "", limit: int | None = None
    ) -> Sequence[EnforcementPoint]:
        """Each by itself. Ordered by machine uid; ``after`` is the last uid of the page before; all when
        ``limit`` is None.
        """
        ...

    def points_last_heard(
        self, since: datetime | None, until: datetime
    ) -> Sequence[EnforcementPoint]:
        """Those whose last contact was in that time: from ``since`` (inclusive; None: ever) to
        ``until`` (exclusive). Not those that never had one. Ordered by machine uid.
        """
        ...


class ContactReads(Protocol):
    def networks_of_points(self, since: datetime) -> Mapping[str, tuple[str, datetime]]:
        """By point uid: from which network it was last heard, and when; of those heard since, whose
        network is known.
        """
        ...


class BindingReads(Protocol):
    def bindings_of(self, machine_uid: str) -> Sequence[Binding]:
        """Of one machine, its own agent's first, then by point uid; empty where its own agent
        alone guards it, if anything does.
        """
        ...

    def gateways_of(
        self, machine_uids: Sequence[str]
    ) -> Sequence[tuple[Binding, EnforcementPoint]]:
        """Points of other machines that guard these, each by itself with its binding, ordered by
        machine uid and point uid.
        """
        ...

    def bound_to(self, point_uid: str) -> Sequence[Binding]:
        """Other machines that a point guards, ordered by machine uid."""
        ...


class BindingWrites(BindingReads, Protocol):
    def put_binding(self, binding: Binding) -> None: ...

    def delete_binding(self, machine_uid: str, point_uid: str) -> None: ...


class ContactWrites(Protocol):
    def put_contacts(self, contacts: Sequence[Contact], now: datetime, silence: timedelta) -> None:
        """Move the last contact of points forward, and of machines that are bound to them.

        A contact counts where its key is still that point's. It moves nothing back, unless what is
        stored lies after ``now``, because the clock went back. Where the contact before is older
        than ``silence`` and the point's own machine is noted as silent, or there was none, only a
        report counts, which puts the return on record.
        The network of a contact that counts is kept beside the point.
        """
        ...


class PointWrites(AgentReads, BindingWrites, PointReads, Protocol):
    def put_enforcement_point(self, point: EnforcementPoint) -> None: ...

    def put_point_alone(self, point: EnforcementPoint, access: Access | None = None) -> None:
        """The same of one that was read as ``OwnPoint.is_alone`` in this transaction; with it who was
        let in at its machine.
        """
        ...

    def forget_acknowledged(self, point_uid: str) -> None:
        """No report of the point counts as the last that was settled."""
        ...

    def delete_enforcement_point(self, machine_uid: str) -> None:
        """Forget an agent, all its bindings, and what it last read back of its own machine."""
        ...


class EnrolmentReads(Protocol):
    def enrolment_by_hash(self, token_hash: str) -> Enrolment | None: ...


class EnrolmentWrites(EnrolmentReads, Protocol):
    def add_enrolment(self, enrolment: Enrolment) -> None: ...

    def consume_enrolment(self, enrolment_id: str, now: datetime) -> bool:
        """Mark it used; False when it already was. Atomic."""
        ...

    def delete_enrolments(self, machine_uid: str) -> None:
        """Forget the tokens of a machine, used or not."""
        ...
