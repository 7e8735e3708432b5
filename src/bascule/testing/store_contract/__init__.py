"""The examination of every ``interfaces.Store``: one suite, in parts by subject.

An adapter's test inherits ``StoreContract`` and gives a fixture ``store``, fresh for each
test; one that outlives its process inherits ``DurableStoreContract`` too and gives
``reopen``, which closes the store and opens the same database again.
"""

# ruff: noqa: E402  # reason: the parts are imported after pytest is told to rewrite them

from __future__ import annotations

import pytest

# Before they are imported: a failed assert in a part says what it compared.
pytest.register_assert_rewrite(
    *(
        f"{__name__}.{part}"
        for part in (
            "activity",
            "chain",
            "delivery",
            "durability",
            "exposure",
            "fleet",
            "grants",
            "inventory",
            "listing",
            "knocks",
            "openings",
            "plans",
            "policies",
            "principals",
            "providers",
            "record",
            "requests",
            "retention",
            "roles",
            "set_up",
            "sign_in",
            "tokens",
            "transactions",
            "within",
        )
    )
)

from bascule.testing.store_contract.activity import ActivityContract
from bascule.testing.store_contract.chain import ChainContract
from bascule.testing.store_contract.delivery import DeliveryContract
from bascule.testing.store_contract.durability import DurableStoreContract
from bascule.testing.store_contract.exposure import ExposureContract
from bascule.testing.store_contract.fleet import FleetContract
from bascule.testing.store_contract.grants import GrantContract
from bascule.testing.store_contract.inventory import InventoryContract
from bascule.testing.store_contract.knocks import KnockContract
from bascule.testing.store_contract.listing import ListingContract
from bascule.testing.store_contract.openings import OpeningContract
from bascule.testing.store_contract.plans import PlanContract
from bascule.testing.store_contract.policies import PolicyContract
from bascule.testing.store_contract.principals import PrincipalContract
from bascule.testing.store_contract.providers import ProviderContract
from bascule.testing.store_contract.record import RecordContract
from bascule.testing.store_contract.requests import RequestContract
from bascule.testing.store_contract.retention import RetentionContract
from bascule.testing.store_contract.roles import RoleContract
from bascule.testing.store_contract.set_up import SetUpContract
from bascule.testing.store_contract.sign_in import SignInContract
from bascule.testing.store_contract.tokens import TokenContract
from bascule.testing.store_contract.transactions import TransactionContract
from bascule.testing.store_contract.within import WithinContract

__all__ = ["DurableStoreContract", "StoreContract"]


class StoreContract(
    ActivityContract,
    InventoryContract,
    ListingContract,
    KnockContract,
    OpeningContract,
    PlanContract,
    PolicyContract,
    PrincipalContract,
    ProviderContract,
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
