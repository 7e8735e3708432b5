"""External identity providers and whom they vouch for."""

from __future__ import annotations

from typing import Protocol


class ProviderReads(Protocol):
    """Reads of this part; ``interfaces.Reader`` has them all."""


class ProviderWrites(ProviderReads, Protocol):
    """Writes of this part; ``interfaces.Transaction`` has them all."""
