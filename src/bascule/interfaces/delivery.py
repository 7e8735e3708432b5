"""Where the record is sent to, and how far it has got there."""

from __future__ import annotations

from typing import Protocol


class DeliveryReads(Protocol):
    """Reads of this part; ``interfaces.Reader`` has them all."""


class DeliveryWrites(DeliveryReads, Protocol):
    """Writes of this part; ``interfaces.Transaction`` has them all."""
