"""The examination of every ``interfaces.Store``: one suite, in parts by subject.

An adapter's test inherits ``StoreContract`` and gives a fixture ``store``, fresh for each
test; one that outlives its process inherits ``DurableStoreContract`` too and gives
``reopen``, which closes the store and opens the same database again.
"""

from __future__ import annotations

from bascule.testing.store_contract.durability import DurableStoreContract
from bascule.testing.store_contract.fleet import FleetContract
from bascule.testing.store_contract.grants import GrantContract
from bascule.testing.store_contract.inventory import InventoryContract
from bascule.testing.store_contract.policies import PolicyContract
from bascule.testing.store_contract.record import RecordContract
from bascule.testing.store_contract.requests import RequestContract
from bascule.testing.store_contract.transactions import TransactionContract

__all__ = ["DurableStoreContract", "StoreContract"]


class StoreContract(
    InventoryContract,
    PolicyContract,
    RequestContract,
    GrantContract,
    FleetContract,
    RecordContract,
    TransactionContract,
):
    """All of it."""
