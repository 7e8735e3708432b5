"""The store as a whole: its parts put together, for whoever hands it on.

A use case names the parts that it reads and writes. In ``services`` only the runner of use cases
(``act``) and their rehearsal may import this module (``.importlinter``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

from bascule.errors import Unavailable
from bascule.interfaces.activity import ActivityReads
from bascule.interfaces.approvals import ApprovalReads, ApprovalWrites, MakerReads, MakerWrites
from bascule.interfaces.asked import AskedReads
from bascule.interfaces.callers import CallerReads
from bascule.interfaces.clock import SharedClock
from bascule.interfaces.closed_ports import (
    ClosedPortReads,
    ClosedPortWrites,
    GenerationReads,
    GenerationWrites,
    MoveReads,
    ToldPortReads,
)
from bascule.interfaces.delivery import DeliveryReads, DeliveryWrites
from bascule.interfaces.duties import DutyReads, DutyWrites
from bascule.interfaces.endings import EndingReads, EndingWrites
from bascule.interfaces.exposure import ExposureReads, ExposureWrites
from bascule.interfaces.grants import GrantReads, GrantWrites, ToldGrantReads
from bascule.interfaces.hints import Heard, OpenHints
from bascule.interfaces.inventory import (
    InventoryReads,
    InventoryWrites,
    MachineReads,
    MachineWrites,
)
from bascule.interfaces.invites import InviteReads, InviteWrites
from bascule.interfaces.kept_forms import KeptFormReads, KeptFormWrites
from bascule.interfaces.keys import KeyReads, KeyWrites
from bascule.interfaces.knocks import KnockReads, KnockWrites
from bascule.interfaces.lines import LineReads, LineWrites
from bascule.interfaces.listing import ListingReads, ListingWrites
from bascule.interfaces.mail import MailReads, MailWrites
from bascule.interfaces.metrics import MetricReads
from bascule.interfaces.openings import OpeningReads
from bascule.interfaces.plans import PlanReads, PlanWrites
from bascule.interfaces.points import (
    AgentReads,
    BindingReads,
    ContactReads,
    ContactWrites,
    EnrolmentReads,
    EnrolmentWrites,
    PointReads,
    PointWrites,
)
from bascule.interfaces.policies import PolicyReads, PolicyWrites
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.providers import ProviderReads, ProviderWrites
from bascule.interfaces.public_ports import PublicPortReads, PublicPortWrites
from bascule.interfaces.record import ChainReads, ChainWrites, EventReads, EventWrites
from bascule.interfaces.recovery import RecoveryReads, RecoveryWrites
from bascule.interfaces.replicas import Outdated, ReplicaReads, ReplicaWrites
from bascule.interfaces.requests import RequestReads, RequestWrites
from bascule.interfaces.retention import RetentionReads, RetentionWrites
from bascule.interfaces.reviews import ReviewReads, ReviewWrites
from bascule.interfaces.roles import RoleReads, RoleWrites
from bascule.interfaces.runs import RunReads, RunWrites
from bascule.interfaces.set_up import SetUpReads, SetUpWrites
from bascule.interfaces.settling import SettlingReads
from bascule.interfaces.sign_in import SignInReads, SignInWrites
from bascule.interfaces.tokens import TokenReads, TokenWrites
from bascule.interfaces.trusting import TrustingReads, TrustingWrites

T = TypeVar("T")


class Reader(
    InventoryReads,
    MachineReads,
    GenerationReads,
    ClosedPortReads,
    PolicyReads,
    RequestReads,
    GrantReads,
    MoveReads,
    AskedReads,
    ApprovalReads,
    MakerReads,
    ToldGrantReads,
    ToldPortReads,
    ContactReads,
    AgentReads,
    BindingReads,
    PublicPortReads,
    SettlingReads,
    PointReads,
    EnrolmentReads,
    EventReads,
    ChainReads,
    PrincipalReads,
    RoleReads,
    ListingReads,
    OpeningReads,
    PlanReads,
    SetUpReads,
    SignInReads,
    TokenReads,
    TrustingReads,
    CallerReads,
    ProviderReads,
    DeliveryReads,
    DutyReads,
    EndingReads,
    RetentionReads,
    RunReads,
    ActivityReads,
    ExposureReads,
    KnockReads,
    KeptFormReads,
    KeyReads,
    InviteReads,
    ReplicaReads,
    LineReads,
    MailReads,
    MetricReads,
    RecoveryReads,
    ReviewReads,
    Protocol,
):
    """Reads, all of one consistent moment. Lists are in a stable order, given with each."""


class Transaction(
    Reader,
    InventoryWrites,
    MachineWrites,
    GenerationWrites,
    ClosedPortWrites,
    PolicyWrites,
    RequestWrites,
    ApprovalWrites,
    MakerWrites,
    GrantWrites,
    PointWrites,
    PublicPortWrites,
    ContactWrites,
    EnrolmentWrites,
    EventWrites,
    ChainWrites,
    PrincipalWrites,
    RoleWrites,
    ListingWrites,
    PlanWrites,
    SetUpWrites,
    SignInWrites,
    TokenWrites,
    TrustingWrites,
    ProviderWrites,
    DeliveryWrites,
    DutyWrites,
    EndingWrites,
    RetentionWrites,
    RunWrites,
    ExposureWrites,
    KnockWrites,
    KeptFormWrites,
    KeyWrites,
    InviteWrites,
    ReplicaWrites,
    LineWrites,
    MailWrites,
    RecoveryWrites,
    ReviewWrites,
    Protocol,
):
    """Reads and writes of one transaction: all of it is kept, or none."""


class Unsettled(Unavailable):
    """The database does not say whether a change is kept; it ends when ``ended`` does."""

    def __init__(self, ended: Future[Any]) -> None:
        super().__init__(
            "The database did not finish this change in time. It is not known whether it is kept.",
            advice="Check what is stored before you repeat the call.",
        )
        self.ended = ended


def record_moved() -> Unavailable:
    """A server that runs on a retired database says so; to strangers too, so not where the record is."""
    return Unavailable(
        "The record of this installation was moved to another database. This server changes "
        "nothing any more.",
        advice="Use a server on the new database. This server's log names it.",
    )


def outdated(program: str) -> Outdated:
    """``program``: the version that upgraded it."""
    return Outdated(
        f"Bascule {program} upgraded the database, and this server is too old for it. It changes "
        f"nothing any more.",
        advice=f"Use another server. Here, install Bascule {program} or later and start it again.",
    )


class Store(Protocol):
    """The database behind one writer; functions run in its thread, callers await."""

    @property
    def clock(self) -> SharedClock | None:
        """The clock of all servers that share the database; None: nobody else uses it."""
        ...

    @property
    def retries(self) -> int:
        """Groups of changes that were done again since the start, because of other transactions."""
        ...

    def measure_clock(self) -> Awaitable[None]:
        """Compare ``clock`` with the database's again. Raises Unavailable."""
        ...

    def write(self, work: Callable[[Transaction], T], *, may_wait: bool = False) -> Awaitable[T]:
        """Run ``work`` in one durable transaction: it is on disk when this returns.

        ``may_wait``: nobody waits for it, so that other writes go first. It is done all the same.

        An exception of ``work`` undoes all that it did and is raised here. Raises
        Unavailable when the database cannot be written, and Unsettled when it does not answer.
        """
        ...

    def read(self, work: Callable[[Reader], T]) -> Awaitable[T]:
        """Run ``work`` on one consistent snapshot. Raises Unavailable."""
        ...

    def read_few(self, work: Callable[[Reader], T]) -> Awaitable[T]:
        """``read``, for a handful of rows by their keys. The work may run in the caller's thread,
        and nothing else runs there meanwhile.
        """
        ...

    def check_writable(self) -> Awaitable[None]:
        """Write to the disk, changing nothing. Raises Unavailable when that fails, or when the
        disk is so full that the next change may.
        """
        ...

    def hints(self, uid: str, hear: Callable[[Heard], None]) -> OpenHints | None:
        """The way to the other servers on the database, for the one of this uid; None: there can
        be no others. ``hear`` is called in another thread.
        """
        ...

    def close(self) -> None: ...
