"""What the inside asks of the outside, as Protocols: store, driver, clock.

(The hexagonal "ports"; the word *port* is a network port here.) Adapters implement these
and pass their contract suites (``testing``); nothing inside names a concrete class. The
store's parts that stand by themselves have modules of their own beside this one.
What is not here: any implementation, any wire shape.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, TypeVar

from bascule.domain.chain import ChainHead, Checkpoint, Link
from bascule.domain.desired import Held
from bascule.domain.event import Event
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort, EnforcementPoint, Machine
from bascule.domain.net import PortKey
from bascule.domain.plan import Observed, Operation
from bascule.domain.policy import MachineRules, Policy
from bascule.domain.request import AccessRequest
from bascule.domain.roles import Reach
from bascule.interfaces.activity import ActivityReads
from bascule.interfaces.delivery import DeliveryReads, DeliveryWrites
from bascule.interfaces.exposure import ExposureReads, ExposureWrites
from bascule.interfaces.knocks import KnockReads, KnockWrites
from bascule.interfaces.listing import ListingReads, ListingWrites
from bascule.interfaces.openings import OpeningReads
from bascule.interfaces.plans import PlanReads, PlanWrites
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.providers import ProviderReads, ProviderWrites
from bascule.interfaces.retention import RetentionReads, RetentionWrites
from bascule.interfaces.roles import RoleReads, RoleWrites
from bascule.interfaces.set_up import SetUpReads, SetUpWrites
from bascule.interfaces.sign_in import SignInReads, SignInWrites
from bascule.interfaces.tokens import TokenReads, TokenWrites

T = TypeVar("T")


class Clock(Protocol):
    """The only reader of clocks."""

    def now(self) -> datetime:
        """The wall clock, aware UTC."""
        ...

    def boottime(self) -> float:
        """Seconds since boot, suspended time included (CLOCK_BOOTTIME); never goes back."""
        ...


# -- enforcement ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver's backend can do here, probed by writing and reading back."""

    is_owned: bool  # other tools cannot write or flush our rules
    weaknesses: tuple[str, ...] = ()  # sentences for the owner, empty when all is well
    facts: Mapping[str, str] = field(default_factory=dict)  # kernel, nft version, ...


@dataclass(frozen=True, slots=True)
class Blocked:
    """Dropped packets of one source to one closed port, while the kernel remembers them."""

    source: str
    port: PortKey
    packets: int
    remaining: timedelta = timedelta(0)  # until it is forgotten, if nothing more comes


class Driver(Protocol):
    """One kind of firewall. Grow the data, not the method list."""

    def capabilities(self) -> Capabilities: ...

    def observe(self) -> Observed:
        """Read the firewall back; raise EnforcementFailed when it cannot be read."""
        ...

    def apply(self, operations: Sequence[Operation], since: float | None = None) -> None:
        """Do all of it in one transaction or raise EnforcementFailed with nothing done.

        The times left in it count from ``since`` (CLOCK_BOOTTIME seconds; None: from now):
        what reading, planning and writing take is not given to anybody.
        """
        ...

    def sessions(self, openings: Sequence[tuple[PortKey, str]]) -> Sequence[int]:
        """How many TCP connections live on each (port, source prefix)."""
        ...

    def tidy(self) -> None:
        """Cut connections that no rule admits any more; renew adopted ones that live on."""
        ...

    def blocked(self) -> Sequence[Blocked]:
        """Who has been knocking; bounded."""
        ...

    def remove(self) -> None:
        """Take every rule of ours away: the ports are open again. For uninstalling only."""
        ...


# -- the record -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Installation:
    tenant_id: str
    subscription_id: str
    location: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    policy: Policy
    etag: str  # changes with kind, machines and port rules, with nothing else
    generations: Mapping[str, int]  # machine uid -> generation that carries this policy


@dataclass(frozen=True, slots=True)
class Enrolment:
    id: str
    machine_uid: str
    token_hash: str  # SHA-256 hex
    expires_at: datetime
    replaces: bool  # may take the place of an enrolled key, alive or not
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class EventFilter:
    resource_id: str = ""  # key form; matches the id itself and what lies below it
    kinds: tuple[str, ...] = ()
    since: datetime | None = None  # inclusive
    until: datetime | None = None  # exclusive
    principal_id: str = ""
    # No index finds these two: ask for them by ``events_page``, which bounds what is read.
    caller: str = ""  # a principal's id or name, without regard to case
    correlation_id: str = ""  # without regard to case


class Reader(
    PrincipalReads,
    RoleReads,
    ListingReads,
    OpeningReads,
    PlanReads,
    SetUpReads,
    SignInReads,
    TokenReads,
    ProviderReads,
    DeliveryReads,
    RetentionReads,
    ActivityReads,
    ExposureReads,
    KnockReads,
    Protocol,
):
    """Reads, all of one consistent moment. Lists are in a stable order, given with each."""

    def installation(self) -> Installation | None: ...

    def resource_groups(self) -> Sequence[str]:
        """Names as created, ordered by key."""
        ...

    def locations(self) -> Sequence[str]: ...

    def machine(self, machine_id: ResourceId) -> Machine | None: ...

    def machine_by_uid(self, uid: str) -> Machine | None: ...

    def machines(
        self,
        resource_group: str | None = None,
        after: str = "",
        limit: int = 1000,
        within: Reach | None = None,
    ) -> Sequence[Machine]:
        """Ordered by id key; ``after`` is the last key of the page before; ``within`` keeps
        those in these scopes.
        """
        ...

    def machine_uids(self, machine_keys: Collection[str]) -> Sequence[str]:
        """Of the machines that have one of these ids, in key form."""
        ...

    def machines_of(self, uids: Sequence[str]) -> Mapping[str, Machine]:
        """By uid; those that are not there are missing."""
        ...

    def generation(self, machine_uid: str) -> int:
        """The machine's desired generation; 0 when nothing was ever wanted of it."""
        ...

    def generations(self, machine_uids: Sequence[str]) -> Mapping[str, int]:
        """Of several; of which nothing was ever wanted is missing."""
        ...

    def closed_ports(self, machine_uid: str) -> frozenset[ClosedPort]: ...

    def released_ports(self, machine_uid: str) -> Mapping[PortKey, int]:
        """Ports that were let go and not closed again, each with the generation that says so."""
        ...

    def policy(self, policy_id: ResourceId) -> StoredPolicy | None: ...

    def policies(
        self,
        resource_group: str | None = None,
        location: str | None = None,
        after: str = "",
        limit: int = 1000,
        within: Reach | None = None,
    ) -> Sequence[StoredPolicy]:
        """Ordered by id key; group and location compare without case; ``within`` keeps those
        that lie in these scopes themselves or name a machine that does.
        """
        ...

    def policies_naming(self, machine_id: ResourceId) -> Sequence[StoredPolicy]:
        """Ordered by id key."""
        ...

    def rules_at(
        self, machine_ids: Sequence[ResourceId]
    ) -> Sequence[tuple[ResourceId, MachineRules]]:
        """What policies say of these machines, each with its policy's id; those without a port
        are left out. Ordered by the keys of machine and policy. However large the policies
        are, no more of them is read.
        """
        ...

    def request(self, request_id: str) -> AccessRequest | None: ...

    def requests_of(self, request_ids: Sequence[str]) -> Mapping[str, AccessRequest]:
        """By id; those that are not there are missing."""
        ...

    def requests(
        self,
        policy_id: ResourceId | None = None,
        machine_uid: str | None = None,
        requestor_id: str | None = None,
        since: datetime | None = None,
        is_live: bool | None = None,
        after: tuple[datetime, str] | None = None,
        limit: int = 1000,
    ) -> Sequence[AccessRequest]:
        """Newest first (started_at, id descending); ``after`` is the last of the page before.

        ``since`` keeps those begun at or after it *and* those that still have a live grant.
        ``is_live`` keeps those with a grant that is live or closing (it may still let in), or
        the others.
        """
        ...

    # Of grants, each list leaves out what cannot be read any more, and logs it: a row that
    # somebody damaged stops no other.

    def grants_of(self, request_ids: Sequence[str]) -> Sequence[Grant]:
        """All grants of these requests, in the order they were added."""
        ...

    def live_grants(self, machine_uids: Sequence[str] | None = None) -> Sequence[Grant]:
        """opening and open ones; of every machine when None. Ordered by end."""
        ...

    def live_grants_of(self, requestor_ids: Collection[str]) -> Sequence[Grant]:
        """opening and open ones that these principals asked for. Ordered by end."""
        ...

    def unsettled_grants(self, machine_uid: str) -> Sequence[Grant]:
        """opening, open and closing ones of a machine."""
        ...

    def grants_in_force(self, machine_uids: Sequence[str]) -> Sequence[Grant]:
        """Those that were read back open and not read back shut since: open ones, and closing
        ones that were open.
        """
        ...

    def orphaned_grants(self) -> Sequence[Grant]:
        """closing ones of machines that have no enforcement point (any more). Ordered by end."""
        ...

    def cut_grants(self, machine_uid: str, since: datetime, beyond: int = -1) -> Sequence[Grant]:
        """Those marked to be cut at or after ``since``, whenever they ended, of a generation
        above ``beyond``.
        """
        ...

    def enforcement_point(self, machine_uid: str) -> EnforcementPoint | None: ...

    def points_of(self, machine_uids: Sequence[str]) -> Mapping[str, EnforcementPoint]:
        """By machine uid; those that have none are missing."""
        ...

    def enforcement_points(
        self, after: str = "", limit: int | None = None
    ) -> Sequence[EnforcementPoint]:
        """Ordered by machine uid; ``after`` is the last uid of the page before; all when
        ``limit`` is None.
        """
        ...

    def points_unheard(self, since: datetime) -> Sequence[EnforcementPoint]:
        """Those whose last contact was before that, not those that never had one. Ordered by
        machine uid.
        """
        ...

    def enrolment_by_hash(self, token_hash: str) -> Enrolment | None: ...

    def events(
        self, wanted: EventFilter, after: int = 0, limit: int = 1000, newest_first: bool = True
    ) -> Sequence[tuple[int, Event]]:
        """(sequence, event); ``after`` is the last sequence of the page before, 0 to begin.

        A row that is no event any more, because somebody damaged it, is left out.
        """
        ...

    def events_page(
        self, wanted: EventFilter, after: int, limit: int, most: int
    ) -> tuple[Sequence[tuple[int, Event]], int]:
        """``events``, newest first, and the sequence after which to look on; 0: nowhere.

        By caller or correlation only ``most`` events are looked through: those that the rest
        of what is wanted leaves, when they are so few, and else the next of all. So there may
        be fewer than ``limit``, or none, and more further on; never before ``since``.
        """
        ...

    def chain_head(self) -> ChainHead:
        """The last sealed event's place; position 0 when nothing was ever sealed."""
        ...

    def chain_begin(self) -> ChainHead:
        """The place before the oldest sealed event that is kept: a checkpoint's, after
        retention; with an empty hash when that checkpoint is missing.
        """
        ...

    def chain(self, after: int = 0, limit: int = 1000) -> Sequence[Link]:
        """Sealed events after that position, in the order of the chain; with an empty record
        where somebody damaged one so that it cannot be read.
        """
        ...

    def seal_at(self, position: int) -> str | None:
        """The hash at that position; None when it is not there (any more)."""
        ...

    def seals_of(self, sequences: Sequence[int]) -> Mapping[int, ChainHead]:
        """Where events are in the chain, by sequence; those not sealed yet are left out."""
        ...

    def unsealed(self, limit: int = 1000) -> Sequence[tuple[int, Mapping[str, Any]]]:
        """(sequence, record) of committed events that are not in the chain yet, in order; the
        record is empty when it cannot be read.
        """
        ...

    def checkpoint(self, position: int) -> Checkpoint | None: ...

    def checkpoints(
        self, after: int = 0, limit: int = 1000, newest_first: bool = True
    ) -> Sequence[Checkpoint]:
        """Ordered by position; ``after`` is the last position of the page before."""
        ...

    def prunable(self, before: datetime, below: int | None = None) -> Checkpoint | None:
        """The last checkpoint all of whose events are from before that instant, and at
        positions below ``below``.
        """
        ...


class Transaction(
    Reader,
    PrincipalWrites,
    RoleWrites,
    ListingWrites,
    PlanWrites,
    SetUpWrites,
    SignInWrites,
    TokenWrites,
    ProviderWrites,
    DeliveryWrites,
    RetentionWrites,
    ExposureWrites,
    KnockWrites,
    Protocol,
):
    """Reads and writes of one transaction: all of it is kept, or none."""

    def create_installation(self, installation: Installation) -> None: ...

    def add_resource_group(self, name: str) -> None: ...

    def delete_resource_group(self, name: str) -> None:
        """Forget a group; the caller has made sure that it is empty."""
        ...

    def put_machine(self, machine: Machine) -> None: ...

    def delete_machine(self, uid: str) -> None:
        """Forget a machine, its agent, its enrolments, closed ports and blocked attempts;
        requests, grants and events stay.
        """
        ...

    def advance_generation(self, machine_uid: str, beyond: int = 0) -> int:
        """Set the generation to max(current, beyond) + 1 and return it."""
        ...

    def put_closed_port(self, machine_uid: str, closed: ClosedPort) -> None: ...

    def release_port(self, machine_uid: str, port: PortKey, generation: int) -> None: ...

    def forget_releases(self, machine_uid: str, ports: Collection[PortKey] | None = None) -> None:
        """Ports that were let go and never closed again: as if nothing had been said of them."""
        ...

    def put_policy(self, stored: StoredPolicy) -> None: ...

    def delete_policy(self, policy_id: ResourceId) -> None: ...

    def add_request(self, request: AccessRequest) -> None: ...

    def add_grant(self, grant: Grant) -> None: ...

    def update_grant(self, grant: Grant, was: GrantState) -> None:
        """Write a grant that was in state ``was``; raise Conflict when it no longer is, or
        when the move is not in GRANT_TRANSITIONS (the database holds that table).
        """
        ...

    def mark_cut(self, grant_id: str, at: datetime) -> None:
        """Record that the sessions of a grant that has ended are to be cut from ``at`` on; a
        later mark takes the place of an earlier one.
        """
        ...

    def put_enforcement_point(self, point: EnforcementPoint) -> None: ...

    def delete_enforcement_point(self, machine_uid: str) -> None: ...

    def delete_enrolments(self, machine_uid: str) -> None:
        """Forget the tokens of a machine, used or not."""
        ...

    def add_enrolment(self, enrolment: Enrolment) -> None: ...

    def consume_enrolment(self, enrolment_id: str, now: datetime) -> bool:
        """Mark it used; False when it already was. Atomic."""
        ...

    def record(self, event: Event) -> None: ...

    def add_seals(self, seals: Sequence[tuple[int, ChainHead]]) -> None:
        """Put events, by sequence, at their places; raises Conflict when one is taken."""
        ...

    def add_checkpoint(self, checkpoint: Checkpoint) -> None: ...

    def prune_record(self, through: int) -> int:
        """Delete the events up to that position, their seals, and the checkpoints before it;
        returns how many events. Only for retention, and only at a checkpoint.
        """
        ...


class Store(Protocol):
    """The database behind one writer; functions run in its thread, callers await."""

    def write(self, work: Callable[[Transaction], T]) -> Awaitable[T]:
        """Run ``work`` in one durable transaction: it is on disk when this returns.

        An exception of ``work`` undoes all that it did and is raised here. Raises
        Unavailable when the database cannot be written.
        """
        ...

    def read(self, work: Callable[[Reader], T]) -> Awaitable[T]:
        """Run ``work`` on one consistent snapshot. Raises Unavailable."""
        ...

    def glance(self, work: Callable[[Reader], T]) -> T:
        """Like ``read``, in the caller's own thread: for a handful of rows by their keys.

        Going to another thread and back costs more than such a read takes.
        """
        ...

    def check_writable(self) -> Awaitable[None]:
        """Write to the disk, changing nothing. Raises Unavailable when that fails, or when the
        disk is so full that the next change may.
        """
        ...

    def close(self) -> None: ...


# -- the agent's memory -----------------------------------------------------------------


class HeldStore(Protocol):
    """Where an enforcement point keeps what it knows across its own death and reboots."""

    def save(self, held: Held) -> None: ...

    def load(self) -> Held: ...
