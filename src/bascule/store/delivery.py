"""Where the record is sent to, and how far it has got there."""

from __future__ import annotations

from bascule.store.rows import Rows


class DeliveryReads(Rows):
    __slots__ = ()


class DeliveryWrites(DeliveryReads):
    __slots__ = ()
