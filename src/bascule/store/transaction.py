"""The subjects put together: all that a Reader reads and a Transaction writes."""

from __future__ import annotations

from bascule.store.chain import ChainReads, ChainWrites
from bascule.store.fleet import FleetReads, FleetWrites
from bascule.store.grants import GrantReads, GrantWrites
from bascule.store.inventory import InventoryReads, InventoryWrites
from bascule.store.policies import PolicyReads, PolicyWrites
from bascule.store.record import RecordReads, RecordWrites
from bascule.store.requests import RequestReads, RequestWrites


class SqlReader(
    InventoryReads, PolicyReads, RequestReads, GrantReads, FleetReads, RecordReads, ChainReads
):
    """``interfaces.Reader`` on one connection."""

    __slots__ = ()


class SqlTransaction(
    InventoryWrites,
    PolicyWrites,
    RequestWrites,
    GrantWrites,
    FleetWrites,
    RecordWrites,
    ChainWrites,
):
    """``interfaces.Transaction`` on one connection; its owner begins and ends it."""

    __slots__ = ()
