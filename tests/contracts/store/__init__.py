"""The examination of every ``interfaces.store.Store``: one suite, in parts by subject.

An adapter's test inherits ``StoreContract`` and gives a fixture ``store``, fresh for each
test; one that outlives its process inherits ``DurableStoreContract`` too and gives
``reopen``, which closes the store and opens the same database again.
"""

from __future__ import annotations

from tests.contracts.store.activity import ActivityContract
from tests.contracts.store.asked import AskedContract
from tests.contracts.store.callers import CallerContract
from tests.contracts.store.chain import ChainContract
from tests.contracts.store.delivery import DeliveryContract
from tests.contracts.store.durability import DurableStoreContract
from tests.contracts.store.exposure import ExposureContract
from tests.contracts.store.fleet import FleetContract
from tests.contracts.store.grants import GrantContract
from tests.contracts.store.inventory import InventoryContract
from tests.contracts.store.kept_forms import KeptFormContract
from tests.contracts.store.keys import KeyContract
from tests.contracts.store.knocks import KnockContract
from tests.contracts.store.lines import LineContract
from tests.contracts.store.listing import ListingContract
from tests.contracts.store.mail import MailContract
from tests.contracts.store.metrics import MetricContract
from tests.contracts.store.openings import OpeningContract
from tests.contracts.store.plans import PlanContract
from tests.contracts.store.policies import PolicyContract
from tests.contracts.store.principals import PrincipalContract
from tests.contracts.store.providers import ProviderContract
from tests.contracts.store.public_ports import PublicPortContract
from tests.contracts.store.record import RecordContract
from tests.contracts.store.replicas import ReplicaContract
from tests.contracts.store.requests import RequestContract
from tests.contracts.store.retention import RetentionContract
from tests.contracts.store.roles import RoleContract
from tests.contracts.store.set_up import SetUpContract
from tests.contracts.store.sign_in import SignInContract
from tests.contracts.store.tokens import TokenContract
from tests.contracts.store.transactions import TransactionContract
from tests.contracts.store.within import WithinContract

__all__ = ["DurableStoreContract", "StoreContract"]


class StoreContract(
    ActivityContract,
    AskedContract,
    CallerContract,
    InventoryContract,
    LineContract,
    ListingContract,
    KeptFormContract,
    MailContract,
    KeyContract,
    KnockContract,
    MetricContract,
    OpeningContract,
    PlanContract,
    PolicyContract,
    PrincipalContract,
    ProviderContract,
    PublicPortContract,
    ReplicaContract,
    RequestContract,
    GrantContract,
    FleetContract,
    RecordContract,
    ChainContract,
    DeliveryContract,
    ExposureContract,
    RetentionContract,
    RoleContract,
    SetUpContract,
    SignInContract,
    TokenContract,
    TransactionContract,
    WithinContract,
):
    """All of it."""
