"""The parts of the store put together: all that a Reader reads and a Transaction writes."""

from __future__ import annotations

from bascule.store.activity import ActivityReads, ActivityWrites
from bascule.store.approvals import ApprovalReads, ApprovalWrites, MakerReads, MakerWrites
from bascule.store.asked import AskedReads
from bascule.store.callers import CallerReads
from bascule.store.chain import ChainReads, ChainWrites
from bascule.store.delivery import DeliveryReads, DeliveryWrites
from bascule.store.duties import DutyReads, DutyWrites
from bascule.store.endings import EndingReads, EndingWrites
from bascule.store.exposure import ExposureReads
from bascule.store.exposure_writes import ExposureWrites
from bascule.store.fleet import FleetReads, FleetWrites
from bascule.store.grants import GrantReads, GrantWrites
from bascule.store.inventory import InventoryReads, InventoryWrites
from bascule.store.invites import InviteReads, InviteWrites
from bascule.store.kept_forms import KeptFormReads, KeptFormWrites
from bascule.store.keys import KeyReads, KeyWrites
from bascule.store.knocks import KnockReads, KnockWrites
from bascule.store.lines import LineReads, LineWrites
from bascule.store.listing import ListingReads, ListingWrites
from bascule.store.mail import MailReads, MailWrites
from bascule.store.metrics import MetricReads
from bascule.store.openings import OpeningReads
from bascule.store.plans import PlanReads, PlanWrites
from bascule.store.policies import PolicyReads, PolicyWrites
from bascule.store.principals import PrincipalReads, PrincipalWrites
from bascule.store.providers import ProviderReads, ProviderWrites
from bascule.store.public_ports import PublicPortReads, PublicPortWrites
from bascule.store.record import RecordReads, RecordWrites
from bascule.store.recovery import RecoveryReads, RecoveryWrites
from bascule.store.replicas import ReplicaReads, ReplicaWrites
from bascule.store.requests import RequestReads, RequestWrites
from bascule.store.retention import RetentionReads, RetentionWrites
from bascule.store.reviews import ReviewReads, ReviewWrites
from bascule.store.roles import RoleReads, RoleWrites
from bascule.store.runs import RunReads, RunWrites
from bascule.store.set_up import SetUpReads, SetUpWrites
from bascule.store.settling import SettlingReads
from bascule.store.sign_in import SignInReads, SignInWrites
from bascule.store.tokens import TokenReads, TokenWrites
from bascule.store.trusting import TrustingReads, TrustingWrites


class SqlReader(
    InventoryReads,
    PrincipalReads,
    RoleReads,
    ListingReads,
    OpeningReads,
    PlanReads,
    SetUpReads,
    SignInReads,
    TokenReads,
    TrustingReads,
    SettlingReads,
    CallerReads,
    ProviderReads,
    PolicyReads,
    RequestReads,
    ReviewReads,
    AskedReads,
    ApprovalReads,
    MakerReads,
    MailReads,
    GrantReads,
    FleetReads,
    PublicPortReads,
    RecordReads,
    RecoveryReads,
    ChainReads,
    ActivityReads,
    DeliveryReads,
    DutyReads,
    EndingReads,
    RetentionReads,
    RunReads,
    ExposureReads,
    KnockReads,
    KeptFormReads,
    KeyReads,
    InviteReads,
    ReplicaReads,
    LineReads,
    MetricReads,
):
    """``interfaces.store.Reader`` on one connection."""

    __slots__ = ()


class SqlTransaction(
    InventoryWrites,
    PrincipalWrites,
    RoleWrites,
    ListingWrites,
    OpeningReads,
    PlanWrites,
    SetUpWrites,
    SignInWrites,
    TokenWrites,
    TrustingWrites,
    SettlingReads,
    CallerReads,
    ProviderWrites,
    PolicyWrites,
    RequestWrites,
    ReviewWrites,
    AskedReads,
    ApprovalWrites,
    MakerWrites,
    MailWrites,
    GrantWrites,
    FleetWrites,
    PublicPortWrites,
    RecordWrites,
    RecoveryWrites,
    ChainWrites,
    ActivityWrites,
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
    MetricReads,
):
    """``interfaces.store.Transaction`` on one connection; its owner begins and ends it."""

    __slots__ = ()
